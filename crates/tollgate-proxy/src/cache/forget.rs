//! What is kept of a resource is of no use any more when somebody has changed it (RFC 9111 section 4.4).

use std::borrow::Cow;

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
    url.clear();
    write_origin(exchange, url);
    let (path, query) = resolve(url, exchange.path(), headers.only(name)?)?;
    url.extend_from_slice(path.as_bytes());
    url.extend_from_slice(query);
    Some(())
}

/// The path in normal form, and the query with its `?`, that a reference means where `path` of `origin` was asked for
/// (RFC 3986 section 5.2); none where it leaves the origin, or is the same URL.
fn resolve<'a>(origin: &[u8], path: &str, reference: &'a [u8]) -> Option<(Box<str>, &'a [u8])> {
    let reference = reference.split(|byte| *byte == b'#').next().unwrap_or_default();
    let authority = origin.iter().position(|byte| *byte == b'/')?;
    let begins = match reference.iter().find(|byte| b":/?".contains(byte)) {
        Some(b':') => origin,
        _ if reference.starts_with(b"//") => origin.get(authority..)?,
        _ => b"",
    };
    let (begin, rest) = reference.split_at_checked(begins.len())?;
    if !begin.eq_ignore_ascii_case(begins) {
        return None;
    }
    let at = rest.iter().position(|byte| *byte == b'?').unwrap_or(rest.len());
    let (named, query) = rest.split_at(at);
    let named = match named {
        [] if !begins.is_empty() => Cow::Borrowed(&b"/"[..]),
        [] if query.is_empty() => return None,
        [] => Cow::Borrowed(path.as_bytes()),
        [b'/', ..] => Cow::Borrowed(named),
        // The authority goes on: it is another one.
        _ if !begins.is_empty() => return None,
        _ => Cow::Owned([path.get(..=path.rfind('/')?)?.as_bytes(), named].concat()),
    };
    Some((path::normalize(&named).ok()?.into(), query))
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[track_caller]
    fn check(reference: &str, expect: Option<&str>) {
        let found = resolve(b"http://test:1", "/a/b", reference.as_bytes());
        let found = found.map(|(path, query)| format!("{path}{}", String::from_utf8_lossy(query)));
        assert_eq!(found.as_deref(), expect, "{reference}");
    }

    #[test]
    fn references_are_resolved_against_what_was_asked_for() {
        check("/c?d=/e:f", Some("/c?d=/e:f"));
        check("c", Some("/a/c"));
        check("./c/", Some("/a/c/"));
        check("../c?d", Some("/c?d"));
        check("c?d:e", Some("/a/c?d:e"));
        check("?d", Some("/a/b?d"));
        check("http://test:1/c#d", Some("/c"));
        check("HTTP://TEST:1", Some("/"));
        check("//test:1/c", Some("/c"));
        check("//test:1?d", Some("/?d"));
        check("http://test:1//c", Some("/c"));
    }

    #[test]
    fn other_origins_and_the_same_url_are_nothing() {
        for reference in [
            "",
            "#d",
            "//another/c",
            "https://test:1/c",
            "http://test/c",
            "http://test:12/c",
            "http://test:1x",
            "//test:10/c",
            "http:c",
            "c:d",
            "../../c",
        ] {
            check(reference, None);
        }
    }
}
