//! Which files the site has: the pages of the index in their order, then whatever they link to, until nothing is new.
//!
//! What lies outside of `docs/` stands below `repository/`: Markdown as pages, other text as it is, a folder as the list of
//! its files. So the site is whole without the repository, and no link leads out of it but to other sites.

use std::collections::{BTreeMap, VecDeque};
use std::fs;

use anyhow::{Context, Result};

use super::index::{self, INDEX, Part};
use super::layout::{self, Frame};
use super::page::Page;
use super::render::{self, Rendered};
use crate::tree::Tree;

/// More files than this are not linked on purpose.
const MAX_FILES: usize = 2_000;

const STYLE: &str = include_str!("style.css");
/// Where the style lies, from the site's root.
const STYLE_PATH: &str = "style.css";

/// A file of the site.
pub(crate) struct SiteFile {
    /// From the site's root.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) bytes: Vec<u8>,
}

/// All files, the style first.
pub(crate) fn files(tree: &Tree) -> Result<Vec<SiteFile>> {
    let index = tree.get(INDEX).with_context(|| format!("{INDEX} is missing"))?;
    let parts = index::parts(&index.text);
    let mut waiting: VecDeque<String> = VecDeque::from([INDEX.to_owned()]);
    waiting.extend(parts.iter().flat_map(|part| &part.entries).map(|entry| entry.path.clone()));
    let docs = tree.files.iter().filter(|file| file.path.starts_with("docs/") && file.path.ends_with(".md"));
    waiting.extend(docs.map(|file| file.path.clone()));
    // By their place on the site, so that none is made twice.
    let mut files = BTreeMap::from([(STYLE_PATH.to_owned(), STYLE.as_bytes().to_vec())]);
    while let Some(path) = waiting.pop_front() {
        let place = place(tree, &path);
        if files.contains_key(&place) {
            continue;
        }
        anyhow::ensure!(files.len() < MAX_FILES, "the site has more than {MAX_FILES} files");
        let bytes = make(tree, &parts, &path, &place, &mut waiting)?;
        files.insert(place, bytes);
    }
    Ok(files.into_iter().map(|(path, bytes)| SiteFile { path, bytes }).collect())
}

fn make(
    tree: &Tree,
    parts: &[Part],
    path: &str,
    place: &str,
    waiting: &mut VecDeque<String>,
) -> Result<Vec<u8>> {
    if !place.ends_with(".html") {
        return fs::read(tree.root.join(path)).with_context(|| format!("reading {path}"));
    }
    let (page, rendered) = match tree.get(path) {
        Some(file) if path.ends_with(".md") => {
            let text = with_list(tree, path, &file.text);
            (Page::read(&text), render::markdown(tree, path, place, &text))
        }
        Some(file) => (named(path), render::plain(&file.text)),
        None => {
            let list = list_of(tree, path);
            (named(path), render::markdown(tree, &format!("{path}/README.md"), place, &list))
        }
    };
    let Rendered { html, targets } = rendered;
    waiting.extend(targets);
    let frame = Frame { parts, path, page: &page, style: &render::relative(place, STYLE_PATH) };
    Ok(layout::html(&frame, &html, |target| render::relative(place, &self::place(tree, target))).into_bytes())
}

/// A page that is no Markdown is called by its path.
fn named(path: &str) -> Page {
    Page {
        title: Some(path.to_owned()),
        description: format!("{path} in the repository."),
        ..Page::default()
    }
}

/// Where a file or folder of the repository stands on the site.
pub(crate) fn place(tree: &Tree, path: &str) -> String {
    if tree.get(path).is_none() && !is_picture(path) {
        let readme = format!("{path}/README.md");
        return match tree.get(&readme) {
            Some(_) => place(tree, &readme),
            None => format!("{}/index.html", inside(path)),
        };
    }
    let own = inside(path);
    if let Some(stem) = own.strip_suffix(".md") {
        return match stem.strip_suffix("README") {
            Some(folder) => format!("{folder}index.html"),
            None => format!("{stem}.html"),
        };
    }
    // A browser shows these by itself; of other files it would make a download.
    if is_picture(&own) || own.ends_with(".json") { own } else { format!("{own}.html") }
}

fn inside(path: &str) -> String {
    path.strip_prefix("docs/").map_or_else(|| format!("repository/{path}"), str::to_owned)
}

fn is_picture(path: &str) -> bool {
    path.ends_with(".png") || path.ends_with(".svg")
}

/// The page of a folder whose pages the index does not name gets their list: in the files a folder shows it by itself.
fn with_list(tree: &Tree, path: &str, text: &str) -> String {
    let Some(folder) = path.strip_suffix("/README.md").filter(|folder| *folder == "docs/decisions") else {
        return text.to_owned();
    };
    format!("{text}\n{}", list_of(tree, folder))
}

/// The files that lie in a folder, as a list in Markdown.
fn list_of(tree: &Tree, folder: &str) -> String {
    let mut list = String::new();
    for file in &tree.files {
        let name = file.path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
        let Some(name) = name.filter(|name| !name.contains('/') && *name != "README.md") else { continue };
        let title = Page::read(&file.text).title.filter(|_| name.ends_with(".md"));
        list.push_str(&format!("- [{}]({name})\n", title.as_deref().unwrap_or(name)));
    }
    list
}
