//! What a route does: respond, redirect, health, rewrites, edits, templates, weights.

use serde_json::{Value, json};
use tollgate_testkit::{Gateway, Origin, Port, assert_problem, behaviour, gateway};

#[test]
fn respond() {
    let gateway = gateway!(
        r#"
routes:
  - { path: /bare, respond: { status: 204 } }
  - { path: /text, respond: { body: "hello" } }
  - { path: /teapot, respond: { status: 418, headers: { x-pot: "short and stout", content-type: text/tea }, body: tea } }
  - path: "/json/{id}"
    respond: { status: 201, json: { id: "{id}", list: [1, true, null, "{method}"], "q": "{query:q}" } }
  - { path: "/brace", respond: { body: "{{id" } }
  - { path: /empty, respond: { status: 200 } }
"#
    );
    let mut client = gateway.client();
    let bare = client.get("/bare");
    assert_eq!((bare.status, bare.body.len()), (204, 0));
    let text = client.get("/text");
    assert_eq!((text.status, text.text().as_str()), (200, "hello"));
    assert!(text.header("content-type").is_some_and(|t| t.starts_with("text/plain")), "{text:#?}");
    assert!(text.header("date").is_some(), "an answer of our own has a date (RFC 9110 section 6.6.1)");
    let pot = client.get("/teapot");
    assert_eq!(
        (pot.status, pot.header("x-pot"), pot.header("content-type")),
        (418, Some("short and stout"), Some("text/tea"))
    );
    let made = client.get("/json/a%22b?q=%5C%0A");
    assert_eq!(made.status, 201);
    assert_eq!(made.header("content-type"), Some("application/json"));
    assert_eq!(made.json(), json!({ "id": "a\"b", "list": [1, true, null, "GET"], "q": "\\\n" }));
    assert_eq!(client.get("/brace").text(), "{id");
    assert_eq!(client.get("/empty").body.len(), 0);
    let head = client.exchange("HEAD /text HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
    // A body that nobody wants is read or the connection ends, but it is never a request.
    let upload = client.exchange("POST /text HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nGET /");
    assert_eq!(upload.text(), "hello");
}

/// What a site tells browsers holds for refusals, too; what a refusal says of itself is not the route's to change.
#[test]
fn edits_of_answers_hold_for_refusals() {
    let gateway = gateway!(
        r#"
consumers: [{ name: a, keys: ["sha256:0000000000000000000000000000000000000000000000000000000000000000"] }]
defaults:
  response:
    remove_headers: [www-authenticate, x-tollgate-failed, allow, x-a]
    set_headers:
      strict-transport-security: max-age=1
      content-security-policy: default-src 'none'
      x-path: "{path}"
      cache-control: max-age=3600
      content-type: text/html
      content-encoding: gzip
      retry-after: "7"
      etag: '"a"'
routes:
  - { path: /key, auth: { api_key: { header: x-key } }, respond: { body: a } }
  - { path: /guard, guard: [{ if: "false" }], respond: { body: a } }
  - { path: /limit, rate_limit: { rate: 1/h, per: all }, guard: [{ if: "true" }], respond: { body: a } }
  - { path: /to, to: "http://@NOBODY@" }
  - { path: /parts, aggregate: { parts: [{ name: p, to: "http://@NOBODY@", path: /a }] } }
"#,
        NOBODY = Port::reserve().address()
    );
    assert_eq!(gateway.get("/limit").status, 200);
    for (path, reason, kept) in [
        ("/key", "key_missing", Some("www-authenticate")),
        ("/guard", "guard_failed", None),
        ("/limit", "rate_limited", Some("retry-after")),
        ("/to", "upstream_connect", None),
        ("/parts", "upstream_connect", None),
    ] {
        let answer = gateway.get(path);
        assert_problem(&answer, reason);
        for (name, value) in [
            ("strict-transport-security", Some("max-age=1")),
            ("content-security-policy", Some("default-src 'none'")),
            ("x-path", Some(path)),
            ("cache-control", Some("no-store")),
            ("content-type", Some("application/problem+json")),
            ("content-encoding", None),
            ("etag", None),
            ("x-tollgate-failed", None),
        ] {
            assert_eq!(answer.header(name), value, "{path} {name}");
        }
        assert_ne!(answer.header("retry-after"), Some("7"), "{path}");
        assert!(kept.is_none_or(|name| answer.header(name).is_some()), "{path} {kept:?}");
    }
    assert_eq!(gateway.get("/nowhere").header("x-path"), None, "no route was taken");
}

#[test]
fn respond_with_a_file() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("page.html"), "<h1>{not a template}</h1>").expect("a file");
    let gateway = gateway!(
        "routes:\n  - { path: /, respond: { file: @FILES@/page.html } }\n",
        FILES = dir.path().display()
    );
    let page = gateway.get("/");
    assert_eq!(page.text(), "<h1>{not a template}</h1>");
    assert!(page.header("content-type").is_some_and(|t| t.starts_with("text/html")), "{page:#?}");
}

