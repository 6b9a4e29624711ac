//! The header block: one byte buffer, and its lines as offsets.
//!
//! A block that was parsed holds the lines as they were sent, so that forwarding it copies runs of bytes.
//! Edits append lines to the buffer and change the list of entries; bytes that no entry names any more are
//! dropped when they outweigh the rest. The block knows nothing of what headers mean.

use std::fmt;

use crate::ascii;
use crate::name::{Known, KnownSet, Name};

/// Header lines in the order in which they were sent or added.
#[derive(Default)]
pub struct HeaderBlock {
    buf: Vec<u8>,
    entries: Vec<Entry>,
    /// Known names that some entry may have: a superset, so that asking for an absent one is one test.
    seen: KnownSet,
    /// Bytes of `buf` that no entry names.
    dead_bytes: usize,
}

/// One line. All offsets are into the buffer of the block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) start: u32,
    pub(crate) name_len: u32,
    pub(crate) value_at: u32,
    pub(crate) value_len: u32,
    pub(crate) known: Option<Known>,
    /// The bytes at `start` are exactly `name: value\r\n`.
    pub(crate) canonical: bool,
}

/// One line of a block, to look at.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    buf: &'a [u8],
    entry: &'a Entry,
}

/// Below this many unused bytes a buffer is not compacted: it would cost more than it frees.
const COMPACT_FROM_BYTES: usize = 4096;

impl HeaderBlock {
    /// A block without lines and without memory.
    pub const fn new() -> HeaderBlock {
        HeaderBlock { buf: Vec::new(), entries: Vec::new(), seen: KnownSet::EMPTY, dead_bytes: 0 }
    }

    /// Removes every line and keeps the memory.
    pub fn clear(&mut self) {
        self.buf.clear();
        self.entries.clear();
        self.seen = KnownSet::EMPTY;
        self.dead_bytes = 0;
    }

    /// Number of lines.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many bytes [`write_to`](HeaderBlock::write_to) writes.
    pub fn byte_len(&self) -> usize {
        self.entries.iter().map(|e| e.name_len as usize + e.value_len as usize + 4).sum()
    }

    /// Bytes of memory that the block holds on to, used or not.
    pub fn capacity_bytes(&self) -> usize {
        self.buf.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// The value of the first line with this name.
    pub fn get(&self, name: &Name) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// The values of all lines with this name, in order.
    pub fn get_all<'a, 'n>(&'a self, name: &'n Name) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let entries: &[Entry] = if self.may_have(name) { &self.entries } else { &[] };
        entries.iter().filter(move |e| e.is(&self.buf, name)).map(|e| e.value(&self.buf))
    }

    /// The value of the only line with this name; none when there are several.
    pub fn only(&self, name: &Name) -> Option<&[u8]> {
        let mut values = self.get_all(name);
        let first = values.next()?;
        values.next().is_none().then_some(first)
    }

