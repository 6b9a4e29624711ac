//! Who may use the admin side: the token, and the refusal of requests that a foreign page sent.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;
use crate::{Admin, assets};

/// Guards everything but the probes; of the console only what it shows, not the page itself.
pub(crate) async fn guard(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    // The token of the running plan: a reload changes it.
    let plan = admin.control.plan();
    let (method, path) = (request.method(), request.uri().path());
    let verdict = check(method, path, request.headers(), plan.admin.token.as_deref());
    drop(plan);
    match verdict {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check(method: &Method, path: &str, headers: &HeaderMap, token: Option<&str>) -> Result<(), Problem> {
    match token {
        // It is the same for everybody, and has to be there before it can ask for the token.
        Some(_) if assets::is_console(path) => {}
        Some(token) => check_token(headers, token)?,
        None => check_host(headers)?,
    }
    // A link to the page may stand anywhere. What only programs read is also refused to pages of other sites that
    // could not see it: each follower takes a place.
    let reads = method == Method::GET || method == Method::HEAD;
    if reads && !path.starts_with("/api/") { Ok(()) } else { check_origin(headers) }
}

/// Without a token nothing but the Host tells the operator's browser from one whose foreign page has its own name
/// resolved to this address (DNS rebinding). Programs that send none are no browsers.
fn check_host(headers: &HeaderMap) -> Result<(), Problem> {
    if only(headers, &header::HOST).is_none_or(is_local) {
        return Ok(());
    }
    let detail = "without an admin token, it is reached as localhost or by its IP address only";
    Err(Problem::new(StatusCode::FORBIDDEN, "bad_host", detail))
}

fn check_token(headers: &HeaderMap, token: &str) -> Result<(), Problem> {
    let unauthorized = |code, detail: &str| Problem::new(StatusCode::UNAUTHORIZED, code, detail);
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Err(unauthorized("token_missing", "send the admin token: Authorization: Bearer …"));
    };
    let value = value.as_bytes();
    let given = match value.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer ") => rest.trim_ascii(),
        _ => {
            return Err(unauthorized(
                "token_malformed",
                "the admin token is sent as: Authorization: Bearer …",
            ));
        }
    };
    if same(given, token.as_bytes()) {
        Ok(())
    } else {
        Err(unauthorized("token_unknown", "this is not the admin token"))
    }
}

/// Compares in a time that depends on the lengths only, not on where the two differ.
fn same(given: &[u8], expected: &[u8]) -> bool {
    let differing = given.iter().zip(expected).fold(0, |seen, (a, b)| std::hint::black_box(seen | (a ^ b)));
    differing == 0 && given.len() == expected.len()
}

/// A browser names the page that a request comes from; only the admin side's own may send one.
fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |detail: &str| Err(Problem::new(StatusCode::FORBIDDEN, "cross_site", detail));
    let host = only(headers, &header::HOST).unwrap_or_default();
    if let Some(origin) = only(headers, &header::ORIGIN) {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        if authority.is_none_or(|authority| !authority.eq_ignore_ascii_case(host)) {
            return refused("the Origin of this request is another site");
        }
    }
    match only(headers, &header::HeaderName::from_static("sec-fetch-site")) {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) => refused("a page of another site sent this request"),
    }
}

/// The value of a header; an empty one, which is never right, where it is no text or stands more than once.
fn only<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    Some(first.to_str().ok().filter(|_| values.next().is_none()).unwrap_or_default())
}

