//! The one normal form of a path, made once and used to match, to decide, to rewrite and to forward.
//!
//! Normal form: RFC 3986 sections 6.2.2 and 5.2.4 (dot segments resolved, unreserved percent-encodings decoded,
//! hexadecimal digits in upper case) plus repeated slashes merged. `%2F` and `%5C` stay data. Nothing else is
//! rewritten, and what could be read in two ways is refused, `..;` among it. Normalising twice changes nothing.

use std::borrow::Cow;
use std::fmt;

/// Why a path has no normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// Does not start with a slash.
    NotAbsolute,
    /// NUL, a control character (both also percent-encoded), space, backslash, `#`, `?`, or a byte from 0x80 up.
    ForbiddenByte,
    /// `%` without two hexadecimal digits.
    BadPercentEncoding,
    /// `..` climbs over the root.
    AboveRoot,
    /// `.` or `..` with a parameter, as in `..;x`.
    DotParameter,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathError::NotAbsolute => "the path does not start with a slash",
            PathError::ForbiddenByte => "the path holds a character that no path may have",
            PathError::BadPercentEncoding => "the path holds a % without two hexadecimal digits",
            PathError::AboveRoot => "the path climbs over the root",
            PathError::DotParameter => "the path holds `.` or `..` with a parameter",
        })
    }
}

impl std::error::Error for PathError {}

/// Brings the path part of a request target (no query) into normal form. Borrows when it already is.
///
/// A last segment `.` or `..` leaves a slash at the end (RFC 3986 section 5.2.4). The asterisk of `OPTIONS *`
/// is no path: the caller handles it.
pub fn normalize(raw: &[u8]) -> Result<Cow<'_, str>, PathError> {
    if raw.first() != Some(&b'/') {
        return Err(PathError::NotAbsolute);
    }
    if is_normal(raw)? {
        let path = std::str::from_utf8(raw).map_err(|_| PathError::ForbiddenByte)?;
        return Ok(Cow::Borrowed(path));
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut segment = 0;
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'/' => segment = end_segment(&mut out, segment, true)?,
            b'%' => rest = push_triplet(&mut out, rest)?,
            _ => out.push(byte),
        }
    }
    end_segment(&mut out, segment, false)?;
    String::from_utf8(out).map(Cow::Owned).map_err(|_| PathError::ForbiddenByte)
}

/// One look at every byte: `false` when there is something to rewrite, an error for a byte that is forbidden
/// whatever surrounds it.
fn is_normal(raw: &[u8]) -> Result<bool, PathError> {
    let mut normal = true;
    for (at, &byte) in raw.iter().enumerate() {
        match CLASS[usize::from(byte)] {
            Class::Plain => {}
            Class::Forbidden => return Err(PathError::ForbiddenByte),
            Class::Percent => normal &= raw.get(at + 1..at + 3).is_some_and(is_normal_triplet),
            Class::Slash => {
                normal &= !matches!(
                    &raw[at + 1..],
                    [b'/', ..] | [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..]
                );
                normal &= !has_parameter(&raw[at + 1..]);
            }
        }
    }
    Ok(normal)
}

fn is_normal_triplet(digits: &[u8]) -> bool {
    hex_pair(digits).is_some_and(|byte| !is_unreserved(byte) && !byte.is_ascii_control())
        && !digits.iter().any(u8::is_ascii_lowercase)
}

/// Ends the segment that starts at `start`, and begins the next one unless it was the last. Returns where the
/// next segment starts. Before the first slash there is an empty segment, which begins the path.
fn end_segment(out: &mut Vec<u8>, start: usize, more: bool) -> Result<usize, PathError> {
    match out.get(start..) {
        Some(b"") if start > 0 => {}
        Some(b".") => out.truncate(start),
        Some(b"..") => {
            // `start` stands behind a slash; the segment before it begins behind the slash before that one.
            let parent = out.get(..start.saturating_sub(1)).unwrap_or_default();
            let slash = memchr::memrchr(b'/', parent).ok_or(PathError::AboveRoot)?;
            out.truncate(slash + 1);
        }
        Some(segment) if has_parameter(segment) => return Err(PathError::DotParameter),
        _ if more => out.push(b'/'),
        _ => {}
    }
    Ok(out.len())
}

/// Whether a segment is `.` or `..`, for whoever reads it.
pub(crate) fn is_dots(segment: &[u8]) -> bool {
    matches!(segment, b"." | b"..") || has_parameter(segment)
}

