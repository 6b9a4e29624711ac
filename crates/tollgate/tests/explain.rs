//! `tollgate explain` and `POST /api/v1/explain`: what would become of a request, step by step, and nothing of it happens.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_testkit::{Client, Finished, Gateway, Issuer, Origin, Response, binary, gateway, run, wait_for};

/// Every stage has a route that can refuse.
const EVERYTHING: &str = r#"
issuers:
  shared: { issuer: keeper, audience: any, algorithms: [HS256], secret: 'HMAC-SECRET-of-at-least-32-bytes-long' }
consumers:
  - { name: app, keys: ['sha256:b5a62334e42de1a32d3c0cf4a0a8d35baf9ac3be1d7a5c26b0d7cf1b2a3b4c5d'] }
upstreams:
  two: { targets: ['http://127.0.0.1:1', 'http://127.0.0.1:2'], balance: round_robin }
routes:
  - { name: net, path: /net, allow_ips: [192.0.2.0/24], deny_ips: [192.0.2.9], respond: { body: hi } }
  - { name: agent, path: /agent, user_agents: { deny: ['~(?i)bot'] }, respond: { body: hi } }
  - { name: limited, path: /limited, rate_limit: { rate: 2/h, per: ip }, respond: { body: hi } }
  - { name: token, path: /token, auth: { jwt: shared, require: { scopes: [read] } }, to: two }
  - { name: key, path: /key, auth: { api_key: { header: x-api-key } }, respond: { body: hi } }
  - { name: guard, path: /guard, guard: [{ if: "request.headers['x-ok'] == 'yes'" }], respond: { body: hi } }
  - name: schema
    path: /schema
    methods: [POST]
    max_body: 100B
    validate: { body: { type: object, required: [item] } }
    respond: { body: hi }
  - { name: few, path: /few, concurrency: { max: 1 }, respond: { body: hi } }
  - { name: cors, path: /cors, cors: { origins: ['https://app.example'] }, respond: { body: hi } }
  - { name: cached, path: /cached, cache: { ttl: 60s }, to: two }
  - name: edited
    path: /edited/{id}
    host: api.example
    request:
      rewrite: /v2/{id}
      set_headers: { x-own: CONFIGURED-SECRET, x-from: '{client_ip}' }
      remove_headers: [x-gone]
      set_query: { plain: CONFIGURED-SECRET }
    response: { set_headers: { x-back: there } }
    to: two
  - { name: anywhere, path: '/edited/{id}', to: two }
  - { name: post, path: /edited/7, methods: [POST], host: api.example, to: two }
  - { name: prior, path: /prior, priority: 5, respond: { body: hi } }
  - { name: headed, path: /prior, headers: { x-beta: '1' }, priority: 1, respond: { body: hi } }
  - { name: moved, path: /moved, redirect: { to: /new } }
  - name: scripted
    path: /scripted
    request: { set_headers: { x-plain: '{client_ip}' } }
    lua: |
      function request(req)
        if req.headers["x-stop"] then return respond(418, "no") end
        req.headers["x-script"] = "SCRIPT-SECRET"
      end
    to: two
  - name: parts
    path: /parts/{id}
    aggregate:
      parts:
        - { name: one, to: two, path: '/one/{id}' }
        - { name: after, to: two, path: '/after/{one.key}' }
"#;

fn files(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        fs::write(dir.path().join(name), text).expect("a file");
    }
    dir
}

#[track_caller]
fn tollgate(dir: &TempDir, arguments: &[&str], code: i32) -> Finished {
    let ended = run(binary!(), dir.path(), arguments, &[]);
    assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:#?}");
    assert!(!ended.stdout.contains('\u{1b}') && !ended.stderr.contains('\u{1b}'), "colour: {ended:#?}");
    ended
}

/// An explanation out of a file; the words are `METHOD URL` and other arguments.
#[track_caller]
fn offline(dir: &TempDir, arguments: &[&str]) -> Value {
    let all = [&["explain", "--json"], arguments].concat();
    let told: Value = serde_json::from_str(&tollgate(dir, &all, 0).stdout).expect("JSON");
    let text = tollgate(dir, &[&["explain"], arguments].concat(), 0).stdout;
    assert!(text.lines().all(|line| line.chars().count() <= 80), "80 columns: {text}");
    told
}

