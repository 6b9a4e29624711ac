//! The texts of a load: where a span stands, and which parts of a text are secret.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes between two remembered character counts.
const STRIDE: usize = 256;

/// Index of a file in its [`SourceMap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FileId(pub u32);

/// A range of bytes in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// All texts of a load.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
    /// Those that are configurations, and not scripts.
    configurations: Vec<FileId>,
}

#[derive(Clone)]
pub(crate) struct SourceFile {
    /// As it is shown and as relative paths resolve.
    pub(crate) path: PathBuf,
    pub(crate) text: Arc<str>,
    /// Byte offsets at which lines start.
    lines: Vec<u32>,
    /// How many characters begin before every `STRIDE`th byte: a column on a line of megabytes costs nothing.
    characters: Vec<u32>,
    /// Literal secrets, ascending and apart; shown as `***`.
    masks: Vec<Range<usize>>,
}

impl SourceMap {
    /// The path of a file as it is shown.
    pub fn path(&self, file: FileId) -> Option<&Path> {
        self.file(file).map(|file| file.path.as_path())
    }

    /// Line and column of a span's start, both from 1; the column counts characters.
    pub fn place(&self, span: Span) -> Option<(u32, u32)> {
        Some(self.file(span.file)?.place(span.start as usize))
    }

    /// The text of a line (counted from 1), without the white space around it; none when there is no such line.
    pub(crate) fn line(&self, file: FileId, line: u32) -> Option<Span> {
        let source = self.file(file)?;
        let at = (line as usize).checked_sub(1)?;
        let start = *source.lines.get(at)? as usize;
        let end = source.lines.get(at + 1).map_or(source.text.len(), |next| *next as usize);
        let text = source.text.get(start..end)?;
        let start = start + text.len() - text.trim_start().len();
        Some(Span { file, start: start as u32, end: (start + text.trim().len()) as u32 })
    }

    /// How many configuration files there are: the main file and those that it includes.
    pub fn configurations_count(&self) -> usize {
        self.configurations.len()
    }

    /// The main file and those that it includes, in the order in which they were read.
    pub(crate) fn configurations(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        self.configurations.iter().filter_map(|id| Some((*id, self.file(*id)?)))
    }

    /// Whether the configurations are the same, text for text.
    pub(crate) fn same_configurations(&self, other: &SourceMap) -> bool {
        let texts =
            |map: &SourceMap| map.configurations().map(|(_, file)| file.text.clone()).collect::<Vec<_>>();
        texts(self) == texts(other)
    }

    /// Adds a configuration file.
    pub(crate) fn add_configuration(&mut self, path: PathBuf, text: Arc<str>) -> FileId {
        let id = self.add(path, text);
        self.configurations.push(id);
        id
    }

    pub(crate) fn add(&mut self, path: PathBuf, text: Arc<str>) -> FileId {
        let lines = line_starts(&text);
        self.files.push(SourceFile {
            path,
            characters: character_counts(&text),
            text,
            lines,
            masks: Vec::new(),
        });
        FileId(self.files.len() as u32 - 1)
    }

    pub(crate) fn file(&self, file: FileId) -> Option<&SourceFile> {
        self.files.get(file.0 as usize)
    }

    /// What was written at a span.
    pub(crate) fn text(&self, span: Span) -> &str {
        let file = self.file(span.file);
        file.and_then(|file| file.text.get(span.start as usize..span.end as usize)).unwrap_or_default()
    }

    /// What was written at a span, without its quotes: what a message may repeat. Expansions are not expanded,
    /// and what is secret of it is `***`.
    pub(crate) fn shown(&self, span: Span) -> String {
        let Some(file) = self.file(span.file) else { return String::new() };
        let (mut at, end) = (span.start as usize, span.end as usize);
        let mut written = String::new();
        for mask in file.masks_in(&(at..end)) {
            written.push_str(file.text.get(at..mask.start).unwrap_or_default());
            written.push_str("***");
            at = mask.end;
        }
        written.push_str(file.text.get(at..end).unwrap_or_default());
        visible(written.trim_matches(['"', '\'']))
    }

