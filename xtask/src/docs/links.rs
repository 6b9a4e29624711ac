//! What pages must keep so that readers arrive: every link of every Markdown file leads to something, every page of
//! `docs/` is in the index once, and has a title and a first paragraph.
//!
//! Links to other sites are not followed: a merge does not depend on somebody's server.

use std::collections::BTreeMap;

use super::index::{self, INDEX};
use super::page::{Link, Page};
use crate::tidy::Finding;
use crate::tree::Tree;

/// Folders of pages that their own `README.md` stands for in the index.
const FOLDERS: &[&str] = &["docs/decisions/"];

/// Links with these go elsewhere.
const ELSEWHERE: &[&str] = &["http://", "https://", "mailto:"];

/// All findings, in the order of the files.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let pages: BTreeMap<&str, Page> = tree
        .files
        .iter()
        .filter(|file| file.path.ends_with(".md"))
        .map(|file| (file.path.as_str(), Page::read(&file.text)))
        .collect();
    let mut findings = Vec::new();
    for (path, page) in &pages {
        findings.extend(page.links.iter().filter_map(|link| broken(tree, &pages, path, link)));
        if path.starts_with("docs/") {
            findings.extend(form(path, page));
        }
    }
    findings.extend(order(tree, &pages));
    findings
}

/// What is wrong with one link.
fn broken(tree: &Tree, pages: &BTreeMap<&str, Page>, path: &str, link: &Link) -> Option<Finding> {
    let target = link.target.as_str();
    let say = |message: String| Some(finding(path, link.line, message));
    if link.picture && link.text.trim().is_empty() {
        return say(format!("the picture `{target}` says nothing to those who cannot see it"));
    }
    if leads_elsewhere(target) {
        let remote = link.picture.then(|| format!("the picture `{target}` is fetched from elsewhere"));
        return remote.and_then(say);
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let Some(place) = resolve(path, file) else {
        return say(format!("links to `{target}`, which is outside of the repository"));
    };
    if !tree.exists(&place) {
        return say(format!("links to `{target}`, which does not exist"));
    }
    let known = anchor.is_empty() || pages.get(place.as_str()).is_some_and(|page| page.has_anchor(anchor));
    (!known)
        .then(|| finding(path, link.line, format!("links to `{target}`, but `{place}` has no such heading")))
}

/// What every page of `docs/` has.
fn form(path: &str, page: &Page) -> Vec<Finding> {
    let mut findings: Vec<Finding> = page
        .raw
        .iter()
        .map(|line| finding(path, *line, "HTML stands in a page: write Markdown, or code"))
        .collect();
    if page.title.is_none() {
        findings.push(finding(path, 1, "begins without a title (`# …`)"));
    }
    if page.description.is_empty() {
        findings.push(finding(path, 1, "has no paragraph that says what it is about"));
    }
    let second = page.headings.iter().skip(1).filter(|heading| heading.level == 1);
    findings.extend(second.map(|heading| finding(path, heading.line, "a second title: a page has one")));
    findings
}

/// Whether the index names each page once.
fn order(tree: &Tree, pages: &BTreeMap<&str, Page>) -> Vec<Finding> {
    let Some(index) = tree.get(INDEX) else {
        return vec![finding(INDEX, 0, "is missing: it declares the order of the pages")];
    };
    let mut findings = Vec::new();
    let mut seen: Vec<&str> = vec![INDEX];
    let parts = index::parts(&index.text);
    for entry in parts.iter().flat_map(|part| &part.entries) {
        if seen.contains(&entry.path.as_str()) {
            findings.push(finding(INDEX, entry.line, format!("`{}` is listed twice", entry.path)));
        }
        seen.push(&entry.path);
    }
    let stood_for = |path: &str| {
        FOLDERS
            .iter()
            .any(|folder| path.starts_with(folder) && seen.contains(&&*format!("{folder}README.md")))
    };
    for path in pages.keys().filter(|path| path.starts_with("docs/")) {
        if !seen.contains(path) && !stood_for(path) {
            findings.push(finding(path, 0, format!("is not in {INDEX}: add it to a list there")));
        }
    }
    findings
}

/// Whether a target is no file of the repository.
pub(crate) fn leads_elsewhere(target: &str) -> bool {
    ELSEWHERE.iter().any(|start| target.starts_with(start))
}

/// A link's target, seen from the root of the repository; none where it climbs above it. What stands behind `#` is
/// left out, and nothing before it is the page itself.
pub(crate) fn resolve(page: &str, target: &str) -> Option<String> {
    let target = target.split('#').next().unwrap_or_default();
    if target.is_empty() {
        return Some(page.to_owned());
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn finding(path: &str, line: usize, message: impl Into<String>) -> Finding {
    Finding { path: path.into(), line, message: message.into() }
}
