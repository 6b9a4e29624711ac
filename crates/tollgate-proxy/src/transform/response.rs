//! Stage 12: what the client will be sent of the upstream's head.

use tollgate_plan::route::HeaderEdit;
use tollgate_wire::{HeaderBlock, name, remove_hop_by_hop};

use crate::exchange::{Cached, Exchange};

/// Edits the upstream's headers for the client.
pub(crate) fn response(exchange: &Exchange<'_>, headers: &mut HeaderBlock) {
    remove_hop_by_hop(headers);
    let Some(route) = exchange.matched() else { return };
    if let Some(edits) = &route.response {
        let mut value = exchange.worker.spare.buffer();
        edit_headers(&edits.headers, exchange, headers, &mut value);
        exchange.worker.spare.keep_buffer(value);
    }
    // What was kept is whole, also where it is given because parts failed now.
    let is_kept = exchange.seen.cache.get() == Some(Cached::Stale);
    if exchange.seen.parts_failed.get().is_some() && !is_kept {
        // The next request may get all of it: no edit makes caches keep what is not whole.
        headers.set(&name::CACHE_CONTROL, b"no-store");
        // Those of one kind of cache come before the one of all (RFC 9213).
        headers.retain_entries(|entry| !is_of_one_kind_of_cache(entry.name()));
    }
}

/// `CDN-Cache-Control` and the like of vendors.
fn is_of_one_kind_of_cache(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    name == b"surrogate-control" || name.ends_with(b"-cache-control")
}

/// Applies a route's header edits.
fn edit_headers(
    edits: &[HeaderEdit],
    exchange: &Exchange<'_>,
    headers: &mut HeaderBlock,
    value: &mut Vec<u8>,
) {
    for edit in edits {
        match edit {
            HeaderEdit::Remove(name) => {
                headers.remove(name);
            }
            HeaderEdit::Set(name, template) => {
                value.clear();
                template.render_header(exchange, value);
                headers.set(name, value);
            }
            HeaderEdit::Add(name, template) => {
                value.clear();
                template.render_header(exchange, value);
                headers.append(name, value);
            }
        }
    }
}
