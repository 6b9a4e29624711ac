//! `guard` and `validate`: requests that are not as the route wants them never reach a service.

use std::time::Duration;

use tollgate_testkit::behaviour::named;
use tollgate_testkit::{Gateway, Origin, assert_problem, gateway};

const ROUTES: &str = r#"
workers: 1
limits: { body_idle_timeout: 300ms }
routes:
  - path: /guarded/{id}
    guard:
      - { if: "request.query.role != 'admin'", status: 451, detail: "no admins" }
      - { if: "params.id == 'a b' && request.method in ['GET', 'PUT'] && client_ip == '127.0.0.1' && now > 1700000000" }
      - { if: "!('x-deny' in request.headers) && request.headers.cookie == 'a=1; b=2'" }
    to: @ORIGIN@
  - path: /claims
    guard: [{ if: "claims.tenant == 'acme'", status: 404, detail: "not here" }]
    to: @ORIGIN@
  - path: /body
    max_body: 1KiB
    validate: { body: { type: object, required: [id], properties: { id: { type: integer } } } }
    request: { set_headers: { x-checked: "yes" } }
    to: @ORIGIN@
  - path: /texts
    validate:
      query: { required: [page], additionalProperties: false, properties: { page: { type: integer, minimum: 1 }, tag: { type: array, maxItems: 2 } } }
      headers: { required: [x-version], properties: { x-version: { enum: ["1", "2"] }, x-list: { type: array, items: { type: integer } } } }
    to: @ORIGIN@
"#;

fn start() -> (Gateway, Origin) {
    let origin = Origin::start(named("origin"));
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    (gateway, origin)
}

#[test]
fn guards() {
    let (gateway, origin) = start();
    let mut client = gateway.client();
    let mut check = |target: &str, lines: &str, wanted: Result<(), (u16, &str)>| {
        let reply = client.exchange(format!("GET {target} HTTP/1.1\r\nHost: test\r\n{lines}\r\n"));
        match wanted {
            Ok(()) => assert_eq!((reply.status, reply.text()), (200, "origin".to_owned()), "{target}"),
            Err((status, detail)) => {
                assert_eq!(reply.status, status, "{target}: {}", reply.text());
                assert!(reply.text().contains("\"guard_failed\""), "{target}: {}", reply.text());
                assert!(reply.text().contains(detail), "{target}: {}", reply.text());
            }
        }
    };
    let cookies = "Cookie: a=1\r\nCookie: b=2\r\n";
    check("/guarded/a%20b?role=user", cookies, Ok(()));
    check("/guarded/a%20b?role=admin", cookies, Err((451, "no admins")));
    check("/guarded/a%20b?role=%61dmin", cookies, Err((451, "no admins")));
    check("/guarded/a%20b", cookies, Err((451, "could not be evaluated")));
    check("/guarded/x?role=user", cookies, Err((403, "does not meet a condition")));
    check("/guarded/a%20b?role=user", "Cookie: a=1\r\n", Err((403, "does not meet a condition")));
    check("/guarded/a%20b?role=user", &format!("{cookies}X-Deny: 1\r\n"), Err((403, "")));
    check("/claims", "", Err((404, "could not be evaluated")));
    assert_eq!(origin.count(), 1, "only what may pass reaches the service");
}

