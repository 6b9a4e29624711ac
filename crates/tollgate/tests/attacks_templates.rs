//! Values of clients that are put into something else: paths, queries, headers, addresses, documents. Each stays one
//! value where it lands.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tollgate_testkit::{Gateway, Issuer, Origin, Response, assert_problem, gateway};

const ROUTES: &str = r#"
issuers:
  main: { issuer: @ISSUER@, audience: [api], algorithms: [RS256] }
upstreams: { service: { targets: ["@ORIGIN@/base"] } }
routes:
  - { path: "/paths/query", request: { rewrite: "/at/{query:x}/end" }, to: service }
  - { path: "/paths/header", request: { rewrite: "/at/{header:x-in}/end" }, to: service }
  - { path: "/paths/cookie", request: { rewrite: "/at/{cookie:c}/end" }, to: service }
  - { path: "/paths/claim", auth: { jwt: main }, request: { rewrite: "/at/{claim:sub}/end" }, to: service }
  - { path: "/paths/param/{id}", request: { rewrite: "/at/{id}/end" }, to: service }
  - { path: "/queries/{id}", request: { set_query: { v: "{query:x}{header:x-in}{id}" }, only_query: [] }, to: service }
  - { path: "/headers/{id}", request: { set_headers: { x-out: "{query:x}{header:x-in}{cookie:c}{id}" } }, to: service }
  - { path: "/answers/{id}", respond: { headers: { x-out: "{query:x}{header:x-in}{cookie:c}{id}" }, body: "ok" } }
  - { path: "/json/{id}", respond: { json: { x: "{query:x}", h: "{header:x-in}", id: "{id}", safe: true } } }
  - { path: "/text", respond: { body: "{query:x}" } }
  - { path: "/moved/{rest*}", redirect: { to: "/{rest}?n={query:x}" } }
  - { path: "/parts/{id}", aggregate: { parts: [{ name: a, to: service, path: "/part/{id}/{query:x}", wrap: a }], query: [] } }
  - path: "/lua"
    to: service
    lua:
      inline: |
        function request(req)
          req.headers["x-out"] = req.query.x
        end
  - path: "/lua-answer"
    to: service
    lua:
      inline: |
        function request(req)
          return respond(200, "ok", { [req.query.n or "x-out"] = req.query.x })
        end
"#;

struct World {
    issuer: Issuer,
    origin: Origin,
    gateway: Gateway,
}

fn world() -> World {
    let (issuer, origin) = (Issuer::start(), Origin::echo());
    let gateway = gateway!(ROUTES, ISSUER = issuer.url(), ORIGIN = origin.url());
    World { issuer, origin, gateway }
}

impl World {
    fn get(&self, target: &str, lines: &str) -> Response {
        let head = format!("GET {target} HTTP/1.1\r\nHost: test\r\n{lines}\r\n");
        self.gateway.client().exchange(latin1(&head))
    }
}

/// Header lines may have any byte.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("latin-1")).collect()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Values, and the segment that each becomes; none where it is refused.
const VALUES: &[(&str, Option<&str>)] = &[
    ("7", Some("7")),
    ("a/b", Some("a%2Fb")),
    ("../../admin", Some("..%2F..%2Fadmin")),
    ("?x=1", Some("%3Fx%3D1")),
    ("#x", Some("%23x")),
    ("a;b", Some("a%3Bb")),
    ("a\\b", Some("a%5Cb")),
    ("%2e%2e", Some("%252e%252e")),
    ("//evil.example/", Some("%2F%2Fevil.example%2F")),
    ("http://evil.example/", Some("http%3A%2F%2Fevil.example%2F")),
    ("@evil.example", Some("%40evil.example")),
    ("...", Some("...")),
    ("..", None),
    (".", None),
    ("..;", None),
    (".;x", None),
    ("", None),
    ("a\0b", None),
    ("\r\nHost: evil", None),
    ("a\u{7f}", None),
    ("a\t", None),
];

