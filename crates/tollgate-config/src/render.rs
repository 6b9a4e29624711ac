//! Diagnostics as text for people, by rustc's own renderer.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Severity};
use crate::source_map::{SourceMap, Span};

/// Lines of one snippet: the beginning of a block says what is meant.
const SNIPPET_LINES: usize = 3;
/// Bytes of one line that are shown: a minified file is one long line.
const LINE_BYTES: usize = 240;

/// Renders diagnostics with snippets, literal secrets masked. ANSI colours when `colour` is set.
pub fn render(diagnostics: &[Diagnostic], sources: &SourceMap, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for diagnostic in diagnostics {
        let snippets = snippets(diagnostic, sources);
        let mut text = renderer.render(&[group(diagnostic, &snippets)]);
        correct_places(&mut text, &snippets);
        out.push_str(&text);
        out.push_str("\n\n");
    }
    out.truncate(out.trim_end().len());
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// One place of a diagnostic with the lines around it.
struct Place<'a> {
    label: Option<&'a str>,
    path: &'a str,
    line: u32,
    column: u32,
    window: Window,
}

fn snippets<'a>(diagnostic: &'a Diagnostic, sources: &SourceMap) -> Vec<Place<'a>> {
    let Diagnostic { file, line, column, .. } = diagnostic;
    let main = diagnostic.span.map(|span| (span, None, file, *line, *column));
    let related = diagnostic.related.iter();
    let related =
        related.map(|other| (other.span, Some(&*other.message), &other.file, other.line, other.column));
    let places = main.into_iter().chain(related).filter_map(|(span, label, path, line, column)| {
        Some(Place { label, path, line, column, window: Window::around(span, sources)? })
    });
    places.collect()
}

fn group<'a>(diagnostic: &'a Diagnostic, places: &'a [Place<'a>]) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(&diagnostic.message).id(diagnostic.code));
    if diagnostic.span.is_none() {
        group = group.element(Origin::path(&diagnostic.file));
    }
    for Place { label, path, window, .. } in places {
        let kind = if label.is_some() { AnnotationKind::Context } else { AnnotationKind::Primary };
        let annotation = kind.span(window.marked.clone()).label(*label);
        let snippet = Snippet::source(window.text.as_str()).line_start(window.line);
        group = group.element(snippet.path(*path).annotation(annotation));
    }
    match &diagnostic.hint {
        Some(hint) => group.element(Level::HELP.message(hint)),
        None => group,
    }
}

/// The renderer counts columns in what it is shown; masked and cut lines are not what is in the file.
fn correct_places(text: &mut String, places: &[Place<'_>]) {
    let mut from = 0;
    for Place { path, line, column, window, .. } in places {
        let shown = format!("{path}:{line}:{}", window.column());
        if let Some(at) = text.get(from..).and_then(|rest| rest.find(&shown)) {
            let real = format!("{path}:{line}:{column}");
            text.replace_range(from + at..from + at + shown.len(), &real);
            from += at + real.len();
        }
    }
}

/// A few lines of a file as they may be shown, and the marked bytes in them.
struct Window {
    text: String,
    line: usize,
    marked: Range<usize>,
}

impl Window {
    fn around(span: Span, sources: &SourceMap) -> Option<Window> {
        let file = sources.file(span.file)?;
        let bytes = span.start as usize..span.end as usize;
        let (mut lines, line) = file.lines_of(&bytes, SNIPPET_LINES);
        if lines.len() > LINE_BYTES * SNIPPET_LINES {
            lines = cut(&file.text, &lines, &bytes);
        }
        let start = bytes.start.clamp(lines.start, lines.end);
        let end = bytes.end.clamp(start, lines.end);
        // A block's span ends where the next line begins; the mark ends with its last visible character.
        let end = start + file.text.get(start..end)?.trim_end().len();

        let mut window = Window { text: String::new(), line, marked: 0..0 };
        let mut marked = start..end;
        let mut from = lines.start;
        let (mut longer, mut shorter) = ((0, 0), (0, 0));
        for mask in file.masks_in(&lines) {
            window.text.push_str(file.text.get(from..mask.start)?);
            let before = window.text.len();
            window.text.push_str("***");
            // Later lines keep their numbers.
            window.text.extend(file.text.get(mask.clone())?.matches('\n'));
            let shown = window.text.len() - before;
            // A mark that cuts a secret covers all of it: where it cuts would be a hint at the secret.
            if mask.contains(&marked.start) {
                marked.start = mask.start;
            }
            if mask.start < marked.end && marked.end < mask.end {
                marked.end = mask.end;
            }
            if mask.end <= marked.start {
                longer.0 += shown;
                shorter.0 += mask.len();
            }
            if mask.end <= marked.end {
                longer.1 += shown;
                shorter.1 += mask.len();
            }
            from = mask.end;
        }
        window.text.push_str(file.text.get(from..lines.end)?);
        let start = marked.start + longer.0 - shorter.0 - lines.start;
        let end = marked.end + longer.1 - shorter.1 - lines.start;
        window.marked = start..end.max(start);
        Some(window)
    }

    /// The column at which the mark begins in the shown line, from 1, in characters.
    fn column(&self) -> usize {
        let before = self.text.get(..self.marked.start).unwrap_or_default();
        before.chars().rev().take_while(|letter| *letter != '\n').count() + 1
    }
}

/// The part of overlong lines that surrounds the marked bytes.
fn cut(text: &str, lines: &Range<usize>, marked: &Range<usize>) -> Range<usize> {
    let start = floor(text, marked.start.saturating_sub(LINE_BYTES / 4).max(lines.start));
    let end = floor(text, (marked.start + LINE_BYTES).min(lines.end));
    start..end.max(start)
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
