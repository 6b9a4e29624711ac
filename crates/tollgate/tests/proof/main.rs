//! `tollgate test`: every key of a test, once where it holds and once where it does not; what is shown; what is recorded;
//! and `reload.require_tests`.

mod keys;
mod recorded;
mod required;
mod shown;

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use tollgate_testkit::{Finished, binary, run};

/// A directory with this configuration.
fn with(text: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("tollgate.yaml"), text).expect("a file");
    dir
}

#[track_caller]
fn tollgate(dir: &Path, arguments: &[&str], code: i32) -> Finished {
    let ended = run(binary!(), dir, arguments, &[]);
    assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:#?}");
    ended
}

/// What `--json` says.
fn json(ended: &Finished) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("JSON: {ended:#?}"))
}