/// A 401 says how to identify (RFC 9110 section 15.5.2), whoever answers with it.
#[test]
fn a_guard_that_asks_for_credentials_says_which() {
    let gateway = gateway!(
        "issuers:\n  main: { issuer: me, audience: [a], algorithms: [HS256], secret: 0123456789abcdef0123456789abcdef }\n\
         consumers:\n  - { name: app, keys: [\"sha256:@HASH@\"] }\nroutes:\n  - path: /@ANY@\n    \
         auth: { jwt: main, api_key: { header: x-key }, optional: true }\n    \
         guard: [{ if: \"consumer == 'app'\", status: 401 }, { if: \"request.path == '/a'\", status: 418 }]\n    \
         respond: { body: ok }\n  - { path: /open, guard: [{ if: \"request.path == '/'\", status: 401 }], respond: { body: ok } }\n",
        ANY = "*",
        HASH = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"
    );
    let answer = gateway.get("/a");
    assert_eq!((answer.status, answer.code().as_str()), (401, "guard_failed"));
    let challenges = ["Bearer realm=\"tollgate\"", "ApiKey realm=\"tollgate\""];
    assert_eq!(answer.head.all("www-authenticate"), challenges);
    assert_eq!(gateway.get("/open").head.all("www-authenticate"), ["Bearer realm=\"tollgate\""]);
    let ask = |path: &str| {
        gateway.client().exchange(format!("GET {path} HTTP/1.1\r\nHost: test\r\nX-Key: key\r\n\r\n"))
    };
    assert_eq!(ask("/a").status, 200);
    let answer = ask("/b");
    let title = answer.json()["title"].clone();
    assert_eq!((answer.status, title.as_str()), (418, Some("Bad Request")), "a status without a phrase");
    assert_eq!(answer.header("www-authenticate"), None);
}

