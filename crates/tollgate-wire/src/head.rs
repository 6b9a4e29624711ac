//! What request and response heads have in common: limits, running httparse, and loading its lines.
//!
//! httparse finds the lines fast. It is lenient by design in places, and each is closed here: it takes a lone
//! LF for a line end, skips any number of empty lines before the start line, and sets no bound but a count.

use std::mem::MaybeUninit;

use httparse::Header;

use crate::block::{Entry, HeaderBlock};
use crate::diagnose::{self, Side};
use crate::error::HeadError;
use crate::facts::Facts;
use crate::name::Known;

/// Bounds on a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// The whole head, from the first byte of the start line to the empty line that ends it, in bytes.
    pub header_bytes: usize,
    /// Header lines.
    pub header_count: usize,
    /// The request target, in bytes.
    pub uri_bytes: usize,
}

impl HeadLimits {
    /// Bounds on the head of a response: who answers can attack, too.
    pub const RESPONSE: HeadLimits = HeadLimits { header_bytes: 64 * 1024, header_count: 128, uri_bytes: 0 };
}

impl Default for HeadLimits {
    fn default() -> HeadLimits {
        HeadLimits { header_bytes: 32 * 1024, header_count: 100, uri_bytes: 8 * 1024 }
    }
}

/// How far parsing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes are needed. Call again with the same bytes and more.
    Partial,
    /// The head is complete and took this many bytes, an empty line before it included.
    Complete(usize),
}

/// Up to this many header lines are listed on the stack; a higher limit costs an allocation per head.
const STACK_LINES: usize = 128;

/// Calls `parse` with room for as many header lines as the limits allow.
pub(crate) fn with_lines<'b, T>(
    limits: &HeadLimits,
    parse: impl FnOnce(&mut [MaybeUninit<Header<'b>>]) -> T,
) -> T {
    let count = limits.header_count.min(most_lines(limits.header_bytes));
    if let Some(lines) = [MaybeUninit::uninit(); STACK_LINES].get_mut(..count) {
        return parse(lines);
    }
    parse(&mut vec![MaybeUninit::uninit(); count])
}

/// How many lines fit into so many bytes, and one more; the shortest is `a:` and its end. So no limit on the
/// number of lines, however high, costs more memory than the limit on bytes.
pub(crate) fn most_lines(bytes: usize) -> usize {
    bytes / 4 + 1
}

/// Copies the header lines of the complete head `buf[..end]` into `block`.
///
/// The start line, with its line end, takes the bytes before the first header line.
pub(crate) fn load<'b>(
    block: &mut HeaderBlock,
    buf: &'b [u8],
    end: usize,
    lines: &[Header<'b>],
) -> Result<Facts<'b>, HeadError> {
    let lines_at = lines_at(buf, end, lines);
    if !ends_line(buf, lines_at) {
        return Err(HeadError::BareLfInStartLine);
    }
    load_lines(block, buf, end, lines_at, lines)
}

/// Copies the lines from `lines_at` to the empty line before `end` into `block`.
pub(crate) fn load_lines<'b>(
    block: &mut HeaderBlock,
    buf: &'b [u8],
    end: usize,
    lines_at: usize,
    lines: &[Header<'b>],
) -> Result<Facts<'b>, HeadError> {
    if !ends_line(buf, end) {
        return Err(HeadError::BareLf);
    }
    let lines_end = end.saturating_sub(2);
    let bytes = buf.get(lines_at..lines_end).unwrap_or_default();
    block.load(bytes, lines.len());
    let mut facts = Facts::default();
    let mut start = lines_at;
    for (line, next) in lines.iter().zip(lines.iter().skip(1).map(Some).chain([None])) {
        let next = next.map_or(lines_end, |next| offset(buf, next.name.as_bytes()));
        if !ends_line(buf, next) {
            return Err(HeadError::BareLf);
        }
        let (name, value) = (line.name.as_bytes(), line.value);
        let value_at = offset(buf, value);
        let known = Known::find(name);
        facts.note(known, name, value);
        block.push(Entry {
            start: (start - lines_at) as u32,
            name_len: name.len() as u32,
            value_at: (value_at - lines_at) as u32,
            value_len: value.len() as u32,
            known,
            canonical: start + name.len() + 2 == value_at
                && value_at + value.len() + 2 == next
                && buf.get(value_at - 1) == Some(&b' '),
        });
        start = next;
    }
    Ok(facts)
}

/// Where the first header line begins, or the empty line when there is none.
pub(crate) fn lines_at(buf: &[u8], end: usize, lines: &[Header<'_>]) -> usize {
    lines.first().map_or(end.saturating_sub(2), |first| offset(buf, first.name.as_bytes()))
}

/// What is for certain wrong with a head that is still incomplete.
///
/// Its lines are looked at only when it was `tried`, which is seldom enough that all looks together cost work
/// in proportion to its length.
pub(crate) fn check_partial(
    buf: &[u8],
    limits: &HeadLimits,
    side: Side,
    tried: bool,
) -> Result<(), HeadError> {
    let too_long = buf.len() >= limits.header_bytes;
    if !tried && !too_long {
        return Ok(());
    }
    if let Some(offence) = diagnose::offence(within(buf, limits), side) {
        return Err(offence);
    }
    if side == Side::Request && diagnose::target_bytes(buf) > limits.uri_bytes {
        return Err(HeadError::UriTooLong);
    }
    if too_long { Err(HeadError::HeadTooLong) } else { Ok(()) }
}

/// Names the offence behind httparse's refusal.
pub(crate) fn refusal(buf: &[u8], limits: &HeadLimits, side: Side, error: httparse::Error) -> HeadError {
    if error == httparse::Error::TooManyHeaders {
        return HeadError::TooManyHeaders;
    }
    diagnose::offence(within(buf, limits), side).unwrap_or(match error {
        httparse::Error::HeaderName => HeadError::BadName,
        httparse::Error::HeaderValue => HeadError::BadValue,
        httparse::Error::NewLine => HeadError::BadVersion,
        httparse::Error::Status => HeadError::BadStatus,
        httparse::Error::Token => HeadError::BadTarget,
        httparse::Error::TooManyHeaders => HeadError::TooManyHeaders,
        httparse::Error::Version => HeadError::BadVersion,
    })
}

/// Only bytes within the limit are worth a second look.
fn within<'b>(buf: &'b [u8], limits: &HeadLimits) -> &'b [u8] {
    buf.get(..limits.header_bytes).unwrap_or(buf)
}

/// Where `part`, which httparse cut out of `buf`, begins in it.
pub(crate) fn offset(buf: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr().saturating_sub(buf.as_ptr().addr())
}

/// Whether the bytes before `at` end a line as they should.
fn ends_line(buf: &[u8], at: usize) -> bool {
    at.checked_sub(2).and_then(|from| buf.get(from..at)) == Some(b"\r\n")
}
