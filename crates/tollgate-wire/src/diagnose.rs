//! Names what is wrong with a head that was refused: slow, careful, and off the usual path.
//!
//! It reads line by line from the start, so that the first offence is the one that is named, whatever the
//! fast parser stumbled over.

use crate::ascii;
use crate::error::HeadError;
use crate::method::Method;

/// Which kind of head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

/// The first offence in `head`, which may go on after its last byte.
pub(crate) fn offence(head: &[u8], side: Side) -> Option<HeadError> {
    let head = match side {
        Side::Request => head.strip_prefix(b"\r\n").unwrap_or(head),
        Side::Response => head,
    };
    for (index, line) in head.split_inclusive(|&b| b == b'\n').enumerate() {
        let (text, whole) = match line {
            [text @ .., b'\r', b'\n'] => (text, true),
            [text @ .., b'\n'] => {
                return Some(in_line(index, bad_byte(text).unwrap_or(HeadError::BareLf)));
            }
            // Only a line feed may come now: the text is whole.
            [text @ .., b'\r'] if !text.is_empty() => (text, true),
            [b'\r'] => return None,
            text => (text, false),
        };
        let found = bad_byte(text).map(|offence| in_line(index, offence)).or_else(|| match (index, side) {
            (0, Side::Request) => request_line(text, whole),
            (0, Side::Response) => status_line(text, whole),
            _ => header_line(text, whole, index == 1),
        });
        if found.is_some() {
            return found;
        }
        if index > 0 && whole && text.is_empty() {
            return None;
        }
    }
    None
}

/// How long the target of a request is as far as it has come, in bytes.
pub(crate) fn target_bytes(head: &[u8]) -> usize {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let Some(space) = memchr::memchr(b' ', head) else { return 0 };
    let rest = head.get(space + 1..).unwrap_or_default();
    memchr::memchr2(b' ', b'\r', rest).unwrap_or(rest.len())
}

/// The first offence in a trailer section.
pub(crate) fn trailer_offence(section: &[u8]) -> Option<HeadError> {
    section.split_inclusive(|&b| b == b'\n').find_map(|line| {
        let text = line.strip_suffix(b"\r\n").unwrap_or(line);
        bad_byte(text).or_else(|| header_line(text, true, false))
    })
}

fn bad_byte(text: &[u8]) -> Option<HeadError> {
    match memchr::memchr2(b'\0', b'\r', text).and_then(|at| text.get(at))? {
        0 => Some(HeadError::NulByte),
        _ => Some(HeadError::BareCr),
    }
}

/// An offending byte is one of the start line or one of the headers.
fn in_line(index: usize, offence: HeadError) -> HeadError {
    match offence {
        HeadError::BareCr if index == 0 => HeadError::BareCrInStartLine,
        HeadError::BareLf if index == 0 => HeadError::BareLfInStartLine,
        HeadError::NulByte if index == 0 => HeadError::NulByteInStartLine,
        other => other,
    }
}

fn request_line(text: &[u8], whole: bool) -> Option<HeadError> {
    if text.is_empty() && whole {
        return Some(HeadError::EmptyLine);
    }
    let mut parts = text.splitn(3, |&b| b == b' ');
    let method = parts.next().unwrap_or_default();
    let (target, version) = (parts.next(), parts.next());
    if method.len() > Method::MAX_BYTES {
        return Some(HeadError::MethodTooLong);
    }
    if !method.iter().all(|&b| ascii::is_token(b)) || (method.is_empty() && (whole || target.is_some())) {
        return Some(HeadError::BadMethod);
    }
    let ended = whole || version.is_some();
    match target {
        None => return ended.then_some(HeadError::BadTarget),
        Some(b"") if ended => return Some(HeadError::BadTarget),
        Some(target) if !is_target(target, ended) => return Some(HeadError::BadTargetByte),
        Some(_) => {}
    }
    match version {
        // `GET /` and a line end: a request as HTTP/0.9 had it.
        None => whole.then_some(HeadError::UnsupportedVersion),
        Some(version) => bad_version(version, whole),
    }
}

fn status_line(text: &[u8], whole: bool) -> Option<HeadError> {
    if text.is_empty() && whole {
        return Some(HeadError::EmptyLine);
    }
    let mut parts = text.splitn(3, |&b| b == b' ');
    let (version, status, reason) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    if let Some(found) = bad_version(version, whole || status.is_some()) {
        return Some(found);
    }
    let Some(status) = status else { return whole.then_some(HeadError::BadStatus) };
    let ended = whole || reason.is_some();
    let digits = status.iter().all(u8::is_ascii_digit);
    if !digits || status.len() > 3 || (ended && status.len() != 3) || status.starts_with(b"0") {
        return Some(HeadError::BadStatus);
    }
    reason.is_some_and(ascii::has_control).then_some(HeadError::BadReason)
}

fn header_line(text: &[u8], whole: bool, first: bool) -> Option<HeadError> {
    if let [b' ' | b'\t', ..] = text {
        return Some(if first { HeadError::LeadingWhitespace } else { HeadError::ObsFold });
    }
    let Some(colon) = memchr::memchr(b':', text) else {
        let token = text.iter().all(|&b| ascii::is_token(b));
        return match (text, whole) {
            ([], _) => None,
            (_, true) => Some(if token { HeadError::MissingColon } else { HeadError::BadName }),
            // White space at the end may stand before a colon that is still to come.
            (_, false) if token => None,
            (_, false) => Some(if ascii::is_token_text(ascii::trim(text)) {
                HeadError::SpaceBeforeColon
            } else {
                HeadError::BadName
            }),
        };
    };
    let (name, value) = text.split_at_checked(colon)?;
    match name {
        [] => Some(HeadError::EmptyName),
        [before @ .., b' ' | b'\t'] if ascii::is_token_text(ascii::trim(before)) => {
            Some(HeadError::SpaceBeforeColon)
        }
        _ if !ascii::is_token_text(name) => Some(HeadError::BadName),
        _ => ascii::has_control(value).then_some(HeadError::BadValue),
    }
}

/// Bytes that httparse takes in a target: visible ones, and UTF-8.
fn is_target(text: &[u8], ended: bool) -> bool {
    let visible = text.iter().all(|&b| b > 0x20 && b != 0x7f);
    visible && (!ended || std::str::from_utf8(text).is_ok())
}

fn bad_version(text: &[u8], ended: bool) -> Option<HeadError> {
    match text {
        b"HTTP/1.0" | b"HTTP/1.1" => None,
        [b'H', b'T', b'T', b'P', b'/', major, rest @ ..] if major.is_ascii_digit() => match rest {
            [] | [b'.'] if !ended => (*major != b'1').then_some(HeadError::UnsupportedVersion),
            [] => Some(HeadError::UnsupportedVersion),
            [b'.', minor] if minor.is_ascii_digit() => Some(HeadError::UnsupportedVersion),
            _ => Some(HeadError::BadVersion),
        },
        _ if !ended && b"HTTP/".starts_with(text) => None,
        _ => Some(HeadError::BadVersion),
    }
}
