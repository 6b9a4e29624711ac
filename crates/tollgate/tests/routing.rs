//! Every sentence of the contract's "Matching", through the running binary.

use tollgate_testkit::{Gateway, assert_problem, assert_problem_head, gateway};

/// One request and the route that it has to reach, or the code with which it is refused.
struct Case {
    method: &'static str,
    host: &'static str,
    path: &'static str,
    lines: &'static str,
    want: &'static str,
}

const fn get(path: &'static str, want: &'static str) -> Case {
    Case { method: "GET", host: "test", path, lines: "", want }
}

#[track_caller]
fn check(gateway: &Gateway, cases: &[Case]) {
    let mut client = gateway.client();
    for Case { method, host, path, lines, want } in cases {
        let answer = client.exchange(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n"));
        let got = if answer.status == 200 { answer.text() } else { answer.code() };
        assert_eq!(got, *want, "{method} {host} {path} {lines:?}: {answer:#?}");
    }
}

#[test]
fn paths() {
    let gateway = gateway!(
        "
routes:
  - { path: /, respond: { body: root } }
  - { path: /a/b, respond: { body: exact } }
  - { path: '/a/{id}', respond: { body: 'param {id}' } }
  - { path: '/a/{id}/c', respond: { body: 'inner {id}' } }
  - { path: /x/*, respond: { body: tail } }
  - { path: '/y/{rest*}', respond: { body: 'rest [{rest}]' } }
  - { path: '/files/{name}.json', respond: { body: 'json {name}' } }
  - { path: '/files/{name}', respond: { body: 'file {name}' } }
  - { path: '/v{major}.{minor}/x', respond: { body: '{major} and {minor}' } }
"
    );
    check(
        &gateway,
        &[
            get("/", "root"),
            get("/a/b", "exact"),
            get("/a/b?q=1", "exact"),
            get("/a/b/", "route_not_found"),
            get("/A/b", "route_not_found"),
            get("/a", "route_not_found"),
            get("/a/", "route_not_found"),
            get("/a/7", "param 7"),
            get("/a/7/", "route_not_found"),
            get("/a/7/c", "inner 7"),
            get("/a/b/c", "inner b"),
            get("/a//c", "param c"),
            get("/a/7/d", "route_not_found"),
            get("/x", "tail"),
            get("/x/", "tail"),
            get("/x/1/2/3", "tail"),
            get("/xy", "route_not_found"),
            get("/y", "rest []"),
            get("/y/", "rest []"),
            get("/y/1/2", "rest [1/2]"),
            get("/files/a.json", "json a"),
            get("/files/a.b.json", "json a.b"),
            get("/files/.json", "file .json"),
            get("/files/a.jsonx", "file a.jsonx"),
            get("/v1.2/x", "1 and 2"),
            get("/v1/x", "route_not_found"),
            get("/v.2/x", "route_not_found"),
        ],
    );
}

/// The normal form is what is matched, and an encoded slash never separates segments.
#[test]
fn the_normal_form_is_matched() {
    let gateway = gateway!(
        "
routes:
  - { path: /admin/*, respond: { body: admin } }
  - { path: '/pub/{id}', respond: { body: 'pub {id}' } }
  - { path: /ü, respond: { body: umlaut } }
  - { path: '/a%2Fb', respond: { body: encoded } }
  - { path: '/~u', respond: { body: tilde } }
"
    );
    check(
        &gateway,
        &[
            get("/admin", "admin"),
            get("/%61dmin", "admin"),
            get("/pub/../admin/x", "admin"),
            get("/pub/%2e%2e/admin", "admin"),
            get("//admin", "admin"),
            get("/./admin", "admin"),
            get("/admin/../pub/1", "pub 1"),
            get("/pub/a%2Fb", "pub a/b"),
            get("/pub/..%2Fadmin", "pub ../admin"),
            get("/pub/%252e%252e", "pub %2e%2e"),
            get("/pub/a/../../admin", "admin"),
            get("/pub\\admin", "bad_path"),
            get("/%c3%bc", "umlaut"),
            get("/%C3%BC", "umlaut"),
            get("/a%2fb", "encoded"),
            get("/a/b", "route_not_found"),
            get("/%7Eu", "tilde"),
            get("/admin;x", "route_not_found"),
            get("/ADMIN", "route_not_found"),
        ],
    );
}

#[test]
fn hosts() {
    let gateway = gateway!(
        "
routes:
  - { host: api.example.com, path: /, respond: { body: exact } }
  - { host: '*.example.com', path: /, respond: { body: wildcard } }
  - { host: '*.eu.example.com', path: /, respond: { body: longer } }
  - { host: [one.test, two.test], path: /, respond: { body: list } }
  - { path: /, respond: { body: any } }
  - { host: api.example.com, path: /p/*, respond: { body: exact tail } }
  - { path: /p/literal, respond: { body: any literal } }
"
    );
    let at = |host, want| Case { method: "GET", host, path: "/", lines: "", want };
    check(
        &gateway,
        &[
            at("api.example.com", "exact"),
            at("API.Example.COM", "exact"),
            at("api.example.com:8443", "exact"),
            at("api.example.com.", "exact"),
            at("www.example.com", "wildcard"),
            at("a.b.example.com", "wildcard"),
            at("x.eu.example.com", "longer"),
            at("eu.example.com", "wildcard"),
            at("example.com", "any"),
            at("badexample.com", "any"),
            at("one.test", "list"),
            at("two.test", "list"),
            at("three.test", "any"),
            at("127.0.0.1", "any"),
            at("[::1]", "any"),
            // Host decides before the path does.
            Case { path: "/p/literal", ..at("api.example.com", "exact tail") },
            Case { path: "/p/literal", ..at("other.test", "any literal") },
        ],
    );
    let absolute = gateway.client().exchange("GET http://one.test/ HTTP/1.1\r\nHost: one.test\r\n\r\n");
    assert_eq!(absolute.text(), "list");
}

/// Segment by segment: literal over parameter over tail; then conditions, then methods, then priority.
#[test]
fn the_most_specific_route_wins() {
    let gateway = gateway!(
        "
routes:
  - { path: /*, respond: { body: all } }
  - { path: '/{a}', respond: { body: one } }
  - { path: '/{a}/{b}', respond: { body: two } }
  - { path: '/{a}/b', respond: { body: param-literal } }
  - { path: '/a/{b}', respond: { body: literal-param } }
  - { path: /a/*, respond: { body: literal-tail } }
  - { path: /a/b/*, respond: { body: deep } }
  - { path: /c/x, respond: { body: plain } }
  - { path: /c/x, headers: { x-a: '1' }, respond: { body: header } }
  - { path: /c/x, headers: { x-a: '1' }, query: { q: '1' }, respond: { body: header+query } }
  - { path: /m, respond: { body: any-method } }
  - { path: /m, methods: [GET], respond: { body: get } }
  - { path: /pr, headers: { x-a: '1' }, respond: { body: low } }
  - { path: /pr, headers: { x-b: '1' }, priority: 5, respond: { body: high } }
"
    );
    let with = |path, lines, want| Case { method: "GET", host: "test", path, lines, want };
    check(
        &gateway,
        &[
            get("/", "all"),
            get("/z", "one"),
            get("/z/z", "two"),
            get("/z/b", "param-literal"),
            get("/a/z", "literal-param"),
            get("/a/z/z", "literal-tail"),
            get("/a", "literal-tail"),
            get("/a/b", "deep"),
            get("/a/b/c", "deep"),
            get("/z/z/z", "all"),
            get("/c/x", "plain"),
            with("/c/x", "X-A: 1\r\n", "header"),
            with("/c/x?q=1", "X-A: 1\r\n", "header+query"),
            with("/c/x?q=1", "", "plain"),
            get("/m", "get"),
            Case { method: "POST", ..get("/m", "any-method") },
            with("/pr", "X-A: 1\r\n", "low"),
            with("/pr", "X-B: 1\r\n", "high"),
            with("/pr", "X-A: 1\r\nX-B: 1\r\n", "high"),
        ],
    );
}

#[test]
fn conditions() {
    let gateway = gateway!(
        "
routes:
  - { path: /h, headers: { x-version: '2' }, respond: { body: exact } }
  - { path: /r, headers: { x-version: '~^v[0-9]+$' }, respond: { body: regex } }
  - { path: /p, headers: { x-debug: true }, respond: { body: present } }
  - { path: /n, headers: { x-debug: false }, respond: { body: absent } }
  - { path: /q, query: { debug: '1' }, respond: { body: query } }
  - { path: /qr, query: { debug: '~^(on|yes)$' }, respond: { body: query regex } }
  - { path: /qp, query: { debug: true }, respond: { body: query present } }
  - { path: /qn, query: { debug: false }, respond: { body: query absent } }
  - { path: /qe, query: { name: 'a b&c' }, respond: { body: decoded } }
"
    );
    let with = |path, lines, want| Case { method: "GET", host: "test", path, lines, want };
    let no = "route_not_found";
    check(
        &gateway,
        &[
            with("/h", "X-Version: 2\r\n", "exact"),
            with("/h", "x-version:2\r\n", "exact"),
            with("/h", "X-Version: 22\r\n", no),
            with("/h", "", no),
            with("/r", "X-Version: v12\r\n", "regex"),
            with("/r", "X-Version: xv12\r\n", no),
            with("/r", "", no),
            with("/p", "X-Debug: \r\n", "present"),
            with("/p", "X-Debug: no\r\n", "present"),
            with("/p", "", no),
            with("/n", "", "absent"),
            with("/n", "X-Debug:\r\n", no),
            get("/q?debug=1", "query"),
            get("/q?a=b&debug=1&c", "query"),
            get("/q?de%62ug=%31", "query"),
            get("/q?debug=2", no),
            get("/q?debug", no),
            get("/q?Debug=1", no),
            get("/q", no),
            get("/qr?debug=yes", "query regex"),
            get("/qr?debug=maybe", no),
            get("/qp?debug", "query present"),
            get("/qp?debug=", "query present"),
            get("/qp?debugs=1", no),
            get("/qn", "query absent"),
            get("/qn?x=debug", "query absent"),
            get("/qn?debug=0", no),
            get("/qe?name=a+b%26c", "decoded"),
            get("/qe?name=a%20b%26c", "decoded"),
            get("/qe?name=a%20b&c", no),
        ],
    );
}

#[test]
fn methods() {
    let gateway = gateway!(
        "
routes:
  - { path: /get, methods: [GET], respond: { body: get } }
  - { path: /both, methods: [GET, POST], respond: { body: both } }
  - { path: /split, methods: [GET], respond: { body: split get } }
  - { path: /split, methods: [PUT, DELETE], respond: { body: split put } }
  - { path: /head, methods: [GET], respond: { body: get } }
  - { path: /head, methods: [HEAD], respond: { status: 204 } }
  - { path: /options, methods: [OPTIONS], respond: { body: options } }
  - { path: /fall/x, methods: [POST], respond: { body: literal } }
  - { path: '/fall/{id}', methods: [GET], respond: { body: param } }
  - { path: /cond, methods: [POST], headers: { x-a: '1' }, respond: { body: cond } }
"
    );
    let with = |method, path, want| Case { method, host: "test", path, lines: "", want };
    check(
        &gateway,
        &[
            with("GET", "/get", "get"),
            with("POST", "/get", "method_not_allowed"),
            with("get", "/get", "method_not_allowed"),
            with("OPTIONS", "/get", "method_not_allowed"),
            with("POST", "/both", "both"),
            with("PUT", "/split", "split put"),
            with("OPTIONS", "/options", "options"),
            // A route whose method does not match is no candidate: the less specific one answers.
            with("POST", "/fall/x", "literal"),
            with("GET", "/fall/x", "param"),
            with("DELETE", "/fall/x", "method_not_allowed"),
            with("POST", "/nowhere", "route_not_found"),
            // Its condition does not match either, so the method is not what is wrong.
            with("POST", "/cond", "route_not_found"),
        ],
    );
    for (path, allowed) in [
        ("/get", vec!["GET", "HEAD"]),
        ("/both", vec!["GET", "HEAD", "POST"]),
        ("/split", vec!["DELETE", "GET", "HEAD", "PUT"]),
        ("/fall/x", vec!["GET", "HEAD", "POST"]),
    ] {
        let answer = gateway.client().exchange(format!("PATCH {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        assert_problem(&answer, "method_not_allowed");
        let mut allow: Vec<&str> = answer.header("allow").unwrap_or_default().split(", ").collect();
        allow.sort_unstable();
        assert_eq!(allow, allowed, "{path}");
    }
}

#[test]
fn head_is_served_by_get_routes() {
    let gateway = gateway!(
        "
routes:
  - { path: /get, methods: [GET], respond: { body: 'hello' } }
  - { path: /own, methods: [GET], respond: { body: 'hello' } }
  - { path: /own, methods: [HEAD], respond: { status: 204 } }
  - { path: /post, methods: [POST], respond: { body: 'hello' } }
"
    );
    let mut client = gateway.client();
    let mut head = |path: &str| client.exchange(format!("HEAD {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
    let answer = head("/get");
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("5")));
    assert_eq!(head("/own").status, 204);
    assert_problem_head(&head("/post"), "method_not_allowed");
}

/// The route's name is in the record; without one it is made from method and path.
#[test]
fn names() {
    let gateway = gateway!(
        "
routes:
  - { name: orders, path: '/orders/{id}', respond: { body: x } }
  - { path: /things, methods: [GET], respond: { body: '{route}' } }
"
    );
    assert_eq!(gateway.get("/orders/7").status, 200);
    assert_eq!(gateway.record_of("/orders/7")["route"], "orders");
    let made = gateway.get("/things").text();
    assert!(made.contains("GET") && made.contains("/things"), "{made}");
    assert_eq!(gateway.record_of("/things")["route"], made.as_str());
    assert_eq!(gateway.get("/nowhere").status, 404);
    assert!(gateway.record_of("/nowhere")["route"].is_null());
}

#[test]
fn many_routes() {
    let mut text = String::from("routes:\n");
    for n in 0..3_000 {
        text.push_str(&format!("  - {{ path: '/r{n}/{{id}}', respond: {{ body: 'r{n} {{id}}' }} }}\n"));
    }
    let gateway = gateway!(&text);
    for n in [0, 1, 1_499, 2_999] {
        assert_eq!(gateway.get(&format!("/r{n}/x")).text(), format!("r{n} x"));
    }
    assert_eq!(gateway.get("/r3000/x").status, 404);
}
