//! Keeping answers that the gateway has a hand in: aggregated, shaped, scripted, edited, compressed.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_testkit::{Origin, Response, behaviour, gateway};

use crate::kit::{get, is_hit, origin, status};

/// JSON with the number of the request; paths that end in `down` fail.
fn numbers() -> Origin {
    let count = Arc::new(AtomicUsize::new(0));
    Origin::start(move |conn| {
        loop {
            let seen = conn.request()?;
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            let status = if seen.target().ends_with("down") { 500 } else { 200 };
            let body = format!(
                "{{\"data\": {{\"n\": {number}, \"x\": \"{}\"}}}}",
                seen.header("x-a").unwrap_or_default()
            );
            conn.send(behaviour::response(status, body.as_bytes()))?;
        }
    })
}

const ROUTES: &str = r#"
upstreams: { numbers: { targets: [@NUMBERS@] } }
routes:
  - name: merged
    path: /merged/{id}
    cache: { ttl: 60s }
    aggregate:
      headers: [x-a]
      parts:
        - { name: one, to: numbers, path: "/{id}", wrap: one }
        - { name: two, to: numbers, path: "/two/{id}", wrap: two }
  - name: partial
    path: /partial
    cache: { ttl: 60s }
    aggregate:
      parts:
        - { name: one, to: numbers, path: /a, wrap: one }
        - { name: two, to: numbers, path: /down, wrap: two, required: false }
  - { name: shaped, path: /shaped, to: numbers, cache: { ttl: 60s }, response: { body: { from: data, pick: [n] } } }
  - name: scripted
    path: /scripted/*
    to: numbers
    cache: { ttl: 60s }
    lua: |
      function request(req)
        if req.path == "/scripted/early" then return respond(200, req.headers["x-a"] or "-") end
      end
      function response(res)
        res.headers["x-script"] = "seen"
      end
  - { name: edited, path: /edited, to: numbers, cache: { ttl: 60s }, response: { set_headers: { x-id: "{request_id}", x-b: "{header:x-b}" }, remove_headers: [set-cookie] } }
  - { name: compressed, path: /compressed, to: @LONG@, cache: { ttl: 60s }, response: { compress: true } }
  - { name: tenant, path: /tenant/*, to: @ECHO@, cache: { ttl: 60s }, request: { rewrite: "/t/{header:x-tenant}{path}" } }
  - { name: cors, path: /cors, to: numbers, cache: { ttl: 60s }, cors: { origins: ["https://a.example", "https://b.example"] } }
"#;

fn start() -> (tollgate_testkit::Gateway, Vec<Origin>) {
    let long = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nETag: \"v1\"\r\nContent-Length: 5000\r\n\r\n{}",
        "long ".repeat(1000)
    );
    let origins = vec![numbers(), Origin::saying(long), Origin::echo(), origin()];
    let gateway =
        gateway!(ROUTES, NUMBERS = origins[0].url(), LONG = origins[1].url(), ECHO = origins[2].url());
    (gateway, origins)
}

fn number(response: &Response) -> String {
    response.json().to_string()
}

#[test]
fn whole_aggregates_are_kept_and_incomplete_ones_are_not() {
    let (gateway, _origins) = start();
    let first = get(&gateway, "/merged/7", "X-A: 1\r\n");
    assert_eq!(first.header("x-tollgate-completed"), Some("true"));
    let again = get(&gateway, "/merged/7", "X-A: 1\r\n");
    assert!(is_hit(&again), "{}", status(&again));
    assert_eq!(number(&first), number(&again));
    assert_eq!(again.header("x-tollgate-completed"), Some("true"));
    assert!(!is_hit(&get(&gateway, "/merged/7", "X-A: 2\r\n")), "what parts see tells answers apart");
    assert!(!is_hit(&get(&gateway, "/merged/8", "X-A: 1\r\n")));
    for _ in 0..2 {
        let partial = get(&gateway, "/partial", "");
        assert_eq!((partial.header("x-tollgate-completed"), is_hit(&partial)), (Some("false"), false));
    }
}

#[test]
fn shaped_and_scripted_answers_are_kept_as_they_became() {
    let (gateway, _origins) = start();
    for path in ["/shaped", "/scripted/a"] {
        let (first, again) = (get(&gateway, path, ""), get(&gateway, path, ""));
        assert!(is_hit(&again), "{path}: {}", status(&again));
        assert_eq!(first.body, again.body, "{path}");
        assert_eq!(first.header("x-script"), again.header("x-script"), "{path}");
    }
    let ask = |a: &str| get(&gateway, "/scripted/early", &format!("X-A: {a}\r\n")).text();
    assert_eq!((ask("1"), ask("2")), ("1".into(), "2".into()), "what a script answers by itself is not kept");
}

#[test]
fn header_edits_are_made_for_each_client() {
    let (gateway, _origins) = start();
    let first = get(&gateway, "/edited", "X-B: one\r\n");
    let again = get(&gateway, "/edited", "X-B: two\r\n");
    assert!(is_hit(&again));
    assert_eq!((first.header("x-b"), again.header("x-b")), (Some("one"), Some("two")));
    assert_ne!(first.header("x-id"), again.header("x-id"));
    let origin_of = |origin: &str| get(&gateway, "/cors", &format!("Origin: https://{origin}.example\r\n"));
    assert_eq!(origin_of("a").header("access-control-allow-origin"), Some("https://a.example"));
    let other = origin_of("b");
    assert!(is_hit(&other));
    assert_eq!(other.header("access-control-allow-origin"), Some("https://b.example"));
}

#[test]
fn a_kept_answer_is_compressed_for_who_takes_it() {
    let (gateway, _origins) = start();
    for (line, coding) in [("", None), ("Accept-Encoding: gzip\r\n", Some("gzip")), ("", None)] {
        let answer = get(&gateway, "/compressed", line);
        assert_eq!(answer.header("content-encoding"), coding);
        let mut text = String::new();
        match coding {
            None => text = answer.text(),
            Some(_) => {
                let mut decoder = flate2::read::GzDecoder::new(&answer.body[..]);
                decoder.read_to_string(&mut text).expect("gzip");
            }
        }
        assert_eq!(text, "long ".repeat(1000));
    }
    let known = get(&gateway, "/compressed", "Accept-Encoding: gzip\r\nIf-None-Match: W/\"v1\"\r\n");
    assert_eq!((known.status, is_hit(&known)), (304, true));
}

#[test]
fn what_the_upstream_is_told_of_headers_tells_answers_apart() {
    let (gateway, _origins) = start();
    let target = |tenant: &str| {
        let answer = get(&gateway, "/tenant/x", &format!("X-Tenant: {tenant}\r\n"));
        (answer.json()["target"].clone(), is_hit(&answer))
    };
    assert_eq!(target("a"), ("/t/a/tenant/x".into(), false));
    assert_eq!(target("b"), ("/t/b/tenant/x".into(), false));
    assert_eq!(target("a"), ("/t/a/tenant/x".into(), true));
}
