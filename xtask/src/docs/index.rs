//! The order of the pages: `docs/README.md`, whose lists are the navigation. A page is declared by the first link of an
//! item, and belongs to the part whose heading stands before it.

use pulldown_cmark::{Event, Tag, TagEnd};

use super::page;

/// The page that declares the order, and is the site's first.
pub(crate) const INDEX: &str = "docs/README.md";

/// A heading of the index, with the pages below it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The heading.
    pub(crate) title: String,
    /// In their order.
    pub(crate) entries: Vec<Entry>,
}

/// A page as the navigation names it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The words of the link.
    pub(crate) title: String,
    /// From the root of the repository.
    pub(crate) path: String,
    /// Where the index says so, from 1.
    pub(crate) line: usize,
}

/// Reads the index.
pub(crate) fn parts(text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut heading: Option<String> = None;
    // The link of an item that is being read: its target, line and words.
    let mut link: Option<Entry> = None;
    let mut item_is_new = false;
    for (event, range) in page::events(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let title = heading.take().unwrap_or_default();
                parts.push(Part { title, entries: Vec::new() });
            }
            Event::Start(Tag::Item) => item_is_new = true,
            Event::Start(Tag::Link { dest_url, .. }) if item_is_new => {
                let line = text[..range.start].matches('\n').count() + 1;
                let path = super::links::resolve(INDEX, &dest_url).unwrap_or_default();
                link = Some(Entry { title: String::new(), path, line });
                item_is_new = false;
            }
            Event::End(TagEnd::Link) => {
                if let (Some(entry), Some(part)) = (link.take(), parts.last_mut()) {
                    part.entries.push(entry);
                }
            }
            Event::Text(words) | Event::Code(words) => {
                if let Some(title) = heading.as_mut().or(link.as_mut().map(|entry| &mut entry.title)) {
                    title.push_str(&words);
                }
            }
            _ => {}
        }
    }
    parts.retain(|part| !part.entries.is_empty());
    parts
}
