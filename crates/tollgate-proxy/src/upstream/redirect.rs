//! `follow_redirects`: whether an answer sends the request on within its upstream, and where.
//!
//! Whoever can make a service redirect could otherwise make the gateway fetch what he likes, from inside the network. So
//! only the upstream's own targets are gone to, and of those only what lies below their prefix; any other redirect is
//! the client's.

use tollgate_plan::issuer::HttpUrl;
use tollgate_plan::path;
use tollgate_plan::upstream::{Address, Target};
use tollgate_wire::{Method, name};

use super::retry::has_body;
use crate::exchange::{Answer, Exchange, Origin, Outgoing};
use crate::pump::Upload;

/// Where a redirect goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Onward {
    /// The index of the target.
    pub(super) target: usize,
    /// Path and query, without the target's prefix.
    path: Vec<u8>,
    /// GET is asked for in the place of the method, and without a body.
    as_get: bool,
    /// The target has another scheme, host or port than the one that answered.
    leaves_origin: bool,
}

/// Where the answer of the target at `at` to what was sent sends it on; none when it is the client's.
pub(super) fn onward(
    exchange: &Exchange<'_>,
    targets: &[Target],
    at: usize,
    sent: &Outgoing,
    answer: &Answer,
) -> Option<Onward> {
    let as_get = becomes_get(answer.head.status, exchange.sent_method())?;
    if exchange.websocket || !is_movable(exchange, answer, as_get) {
        return None;
    }
    let location = answer.head.headers.only(&name::LOCATION)?;
    let (target, path) = resolve(targets, at, &sent.target, location)?;
    let asked = match exchange.origin {
        Origin::Gateway { target: Some(only) } => only == target,
        Origin::Gateway { target: None } | Origin::Client => true,
    };
    if !asked || path.len() > exchange.active.plan.limits.uri_bytes {
        return None;
    }
    let leaves_origin = origin(targets.get(at)?) != origin(targets.get(target)?);
    Some(Onward { target, path, as_get, leaves_origin })
}

impl Onward {
    /// Makes the request into the one that goes there. Gives back its body, if it still has one.
    pub(super) fn turn(
        self,
        exchange: &Exchange<'_>,
        outgoing: &mut Outgoing,
        upload: Option<Box<Upload>>,
    ) -> Option<Box<Upload>> {
        outgoing.target = self.path;
        // What was redirected said how long, and for whom; what comes now speaks of another resource.
        exchange.seen.unkept.set(true);
        if exchange.validators.is_some() {
            outgoing.remove_conditions();
        }
        if self.leaves_origin {
            outgoing.remove_credentials();
        }
        if !self.as_get {
            return upload;
        }
        outgoing.remove_body_lines();
        exchange.as_get.set(true);
        None
    }
}

/// Whether GET is asked for next; none when the status is no redirect. As everybody does it (Fetch, section 4.4): after
/// 303 whatever was asked but HEAD, and after 301 and 302 what POST asked for.
fn becomes_get(status: u16, method: &Method) -> Option<bool> {
    match status {
        301 | 302 => Some(*method == Method::Post),
        303 => Some(!matches!(method, Method::Get | Method::Head)),
        307 | 308 => Some(false),
        _ => None,
    }
}

/// Whether the body is no hindrance: it can be sent again, or all of it was read and none of it is sent.
fn is_movable(exchange: &Exchange<'_>, answer: &Answer, as_get: bool) -> bool {
    let upload = answer.upload.as_deref();
    match as_get {
        _ if !has_body(exchange) => true,
        true => upload.is_none_or(Upload::is_read),
        false => upload.is_some_and(Upload::can_restart),
    }
}

/// The target that a `Location` points to, and what is asked of it behind its prefix (RFC 3986 section 5.2).
fn resolve(targets: &[Target], at: usize, sent: &[u8], location: &[u8]) -> Option<(usize, Vec<u8>)> {
    let location = std::str::from_utf8(location).ok()?.split('#').next().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    if location.is_empty() || !location.bytes().all(plain) {
        return None;
    }
    let base = targets.get(at)?;
    let absolute = match location.find([':', '/', '?']) {
        _ if location.starts_with("//") => Some(format!("{}:{location}", origin(base).0)),
        Some(colon) if location.as_bytes().get(colon) == Some(&b':') => {
            let (scheme, rest) = location.split_at(colon);
            Some(scheme.to_ascii_lowercase() + rest)
        }
        _ => None,
    };
    let Some(absolute) = absolute else {
        return Some((at, behind_prefix(base, &joined(base, sent, location)?)?));
    };
    let url = HttpUrl::parse(&absolute).ok()?;
    let wanted = (if url.tls { "https" } else { "http" }, url.authority());
    // The one that answered, if it is meant: it may not be the only one with its origin.
    let candidates = std::iter::once((at, base)).chain(targets.iter().enumerate());
    let mut fitting = candidates.filter(|(_, target)| {
        let (scheme, authority) = origin(target);
        // What stands for a socket is nobody's authority.
        (scheme, authority) == (wanted.0, &*wanted.1) && !matches!(target.address, Address::Unix(_))
    });
    fitting.find_map(|(at, target)| Some((at, behind_prefix(target, &url.target)?)))
}

