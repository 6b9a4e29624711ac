//! The properties of the fuzz targets on their seeds, and on seeds that are changed.

mod properties;

use std::fs;
use std::path::Path;

/// Places of a seed at which it is cut, and at which a bit is turned.
const PLACES: usize = 8;

#[test]
fn configurations() {
    check("config", properties::config);
}

#[test]
fn documents_of_kong() {
    check("import_kong", properties::import_kong);
}

#[test]
fn documents_of_krakend() {
    check("import_krakend", properties::import_krakend);
}

#[test]
fn descriptions_of_interfaces() {
    check("import_openapi", properties::import_openapi);
}

/// Every seed as it is, cut, and with a bit turned. Some are accepted, others are not.
fn check(target: &str, property: fn(&[u8]) -> bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let files = fs::read_dir(&folder).expect("the seeds").map(|entry| entry.expect("a seed").path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    let (mut good, mut bad) = (0, 0);
    let mut count = |accepted: bool| if accepted { good += 1 } else { bad += 1 };
    for file in &files {
        let seed = fs::read(file).expect("a seed");
        count(property(&seed));
        for at in (0..seed.len()).step_by(seed.len() / PLACES + 1) {
            count(property(&seed[..at]));
            let mut changed = seed.clone();
            changed[at] ^= 1 << (at % 8);
            count(property(&changed));
        }
    }
    assert!(good >= 4 && bad >= 4, "{target}: {good} are accepted, {bad} are not, of {} seeds", files.len());
}
