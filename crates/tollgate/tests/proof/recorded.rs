//! `tollgate test --record`: what a gateway that runs answers becomes tests, which pass offline and hold no credential.

use std::fs;

use tollgate_testkit::behaviour::describe;
use tollgate_testkit::{Conn, Finished, Gateway, Origin, binary, gateway, run};

use super::tollgate;

const CONFIG: &str = r#"
issuers:
  main: { issuer: "https://id.example.com/", audience: [orders-api], algorithms: [HS256], secret: "a secret of more than 32 bytes, see" }
consumers:
  - name: mobile
    keys: ["@HASH@"]
    basic: { user: mobile, password: "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$2l1u5cNPEo6pLQLCpNHYq3EdKiXOIOQ9kzQdPnZ3dXc" }
    groups: [gold]
upstreams:
  orders: { targets: ["@ORIGIN@/base"] }
  gone: { targets: ["http://127.0.0.1:1"] }
routes:
  - name: order
    path: /orders/{id}
    to: orders
    auth: { jwt: main, require: { scopes: ["orders:read"] }, forward: { x-user: sub }, strip: true }
    request: { rewrite: "/v2/orders/{id}" }
    response: { body: { from: data }, set_headers: { x-by: gateway } }
  - { name: plain, path: /plain/*, to: orders }
  - { name: key, path: /key, to: orders, auth: { api_key: { header: x-api-key }, require: { groups: [gold] } } }
  - { name: query, path: /query, to: orders, auth: { api_key: { query: key }, strip: true } }
  - { name: password, path: /password, to: orders, auth: { basic: true } }
  - { name: here, path: /here, respond: { json: { path: "{path}", id: "{request_id}" } } }
  - { name: old, path: /old, redirect: { to: "https://{host}/new", status: 308 } }
  - { name: limited, path: /limited, to: orders, rate_limit: { rate: 1/h, per: ip } }
  - { name: gone, path: /gone, to: gone }
  - { name: both, path: /both, aggregate: { parts: [{ name: a, to: orders, path: /v2/orders/1 }] } }
"#;

const KEY: &str = "tg_liveKeyOfMobile";

const JSON: &str = "Content-Type: application/json\r\n";

/// `/base/v2/orders/7` is an order, `/base/plain/echo` says what it was sent, `/base/plain/large` is long.
fn service(conn: &mut Conn) -> std::io::Result<()> {
    loop {
        let seen = conn.request()?;
        let path = seen.target().split('?').next().unwrap_or_default().to_owned();
        let (status, more, body) = match path.as_str() {
            "/base/plain/text" => (
                "200 OK",
                "Content-Type: text/plain\r\nSet-Cookie: session=very-secret\r\n",
                "hello".to_owned(),
            ),
            "/base/plain/echo" => ("200 OK", JSON, describe(&seen).to_string()),
            "/base/plain/large" => ("200 OK", "", "x".repeat(5000)),
            "/base/plain/none" => ("404 Not Found", JSON, "{\"error\":null}".to_owned()),
            _ => ("200 OK", JSON, "{\"data\":{\"id\":7,\"price\":1.50},\"more\":1}".to_owned()),
        };
        let length = body.len();
        let body = if seen.method() == "HEAD" { "" } else { &body };
        conn.send(format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\n\r\n{body}"))?;
    }
}

fn start(origin: &Origin) -> Gateway {
    let dir = tempfile::tempdir().expect("a directory");
    let hash = tollgate(dir.path(), &["key", "hash", KEY], 0).stdout.trim().to_owned();
    gateway!(CONFIG, ORIGIN = origin.url(), HASH = hash)
}

fn token(gateway: &Gateway, claims: &[&str]) -> String {
    let file = gateway.file().display().to_string();
    let claims = claims.iter().flat_map(|claim| ["--claim", claim]);
    let arguments: Vec<&str> = ["token", "--issuer", "main", "-c", &file].into_iter().chain(claims).collect();
    tollgate(gateway.dir(), &arguments, 0).stdout.trim().to_owned()
}

fn record(gateway: &Gateway, path: &str, more: &[&str], code: i32) -> Finished {
    let (url, file) = (format!("http://{}{path}", gateway.address()), gateway.file().display().to_string());
    let arguments = [&["test", "--record", &url, "-c", &file], more].concat();
    tollgate(gateway.dir(), &arguments, code)
}

/// Runs the tests of a file of tests, with the configuration.
#[track_caller]
fn pass(gateway: &Gateway, tests: &str, count: usize) {
    let text = fs::read_to_string(gateway.file()).expect("the configuration");
    fs::write(gateway.dir().join("all.yaml"), format!("{text}\n{tests}")).expect("a file");
    let ended = run(binary!(), gateway.dir(), &["test", "-c", "all.yaml"], &[]);
    let many = if count == 1 { "1 test".to_owned() } else { format!("{count} tests") };
    assert!(ended.stdout.starts_with(&format!("ok: {many} passed in ")), "{tests}\n{ended:#?}");
}

#[track_caller]
fn holds(tests: &str, parts: &[&str]) {
    for part in parts {
        assert!(tests.contains(part), "{part}\n{tests}");
    }
}

#[test]
fn what_was_answered_passes_offline() {
    let origin = Origin::start(service);
    let gateway = start(&origin);
    let lines = "GET /plain/text?a=1\nHEAD /plain/text\nGET /plain/none\nGET /plain/large\nGET /here\nGET /old\nGET /nowhere\n\
                 GET /gone\nGET /limited\nPOST /plain/text\nGET /orders/7\nGET /plain/text?a=1\nGET /both\n";
    fs::write(gateway.dir().join("requests.txt"), lines).expect("a file");
    let ended = record(&gateway, "", &["--from", "requests.txt"], 0);
    assert_eq!(ended.stderr, "11 tests recorded, 1 request left out\n", "{ended:#?}");
    let tests = &ended.stdout;
    holds(
        tests,
        &[
            "# Left out: POST /plain/text: it may change something: --any-method sends it.",
            "\ntests:\n",
            "  - name: \"GET /plain/text is 200\"\n    request: { path: \"/plain/text?a=1\", host: ",
            "upstreams: { orders: { status: 200, body: hello, headers: { content-type: text/plain } } }",
            "    expect:\n      status: 200\n      route: plain\n      upstream: orders\n      upstream_path: \"/base/plain/text?a=1\"\n      body: hello\n",
            "method: HEAD",
            "name: \"GET /plain/none is 404\"",
            "json: { error: null }",
            "# the answer's body of 5000 bytes is left out",
            "# the body is another one offline, and left out",
            "location: https://127.0.0.1/new",
            "name: \"GET /nowhere is 404 route_not_found\"",
            "name: \"GET /gone is 502 upstream_connect\"",
            "upstreams: { gone: { error: connect } }",
            "ratelimit-policy",
            "reason: token_missing",
            "www-authenticate: true",
            "# its services answer {} here",
        ],
    );
    assert!(!tests.contains("very-secret"), "{tests}");
    assert_eq!(origin.requests().iter().filter(|seen| seen.method() == "POST").count(), 0);
    pass(&gateway, tests, 11);
    // Each was sent once: text twice by two methods, none, large, limited, both.
    assert_eq!(origin.count(), 6);
}

#[test]
fn credentials_are_made_anew() {
    let origin = Origin::start(service);
    let gateway = start(&origin);
    let good = token(&gateway, &["sub=u1", "scope=orders:read", "email=me@example.com"]);
    let bearer = format!("Authorization: Bearer {good}");
    let mut all = String::from("tests:\n");
    let mut secrets = vec![good.clone(), good.rsplit('.').next().expect("a signature").to_owned()];
    let mut add = |path: &str, headers: &[&str], parts: &[&str]| {
        let headers: Vec<&str> = headers.iter().flat_map(|line| ["-H", line]).collect();
        let ended = record(&gateway, path, &[&headers[..], &["--append"]].concat(), 0);
        holds(&ended.stdout, parts);
        assert!(!ended.stdout.contains("tests:"), "{ended:#?}");
        all.push_str(&ended.stdout);
    };
    let order = [
        "token: { claims: { sub: u1, scope: orders:read } }",
        "orders: { status: 200, json: { data: { id: 7, price: 1.5 } }",
        "upstream_path: /base/v2/orders/7",
        "x-by: gateway",
    ];
    add("/orders/7?full=1", &[&bearer], &order[..2]);
    let with_cookie = [&order[..], &["# header `cookie` is left out"]].concat();
    add("/orders/7", &[&bearer, "Cookie: session=very-secret"], &with_cookie);
    let weak = token(&gateway, &["sub=u1"]);
    add(
        "/orders/7",
        &[&format!("Authorization: Bearer {weak}")],
        &["reason: scope_missing", "token: { claims: { sub: u1 } }"],
    );
    let old = token(&gateway, &["exp=1"]);
    add(
        "/orders/7",
        &[&format!("Authorization: Bearer {old}")],
        &["reason: token_expired", "claims: { exp: 1 }"],
    );
    add(
        "/orders/7",
        &["Authorization: Bearer very-secret-text"],
        &["reason: token_malformed", "Bearer not-a-token"],
    );
    add("/key", &[&format!("X-Api-Key: {KEY}")], &["key: mobile"]);
    add("/key", &["X-Api-Key: very-secret-key"], &["reason: key_unknown", "x-api-key: not-a-key"]);
    add(&format!("/query?key={KEY}&a=b"), &[], &["path: \"/query?a=b\"", "key: mobile"]);
    add("/query?key=very-secret-key", &[], &["path: \"/query?key=not-a-key\"", "reason: key_unknown"]);
    add("/password", &["Authorization: Basic bm9ib2R5OnZlcnktc2VjcmV0"], &["reason: basic_invalid"]);
    let echoed = [
        "# the answer's body repeats a credential, and is left out",
        "# header `cookie` is left out",
        "x-other: seen",
    ];
    add("/plain/echo", &["Cookie: session=very-secret", "X-Other: seen"], &echoed);
    secrets.extend([
        weak,
        old,
        KEY.to_owned(),
        "very-secret".to_owned(),
        "dmVyeS1zZWNyZXQ".to_owned(),
        "me@example.com".to_owned(),
    ]);
    for secret in &secrets {
        assert!(!all.contains(&**secret), "{secret}\n{all}");
    }
    pass(&gateway, &all, 11);
}

/// No test could hold these.
#[test]
fn what_cannot_be_tested_is_left_out() {
    let origin = Origin::start(service);
    let gateway = start(&origin);
    let good = token(&gateway, &["scope=orders:read"]);
    let forged = format!("Authorization: Bearer {}AAAA", &good[..good.len() - 4]);
    assert_eq!(gateway.get("/limited").status, 200);
    for (path, headers, why) in [
        ("/orders/7", vec![&*forged], "its token was refused (token_signature)"),
        ("/limited", vec![], "status is 429 live and 200 offline"),
        (
            "/plain/text?access_token=very-secret",
            vec![],
            "its parameter `access_token` is a credential that no test can make",
        ),
    ] {
        let headers: Vec<&str> = headers.into_iter().flat_map(|line| ["-H", line]).collect();
        let ended = record(&gateway, path, &headers, 1);
        assert_eq!(ended.stderr, "0 tests recorded, 1 request left out\n", "{ended:#?}");
        holds(&ended.stdout, &["# Left out: GET ", why, "\ntests: []\n"]);
        assert!(!ended.stdout.contains("very-secret") && !ended.stdout.contains(&*good), "{ended:#?}");
    }
}

/// Lines of its own access log, and no admin side: what the configuration says of routes is told as that.
#[test]
fn records_are_requests_and_the_admin_side_may_be_silent() {
    let origin = Origin::start(service);
    let gateway = start(&origin);
    assert_eq!(gateway.get("/plain/text").status, 200);
    assert_eq!(gateway.get("/nowhere").status, 404);
    gateway.record_of("/nowhere");
    fs::write(gateway.dir().join("access.log"), gateway.stdout().text()).expect("a file");
    let ended = record(&gateway, "", &["--from", "access.log", "--admin", "127.0.0.1:1"], 0);
    holds(
        &ended.stderr,
        &["warning: which routes requests took is the configuration's word: no answer from 127.0.0.1:1"],
    );
    holds(&ended.stdout, &["routes as the configuration says", "route: plain", "upstream: orders"]);
    pass(&gateway, &ended.stdout, 2);
}

#[test]
fn what_is_no_gateway_or_no_request_says_so() {
    let origin = Origin::start(service);
    let gateway = start(&origin);
    fs::write(gateway.dir().join("empty.txt"), "# nothing\n").expect("a file");
    fs::write(gateway.dir().join("odd.txt"), "GET /a\nhello\n").expect("a file");
    let file = gateway.file().display().to_string();
    let here = format!("http://{}", gateway.address());
    let (there, deep) = (origin.url(), format!("{here}/a"));
    for (arguments, code, said) in [
        (vec!["--record", "http://127.0.0.1:1/a"], 1, "error: http://127.0.0.1:1: cannot connect: "),
        (vec!["--record", &there], 1, "no gateway of this kind answers there: TRACE is 200 and not 501"),
        (vec!["--record", &here, "--from", "empty.txt"], 1, "error: empty.txt: no request in it\n"),
        (vec!["--record", &here, "--from", "gone.txt"], 1, "error: gone.txt: No such file"),
        (
            vec!["--record", &here, "--from", "odd.txt"],
            1,
            "error: odd.txt:2: neither a record of an access log nor `METHOD PATH`",
        ),
        (vec!["--record", &deep, "--from", "odd.txt"], 2, "with --from the URL is that of the gateway"),
        (vec!["--record", "127.0.0.1:1"], 2, "write http://HOST:PORT"),
        (vec!["--record", "http://me:very-secret@127.0.0.1/"], 2, "must not hold a user"),
        (vec!["--record", &here, "-H", "Content-Length: 7"], 2, "a header of it cannot be sent"),
        (vec!["--record", &here, "a name"], 2, "cannot be used with"),
        (vec!["--from", "odd.txt"], 2, "--record"),
    ] {
        let arguments = [&["test", "-c", &file], &arguments[..]].concat();
        let ended = tollgate(gateway.dir(), &arguments, code);
        assert!(ended.stderr.contains(said) && ended.stdout.is_empty(), "{arguments:?}: {ended:#?}");
        assert!(!ended.stderr.contains("very-secret"), "{ended:#?}");
    }
    assert_eq!(origin.count(), 1, "the one to whom TRACE went");
}
