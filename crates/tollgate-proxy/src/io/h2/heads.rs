//! Heads of HTTP/2 written out as HTTP/1 has them, for the parser that reads those: what is ambiguous is refused in one
//! place. No sockets, no requests: parts in, text out.

use http::header::{self, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, StatusCode};

use super::fields::{is_connection_specific, write_field};

/// What HTTP/2 forbids in a request and the library lets pass (RFC 9113 sections 8.2.1, 8.2.2 and 8.3.1); an error says
/// what is wrong.
pub(crate) fn check_request(parts: &Parts) -> Result<(), &'static str> {
    if parts.method != http::Method::CONNECT && parts.uri.path().is_empty() {
        return Err("a request has no path");
    }
    for (name, value) in &parts.headers {
        if is_connection_specific(name) {
            return Err("a field of HTTP/1 connections came over HTTP/2");
        }
        if *name == header::TE && !value.as_bytes().eq_ignore_ascii_case(b"trailers") {
            return Err("TE over HTTP/2 can say trailers only");
        }
        if value.as_bytes().trim_ascii().len() != value.len() {
            return Err("white space stands around the value of a field");
        }
    }
    Ok(())
}

/// Appends the head of a request that passed [`check_request`].
pub(crate) fn write_request(parts: &Parts, out: &mut Vec<u8>) {
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
            write_field(out, b"cookie", &cookies(&parts.headers));
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The cookies as one line: HTTP/2 may send each on its own (RFC 9113 section 8.2.3).
fn cookies(headers: &HeaderMap) -> Vec<u8> {
    let mut joined = Vec::new();
    for (at, crumb) in headers.get_all(header::COOKIE).iter().enumerate() {
        if at > 0 {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(crumb.as_bytes());
    }
    joined
}

/// Appends the head of an answer. HTTP/2 has no reason phrase: who speaks HTTP/1 to the gateway gets the usual one.
pub(crate) fn write_response(status: StatusCode, headers: &HeaderMap, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        write_field(out, name.as_str().as_bytes(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

// The fuzz target has this file by a path of its own, from where that one would be another.
#[cfg(test)]
#[path = "heads/properties.rs"]
mod properties;
