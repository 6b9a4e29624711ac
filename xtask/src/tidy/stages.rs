//! The stages of the data plane never import each other; only `pipeline.rs` knows them all.
//!
//! So the order of a request stands in one function, and a stage can be read alone.

use super::{Finding, finding, numbered};
use crate::tree::Tree;

const SOURCE: &str = "crates/tollgate-proxy/src/";

/// In the order of a request.
const STAGES: &[&str] = &[
    "listen",
    "parse",
    "route",
    "access",
    "limit",
    "identify",
    "validate",
    "cache",
    "transform",
    "upstream",
    "aggregate",
    "respond",
    "observe",
];

/// A stage that does its work by another one: what an aggregate asks are requests to upstreams.
const MADE_OF: &[(&str, &str)] = &[("aggregate", "upstream")];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let Some(own) = file.path.strip_prefix(SOURCE).and_then(stage_of) else { continue };
        for (line, text) in numbered(&file.text) {
            for other in STAGES.iter().filter(|other| **other != own && !MADE_OF.contains(&(own, other))) {
                if imports(text, other) {
                    let message =
                        format!("stage `{own}` imports stage `{other}`: hand the value over in exchange.rs");
                    findings.push(finding(&file.path, line, message));
                }
            }
        }
    }
    findings
}

fn stage_of(path: &str) -> Option<&'static str> {
    let head = path.split('/').next()?.trim_end_matches(".rs");
    STAGES.iter().copied().find(|stage| *stage == head)
}

/// Whether code on this line names `crate::stage`, alone or inside braces after `crate::`.
fn imports(line: &str, stage: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("crate::").any(|(at, found)| {
        let rest = &code[at + found.len()..];
        match rest.strip_prefix('{') {
            Some(list) => list.split([',', '}']).any(|item| starts_with_name(item.trim(), stage)),
            None => starts_with_name(rest, stage),
        }
    })
}

fn starts_with_name(path: &str, name: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}