/// `stage verdict status reason` of the first step of that stage.
fn verdict(told: &Value, stage: &str) -> String {
    let steps = told["steps"].as_array().expect("steps");
    let of_stage: Vec<&Value> = steps.iter().filter(|step| step["stage"] == stage).collect();
    let step = of_stage.iter().find(|step| step["verdict"] == "refused").or(of_stage.first());
    let step = step.unwrap_or_else(|| panic!("no step {stage}: {told:#}"));
    let text = |key: &str| step[key].as_str().unwrap_or_default().to_owned();
    match step["status"].as_u64() {
        Some(status) if step["verdict"] == "refused" => format!("refused {status} {}", text("reason")),
        _ => text("verdict"),
    }
}

fn outcome(told: &Value) -> String {
    let outcome = &told["outcome"];
    let text = |key: &str| outcome[key].as_str().unwrap_or("-").to_owned();
    format!("{} {} {}", text("verdict"), outcome["status"], text("reason"))
}

fn header(list: &Value, name: &str) -> Option<String> {
    let all = list.as_array().expect("a list of headers");
    all.iter()
        .find(|line| line["name"] == name)
        .map(|line| line["value"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn what_is_refused_before_meets_no_route() {
    let dir = files(&[("tollgate.yaml", EVERYTHING)]);
    for (arguments, met) in
        [(["GET", "/%zz"], false), (["TRACE", "/net"], false), (["GET", "/nothing"], true)]
    {
        let told = offline(&dir, &arguments);
        assert_eq!(told["routes"] != json!([]), met, "{arguments:?} {told:#}");
    }
}

#[test]
fn every_stage_lets_pass_and_refuses() {
    let dir = files(&[("tollgate.yaml", EVERYTHING)]);
    let check = |arguments: &[&str], stage: &str, expect: &str, outcome_expect: &str| {
        let told = offline(&dir, arguments);
        assert_eq!(
            (verdict(&told, stage), outcome(&told)),
            (expect.to_owned(), outcome_expect.to_owned()),
            "{arguments:?} {told:#}"
        );
    };
    let answered = "answered 200 -";
    check(&["GET", "/net", "--ip", "192.0.2.1"], "addresses", "ok", answered);
    check(
        &["GET", "/net", "--ip", "192.0.2.9"],
        "addresses",
        "refused 403 ip_denied",
        "refused 403 ip_denied",
    );
    check(
        &["GET", "/net", "--ip", "198.51.100.1"],
        "addresses",
        "refused 403 ip_denied",
        "refused 403 ip_denied",
    );
    check(&["GET", "/net", "--ip", "192.0.2.1"], "credentials", "skipped", answered);
    check(&["GET", "/agent", "-H", "user-agent: x"], "user_agents", "ok", answered);
    let denied = "refused 403 user_agent_denied";
    check(&["GET", "/agent", "-H", "user-agent: BadBot"], "user_agents", denied, denied);
    check(&["GET", "/limited"], "rate_limit", "ok", answered);
    check(&["GET", "/key"], "credentials", "refused 401 key_missing", "refused 401 key_missing");
    check(
        &["GET", "/key", "-H", "x-api-key: no"],
        "credentials",
        "refused 401 key_unknown",
        "refused 401 key_unknown",
    );
    check(&["GET", "/guard", "-H", "x-ok: yes"], "guard", "ok", answered);
    check(&["GET", "/guard"], "guard", "refused 403 guard_failed", "refused 403 guard_failed");
    let json = "content-type: application/json";
    check(&["POST", "/schema", "-H", json, "-d", "{\"item\": 1}"], "schema", "ok", answered);
    let invalid = "refused 400 schema_invalid";
    check(&["POST", "/schema", "-H", json, "-d", "{}"], "schema", invalid, invalid);
    let large = "x".repeat(101);
    check(
        &["POST", "/schema", "-H", json, "-d", &large],
        "body",
        "refused 413 body_too_large",
        "refused 413 body_too_large",
    );
    check(&["GET", "/few"], "concurrency", "ok", answered);
    check(&["GET", "/cors", "-H", "origin: https://app.example"], "cors", "ok", answered);
    let preflight =
        ["OPTIONS", "/cors", "-H", "origin: https://app.example", "-H", "access-control-request-method: GET"];
    check(&preflight, "cors", "ok", "answered 204 -");
    check(&["GET", "/cached"], "cache", "ok", "sent null -");
    check(&["GET", "/nothing"], "route", "refused 404 route_not_found", "refused 404 route_not_found");
    check(&["GET", "/schema"], "route", "refused 405 method_not_allowed", "refused 405 method_not_allowed");
    check(&["GET", "/%zz"], "parse", "refused 400 bad_path", "refused 400 bad_path");
    check(&["GET", "/", "-H", "a: b\u{1}c"], "parse", "refused 400 bad_header", "refused 400 bad_header");
    check(
        &["TRACE", "/net"],
        "parse",
        "refused 501 method_not_implemented",
        "refused 501 method_not_implemented",
    );
    check(&["GET", "/moved"], "act", "ok", "answered 308 -");
    check(&["GET", "/scripted"], "script", "ok", "sent null -");
    check(&["GET", "/scripted", "-H", "x-stop: 1"], "script", "ok", "answered 418 -");
    check(&["GET", "/parts/7"], "act", "ok", "sent null -");
}

#[test]
fn a_token_is_told_by_what_it_says() {
    let dir = files(&[("tollgate.yaml", EVERYTHING)]);
    let mint = |claims: &[&str]| {
        let mut arguments = vec!["token", "--issuer", "shared"];
        claims.iter().for_each(|claim| arguments.extend(["--claim", claim]));
        format!("authorization: Bearer {}", tollgate(&dir, &arguments, 0).stdout.trim())
    };
    let good = mint(&["sub=ada", "scope=read write"]);
    let told = offline(&dir, &["GET", "/token", "-H", &good]);
    assert_eq!(
        (verdict(&told, "credentials"), verdict(&told, "require")),
        ("ok".into(), "ok".into()),
        "{told:#}"
    );
    assert_eq!(
        (&told["outcome"]["verdict"], &told["outcome"]["consumer"]),
        (&json!("sent"), &json!("shared:ada"))
    );
    let secret = good.rsplit('.').next().expect("a signature");
    assert!(!told.to_string().contains(secret), "{told:#}");
    assert_eq!(header(&told["request"]["headers"], "authorization").as_deref(), Some("***"));

    let poor = offline(&dir, &["GET", "/token", "-H", &mint(&["sub=ada"])]);
    assert_eq!(verdict(&poor, "require"), "refused 403 scope_missing");
    assert!(
        header(&poor["outcome"]["headers"], "www-authenticate")
            .is_some_and(|value| value.contains("insufficient_scope"))
    );
    let old = offline(&dir, &["GET", "/token", "-H", &mint(&["exp=1"])]);
    assert_eq!(verdict(&old, "credentials"), "refused 401 token_expired");
    let none = offline(&dir, &["GET", "/token"]);
    assert_eq!(
        (verdict(&none, "credentials"), verdict(&none, "act")),
        ("refused 401 token_missing".into(), "skipped".into())
    );
    assert_eq!(
        header(&none["outcome"]["headers"], "www-authenticate").as_deref(),
        Some("Bearer realm=\"tollgate\"")
    );
}

#[test]
fn routes_lose_for_a_reason() {
    let dir = files(&[("tollgate.yaml", EVERYTHING)]);
    let by = |told: &Value, name: &str| {
        let routes = told["routes"].as_array().expect("routes");
        let route = routes.iter().find(|route| route["name"] == name).expect("the route");
        route["by"].as_str().expect("a reason").to_owned()
    };
    let told = offline(&dir, &["GET", "https://api.example/edited/7"]);
    assert_eq!(told["outcome"]["route"], "edited");
    for (name, expect) in
        [("edited", "taken"), ("anywhere", "specificity"), ("post", "method"), ("net", "path")]
    {
        assert_eq!(by(&told, name), expect, "{name}: {told:#}");
    }
    let told = offline(&dir, &["GET", "https://other.example/edited/7"]);
    assert_eq!((by(&told, "edited"), by(&told, "anywhere")), ("host".into(), "taken".into()));
    let told = offline(&dir, &["GET", "/prior"]);
    assert_eq!((by(&told, "prior"), by(&told, "headed")), ("taken".into(), "header".into()));
}

#[test]
fn what_is_sent_is_shown_before_and_after_without_secrets() {
    let dir = files(&[("tollgate.yaml", EVERYTHING)]);
    let told = offline(
        &dir,
        &[
            "GET",
            "https://api.example/edited/7?page=2&token=QUERY-SECRET",
            "-H",
            "x-gone: 1",
            "-H",
            "x-stays: 2",
            "-H",
            "cookie: session=COOKIE-SECRET",
            "--ip",
            "192.0.2.7",
        ],
    );
    let sent = &told["outcome"]["sent"];
    assert!(
        sent["url"].as_str().is_some_and(|url| url.contains("/v2/7?") && url.contains("page=2")),
        "{told:#}"
    );
    let after = &sent["headers"];
    let shown = |name: &str| header(after, name);
    assert_eq!(shown("x-own").as_deref(), Some("***"), "{told:#}");
    assert_eq!(shown("x-from").as_deref(), Some("192.0.2.7"));
    assert_eq!((shown("x-gone"), shown("x-stays").as_deref()), (None, Some("2")));
    assert_eq!(shown("x-forwarded-proto").as_deref(), Some("https"));
    let request = told["steps"].as_array().unwrap().iter().find(|step| step["stage"] == "request").unwrap();
    assert!(request["removed"].as_array().unwrap().contains(&json!("x-gone")), "{request:#}");
    let back = told["steps"].as_array().unwrap().iter().find(|step| step["stage"] == "response").unwrap();
    assert_eq!(header(&back["headers"], "x-back").as_deref(), Some("there"));
    // What was not touched is as it was sent: no value and an empty one are two things.
    let odd = offline(&dir, &["GET", "/cached?&a=&b&&c=1"]);
    let url = odd["outcome"]["sent"]["url"].as_str().unwrap_or_default();
    assert!(url.ends_with("/cached?&a=&b&&c=1"), "{url}");
    assert_eq!(odd["request"]["url"], "http://localhost/cached?&a=&b&&c=1");
    let scripted = offline(&dir, &["GET", "/scripted"]);
    let lines = &scripted["outcome"]["sent"]["headers"];
    assert_eq!(
        (header(lines, "x-script").as_deref(), header(lines, "x-plain").as_deref()),
        (Some("***"), Some("127.0.0.1"))
    );
    for (told, text) in [(&told, "edited"), (&scripted, "scripted")] {
        for secret in ["CONFIGURED-SECRET", "QUERY-SECRET", "COOKIE-SECRET", "SCRIPT-SECRET", "HMAC-SECRET"] {
            assert!(!told.to_string().contains(secret), "{text} shows {secret}: {told:#}");
        }
    }
}

#[test]
fn targets_and_parts_are_told() {
    let dir = files(&[("tollgate.yaml", EVERYTHING)]);
    let told = offline(&dir, &["GET", "/cached"]);
    let act = told["steps"].as_array().unwrap().iter().find(|step| step["stage"] == "act").unwrap().clone();
    let targets = act["targets"].as_array().expect("targets");
    assert_eq!(targets.len(), 2, "{act:#}");
    assert_eq!(targets.iter().filter(|target| target["chosen"] == true).count(), 1, "{act:#}");
    assert!(told["outcome"]["target"].as_str().is_some_and(|target| target.starts_with("http://127.0.0.1:")));
    let told = offline(&dir, &["GET", "/parts/7"]);
    let act = told["steps"].as_array().unwrap().iter().find(|step| step["stage"] == "act").unwrap().clone();
    let paths: Vec<&str> =
        act["parts"].as_array().unwrap().iter().map(|part| part["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/one/7", "/after/{one.key}"], "{act:#}");
}

const OFFLINE: &str = "
issuers:
  main: { issuer: '@ISSUER@', audience: any, algorithms: [RS256] }
  asked: { introspection: { url: '@ISSUER@/introspect', client_id: a, client_secret: b } }
redis: { url: 'redis://127.0.0.1:1' }
routes:
  - { name: a, path: /a, auth: { jwt: main }, respond: { body: a } }
  - { name: b, path: /b, auth: { jwt: asked }, respond: { body: b } }
  - { name: c, path: /c, rate_limit: { rate: 1/s, per: ip, store: redis }, respond: { body: c } }
";

#[test]
fn without_a_network_what_only_it_could_tell_is_unknown() {
    let issuer = Issuer::start();
    let config = OFFLINE.replace("@ISSUER@", &issuer.url());
    let dir = files(&[("tollgate.yaml", &config)]);
    let token = format!("authorization: Bearer {}", issuer.token(json!({ "sub": "u1" })));
    let told = offline(&dir, &["GET", "/a", "-H", &token]);
    let steps = told["steps"].as_array().unwrap();
    assert!(
        steps.iter().any(|step| step["verdict"] == "unknown"
            && step["stage"] == "credentials"
            && step["detail"].as_str().unwrap().contains("cannot be known offline")),
        "{told:#}"
    );
    assert_eq!(outcome(&told), "answered 200 -");
    let expired = format!("authorization: Bearer {}", issuer.token(json!({ "sub": "u1", "exp": 1 })));
    assert_eq!(outcome(&offline(&dir, &["GET", "/a", "-H", &expired])), "refused 401 token_expired");
    let told = offline(&dir, &["GET", "/b", "-H", "authorization: Bearer opaque"]);
    assert_eq!(
        (outcome(&told), verdict(&told, "credentials")),
        ("unknown null -".into(), "unknown".into()),
        "{told:#}"
    );
    let told = offline(&dir, &["GET", "/c"]);
    assert_eq!((verdict(&told, "rate_limit"), outcome(&told)), ("unknown".into(), "answered 200 -".into()));
    assert_eq!((issuer.count("/jwks"), issuer.count("/introspect")), (0, 0), "nobody was asked");
}

#[test]
fn exit_codes() {
    let dir = files(&[("tollgate.yaml", EVERYTHING), ("bad.yaml", "routes: 1")]);
    tollgate(&dir, &["explain", "GET", "/nothing"], 0);
    let bad = tollgate(&dir, &["explain", "GET", "/", "-c", "bad.yaml"], 1);
    assert!(bad.stderr.contains("error"), "{bad:#?}");
    for wrong in [
        &["explain", "GET"][..],
        &["explain", "GET", "nowhere"],
        &["explain", "GE T", "/"],
        &["explain", "GET", "/", "-H", "nocolon"],
        &["explain", "GET", "/", "--ip", "here"],
        &["explain", "GET", "/", "--live=nowhere"],
    ] {
        tollgate(&dir, wrong, 2);
    }
    tollgate(&dir, &["explain", "GET", "/", "--live=127.0.0.1:1"], 1);
    tollgate(&dir, &["why", "x", "--address", "127.0.0.1:1"], 1);
}

#[test]
fn a_forged_token_is_told_and_never_remembered() {
    let issuer = Issuer::start();
    let config = "issuers: { main: { issuer: '@ISSUER@', audience: any, algorithms: [RS256] } }\nroutes:\n  - { path: /a, auth: { jwt: main }, respond: { body: a } }\n";
    let gateway = gateway!(config, ISSUER = issuer.url());
    let good = issuer.token(json!({ "sub": "u1" }));
    let forged = format!("{}.{}", good.rsplit_once('.').expect("a token").0, "AAAA".repeat(64));
    let real = |token: &str| {
        let request = format!("GET /a HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\r\n");
        gateway.client().exchange(request).status
    };
    wait_for("the keys", || real(&good) == 200);
    for _ in 0..2 {
        for (token, expect) in [(&forged, "refused 401 token_signature"), (&good, "answered 200 -")] {
            let document =
                json!({ "url": "http://test/a", "headers": { "authorization": format!("Bearer {token}") } });
            assert_eq!(outcome(&post(&gateway, &document.to_string()).json()), expect);
        }
        assert_eq!(real(&forged), 401);
    }
}

const LIVE: &str = "
upstreams:
  service:
    targets: ['@ORIGIN@', 'http://127.0.0.1:1']
    outlier: { consecutive_failures: 1, eject: 60s }
    balance: round_robin
  broken: { targets: ['http://127.0.0.1:1'], circuit_breaker: { failure_rate: 50%, min_requests: 1, open: 60s } }
routes:
  - { name: limited, path: /limited, rate_limit: { rate: 2/h, per: ip }, respond: { body: hi } }
  - { name: service, path: /service, to: service }
  - { name: mirrored, path: /mirrored, to: '@ORIGIN@', mirror: { to: '@ORIGIN@', share: 100% } }
  - { name: broken, path: /broken, to: broken }
  - { name: cached, path: /cached, cache: { ttl: 60s }, to: '@ORIGIN@' }
  - { name: few, path: /few, concurrency: { max: 1 }, to: '@ORIGIN@' }
";

fn post(gateway: &Gateway, body: &str) -> Response {
    let host = gateway.admin_address();
    Client::connect(&host).exchange(format!(
        "POST /api/v1/explain HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

#[track_caller]
fn live(gateway: &Gateway, path: &str) -> Value {
    let answer = post(gateway, &json!({ "url": format!("http://test{path}") }).to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn a_running_gateway_tells_what_it_knows_and_takes_no_note() {
    let origin = Origin::ok();
    let gateway = gateway!(LIVE, ORIGIN = origin.url());
    // Fresh, then drained: however often it is asked.
    for _ in 0..5 {
        assert_eq!(outcome(&live(&gateway, "/limited")), "answered 200 -");
    }
    let told = live(&gateway, "/limited");
    let real = gateway.get("/limited");
    assert_eq!(header(&told["outcome"]["headers"], "ratelimit").as_deref(), real.header("ratelimit"));
    assert_eq!(gateway.get("/limited").status, 200);
    let told = live(&gateway, "/limited");
    assert_eq!(
        (verdict(&told, "rate_limit"), outcome(&told)),
        ("refused 429 rate_limited".into(), "refused 429 rate_limited".into())
    );
    let real = gateway.get("/limited");
    assert_eq!(header(&told["outcome"]["headers"], "retry-after").as_deref(), real.header("retry-after"));
    assert_eq!(header(&told["outcome"]["headers"], "ratelimit").as_deref(), real.header("ratelimit"));

    let before = origin.count();
    for _ in 0..3 {
        assert_eq!(outcome(&live(&gateway, "/service")), "sent null -");
    }
    assert_eq!(origin.count(), before, "nothing was sent");
    // A target that failed is left out.
    for _ in 0..4 {
        gateway.get("/service");
    }
    let told = live(&gateway, "/service");
    let act = told["steps"].as_array().unwrap().iter().find(|step| step["stage"] == "act").unwrap();
    let states: Vec<&str> =
        act["targets"].as_array().unwrap().iter().map(|target| target["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["ok", "ejected"], "{told:#}");
    assert_eq!(told["outcome"]["target"], origin.url());

    gateway.get("/broken");
    gateway.get("/broken");
    assert_eq!(outcome(&live(&gateway, "/broken")), "refused 503 circuit_open");

    let miss = live(&gateway, "/cached");
    assert_eq!(outcome(&miss), "sent null -");
    gateway.client().exchange("GET /cached HTTP/1.1\r\nHost: test\r\n\r\n");
    wait_for("the answer in the cache", || outcome(&live(&gateway, "/cached")) == "answered 200 -");
    let hit = live(&gateway, "/cached");
    let step = hit["steps"].as_array().unwrap().iter().find(|step| step["stage"] == "cache").unwrap();
    assert_eq!((&step["result"], verdict(&hit, "act")), (&json!("hit"), "skipped".to_owned()), "{hit:#}");
}

#[test]
fn nothing_is_counted_written_down_or_remembered() {
    let origin = Origin::ok();
    let gateway = gateway!(LIVE, ORIGIN = origin.url());
    gateway.get("/cached");
    wait_for("the record", || gateway.stdout().records().len() == 1);
    let count =
        |names: &[&str]| -> Vec<f64> { names.iter().map(|name| gateway.metrics().sum(name, &[])).collect() };
    let names = [
        "tollgate_requests_total",
        "tollgate_rejected_total",
        "tollgate_rate_limited_total",
        "tollgate_upstream_requests_total",
        "tollgate_retries_total",
        "tollgate_cache_total",
        "tollgate_mirrored_total",
        "tollgate_inflight_requests",
    ];
    let before = count(&names);
    for path in ["/limited", "/service", "/mirrored", "/broken", "/cached", "/few", "/nothing"] {
        for _ in 0..3 {
            live(&gateway, path);
        }
    }
    assert_eq!(count(&names), before);
    let requests = gateway.admin("/api/v1/requests").json();
    assert_eq!(requests["requests"].as_array().unwrap().len(), 1, "{requests:#}");
    let limits = gateway.admin("/api/v1/limits").json();
    assert_eq!(
        (&limits["buckets"]["now"], &limits["concurrency"][0]["in_flight"]),
        (&json!(0), &json!(0)),
        "{limits:#}"
    );
    assert_eq!(origin.count(), 1);
}

#[test]
fn the_admin_side_says_what_is_wrong_with_a_description() {
    let gateway = gateway!(LIVE, ORIGIN = "http://127.0.0.1:2");
    for (body, part) in [
        ("{", "no JSON"),
        ("{}", "`url` is missing"),
        (r#"{"url": "nowhere"}"#, "the URL is"),
        (r#"{"url": "/", "method": "GE T"}"#, "the method"),
        (r#"{"url": "/", "headers": {"a": 1}}"#, "`headers` must be"),
        (r#"{"url": "/", "headers": {"a": "1\r\nb: 2"}}"#, "line break"),
        (r#"{"url": "/", "what": 1}"#, "there is no `what`"),
    ] {
        let answer = post(&gateway, body);
        assert_eq!((answer.status, &*answer.code()), (400, "bad_body"), "{body}");
        assert!(answer.text().contains(part), "{body}: {}", answer.text());
    }
    let large = json!({ "url": "/", "body": "x".repeat(3 << 20) }).to_string();
    assert_eq!(post(&gateway, &large).status, 413);
    let lists =
        post(&gateway, r#"{"url": "/few", "headers": {"x-a": ["1", "2"]}, "ip": "192.0.2.7"}"#).json();
    let lines = lists["request"]["headers"].as_array().unwrap();
    assert_eq!(lines.iter().filter(|line| line["name"] == "x-a").count(), 2, "{lists:#}");
    assert_eq!(lists["request"]["ip"], "192.0.2.7");
}

#[test]
fn the_command_asks_a_running_gateway() {
    let gateway = gateway!(LIVE, ORIGIN = "http://127.0.0.1:2");
    gateway.get("/limited");
    gateway.get("/limited");
    let file = gateway.file().to_string_lossy().into_owned();
    let dir = files(&[]);
    let address = format!("--live=http://{}", gateway.admin_address());
    for arguments in [&["--live", "-c", &file][..], &[&address]] {
        let all = [&["explain", "GET", "/limited", "--json"], arguments].concat();
        let told: Value = serde_json::from_str(&tollgate(&dir, &all, 0).stdout).expect("JSON");
        assert_eq!(outcome(&told), "refused 429 rate_limited");
    }
    let told = offline(&dir, &["GET", "/limited", "-c", &file]);
    assert_eq!(outcome(&told), "answered 200 -", "offline buckets are full");
}

#[test]
fn why_tells_of_a_request_that_was_served() {
    let origin = Origin::ok();
    let gateway = gateway!(LIVE, ORIGIN = origin.url());
    assert_eq!(gateway.get("/cached").status, 200);
    let refused = gateway.get("/nothing");
    let id = refused.json()["request_id"].as_str().expect("an id").to_owned();
    wait_for("the records", || gateway.stdout().records().len() == 2);
    let (dir, file) = (files(&[]), gateway.file().to_string_lossy().into_owned());
    let told = tollgate(&dir, &["why", &id, "-c", &file], 0).stdout;
    assert!(
        told.contains("answered 404 by the gateway: route_not_found") && told.contains("  404."),
        "{told}"
    );
    let served = gateway.record_of("/cached")["id"].as_str().expect("an id").to_owned();
    let told = tollgate(&dir, &["why", &served, "--address", &gateway.admin_address()], 0).stdout;
    assert!(told.contains("answered 200 by the service") && told.contains("route     cached"), "{told}");
    let json = tollgate(&dir, &["why", &served, "-c", &file, "--json"], 0).stdout;
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON")["id"], served);
    let unknown = tollgate(&dir, &["why", "no-such-id", "-c", &file], 1);
    assert!(unknown.stderr.contains("no such request"), "{unknown:#?}");
}
