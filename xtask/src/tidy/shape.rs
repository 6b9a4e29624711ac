//! Every file says what it is for, and no module is named after nothing.

use super::{Finding, finding};
use crate::tree::{File, Tree};

/// Names that say nothing about what is inside. A homeless function goes to the module of its main noun.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "manager", "types", "misc"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    // A sibling `tests.rs` says by its path what it is for.
    let named = |file: &&File| file.path.ends_with("/tests.rs") || file.path.ends_with("_tests.rs");
    let opening = tree.rust().filter(|file| !named(file) && !file.text.trim_start().starts_with("//!"));
    let opening =
        opening.map(|file| finding(&file.path, 1, "opens without `//!`: say first what the file is for"));
    opening.chain(tree.rust().filter_map(empty_name)).collect()
}

fn empty_name(file: &File) -> Option<Finding> {
    let name = file
        .path
        .split('/')
        .map(|part| part.trim_end_matches(".rs"))
        .find(|part| EMPTY_NAMES.contains(part))?;
    Some(finding(&file.path, 0, format!("`{name}` names nothing: name the module after its main noun")))
}
