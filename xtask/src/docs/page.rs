//! One Markdown file as it is read: its title, what it says first, its headings and its links.
//!
//! Headings have the anchors that GitHub gives them, so that a link works in the files and on the site alike.

use std::collections::HashMap;
use std::ops::Range;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// A description has so many characters at most, cut between words.
const MAX_DESCRIPTION_CHARS: usize = 160;

/// What a page is made of, for those who link to it or list it.
#[derive(Default)]
pub(crate) struct Page {
    /// The text of its first heading, when that is of the first level.
    pub(crate) title: Option<String>,
    /// The beginning of its first paragraph.
    pub(crate) description: String,
    /// In the order of the page.
    pub(crate) headings: Vec<Heading>,
    /// In the order of the page; pictures, too.
    pub(crate) links: Vec<Link>,
    /// Lines with HTML that is no comment.
    pub(crate) raw: Vec<usize>,
}

/// A heading, and how a link names it.
pub(crate) struct Heading {
    /// From 1, the title.
    pub(crate) level: usize,
    /// Without marks.
    pub(crate) text: String,
    /// What stands behind `#`.
    pub(crate) anchor: String,
    /// From 1.
    pub(crate) line: usize,
}

/// A link, or a picture.
pub(crate) struct Link {
    /// As it is written.
    pub(crate) target: String,
    /// What stands for it: the words of a link, the description of a picture.
    pub(crate) text: String,
    /// Whether it is a picture.
    pub(crate) picture: bool,
    /// From 1.
    pub(crate) line: usize,
}

/// The Markdown that the pages may use: CommonMark with tables.
pub(crate) fn events(text: &str) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
    Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter()
}

/// A comment that no reader sees.
pub(crate) fn is_comment(html: &str) -> bool {
    html.trim_start().starts_with("<!--") && html.trim_end().ends_with("-->")
}

impl Page {
    /// Reads a page.
    pub(crate) fn read(text: &str) -> Page {
        let mut reading = Reading { page: Page::default(), anchors: Anchors::default(), open: Vec::new() };
        for (event, range) in events(text) {
            let line = text[..range.start].matches('\n').count() + 1;
            reading.take(event, line);
        }
        reading.page
    }

    /// Whether a link may name this place of the page.
    pub(crate) fn has_anchor(&self, anchor: &str) -> bool {
        self.headings.iter().any(|heading| heading.anchor == anchor)
    }
}

/// Something whose text is being gathered.
enum Open {
    Heading { level: usize, line: usize, text: String },
    Link { target: String, picture: bool, line: usize, text: String },
    Paragraph { text: String },
}

struct Reading {
    page: Page,
    anchors: Anchors,
    open: Vec<Open>,
}

impl Reading {
    fn take(&mut self, event: Event<'_>, line: usize) {
        let text = String::new();
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                self.open.push(Open::Heading { level: number(level), line, text });
            }
            Event::Start(Tag::Link { dest_url, .. }) => {
                self.open.push(Open::Link { target: dest_url.to_string(), picture: false, line, text });
            }
            Event::Start(Tag::Image { dest_url, .. }) => {
                self.open.push(Open::Link { target: dest_url.to_string(), picture: true, line, text });
            }
            Event::Start(Tag::Paragraph) => self.open.push(Open::Paragraph { text }),
            Event::End(TagEnd::Heading(_) | TagEnd::Link | TagEnd::Image | TagEnd::Paragraph) => self.close(),
            Event::Text(words) | Event::Code(words) => self.say(&words),
            Event::SoftBreak | Event::HardBreak => self.say(" "),
            Event::Html(html) | Event::InlineHtml(html) if !is_comment(&html) => self.page.raw.push(line),
            _ => {}
        }
    }

    /// What stands in a link stands in its heading or paragraph, too.
    fn say(&mut self, words: &str) {
        for open in &mut self.open {
            let (Open::Heading { text, .. } | Open::Link { text, .. } | Open::Paragraph { text }) = open;
            text.push_str(words);
        }
    }

    fn close(&mut self) {
        match self.open.pop() {
            Some(Open::Heading { level, line, text }) => {
                if level == 1 && self.page.headings.is_empty() {
                    self.page.title = Some(text.clone());
                }
                let anchor = self.anchors.next(&text);
                self.page.headings.push(Heading { level, text, anchor, line });
            }
            Some(Open::Link { target, picture, line, text }) => {
                self.page.links.push(Link { target, text, picture, line });
            }
            Some(Open::Paragraph { text }) if self.page.description.is_empty() => {
                self.page.description = shorten(&text);
            }
            Some(Open::Paragraph { .. }) | None => {}
        }
    }
}

fn number(level: HeadingLevel) -> usize {
    level as usize
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= MAX_DESCRIPTION_CHARS {
        return text.to_owned();
    }
    let mut short = String::new();
    for word in text.split(' ') {
        if short.chars().count() + word.chars().count() + 2 > MAX_DESCRIPTION_CHARS {
            break;
        }
        short.push_str(word);
        short.push(' ');
    }
    format!("{}…", short.trim_end_matches([' ', ',', ':', ';']))
}

/// The anchors of one page, as GitHub gives them: lower case, words joined by `-`, a number where one stands twice.
#[derive(Default)]
pub(crate) struct Anchors(HashMap<String, usize>);

impl Anchors {
    /// That of the next heading.
    pub(crate) fn next(&mut self, heading: &str) -> String {
        let lower = heading.trim().to_lowercase();
        let kept = lower.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let plain: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let before = self.0.entry(plain.clone()).or_default();
        *before += 1;
        if *before == 1 { plain } else { format!("{plain}-{}", *before - 1) }
    }
}
