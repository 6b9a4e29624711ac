//! The trailer section of a chunked body, and what may not stand in it.

use crate::block::HeaderBlock;
use crate::diagnose;
use crate::error::HeadError;
use crate::head;
use crate::name::{Known, KnownSet};

/// Whose trailers they are: what may stand among them differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrailersOf {
    /// Of a request. A field that frames the message, is for one connection or carries credentials is refused: who
    /// sends it wants two readers to disagree. Others that belong into the head are left out.
    Request,
    /// Of a response. What a recipient has to ignore there (RFC 9110 section 6.5.1) is left out, and the rest stays: the
    /// metadata of a gRPC call are trailers, whatever their names.
    Response,
}

/// Fields that frame the message, or are for one connection.
const FRAMING: KnownSet = KnownSet::of(&[
    Known::CONNECTION,
    Known::CONTENT_LENGTH,
    Known::HOST,
    Known::HTTP2_SETTINGS,
    Known::KEEP_ALIVE,
    Known::PROXY_CONNECTION,
    Known::TE,
    Known::TRAILER,
    Known::TRANSFER_ENCODING,
    Known::UPGRADE,
]);

/// Fields by which the gateway or a client decides what becomes of a message before its trailers come.
const DECIDING: KnownSet = KnownSet::of(&[
    // Authentication.
    Known::PROXY_AUTHENTICATE,
    Known::PROXY_AUTHENTICATION_INFO,
    Known::SET_COOKIE,
    Known::WWW_AUTHENTICATE,
    // Caching and redirection.
    Known::AGE,
    Known::CACHE_CONTROL,
    Known::EXPIRES,
    Known::LOCATION,
    Known::VARY,
    // What the content is.
    Known::CONTENT_ENCODING,
    Known::CONTENT_RANGE,
    Known::CONTENT_TYPE,
]);

/// Fields by which a client says who it is.
const CREDENTIALS: KnownSet =
    KnownSet::of(&[Known::AUTHORIZATION, Known::COOKIE, Known::PROXY_AUTHORIZATION, Known::X_API_KEY]);

/// Fields that route a request, speak for its client or modify what it asks for, and those that only a response can
/// have. In a response's trailers they steer nothing.
const REQUEST_ONLY: KnownSet = KnownSet::of(&[
    // Routing.
    Known::FORWARDED,
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
    // Modifiers.
    Known::EXPECT,
    Known::IF_MATCH,
    Known::IF_MODIFIED_SINCE,
    Known::IF_NONE_MATCH,
    Known::IF_RANGE,
    Known::IF_UNMODIFIED_SINCE,
    Known::MAX_FORWARDS,
    Known::PRAGMA,
    Known::RANGE,
    // What describes a response.
    Known::AUTHENTICATION_INFO,
    Known::DATE,
    Known::RETRY_AFTER,
    Known::WARNING,
]);

/// What becomes of a trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    LeftOut,
    Refused,
}

/// Parses a trailer section, the empty line that ends it included. For trailers that did not come in a chunked body.
pub fn parse_trailers(section: &[u8], max_count: usize, of: TrailersOf) -> Result<HeaderBlock, HeadError> {
    parse(section, max_count, of)
}

/// Parses a trailer section, the empty line that ends it included.
pub(crate) fn parse(section: &[u8], max_count: usize, of: TrailersOf) -> Result<HeaderBlock, HeadError> {
    let mut block = HeaderBlock::default();
    let mut lines = vec![httparse::EMPTY_HEADER; max_count.min(head::most_lines(section.len()))];
    let lines = match httparse::parse_headers(section, &mut lines) {
        Ok(httparse::Status::Complete((end, lines))) if end == section.len() => lines,
        Ok(_) => return Err(HeadError::BadName),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooManyHeaders),
        Err(_) => return Err(diagnose::trailer_offence(section).unwrap_or(HeadError::BadName)),
    };
    head::load_lines(&mut block, section, section.len(), 0, lines)?;
    let fates = |fate| block.entries().any(|entry| self::fate(entry.known(), entry.name(), of) == fate);
    if fates(Fate::Refused) {
        return Err(HeadError::ForbiddenTrailer);
    }
    if fates(Fate::LeftOut) {
        block.retain_entries(|entry| fate(entry.known(), entry.name(), of) == Fate::Stays);
    }
    Ok(block)
}

fn fate(known: Option<Known>, name: &[u8], of: TrailersOf) -> Fate {
    if let Some(known) = known {
        return match of {
            TrailersOf::Request if FRAMING.has(known) || CREDENTIALS.has(known) => Fate::Refused,
            TrailersOf::Request if REQUEST_ONLY.has(known) => Fate::LeftOut,
            _ if FRAMING.has(known) || DECIDING.has(known) => Fate::LeftOut,
            _ => Fate::Stays,
        };
    }
    // Programs that get headers as variables cannot tell `_` from `-`.
    if !name.contains(&b'_') {
        let speaks = of == TrailersOf::Request && starts_like(name, b"x-forwarded-");
        return if speaks { Fate::LeftOut } else { Fate::Stays };
    }
    let hyphens: Vec<u8> = name.iter().map(|&b| if b == b'_' { b'-' } else { b }).collect();
    fate(Known::find(&hyphens), &hyphens, of)
}

fn starts_like(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
