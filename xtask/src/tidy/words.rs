//! Text that belongs to one person's machine, or to one registry, has no place in the repository.

use super::{Finding, finding, numbered};
use crate::tree::Tree;

/// Written in two halves, so that this list does not find itself.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("/wo", "rk/", "a path of one machine"),
    ("/ro", "ot/", "a path of one machine"),
    ("/tmp/", "briefs", "a path of one machine"),
    ("crates", ".io", "a registry's host: name the crate instead"),
    ("pypi", ".org", "a registry's host: name the package instead"),
    ("pythonhosted", ".org", "a registry's host: name the package instead"),
    ("registry.", "npmjs", "a registry's host: name the package instead"),
    ("deb.", "debian", "a registry's host: name the package instead"),
];

/// Written by cargo, which names the registry in every entry.
const GENERATED: &[&str] = &["Cargo.lock", "fuzz/Cargo.lock"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| !GENERATED.contains(&file.path.as_str())) {
        for (head, tail, why) in FORBIDDEN {
            let word = format!("{head}{tail}");
            for (line, _) in numbered(&file.text).filter(|(_, text)| text.contains(&word)) {
                findings.push(finding(&file.path, line, format!("`{word}` is {why}")));
            }
        }
    }
    findings
}
