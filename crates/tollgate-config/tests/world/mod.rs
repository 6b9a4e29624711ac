//! The world in which test configurations are read: files of this directory, a fixed environment, four cores.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io;
use std::path::{Path, PathBuf};

use tollgate_config::{Listed, OsSources, Sources};

pub(crate) struct World;

const VARIABLES: &[(&str, &str)] = &[
    ("COUNT", "3"),
    ("SIZE", "16"),
    ("PREFIX", "api"),
    ("TRUE", "true"),
    ("EMPTY", ""),
    ("TOKEN", "0123456789"),
    ("BRACES", "a{b}c{path}\"\\"),
    ("WORD", "value-of-word"),
    ("LETTERS", "value_of_letters"),
    ("LINES", "value-of-word\nx: y"),
    ("NEWLINE", "a\nb"),
    ("YAML", "[{ path: /, to: http://127.0.0.1:1 }]"),
];

impl Sources for World {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        OsSources.read(&root().join(path), limit)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Listed>> {
        OsSources.list(&root().join(directory))
    }

    fn identity(&self, path: &Path) -> PathBuf {
        OsSources.identity(&root().join(path))
    }

    fn variable(&self, name: &str) -> Option<String> {
        VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    fn cores(&self) -> usize {
        4
    }

    fn now(&self) -> i64 {
        // 18 May 2033: a certificate of 30 days from 2026 is long over.
        2_000_000_000
    }
}

/// The directory that relative paths stand in.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The configurations of a directory, as paths from [`root`], sorted.
pub(crate) fn cases(directory: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(directory)).expect("the directory of cases");
    let mut cases: Vec<PathBuf> = entries
        .map(|entry| Path::new(directory).join(entry.expect("an entry").file_name()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    cases.sort();
    cases
}