    /// A path as a message may tell it: as it is written where `${…}` stands in it.
    pub(crate) fn shown_path(&self, path: &Path, span: Span) -> String {
        match self.text(span).contains("${") {
            true => self.shown(span),
            false => path.display().to_string(),
        }
    }

    /// What was written at a span, when none of it is secret.
    pub(crate) fn public_text(&self, span: Span) -> Option<&str> {
        let range = span.start as usize..span.end as usize;
        let secret = self.file(span.file).is_some_and(|file| file.masks_in(&range).next().is_some());
        (!secret).then(|| self.text(span))
    }

    /// Declares parts of a file secret.
    pub(crate) fn mask(&mut self, file: FileId, mut ranges: Vec<Range<usize>>) {
        if let Some(file) = self.files.get_mut(file.0 as usize) {
            ranges.append(&mut file.masks);
            ranges.sort_by_key(|range| (range.start, range.end));
            for range in ranges {
                match file.masks.last_mut() {
                    Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                    _ => file.masks.push(range),
                }
            }
        }
    }
}

impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text may hold secrets: a failed load may be printed, they may not.
        f.debug_struct("SourceFile")
            .field("path", &self.path)
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

impl SourceFile {
    /// Line and column of a byte offset, both from 1.
    pub(crate) fn place(&self, offset: usize) -> (u32, u32) {
        let line = self.line(offset);
        let start = self.lines.get(line).map_or(0, |start| *start as usize);
        (line as u32 + 1, (self.characters(offset) - self.characters(start)) as u32 + 1)
    }

    /// Characters before a byte offset.
    fn characters(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        let before = self.characters.get(offset / STRIDE).map_or(0, |count| *count as usize);
        // Every byte but a continuation byte begins a character.
        let rest = &self.text.as_bytes()[offset - offset % STRIDE..offset];
        before + rest.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
    }

    /// The whole lines that a range touches, at most `max` of them, and the number of the first (from 1).
    pub(crate) fn lines_of(&self, range: &Range<usize>, max: usize) -> (Range<usize>, usize) {
        let first = self.line(range.start);
        let last = self.line(range.end.saturating_sub(1).max(range.start)).min(first + max - 1);
        let start = self.lines.get(first).map_or(0, |start| *start as usize);
        let end = self.lines.get(last + 1).map_or(self.text.len(), |next| *next as usize);
        (start..end, first + 1)
    }

    /// The secrets inside a range, cut to it.
    pub(crate) fn masks_in(&self, range: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let (start, end) = (range.start, range.end);
        let first = self.masks.partition_point(|mask| mask.end <= start);
        self.masks[first..]
            .iter()
            .take_while(move |mask| mask.start < end)
            .map(move |mask| mask.start.max(start)..mask.end.min(end))
    }

    /// Index of the line that holds an offset.
    fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start as usize <= offset).saturating_sub(1)
    }
}

fn character_counts(text: &str) -> Vec<u32> {
    let counts = text.as_bytes().chunks(STRIDE).scan(0, |count, chunk| {
        let before = *count;
        *count += chunk.iter().filter(|byte| **byte & 0xC0 != 0x80).count() as u32;
        Some(before)
    });
    let total = text.chars().count() as u32;
    // An offset at the very end may lie on a boundary of its own.
    counts.chain([total]).collect()
}

fn line_starts(text: &str) -> Vec<u32> {
    let mut lines = vec![0];
    lines.extend(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at as u32 + 1));
    lines
}
/// A text for a message, in which nothing moves a cursor or breaks a line, and everything else stands as it was written.
pub(crate) fn visible(text: &str) -> String {
    let kept = ['\\', '"', '\''];
    text.split_inclusive(kept).fold(String::new(), |mut out, part| {
        let (escaped, sign) = match part.chars().next_back().filter(|last| kept.contains(last)) {
            Some(sign) => (part.get(..part.len() - sign.len_utf8()).unwrap_or_default(), Some(sign)),
            None => (part, None),
        };
        out.extend(escaped.escape_debug());
        out.extend(sign);
        out
    })
}
