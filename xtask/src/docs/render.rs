//! Markdown to the HTML of a page's text. Links become those of the site, headings get their anchors, and nothing is
//! passed through: HTML in a page is shown as text.

use pulldown_cmark::{Alignment, CodeBlockKind, CowStr, Event, Tag, TagEnd, html};

use super::links;
use super::page::{self, Heading, Page};
use super::site;
use crate::tree::Tree;

/// The text of a page, and which files of the repository it links to.
pub(crate) struct Rendered {
    pub(crate) html: String,
    pub(crate) targets: Vec<String>,
}

/// A text that is no Markdown, as it is.
pub(crate) fn plain(text: &str) -> Rendered {
    Rendered {
        html: format!("<pre tabindex=\"0\"><code>{}</code></pre>\n", escape(text)),
        targets: Vec::new(),
    }
}

/// A page of the repository (`path`), for its place on the site.
pub(crate) fn markdown(tree: &Tree, path: &str, place: &str, text: &str) -> Rendered {
    let headings = Page::read(text).headings.into_iter();
    let targets = Vec::new();
    let mut writer = Writer { tree, path, place, headings, targets, in_block: false, events: Vec::new() };
    for (event, _) in page::events(text) {
        writer.take(event);
    }
    let mut out = String::with_capacity(text.len() * 2);
    html::push_html(&mut out, writer.events.into_iter());
    Rendered { html: out, targets: writer.targets }
}

struct Writer<'a> {
    tree: &'a Tree,
    path: &'a str,
    place: &'a str,
    /// Those that are still to come.
    headings: std::vec::IntoIter<Heading>,
    targets: Vec<String>,
    /// Whether a block of code is open.
    in_block: bool,
    events: Vec<Event<'a>>,
}

impl<'a> Writer<'a> {
    fn take(&mut self, event: Event<'a>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(TagEnd::Table) => self.push_all([Event::End(TagEnd::Table), block("</div>\n")]),
            Event::End(TagEnd::CodeBlock) => {
                self.in_block = false;
                self.events.push(block("</code></pre>\n"));
            }
            Event::Text(text) if self.in_block => self.events.push(block(&escape(&text))),
            Event::Html(html) | Event::InlineHtml(html) if page::is_comment(&html) => {}
            Event::Html(html) | Event::InlineHtml(html) => self.events.push(Event::Text(html)),
            other => self.events.push(other),
        }
    }

    fn start(&mut self, tag: Tag<'a>) {
        let tag = match tag {
            Tag::Heading { level, classes, attrs, .. } => {
                let anchor = self.headings.next().map(|heading| heading.anchor).unwrap_or_default();
                // In front of the words, so that whatever ends the heading ends it.
                let link = format!(
                    "<a class=\"here\" href=\"#{0}\" aria-label=\"This place\">#</a>",
                    escape(&anchor)
                );
                let heading = Tag::Heading { level, id: Some(anchor.into()), classes, attrs };
                return self.push_all([Event::Start(heading), Event::InlineHtml(link.into())]);
            }
            Tag::Link { link_type, dest_url, title, id } => {
                Tag::Link { link_type, dest_url: self.address(&dest_url), title, id }
            }
            Tag::Image { link_type, dest_url, title, id } => {
                Tag::Image { link_type, dest_url: self.address(&dest_url), title, id }
            }
            // Alignments would become inline styles, which the policy of the pages forbids.
            Tag::Table(columns) => {
                let wide = "<div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"Table\">\n";
                let table = Tag::Table(vec![Alignment::None; columns.len()]);
                return self.push_all([block(wide), Event::Start(table)]);
            }
            Tag::CodeBlock(kind) => {
                self.in_block = true;
                return self.events.push(block(&opening(&kind)));
            }
            other => other,
        };
        self.events.push(Event::Start(tag));
    }

    fn push_all<const N: usize>(&mut self, events: [Event<'a>; N]) {
        self.events.extend(events);
    }

    /// A link's target, as the site has it.
    fn address(&mut self, target: &str) -> CowStr<'a> {
        let (file, fragment) = target.split_at(target.find('#').unwrap_or(target.len()));
        let elsewhere = file.is_empty() || links::leads_elsewhere(target);
        let Some(found) = links::resolve(self.path, file).filter(|_| !elsewhere) else {
            return target.to_owned().into();
        };
        let there = relative(self.place, &site::place(self.tree, &found));
        self.targets.push(found);
        format!("{there}{fragment}").into()
    }
}

/// The head of a block of code; what stands behind the language is the name of the file that the block is.
fn opening(kind: &CodeBlockKind<'_>) -> String {
    let info = match kind {
        CodeBlockKind::Fenced(info) => info.as_ref(),
        CodeBlockKind::Indented => "",
    };
    let mut words = info.split_whitespace();
    let language = words.next().unwrap_or_default();
    let name = words.find(|word| word.contains('.'));
    let caption = name.map(|name| format!("<p class=\"file\">{}</p>\n", escape(name))).unwrap_or_default();
    let class = if language == "output" { " class=\"output\"" } else { "" };
    // Reachable by keyboard, for what is wider than the screen is scrolled.
    format!("{caption}<pre{class} tabindex=\"0\"><code>")
}

fn block(html: &str) -> Event<'static> {
    Event::Html(html.to_owned().into())
}

/// The way from one file of the site to another.
pub(crate) fn relative(from: &str, to: &str) -> String {
    format!("{}{to}", "../".repeat(from.matches('/').count()))
}

/// For text and for values of attributes in double quotes.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
