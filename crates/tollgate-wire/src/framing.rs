//! How long a body is. Decided here and nowhere else (RFC 9112 section 6).
//!
//! What two implementations could read in two ways is refused, in requests and in responses alike, also
//! where the RFC allows a repair: `Content-Length` beside `Transfer-Encoding`, a length given twice (even
//! the same), any transfer coding but one `chunked`, and transfer codings in HTTP/1.0.

use crate::block::{HeaderBlock, members};
use crate::error::HeadError;
use crate::facts::{Facts, Line};
use crate::method::Method;
use crate::name;
use crate::version::Version;

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BodyLength {
    /// There is no body.
    #[default]
    None,
    /// Exactly this many bytes.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
    /// All that comes until the connection is closed, in responses; in requests and responses over HTTP/2, until the
    /// stream ends.
    UntilClose,
}

/// What a head declares, before it is known whether such a message has a body at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Declared {
    Nothing,
    Length(u64),
    Chunked,
}

/// More than this no upstream can count in a signed 64-bit number.
const MAX_LENGTH: u64 = i64::MAX as u64;

/// The body of a request.
pub(crate) fn of_request(version: Version, facts: &Facts<'_>) -> Result<BodyLength, HeadError> {
    Ok(match declared(version, facts)? {
        Declared::Nothing => BodyLength::None,
        Declared::Length(n) => BodyLength::Length(n),
        Declared::Chunked => BodyLength::Chunked,
    })
}

/// The body of a response to `method`, and what the head declares.
pub(crate) fn of_response(
    version: Version,
    facts: &Facts<'_>,
    method: &Method,
    status: u16,
) -> Result<(BodyLength, Declared), HeadError> {
    let declared = declared(version, facts)?;
    let informational = status < 200;
    let body = match declared {
        Declared::Chunked if informational || status == 204 => {
            return Err(HeadError::TransferEncodingWithoutBody);
        }
        // The next head follows at once. Bytes declared here would be read as that head.
        Declared::Length(1..) if informational => return Err(HeadError::LengthWithoutBody),
        _ if informational || matches!(status, 204 | 304) || *method == Method::Head => BodyLength::None,
        _ if *method == Method::Connect && status < 300 => BodyLength::None,
        Declared::Chunked => BodyLength::Chunked,
        Declared::Length(n) => BodyLength::Length(n),
        Declared::Nothing => BodyLength::UntilClose,
    };
    Ok((body, declared))
}

/// Writes a valid length with leading zeros without them: a reader that takes those for the mark of another
/// base would see another length.
pub(crate) fn rewrite_padded_length(facts: &Facts<'_>, headers: &mut HeaderBlock) {
    if let Line::Once(value @ [b'0', _, ..]) = facts.content_length
        && let Ok(n) = length(value)
    {
        headers.set(&name::CONTENT_LENGTH, itoa::Buffer::new().format(n).as_bytes());
    }
}

fn declared(version: Version, facts: &Facts<'_>) -> Result<Declared, HeadError> {
    if facts.disguised {
        return Err(HeadError::DisguisedFraming);
    }
    match (facts.transfer_encoding, facts.content_length) {
        (Line::Absent, Line::Absent) => Ok(Declared::Nothing),
        (Line::Absent, Line::Once(value)) => length(value).map(Declared::Length),
        (Line::Absent, Line::Repeated { first, same }) => Err(match length(first) {
            Err(_) => HeadError::MalformedLength,
            Ok(_) if same => HeadError::RepeatedLength,
            Ok(_) => HeadError::DifferingLengths,
        }),
        (_, Line::Once(_) | Line::Repeated { .. }) => Err(HeadError::LengthAndTransferEncoding),
        (_, Line::Absent) if version == Version::Http10 => Err(HeadError::TransferEncodingInHttp10),
        (Line::Repeated { .. }, Line::Absent) => Err(HeadError::RepeatedTransferEncoding),
        (Line::Once(value), Line::Absent) => chunked(value).map(|()| Declared::Chunked),
    }
}

/// `1*DIGIT`, nothing else: no sign, no list, no other base.
fn length(value: &[u8]) -> Result<u64, HeadError> {
    if memchr::memchr(b',', value).is_some() {
        return Err(listed_length(value));
    }
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(HeadError::MalformedLength);
    }
    // 19 digits fit an unsigned 64-bit number; more are a number no one has a body for, or padding.
    if value.len() > 19 {
        return Err(HeadError::LengthOverflow);
    }
    let n = value.iter().fold(0u64, |n, &digit| n * 10 + u64::from(digit - b'0'));
    if n > MAX_LENGTH { Err(HeadError::LengthOverflow) } else { Ok(n) }
}

/// `Content-Length: 5, 5` is two lines joined by a relay (RFC 9110 section 8.6), and as bad as those.
fn listed_length(value: &[u8]) -> HeadError {
    let mut parts = value.split(|&b| b == b',').map(crate::ascii::trim);
    let first = parts.next().unwrap_or_default();
    let mut same = true;
    for part in parts {
        if part.is_empty() || !part.iter().all(u8::is_ascii_digit) {
            return HeadError::MalformedLength;
        }
        same &= part == first;
    }
    match length(first) {
        Err(offence) => offence,
        Ok(_) if same => HeadError::RepeatedLength,
        Ok(_) => HeadError::DifferingLengths,
    }
}

/// The one coding `chunked` in any case, without parameters.
fn chunked(value: &[u8]) -> Result<(), HeadError> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let known = members(value).any(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    let last = members(value).last().is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    let all = members(value).all(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    Err(if known && (!last || all) { HeadError::ChunkedNotFinal } else { HeadError::UnknownTransferCoding })
}
