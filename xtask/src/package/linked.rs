//! What is linked into the binary of a target: its crates as cargo resolves them for this package and this target alone.
//!
//! Crates that only build it, generate code for it or test it are none of it, but for those whose sources a build compiles. `cargo tree` knows that; `cargo metadata`, which
//! unites the features of the whole workspace, knows where the sources are and what licence they declare.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use toml::Table;

use super::Target;
use crate::{run, tree};

/// One crate.
pub(super) struct Crate {
    pub(super) name: String,
    pub(super) version: String,
    /// As SPDX writes it.
    pub(super) licence: Option<String>,
    pub(super) repository: Option<String>,
    pub(super) authors: Vec<String>,
    /// The sources.
    pub(super) folder: PathBuf,
    /// SHA-256 of the crate's file at the registry; none for our own.
    pub(super) checksum: Option<String>,
    /// Keys of the crates that it links.
    pub(super) needs: BTreeSet<Key>,
}

/// Name and version, by which they are sorted.
pub(super) type Key = (String, String);

/// All of them.
pub(super) struct Linked(pub(super) BTreeMap<Key, Crate>);

/// Asks cargo.
pub(super) fn read(target: Target) -> Result<Linked> {
    let mut needs = edges(&resolved(target, "normal,no-proc-macro")?)?;
    // What a build compiles of another language is linked too, and by their names these are the crates that carry it.
    for (user, built) in edges(&resolved(target, "normal,build,no-proc-macro")?)? {
        for sources in built.into_iter().filter(|(name, _)| name.ends_with("-src")) {
            if let Some(linked) = needs.get_mut(&user) {
                linked.insert(sources.clone());
                needs.entry(sources).or_default();
            }
        }
    }
    let metadata = run::output(&mut run::cargo(&[
        "metadata",
        "--locked",
        "--format-version=1",
        "--filter-platform",
        target.triple(),
    ]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("what cargo metadata printed")?;
    let sums = checksums()?;
    let mut crates = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let text = |key: &str| package[key].as_str().map(str::to_owned);
        let key: Key = (text("name").unwrap_or_default(), text("version").unwrap_or_default());
        let Some(needs) = needs.get(&key) else { continue };
        let manifest = PathBuf::from(text("manifest_path").unwrap_or_default());
        let found = Crate {
            name: key.0.clone(),
            version: key.1.clone(),
            // The older way to write it.
            licence: text("license").map(|licence| licence.replace('/', " OR ")),
            repository: text("repository"),
            authors: strings(&package["authors"]),
            folder: manifest.parent().map(PathBuf::from).unwrap_or_default(),
            checksum: sums.get(&key).cloned(),
            needs: needs.clone(),
        };
        crates.insert(key, found);
    }
    if let Some(missing) = needs.keys().find(|key| !crates.contains_key(*key)) {
        bail!("cargo tree names {} {}, and cargo metadata does not", missing.0, missing.1);
    }
    Ok(Linked(crates))
}

/// What `cargo tree` prints of these edges.
fn resolved(target: Target, edges: &str) -> Result<String> {
    run::output(&mut run::cargo(&[
        "tree",
        "--locked",
        "--package=tollgate",
        &format!("--edges={edges}"),
        "--target",
        target.triple(),
        "--prefix=depth",
        "--format=|{p}",
    ]))
}

/// Who links whom, out of lines like `2|anstyle v1.0.14 (*)`: the depth in front, a star where its own lines stood before.
fn edges(printed: &str) -> Result<BTreeMap<Key, BTreeSet<Key>>> {
    let mut edges: BTreeMap<Key, BTreeSet<Key>> = BTreeMap::new();
    let mut above: Vec<Key> = Vec::new();
    for line in printed.lines().filter(|line| !line.is_empty()) {
        let parsed = line.split_once('|').and_then(|(depth, rest)| {
            let mut words = rest.split_whitespace();
            let name = words.next()?.to_owned();
            let version = words.next()?.strip_prefix('v')?.to_owned();
            Some((depth.parse::<usize>().ok()?, (name, version)))
        });
        let Some((depth, key)) = parsed else { bail!("cargo tree printed `{line}`") };
        above.truncate(depth);
        if let Some(parent) = above.last() {
            edges.entry(parent.clone()).or_default().insert(key.clone());
        }
        edges.entry(key.clone()).or_default();
        above.push(key);
    }
    Ok(edges)
}

fn checksums() -> Result<BTreeMap<Key, String>> {
    let lock = fs::read_to_string(tree::root().join("Cargo.lock")).context("reading Cargo.lock")?;
    let lock: Table = lock.parse().context("reading Cargo.lock")?;
    let packages = lock.get("package").and_then(|packages| packages.as_array());
    let sums = packages.into_iter().flatten().filter_map(|package| {
        let text = |key: &str| package.get(key)?.as_str().map(str::to_owned);
        Some(((text("name")?, text("version")?), text("checksum")?))
    });
    Ok(sums.collect())
}

fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depths_become_edges() {
        let printed = "0|own v0.1.0 (/a path)\n1|a v1.0.0\n2|b v2.0.0+x\n1|c v3.0.0\n2|a v1.0.0 (*)\n";
        let edges = edges(printed).expect("lines of cargo tree");
        let key = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        let (own, a, b, c) = (key("own", "0.1.0"), key("a", "1.0.0"), key("b", "2.0.0+x"), key("c", "3.0.0"));
        assert_eq!(edges[&own], BTreeSet::from([a.clone(), c.clone()]));
        assert_eq!(edges[&a], BTreeSet::from([b.clone()]));
        assert_eq!(edges[&c], BTreeSet::from([a]));
        assert!(edges[&b].is_empty());
        assert!(super::edges("a v1").is_err());
    }
}
