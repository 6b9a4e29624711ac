//! What stands around the text of a page: head, navigation, what this page holds, and the pages before and after it.
//!
//! No script, no inline style, nothing from another host: the policy in the head says so, and a browser keeps it.

use std::fmt::Write;

use super::index::{INDEX, Part};
use super::page::Page;
use super::render::escape;

const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'";

/// A page with fewer sections than this needs no list of them.
const MIN_SECTIONS: usize = 3;

/// What a page is, and where it stands.
pub(crate) struct Frame<'a> {
    pub(crate) parts: &'a [Part],
    /// In the repository.
    pub(crate) path: &'a str,
    pub(crate) page: &'a Page,
    /// The way to the style.
    pub(crate) style: &'a str,
}

/// The whole page. `link` tells the way to a file of the repository.
pub(crate) fn html(frame: &Frame<'_>, text: &str, link: impl Fn(&str) -> String) -> String {
    let page = frame.page;
    let title = page.title.as_deref().unwrap_or(frame.path);
    let whole = if frame.path == INDEX { "Tollgate".to_owned() } else { format!("{title} · Tollgate") };
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"description\" content=\"{}\">\n<title>{}</title>\n\
         <link rel=\"stylesheet\" href=\"{}\">\n</head>\n<body id=\"top\">\n",
        escape(&page.description),
        escape(&whole),
        escape(frame.style),
    );
    let _ = write!(
        out,
        "<header><a class=\"name\" href=\"{}\">Tollgate</a> <a class=\"jump\" href=\"#pages\">All pages</a></header>\n\
         <main>\n{}{}<footer>This page is <code>{}</code> in the repository. <a href=\"#top\">To the top</a></footer>\n\
         </main>\n",
        escape(&link(INDEX)),
        with_sections(page, text),
        neighbours(frame, &link),
        escape(frame.path),
    );
    out.push_str(&navigation(frame, &link));
    out.push_str("</body>\n</html>\n");
    out
}

/// The text, with the list of its sections below its title.
fn with_sections(page: &Page, text: &str) -> String {
    match text.split_once("</h1>\n") {
        Some((title, rest)) => format!("{title}</h1>\n{}{rest}", sections(page)),
        None => text.to_owned(),
    }
}

/// The sections of the second level.
fn sections(page: &Page) -> String {
    let sections: Vec<_> = page.headings.iter().filter(|heading| heading.level == 2).collect();
    if sections.len() < MIN_SECTIONS {
        return String::new();
    }
    let mut out = "<details class=\"sections\"><summary>On this page</summary>\n<ul>\n".to_owned();
    for section in sections {
        let _ =
            writeln!(out, "<li><a href=\"#{}\">{}</a></li>", escape(&section.anchor), escape(&section.text));
    }
    out.push_str("</ul>\n</details>\n");
    out
}

/// Behind the text in the file, so that a phone shows the text first; beside it where there is room.
fn navigation(frame: &Frame<'_>, link: &impl Fn(&str) -> String) -> String {
    let mut out = "<nav id=\"pages\" aria-label=\"All pages\">\n".to_owned();
    for part in frame.parts {
        let _ = writeln!(out, "<h2>{}</h2>\n<ul>", escape(&part.title));
        for entry in &part.entries {
            let here = if entry.path == frame.path { " aria-current=\"page\"" } else { "" };
            let _ = writeln!(
                out,
                "<li><a href=\"{}\"{here}>{}</a></li>",
                escape(&link(&entry.path)),
                escape(&entry.title)
            );
        }
        out.push_str("</ul>\n");
    }
    out.push_str("</nav>\n");
    out
}

/// The pages before and after this one.
fn neighbours(frame: &Frame<'_>, link: &impl Fn(&str) -> String) -> String {
    let all: Vec<_> = frame.parts.iter().flat_map(|part| &part.entries).collect();
    let at = all.iter().position(|entry| entry.path == frame.path);
    let before = at.and_then(|at| all.get(at.checked_sub(1)?));
    let after = match at {
        Some(at) => all.get(at + 1),
        None => all.first().filter(|_| frame.path == INDEX),
    };
    if before.is_none() && after.is_none() {
        return String::new();
    }
    let mut out = "<p class=\"neighbours\">".to_owned();
    for (entry, rel, arrow) in [(before, "prev", "← "), (after, "next", "→ ")] {
        if let Some(entry) = entry {
            let (href, title) = (escape(&link(&entry.path)), escape(&entry.title));
            let _ = write!(out, "<a rel=\"{rel}\" href=\"{href}\">{arrow}{title}</a> ");
        }
    }
    out.push_str("</p>\n");
    out
}
