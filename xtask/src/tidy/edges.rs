//! Which crate may depend on which: the edges of ARCHITECTURE.md, and nothing beside them.
//!
//! Who may use which library from outside is said in `deny.toml`, under `wrappers`.

use toml::Table;

use super::{Finding, finding};
use crate::tree::Tree;

/// Crate, and the crates of ours that it may link.
const ALLOWED: &[(&str, &[&str])] = &[
    (
        "tollgate",
        &[
            "tollgate-admin",
            "tollgate-config",
            "tollgate-logship",
            "tollgate-plan",
            "tollgate-proxy",
            "tollgate-token",
        ],
    ),
    ("tollgate-admin", &["tollgate-config", "tollgate-plan", "tollgate-proxy"]),
    (
        "tollgate-config",
        &["tollgate-content", "tollgate-plan", "tollgate-script", "tollgate-token", "tollgate-wire"],
    ),
    ("tollgate-content", &[]),
    ("tollgate-logship", &["tollgate-wire"]),
    ("tollgate-plan", &["tollgate-content", "tollgate-script", "tollgate-token", "tollgate-wire"]),
    ("tollgate-policy", &["tollgate-plan", "tollgate-wire"]),
    (
        "tollgate-proxy",
        &[
            "tollgate-content",
            "tollgate-logship",
            "tollgate-plan",
            "tollgate-policy",
            "tollgate-script",
            "tollgate-token",
            "tollgate-wire",
        ],
    ),
    ("tollgate-script", &["tollgate-wire"]),
    ("tollgate-testkit", &[]),
    ("tollgate-token", &[]),
    ("tollgate-wire", &[]),
    ("xtask", &[]),
];

/// Crates that are values and functions: no runtime, no sockets.
const SANS_IO: &[&str] = &[
    "tollgate-config",
    "tollgate-plan",
    "tollgate-policy",
    "tollgate-script",
    "tollgate-token",
    "tollgate-wire",
];

/// What a sans-IO crate may not link.
const IO: &[&str] = &["tokio", "hyper", "hyper-util", "axum", "mio", "socket2", "hickory-resolver"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let manifests = tree.files.iter().filter(|file| file.name() == "Cargo.toml");
    manifests
        .filter_map(|file| Some((file, file.package()?)))
        .flat_map(|(file, name)| crate_edges(&file.path, name, &file.text))
        .collect()
}

fn crate_edges(path: &str, name: &str, text: &str) -> Vec<Finding> {
    let manifest: Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![finding(path, 0, format!("not TOML: {}", error.message()))],
    };
    let Some((_, allowed)) = ALLOWED.iter().find(|(own, _)| *own == name) else {
        return vec![finding(path, 0, format!("`{name}` is not in the table of xtask/src/tidy/edges.rs"))];
    };
    let mut findings = Vec::new();
    if manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool()) != Some(true) {
        findings.push(finding(
            path,
            0,
            "without `[lints] workspace = true` the workspace's lints do not hold here",
        ));
    }
    for linked in names(&manifest, "dependencies") {
        if linked.starts_with("tollgate") && !allowed.contains(&linked.as_str()) {
            findings.push(finding(path, 0, format!("`{name}` may not depend on `{linked}`")));
        }
        if SANS_IO.contains(&name) && IO.contains(&linked.as_str()) {
            findings.push(finding(path, 0, format!("`{name}` does no I/O, so it may not link `{linked}`")));
        }
    }
    for linked in names(&manifest, "dev-dependencies") {
        let known = allowed.contains(&linked.as_str()) || linked == "tollgate-testkit" || name == "xtask";
        if linked.starts_with("tollgate") && !known {
            findings.push(finding(path, 0, format!("tests of `{name}` may not depend on `{linked}`")));
        }
    }
    findings
}

fn names(manifest: &Table, section: &str) -> Vec<String> {
    match manifest.get(section).and_then(|section| section.as_table()) {
        Some(section) => section.keys().cloned().collect(),
        None => Vec::new(),
    }
}
