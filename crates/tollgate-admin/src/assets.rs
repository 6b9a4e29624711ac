//! The console: its page at `/`, and what the page loads below `/assets/`.
//!
//! They are bundled from `console/` and committed, so that building needs no Node; `cargo xtask console` bundles them
//! anew. They hold nothing of this gateway: what the console shows it asks the API for, with the admin token.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;

/// The page: small, and never compressed.
const PAGE: &str = include_str!("../../../console/dist/index.html");

/// Something that the page loads. The name has a hash of what it holds.
struct Asset {
    name: &'static str,
    kind: &'static str,
    gzip: &'static [u8],
}

static ASSETS: &[Asset] = &include!("../../../console/dist/assets.in");

/// Nothing from elsewhere, nothing inline, no frame around it, no form that leaves it, and no text that becomes markup.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);

/// A name with a hash never means anything else.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Asked for again each time, and mostly answered by 304.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

static PAGE_TAG: LazyLock<String> = LazyLock::new(|| tag(PAGE.as_bytes()));

/// Whether a path is the console's: the page must be there before it can ask for a token.
pub(crate) fn is_console(path: &str) -> bool {
    path == "/" || path.strip_prefix("/assets/").is_some_and(|name| !name.contains('/'))
}

/// `GET /`.
pub(crate) async fn page(headers: HeaderMap) -> Response {
    let mut response = if known(&headers, &PAGE_TAG) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], PAGE).into_response()
    };
    let more = response.headers_mut();
    more.insert(header::CACHE_CONTROL, ASK_AGAIN);
    more.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    more.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    more.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    more.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    insert_tag(more, &PAGE_TAG);
    response
}

/// `GET /assets/{name}`.
pub(crate) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", "no such part of the console"));
    };
    let tag = format!("\"{}\"", asset.name);
    let mut response = if known(&headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else if takes_gzip(&headers) {
        let kind = [(header::CONTENT_TYPE, asset.kind), (header::CONTENT_ENCODING, "gzip")];
        (kind, asset.gzip).into_response()
    } else {
        let mut plain = Vec::new();
        if let Err(error) = flate2::read::GzDecoder::new(asset.gzip).read_to_end(&mut plain) {
            tracing::error!(%error, name = asset.name, "a part of the console is broken");
            return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "it cannot be read"));
        }
        ([(header::CONTENT_TYPE, asset.kind)], plain).into_response()
    };
    let more = response.headers_mut();
    more.insert(header::CACHE_CONTROL, FOREVER);
    more.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    more.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    insert_tag(more, &tag);
    Ok(response)
}

/// An entity tag (RFC 9110, section 8.8.3) of these bytes: it tells apart what was there from what is, and keeps no secret.
pub(crate) fn tag(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("\"{:x}-{:016x}\"", bytes.len(), hasher.finish())
}

/// Puts an entity tag into a head.
pub(crate) fn insert_tag(headers: &mut HeaderMap, tag: &str) {
    if let Ok(value) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, value);
    }
}

/// Whether `If-None-Match` names the tag (RFC 9110, section 13.1.2): weak ones do as well.
fn known(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// Whether `Accept-Encoding` names gzip. Who says nothing may be a person with a simple tool.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = values.flat_map(|value| value.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().trim_start_matches(['q', 'Q']).trim_start_matches('=');
        let refused = !weight.is_empty() && weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0);
        ["gzip", "x-gzip", "*"].iter().any(|one| name.trim().eq_ignore_ascii_case(one)) && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(name: header::HeaderName, value: &str) -> HeaderMap {
        [(name, value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn gzip_goes_to_those_who_name_it() {
        for (value, expect) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("*", true),
            ("identity", false),
            ("gzip;q=0", false),
            ("gzip; q=0.0, br", false),
            ("", false),
        ] {
            assert_eq!(takes_gzip(&head(header::ACCEPT_ENCODING, value)), expect, "{value}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_tag_is_known_by_itself_in_a_list_and_as_a_weak_one() {
        for (value, expect) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
        ] {
            assert_eq!(known(&head(header::IF_NONE_MATCH, value), "\"a\""), expect, "{value}");
        }
    }

    #[test]
    fn the_page_loads_what_is_there_and_nothing_else() {
        let loaded: Vec<&str> =
            PAGE.split("assets/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(loaded.len(), ASSETS.len(), "{loaded:?}");
        assert!(loaded.iter().all(|name| ASSETS.iter().any(|asset| asset.name == *name)), "{loaded:?}");
        assert!(
            !PAGE.contains("<style") && !PAGE.contains("style=") && !PAGE.contains(" on"),
            "nothing is inline"
        );
        assert!(!PAGE.contains("://"), "nothing comes from elsewhere");
    }

    #[test]
    fn the_console_is_small() {
        let bytes: usize = ASSETS.iter().map(|asset| asset.gzip.len()).sum();
        assert!(bytes + PAGE.len() <= 150 * 1024, "{bytes} bytes");
    }
}
