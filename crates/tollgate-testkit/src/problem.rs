//! What every answer that the gateway itself makes has to look like: problem JSON with a reason of the closed list.

use serde_json::Value;

use crate::message::Response;

/// Code and status of each reason that a client can see, as the contract lists them.
const STATUS: &[(&str, u16)] = &[
    ("bad_request_line", 400),
    ("bad_header", 400),
    ("bad_framing", 400),
    ("bad_path", 400),
    ("bad_host", 400),
    ("schema_invalid", 400),
    ("template_value_missing", 400),
    ("upgrade_refused", 400),
    ("token_missing", 401),
    ("token_malformed", 401),
    ("token_algorithm", 401),
    ("token_signature", 401),
    ("token_key_unknown", 401),
    ("token_expired", 401),
    ("token_not_yet_valid", 401),
    ("token_issuer", 401),
    ("token_audience", 401),
    ("token_inactive", 401),
    ("key_missing", 401),
    ("key_unknown", 401),
    ("basic_missing", 401),
    ("basic_invalid", 401),
    ("ip_denied", 403),
    ("user_agent_denied", 403),
    ("guard_failed", 403),
    ("scope_missing", 403),
    ("role_missing", 403),
    ("group_missing", 403),
    ("claim_mismatch", 403),
    ("route_not_found", 404),
    ("method_not_allowed", 405),
    ("request_timeout", 408),
    ("body_too_large", 413),
    ("uri_too_long", 414),
    ("range_not_satisfiable", 416),
    ("expectation_failed", 417),
    ("rate_limited", 429),
    ("headers_too_large", 431),
    ("internal", 500),
    ("method_not_implemented", 501),
    ("upstream_connect", 502),
    ("upstream_reset", 502),
    ("upstream_protocol", 502),
    ("upstream_dns", 502),
    ("upstream_tls", 502),
    ("no_healthy_target", 503),
    ("circuit_open", 503),
    ("overloaded", 503),
    ("issuer_unavailable", 503),
    ("limit_store_unavailable", 503),
    ("concurrency_limited", 503),
    ("draining", 503),
    ("upstream_timeout", 504),
    ("not_cached", 504),
    ("version_not_supported", 505),
];

/// Asserts that `response` is the problem document of one of `codes` (separated by `|`), complete and no more.
#[track_caller]
pub fn assert_problem(response: &Response, codes: &str) {
    let code = response.code();
    assert!(codes.split('|').any(|wanted| wanted == code), "wanted {codes}, got {response:#?}");
    assert_problem_head(response, &code);
    let body = response.json();
    let members: Vec<&str> = body.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    let mut sorted = members.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["code", "detail", "request_id", "status", "title", "type"], "{body}");
    assert_eq!(body["type"], "about:blank");
    assert_eq!(body["status"], response.status);
    assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()), "{body}");
    assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
    assert!(body["request_id"].as_str().is_some_and(is_uuid_v7), "{body}");
    assert_no_internals(&body);
}

/// The part of [`assert_problem`] that also holds for HEAD, whose answer has no body to name its code.
#[track_caller]
pub fn assert_problem_head(response: &Response, code: &str) {
    let status = STATUS.iter().find(|(known, _)| *known == code).map(|(_, status)| *status);
    assert_eq!(status, Some(response.status), "status of {code}: {response:#?}");
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{response:#?}");
    let length = response.header("content-length");
    assert!(length.is_some_and(|n| n != "0"), "a problem has a length: {response:#?}");
    if matches!(response.status, 429 | 503) {
        assert!(response.header("retry-after").is_some(), "429 and 503 carry Retry-After: {response:#?}");
    }
    if response.status == 401 {
        assert!(!response.head.all("www-authenticate").is_empty(), "401 carries a challenge: {response:#?}");
    }
    if response.status == 405 {
        assert!(response.header("allow").is_some(), "405 carries Allow: {response:#?}");
    }
}

/// RFC 9562 version 7, in lower-case text form.
pub fn is_uuid_v7(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, &byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            14 => byte == b'7',
            19 => b"89ab".contains(&byte),
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

/// `detail` never names upstream addresses, files or internals.
#[track_caller]
fn assert_no_internals(body: &Value) {
    let detail = body["detail"].as_str().unwrap_or_default();
    for forbidden in
        ["127.0.0.1", "://", "/tmp", ".rs", ".yaml", "os error", "Error {", "localhost", ".invalid"]
    {
        assert!(!detail.contains(forbidden), "detail names internals: {detail}");
    }
}
