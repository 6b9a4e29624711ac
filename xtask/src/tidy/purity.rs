//! What code may not reach for: a clock or files in a pure crate, real time in a test, `unsafe` anywhere but
//! in the named places.

use super::{Finding, finding, numbered};
use crate::tree::{File, Tree};

/// Crates that are given the time and the bytes, and never fetch them.
const PURE: &[&str] = &["tollgate-plan", "tollgate-policy", "tollgate-token", "tollgate-wire"];

/// What would make them impure.
const IMPURE: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::env",
    "std::thread",
    "tokio::",
];

/// Crates in which nothing from the network can panic, by lints at the top of `lib.rs`.
const NO_PANIC: &[&str] =
    &["tollgate-wire", "tollgate-policy", "tollgate-proxy", "tollgate-script", "tollgate-token"];

/// The lints that say so.
const NO_PANIC_LINTS: &[&str] =
    &["clippy::unwrap_used", "clippy::expect_used", "clippy::panic", "clippy::indexing_slicing"];

/// Files that may hold `unsafe`. Each says its reason beside the attribute.
const UNSAFE: &[&str] = &["crates/tollgate-proxy/src/io/socket.rs", "crates/tollgate/src/startup_pages.rs"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        tree.rust().filter(|file| !file.path.starts_with("xtask/src/tidy/")).flat_map(file_rules).collect();
    for name in NO_PANIC {
        let path = format!("crates/{name}/src/lib.rs");
        let Some(file) = tree.get(&path) else { continue };
        for lint in NO_PANIC_LINTS.iter().filter(|lint| !file.text.contains(*lint)) {
            findings.push(finding(
                &path,
                0,
                format!("nothing from the network can panic: deny `{lint}` outside tests"),
            ));
        }
    }
    findings
}

fn file_rules(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let pure = file.package().is_some_and(|name| PURE.contains(&name)) && file.path.contains("/src/");
    let mut in_tests = file.is_test();
    for (line, text) in numbered(&file.text) {
        let code = text.split("//").next().unwrap_or_default();
        in_tests |= code.contains("#[cfg(test)]");
        if pure && !in_tests {
            for word in IMPURE.iter().filter(|word| code.contains(*word)) {
                let message = format!("`{word}` in a crate without clock and I/O: let the caller hand it in");
                findings.push(finding(&file.path, line, message));
            }
        }
        if in_tests && (code.contains("sleep(") || code.contains("sleep_until(")) {
            findings.push(finding(
                &file.path,
                line,
                "no sleep in tests: wait for the condition, with a deadline",
            ));
        }
        if code.contains("allow(unsafe_code") || code.contains("expect(unsafe_code") {
            if !UNSAFE.contains(&file.path.as_str()) {
                findings.push(finding(&file.path, line, "not one of the files that may hold `unsafe`"));
            } else if !text.contains("reason") && !text.contains("//") {
                findings.push(finding(&file.path, line, "say why this file holds `unsafe`"));
            }
        }
    }
    findings
}