/// Every value that means something in a path: percent-encoded it is data, and what would choose another path, or end
/// it for who reads C strings, is refused. The request goes to the target of the route, whatever the value says.
#[test]
fn a_value_chooses_no_other_path_and_no_other_host() {
    let world = world();
    let mut told = Vec::new();
    for (value, segment) in VALUES.iter().copied() {
        told.push((world.get(&format!("/paths/query?x={}", encoded(value)), ""), "query", value, segment));
        let token = world.issuer.token(json!({ "sub": value }));
        told.push((
            world.get("/paths/claim", &format!("Authorization: Bearer {token}\r\n")),
            "claim",
            value,
            segment,
        ));
        // A header and a cookie cannot hold all of them.
        if value.bytes().all(|byte| byte.is_ascii_graphic()) {
            told.push((world.get("/paths/header", &format!("X-In: {value}\r\n")), "header", value, segment));
        }
        if value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';') {
            told.push((
                world.get("/paths/cookie", &format!("Cookie: c={value}\r\n")),
                "cookie",
                value,
                segment,
            ));
        }
        let plain = |byte: u8| byte.is_ascii_graphic() && !b";".contains(&byte);
        if !value.is_empty() && value.bytes().all(plain) && !value.trim_matches('.').is_empty() {
            let target = format!("/paths/param/{}", encoded(value));
            told.push((world.get(&target, ""), "parameter", value, segment));
        }
    }
    for (answer, from, value, segment) in told {
        match segment {
            Some(segment) => {
                let target = answer.json()["target"].as_str().unwrap_or_default().to_owned();
                let path = target.split('?').next().unwrap_or_default();
                assert_eq!(path, format!("/base/at/{segment}/end"), "{from} {value:?}");
            }
            None => assert_eq!(
                (answer.status, answer.code().as_str()),
                (400, "template_value_missing"),
                "{from} {value:?}"
            ),
        }
    }
    // Parts are paths too: one that cannot be asked for has failed.
    let asked = world.get("/parts/..%2Fx?x=%2F..%2F", "");
    assert_eq!(asked.json()["a"]["target"], "/base/part/..%2Fx/%2F..%2F");
    for value in ["..", "", "%00", "..%3B", "%0D%0A"] {
        assert_eq!(world.get(&format!("/parts/7?x={value}"), "").code(), "template_value_missing", "{value}");
    }
}

/// A value in a query is one value of one parameter.
#[test]
fn a_value_adds_no_parameter() {
    let world = world();
    let answer = world.get("/queries/a%26b?x=%26admin%3D1%23%0D%0A%00+&v=old", "X-In: &c=d#e\r\n");
    assert_eq!(answer.json()["target"], "/base/queries/a%26b?v=%26admin%3D1%23%0D%0A%00%20%26c%3Dd%23ea%26b");
}

/// Envoy wrote values into headers as they came. Here CR, LF and NUL cannot be in a line, whatever they came by.
#[test]
fn cve_2023_27493_no_value_makes_a_line() {
    let world = world();
    for evil in [
        "%0D%0AX-Evil:%201",
        "%0AX-Evil:%201",
        "%0DX-Evil:%201",
        "a%00",
        "%0D%0A%0D%0AGET%20/evil",
        "%C4%8D%C4%8AX-Evil:1",
    ] {
        let before = world.origin.count();
        let seen = world.get(&format!("/headers/a?x={evil}"), "X-In: \u{e9}\r\nCookie: c=\"d\r\n").json();
        assert_eq!(world.origin.count(), before + 1, "{evil}");
        assert_eq!(seen["headers"]["x-evil"], Value::Null, "{evil}: {seen}");
        assert_eq!(seen["headers"]["x-out"].as_array().map(Vec::len), Some(1), "{evil}: {seen}");
        let answer = world.get(&format!("/answers/a?x={evil}"), "X-In: \u{e9}\r\n");
        assert_eq!((answer.header("x-evil"), answer.text().as_str()), (None, "ok"), "{evil}");
        assert!(
            answer
                .header("x-out")
                .is_some_and(|value| !value.contains(char::is_control) || evil.contains("C4")),
            "{answer:?}"
        );
        if evil.contains("%0") {
            // A script is told that it tried.
            assert_problem_500(&world.get(&format!("/lua?x={evil}"), ""));
            assert_problem_500(&world.get(&format!("/lua-answer?x={evil}"), ""));
        }
    }
    for name in ["x%0D%0Ay", "x:y", "", "transfer-encoding", "Content-Length", "connection"] {
        assert_problem_500(&world.get(&format!("/lua-answer?n={name}&x=1"), ""));
    }
    assert!(world.origin.requests().iter().all(|seen| !seen.target().starts_with("/base/evil")));
}

