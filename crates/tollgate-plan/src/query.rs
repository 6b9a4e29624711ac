//! Query strings: decoded comparison and edits, without ever re-encoding what was not touched.
//!
//! A query is read as `application/x-www-form-urlencoded` (WHATWG URL, section 5): pairs separated by `&`, `+`
//! is a space, `%XX` a byte. A `%` that begins no such triplet stands for itself; an empty pair is no pair.

use std::borrow::Cow;

use crate::path::{decode, next_decoded, percent_encode};

/// One pair as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<'a> {
    /// Before the first `=`, still encoded.
    pub name: &'a [u8],
    /// Behind it, still encoded; empty when there is no `=`.
    pub value: &'a [u8],
}

impl<'a> Pair<'a> {
    fn parse(raw: &'a [u8]) -> Pair<'a> {
        match memchr::memchr(b'=', raw).and_then(|at| raw.split_at_checked(at)) {
            Some((name, value)) => Pair { name, value: value.get(1..).unwrap_or_default() },
            None => Pair { name: raw, value: &[] },
        }
    }

    /// Whether the decoded name is this one.
    pub fn is(&self, name: &str) -> bool {
        let mut wanted = name.bytes();
        let mut rest = self.name;
        while let Some((byte, after)) = next_decoded(rest, true) {
            if wanted.next() != Some(byte) {
                return false;
            }
            rest = after;
        }
        wanted.next().is_none()
    }

    /// The decoded name.
    pub fn decoded_name(&self) -> Cow<'a, [u8]> {
        decode(self.name, true)
    }

    /// The decoded value.
    pub fn decoded(&self) -> Cow<'a, [u8]> {
        decode(self.value, true)
    }
}

/// The pairs of a query, in order.
pub fn pairs(raw: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    pieces(raw).filter(|piece| !piece.is_empty()).map(Pair::parse)
}

/// The decoded values of every pair with this (decoded) name, in order.
pub fn values<'a>(raw: &'a [u8], name: &'a str) -> impl Iterator<Item = Cow<'a, [u8]>> {
    pairs(raw).filter(move |pair| pair.is(name)).map(|pair| pair.decoded())
}

/// The decoded value of the first pair with this (decoded) name.
pub fn first<'a>(raw: &'a [u8], name: &'a str) -> Option<Cow<'a, [u8]>> {
    values(raw, name).next()
}

/// One change of a query. Names and values are given decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit<'a> {
    /// Leave no pairs but those of these names.
    Only(&'a [Box<str>]),
    /// Take every pair of that name away.
    Remove(&'a str),
    /// Leave one pair of that name, in the place of the first, or at the end when there was none.
    Set(&'a str, &'a [u8]),
}

/// Applies edits in their order. Pairs that no edit names keep their bytes and their order. `None` means that
/// there is no query (any more); a query that was there and is not touched stays as it is, also an empty one.
pub fn edit(raw: Option<&[u8]>, edits: &[Edit<'_>]) -> Option<Vec<u8>> {
    let mut query = raw.map(<[u8]>::to_vec);
    for edit in edits {
        query = match *edit {
            Edit::Only(names) => only(query, names),
            Edit::Remove(name) => replace(query, name, None),
            Edit::Set(name, value) => replace(query, name, Some(value)),
        };
    }
    query
}

fn only(query: Option<Vec<u8>>, names: &[Box<str>]) -> Option<Vec<u8>> {
    let raw = query?;
    let kept = pieces(&raw)
        .filter(|piece| !piece.is_empty() && names.iter().any(|name| Pair::parse(piece).is(name)));
    let kept: Vec<&[u8]> = kept.collect();
    (!kept.is_empty()).then(|| kept.join(&b'&'))
}

/// One edit at a time: a later one sees what an earlier one wrote, and lists of edits are short.
fn replace(query: Option<Vec<u8>>, name: &str, mut value: Option<&[u8]>) -> Option<Vec<u8>> {
    let raw = query.as_deref().unwrap_or_default();
    if value.is_none() && !pairs(raw).any(|pair| pair.is(name)) {
        return query;
    }
    let mut out = Vec::with_capacity(raw.len() + name.len() + value.map_or(0, |v| v.len() + 2));
    let mut kept = 0usize;
    let mut begin = |out: &mut Vec<u8>| {
        if kept > 0 {
            out.push(b'&');
        }
        kept += 1;
    };
    for piece in pieces(raw) {
        if piece.is_empty() || !Pair::parse(piece).is(name) {
            begin(&mut out);
            out.extend_from_slice(piece);
        } else if let Some(value) = value.take() {
            begin(&mut out);
            push_pair(&mut out, name, value);
        }
    }
    if let Some(value) = value {
        begin(&mut out);
        push_pair(&mut out, name, value);
    }
    (kept > 0).then_some(out)
}

fn push_pair(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    percent_encode(name.as_bytes(), out);
    out.push(b'=');
    percent_encode(value, out);
}

/// Everything between `&`s, empty pieces too; an empty query has none.
fn pieces(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    raw.split(|&byte| byte == b'&').take(if raw.is_empty() { 0 } else { usize::MAX })
}

#[cfg(test)]
mod tests;
