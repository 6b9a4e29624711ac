//! Heads between the form that the gateway writes and reads, which is that of HTTP/1, and that of HTTP/2.
//!
//! What came in either form is judged in one place: the head of an answer is written out as HTTP/1 has it and read by
//! the parser that reads those of HTTP/1.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Uri};
use tollgate_plan::Reason;
use tollgate_wire::{
    BodyLength, HeadError, HeadLimits, HeadProgress, Method, Parsed, ResponseHead, parse_response,
};

use crate::exchange::Reject;
use crate::io::{is_connection_specific, write_response};

/// The head of a request in its parts, as they would stand in HTTP/1.
pub(super) struct Parts<'a> {
    pub(super) method: &'a str,
    /// Whether the connection is protected.
    pub(super) secure: bool,
    /// What Host would say.
    pub(super) host: &'a [u8],
    /// Path and query, in two pieces.
    pub(super) target: [&'a [u8]; 2],
    /// Header lines, each with its end.
    pub(super) lines: &'a [u8],
}

/// The head of a request for HTTP/2 (RFC 9113 section 8.3.1).
pub(super) fn request(parts: &Parts<'_>) -> Result<http::Request<()>, Reject> {
    let method = http::Method::from_bytes(parts.method.as_bytes());
    let method = method.map_err(|_| Reject::internal("a method that is none"))?;
    let authority = Authority::try_from(parts.host)
        .map_err(|_| Reject::new(Reason::BadHost, "the host cannot be sent to the service"))?;
    let uri = Uri::builder()
        .scheme(if parts.secure { Scheme::HTTPS } else { Scheme::HTTP })
        .authority(authority)
        .path_and_query(path_and_query(parts.target)?)
        .build()
        .map_err(|_| Reject::internal("a target that is none"))?;
    let mut request = http::Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = fields(parts.lines)?;
    Ok(request)
}

/// Bytes that the library refuses in a target are sent as the escapes that they should have been.
fn path_and_query(target: [&[u8]; 2]) -> Result<PathAndQuery, Reject> {
    let mut text = Vec::with_capacity(target.iter().map(|piece| piece.len()).sum());
    for &byte in target.into_iter().flatten() {
        match byte {
            b'!'..=b'~' if !b"\"<>\\^`{|}".contains(&byte) => text.push(byte),
            _ => text.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    PathAndQuery::from_maybe_shared(Bytes::from(text))
        .map_err(|_| Reject::new(Reason::UriTooLong, "the target is too long for the service"))
}

/// Header lines as fields. What is for one connection stays here (RFC 9113 section 8.2.2), `TE: trailers` apart.
fn fields(lines: &[u8]) -> Result<HeaderMap, Reject> {
    let broken = || Reject::internal("a header line that is none");
    let mut map = HeaderMap::with_capacity(24);
    // One allocation holds all values.
    let text = Bytes::copy_from_slice(lines);
    let mut at = 0;
    while let Some(rest) = lines.get(at..).filter(|rest| !rest.is_empty()) {
        let end = memchr::memmem::find(rest, b"\r\n").ok_or_else(broken)?;
        let line = rest.get(..end).unwrap_or_default();
        let colon = memchr::memchr(b':', line).ok_or_else(broken)?;
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name).map_err(|_| broken())?;
        let value = value.get(1..).unwrap_or_default();
        let start = at + colon + 1 + value.len() - value.trim_ascii_start().len();
        let value = text.slice(start.min(at + end)..at + end);
        at += end + 2;
        if is_connection_specific(&name) || name == header::HOST {
            continue;
        }
        if name == header::TE && !value.eq_ignore_ascii_case(b"trailers") {
            continue;
        }
        let mut value = HeaderValue::from_maybe_shared(value).map_err(|_| broken())?;
        // Clients share the connection and its table of what was sent before: credentials are kept out of it
        // (RFC 7541 section 7.1.3).
        value.set_sensitive(name == header::AUTHORIZATION || name == header::COOKIE);
        map.try_append(name, value).map_err(|_| broken())?;
    }
    Ok(map)
}

/// The head of an answer, read as strictly as one of HTTP/1. `ended` says that there is no body.
pub(super) fn response(
    parts: &http::response::Parts,
    ended: bool,
    method: &Method,
    text: &mut Vec<u8>,
    head: &mut ResponseHead,
) -> Result<(), HeadError> {
    interim(parts.status, &parts.headers, method, text, head)?;
    head.body = match head.body {
        // The library has made sure that the length, if there is one, is 0 too.
        BodyLength::UntilClose if ended => BodyLength::Length(0),
        length => length,
    };
    head.persistent = true;
    Ok(())
}

/// The same of any head, for what it says.
pub(super) fn interim(
    status: http::StatusCode,
    headers: &HeaderMap,
    method: &Method,
    text: &mut Vec<u8>,
    head: &mut ResponseHead,
) -> Result<(), HeadError> {
    text.clear();
    write_response(status, headers, text);
    match parse_response(text, &mut HeadProgress::default(), &HeadLimits::RESPONSE, method, head)? {
        Parsed::Complete(bytes) if bytes == text.len() => Ok(()),
        // A value with a line end in it could do that, but the library lets none through.
        _ => Err(HeadError::BadName),
    }
}

#[cfg(test)]
mod tests;