/// A 405 says what is allowed instead (RFC 9110 section 15.5.6), whoever answers with it.
#[test]
fn a_guard_that_refuses_a_method_says_what_is_allowed() {
    let guard = "guard: [{ if: \"request.method != 'POST'\", status: 405 }], respond: { body: ok }";
    let gateway = gateway!(
        "routes:\n  - { path: /some, methods: [GET, POST], @GUARD@ }\n  - { path: /any, @GUARD@ }\n",
        GUARD = guard
    );
    for (path, allow) in [("/some", "GET, HEAD"), ("/any", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS")] {
        let answer = gateway
            .client()
            .exchange(format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!((answer.status, answer.code().as_str()), (405, "guard_failed"), "{path}");
        assert_eq!(answer.header("allow"), Some(allow), "{path}");
        assert_eq!(gateway.get(path).header("allow"), None);
    }
}

#[test]
fn bodies() {
    let (gateway, origin) = start();
    let mut client = gateway.client();
    let json = "Content-Type: application/json; charset=utf-8\r\n";
    let mut check = |method: &str, lines: &str, body: &str, wanted: Result<(), &str>| {
        let before = origin.count();
        let reply = client.exchange(format!("{method} /body HTTP/1.1\r\nHost: test\r\n{lines}\r\n{body}"));
        match wanted {
            Ok(()) => {
                assert_eq!(reply.status, 200, "{body}: {}", reply.text());
                assert_eq!((origin.count(), origin.last().header("x-checked")), (before + 1, Some("yes")));
            }
            Err(detail) => {
                assert_problem(&reply, "schema_invalid");
                assert!(reply.text().contains(detail), "{body}: {}", reply.text());
                assert_eq!(origin.count(), before, "{body}");
            }
        }
    };
    let sized = |lines: &str, body: &str| format!("{lines}Content-Length: {}\r\n", body.len());
    let (good, bad) = (r#"{"id": 7}"#, r#"{"id": "hunter2"}"#);
    check("POST", &sized(json, good), good, Ok(()));
    check("POST", &sized("Content-Type: application/vnd.a+json\r\n", good), good, Ok(()));
    check("POST", &sized(json, bad), bad, Err("body: at /id: "));
    check("POST", &sized(json, "{}"), "{}", Err("required property"));
    check("POST", &sized(json, "{"), "{", Err("no JSON"));
    check("PUT", &sized(json, ""), "", Err("body: there is none"));
    check("GET", "", "", Ok(()));
    let chunked = format!("{json}Transfer-Encoding: chunked\r\n");
    check("POST", &chunked, "3\r\n{\"i\r\n6\r\nd\": 7}\r\n0\r\n\r\n", Ok(()));
    check("POST", &chunked, "2\r\n{}\r\n0\r\n\r\n", Err("required property"));

    let sent = format!("PUT /body HTTP/1.1\r\nHost: test\r\n{chunked}\r\n9\r\n{good}\r\n0\r\n\r\n");
    assert_eq!(client.exchange(sent).status, 200);
    let seen = origin.last();
    assert_eq!((seen.header("content-length"), &*seen.body), (Some("9"), good.as_bytes()));
    assert_eq!(seen.header("transfer-encoding"), None);
}

#[test]
fn bodies_that_are_not_looked_at() {
    let (gateway, origin) = start();
    for (lines, detail) in [
        ("", "Content-Type"),
        ("Content-Type: text/plain\r\n", "Content-Type"),
        ("Content-Type: application/json\r\nContent-Type: text/plain\r\n", "Content-Type"),
        ("Content-Type: application/json\r\nContent-Encoding: gzip\r\n", "content coding"),
        ("Content-Type: application/json; charset=utf-16\r\n", "charset"),
        ("Content-Type: application/json; Charset=\"UTF-7\"\r\n", "charset"),
    ] {
        let sent =
            format!("POST /body HTTP/1.1\r\nHost: test\r\n{lines}Content-Length: 9\r\n\r\n{{\"id\": 7}}");
        let reply = gateway.client().exchange(sent);
        assert_problem(&reply, "schema_invalid");
        assert!(reply.text().contains(detail), "{lines}: {}", reply.text());
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_body_comes_whole_or_not_at_all() {
    let (gateway, origin) = start();
    let head = "POST /body HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n";

    let mut client = gateway.client();
    client.send(format!("{head}Expect: 100-continue\r\nContent-Length: 9\r\n\r\n"));
    client.until("100 Continue\r\n\r\n");
    client.send("{\"id\": 7}");
    assert_eq!(client.response().status, 200);
    assert_eq!(origin.last().header("expect"), None);

    // What is pipelined behind the body is the next request.
    let one = format!("{head}Content-Length: 9\r\n\r\n{{\"id\": 7}}");
    let mut client = gateway.client();
    client.send(format!("{one}{one}"));
    assert_eq!((client.response().status, client.response().status), (200, 200));
    assert_eq!(origin.count(), 3);

    let large = format!("{head}Transfer-Encoding: chunked\r\n\r\n800\r\n{}", " ".repeat(0x800));
    assert_problem(&gateway.client().exchange(large), "body_too_large");
    let slow = gateway.client().exchange(format!("{head}Content-Length: 9\r\n\r\n{{\"id\""));
    assert_problem(&slow, "request_timeout");

    let mut gone = gateway.client();
    gone.send(format!("{head}Content-Length: 9\r\n\r\n{{\"id\""));
    gone.reset();
    let mut alive = gateway.client();
    alive.set_patience(Duration::from_secs(5));
    assert_eq!(alive.exchange(one).status, 200);
    assert_eq!(origin.count(), 4, "half a body goes nowhere");
}

#[test]
fn query_and_headers() {
    let (gateway, origin) = start();
    let mut client = gateway.client();
    let mut check = |query: &str, lines: &str, wanted: Result<(), &str>| {
        let reply = client.exchange(format!("GET /texts{query} HTTP/1.1\r\nHost: test\r\n{lines}\r\n"));
        match wanted {
            Ok(()) => assert_eq!(reply.status, 200, "{query} {lines}: {}", reply.text()),
            Err(detail) => {
                assert_problem(&reply, "schema_invalid");
                assert!(reply.text().contains(detail), "{query} {lines}: {}", reply.text());
            }
        }
    };
    let version = "X-Version: 2\r\n";
    check("?page=1", version, Ok(()));
    check("?page=1&tag=a&tag=b", &format!("{version}X-List: 1, 2\r\nX-List: 3\r\n"), Ok(()));
    check("", version, Err("query: "));
    check("?page=x", version, Err("query: at /page: "));
    check("?page=0", version, Err("query: at /page: "));
    check("?page=1&page=2", version, Err("query: at /page: "));
    check("?page=1&other=2", version, Err("query: "));
    check("?page=1&tag=a&tag=b&tag=c", version, Err("query: at /tag: "));
    check("?page=1", "", Err("headers: "));
    check("?page=1", "X-Version: 3\r\n", Err("headers: at /x-version: "));
    check("?page=1", "X-Version: 1\r\nX-Version: 2\r\n", Err("headers: at /x-version: "));
    check("?page=1", &format!("{version}X-List: 1, x\r\n"), Err("headers: at /x-list/1: "));
    assert_eq!(origin.count(), 2);
}
