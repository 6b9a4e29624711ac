//! Who may call at all: addresses, and browsers of other origins.

use serde_json::json;
use tollgate_testkit::{Client, Gateway, Origin, Response, assert_problem, gateway, wait_for};

const APP: &str = "https://app.example.com";

const CORS: &str = r#"
routes:
  - path: /api/*
    methods: [GET]
    cors: { origins: ["https://app.example.com", "https://*.example.org"], methods: [GET], headers: [authorization, x-a], expose: [x-total, etag], credentials: true, max_age: 10m }
    to: @ORIGIN@
  - path: /api/*
    methods: [POST, PUT]
    cors: { origins: ["*"], methods: [POST], headers: ["*"], max_age: 5s }
    to: @ORIGIN@
  - path: /plain
    to: @ORIGIN@
  - path: /narrow
    methods: [GET, POST]
    to: @ORIGIN@
  - path: /mixed
    methods: [GET]
    cors: { origins: ["https://app.example.com"] }
    to: @ORIGIN@
  - path: /mixed
    methods: [POST, OPTIONS]
    to: @ORIGIN@
  - path: /denied
    cors: { origins: ["https://app.example.com"] }
    deny_ips: [127.0.0.0/8]
    to: @ORIGIN@
  - path: /limited
    cors: { origins: ["https://app.example.com"] }
    rate_limit: { rate: 1/h, per: all }
    to: @ORIGIN@
  - path: /gone
    cors: { origins: ["https://app.example.com"] }
    to: http://127.0.0.1:9
  - path: /fixed
    cors: { origins: ["https://app.example.com"] }
    respond: { headers: { access-control-allow-origin: "https://else.test", vary: accept }, body: hello }
  - path: /moved
    cors: { origins: ["https://app.example.com"] }
    redirect: { to: /fixed }
  - path: /edited
    cors: { origins: ["https://app.example.com"] }
    response: { set_headers: { access-control-allow-origin: "https://else.test", access-control-allow-private-network: "true" } }
    to: @ORIGIN@
"#;

/// An origin that has an opinion of its own about browsers.
const OPINION: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAccess-Control-Allow-Origin: *\r\n\
                       access-control-allow-origin: https://evil.test\r\nAccess-Control-Max-Age: 9\r\n\
                       Vary: Accept-Encoding\r\nX-Own: 1\r\n\r\nok";

fn opinionated() -> Origin {
    Origin::start(|conn| tollgate_testkit::behaviour::answer_each(conn, OPINION.as_bytes()))
}

/// Sends a request with these lines beside Host.
#[track_caller]
fn send(client: &mut Client, line: &str, headers: &[(&str, &str)]) -> Response {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    client.exchange(format!("{line} HTTP/1.1\r\nHost: test\r\n{headers}\r\n"))
}

fn preflight(client: &mut Client, path: &str, origin: &str, method: &str, headers: &str) -> Response {
    let mut lines = vec![("Origin", origin), ("Access-Control-Request-Method", method)];
    if !headers.is_empty() {
        lines.push(("Access-Control-Request-Headers", headers));
    }
    send(client, &format!("OPTIONS {path}"), &lines)
}

/// The CORS headers of an answer, sorted, as `name: value` without the common prefix; `vary` among them.
fn cors(response: &Response) -> Vec<String> {
    let mut found: Vec<String> = response
        .head
        .lines
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(|(name, _)| name.starts_with("access-control-") || name == "vary")
        .map(|(name, value)| format!("{}: {value}", name.trim_start_matches("access-control-")))
        .collect();
    found.sort();
    found
}

const PREFLIGHT_VARY: &str = "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

#[test]
fn preflights_are_answered_for_the_method_that_is_asked_about() {
    let origin = opinionated();
    let gateway = gateway!(CORS, ORIGIN = origin.url());
    let mut client = gateway.client();
    let get = [
        "allow-credentials: true",
        "allow-headers: authorization, x-a",
        "allow-methods: GET",
        "allow-origin: https://app.example.com",
        "max-age: 600",
        PREFLIGHT_VARY,
    ];
    let post = |headers| {
        let mut all = vec!["allow-methods: POST", "allow-origin: *", "max-age: 5", PREFLIGHT_VARY];
        all.extend(headers);
        all.sort();
        all
    };
    for (origin, method, headers, expect) in [
        (APP, "GET", "", get.to_vec()),
        (APP, "GET", "X-A", get.to_vec()),
        (APP, "HEAD", "", get.to_vec()),
        (APP, "GET", "x-a, x-b", vec![PREFLIGHT_VARY]),
        ("https://evil.test", "GET", "", vec![PREFLIGHT_VARY]),
        ("null", "GET", "", vec![PREFLIGHT_VARY]),
        ("https://evil.test", "POST", "X-Any,x-other", post(Some("allow-headers: x-any, x-other"))),
        (APP, "POST", "", post(None)),
        // The route of PUT is asked, and says that it is not for browsers.
        (APP, "PUT", "", vec![PREFLIGHT_VARY]),
        // No route has it: those that the path has answer.
        (APP, "PATCH", "", vec![PREFLIGHT_VARY]),
    ] {
        let answer = preflight(&mut client, "/api/x", origin, method, headers);
        assert_eq!(answer.status, 204, "{answer:#?}");
        assert!(answer.body.is_empty() && answer.header("content-length").is_none(), "{answer:#?}");
        assert_eq!(cors(&answer), expect, "{origin} {method} {headers}");
    }
    let sub = preflight(&mut client, "/api/x", "https://a.example.org", "GET", "");
    assert_eq!(sub.header("access-control-allow-origin"), Some("https://a.example.org"));
    let record = gateway.record(|record| record["method"] == "OPTIONS" && record["status"] == 204);
    assert_eq!(record["reason"], serde_json::Value::Null, "a preflight is no refusal");
    origin.assert_untouched();
}

/// Which route answers a request may rest on a header that its preflight only names.
#[test]
fn preflights_name_the_headers_that_routes_ask_for() {
    const ROUTES: &str = r#"
routes:
  - path: /only
    headers: { x-version: "2" }
    cors: { origins: ["https://app.example.com"], headers: [x-version] }
    to: @ORIGIN@
  - path: /both
    headers: { x-version: "2" }
    cors: { origins: ["https://app.example.com", "https://new.example.com"], headers: [x-version] }
    to: @ORIGIN@
  - path: /both
    cors: { origins: ["https://app.example.com", "https://old.example.com"], headers: [x-version] }
    to: @ORIGIN@
  - path: /there
    headers: { x-beta: true }
    cors: { origins: ["https://new.example.com"], headers: [x-beta] }
    to: @ORIGIN@
  - path: /there
    headers: { x-beta: false }
    cors: { origins: ["https://old.example.com"], headers: [x-beta] }
    to: @ORIGIN@
  - path: /cookie
    headers: { cookie: "~beta=1" }
    cors: { origins: ["https://new.example.com"], credentials: true }
    to: @ORIGIN@
"#;
    let origin = opinionated();
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = gateway.client();
    let (new, old) = ("https://new.example.com", "https://old.example.com");
    for (path, from, named, expect) in [
        ("/only", APP, "x-version", Some(APP)),
        ("/only", new, "x-version", None),
        ("/both", APP, "x-version", Some(APP)),
        // Which of the two routes it takes stands in the header: both have to allow it.
        ("/both", new, "x-version", None),
        ("/both", old, "x-version", None),
        ("/both", old, "", Some(old)),
        ("/both", new, "", None),
        ("/there", new, "x-beta", Some(new)),
        ("/there", old, "x-beta", None),
        ("/there", old, "", Some(old)),
        ("/cookie", new, "", Some(new)),
    ] {
        let answer = preflight(&mut client, path, from, "GET", named);
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!((answer.status, allowed), (204, expect), "{path} {from} {named}");
    }
    assert_eq!(
        preflight(&mut client, "/only", APP, "GET", "").status,
        404,
        "without the header nothing is there"
    );
    origin.assert_untouched();
}

/// Which route the call takes rests on what will stand in a header, which a preflight only names.
#[test]
fn a_preflight_is_explained_with_all_routes_that_have_a_word() {
    let gateway = gateway!(
        "routes:\n  - { name: two, path: /a, headers: { x-v: '2' }, cors: { origins: ['https://a'], headers: [x-v] }, respond: {} }\n  \
         - { name: three, path: /a, headers: { x-v: '3' }, cors: { origins: ['https://b'], headers: [x-v] }, respond: {} }\n  \
         - { name: bare, path: /a, methods: [GET], respond: {} }\n  \
         - { name: other, path: /b, methods: [GET], cors: { origins: ['https://a'] }, respond: {} }\n"
    );
    let check = |path: &str, method: &str, expect: [&str; 4], said: &str| {
        let asked = json!({ "method": "OPTIONS", "url": path, "headers": {
            "origin": "https://a", "access-control-request-method": method, "access-control-request-headers": "x-v",
        } });
        let (body, host) = (asked.to_string(), gateway.admin_address());
        let length = body.len();
        let answer = Client::connect(&host).exchange(format!(
            "POST /api/v1/explain HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ));
        let told = answer.json();
        let routes =
            told["routes"].as_array().expect("routes").iter().map(|one| {
                ["name", "verdict", "by"].map(|key| one[key].as_str().unwrap_or_default()).join(" ")
            });
        assert_eq!(routes.collect::<Vec<_>>(), expect, "{path}");
        assert!(told.to_string().contains(said), "{told:#}");
    };
    let all = ["two taken preflight", "three taken preflight", "bare lost preflight", "other lost path"];
    check("/a", "GET", all, "by the word of 2 routes");
    let tells = ["two lost path", "three lost path", "bare lost path", "other taken preflight"];
    check("/b", "PUT", tells, "tells which there are");
}

#[test]
fn what_is_no_preflight_goes_the_normal_way() {
    let origin = opinionated();
    let gateway = gateway!(CORS, ORIGIN = origin.url());
    let mut client = gateway.client();
    let asked = |client: &mut Client, path: &str| preflight(client, path, APP, "GET", "");
    // Routes without `cors`: the service may answer for itself, when it takes OPTIONS at all.
    let own = asked(&mut client, "/plain");
    assert_eq!((own.status, own.header("x-own")), (200, Some("1")));
    assert!(cors(&own).contains(&"allow-origin: *".to_owned()), "{own:#?}");
    let narrow = asked(&mut client, "/narrow");
    assert_problem(&narrow, "method_not_allowed");
    assert_eq!(narrow.header("allow"), Some("GET, HEAD, POST"));
    assert_problem(&asked(&mut client, "/nowhere"), "route_not_found");
    // The GET route answers for GET; POST is another route's, which takes OPTIONS itself.
    assert_eq!(asked(&mut client, "/mixed").status, 204);
    assert_eq!(preflight(&mut client, "/mixed", APP, "POST", "").header("x-own"), Some("1"));
    // Without both headers it is a plain OPTIONS.
    for lines in [
        &[][..],
        &[("Origin", APP)],
        &[("Access-Control-Request-Method", "GET")],
        &[("Origin", APP), ("Access-Control-Request-Method", "no method")],
    ] {
        assert_problem(&send(&mut client, "OPTIONS /api/x", lines), "method_not_allowed");
    }
    assert_eq!(send(&mut client, "OPTIONS /gone", &[("Origin", APP)]).status, 502, "it is forwarded");
}

#[test]
fn preflights_are_not_refused_and_not_counted() {
    let origin = Origin::ok();
    let gateway = gateway!(CORS, ORIGIN = origin.url());
    let mut client = gateway.client();
    for path in ["/denied", "/limited", "/limited", "/limited"] {
        let answer = preflight(&mut client, path, APP, "GET", "authorization");
        assert_eq!(answer.status, 204, "{answer:#?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(APP));
        assert!(answer.header("ratelimit").is_none(), "{answer:#?}");
    }
    assert_eq!(client.get("/limited").status, 200);
}

#[test]
fn answers_carry_the_gateways_word_and_no_other() {
    let origin = opinionated();
    let gateway = gateway!(CORS, ORIGIN = origin.url());
    let mut client = gateway.client();
    let mut get = |path: &str, origin: &str| {
        let lines = [("Origin", origin)];
        send(&mut client, &format!("GET {path}"), if origin.is_empty() { &[] } else { &lines })
    };
    let yes = get("/api/x", APP);
    assert_eq!((yes.status, yes.header("x-own")), (200, Some("1")));
    let expect = [
        "allow-credentials: true",
        "allow-origin: https://app.example.com",
        "expose-headers: x-total, etag",
        "vary: Accept-Encoding",
        "vary: Origin",
    ];
    assert_eq!(cors(&yes), expect);
    for other in ["https://evil.test", "null", ""] {
        assert_eq!(cors(&get("/api/x", other)), ["vary: Accept-Encoding", "vary: Origin"], "{other:?}");
    }
    let allowed = ["allow-origin: https://app.example.com", "vary: Origin"];
    let refused = get("/denied", APP);
    assert_problem(&refused, "ip_denied");
    assert_eq!(cors(&refused), allowed);
    assert_eq!(cors(&get("/denied", "https://evil.test")), ["vary: Origin"]);
    get("/limited", "");
    let limited = get("/limited", APP);
    assert_problem(&limited, "rate_limited");
    assert_eq!(cors(&limited), allowed);
    let gone = get("/gone", APP);
    assert_problem(&gone, "upstream_connect");
    assert_eq!(cors(&gone), allowed);
    let moved = get("/moved", APP);
    assert_eq!((moved.status, cors(&moved)), (308, allowed.map(str::to_owned).to_vec()));
    let fixed = get("/fixed", APP);
    assert_eq!(cors(&fixed), [allowed[0], "vary: Origin", "vary: accept"]);
    // The operator may add what `cors` has no key for, but not another origin.
    let edited = get("/edited", APP);
    assert_eq!(
        cors(&edited),
        [
            "allow-origin: https://app.example.com",
            "allow-private-network: true",
            "vary: Accept-Encoding",
            "vary: Origin"
        ]
    );
    let plain = get("/plain", APP);
    assert_eq!(plain.head.all("access-control-allow-origin"), ["*", "https://evil.test"], "nobody meddles");
}

#[test]
fn with_any_origin_answers_are_the_same_for_all() {
    let origin = opinionated();
    let gateway = gateway!(CORS, ORIGIN = origin.url());
    let mut client = gateway.client();
    let post = "POST /api/x HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n";
    let with = client.exchange(format!("{post}Origin: https://x.test\r\n\r\n"));
    assert_eq!(cors(&with), ["allow-origin: *", "vary: Accept-Encoding"]);
    assert_eq!(cors(&client.exchange(format!("{post}\r\n"))), cors(&with), "a cache may keep this one");
}

const ADDRESSES: &str = r#"
trusted_proxies: [127.0.0.1]
listeners:
  - address: @LISTEN@
  - address: "unix:@DIR@/s"
routes:
  - { path: /allowed, allow_ips: [192.0.2.0/24, "2001:db8::/32"], respond: { body: ok } }
  - { path: /denied, deny_ips: [192.0.2.0/24], respond: { body: ok } }
  - { path: /both, allow_ips: [192.0.2.0/24], deny_ips: [192.0.2.7], respond: { body: ok } }
  - { path: /open, respond: { body: ok } }
"#;

#[test]
fn addresses_are_those_behind_trusted_proxies() {
    let gateway = gateway!(ADDRESSES);
    let mut client = gateway.client();
    let mut status = |path: &str, address: &str| {
        let answer = send(&mut client, &format!("GET {path}"), &[("X-Forwarded-For", address)]);
        if answer.status != 200 {
            assert_problem(&answer, "ip_denied");
        }
        answer.status
    };
    for (address, expect) in [
        ("192.0.2.1", [200, 403, 200, 200]),
        ("::ffff:192.0.2.1", [200, 403, 200, 200]),
        ("192.0.2.7", [200, 403, 403, 200]),
        ("2001:db8::1", [200, 200, 403, 200]),
        ("198.51.100.1", [403, 200, 403, 200]),
        ("192.0.2.1, 198.51.100.1", [403, 200, 403, 200]),
    ] {
        let got = ["/allowed", "/denied", "/both", "/open"].map(|path| status(path, address));
        assert_eq!(got, expect, "{address}");
    }
    let rejected = gateway.metrics().sum("tollgate_rejected_total", &["reason=\"ip_denied\""]);
    assert_eq!(rejected, 9.0);
}

#[test]
fn a_client_without_an_address_is_in_no_list() {
    let gateway = gateway!(ADDRESSES);
    let mut client = Client::connect_unix(&gateway.dir().join("s"));
    let status = ["/allowed", "/denied", "/both", "/open"].map(|path| client.get(path).status);
    assert_eq!(status, [403, 200, 403, 200]);
}

#[test]
fn nobody_forges_an_address() {
    let text = ADDRESSES.replace("trusted_proxies: [127.0.0.1]", "");
    let gateway = gateway!(&text);
    let mut client = gateway.client();
    for header in ["X-Forwarded-For", "Forwarded", "X-Real-IP", "x-forwarded-for"] {
        let value = if header == "Forwarded" { "for=192.0.2.1" } else { "192.0.2.1" };
        assert_problem(&send(&mut client, "GET /allowed", &[(header, value)]), "ip_denied");
    }
}

#[test]
fn rules_are_reloaded() {
    let gateway = gateway!("routes:\n  - { path: /, respond: { body: ok } }\n");
    assert_eq!(gateway.get("/").status, 200);
    reload(&gateway, "routes:\n  - { path: /, deny_ips: [127.0.0.1], respond: { body: ok } }\n");
    assert_problem(&gateway.get("/"), "ip_denied");
}

fn reload(gateway: &Gateway, text: &str) {
    let before = gateway.generation();
    gateway.replace_file(&gateway.complete(text, &[]));
    wait_for("the reload", || gateway.generation() > before);
}