fn is_local(host: &str) -> bool {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(address, _)| address);
    let name = bracketed.unwrap_or_else(|| host.rsplit_once(':').map_or(host, |(name, _)| name));
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_with(method: &str, token: Option<&str>, lines: &[(&'static str, &str)]) -> u16 {
        check_at(method, "/metrics", token, lines)
    }

    fn check_at(method: &str, path: &str, token: Option<&str>, lines: &[(&'static str, &str)]) -> u16 {
        let headers = lines
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        match check(&method.parse().unwrap(), path, &headers, token) {
            Ok(()) => 200,
            Err(problem) => problem.into_response().status().as_u16(),
        }
    }

    #[test]
    fn the_token_opens_and_nothing_else_does() {
        for (value, expect) in [
            ("Bearer sesame", 200),
            ("bearer sesame", 200),
            ("Bearer  sesame ", 200),
            ("Bearer sesam", 401),
            ("Bearer sesame1", 401),
            ("Bearer Sesame", 401),
            ("Bearer ", 401),
            ("Bearer", 401),
            ("Basic sesame", 401),
            ("sesame", 401),
            ("", 401),
        ] {
            assert_eq!(check_with("GET", Some("sesame"), &[("authorization", value)]), expect, "{value:?}");
        }
        assert_eq!(check_with("GET", Some("sesame"), &[]), 401);
        assert_eq!(check_with("GET", None, &[]), 200);
    }

    #[test]
    fn state_changes_come_from_the_same_site_or_from_no_page() {
        let host = ("host", "127.0.0.1:9900");
        for (lines, expect) in [
            (&[host][..], 200),
            (&[host, ("origin", "http://127.0.0.1:9900")], 200),
            (&[host, ("origin", "http://127.0.0.1:9901")], 403),
            (&[host, ("origin", "https://evil.example")], 403),
            (&[host, ("origin", "null")], 403),
            (&[host, ("origin", "http://127.0.0.1:9900"), ("origin", "https://evil.example")], 403),
            (&[host, ("host", "localhost"), ("origin", "http://127.0.0.1:9900")], 403),
            (&[host, ("host", "evil.example")], 403),
            (&[host, ("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")], 403),
            (&[("origin", "http://127.0.0.1:9900")], 403),
            (&[host, ("sec-fetch-site", "same-origin")], 200),
            (&[host, ("sec-fetch-site", "none")], 200),
            (&[host, ("sec-fetch-site", "cross-site")], 403),
            (&[host, ("sec-fetch-site", "same-site")], 403),
            (&[("host", "[::1]:9900"), ("origin", "http://[::1]:9900")], 200),
            (&[("host", "localhost:9900"), ("origin", "http://localhost:9900")], 200),
            (&[("host", "rebound.example:9900"), ("origin", "http://rebound.example:9900")], 403),
        ] {
            assert_eq!(check_with("POST", None, lines), expect, "{lines:?}");
        }
        let named = &[
            ("host", "admin.example:9900"),
            ("origin", "https://admin.example:9900"),
            ("authorization", "Bearer sesame"),
        ];
        assert_eq!(check_with("POST", Some("sesame"), named), 200);
    }

    #[test]
    fn reading_asks_for_the_origin_where_only_programs_read() {
        let host = ("host", "127.0.0.1:9900");
        for (path, line, expect) in [
            ("/", ("origin", "https://evil.example"), 200),
            ("/", ("sec-fetch-site", "cross-site"), 200),
            ("/api/v1/requests", ("origin", "https://evil.example"), 403),
            ("/api/v1/requests", ("sec-fetch-site", "cross-site"), 403),
            ("/api/v1/requests", ("sec-fetch-site", "same-origin"), 200),
            ("/api/v1/requests", ("accept", "*/*"), 200),
        ] {
            assert_eq!(check_at("GET", path, None, &[host, line]), expect, "{path} {line:?}");
        }
    }

    #[test]
    fn without_a_token_no_other_name_is_answered() {
        for (host, expect) in [
            ("localhost", 200),
            ("LOCALHOST:9900", 200),
            ("127.0.0.1:9900", 200),
            ("[::1]:9900", 200),
            ("192.0.2.1", 200),
            ("rebound.example:9900", 403),
            ("localhost.evil.example", 403),
            ("127.0.0.1.evil.example:9900", 403),
            ("", 403),
        ] {
            assert_eq!(check_with("GET", None, &[("host", host)]), expect, "{host}");
            let with_token = [("host", host), ("authorization", "Bearer sesame")];
            assert_eq!(check_with("GET", Some("sesame"), &with_token), 200, "{host}");
        }
        assert_eq!(check_with("GET", None, &[]), 200);
    }
}
