//! The headers in which a proxy speaks for itself: who the client is, which request this is, who was on the way.
//!
//! The gateway owns them. Copies from an untrusted client go in every spelling: an application that reads
//! headers through CGI names cannot tell `X_Forwarded_For` from `X-Forwarded-For`.

use tollgate_wire::{HeaderBlock, Version, name};

use crate::exchange::Exchange;

/// Replaces or extends them for the upstream.
pub(super) fn set(exchange: &Exchange<'_>, headers: &mut HeaderBlock, value: &mut Vec<u8>) {
    let facts = &exchange.facts;
    if !facts.trusted {
        headers.retain(|name, _| !is_forwarding(name));
    } else {
        // The standard spellings are the proxy's own; the others it cannot vouch for.
        headers.retain(|name, _| !(name.contains(&b'_') && is_forwarding(name)));
    }
    value.clear();
    forwarded_for(exchange, headers, value);
    if !value.is_empty() {
        headers.set(&name::X_FORWARDED_FOR, value);
    }
    if !headers.contains(&name::X_FORWARDED_PROTO) {
        headers.set(&name::X_FORWARDED_PROTO, facts.scheme.as_bytes());
    }
    if !headers.contains(&name::X_FORWARDED_HOST)
        && let Some(authority) = exchange.head.authority()
    {
        headers.set(&name::X_FORWARDED_HOST, authority);
    }
    headers.set(&name::X_REQUEST_ID, facts.id.as_str().as_bytes());
    // The received protocol version stands in front (RFC 9110 section 7.6.3).
    let via: &[u8] = match exchange.head.version {
        Version::Http10 => b"1.0 tollgate",
        Version::Http11 => b"1.1 tollgate",
    };
    headers.append(&name::VIA, via);
}

/// What is known of the way so far, then the peer.
fn forwarded_for(exchange: &Exchange<'_>, headers: &HeaderBlock, value: &mut Vec<u8>) {
    for line in headers.get_all(&name::X_FORWARDED_FOR) {
        value.extend_from_slice(line);
        value.extend_from_slice(b", ");
    }
    let client = &exchange.client;
    if value.is_empty()
        && exchange.facts.client_ip != client.peer
        && let Some(ip) = exchange.facts.client_ip
    {
        // The client was named by `Forwarded`.
        value.extend_from_slice(format!("{ip}, ").as_bytes());
    }
    value.extend_from_slice(client.peer_text.as_bytes());
}

/// Whether the name is one of the gateway's own, underscores read as hyphens.
fn is_forwarding(name: &[u8]) -> bool {
    let is = |wanted: &[u8]| name.len() == wanted.len() && starts(name, wanted);
    match name.first() {
        Some(b'x' | b'X') => {
            starts(name, b"x-forwarded-") || is(b"x-real-ip") || is(b"x-request-id") || is(b"x-forwarded")
        }
        Some(b'f' | b'F') => is(b"forwarded"),
        _ => false,
    }
}

fn starts(name: &[u8], wanted: &[u8]) -> bool {
    let same =
        |(&byte, &wanted): (&u8, &u8)| byte.eq_ignore_ascii_case(&wanted) || (byte == b'_' && wanted == b'-');
    name.len() >= wanted.len() && name.iter().zip(wanted).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_recognised() {
        for name in [
            "X-Forwarded-For",
            "x_forwarded_for",
            "X-Forwarded_Host",
            "x-real-ip",
            "X_Real_IP",
            "FORWARDED",
            "x-forwarded-anything",
            "X-Request-ID",
            "x_request_id",
        ] {
            assert!(is_forwarding(name.as_bytes()), "{name}");
        }
        for name in ["X-Forward", "x-real-ip2", "forwarded-for", "x-requestid", "via", ""] {
            assert!(!is_forwarding(name.as_bytes()), "{name}");
        }
    }
}