/// Whether a segment is `.` or `..` with a parameter behind it. By RFC 3986 it is a name like any other; servers of
/// Java take the parameter off first, and climb. Whoever decides by the path would see another one than they do.
fn has_parameter(segment: &[u8]) -> bool {
    let behind = match segment {
        [b'.', b'.', rest @ ..] | [b'.', rest @ ..] => rest,
        _ => return false,
    };
    matches!(behind, [b';', ..] | [b'%', b'3', b'B' | b'b', ..])
}

/// Takes the two digits behind a `%` and appends the byte they mean if it is unreserved, else the triplet in
/// upper case. Returns what follows.
fn push_triplet<'a>(out: &mut Vec<u8>, rest: &'a [u8]) -> Result<&'a [u8], PathError> {
    let (digits, after) = rest.split_at_checked(2).ok_or(PathError::BadPercentEncoding)?;
    let byte = hex_pair(digits).ok_or(PathError::BadPercentEncoding)?;
    match byte {
        _ if is_unreserved(byte) => out.push(byte),
        _ if byte.is_ascii_control() => return Err(PathError::ForbiddenByte),
        _ => push_encoded(out, byte),
    }
    Ok(after)
}

/// Brings literal text of a configuration, which may hold slashes, into normal form: as [`normalize`] does,
/// but a space and letters outside ASCII are percent-encoded, because people write them, and dot segments are
/// the caller's affair.
pub(crate) fn normalize_literal(text: &str) -> Result<String, PathError> {
    if text.bytes().all(|byte| matches!(CLASS[usize::from(byte)], Class::Plain)) {
        return Ok(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, CLASS[usize::from(byte)]) {
            (b'/', _) if out.last() == Some(&b'/') => {}
            (b'%', _) => rest = push_triplet(&mut out, rest)?,
            (b' ' | 0x80.., _) => push_encoded(&mut out, byte),
            (_, Class::Forbidden) => return Err(PathError::ForbiddenByte),
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).map_err(|_| PathError::ForbiddenByte)
}

/// Decodes percent-encodings: what a parameter's text in the path means. A `%` without two hexadecimal digits
/// stays as it is (there is none in a normal form).
pub fn percent_decode(text: &str) -> Cow<'_, [u8]> {
    decode(text.as_bytes(), false)
}

/// Decodes percent-encodings, and `+` to a space where the text comes from a query.
pub(crate) fn decode(text: &[u8], plus_is_space: bool) -> Cow<'_, [u8]> {
    let special = |&byte: &u8| byte == b'%' || (byte == b'+' && plus_is_space);
    let Some(first) = text.iter().position(special) else {
        return Cow::Borrowed(text);
    };
    let (plain, mut rest) = text.split_at(first);
    let mut out = Vec::with_capacity(text.len());
    out.extend_from_slice(plain);
    while let Some((byte, after)) = next_decoded(rest, plus_is_space) {
        out.push(byte);
        rest = after;
    }
    Cow::Owned(out)
}

/// The first decoded byte and what follows it.
pub(crate) fn next_decoded(text: &[u8], plus_is_space: bool) -> Option<(u8, &[u8])> {
    match text {
        [b'%', digits @ ..] => match digits.split_at_checked(2) {
            Some((pair, after)) => Some(hex_pair(pair).map_or((b'%', digits), |byte| (byte, after))),
            None => Some((b'%', digits)),
        },
        [b'+', after @ ..] if plus_is_space => Some((b' ', after)),
        [byte, after @ ..] => Some((*byte, after)),
        [] => None,
    }
}

/// Appends a value so that it is data wherever it stands in a path or query: everything but unreserved
/// characters (RFC 3986 section 2.3) is percent-encoded.
pub(crate) fn percent_encode(value: &[u8], out: &mut Vec<u8>) {
    for &byte in value {
        if is_unreserved(byte) {
            out.push(byte);
        } else {
            push_encoded(out, byte);
        }
    }
}

fn push_encoded(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

fn hex_pair(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match digits {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[derive(Clone, Copy)]
enum Class {
    Plain,
    Slash,
    Percent,
    Forbidden,
}

/// A table, because the scan looks at every byte of every request's path.
const CLASS: [Class; 256] = {
    let mut table = [Class::Plain; 256];
    let mut byte = 0;
    while byte < 256 {
        if byte <= 0x20 || byte >= 0x7f {
            table[byte] = Class::Forbidden;
        }
        byte += 1;
    }
    table[b'\\' as usize] = Class::Forbidden;
    table[b'#' as usize] = Class::Forbidden;
    table[b'?' as usize] = Class::Forbidden;
    table[b'/' as usize] = Class::Slash;
    table[b'%' as usize] = Class::Percent;
    table
};

#[cfg(test)]
mod tests;
