//! What is kept of a resource is of no use any more when somebody has changed it (RFC 9111 section 4.4).

use tollgate_plan::path;
use tollgate_wire::{HeaderBlock, Method, Name, name};

use super::key::{write_origin, write_url};
use crate::exchange::{Exchange, Outcome};

/// Forgets what is kept under the request's URL, and under those that the answer names, when the method may have changed
/// them and did not fail. On whatever route it is kept.
pub(crate) fn forget(exchange: &Exchange<'_>, outcome: &mut Outcome<'_>) {
    if matches!(exchange.kit.head.method, Method::Get | Method::Head | Method::Options)
        || !exchange.active.caches.any
        || exchange.is_explained()
    {
        return;
    }
    if (200..400).contains(&outcome.status()) {
        forget_all(exchange, outcome.headers());
    }
}

fn forget_all(exchange: &Exchange<'_>, headers: &HeaderBlock) {
    // Asked anew: what was read of the resource until now may be what it was before.
    let now = exchange.worker.clock.now();
    let stamps = &exchange.active.caches.stamps;
    let mut url = exchange.worker.spare.buffer();
    write_url(exchange, &mut url);
    stamps.invalidate(&url, now);
    for name in [name::LOCATION, name::CONTENT_LOCATION] {
        if write_named(exchange, headers, &name, &mut url).is_some() {
            stamps.invalidate(&url, now);
        }
    }
    exchange.worker.spare.keep_buffer(url);
}

/// A URL of the same origin that the answer names; others are not the service's to speak of.
fn write_named(exchange: &Exchange<'_>, headers: &HeaderBlock, name: &Name, url: &mut Vec<u8>) -> Option<()> {
    let named = headers.only(name)?;
    url.clear();
    write_origin(exchange, url);
    let target = match named.split_at_checked(url.len()) {
        Some((origin, rest)) if origin.eq_ignore_ascii_case(url) => rest,
        _ => named,
    };
    let target = target.split(|byte| *byte == b'#').next().unwrap_or_default();
    let at = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let (path, query) = target.split_at(at);
    if path.starts_with(b"//") {
        return None;
    }
    url.extend_from_slice(path::normalize(path).ok()?.as_bytes());
    url.extend_from_slice(query);
    Some(())
}
