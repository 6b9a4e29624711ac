//! How often: rate limits that count in the process.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tollgate_testkit::{
    Client, Gateway, Issuer, Origin, Response, assert_problem, behaviour, gateway, wait_for,
};

/// The API key `test`, by its hash.
const KEY: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// Sends a request with these lines beside Host.
#[track_caller]
fn send(client: &mut Client, line: &str, headers: &[(&str, &str)]) -> Response {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    client.exchange(format!("{line} HTTP/1.1\r\nHost: test\r\n{headers}\r\n"))
}

/// Whether a GET passed; what does not is refused as the contract says.
#[track_caller]
fn passes(client: &mut Client, path: &str, headers: &[(&str, &str)]) -> bool {
    let answer = send(client, &format!("GET {path}"), headers);
    if answer.status != 200 {
        assert_problem(&answer, "rate_limited");
    }
    answer.status == 200
}

fn reload(gateway: &Gateway, text: &str) {
    let before = gateway.generation();
    gateway.replace_file(&gateway.complete(text, &[]));
    wait_for("the reload", || gateway.generation() > before);
}

#[test]
fn exactly_the_burst_passes_over_all_workers() {
    let gateway = gateway!(
        "
workers: 4
routes:
  - { path: /, rate_limit: { rate: 1/h, burst: 100, per: ip }, respond: { body: ok } }
"
    );
    let passed: usize = std::thread::scope(|scope| {
        let clients = (0..12).map(|_| {
            scope.spawn(|| {
                let mut client = gateway.client();
                (0..25).filter(|_| passes(&mut client, "/", &[])).count()
            })
        });
        // All of them first, then wait: they are to run at once.
        clients.collect::<Vec<_>>().into_iter().map(|client| client.join().expect("no panic")).sum()
    });
    assert_eq!(passed, 100);
    let metrics = gateway.metrics();
    assert_eq!(metrics.get(r#"tollgate_rate_limited_total{route="/",limit="1/h per ip"}"#), 200.0);
    assert_eq!(metrics.get(r#"tollgate_rejected_total{route="/",reason="rate_limited"}"#), 200.0);
}

#[test]
fn what_limits_count_by() {
    let gateway = gateway!(
        "
trusted_proxies: [127.0.0.1]
defaults: { rate_limit: { rate: 1/h, per: ip } }
routes:
  - { path: /all, rate_limit: { rate: 1/h, per: all }, respond: { body: ok } }
  - { path: /ip, respond: { body: ok } }
  - { path: \"/param/{id}\", rate_limit: { rate: 1/h, per: \"route-param:id\" }, respond: { body: ok } }
  - { path: /header, rate_limit: { rate: 1/h, per: \"header:x-tenant\" }, respond: { body: ok } }
  - { path: /cookie, rate_limit: { rate: 1/h, per: \"cookie:sid\" }, respond: { body: ok } }
  - { path: /query, rate_limit: { rate: 1/h, per: \"query:key\" }, respond: { body: ok } }
"
    );
    let mut client = gateway.client();
    // Path, header, and the key it stands for; who comes second with the same key is refused.
    let cases: &[(&str, &str, &str, &str)] = &[
        ("/all", "x-tenant", "a", "all"),
        ("/all", "x-tenant", "b", "all"),
        ("/ip", "x-forwarded-for", "192.0.2.1", "ip 192.0.2.1"),
        ("/ip", "x-forwarded-for", "192.0.2.2", "ip 192.0.2.2"),
        ("/ip", "x-forwarded-for", "::ffff:192.0.2.1", "ip 192.0.2.1"),
        ("/ip", "x-forwarded-for", "2001:db8:0:1::1", "ip 2001:db8:0:1"),
        ("/ip", "x-forwarded-for", "2001:db8:0:1:ffff::9", "ip 2001:db8:0:1"),
        ("/ip", "x-forwarded-for", "2001:db8:0:2::1", "ip 2001:db8:0:2"),
        ("/ip", "x-forwarded-for", "198.51.100.9, 192.0.2.2", "ip 192.0.2.2"),
        ("/param/7", "x", "y", "param 7"),
        ("/param/8", "x", "y", "param 8"),
        ("/param/%37", "x", "y", "param 7"),
        ("/param/a%2Fb", "x", "y", "param a/b"),
        ("/header", "x", "y", "header missing"),
        ("/header", "X-Tenant", "", "header empty"),
        ("/header", "X-Tenant", "A", "header A"),
        ("/header", "x-tenant", "a", "header a"),
        ("/header", "X-TENANT", " a ", "header a"),
        ("/header", "x", "y", "header missing"),
        ("/header", "x-tenant", "", "header empty"),
        ("/cookie", "x", "y", "cookie missing"),
        ("/cookie", "cookie", "a=b; sid=", "cookie empty"),
        ("/cookie", "cookie", "a=b; sid=1", "cookie 1"),
        ("/cookie", "cookie", "sid=1; sid=2", "cookie 1"),
        ("/cookie", "cookie", "SID=1", "cookie missing"),
        ("/query", "x", "y", "query missing"),
        ("/query?key=", "x", "y", "query empty"),
        ("/query?key=a+b", "x", "y", "query a b"),
        ("/query?a=1&key=a%20b&key=c", "x", "y", "query a b"),
        ("/query?k%65y=c", "x", "y", "query c"),
        ("/query?KEY=c", "x", "y", "query missing"),
    ];
    let mut seen: BTreeMap<&str, ()> = BTreeMap::new();
    for (path, name, value, key) in cases {
        let fresh = seen.insert(key, ()).is_none();
        assert_eq!(passes(&mut client, path, &[(name, value)]), fresh, "{path} {name}: {value}");
    }
}

#[test]
fn nobody_invents_an_address() {
    let gateway =
        gateway!("routes:\n  - { path: /, rate_limit: { rate: 1/h, per: ip }, respond: { body: ok } }\n");
    let mut client = gateway.client();
    assert!(passes(&mut client, "/", &[]));
    for (name, value) in [
        ("X-Forwarded-For", "192.0.2.1"),
        ("x-forwarded-for", "192.0.2.2, 192.0.2.3"),
        ("X-FORWARDED-FOR", "2001:db8::1"),
        ("Forwarded", "for=192.0.2.4"),
        ("X-Real-IP", "192.0.2.5"),
    ] {
        assert!(!passes(&mut client, "/", &[(name, value)]), "{name}: {value}");
    }
}

#[test]
fn what_lets_a_request_through_takes_from_every_limit_and_what_does_not_from_none() {
    let gateway = gateway!(
        "
consumers:
  - { name: app, keys: [\"@KEY@\"] }
routes:
  - path: /
    auth: { api_key: { header: x-api-key } }
    rate_limit:
      - { rate: 1/h, burst: 5, per: all }
      - { rate: 1/h, burst: 1, per: \"header:x-a\" }
      - { rate: 1/h, burst: 1, per: consumer }
      - { rate: 1/h, burst: 1, per: \"query:q\" }
    respond: { body: ok }
",
        KEY = KEY
    );
    let mut client = gateway.client();
    let mut ask = |path: &str, a: &str, key: &str| {
        let answer = send(&mut client, &format!("GET {path}"), &[("x-a", a), ("x-api-key", key)]);
        (answer.status, answer.header("ratelimit").unwrap_or_default().to_owned())
    };
    let members = |all: u64, rest: &str| format!(r#""all";r={all};t=3600, "header-x-a";r={rest}"#);
    // Whoever is refused by a later limit has taken nothing: neither here nor before the key was looked at.
    assert_eq!(ask("/?q=1", "1", "bad"), (401, members(4, r#"0;t=3600, "query-q";r=0;t=3600"#)));
    for _ in 0..8 {
        assert_eq!(ask("/?q=1", "2", "test"), (429, members(4, r#"1, "query-q";r=0;t=3600"#)));
    }
    let passed = r#"0;t=3600, "query-q";r=0;t=3600, "consumer";r=0;t=3600"#;
    assert_eq!(ask("/?q=2", "2", "test"), (200, members(3, passed)));
    for _ in 0..8 {
        let refused = r#"1, "query-q";r=1, "consumer";r=0;t=3600"#;
        assert_eq!(ask("/?q=3", "3", "test"), (429, members(3, refused)), "the limit by identity refuses");
    }
    // A bad credential stays counted: that is what stops those who guess.
    assert_eq!(ask("/?q=4", "4", "bad").0, 401);
    assert_eq!(ask("/?q=5", "5", "bad").0, 401);
    assert_eq!(ask("/?q=6", "6", "bad").0, 401);
    assert_eq!(ask("/?q=7", "7", "bad"), (429, r#""all";r=0;t=3600"#.into()));
}

#[test]
fn consumers_and_claims_have_buckets_of_their_own() {
    let issuer = Issuer::start();
    let gateway = gateway!(
        "
issuers:
  main: { issuer: \"@ISSUER@\", audience: [api], algorithms: [RS256], jwks_url: \"@JWKS@\" }
consumers:
  - { name: \"main:u1\", keys: [\"@KEY@\"] }
routes:
  - path: /consumer
    auth: { jwt: main, api_key: { header: x-api-key }, optional: true }
    rate_limit: { rate: 1/h, per: consumer }
    respond: { body: ok }
  - path: /claim
    auth: { jwt: main, optional: true }
    rate_limit: { rate: 1/h, per: \"claim:org.id\" }
    respond: { body: ok }
",
        ISSUER = issuer.url(),
        JWKS = issuer.jwks_url(),
        KEY = KEY
    );
    let mut client = gateway.client();
    let bearer = |claims| format!("Bearer {}", issuer.token(claims));
    let (one, again) = (bearer(json!({ "sub": "u1" })), bearer(json!({ "sub": "u1", "jti": "2" })));
    let (two, nobody) = (bearer(json!({ "sub": "u2" })), bearer(json!({ "sub": "" })));
    for (path, name, value, expect) in [
        ("/consumer", "authorization", one.as_str(), true),
        ("/consumer", "authorization", &again, false),
        ("/consumer", "authorization", &two, true),
        ("/consumer", "authorization", &nobody, true),
        // A consumer may be named as a token's subject is written.
        ("/consumer", "x-api-key", "test", true),
        ("/consumer", "x-api-key", "test", false),
        // Those who are nobody share one.
        ("/consumer", "x", "y", true),
        ("/consumer", "x", "y", false),
    ] {
        assert_eq!(passes(&mut client, path, &[(name, value)]), expect, "{path} {name}: {value}");
    }
    for (claims, expect) in [
        (json!({ "sub": "u1", "org": { "id": "a" } }), true),
        (json!({ "sub": "u2", "org": { "id": "a" } }), false),
        (json!({ "sub": "u2", "org": { "id": "b" } }), true),
        (json!({ "sub": "u1", "org": { "id": 7 } }), true),
        (json!({ "sub": "u1", "org": { "id": "" } }), true),
        (json!({ "sub": "u1" }), true),
        (json!({ "sub": "u2", "org": { "id": null } }), false),
        (json!({ "sub": "u2", "org": { "id": {} } }), false),
    ] {
        let token = bearer(claims.clone());
        assert_eq!(passes(&mut client, "/claim", &[("authorization", &token)]), expect, "{claims}");
    }
    assert!(!passes(&mut client, "/claim", &[]), "no token lacks the claim as well");
}

/// An origin with limits of its own.
fn with_headers() -> Origin {
    Origin::start(|conn| {
        behaviour::answer_each(
            conn,
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nRateLimit: \"own\";r=1\r\nratelimit-policy: \"own\";q=9\r\n\
              X-RateLimit-Limit: 7\r\nX-RateLimit-Remaining: 7\r\nX-RateLimit-Reset: 7\r\n\r\n",
        )
    })
}

const TOLD: &str = "
rate_limit_headers: @MODE@
consumers:
  - { name: app, keys: [\"@KEY@\"] }
routes:
  - { path: /one, rate_limit: { rate: 100/s, burst: 200, per: ip }, to: \"@ORIGIN@\" }
  - path: /two
    auth: { api_key: { header: x-api-key } }
    rate_limit: [{ rate: 1/h, burst: 2, per: ip, name: hourly }, { rate: 10/m, burst: 20, per: consumer }]
    to: \"@ORIGIN@\"
  - { path: /gone, rate_limit: { rate: 1/h, burst: 3, per: all }, to: \"http://127.0.0.1:9\" }
  - { path: /denied, deny_ips: [127.0.0.1], rate_limit: { rate: 1/h, per: all }, to: \"@ORIGIN@\" }
  - { path: /free, to: \"@ORIGIN@\" }
";

/// What the answer says about limits, `name: value` sorted.
fn told(response: &Response) -> Vec<String> {
    let lines = response.head.lines.iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let mut told: Vec<String> = lines
        .filter(|(name, _)| name.contains("ratelimit"))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    told.sort();
    told
}

#[test]
fn clients_are_told_about_their_limits() {
    let origin = with_headers();
    let gateway = gateway!(TOLD, MODE = "standard", KEY = KEY, ORIGIN = origin.url());
    let mut client = gateway.client();
    let mut ask = |path: &str, key: &str| send(&mut client, &format!("GET {path}"), &[("x-api-key", key)]);
    let upstreams = ["x-ratelimit-limit: 7", "x-ratelimit-remaining: 7", "x-ratelimit-reset: 7"];
    let with_upstreams = |own: [&str; 2]| own.into_iter().chain(upstreams).map(str::to_owned).collect();

    let one = ask("/one", "");
    let expect = [r#"ratelimit-policy: "ip";q=200;w=2"#, r#"ratelimit: "ip";r=199;t=1"#];
    assert_eq!((one.status, told(&one)), (200, with_upstreams(expect)));

    let policy = r#"ratelimit-policy: "hourly";q=2;w=7200, "consumer";q=20;w=120"#;
    let two = ask("/two", "test");
    let expect = [policy, r#"ratelimit: "hourly";r=1;t=3600, "consumer";r=19;t=6"#];
    assert_eq!((two.status, told(&two)), (200, with_upstreams(expect)));
    let unknown = ask("/two", "bad");
    assert_problem(&unknown, "key_unknown");
    let [_, state] = told(&unknown).try_into().expect("both headers");
    assert!(
        state == r#"ratelimit: "hourly";r=0;t=3600"# || state == r#"ratelimit: "hourly";r=0;t=3599"#,
        "{state}"
    );

    let refused = ask("/two", "test");
    assert_problem(&refused, "rate_limited");
    assert_eq!(refused.json()["detail"], "limit hourly");
    let seconds = refused.header("retry-after").expect("retry-after").to_owned();
    assert!(["3600", "3599"].contains(&seconds.as_str()), "{seconds}");
    assert_eq!(told(&refused), [policy.to_owned(), format!("ratelimit: \"hourly\";r=0;t={seconds}")]);

    assert_eq!(
        told(&ask("/gone", "")),
        [r#"ratelimit-policy: "all";q=3;w=10800"#, r#"ratelimit: "all";r=2;t=3600"#]
    );
    let denied = ask("/denied", "");
    assert_eq!(
        (denied.status, told(&denied)),
        (403, vec![r#"ratelimit-policy: "all";q=1;w=3600"#.to_owned()])
    );
    let free = ask("/free", "");
    assert_eq!(told(&free).len(), 5, "what a service says of its own limits passes");
    assert!(told(&free).contains(&r#"ratelimit: "own";r=1"#.to_owned()));
}

#[test]
fn legacy_headers_tell_of_the_tightest_limit() {
    let origin = with_headers();
    let gateway = gateway!(TOLD, MODE = "legacy", KEY = KEY, ORIGIN = origin.url());
    let mut client = gateway.client();
    let mut ask = |path: &str| {
        let answer = send(&mut client, &format!("GET {path}"), &[("x-api-key", "test")]);
        let value = |name: &str| answer.header(name).unwrap_or("-").to_owned();
        (
            answer.status,
            ["limit", "remaining", "reset"].map(|part| value(&format!("x-ratelimit-{part}"))).join(" "),
        )
    };
    assert_eq!(ask("/one"), (200, "200 199 1".into()));
    assert_eq!(ask("/two"), (200, "2 1 3600".into()));
    assert_eq!(ask("/two").0, 200);
    let (status, values) = ask("/two");
    assert_eq!(status, 429);
    assert!(["2 0 7200", "2 0 7199"].contains(&values.as_str()), "{values}");
    assert_eq!(ask("/denied"), (403, "- - -".into()));
}

#[test]
fn headers_can_be_off() {
    let origin = with_headers();
    let gateway = gateway!(TOLD, MODE = "off", KEY = KEY, ORIGIN = origin.url());
    let mut client = gateway.client();
    assert_eq!(told(&client.get("/one")), told(&client.get("/free")), "what the service says passes");
    for _ in 0..3 {
        assert_eq!(told(&client.get("/gone")), [""; 0]);
    }
    let refused = client.get("/gone");
    assert_problem(&refused, "rate_limited");
    assert_eq!(told(&refused), [""; 0]);
    assert_eq!(refused.json()["detail"], "limit 1/h per all");
}

#[test]
fn a_bucket_refills_continuously() {
    let gateway = gateway!(
        "routes:\n  - { path: /, rate_limit: { rate: 5/s, burst: 1, per: ip }, respond: { body: ok } }\n"
    );
    let mut client = gateway.client();
    let began = std::time::Instant::now();
    let mut passed = 0;
    wait_for("five tokens", || {
        passed += u32::from(passes(&mut client, "/", &[]));
        passed == 6
    });
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(990), "six passed in {took:?}");
}

#[test]
fn buckets_are_a_routes_own_or_shared_by_name_and_outlive_a_reload() {
    let text = |rate: &str, more: &str| {
        format!(
            "
defaults: {{ rate_limit: {{ rate: {rate}, per: all }} }}
routes:
  - {{ path: /a, respond: {{ body: ok }} }}
  - {{ path: /b, respond: {{ body: ok }} }}
  - {{ path: /c, rate_limit: {{ rate: 1/h, per: all, name: shared }}, respond: {{ body: ok }} }}
  - {{ path: /d, rate_limit: {{ rate: 1/h, per: all, name: shared }}, respond: {{ body: ok }} }}
{more}"
        )
    };
    let gateway = gateway!(&text("1/h", ""));
    let mut client = gateway.client();
    assert!(passes(&mut client, "/a", &[]) && passes(&mut client, "/b", &[]), "each route has its own");
    assert!(passes(&mut client, "/c", &[]));
    assert!(!passes(&mut client, "/d", &[]), "the same name is the same bucket");
    reload(&gateway, &text("1/h", "  - { path: /e, respond: { body: ok } }\n"));
    for path in ["/a", "/b", "/c", "/d"] {
        assert!(!passes(&mut client, path, &[]), "{path} is as spent as before");
    }
    assert!(passes(&mut client, "/e", &[]));
    reload(&gateway, &text("2/h", ""));
    assert!(passes(&mut client, "/a", &[]), "another rate is another limit");
    assert!(!passes(&mut client, "/c", &[]));
}

/// Who lowers a burst in an attack does not give everybody a full bucket with it.
#[test]
fn buckets_outlive_another_burst() {
    let text = |burst: u32| {
        format!(
            "routes:\n  - {{ path: /, rate_limit: {{ rate: 1/h, burst: {burst}, per: all }}, respond: {{}} }}\n"
        )
    };
    let gateway = gateway!(&text(4));
    let mut client = gateway.client();
    let mut passed = |times: usize| (0..times).filter(|_| passes(&mut client, "/", &[])).count();
    assert_eq!(passed(6), 4);
    reload(&gateway, &text(2));
    assert_eq!(passed(3), 0, "what is missing is missing");
    reload(&gateway, &text(5));
    assert_eq!(passed(6), 3, "and what the burst is larger by is there");
}

/// What is told is what the share holds that was asked, not the whole limit.
#[test]
fn without_its_store_a_limit_tells_of_its_share() {
    let text = "
rate_limit_headers: @FORM@
redis: { url: \"redis://127.0.0.1:9\", timeout: 20ms, instances: 4 }
routes:
  - path: /
    rate_limit: { rate: 8/h, per: all, store: redis, sync: exact }
    respond: { body: ok }
";
    let gateway = gateway!(text, FORM = "standard");
    let told: Vec<_> = (0..3).map(|_| gateway.get("/").header("ratelimit").map(str::to_owned)).collect();
    // Two in an hour: one comes back in half of it.
    let expect = [r#""all";r=1;t=1800"#, r#""all";r=0;t=1800"#, r#""all";r=0;t=1800"#];
    assert_eq!(told.iter().map(Option::as_deref).collect::<Vec<_>>(), expect.map(Some));
    let answer = gateway!(text, FORM = "legacy").get("/");
    let told = ["limit", "remaining", "reset"].map(|name| answer.header(&format!("x-ratelimit-{name}")));
    assert_eq!(told, [Some("2"), Some("1"), Some("1800")]);
}

const STORED: &str = "
redis: { url: \"redis://127.0.0.1:9\", timeout: 20ms, on_failure: @ON_FAILURE@, instances: 4 }
routes:
  - path: /leased
    rate_limit: [{ rate: 1/h, burst: 9, per: all }, { rate: 1/h, burst: 8, per: ip, store: redis, name: ours }]
    respond: { body: ok }
  - path: /exact
    rate_limit: [{ rate: 1/h, burst: 9, per: all }, { rate: 1/h, burst: 3, per: ip, store: redis, sync: exact }]
    respond: { body: ok }
";

#[test]
fn without_its_store_a_limit_does_what_on_failure_says() {
    let of = |on_failure: &str, path: &str| {
        let gateway = gateway!(STORED, ON_FAILURE = on_failure);
        let mut client = gateway.client();
        let answers: Vec<Response> = (0..10).map(|_| client.get(path)).collect();
        for refused in answers.iter().filter(|answer| answer.status != 200) {
            assert_problem(refused, "rate_limited|limit_store_unavailable");
        }
        let last = answers.last().expect("ten");
        (
            answers.iter().map(|answer| answer.status).collect::<Vec<_>>(),
            last.header("ratelimit").map(str::to_owned),
        )
    };
    let first = |passed: usize, then: u16| [vec![200; passed], vec![then; 10 - passed]].concat();
    // A fourth of what all gateways may pass together, and at least one.
    let (statuses, told) = of("local", "/leased");
    assert_eq!(statuses, first(2, 429));
    assert!(told.is_some_and(|told| told.contains(r#""all";r=7;"#)), "the other limit got its tokens back");
    assert_eq!(of("local", "/exact").0, first(1, 429));
    // Only the limit that counts here is left.
    assert_eq!(of("allow", "/leased").0, first(9, 429));
    for path in ["/leased", "/exact"] {
        let (statuses, told) = of("deny", path);
        assert_eq!((statuses, told), (vec![503; 10], Some(r#""all";r=9"#.to_owned())), "{path}");
    }
}

#[test]
fn a_flood_of_keys_resets_nobody() {
    let gateway = gateway!(
        "
access_log: { sink: off }
routes:
  - { path: /, rate_limit: { rate: 1/h, per: \"header:x-key\" }, respond: { status: 204 } }
"
    );
    let mut victim = gateway.client();
    let passed = |client: &mut Client| send(client, "GET /", &[("x-key", "victim")]).status == 204;
    assert!(passed(&mut victim) && !passed(&mut victim));
    let before = gateway.own_kib();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let gateway = &gateway;
            scope.spawn(move || flood(gateway, worker * KEYS_EACH));
        }
    });
    assert!(!passed(&mut victim));
    let grown_kib = gateway.own_kib().saturating_sub(before);
    assert!(grown_kib < 80 * 1024, "{grown_kib} KiB for {} keys", 4 * KEYS_EACH);
}

const KEYS_EACH: usize = 75_000;

/// Sends so many requests with keys that nobody used before; every one passes.
fn flood(gateway: &Gateway, first: usize) {
    const BATCH: usize = 250;
    let mut client = gateway.client();
    for start in (first..first + KEYS_EACH).step_by(BATCH) {
        let request = |n| format!("GET / HTTP/1.1\r\nHost: t\r\nx-key: {n}\r\n\r\n");
        client.send((start..start + BATCH).map(request).collect::<String>());
        for _ in 0..BATCH {
            assert_eq!(client.response().status, 204);
        }
    }
}
