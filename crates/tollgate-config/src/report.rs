//! Collects findings, each once, with their places.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::bounds;
use crate::diagnostic::{Code, Diagnostic, Related, Severity};
use crate::outside::Outside;
use crate::source_map::{SourceMap, Span};

/// Bytes of a block's first line that are looked at: a file of one long line must not be walked each time.
const HEAD_BYTES: usize = 256;

/// The findings of a load and the texts that they point into.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) sources: SourceMap,
    /// What no message tells.
    pub(crate) outside: Outside,
    diagnostics: Vec<Diagnostic>,
    /// An aliased block is walked wherever it is used; its faults are reported once.
    seen: HashSet<(&'static str, Place, String, Vec<Span>)>,
    errors: usize,
    dropped: usize,
    /// Files are withheld: that one cannot be read is no fault of the configuration.
    withheld: bool,
    left_out: bool,
}

/// A finding on its way into the report.
#[derive(Debug)]
#[must_use]
pub(crate) struct Finding {
    severity: Severity,
    code: Code,
    place: Place,
    message: String,
    hint: Option<String>,
    related: Vec<(Span, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    Span(Span),
    File(PathBuf),
}

impl Finding {
    pub(crate) fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Finding::new(Severity::Error, code, Place::Span(span), message.into())
    }

    pub(crate) fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Finding::new(Severity::Warning, code, Place::Span(span), message.into())
    }

    /// An error about a file as a whole.
    pub(crate) fn file(code: Code, path: &Path, message: impl Into<String>) -> Self {
        Finding::new(Severity::Error, code, Place::File(path.to_path_buf()), message.into())
    }

    fn new(severity: Severity, code: Code, place: Place, message: String) -> Self {
        Finding { severity, code, place, message, hint: None, related: Vec::new() }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// The place within the file that it is about, or else one that takes part.
    pub(crate) fn at(mut self, span: Span, message: &str) -> Self {
        match self.place {
            Place::File(_) => self.place = Place::Span(span),
            Place::Span(_) => self.related.push((span, message.to_owned())),
        }
        self
    }

    pub(crate) fn related(mut self, span: Span, message: impl Into<String>) -> Self {
        self.related.push((span, message.into()));
        self
    }
}

/// What to do about an error of a kind, where nothing better is known.
fn usual_hint(finding: &Finding) -> Option<&'static str> {
    match finding.code {
        Code::Unreadable | Code::BadInclude if finding.message.ends_with("does not exist") => {
            Some("a relative path begins at the folder of the file in which it stands")
        }
        Code::DuplicateName | Code::Conflict if !finding.related.is_empty() => Some("keep one of the two"),
        _ => None,
    }
}

impl Report {
    /// Empty; `withheld` says that no file but those of the configuration can be read.
    pub(crate) fn new(withheld: bool) -> Self {
        Report { withheld, ..Report::default() }
    }

    /// Whether no file but those of the configuration can be read. The plan is then looked at and never run.
    pub(crate) fn withholds(&self) -> bool {
        self.withheld
    }

    /// Whether something was not looked at, which what comes after may rest on.
    pub(crate) fn left_out(&self) -> bool {
        self.left_out
    }

    pub(crate) fn push(&mut self, mut finding: Finding) {
        let others = finding.related.iter_mut().map(|(_, message)| message);
        for text in others.chain(&mut finding.hint).chain([&mut finding.message]) {
            self.outside.withhold(text);
        }
        if self.withheld && finding.code == Code::Unreadable {
            (finding.code, finding.severity) = (Code::NotLookedAt, Severity::Warning);
        }
        self.left_out |= finding.code == Code::NotLookedAt;
        if finding.severity == Severity::Error && finding.hint.is_none() {
            finding.hint = usual_hint(&finding).map(str::to_owned);
        }
        let span = match &finding.place {
            Place::Span(span) => Some(*span),
            Place::File(_) => None,
        };
        let others = finding.related.iter().map(|(span, _)| *span).collect();
        if !self.seen.insert((finding.code.as_str(), finding.place.clone(), finding.message.clone(), others))
        {
            return;
        }
        self.errors += usize::from(finding.severity == Severity::Error);
        if self.is_full() {
            self.dropped += 1;
            return;
        }
        let diagnostic = self.locate(finding, span);
        self.diagnostics.push(diagnostic);
    }

    /// Whether further findings are only counted.
    pub(crate) fn is_full(&self) -> bool {
        self.diagnostics.len() >= bounds::DIAGNOSTICS
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// A span cut to its first line: where a block begins is enough to find it.
    pub(crate) fn head(&self, span: Span) -> Span {
        let text = self.sources.text(span);
        let mut end = text.len().min(HEAD_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = text.get(..end).unwrap_or_default();
        let line = text.lines().next().unwrap_or_default().trim_end();
        Span { end: span.start + line.len() as u32, ..span }
    }

    /// The findings ordered by file and place, and the texts.
    pub(crate) fn finish(mut self) -> (Vec<Diagnostic>, SourceMap) {
        self.diagnostics
            .sort_by_key(|found| found.span.map_or((u32::MAX, 0), |span| (span.file.0, span.start)));
        if let Some(last) = self.diagnostics.last_mut().filter(|_| self.dropped > 0) {
            let more = format!("{} more findings are not shown", self.dropped);
            last.hint = Some(last.hint.take().map_or(more.clone(), |hint| format!("{hint}; {more}")));
        }
        (self.diagnostics, self.sources)
    }

    fn locate(&self, finding: Finding, span: Option<Span>) -> Diagnostic {
        let (file, line, column) = match &finding.place {
            Place::Span(span) => self.place(*span),
            Place::File(path) => (path.display().to_string(), 0, 0),
        };
        let related = finding.related.into_iter().map(|(span, message)| {
            let (file, line, column) = self.place(span);
            Related { message, file, line, column, span }
        });
        Diagnostic {
            severity: finding.severity,
            code: finding.code.as_str(),
            message: finding.message,
            file,
            line,
            column,
            span,
            hint: finding.hint,
            related: related.collect(),
        }
    }

    fn place(&self, span: Span) -> (String, u32, u32) {
        let path = self.sources.path(span.file).map(|path| path.display().to_string()).unwrap_or_default();
        let (line, column) = self.sources.place(span).unwrap_or((0, 0));
        (path, line, column)
    }
}