    /// The members of a comma-separated list over all lines with this name: trimmed, empty ones left out
    /// (RFC 9110 section 5.6.1). A comma in a quoted string separates too, so this is for lists of tokens.
    pub fn list<'a, 'n>(&'a self, name: &'n Name) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.get_all(name).flat_map(members)
    }

    /// Whether the list under this name has `token`, in any case.
    pub fn has_token(&self, name: &Name, token: &str) -> bool {
        self.list(name).any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Whether there is a line with this name.
    pub fn contains(&self, name: &Name) -> bool {
        self.get(name).is_some()
    }

    /// How many lines have this name.
    pub fn count(&self, name: &Name) -> usize {
        self.get_all(name).count()
    }

    /// All lines in order: the name as it was sent or set, and the value.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|e| (e.name(&self.buf), e.value(&self.buf)))
    }

    /// All lines in order.
    pub fn entries(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.entries.iter().map(|entry| EntryRef { buf: &self.buf, entry })
    }

    /// Makes one line with this name, at the place of the first that there was, or at the end.
    ///
    /// Control characters in the value other than HTAB (CR, LF and NUL among them) become spaces, and spaces
    /// and tabs around it are dropped, so the receiver reads the value that [`get`](HeaderBlock::get) gives.
    pub fn set(&mut self, name: &Name, value: &[u8]) {
        let first = match self.may_have(name) {
            true => self.entries.iter().position(|e| e.is(&self.buf, name)),
            false => None,
        };
        let Some(first) = first else { return self.append(name, value) };
        let Some(new) = self.add_line(name, value) else { return };
        let (buf, mut index, mut dead_bytes) = (&self.buf, 0, 0);
        self.entries.retain_mut(|e| {
            let here = index;
            index += 1;
            if here < first || !e.is(buf, name) {
                return true;
            }
            dead_bytes += e.byte_len();
            if here == first {
                *e = new;
            }
            here == first
        });
        self.bury(dead_bytes);
    }

    /// Adds a line at the end. The value is treated as in [`set`](HeaderBlock::set).
    pub fn append(&mut self, name: &Name, value: &[u8]) {
        if let Some(entry) = self.add_line(name, value) {
            self.entries.push(entry);
        }
    }

    /// Adds every line of `other` at the end. What was there under one of its names gives way, but for `list`, under
    /// which lines come together. No name is allocated, and where nothing collides the bytes go over in one piece.
    pub fn overlay(&mut self, other: &HeaderBlock, list: &Name) {
        if other.is_empty() {
            return;
        }
        if other.entries.iter().any(|theirs| theirs.known.is_none_or(|known| self.seen.has(known))) {
            self.retain_entries(|mine| {
                mine.is(list) || !other.entries.iter().any(|theirs| mine.is_like(theirs, &other.buf))
            });
        }
        let Some(at) = u32::try_from(self.buf.len()).ok() else { return };
        if other.dead_bytes == 0
            && other.entries.iter().all(|theirs| theirs.canonical)
            && u32::try_from(self.buf.len() + other.buf.len()).is_ok()
        {
            self.buf.extend_from_slice(&other.buf);
            let moved = |e: &Entry| Entry { start: at + e.start, value_at: at + e.value_at, ..*e };
            self.entries.extend(other.entries.iter().map(moved));
            self.seen.join(other.seen);
            return;
        }
        for theirs in &other.entries {
            let (name, value) = (theirs.name(&other.buf), theirs.value(&other.buf));
            let start = u32::try_from(self.buf.len()).ok();
            let value_at = u32::try_from(self.buf.len() + name.len() + 2).ok();
            let (Some(start), Some(value_at)) = (start, value_at) else { return };
            write_line(&mut self.buf, name, value);
            self.push(Entry { start, value_at, canonical: true, ..*theirs });
        }
    }

    /// Removes all lines with this name. Whether there was one.
    pub fn remove(&mut self, name: &Name) -> bool {
        self.may_have(name) && self.retain_entries(|e| !e.is(name))
    }

    /// Keeps the lines of which `keep(name as sent, value)` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        self.retain_entries(|e| keep(e.name(), e.value()));
    }

    /// Keeps the lines of which `keep` is true. Whether a line was removed.
    pub fn retain_entries(&mut self, mut keep: impl FnMut(EntryRef<'_>) -> bool) -> bool {
        let (buf, before, mut dead_bytes) = (&self.buf, self.entries.len(), 0);
        self.entries.retain(|entry| {
            let kept = keep(EntryRef { buf, entry });
            dead_bytes += if kept { 0 } else { entry.byte_len() };
            kept
        });
        self.bury(dead_bytes);
        self.entries.len() < before
    }

    /// Appends `name: value\r\n` for every line. Neighbours that stand so in the buffer are copied at once.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        self.write_where(out, |_| true);
    }

    /// Appends `name: value\r\n` for the lines of which `keep` is true: an edit and a write in one pass.
    pub fn write_where(&self, out: &mut Vec<u8>, mut keep: impl FnMut(EntryRef<'_>) -> bool) {
        out.reserve(self.buf.len());
        let (mut from, mut to) = (0, 0);
        for entry in &self.entries {
            if !keep(EntryRef { buf: &self.buf, entry }) {
                continue;
            }
            if entry.canonical && entry.start as usize == to {
                to = entry.end();
                continue;
            }
            out.extend_from_slice(self.buf.get(from..to).unwrap_or_default());
            if entry.canonical {
                (from, to) = (entry.start as usize, entry.end());
                continue;
            }
            (from, to) = (0, 0);
            write_line(out, entry.name(&self.buf), entry.value(&self.buf));
        }
        out.extend_from_slice(self.buf.get(from..to).unwrap_or_default());
    }

    /// Replaces the content by lines that [`write_to`](HeaderBlock::write_to) or [`write_header`] wrote. What is no such
    /// line is left out.
    pub fn load_written(&mut self, lines: &[u8]) {
        self.load(lines, 0);
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', lines).map(|at| at + 1) {
            let line = lines.get(start..end).unwrap_or_default();
            match written(line, start) {
                Some(entry) => self.push(entry),
                None => self.dead_bytes += line.len(),
            }
            start = end;
        }
        self.dead_bytes += lines.len() - start;
    }

    pub(crate) fn seen(&self) -> KnownSet {
        self.seen
    }

    /// Replaces the content by `lines`, of which [`push`](HeaderBlock::push) then names each.
    pub(crate) fn load(&mut self, lines: &[u8], count: usize) {
        self.clear();
        self.buf.extend_from_slice(lines);
        self.entries.reserve(count);
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        if let Some(known) = entry.known {
            self.seen.add(known);
        }
        self.entries.push(entry);
    }

    fn may_have(&self, name: &Name) -> bool {
        name.known().is_none_or(|known| self.seen.has(known))
    }

    /// Writes a line at the end of the buffer, and gives its entry. A block that would need more than 4 GiB
    /// takes no further line; heads are bounded far below that.
    fn add_line(&mut self, name: &Name, value: &[u8]) -> Option<Entry> {
        let (text, value) = (name.as_str().as_bytes(), ascii::trim(value));
        let entry = Entry {
            start: u32::try_from(self.buf.len()).ok()?,
            name_len: u32::try_from(text.len()).ok()?,
            value_at: u32::try_from(self.buf.len() + text.len() + 2).ok()?,
            value_len: u32::try_from(value.len()).ok()?,
            known: name.known(),
            canonical: true,
        };
        if ascii::has_control(value) {
            let clean: Vec<u8> = value.iter().map(|&b| if ascii::is_control(b) { b' ' } else { b }).collect();
            // A control character at an end has become a space at an end.
            return self.add_line(name, &clean);
        }
        write_line(&mut self.buf, text, value);
        if let Some(known) = entry.known {
            self.seen.add(known);
        }
        Some(entry)
    }

    fn bury(&mut self, dead_bytes: usize) {
        self.dead_bytes += dead_bytes;
        if self.dead_bytes < COMPACT_FROM_BYTES || self.dead_bytes < self.buf.len() / 2 {
            return;
        }
        let mut buf = Vec::with_capacity(self.byte_len());
        for entry in &mut self.entries {
            let start = buf.len() as u32;
            write_line(&mut buf, entry.name(&self.buf), entry.value(&self.buf));
            *entry = Entry { start, value_at: start + entry.name_len + 2, canonical: true, ..*entry };
        }
        self.buf = buf;
        self.dead_bytes = 0;
    }
}