/// Scheme and authority.
fn origin(target: &Target) -> (&'static str, &str) {
    (if target.tls.is_some() { "https" } else { "http" }, &target.authority)
}

/// The path and query that a relative reference means, where `sent` was asked for behind the prefix.
fn joined(base: &Target, sent: &[u8], location: &str) -> Option<String> {
    if location.starts_with('/') {
        return Some(location.to_owned());
    }
    let sent = std::str::from_utf8(sent).ok()?;
    let path = format!("{}{}", base.prefix, sent.split('?').next().unwrap_or_default());
    let kept = match location.starts_with('?') {
        true => &*path,
        false => path.get(..=path.rfind('/')?)?,
    };
    Some(format!("{kept}{location}"))
}

/// What of a path and query stands behind the target's prefix; none when it is not below it.
fn behind_prefix(target: &Target, wanted: &str) -> Option<Vec<u8>> {
    let (path, query) = match wanted.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (wanted, None),
    };
    let path = path::normalize(path.as_bytes()).ok()?;
    let rest = path.strip_prefix(&*target.prefix)?;
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    let mut out = rest.as_bytes().to_vec();
    if let Some(query) = query {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn target(url: &str) -> Target {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (authority, prefix) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let address = match scheme {
            "unix" => Address::Unix("/run/app.sock".into()),
            _ => Address::Name { host: authority.into(), port: 0 },
        };
        Target {
            url: Arc::from(url),
            address,
            authority: authority.into(),
            prefix: prefix.into(),
            weight: 1,
            tls: (scheme == "https").then(|| "name".into()),
            http2: false,
        }
    }

    const TARGETS: [&str; 7] = [
        "http://a:3000",
        "http://b:3000/v1",
        "https://a:3000",
        "unix://localhost",
        "http://[::1]:3000",
        "http://c/x",
        "http://c/y",
    ];

    /// An answer of the target at `at` to `/sent/path?q`, and where it sends on: `<target> <path and query>`.
    #[track_caller]
    fn check(at: usize, location: &str, expect: Option<&str>) {
        let found = resolve(&TARGETS.map(target), at, b"/sent/path?q", location.as_bytes());
        let found = found.map(|(at, path)| format!("{at} {}", String::from_utf8_lossy(&path)));
        assert_eq!(found.as_deref(), expect, "{location} from {}", TARGETS[at]);
    }

    #[test]
    fn references_are_resolved_against_what_was_sent() {
        check(0, "/login", Some("0 /login"));
        check(0, "/login?a=b#part", Some("0 /login?a=b"));
        check(0, "other", Some("0 /sent/other"));
        check(0, "../up/./x//y", Some("0 /up/x/y"));
        check(0, "?page=2", Some("0 /sent/path?page=2"));
        check(0, "a?b:c/d", Some("0 /sent/a?b:c/d"));
        check(0, "//b:3000/v1/x", Some("1 /x"));
        check(0, "/%7Ex/%2f", Some("0 /~x/%2F"));
        check(1, "/v1/login", Some("1 /login"));
        check(1, "/v1", Some("1 "));
        check(1, "other", Some("1 /sent/other"));
        check(3, "/x", Some("3 /x"));
    }

    #[test]
    fn only_targets_of_the_upstream_are_gone_to() {
        check(0, "http://b:3000/v1/x?y", Some("1 /x?y"));
        check(0, "HTTP://A:3000", Some("0 /"));
        check(0, "https://a:3000/x", Some("2 /x"));
        check(2, "//a:3000/x", Some("2 /x"));
        check(0, "http://[::1]:3000/", Some("4 /"));
        check(0, "http://c:80/y/1", Some("6 /1"));
        check(5, "http://c/x/1", Some("5 /1"));
        for elsewhere in [
            "http://evil.example.com/",
            "http://a/",
            "http://a:3001/",
            "http://a:3000@evil.example.com/",
            "http://evil.example.com:3000\\@a:3000/",
            "//evil.example.com/",
            "///evil.example.com/",
            "/\\evil.example.com",
            "http:a:3000/",
            "http:/a:3000/",
            "ftp://a:3000/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http://localhost/x",
            "http://169.254.169.254/latest/meta-data",
            "",
            "#part",
            "/a b",
            "/é",
            "/%zz",
            "/../../..",
            "/a\0b",
        ] {
            check(0, elsewhere, None);
        }
    }

    #[test]
    fn a_prefix_is_not_left() {
        for outside in
            ["/", "/admin", "/v1x", "/v1/../admin", "../../admin", "http://b:3000/", "http://b:3000/v10"]
        {
            check(1, outside, None);
        }
    }

    #[test]
    fn methods() {
        for (status, method, expect) in [
            (301, Method::Get, Some(false)),
            (302, Method::Post, Some(true)),
            (301, Method::Put, Some(false)),
            (303, Method::Put, Some(true)),
            (303, Method::Head, Some(false)),
            (307, Method::Post, Some(false)),
            (308, Method::Delete, Some(false)),
            (300, Method::Get, None),
            (304, Method::Get, None),
            (200, Method::Get, None),
        ] {
            assert_eq!(becomes_get(status, &method), expect, "{status} to {method:?}");
        }
    }
}
