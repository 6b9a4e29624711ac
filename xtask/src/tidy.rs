//! Rules of the house that no compiler knows, each a function from the tree to findings.
//!
//! They run as a test (`xtask/tests/tidy.rs`), so nobody has to remember them. Each rule's own tests prove
//! that it can fail.

mod edges;
mod purity;
mod stages;

mod shape;
mod size;

mod docs;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;

use crate::docs::links;
use crate::tree::Tree;

/// Something that breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Relative to the root.
    pub path: String,
    /// From 1; 0 when it is about the whole file.
    pub line: usize,
    /// What is wrong, and what to do instead.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { path, line, message } = self;
        if *line == 0 { write!(f, "{path}: {message}") } else { write!(f, "{path}:{line}: {message}") }
    }
}

/// Runs every rule. The result is sorted by place.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let rules: [fn(&Tree) -> Vec<Finding>; 8] = [
        edges::check,
        stages::check,
        purity::check,
        shape::check,
        size::check,
        docs::check,
        links::check,
        words::check,
    ];
    let mut findings: Vec<Finding> = rules.iter().flat_map(|rule| rule(tree)).collect();
    findings.sort();
    findings
}

fn finding(path: &str, line: usize, message: impl Into<String>) -> Finding {
    Finding { path: path.into(), line, message: message.into() }
}

/// The lines of a text with their numbers, from 1.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}
