//! The head of a request that came over HTTP/2, brought into the form of HTTP/1 and read as such.
//!
//! So one parser decides what is ambiguous, for both: what could not stand in an HTTP/1 request is refused here too
//! (RFC 9113 section 10.3), and everything behind this place sees one form. `:scheme` is not trusted for anything: whether
//! the client's connection is protected, the gateway knows by itself.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use tollgate_plan::Reason;
use tollgate_wire::{HeadLimits, HeadProgress, Method, Parsed, parse_request};

use crate::exchange::{Glimpse, Reject};
use crate::io::{is_connection_specific, write_field};
use crate::listen::glimpse;
use crate::listen::head::refuse;
use crate::worker::{Kit, Worker};

/// Why a head is no request.
pub(super) enum Refusal {
    /// It is answered.
    Answer(Reject),
    /// It breaks the rules of HTTP/2 (RFC 9113 section 8.1.1): its stream is reset, and this is what the log says.
    Reset(Reject),
}

/// Reads the head; `ended` says that no body follows. With a refusal comes what is certain of the head all the same.
pub(super) fn read(
    worker: &Worker,
    parts: &Parts,
    ended: bool,
    limits: &HeadLimits,
) -> Result<Box<Kit>, Box<(Refusal, Glimpse)>> {
    parse(worker, parts, ended, limits).map_err(|refusal| {
        let (Refusal::Answer(reject) | Refusal::Reset(reject)) = &refusal;
        let read = glimpse(parts, limits, reject.reason != Reason::BadHost);
        Box::new((refusal, read))
    })
}

/// What a head says that is refused. It came whole, so its host is known unless that is what it is refused for.
pub(super) fn glimpse(parts: &Parts, limits: &HeadLimits, host_known: bool) -> Glimpse {
    let path = Some(parts.uri.path()).filter(|path| path.len() <= limits.uri_bytes).unwrap_or_default();
    let authority = parts.uri.authority().filter(|_| host_known);
    let authority = authority.map(|authority| authority.as_str().as_bytes());
    glimpse::of(Method::parse(parts.method.as_str().as_bytes()), path.as_bytes(), authority)
}

fn parse(worker: &Worker, parts: &Parts, ended: bool, limits: &HeadLimits) -> Result<Box<Kit>, Refusal> {
    check(parts)?;
    // Cookies are one line, however many fields they came in.
    let more_cookies = parts.headers.get_all(header::COOKIE).iter().skip(1).count();
    if parts.headers.len() - more_cookies > limits.header_count {
        // Not even written out.
        return Err(Refusal::Answer(Reject::new(Reason::HeadersTooLarge, "the head has too many lines")));
    }
    let mut text = std::mem::take(&mut worker.scratch.borrow_mut().out);
    text.clear();
    write(parts, &mut text);
    let mut kit = worker.spare.kit();
    let parsed = parse_request(&text, &mut HeadProgress::default(), limits, &mut kit.head);
    worker.scratch.borrow_mut().out = text;
    match parsed {
        Ok(Parsed::Complete(_)) => {
            kit.head.over_http2(ended);
            Ok(kit)
        }
        Ok(Parsed::Partial) => Err(Refusal::Answer(Reject::internal("a head that was written whole is not"))),
        Err(error) => Err(Refusal::Answer(refuse(error))),
    }
}

/// What HTTP/2 forbids and the library lets pass (RFC 9113 sections 8.2.1, 8.2.2 and 8.3.1).
fn check(parts: &Parts) -> Result<(), Refusal> {
    let malformed = |what| Err(Refusal::Reset(Reject::new(Reason::BadHeader, what)));
    if parts.method != http::Method::CONNECT && parts.uri.path().is_empty() {
        return malformed("a request has no path");
    }
    for (name, value) in &parts.headers {
        if is_connection_specific(name) {
            return malformed("a field of HTTP/1 connections came over HTTP/2");
        }
        if *name == header::TE && !value.as_bytes().eq_ignore_ascii_case(b"trailers") {
            return malformed("TE over HTTP/2 can say trailers only");
        }
        if value.as_bytes().trim_ascii().len() != value.len() {
            return malformed("white space stands around the value of a field");
        }
    }
    Ok(())
}

fn write(parts: &Parts, out: &mut Vec<u8>) {
    let authority = parts.uri.authority().map(Authority::as_str);
    let same = |host: &HeaderValue| {
        authority.is_none_or(|authority| host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()))
    };
    let agree = parts.headers.get_all(header::HOST).iter().all(same);
    out.extend_from_slice(parts.method.as_str().as_bytes());
    out.push(b' ');
    match authority {
        // Only a target with an authority lets the parser see that they differ.
        Some(authority) if !agree || parts.method == http::Method::CONNECT => {
            if parts.method != http::Method::CONNECT {
                out.extend_from_slice(b"http://");
            }
            out.extend_from_slice(authority.as_bytes());
        }
        _ => {}
    }
    if parts.method != http::Method::CONNECT {
        let target = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        out.extend_from_slice(target.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    match authority {
        Some(authority) if !parts.headers.contains_key(header::HOST) => {
            write_field(out, b"host", authority.as_bytes());
        }
        _ => {}
    }
    let mut cookies_written = false;
    for (name, value) in &parts.headers {
        if *name != header::COOKIE {
            write_field(out, name.as_str().as_bytes(), value.as_bytes());
        } else if !std::mem::replace(&mut cookies_written, true) {
            write_field(out, b"cookie", &cookies(parts));
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The cookies as one line: HTTP/2 may send each on its own (RFC 9113 section 8.2.3).
fn cookies(parts: &Parts) -> Bytes {
    let mut crumbs = parts.headers.get_all(header::COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else {
        return parts
            .headers
            .get(header::COOKIE)
            .map(HeaderValue::as_bytes)
            .unwrap_or_default()
            .to_vec()
            .into();
    };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    joined.into()
}
