//! What an answer was made of, beside its URL, tells it apart from others; what nobody can tell is not kept.

use serde_json::json;
use tollgate_testkit::{Gateway, Issuer, Origin, behaviour, gateway, wait_for};

use crate::kit::{get, is_hit, status};

/// Tells what it was asked for, to everybody. `/from` sends on to `/to`, for this once; `/empty` is an empty object.
fn teller() -> Origin {
    Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            let answer = match seen.target() {
                "/from" => "HTTP/1.1 302 Found\r\nLocation: /to\r\nCache-Control: no-store\r\nContent-Length: 0\r\n\r\n".into(),
                target => {
                    let who = seen.header("x-who").unwrap_or("-");
                    let body = json!({ "target": target, "who": who }).to_string();
                    format!(
                        "HTTP/1.1 200 OK\r\nCache-Control: public, max-age=60\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    )
                }
            };
            conn.send(answer)?;
        }
    })
}

const ROUTES: &str = r#"
workers: 1
trusted_proxies: [127.0.0.1/32]
issuers:
  main: { issuer: @ISSUER@, audience: [api], algorithms: [RS256], leeway: 0s }
upstreams:
  u: { targets: [@ORIGIN@] }
  follows: { targets: [@ORIGIN@], follow_redirects: 3 }
defaults: { cache: { ttl: 60s } }
routes:
  - { path: /ip/rewrite, to: u, request: { rewrite: "/{client_ip}" } }
  - { path: /ip/query, to: u, request: { set_query: { ip: "{client_ip}" } } }
  - { path: /ip/header, to: u, request: { set_headers: { x-who: "{client_ip}" } } }
  - { path: /ip/part, aggregate: { parts: [{ name: a, to: u, path: "/{client_ip}" }] } }
  - path: /ip/if
    aggregate:
      parts:
        - { name: all, to: u, path: /all }
        - { name: a, to: u, path: /a, wrap: a, if: "client_ip == '192.0.2.1'" }
  - path: /ip/lua
    to: u
    lua: |
      function request(req) req.headers["x-who"] = req.client_ip end
  - { path: /claim/rewrite, to: u, auth: { jwt: main }, request: { rewrite: "/{claim:tenant}" } }
  - { path: /claim/part, aggregate: { parts: [{ name: a, to: u, path: "/{claim:tenant}" }] }, auth: { jwt: main }, cache: { private: true } }
  - { path: /claim/private, to: u, auth: { jwt: main, forward: { x-who: tenant } }, cache: { private: true } }
  - path: /claim/if
    auth: { jwt: main }
    cache: { private: true }
    aggregate:
      parts:
        - { name: all, to: u, path: /all }
        - { name: a, to: u, path: /a, wrap: a, if: "claims.tenant == 'red'" }
  - path: /claim/lua
    to: u
    auth: { jwt: main }
    lua: |
      function request(req) req.headers["x-who"] = req.claims.tenant end
  - path: /header/if
    aggregate:
      parts:
        - { name: all, to: u, path: /all }
        - { name: a, to: u, path: /a, wrap: a, if: "'x-who' in request.headers && request.headers['x-who'] == 'red'" }
  - path: /header/any
    aggregate:
      parts:
        - { name: all, to: u, path: /all }
        - { name: a, to: u, path: /a, wrap: a, if: "request.headers.exists(name, name == 'x-red')" }
  - { path: /from, to: follows }
  - { path: /to, to: follows }
  - { path: /from/part, aggregate: { parts: [{ name: a, to: follows, path: /from }] } }
  - path: /own/before
    aggregate: { parts: [{ name: a, to: u, path: /a }] }
    lua: |
      function request(req) return respond(200, req.headers["x-who"]) end
  - path: /own/behind
    to: u
    lua: |
      function request(req) who = req.headers["x-who"] end
      function response(res) return respond(200, "by the script") end
"#;

fn start(origin: &Origin, issuer: &Issuer) -> Gateway {
    let gateway = gateway!(ROUTES, ORIGIN = origin.url(), ISSUER = issuer.url());
    wait_for("the issuer's keys", || gateway.admin("/health").json()["issuers"]["main"]["status"] == "ok");
    gateway
}

/// Two requests that differ in these lines: each has an answer of its own, which is kept.
#[track_caller]
fn check(gateway: &Gateway, path: &str, [one, other]: [&str; 2]) {
    let first = get(gateway, path, one);
    assert_eq!((first.status, is_hit(&first)), (200, false), "{path}: {}", first.text());
    let second = get(gateway, path, other);
    assert!(!is_hit(&second), "{path}: {}", status(&second));
    assert_ne!(first.text(), second.text(), "{path}");
    let again = get(gateway, path, one);
    assert_eq!((is_hit(&again), again.text()), (true, first.text()), "{path}: {}", status(&again));
}