#[test]
fn redirects() {
    let gateway = gateway!(
        r#"
routes:
  - { path: /default, redirect: { to: "https://{host}{path}" } }
  - { path: "/old/{id}", redirect: { to: "/new/{id}", status: 301 } }
  - { path: /q, redirect: { to: "https://{host}{path}?{query}", status: 302 } }
  - { path: "/open/{to}", redirect: { to: "https://site.test/{to}", status: 307 } }
"#
    );
    let mut client = gateway.client();
    let mut location = |path: &str| {
        let answer = client.exchange(format!("GET {path} HTTP/1.1\r\nHost: Test.Example\r\n\r\n"));
        (answer.status, answer.header("location").unwrap_or_default().to_owned())
    };
    assert_eq!(location("/default"), (308, "https://test.example/default".into()));
    assert_eq!(location("/old/7"), (301, "/new/7".into()));
    assert_eq!(location("/old/a%20b%2Fc"), (301, "/new/a%20b%2Fc".into()));
    assert_eq!(location("/q?a=1&b=%20"), (302, "https://test.example/q?a=1&b=%20".into()));
    let (status, open) = location("/open/%0d%0aSet-Cookie:x");
    assert_eq!((status, open.as_str()), (400, ""));
    let (status, open) = location("/open/evil.test%2F..%2F");
    assert_eq!(status, 307);
    assert!(open.starts_with("https://site.test/evil.test%2F"), "{open}");
}

