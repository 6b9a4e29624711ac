//! Stage 12: what the client will be sent of the upstream's head.

use tollgate_plan::route::HeaderEdit;
use tollgate_wire::{HeaderBlock, Name, name, remove_hop_by_hop};

use crate::exchange::{Cached, Exchange, Outcome, Reject};

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

/// Edits what a refusal says beside its document, as the route edits answers: what browsers are told of a site holds for
/// refusals, too. None of the edits changes what is said of the refusal itself.
pub(crate) fn refusal(exchange: &Exchange<'_>, outcome: &mut Result<Outcome<'_>, Reject>) {
    let (Err(reject), Some(route)) = (outcome, exchange.matched()) else { return };
    let Some(edits) = route.response.as_deref().filter(|edits| !edits.headers.is_empty()) else { return };
    let mut value = exchange.worker.spare.buffer();
    for edit in &edits.headers {
        let (HeaderEdit::Remove(name) | HeaderEdit::Set(name, _) | HeaderEdit::Add(name, _)) = edit;
        if !is_of_the_refusal(name) {
            edit_headers(std::slice::from_ref(edit), exchange, &mut reject.headers, &mut value);
        }
    }
    exchange.worker.spare.keep_buffer(value);
}

/// Whether a header says why a request is refused, what it takes to pass, what the document is or that nobody keeps it.
fn is_of_the_refusal(name: &Name) -> bool {
    const REFUSED: [Name; 4] = [name::ALLOW, name::CACHE_CONTROL, name::RETRY_AFTER, name::WWW_AUTHENTICATE];
    // Of the service's answer: a document that said it is compressed could not be read.
    const OF_THE_ANSWER: [Name; 4] = [name::AGE, name::ETAG, name::EXPIRES, name::LAST_MODIFIED];
    let text = name.as_str().as_bytes();
    let of_content = text.starts_with(b"content-") && !text.starts_with(b"content-security-policy");
    REFUSED.contains(name)
        || OF_THE_ANSWER.contains(name)
        || of_content
        || text.starts_with(b"grpc-")
        || is_of_one_kind_of_cache(text)
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
