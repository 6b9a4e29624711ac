//! What one client does to the answers that others get: nothing.

use tollgate_testkit::{Gateway, Origin, Response, gateway};

const ROUTES: &str = "
workers: 1
routes:
  - { name: kept, path: /*, cache: { ttl: 1h }, to: @ORIGIN@ }
";

/// A service whose answer is what it was told of these headers, and says that it varies on them.
fn varying() -> (Origin, Gateway) {
    let origin = Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            let told =
                ["accept", "accept-language", "x-plan"].map(|name| seen.header(name).unwrap_or("none"));
            let body = told.join(" ");
            let head =
                "HTTP/1.1 200 OK\r\nVary: Accept, Accept-Language, X-Plan\r\nCache-Control: max-age=60";
            conn.send(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))?;
        }
    });
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    (origin, gateway)
}

fn get(gateway: &Gateway, path: &str, lines: &str) -> Response {
    gateway.client().exchange(format!("GET {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n"))
}

/// `Connection` takes a header away in front of the service; the answer must not be kept for those who send it.
#[test]
fn a_header_that_connection_takes_away_keys_no_answer() {
    let (_origin, gateway) = varying();
    for (n, (name, value, told)) in [
        ("Accept", "text/plain", "text/plain none none"),
        ("Accept-Language", "de", "none de none"),
        ("X-Plan", "gold", "none none gold"),
    ]
    .into_iter()
    .enumerate()
    {
        for (m, connection) in
            [name.to_owned(), format!("close, {name}"), name.to_ascii_uppercase()].iter().enumerate()
        {
            let path = format!("/{n}/{m}");
            let lines = format!("{name}: {value}\r\n");
            let attack = get(&gateway, &path, &format!("{lines}Connection: {connection}\r\n"));
            assert_eq!(attack.text(), "none none none", "{connection}");
            for hit in [false, true] {
                let answer = get(&gateway, &path, &lines);
                assert_eq!(answer.text(), told, "{connection}");
                let status = answer.header("cache-status").unwrap_or_default().to_owned();
                assert_eq!(status.contains("; hit"), hit, "{connection}: {status}");
            }
            // Nor is it answered with what is kept for them.
            let again = get(&gateway, &path, &format!("{lines}Connection: {connection}\r\n"));
            assert_eq!(again.text(), "none none none", "{connection}");
        }
    }
    // What every client may say costs nobody the cache.
    let lines = "Connection: keep-alive, TE\r\nTE: trailers\r\n";
    get(&gateway, "/plain", lines);
    assert!(get(&gateway, "/plain", lines).header("cache-status").is_some_and(|it| it.contains("; hit")));
}

/// What follows a path is part of it: a page that is private does not become a picture.
#[test]
fn an_ending_makes_no_answer_public() {
    let origin = Origin::saying(
        "HTTP/1.1 200 OK\r\nCache-Control: private\r\nSet-Cookie: s=1\r\nContent-Length: 2\r\n\r\nme",
    );
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    for path in [
        "/account/x.css",
        "/account%2Fx.css",
        "/account;x.js",
        "/account/..%2Fx.png",
        "/account%00.png",
        "/account#.js",
    ] {
        for _ in 0..2 {
            let answer = get(&gateway, path, "");
            assert!(
                answer.header("cache-status").is_none_or(|status| !status.contains("; hit")),
                "{path}: {answer:#?}"
            );
        }
    }
}
