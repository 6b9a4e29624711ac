//! Headers that are for one connection only (RFC 9110 section 7.6.1).

use crate::block::HeaderBlock;
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

/// Removes what is for this connection only: `Connection` and what it names, and the fields that always are.
///
/// Names of fields that the gateway owns or needs (Host, the forwarding headers, credentials, what describes
/// the content) are ignored in `Connection`. `TE` stays only as `TE: trailers`. `Content-Length` stays.
pub fn remove_hop_by_hop(headers: &mut HeaderBlock) {
    let trailers = headers.has_token(&name::TE, "trailers");
    if headers.seen().meets(HOP_BY_HOP) {
        let named = named_by_connection(headers);
        headers.retain_entries(|entry| match entry.known() {
            Some(known) if HOP_BY_HOP.has(known) => false,
            Some(known) if KEPT.has(known) => true,
            _ => !named.iter().any(|name| entry.name().eq_ignore_ascii_case(name)),
        });
    }
    if trailers {
        headers.set(&name::TE, b"trailers");
    } else {
        headers.remove(&name::TE);
    }
}

/// What `Connection` names beside the options that have a meaning of their own. Usually nothing, which costs
/// no allocation.
fn named_by_connection(headers: &HeaderBlock) -> Vec<Vec<u8>> {
    let is_option = |option: &[u8]| {
        [&b"close"[..], b"keep-alive", b"upgrade"].iter().any(|known| option.eq_ignore_ascii_case(known))
    };
    headers
        .list(&name::CONNECTION)
        .filter(|option| !is_option(option) && !is_forwarding(option))
        .map(<[u8]>::to_vec)
        .collect()
}

/// Whether it is one of the forwarding headers that have no number of their own, in any spelling.
fn is_forwarding(name: &[u8]) -> bool {
    let prefix = b"x-forwarded-";
    name.len() >= prefix.len()
        && name.iter().zip(prefix).all(|(&b, &p)| b.eq_ignore_ascii_case(&p) || (p == b'-' && b == b'_'))
}