#[track_caller]
fn assert_problem_500(answer: &Response) {
    assert_eq!((answer.status, answer.code().as_str()), (500, "script_error"), "{answer:#?}");
}

/// A value in a document of JSON is a string there.
#[test]
fn a_value_is_one_string_of_a_document() {
    let world = world();
    for evil in [
        "\",\"safe\":false,\"x\":\"",
        "\\",
        "\\\",\"safe\":false}",
        "\0\u{1}\u{1f}\r\n\t",
        "</script>\u{2028}",
        "{query:x}",
    ] {
        let answer =
            world.get(&format!("/json/{}?x={}", encoded("a\"b"), encoded(evil)), "X-In: \\\"\u{ff}\r\n");
        let document = answer.json();
        assert_eq!(document.as_object().map(serde_json::Map::len), Some(4), "{evil:?}: {document}");
        assert_eq!((&document["x"], &document["safe"]), (&json!(evil), &json!(true)), "{evil:?}");
        assert_eq!((&document["id"], &document["h"]), (&json!("a\"b"), &json!("\\\"\u{fffd}")), "{evil:?}");
    }
    // A text is no page of HTML, unless the route says so.
    let text = world.get("/text?x=%3Cscript%3Ealert(1)%3C/script%3E", "");
    assert!(text.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")), "{text:?}");
}

/// A redirect stays where the route sends it.
#[test]
fn a_value_redirects_nowhere_else() {
    let world = world();
    for (target, location) in [
        ("/moved//evil.example", Some("/evil.example?n=")),
        ("/moved/%2Fevil.example", Some("/%2Fevil.example?n=")),
        ("/moved/%5Cevil.example", Some("/%5Cevil.example?n=")),
        ("/moved/a?x=%0D%0ASet-Cookie:%20a%3Db", Some("/a?n=%0D%0ASet-Cookie%3A%20a%3Db")),
        ("/moved/a?x=b%26c%23d", Some("/a?n=b%26c%23d")),
        ("/moved/%09/evil.example", None),
        ("/moved/\\evil.example", None),
    ] {
        let answer = world.get(target, "");
        match location {
            Some(location) => assert_eq!(answer.header("location"), Some(location), "{target}"),
            None => assert_problem(&answer, "bad_path"),
        }
        assert_eq!(answer.header("set-cookie"), None, "{target}");
    }
}

/// User names and passwords with line ends in base64 are none, and none of them is logged.
#[test]
fn credentials_hold_no_lines() {
    let gateway = gateway!(
        "consumers: [{ name: app, basic: { user: app, password: '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b+dWRWJTmaaJObGXUOvFGXDqQM' } }]\nroutes:\n  - { path: /*, auth: { basic: true }, respond: { body: '{consumer}' } }\n"
    );
    for evil in ["app\r\nx:y", "app\0:x", "ap\u{1b}[31mp:x"] {
        let line = format!("Authorization: Basic {}\r\n", STANDARD.encode(evil));
        let answer = gateway.client().exchange(format!("GET /x HTTP/1.1\r\nHost: test\r\n{line}\r\n"));
        assert_problem(&answer, "basic_invalid");
    }
    gateway.record_of("/x");
    let log = gateway.stdout().text();
    assert!(!log.contains(&STANDARD.encode("app\0:x")), "{log}");
}