#[test]
fn health() {
    let origin = Origin::ok();
    let gateway = gateway!(
        "
upstreams:
  one: { targets: [@ORIGIN@] }
  two: { targets: [@ORIGIN@, http://127.0.0.1:9] }
routes:
  - { path: /health, health: { upstreams: all } }
  - { path: /one, health: { upstreams: [one] } }
  - { path: /a, to: one }
  - { path: /b, to: two }
  - { path: /c, to: http://127.0.0.1:9 }
",
        ORIGIN = origin.url()
    );
    let check = |body: &Value, names: &[&str]| {
        assert_eq!(body["status"], "ok", "{body}");
        assert!(body["version"].is_string() && body["uptime_s"].is_number(), "{body}");
        assert_eq!(body["generation"], 1, "{body}");
        let upstreams = body["upstreams"].as_object().expect("upstreams");
        assert_eq!(upstreams.keys().collect::<Vec<_>>(), names, "{body}");
        for upstream in upstreams.values() {
            assert_eq!(upstream["status"], "ok");
            for target in upstream["targets"].as_array().expect("targets") {
                assert!(target["url"].is_string() && target["since"].is_string(), "{body}");
                assert_eq!(target["healthy"], true);
            }
        }
    };
    let answer = gateway.get("/health");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    check(&answer.json(), &["one", "two"]);
    check(&gateway.get("/one").json(), &["one"]);
    // One that is made from a URL is like those with a name, but not what `all` of them means.
    check(&gateway.admin("/health").json(), &["one", "two", "http://127.0.0.1:9"]);
    let own = "{upstream=\"http://127.0.0.1:9\",target=\"http://127.0.0.1:9\"}";
    assert_eq!(gateway.metrics().get(&format!("tollgate_target_healthy{own}")), 1.0);
    let listed = gateway.admin("/api/v1/upstreams").json()["upstreams"][2].clone();
    let target = &listed["targets"][0];
    assert_eq!(
        (&listed["name"], &listed["status"]),
        (&json!("http://127.0.0.1:9"), &json!("ok")),
        "{listed}"
    );
    assert!(target["healthy"] == true && target["since"].is_string(), "{listed}");
}

fn echoing(origin: &Origin, route: &str) -> Gateway {
    gateway!(&format!("routes:\n{route}"), ORIGIN = origin.url())
}

#[test]
fn rewrites() {
    let origin = Origin::echo();
    let gateway = echoing(
        &origin,
        r#"
  - { path: "/orders/{id}", to: @ORIGIN@, request: { rewrite: "/v2/orders/{id}" } }
  - { path: "/tail/{rest*}", to: @ORIGIN@, request: { rewrite: "/t/{rest}" } }
  - { path: /api/*, to: @ORIGIN@, request: { strip_prefix: /api } }
  - { path: "/by-query", to: @ORIGIN@, request: { rewrite: "/q/{query:id}" } }
  - { path: "/by-header", to: @ORIGIN@, request: { rewrite: "/h/{header:x-id}" } }
  - { path: "/by-cookie", to: @ORIGIN@, request: { rewrite: "/c/{cookie:sid}" } }
"#,
    );
    let mut client = gateway.client();
    for (path, lines, sent) in [
        ("/orders/7", "", "/v2/orders/7"),
        ("/orders/7?x=1", "", "/v2/orders/7?x=1"),
        ("/orders/a%2Fb%3Fc", "", "/v2/orders/a%2Fb%3Fc"),
        ("/orders/a%20b%C3%A9", "", "/v2/orders/a%20b%C3%A9"),
        ("/orders/%2e%2e%2fx", "", "/v2/orders/..%2Fx"),
        ("/tail/a/b", "", "/t/a/b"),
        ("/tail/a%2Fb/c", "", "/t/a%2Fb/c"),
        ("/api/users", "", "/users"),
        ("/api/users?x", "", "/users?x"),
        ("/api", "", "/"),
        ("/api/", "", "/"),
        ("/by-query?id=a%2Fb", "", "/q/a%2Fb?id=a%2Fb"),
        ("/by-header", "X-Id: a/b?c#d e\r\n", "/h/a%2Fb%3Fc%23d%20e"),
        ("/by-cookie", "Cookie: a=1; sid=s/1; b=2\r\n", "/c/s%2F1"),
    ] {
        let answer = client.exchange(format!("GET {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n"));
        assert_eq!(answer.status, 200, "{path}: {answer:#?}");
        assert_eq!(answer.json()["target"], sent, "{path} {lines:?}");
    }
    let before = origin.count();
    for (path, lines) in [
        ("/by-query", ""),
        ("/by-query?id=", ""),
        ("/by-query?id=..", ""),
        ("/by-query?id=.", ""),
        ("/by-header", ""),
        ("/by-header", "X-Id: ..\r\n"),
        ("/by-cookie", "Cookie: other=1\r\n"),
    ] {
        let answer = client.exchange(format!("GET {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n"));
        assert_problem(&answer, "template_value_missing");
    }
    assert_eq!(origin.count(), before, "never a hole in a path");
}

#[test]
fn request_headers() {
    let origin = Origin::echo();
    let gateway = echoing(
        &origin,
        r#"
  - path: "/x/{id}"
    name: edits
    to: @ORIGIN@
    request:
      set_headers:
        x-set: fixed
        x-id: "{id}"
        x-trace: "{request_id}"
        x-all: "{method} {scheme} {host} {path} {query} {client_ip} {route}"
        x-from: "{header:x-in}/{query:q}/{cookie:c}"
        x-missing: "[{header:nope}]"
      add_headers: { x-multi: two }
      remove_headers: [cookie, x-gone]
"#,
    );
    let answer = gateway.client().exchange(
        "GET /x/a%0d%0aX-Evil:%201?q=v%0D%0Aw HTTP/1.1\r\nHost: Test\r\nCookie: c=3\r\nX-Gone: 1\r\nX-Set: mine\r\nX-SET: too\r\n\
         X-Multi: one\r\nX-In: in\r\n\r\n",
    );
    // A control character in the path has no normal form, so this one never gets so far.
    assert_problem(&answer, "bad_path");
    let answer = gateway.client().exchange(
        "GET /x/a%20b?q=v%0D%0AX-Evil:w%00 HTTP/1.1\r\nHost: Test\r\nCookie: c=3\r\nX-Gone: 1\r\nX-Set: mine\r\nX-SET: too\r\n\
         X-Multi: one\r\nX-In: in\r\n\r\n",
    );
    let headers = &answer.json()["headers"];
    assert_eq!(headers["x-set"], json!(["fixed"]));
    assert_eq!(headers["x-id"], json!(["a b"]));
    assert_eq!(headers["x-trace"], headers["x-request-id"]);
    assert_eq!(headers["x-all"], json!(["GET http test /x/a%20b q=v%0D%0AX-Evil:w%00 127.0.0.1 edits"]));
    let from = headers["x-from"][0].as_str().unwrap_or_default();
    assert!(from.starts_with("in/v") && from.ends_with("/3"), "{from:?}");
    assert!(!from.contains(['\r', '\n', '\0']), "{from:?}");
    assert_eq!(headers["x-evil"], Value::Null);
    assert_eq!(headers["x-missing"], json!(["[]"]));
    assert_eq!(headers["x-multi"], json!(["one", "two"]));
    assert_eq!((&headers["cookie"], &headers["x-gone"]), (&Value::Null, &Value::Null));
}

#[test]
fn queries() {
    let origin = Origin::echo();
    let gateway = echoing(
        &origin,
        r#"
  - path: "/x/{id}"
    to: @ORIGIN@
    request: { set_query: { v: "2", id: "{id}" }, remove_query: [debug] }
  - path: /only
    to: @ORIGIN@
    request: { remove_query: [debug] }
"#,
    );
    let mut client = gateway.client();
    for (path, sent) in [
        ("/x/7", "/x/7?v=2&id=7"),
        ("/x/a%26b%3Dc", "/x/a%26b%3Dc?v=2&id=a%26b%3Dc"),
        ("/x/7?a=1&debug=1&b=%20+", "/x/7?a=1&b=%20+&v=2&id=7"),
        ("/x/7?v=9&a=1&v=8", "/x/7?v=2&a=1&id=7"),
        ("/x/7?de%62ug=1", "/x/7?v=2&id=7"),
        ("/only?debug=1", "/only"),
        ("/only?a&debug&b=", "/only?a&b="),
        ("/only?a=1", "/only?a=1"),
    ] {
        let target = client.get(path).json()["target"].as_str().unwrap_or_default().to_owned();
        let same = pairs(&target) == pairs(sent) && target.split('?').next() == sent.split('?').next();
        assert!(same, "{path} is sent as {target}, not {sent}");
    }
}

/// The parameters without regard to their order, which `set_query` as a map does not promise.
fn pairs(target: &str) -> Vec<&str> {
    let mut pairs: Vec<&str> =
        target.split_once('?').map_or(Vec::new(), |(_, query)| query.split('&').collect());
    pairs.sort_unstable();
    pairs
}

#[test]
fn response_headers() {
    let origin = Origin::saying(
        "HTTP/1.1 200 OK\r\nServer: nginx\r\nX-Powered-By: php\r\nX-Set: theirs\r\nX-Set: again\r\nX-Keep: 1\r\nContent-Length: 2\r\n\r\nok",
    );
    let gateway = echoing(
        &origin,
        r#"
  - path: "/x/{id}"
    to: @ORIGIN@
    response: { set_headers: { x-set: "for {id}", x-req: "{request_id}" }, remove_headers: [server, x-powered-by] }
  - path: "/own"
    respond: { body: own, headers: { server: mine } }
    response: { set_headers: { x-set: both }, remove_headers: [server] }
"#,
    );
    let answer = gateway.get("/x/7");
    assert_eq!(answer.head.all("x-set"), ["for 7"]);
    assert_eq!((answer.header("server"), answer.header("x-powered-by")), (None, None));
    assert_eq!(answer.header("x-keep"), Some("1"));
    let id = answer.header("x-req").unwrap_or_default().to_owned();
    assert_eq!(origin.request().header("x-request-id"), Some(id.as_str()));
    let own = gateway.get("/own");
    assert_eq!((own.header("x-set"), own.header("server")), (Some("both"), None));
}

#[test]
fn defaults_reach_every_route() {
    let origin = Origin::echo();
    let gateway = gateway!(
        "
defaults:
  max_body: 1KiB
  request: { set_headers: { x-default: d, x-both: d } }
routes:
  - { path: /plain, to: @ORIGIN@ }
  - { path: /own, to: @ORIGIN@, max_body: 4KiB, request: { set_headers: { x-both: own } } }
",
        ORIGIN = origin.url()
    );
    assert_eq!(gateway.get("/plain").json()["headers"]["x-default"], json!(["d"]));
    assert_eq!(gateway.get("/own").json()["headers"]["x-both"], json!(["own"]));
    for (path, status) in [("/plain", 413), ("/own", 200)] {
        let mut client = gateway.client();
        client.send(format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 2000\r\n\r\n"));
        let _ = client.try_send(vec![b'x'; 2_000]);
        assert_eq!(client.response().status, status, "{path}");
    }
}

#[test]
fn weights() {
    let stable = Origin::start(behaviour::named("stable"));
    let canary = Origin::start(behaviour::named("canary"));
    let gateway = gateway!(
        "
upstreams:
  stable: { targets: [@STABLE@] }
  canary: { targets: [@CANARY@] }
routes:
  - { path: /split, to: [{ upstream: stable, weight: 80 }, { upstream: canary, weight: 20 }] }
  - { path: /none, to: [{ upstream: stable, weight: 1 }, { upstream: canary, weight: 0 }] }
",
        STABLE = stable.url(),
        CANARY = canary.url()
    );
    let mut client = gateway.client();
    let mut share = |path: &str| (0..500).filter(|_| client.get(path).text() == "canary").count();
    // Five standard deviations around 100 of 500.
    let split = share("/split");
    assert!((55..=145).contains(&split), "{split} of 500 went to the canary instead of about 100");
    assert_eq!(share("/none"), 0);
}

/// An error of an unreachable target never tells where it is.
#[test]
fn problems_keep_addresses_to_themselves() {
    let nobody = Port::reserve();
    let gateway = gateway!(
        "routes:\n  - { path: /, to: \"http://@NOBODY@\" }\n  - { path: /name, to: \"http://no-such-name.invalid\" }\n",
        NOBODY = nobody.address()
    );
    let refused = gateway.get("/");
    assert_problem(&refused, "upstream_connect");
    assert!(!refused.text().contains(&nobody.number().to_string()), "{}", refused.text());
    let unknown = gateway.get("/name");
    assert_problem(&unknown, "upstream_dns");
    assert!(!unknown.text().contains("no-such-name"), "{}", unknown.text());
}
