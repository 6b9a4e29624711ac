//! From parts and values to bytes, in the writing of the place where they land.
//!
//! Every function appends to `out`; after an error `out` is as it was.

use std::fmt;

use super::{Part, Template, Values, Var};
use crate::path::{decode, is_dots, percent_encode};

/// A value that a path needs is missing, is empty, has control characters, or would make a segment `.` or `..`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingValue;

impl fmt::Display for MissingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that the path needs is missing")
    }
}

impl std::error::Error for MissingValue {}

impl Template {
    /// As it is; a missing value is empty. Also the way to a query parameter's value, which
    /// [`crate::query::edit`] encodes.
    pub fn render_text(&self, values: &impl Values, out: &mut Vec<u8>) {
        self.render_with(values, out, |_, _| {});
    }

    /// On one line: every control character but the tab, CR, LF and NUL above all, becomes a space. A missing
    /// value is empty.
    pub fn render_header(&self, values: &impl Values, out: &mut Vec<u8>) {
        let start = out.len();
        self.render_with(values, out, |_, _| {});
        one_line(out, start);
    }

    /// Values escaped as inside a JSON string (RFC 8259 section 7), invalid UTF-8 replaced by U+FFFD; a missing
    /// value is empty. The literal text is JSON already.
    pub fn render_json(&self, values: &impl Values, out: &mut Vec<u8>) {
        self.render_with(values, out, escape_json);
    }

    /// A path in normal form. Each value is percent-encoded, so a `/` in it is data; the values of a tail and of
    /// `{path}` keep their slashes. Only a tail may be empty: the client's path ended there.
    pub fn render_path(&self, values: &impl Values, out: &mut Vec<u8>) -> Result<(), MissingValue> {
        let start = out.len();
        let mut segments = Segments::new(start);
        let done = self.parts.iter().try_for_each(|part| {
            let before = out.len();
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Var(var @ (Var::Tail(_) | Var::Path)) => {
                    values.value(var, out).then_some(()).ok_or(MissingValue)?;
                }
                Part::Var(var) => push_segment(var, values, out)?,
            }
            // `//` is no normal form.
            if before > start {
                merge_slashes(out, before);
            }
            segments.pass(out, true)
        });
        let done = done.and_then(|()| segments.end(out));
        done.inspect_err(|_| out.truncate(start))
    }

    /// A URL (`redirect`, a part's path): before the query `{scheme}`, `{host}`, `{path}` and a tail stand as they are, and so does
    /// `{query}` where pairs of a query begin; everywhere else values are percent-encoded, or one would bring parameters
    /// with it. Before the query a missing or empty value is an error; in it, it is empty. A `?`
    /// before an empty `{query}` that ends the URL goes away with it.
    pub fn render_url(&self, values: &impl Values, out: &mut Vec<u8>) -> Result<(), MissingValue> {
        let start = out.len();
        let mut segments = Segments::new(start);
        let done = self.parts.iter().try_for_each(|part| {
            let before = out.len();
            let is_value = match part {
                Part::Text(text) => {
                    out.extend_from_slice(text.as_bytes());
                    false
                }
                Part::Var(var) => {
                    let filled = match var {
                        Var::Query if matches!(out.last(), Some(b'?' | b'&')) => values.value(var, out),
                        _ if segments.in_query => push_encoded(var, values, out).is_ok(),
                        Var::Scheme | Var::Host | Var::Path | Var::Query | Var::Tail(_) => {
                            values.value(var, out)
                        }
                        _ => push_segment(var, values, out).is_ok(),
                    };
                    let may_be_empty = segments.in_query || matches!(var, Var::Query | Var::Tail(_));
                    if !may_be_empty && (!filled || out.len() == before) {
                        return Err(MissingValue);
                    }
                    // `/{path}` must not become `//…`, which is another host.
                    if matches!(var, Var::Path) && before > start {
                        merge_slashes(out, before);
                    }
                    true
                }
            };
            segments.pass(out, is_value)
        });
        let done = done.and_then(|()| segments.end(out));
        if done.is_ok() && self.ends_in_query() && out.last() == Some(&b'?') {
            out.pop();
        }
        one_line(out, start);
        done.inspect_err(|_| out.truncate(start))
    }

    fn ends_in_query(&self) -> bool {
        matches!(self.parts.last(), Some(Part::Var(Var::Query)))
    }

    fn render_with(&self, values: &impl Values, out: &mut Vec<u8>, write: fn(&mut Vec<u8>, usize)) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Var(var) => {
                    let start = out.len();
                    if !values.value(var, out) {
                        out.truncate(start);
                    } else if matches!(var, Var::Tail(_)) {
                        decode_from(out, start);
                    }
                    write(out, start);
                }
            }
        }
    }
}