#[test]
fn what_else_an_answer_is_made_of_tells_it_apart() {
    let (origin, issuer) = (teller(), Issuer::start());
    let gateway = start(&origin, &issuer);
    let from = ["X-Forwarded-For: 192.0.2.1\r\n", "X-Forwarded-For: 192.0.2.2\r\n"];
    for path in ["/ip/rewrite", "/ip/query", "/ip/header", "/ip/part", "/ip/if", "/ip/lua"] {
        check(&gateway, path, from);
    }
    // One subject, and two tokens.
    let bear = |tenant: &str| {
        let token = issuer.token(json!({ "sub": "ann", "tenant": tenant }));
        format!("Authorization: Bearer {token}\r\n")
    };
    let (red, blue) = (bear("red"), bear("blue"));
    for path in ["/claim/rewrite", "/claim/part", "/claim/private", "/claim/if"] {
        check(&gateway, path, [&red, &blue]);
    }
    check(&gateway, "/claim/lua", [&red, &blue]);
    check(&gateway, "/header/if", ["X-Who: red\r\n", "X-Who: blue\r\n"]);
    check(&gateway, "/header/any", ["X-Red: 1\r\n", ""]);
}

#[test]
fn what_came_behind_a_redirect_is_not_kept() {
    let (origin, issuer) = (teller(), Issuer::start());
    let gateway = start(&origin, &issuer);
    for path in ["/from", "/from/part"] {
        for _ in 0..2 {
            let answer = get(&gateway, path, "");
            assert_eq!((answer.status, answer.json()["target"].as_str()), (200, Some("/to")));
            assert_eq!(status(&answer), "tollgate; fwd=uri-miss", "{path}");
        }
    }
    assert!(!is_hit(&get(&gateway, "/to", "")));
    assert!(is_hit(&get(&gateway, "/to", "")), "what nobody redirects is");
}

#[test]
fn what_a_script_answers_by_itself_is_not_kept() {
    let (origin, issuer) = (teller(), Issuer::start());
    let gateway = start(&origin, &issuer);
    for who in ["red", "blue"] {
        let answer = get(&gateway, "/own/before", &format!("X-Who: {who}\r\n"));
        assert_eq!((answer.text().as_str(), is_hit(&answer)), (who, false));
        let answer = get(&gateway, "/own/behind", &format!("X-Who: {who}\r\n"));
        assert_eq!((answer.text().as_str(), is_hit(&answer)), ("by the script", false));
    }
}

#[test]
fn a_reload_forgets_what_was_made_otherwise() {
    let site = tempfile::tempdir().expect("a directory");
    let page = site.path().join("page.txt");
    std::fs::write(&page, "one {{ n }}").expect("written");
    let numbers = Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            let host = seen.header("host").unwrap_or_default();
            conn.send(behaviour::response(200, format!("{{\"n\": \"{host}\"}}").as_bytes()))?;
        }
    });
    let text = "
workers: 1
upstreams: { u: { targets: [@ORIGIN@], host: one.example }, v: { targets: [@ORIGIN@], host: same.example } }
defaults: { cache: { ttl: 60s } }
routes:
  - { path: /page, aggregate: { render: \"@PAGE@\", parts: [{ name: a, to: v, path: /a }] } }
  - { path: /host, to: u }
  - { path: /part, aggregate: { parts: [{ name: a, to: u, path: /a }] } }
  - { path: /same, to: v }
";
    let page_name = page.display().to_string();
    let gateway = gateway!(text, ORIGIN = numbers.url(), PAGE = page_name.clone());
    let paths = ["/page", "/host", "/part", "/same"];
    for path in paths {
        get(&gateway, path, "");
        assert!(is_hit(&get(&gateway, path, "")), "{path}");
    }
    std::fs::write(&page, "two {{ n }}").expect("written");
    wait_for("the new template", || gateway.generation() >= 2);
    assert_eq!(get(&gateway, "/page", "").text(), "two same.example");
    assert!(is_hit(&get(&gateway, "/host", "")), "it has no page");
    let generation = gateway.generation();
    let names = [("ORIGIN", numbers.url()), ("PAGE", page_name)];
    gateway.replace_file(&gateway.complete(&text.replace("one.example", "two.example"), &names));
    gateway.wait_generation(generation + 1);
    for path in ["/host", "/part"] {
        let answer = get(&gateway, path, "");
        assert_eq!((answer.json()["n"].as_str(), is_hit(&answer)), (Some("two.example"), false), "{path}");
    }
    assert!(is_hit(&get(&gateway, "/same", "")), "its upstream is as it was");
}
