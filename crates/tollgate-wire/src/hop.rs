//! Headers that are for one connection only (RFC 9110 section 7.6.1).

use crate::block::{EntryRef, HeaderBlock, members};
use crate::name::{self, Known, KnownSet};

/// Fields for one connection, whether `Connection` names them or not. `TE` is handled apart. `Trailer` is not
/// among them: it announces fields that go end to end.
const HOP_BY_HOP: KnownSet = KnownSet::of(&[
    Known::CONNECTION,
    Known::HTTP2_SETTINGS,
    Known::KEEP_ALIVE,
    Known::PROXY_AUTHENTICATE,
    Known::PROXY_AUTHENTICATION_INFO,
    Known::PROXY_AUTHORIZATION,
    Known::PROXY_CONNECTION,
    Known::TRANSFER_ENCODING,
    Known::UPGRADE,
]);

/// Fields in which proxies speak of the client and the request.
const FORWARDING: KnownSet = KnownSet::of(&[
    Known::FORWARDED,
    Known::X_FORWARDED_FOR,
    Known::X_FORWARDED_HOST,
    Known::X_FORWARDED_PORT,
    Known::X_FORWARDED_PREFIX,
    Known::X_FORWARDED_PROTO,
    Known::X_FORWARDED_SERVER,
    Known::X_REAL_IP,
    Known::X_REQUEST_ID,
]);

/// Fields that `Connection` cannot name: the gateway sets them or decides by them, or the other side reads
/// the message by them. A client that names one wants it gone between a check and its use.
const KEPT: KnownSet = KnownSet::of(&[
    Known::AUTHORIZATION,
    Known::CACHE_CONTROL,
    Known::CONTENT_DISPOSITION,
    Known::CONTENT_ENCODING,
    Known::CONTENT_LENGTH,
    Known::CONTENT_RANGE,
    Known::CONTENT_TYPE,
    Known::COOKIE,
    Known::DATE,
    Known::EXPECT,
    Known::EXPIRES,
    Known::FORWARDED,
    Known::HOST,
    Known::ORIGIN,
    Known::RANGE,
    Known::SEC_WEBSOCKET_ACCEPT,
    Known::SEC_WEBSOCKET_EXTENSIONS,
    Known::SEC_WEBSOCKET_KEY,
    Known::SEC_WEBSOCKET_PROTOCOL,
    Known::SEC_WEBSOCKET_VERSION,
    Known::SET_COOKIE,
    Known::TE,
    Known::TRACEPARENT,
    Known::TRACESTATE,
    Known::TRAILER,
    Known::VARY,
    Known::VIA,
    Known::WWW_AUTHENTICATE,
    Known::X_API_KEY,
    Known::X_FORWARDED_FOR,
    Known::X_FORWARDED_HOST,
    Known::X_FORWARDED_PORT,
    Known::X_FORWARDED_PREFIX,
    Known::X_FORWARDED_PROTO,
    Known::X_FORWARDED_SERVER,
    Known::X_REAL_IP,
    Known::X_REQUEST_ID,
]);

/// Tells which lines of a block are for this connection only: `Connection` and what it names, and the fields
/// that always are. `TE` is among them; [`HopByHop::trailers`] says whether it asked for trailers.
///
/// Names of fields that the gateway owns or needs (Host, the forwarding headers, credentials, what describes
/// the content) are ignored in `Connection`. `Content-Length` stays.
pub struct HopByHop {
    /// Some line is for this connection only.
    any: bool,
    named: Vec<Vec<u8>>,
    /// `TE` has `trailers`, which goes on as exactly that.
    pub trailers: bool,
}

impl HopByHop {
    /// Looks at `Connection` and `TE`.
    pub fn of(headers: &HeaderBlock) -> HopByHop {
        let any = headers.seen().meets(HOP_BY_HOP);
        HopByHop {
            any: any || headers.seen().has(Known::TE),
            named: if any { named_by_connection(headers) } else { Vec::new() },
            trailers: headers.has_token(&name::TE, "trailers"),
        }
    }

    /// Whether the line goes on to the other side.
    pub fn keeps(&self, entry: EntryRef<'_>) -> bool {
        if !self.any {
            return true;
        }
        match entry.known() {
            Some(known) if HOP_BY_HOP.has(known) || known == Known::TE => false,
            Some(known) if KEPT.has(known) => true,
            _ => !self.named.iter().any(|name| entry.name().eq_ignore_ascii_case(name)),
        }
    }

    /// Whether the line would go on, had `Connection` not named it: the other side sees another message than who reads
    /// this one.
    pub fn takes_away(&self, entry: EntryRef<'_>) -> bool {
        let never_goes_on = entry.known().is_some_and(|known| HOP_BY_HOP.has(known) || known == Known::TE);
        !self.named.is_empty() && !never_goes_on && !self.keeps(entry)
    }
}

/// Removes what is for this connection only; `TE: trailers` stays, as exactly that.
pub fn remove_hop_by_hop(headers: &mut HeaderBlock) {
    let hop = HopByHop::of(headers);
    if hop.any {
        headers.retain_entries(|entry| hop.keeps(entry));
    }
    if hop.trailers {
        headers.append(&name::TE, b"trailers");
    }
}

/// Whether the line is one in which proxies speak of the client and the request: `X-Forwarded-*`, `X-Real-IP`,
/// `Forwarded`, `X-Request-Id`, in any spelling (an application that reads CGI names cannot tell `_` from `-`).
pub fn speaks_for_client(entry: EntryRef<'_>) -> bool {
    match entry.known() {
        Some(known) => FORWARDING.has(known),
        None => {
            let name = entry.name();
            let other_spelling = |wanted: &[u8]| name.len() == wanted.len() && begins_with(name, wanted);
            matches!(name.first(), Some(b'x' | b'X'))
                && (is_forwarding(name)
                    || [&b"x-forwarded"[..], b"x-real-ip", b"x-request-id"].into_iter().any(other_spelling))
        }
    }
}

/// What `Connection` names beside the options that have a meaning of their own. Usually nothing, which costs
/// no allocation.
fn named_by_connection(headers: &HeaderBlock) -> Vec<Vec<u8>> {
    let mut named = Vec::new();
    for line in headers.get_all(&name::CONNECTION) {
        // The whole value of nearly every message.
        if !is_option(line) {
            let options = members(line).filter(|option| !is_option(option) && !is_forwarding(option));
            named.extend(options.map(<[u8]>::to_vec));
        }
    }
    named
}

fn is_option(text: &[u8]) -> bool {
    match text.len() {
        5 => text.eq_ignore_ascii_case(b"close"),
        7 => text.eq_ignore_ascii_case(b"upgrade"),
        10 => text.eq_ignore_ascii_case(b"keep-alive"),
        _ => false,
    }
}

/// Whether it is one of the forwarding headers that have no number of their own, in any spelling.
fn is_forwarding(name: &[u8]) -> bool {
    begins_with(name, b"x-forwarded-")
}

fn begins_with(name: &[u8], prefix: &[u8]) -> bool {
    let same = |(&b, &p): (&u8, &u8)| b.eq_ignore_ascii_case(&p) || (p == b'-' && b == b'_');
    name.len() >= prefix.len() && name.iter().zip(prefix).all(same)
}
