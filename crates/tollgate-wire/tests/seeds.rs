//! What holds for any bytes at all, tried on the seeds of the fuzz targets and on mutations of them.

mod properties;

use std::fs;
use std::path::Path;

use properties::mutate::Random;

const SEED: u64 = 0x7011_6a7e;
const MUTATIONS: usize = 20_000;

#[test]
fn request_heads() {
    check("request_head", properties::request_head);
}

#[test]
fn response_heads() {
    check("response_head", properties::response_head);
}

#[test]
fn chunked_bodies() {
    check("chunked_body", properties::chunked_body);
}

#[test]
fn proxy_headers() {
    check("proxy_header", properties::proxy_header);
}

/// Every message names itself when it fails: it can be copied into the seeds.
fn check(target: &str, property: fn(&[u8]) -> bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "{} seeds", files.len());
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let good = seeds.iter().filter(|seed| property(seed)).count();
    assert!(good >= 4 && good < seeds.len(), "{good} seeds are accepted");
    let mut random = Random(SEED);
    let good = (0..MUTATIONS).filter(|_| property(&random.message(&seeds))).count();
    assert!((MUTATIONS / 20..MUTATIONS).contains(&good), "{good} of {MUTATIONS} are accepted");
}