impl Entry {
    fn name<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        part(buf, self.start, self.name_len)
    }

    fn value<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        part(buf, self.value_at, self.value_len)
    }

    fn is(&self, buf: &[u8], name: &Name) -> bool {
        match (self.known, name.known()) {
            (None, None) => self.name(buf).eq_ignore_ascii_case(name.as_str().as_bytes()),
            (mine, asked) => mine == asked,
        }
    }

    /// Where the line ends, CRLF included. Only of a canonical line.
    fn end(&self) -> usize {
        self.value_at as usize + self.value_len as usize + 2
    }

    /// What the line takes in the buffer; of a line that is not canonical about that.
    fn byte_len(&self) -> usize {
        self.name_len as usize + self.value_len as usize + 4
    }
}

impl<'a> EntryRef<'a> {
    /// The name as it was sent or set.
    pub fn name(&self) -> &'a [u8] {
        self.entry.name(self.buf)
    }

    /// The value, without white space around it.
    pub fn value(&self) -> &'a [u8] {
        self.entry.value(self.buf)
    }

    /// Whether the line has this name.
    pub fn is(&self, name: &Name) -> bool {
        self.entry.is(self.buf, name)
    }

    /// Whether the line has this name in any spelling: an application that reads CGI names (RFC 3875 section 4.1.18)
    /// cannot tell `_` from `-`.
    pub fn spells(&self, name: &Name) -> bool {
        let fold = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        let (sent, own) = (self.name(), name.as_str().as_bytes());
        self.is(name)
            || (sent.len() == own.len() && sent.iter().zip(own).all(|(sent, own)| fold(*sent) == fold(*own)))
    }

    pub(crate) fn known(&self) -> Option<Known> {
        self.entry.known
    }

    /// Whether the line has the name of another block's line.
    fn is_like(&self, other: &Entry, buf: &[u8]) -> bool {
        match (self.entry.known, other.known) {
            (None, None) => self.name().eq_ignore_ascii_case(other.name(buf)),
            (mine, theirs) => mine == theirs,
        }
    }
}

