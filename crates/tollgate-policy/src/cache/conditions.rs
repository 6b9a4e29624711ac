//! What a client gets of an answer that is there as a whole: all of it, a piece, or the word that nothing has changed
//! (RFC 9111 section 4.3.2, RFC 9110 sections 13 and 14).

use std::ops::Range;

use tollgate_wire::{HeaderBlock, Method, name};

use super::date::date;
use super::directives::{Members, number};

/// What a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// All of it.
    Whole,
    /// It has what it needs.
    NotModified,
    /// These bytes.
    Part(Range<usize>),
    /// It asks for bytes that are not there.
    OutOfRange,
}

/// What a request gets of the kept answer, whose body has `length` bytes.
pub fn answer_with(
    method: &Method,
    request: &HeaderBlock,
    status: u16,
    kept: &HeaderBlock,
    length: usize,
) -> Given {
    if status != 200 {
        return Given::Whole;
    }
    if is_known(request, kept) {
        return Given::NotModified;
    }
    match request.only(&name::RANGE) {
        Some(range) if *method == Method::Get && is_of_this(request, kept) => of_range(range, length),
        _ => Given::Whole,
    }
}

/// Whether the client has this very answer. Its dates count where it names no tags.
fn is_known(request: &HeaderBlock, kept: &HeaderBlock) -> bool {
    if request.contains(&name::IF_NONE_MATCH) {
        let tag = kept.get(&name::ETAG).map(opaque);
        let mut lines = request.get_all(&name::IF_NONE_MATCH);
        return lines.any(|line| {
            Members { rest: line }.any(|known| known == b"*" || tag.is_some_and(|tag| tag == opaque(known)))
        });
    }
    let Some(since) = request.only(&name::IF_MODIFIED_SINCE).and_then(date) else { return false };
    kept.get(&name::LAST_MODIFIED).and_then(date).is_some_and(|changed| changed <= since)
}

/// A tag without the mark of weakness.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// Whether the range is meant of this answer and not of another one (RFC 9110 section 13.1.5).
fn is_of_this(request: &HeaderBlock, kept: &HeaderBlock) -> bool {
    let Some(condition) = request.get(&name::IF_RANGE) else { return true };
    match condition.starts_with(b"\"") {
        true => kept.get(&name::ETAG) == Some(condition),
        false => kept.get(&name::LAST_MODIFIED) == Some(condition),
    }
}

/// One range of bytes. Several of them, and what cannot be read, get the whole.
fn of_range(range: &[u8], length: usize) -> Given {
    let part = || {
        let (unit, set) = range.split_at_checked(6)?;
        let set = set.trim_ascii();
        if !unit.eq_ignore_ascii_case(b"bytes=") || set.contains(&b',') {
            return None;
        }
        let at = set.iter().position(|b| *b == b'-')?;
        let (first, last) = set.split_at(at);
        let last = last.get(1..).unwrap_or_default();
        let all = length as u64;
        let (from, to) = match (first, last) {
            (b"", last) => (all.saturating_sub(number(last)?), all),
            (first, b"") => (number(first)?, all),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                if last < first {
                    return None;
                }
                (first, last.saturating_add(1).min(all))
            }
        };
        Some(from..to)
    };
    match part() {
        None => Given::Whole,
        Some(part) if part.is_empty() || part.start >= length as u64 => Given::OutOfRange,
        Some(part) => Given::Part(part.start as usize..part.end as usize),
    }
}