/// Where two pieces meet in two slashes, leaves one.
fn merge_slashes(out: &mut Vec<u8>, seam: usize) {
    if out.get(seam - 1..=seam) == Some(b"//") {
        out.remove(seam);
    }
}

fn push_encoded(var: &Var, values: &impl Values, out: &mut Vec<u8>) -> Result<(), MissingValue> {
    push_if(var, values, out, |_| true)
}

/// The same before the query: what no client may write there, NUL above all, gets there by no other way either.
fn push_segment(var: &Var, values: &impl Values, out: &mut Vec<u8>) -> Result<(), MissingValue> {
    push_if(var, values, out, |value| !value.iter().any(u8::is_ascii_control))
}

fn push_if(
    var: &Var,
    values: &impl Values,
    out: &mut Vec<u8>,
    is_fit: fn(&[u8]) -> bool,
) -> Result<(), MissingValue> {
    let start = out.len();
    let found = values.value(var, out);
    let value = out.get(start..).unwrap_or_default();
    if !found || value.is_empty() || !is_fit(value) {
        out.truncate(start);
        return Err(MissingValue);
    }
    // Of all values this one is encoded as it comes.
    if matches!(var, Var::Tail(_)) {
        decode_from(out, start);
    }
    rewrite_from(out, start, percent_encode);
    Ok(())
}

fn decode_from(out: &mut Vec<u8>, start: usize) {
    rewrite_from(out, start, |value, out| out.extend_from_slice(&decode(value, false)));
}

fn one_line(out: &mut [u8], start: usize) {
    for byte in out.iter_mut().skip(start).filter(|byte| byte.is_ascii_control() && **byte != b'\t') {
        *byte = b' ';
    }
}

fn escape_json(out: &mut Vec<u8>, start: usize) {
    rewrite_from(out, start, |value, out| {
        for c in String::from_utf8_lossy(value).chars() {
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                '\0'..' ' | '\x7f' => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
                _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    });
}

/// Replaces what stands from `start` on. Letters, digits, `-`, `.`, `_` and `~` mean themselves in every writing
/// here, and most values are made of nothing else: those stay where they are.
fn rewrite_from(out: &mut Vec<u8>, start: usize, rewrite: impl FnOnce(&[u8], &mut Vec<u8>)) {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    if !out.iter().skip(start).all(plain) {
        let value = out.split_off(start);
        rewrite(&value, out);
    }
}

/// Watches the segments of a path or URL as it is written, and refuses `.` or `..`, also with a parameter, where a
/// value had a part in it: such a value would choose another path than the template says.
struct Segments {
    next: usize,
    start: usize,
    has_value: bool,
    in_query: bool,
}

impl Segments {
    fn new(start: usize) -> Segments {
        Segments { next: start, start, has_value: false, in_query: false }
    }

    /// Looks at what was appended since the last time.
    fn pass(&mut self, out: &[u8], is_value: bool) -> Result<(), MissingValue> {
        while let Some(&byte) = out.get(self.next).filter(|_| !self.in_query) {
            if matches!(byte, b'/' | b'?' | b'#') {
                self.check(out)?;
                self.in_query = byte != b'/';
                self.start = self.next + 1;
                self.has_value = false;
            } else {
                self.has_value |= is_value;
            }
            self.next += 1;
        }
        Ok(())
    }

    fn end(&self, out: &[u8]) -> Result<(), MissingValue> {
        if self.in_query { Ok(()) } else { self.check(out) }
    }

    fn check(&self, out: &[u8]) -> Result<(), MissingValue> {
        let segment = out.get(self.start..self.next).unwrap_or_default();
        let refused = self.has_value && is_dots(segment);
        if refused { Err(MissingValue) } else { Ok(()) }
    }
}