/// The members of one line of a comma-separated list.
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(ascii::trim).filter(|member| !member.is_empty())
}

fn write_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The entry of a line that stands at `start` as it was written.
fn written(line: &[u8], start: usize) -> Option<Entry> {
    let name_len = memchr::memchr(b':', line)?;
    let value = line.get(name_len..)?.strip_prefix(b": ")?.strip_suffix(b"\r\n")?;
    Some(Entry {
        start: u32::try_from(start).ok()?,
        name_len: u32::try_from(name_len).ok()?,
        value_at: u32::try_from(start + name_len + 2).ok()?,
        value_len: u32::try_from(value.len()).ok()?,
        known: Known::find(line.get(..name_len)?),
        canonical: true,
    })
}

/// Appends one line to a head that is being written. The value is treated as in [`HeaderBlock::set`]: no control
/// character gets through.
pub fn write_header(out: &mut Vec<u8>, name: &Name, value: &[u8]) {
    let value = ascii::trim(value);
    if ascii::has_control(value) {
        let clean: Vec<u8> = value.iter().map(|&b| if ascii::is_control(b) { b' ' } else { b }).collect();
        return write_line(out, name.as_str().as_bytes(), ascii::trim(&clean));
    }
    write_line(out, name.as_str().as_bytes(), value);
}

/// Offsets of entries are always inside their buffer; should one not be, the part is empty.
fn part(buf: &[u8], at: u32, len: u32) -> &[u8] {
    buf.get(at as usize..at as usize + len as usize).unwrap_or_default()
}

impl Clone for HeaderBlock {
    fn clone(&self) -> HeaderBlock {
        HeaderBlock { buf: self.buf.clone(), entries: self.entries.clone(), ..*self }
    }

    /// Reuses the memory that is there.
    fn clone_from(&mut self, from: &HeaderBlock) {
        self.buf.clone_from(&from.buf);
        self.entries.clone_from(&from.entries);
        (self.seen, self.dead_bytes) = (from.seen, from.dead_bytes);
    }
}

impl PartialEq for HeaderBlock {
    /// Whether both have the same lines in the same order; names in any case.
    fn eq(&self, other: &HeaderBlock) -> bool {
        self.len() == other.len()
            && self.iter().zip(other.iter()).all(|(a, b)| a.0.eq_ignore_ascii_case(b.0) && a.1 == b.1)
    }
}

impl Eq for HeaderBlock {}

impl fmt::Debug for HeaderBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        f.debug_list().entries(self.iter().map(|(name, value)| (lossy(name), lossy(value)))).finish()
    }
}
