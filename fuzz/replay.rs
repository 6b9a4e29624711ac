//! What the tests do with the seeds of a fuzz target. Each crate's `tests/seeds.rs` includes this file.

use std::fs;
use std::path::Path;

/// Every seed as it is, cut at so many `places`, and with a bit turned there. Some are accepted, others are not.
pub(crate) fn replay(target: &str, places: usize, property: fn(&[u8]) -> bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let files = fs::read_dir(&folder).expect("the seeds").map(|entry| entry.expect("a seed").path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    let (mut good, mut bad) = (0, 0);
    let mut count = |accepted: bool| if accepted { good += 1 } else { bad += 1 };
    for file in &files {
        let seed = fs::read(file).expect("a seed");
        count(property(&seed));
        for at in (0..seed.len()).step_by(seed.len() / places + 1) {
            count(property(&seed[..at]));
            let mut changed = seed.clone();
            changed[at] ^= 1 << (at % 8);
            count(property(&changed));
        }
    }
    assert!(good >= 4 && bad >= 4, "{target}: {good} are accepted, {bad} are not, of {} seeds", files.len());
}
