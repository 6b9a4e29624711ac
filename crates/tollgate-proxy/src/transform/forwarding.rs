//! The headers in which a proxy speaks for itself: who the client is, which request this is, who was on the way.
//!
//! The gateway owns them. Copies from an untrusted client are gone when the request gets here; a trusted proxy's stay, in
//! the standard spelling only, for the others it cannot vouch for.

use tollgate_wire::{EntryRef, Name, Version, name, speaks_for_client};

use crate::exchange::Exchange;

/// Whether a line of the client goes on. The lines that the gateway writes itself do not.
pub(super) fn keeps(exchange: &Exchange<'_>, entry: EntryRef<'_>) -> bool {
    if let Some(trace) = exchange.trace.as_deref() {
        // Each attempt names its own span; and the state of a trace that does not go on is nobody's.
        let state = || entry.is(&name::TRACESTATE) && !trace.keeps_state();
        if entry.is(&name::TRACEPARENT) || state() {
            return false;
        }
    }
    if !speaks_for_client(entry) {
        return true;
    }
    let rewritten = entry.is(&name::X_FORWARDED_FOR) || entry.is(&name::X_REQUEST_ID);
    !rewritten && !entry.name().contains(&b'_')
}

/// Writes the gateway's own lines.
pub(super) fn write(exchange: &Exchange<'_>, value: &mut Vec<u8>, mut put: impl FnMut(&Name, &[u8])) {
    let (facts, headers) = (&exchange.facts, &exchange.kit.head.headers);
    let sent = |name: &Name| facts.trusted && headers.contains(name);
    forwarded_for(exchange, value);
    if !value.is_empty() {
        put(&name::X_FORWARDED_FOR, value);
    }
    if !sent(&name::X_FORWARDED_PROTO) {
        put(&name::X_FORWARDED_PROTO, facts.scheme.as_bytes());
    }
    if !sent(&name::X_FORWARDED_HOST)
        && let Some(authority) = exchange.kit.head.authority()
    {
        put(&name::X_FORWARDED_HOST, authority);
    }
    put(&name::X_REQUEST_ID, facts.id.as_bytes());
    // The received protocol version stands in front (RFC 9110 section 7.6.3).
    let via: &[u8] = match exchange.kit.head.version {
        Version::Http10 => b"1.0 tollgate",
        Version::Http11 => b"1.1 tollgate",
        Version::Http2 => b"2 tollgate",
    };
    put(&name::VIA, via);
}

/// What a trusted proxy says of the way so far, then the peer.
fn forwarded_for(exchange: &Exchange<'_>, value: &mut Vec<u8>) {
    value.clear();
    let (facts, client) = (&exchange.facts, &exchange.client);
    if facts.trusted {
        for line in exchange.kit.head.headers.get_all(&name::X_FORWARDED_FOR) {
            value.extend_from_slice(line);
            value.extend_from_slice(b", ");
        }
        if value.is_empty()
            && facts.client_ip != client.peer
            && let Some(ip) = facts.client_ip
        {
            // The client was named by `Forwarded`.
            value.extend_from_slice(format!("{ip}, ").as_bytes());
        }
    }
    value.extend_from_slice(client.peer_text.as_bytes());
}
