//! The trailer section of a chunked body, and what may not stand in it.

use crate::block::HeaderBlock;
use crate::diagnose;
use crate::error::HeadError;
use crate::head;
use crate::name::{Known, KnownSet};

/// Fields that frame, route, authenticate or describe the message, which are decided on before its trailers
/// come (RFC 9110 section 6.5.1), and those that the gateway owns.
const FORBIDDEN: KnownSet = KnownSet::of(&[
    // Framing and connection.
    Known::CONNECTION,
    Known::CONTENT_LENGTH,
    Known::HTTP2_SETTINGS,
    Known::KEEP_ALIVE,
    Known::PROXY_CONNECTION,
    Known::TE,
    Known::TRAILER,
    Known::TRANSFER_ENCODING,
    Known::UPGRADE,
    // Routing.
    Known::FORWARDED,
    Known::HOST,
    Known::ORIGIN,
    Known::VIA,
    Known::X_FORWARDED_FOR,
    Known::X_FORWARDED_HOST,
    Known::X_FORWARDED_PORT,
    Known::X_FORWARDED_PREFIX,
    Known::X_FORWARDED_PROTO,
    Known::X_FORWARDED_SERVER,
    Known::X_REAL_IP,
    Known::X_REQUEST_ID,
    // Authentication.
    Known::AUTHENTICATION_INFO,
    Known::AUTHORIZATION,
    Known::COOKIE,
    Known::PROXY_AUTHENTICATE,
    Known::PROXY_AUTHENTICATION_INFO,
    Known::PROXY_AUTHORIZATION,
    Known::SET_COOKIE,
    Known::WWW_AUTHENTICATE,
    Known::X_API_KEY,
    // Request modifiers.
    Known::CACHE_CONTROL,
    Known::EXPECT,
    Known::IF_MATCH,
    Known::IF_MODIFIED_SINCE,
    Known::IF_NONE_MATCH,
    Known::IF_RANGE,
    Known::IF_UNMODIFIED_SINCE,
    Known::MAX_FORWARDS,
    Known::PRAGMA,
    Known::RANGE,
    // Response control.
    Known::AGE,
    Known::DATE,
    Known::EXPIRES,
    Known::LOCATION,
    Known::RETRY_AFTER,
    Known::VARY,
    Known::WARNING,
    // What the content is.
    Known::CONTENT_ENCODING,
    Known::CONTENT_RANGE,
    Known::CONTENT_TYPE,
]);

/// Parses a trailer section, the empty line that ends it included. For trailers that did not come in a chunked body.
pub fn parse_trailers(section: &[u8], max_count: usize) -> Result<HeaderBlock, HeadError> {
    parse(section, max_count)
}

/// Parses a trailer section, the empty line that ends it included.
pub(crate) fn parse(section: &[u8], max_count: usize) -> Result<HeaderBlock, HeadError> {
    let mut block = HeaderBlock::default();
    let mut lines = vec![httparse::EMPTY_HEADER; max_count.min(head::most_lines(section.len()))];
    let lines = match httparse::parse_headers(section, &mut lines) {
        Ok(httparse::Status::Complete((end, lines))) if end == section.len() => lines,
        Ok(_) => return Err(HeadError::BadName),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooManyHeaders),
        Err(_) => return Err(diagnose::trailer_offence(section).unwrap_or(HeadError::BadName)),
    };
    let facts = head::load_lines(&mut block, section, section.len(), 0, lines)?;
    if facts.disguised || block.entries().any(|entry| is_forbidden(entry.known(), entry.name())) {
        return Err(HeadError::ForbiddenTrailer);
    }
    Ok(block)
}

fn is_forbidden(known: Option<Known>, name: &[u8]) -> bool {
    if let Some(known) = known {
        return FORBIDDEN.has(known);
    }
    // Programs that get headers as variables cannot tell `_` from `-`.
    if !name.contains(&b'_') {
        return starts_like(name, b"x-forwarded-");
    }
    let hyphens: Vec<u8> = name.iter().map(|&b| if b == b'_' { b'-' } else { b }).collect();
    is_forbidden(Known::find(&hyphens), &hyphens)
}

fn starts_like(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
