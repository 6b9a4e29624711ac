//! What holds for any head at all that the library lets through. Used by the fuzz target, and by the tests here on its
//! seeds.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use tollgate_wire::{
    BodyLength, HeadLimits, HeadProgress, Parsed, RequestHead, ResponseHead, TrailersOf, parse_request,
    parse_response,
};

use crate::io::h2::fields::{field_map, is_connection_specific, trailer_block};
use crate::io::h2::heads::{check_request, write_request, write_response};

const LIMITS: HeadLimits = HeadLimits { header_bytes: 4096, header_count: 32, uri_bytes: 1024 };

/// Lines: method, scheme, authority and path, each empty where it is missing, then fields as `name: value`. The head
/// as that of a request, of an answer, and as trailers. Whether it was taken as a request.
pub(crate) fn http2_head(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (method, scheme, authority, path) = (next(), next(), next(), next());
    let mut fields = HeaderMap::new();
    for line in lines.take(40) {
        // As the library reads them: names in lower case, values of any visible bytes.
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_lowercase(name);
        let value = value.get(1..).unwrap_or_default();
        let value = HeaderValue::from_bytes(value.strip_prefix(b" ").unwrap_or(value));
        if let (Ok(name), Ok(value)) = (name, value) {
            fields.append(name, value);
        }
    }
    answer(method, &fields);
    trailers(&fields);
    request(method, scheme, authority, path, fields).unwrap_or(false)
}

/// None: the library itself refuses it.
fn request(method: &[u8], scheme: &[u8], authority: &[u8], path: &[u8], fields: HeaderMap) -> Option<bool> {
    let mut uri = http::uri::Parts::default();
    // CONNECT has an authority and nothing else (RFC 9113 section 8.5).
    let connect = method == b"CONNECT";
    if !authority.is_empty() {
        uri.authority = Some(Authority::from_maybe_shared(Bytes::copy_from_slice(authority)).ok()?);
        uri.scheme = if connect { None } else { Some(Scheme::try_from(scheme).ok()?) };
    }
    if !connect && (!path.is_empty() || !authority.is_empty()) {
        uri.path_and_query = Some(PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(path)).ok()?);
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method).ok()?;
    *request.uri_mut() = Uri::from_parts(uri).ok()?;
    *request.headers_mut() = fields;
    let (parts, ()) = request.into_parts();
    if check_request(&parts).is_err() {
        return Some(false);
    }
    let mut text = Vec::new();
    write_request(&parts, &mut text);
    let mut head = RequestHead::default();
    let parsed = parse_request(&text, &mut HeadProgress::default(), &LIMITS, &mut head);
    let shown = text.escape_ascii();
    let Ok(parsed) = parsed else { return Some(false) };

    // All of it is one head, of what came and of nothing else.
    assert_eq!(parsed, Parsed::Complete(text.len()), "{shown}");
    assert_eq!(head.method.as_str(), parts.method.as_str(), "{shown}");
    let host = usize::from(!parts.headers.contains_key("host") && parts.uri.authority().is_some());
    let crumbs = parts.headers.get_all("cookie").iter().count().saturating_sub(1);
    assert_eq!(head.headers.len(), parts.headers.len() + host - crumbs, "{shown}");
    for (name, value) in head.headers.iter() {
        let name = HeaderName::from_bytes(name).expect("a name that came");
        let mut came = parts.headers.get_all(&name).iter();
        let whole = name == "cookie" || name == "content-length" || name == "host";
        assert!(whole || came.any(|known| known.as_bytes() == value), "{shown}");
        assert!(!is_connection_specific(&name), "{shown}");
    }
    // Only a length frames it: there are no chunks to smuggle in.
    assert!(!matches!(head.body, BodyLength::Chunked | BodyLength::UntilClose), "{shown}");
    if parts.method != Method::CONNECT {
        let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str).as_bytes();
        assert!(head.target().ends_with(path), "{shown}");
    }
    if let Some(authority) = parts.uri.authority() {
        let hosts = head.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"host"));
        // The port that a clear-text URL has anyway may be left out.
        let bare = |host: &[u8]| host.strip_suffix(b":80").unwrap_or(host).to_ascii_lowercase();
        for (_, host) in hosts {
            assert_eq!(bare(host), bare(authority.as_str().as_bytes()), "{shown}");
        }
    }
    Some(true)
}

/// The head of an answer: what the status and the fields say, or a refusal.
fn answer(status: &[u8], fields: &HeaderMap) {
    let status = status.iter().fold(7_u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(u16::from(*byte)));
    let Ok(status) = StatusCode::from_u16(100 + status % 900) else { return };
    let mut text = Vec::new();
    write_response(status, fields, &mut text);
    let method = tollgate_wire::Method::Get;
    let mut head = ResponseHead::default();
    let parsed = parse_response(&text, &mut HeadProgress::default(), &LIMITS, &method, &mut head);
    let shown = text.escape_ascii();
    let Ok(parsed) = parsed else { return };

    assert_eq!(parsed, Parsed::Complete(text.len()), "{shown}");
    assert_eq!(head.status, status.as_u16(), "{shown}");
    // What goes on to a client over HTTP/2 is no field of a connection, and each is one that came.
    let map = field_map(&head.headers);
    assert!(map.keys().all(|name| !is_connection_specific(name)), "{shown}");
    for (name, value) in &map {
        let known =
            fields.get_all(name).iter().any(|known| known.as_bytes().trim_ascii() == value.as_bytes());
        assert!(known || name == "content-length", "{shown}");
    }
}

/// Fields behind a body: none of them says anything about the message.
fn trailers(fields: &HeaderMap) {
    for of in [TrailersOf::Request, TrailersOf::Response] {
        let Ok(block) = trailer_block(fields, of, &LIMITS) else { continue };
        assert!(block.len() <= fields.len());
        for (name, value) in block.iter() {
            let name = HeaderName::from_bytes(name).expect("a name that came");
            assert!(!["content-length", "transfer-encoding", "host"].contains(&name.as_str()), "{name}");
            assert!(
                fields.get_all(&name).iter().any(|known| known.as_bytes().trim_ascii() == value),
                "{name}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn heads_of_both_versions() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/http2_head");
        let (mut good, mut bad) = (0, 0);
        for file in fs::read_dir(folder).unwrap() {
            let seed = fs::read(file.unwrap().path()).unwrap();
            for at in 0..=seed.len() {
                let mut changed = seed.clone();
                // The last one is the seed itself.
                if let Some(byte) = changed.get_mut(at) {
                    *byte ^= 1 << (at % 8);
                }
                if http2_head(&changed) { good += 1 } else { bad += 1 }
            }
        }
        assert!(good >= 4 && bad >= 4, "{good} are requests, {bad} are not");
    }
}
