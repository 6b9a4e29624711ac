//! What the documents name exists: paths, crates, symbols. Their links are another rule (`docs/links.rs`).
//!
//! A map that drifted is worse than none. Decision records and the changelog tell what was true then, and
//! generated pages follow the code anyway: those are left out.

use super::{Finding, finding, numbered};
use crate::tree::{File, Tree};

/// Top folders whose paths are checked when they stand in backticks.
const FOLDERS: &[&str] = &[
    "crates/",
    "docs/",
    "xtask/",
    "bench/",
    "examples/",
    "fuzz/",
    "packaging/",
    "console/",
    ".ci/",
    ".config/",
];

/// Endings of file names that are checked when they stand alone in backticks.
const ENDINGS: &[&str] = &[".rs", ".toml", ".md"];

/// The document in which every type named in backticks must be one of ours.
const MAP: &str = "ARCHITECTURE.md";

const DECLARATIONS: &[&str] =
    &["fn", "struct", "enum", "trait", "type", "const", "static", "mod", "macro_rules!"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let documents = tree.files.iter().filter(|file| file.path.ends_with(".md"));
    documents.flat_map(|file| document(tree, file)).collect()
}

fn document(tree: &Tree, file: &File) -> Vec<Finding> {
    let history = file.path == "CHANGELOG.md" || file.path.starts_with("docs/decisions/");
    if history || file.path.starts_with("docs/reference/") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut fenced = false;
    for (line, text) in numbered(&file.text) {
        if text.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for span in code_spans(text) {
            if let Some(what) = missing(tree, span, file.path == MAP) {
                findings.push(finding(
                    &file.path,
                    line,
                    format!("names {what} `{span}`, which does not exist"),
                ));
            }
        }
    }
    findings
}

/// What kind of thing the span names, when that thing does not exist.
fn missing(tree: &Tree, span: &str, is_map: bool) -> Option<&'static str> {
    if span.contains(|c: char| c.is_whitespace() || "<>*{}…$=".contains(c)) {
        return None;
    }
    let path = span.trim_start_matches("./").trim_end_matches('/');
    if FOLDERS.iter().any(|folder| span.trim_start_matches("./").starts_with(folder)) {
        return (!tree.exists(path)).then_some("the path");
    }
    if !path.contains('/') && ENDINGS.iter().any(|ending| path.ends_with(ending)) && path.len() > 4 {
        return (!tree.files.iter().any(|file| file.name() == path)).then_some("the file");
    }
    if span.starts_with("tollgate-") && span.chars().all(|c| c.is_ascii_lowercase() || c == '-') {
        return (!tree.exists(&format!("crates/{span}"))).then_some("the crate");
    }
    if let Some((head, rest)) =
        span.split_once("::").filter(|(head, _)| head.starts_with("tollgate_") || *head == "xtask")
    {
        let name = rest.rsplit("::").next().unwrap_or(rest).trim_end_matches("()");
        let package = head.replace('_', "-");
        return (!declared(tree, Some(&package), name)).then_some("the symbol");
    }
    let camel = span.starts_with(|c: char| c.is_ascii_uppercase())
        && span.contains(|c: char| c.is_ascii_lowercase())
        && span.chars().all(|c| c.is_ascii_alphanumeric());
    (is_map && camel && !declared(tree, None, span)).then_some("the type")
}

fn declared(tree: &Tree, package: Option<&str>, name: &str) -> bool {
    let of_package = |file: &&File| package.is_none_or(|package| file.package() == Some(package));
    tree.rust().filter(of_package).any(|file| {
        file.text.match_indices(name).any(|(at, _)| {
            let before = file.text[..at].trim_end();
            let whole = !file.text[at + name.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
            whole && DECLARATIONS.iter().any(|keyword| before.ends_with(keyword))
        })
    })
}

/// The texts between single backticks.
fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}
