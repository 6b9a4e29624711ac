//! What was read for certain of a head that is refused, for its record.

use tollgate_plan::host::Host;
use tollgate_plan::path::normalize;
use tollgate_wire::{HeadError, HeadLimits, Method, Offence, RequestHead, peek_request_line};

use crate::exchange::Glimpse;

/// Of the bytes of a head that may end anywhere.
pub(super) fn of_bytes(bytes: &[u8], limits: &HeadLimits) -> Glimpse {
    let Some(line) = peek_request_line(bytes, limits) else { return Glimpse::default() };
    of(Some(line.method), line.path.unwrap_or_default(), None)
}

/// Of one that was refused for this offence; `head` is what the parser made of it.
pub(super) fn of_refused(bytes: &[u8], limits: &HeadLimits, head: &RequestHead, error: HeadError) -> Glimpse {
    let mut glimpse = of_bytes(bytes, limits);
    // These are found last, when lines, target and host are known to be good. Behind others the parsed head is another
    // one's, from before.
    if matches!(error.offence(), Offence::Framing | Offence::Expectation) {
        glimpse.host = host(head.authority());
    }
    glimpse
}

/// Of its parts.
pub(super) fn of(method: Option<Method>, path: &[u8], authority: Option<&[u8]>) -> Glimpse {
    let path = match normalize(path) {
        _ if path.is_empty() || path == b"*" => String::from_utf8_lossy(path).into_owned(),
        Ok(normal) => normal.into(),
        // For the log, which escapes what is no text.
        Err(_) => String::from_utf8_lossy(path).into_owned(),
    };
    Glimpse { method, host: host(authority), path }
}

fn host(authority: Option<&[u8]>) -> String {
    let mut lower = String::new();
    let parsed = authority.and_then(|authority| Host::parse(authority, &mut lower).ok());
    parsed.map(|host| host.name.to_owned()).unwrap_or_default()
}
