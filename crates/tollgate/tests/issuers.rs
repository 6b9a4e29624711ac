//! The life of an issuer's keys: fetched in the background, kept while the issuer is down, changed when it changes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tollgate_testkit::{Gateway, Issuer, Response, assert_holds, assert_problem, gateway, wait_for};

const SLOW: &str = "
issuers:
  main: { issuer: @ISSUER@, audience: [api], algorithms: [RS256, ES256], refresh: 1h }
routes:
  - path: /open
    respond: { body: open }
  - path: /*
    auth: { jwt: main }
    respond: { body: '{claim:sub}' }
";

/// The same with a refresh every second.
fn quick() -> String {
    SLOW.replace("refresh: 1h", "refresh: 1s")
}

#[track_caller]
fn bear(gateway: &Gateway, token: &str) -> Response {
    let request = format!("GET /x HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\r\n");
    gateway.client().exchange(request)
}

#[track_caller]
fn issuer_health(gateway: &Gateway) -> Value {
    gateway.admin("/health").json()["issuers"]["main"].clone()
}

#[track_caller]
fn wait_status(gateway: &Gateway, status: &str) {
    wait_for(status, || issuer_health(gateway)["status"] == status);
}

#[test]
fn an_issuer_that_is_down_at_the_start_hinders_nobody_else() {
    let issuer = Issuer::down_at_first(&["RS256"]);
    let gateway = gateway!(SLOW, ISSUER = issuer.url());
    assert_eq!(gateway.get("/open").text(), "open");
    let token = issuer.token(json!({ "sub": "u1" }));
    wait_for("the first fetch to fail", || !issuer_health(&gateway)["last_error"].is_null());
    let answer = bear(&gateway, &token);
    assert_problem(&answer, "issuer_unavailable");
    let health = issuer_health(&gateway);
    assert_eq!((&health["status"], &health["keys"]), (&json!("unavailable"), &Value::Null), "{health}");
    assert!(gateway.readyz()["ready"] == true, "it is ready all the same");
    gateway.stderr().wait_line("keys cannot be fetched");
    issuer.up();
    wait_for("the gateway to notice by itself", || bear(&gateway, &token).status == 200);
    wait_status(&gateway, "ok");
    let warnings = gateway.stderr().lines().iter().filter(|line| line.contains("cannot be fetched")).count();
    assert_eq!(warnings, 1, "one for the state, not one for each try");
    gateway.stderr().wait_line("can be fetched again");
}

/// A request that comes before the first answer waits for it; it is not refused for having come early.
#[test]
fn a_slow_issuer_at_the_start_is_waited_for() {
    let issuer = Issuer::start();
    issuer.slow(Duration::from_millis(300));
    let gateway = gateway!(SLOW, ISSUER = issuer.url());
    assert_eq!(bear(&gateway, &issuer.token(json!({ "sub": "u1" }))).text(), "u1");
    assert_eq!(issuer.count_jwks(), 1);
}

#[test]
fn a_new_key_is_fetched_early_once() {
    let issuer = Issuer::start();
    let gateway = gateway!(SLOW, ISSUER = issuer.url());
    let old = issuer.token(json!({ "sub": "u1" }));
    assert_eq!(bear(&gateway, &old).text(), "u1");
    issuer.rotate();
    assert_eq!(bear(&gateway, &old).text(), "u1", "nobody has asked for new keys yet");
    // Many at once, and the request that asks passes, too.
    let token = issuer.token(json!({ "sub": "u2" }));
    issuer.slow(Duration::from_millis(100));
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..20).map(|_| scope.spawn(|| bear(&gateway, &token).text())).collect();
        for one in all {
            assert_eq!(one.join().unwrap(), "u2");
        }
    });
    assert_eq!(issuer.count_jwks(), 2, "single flight");
    assert_problem(&bear(&gateway, &old), "token_key_unknown");
    // Now everybody has to wait for the next turn, whatever key a token names.
    issuer.rotate();
    let started = Instant::now();
    for _ in 0..10 {
        assert_problem(&bear(&gateway, &issuer.token(json!({}))), "token_key_unknown");
    }
    assert!(started.elapsed() < Duration::from_secs(2), "nobody waits for what does not come");
    assert_eq!(issuer.count_jwks(), 2);
}

#[test]
fn a_key_that_leaves_the_set_takes_its_tokens_along() {
    let issuer = Issuer::start();
    let gateway = gateway!(&quick(), ISSUER = issuer.url());
    let token = issuer.token(json!({ "sub": "u1" }));
    let old = issuer.key();
    assert_eq!(bear(&gateway, &token).text(), "u1");
    issuer.add_key("RS256");
    wait_for("the second key", || issuer_health(&gateway)["keys"] == 2);
    assert_eq!(bear(&gateway, &token).text(), "u1");
    issuer.remove_key(&old.id);
    wait_for("the key to be gone", || issuer_health(&gateway)["keys"] == 1);
    assert_problem(&bear(&gateway, &token), "token_key_unknown");
    assert_eq!(bear(&gateway, &issuer.token(json!({ "sub": "u2" }))).text(), "u2");
    // An empty set is a set: nobody passes any more.
    issuer.remove_key(&issuer.key().id);
    wait_for("no key", || issuer_health(&gateway)["keys"] == 0);
    assert_problem(&bear(&gateway, &token), "token_key_unknown");
}

/// Two issuers may have their keys at one place: they are as fresh as either wants them.
#[test]
fn keys_of_two_issuers_are_refreshed_for_the_more_impatient() {
    let issuer = Issuer::start();
    let one =
        "{ issuer: @ISSUER@, audience: [api], algorithms: [RS256, ES256], jwks_url: @ISSUER@/jwks, refresh: ";
    let main = "  main: { issuer: @ISSUER@, audience: [api], algorithms: [RS256, ES256], refresh: 1h }";
    for refresh in [["1s", "1h"], ["1h", "1s"]] {
        let two = format!("  main: {one}{} }}\n  other: {one}{} }}", refresh[0], refresh[1]);
        let text = SLOW.replace(main, &two);
        let gateway = gateway!(&text, ISSUER = issuer.url());
        let before = issuer.count_jwks();
        wait_for("keys that are fetched again", || issuer.count_jwks() >= before + 3);
        gateway
            .replace_file(&gateway.complete(&text.replace("/open", "/opened"), &[("ISSUER", issuer.url())]));
        gateway.wait_generation(2);
        let before = issuer.count_jwks();
        wait_for("keys that are fetched again after a reload", || issuer.count_jwks() >= before + 3);
    }
}

/// Whatever the issuer answers, keys that were good stay until better ones come.
#[test]
fn keys_are_kept_while_the_issuer_makes_no_sense() {
    let issuer = Issuer::start();
    let gateway = gateway!(&quick(), ISSUER = issuer.url());
    wait_status(&gateway, "ok");
    type Trouble = (&'static str, fn(&Issuer), &'static str);
    let troubles: [Trouble; 6] = [
        ("down", |issuer| issuer.down(), "cannot connect"),
        ("500", |issuer| issuer.status(500), "answered 500"),
        ("a redirect", |issuer| issuer.status(302), "answered 302"),
        ("garbage", |issuer| issuer.garbage(), "not JSON"),
        ("oversized", |issuer| issuer.oversized(), "an answer of more than"),
        ("another issuer", |issuer| issuer.wrong_issuer(), "another issuer"),
    ];
    for (at, (what, begin, expect)) in troubles.into_iter().enumerate() {
        begin(&issuer);
        wait_status(&gateway, "stale");
        let error = issuer_health(&gateway)["last_error"].to_string();
        assert!(error.contains(expect), "{what}: {error}");
        // Not remembered: each token is a new one.
        let sub = format!("u{at}");
        assert_eq!(bear(&gateway, &issuer.token(json!({ "sub": sub }))).text(), sub, "{what}");
        issuer.well();
        issuer.up();
        wait_status(&gateway, "ok");
    }
    let metrics = gateway.metrics();
    assert!(metrics.get("tollgate_jwks_refresh_total{issuer=\"main\",result=\"failed\"}") >= 6.0);
}

/// RFC 7517: what cannot be used is left out, and the rest is used.
#[test]
fn unusable_keys_are_skipped() {
    let issuer = Issuer::start();
    let mut encryption = tollgate_testkit::SigningKey::generate("RS256", "enc").jwk();
    encryption["use"] = json!("enc");
    for jwk in [encryption, json!({ "kty": "oct", "k": "c2VjcmV0" }), json!({ "kty": "new" }), json!(7)] {
        issuer.add_jwk(jwk);
    }
    let gateway = gateway!(SLOW, ISSUER = issuer.url());
    assert_eq!(bear(&gateway, &issuer.token(json!({ "sub": "u1" }))).text(), "u1");
    assert_eq!(issuer_health(&gateway)["keys"], 1);
}

const TWO: &str = "
issuers:
  a: { issuer: @A@, audience: [api], algorithms: [RS256], jwks_url: '@A@/jwks' }
  b: { issuer: @B@, audience: [api], algorithms: [RS256], jwks_url: '@B@/jwks' }
routes:
  - path: /both
    auth: { jwt: [a, b] }
    respond: { body: '{consumer}' }
  - path: /a
    auth: { jwt: a }
    respond: { body: '{consumer}' }
";

/// Both have a `key-1`; each one's key is good for its own tokens only.
#[test]
fn keys_belong_to_their_issuer() {
    let (a, b) = (Issuer::start(), Issuer::start());
    let gateway = gateway!(TWO, A = a.url(), B = b.url());
    let get = |path: &str, token: &str| {
        let lines = format!("Host: test\r\nAuthorization: Bearer {token}\r\n");
        gateway.client().exchange(format!("GET {path} HTTP/1.1\r\n{lines}\r\n"))
    };
    let sub = json!({ "sub": "u" });
    assert_eq!(get("/both", &a.token(sub.clone())).text(), "a:u");
    let of_b = b.token(sub.clone());
    assert_eq!(get("/both", &of_b).text(), "b:u");
    // Remembered or not, it is not a's.
    assert_problem(&get("/a", &of_b), "token_signature");
    // b says that a made it.
    let forged = b.key().token(&a.claims(sub));
    assert_problem(&get("/both", &forged), "token_signature");
    assert_problem(&get("/a", &forged), "token_signature");
    // One of them down is no trouble for the other one's tokens.
    b.down();
    assert_eq!(get("/both", &a.token(json!({ "sub": "v" }))).text(), "a:v");
}

/// A reload keeps the keys of issuers that stay, and forgets those that go.
#[test]
fn reloads() {
    let (a, b) = (Issuer::start(), Issuer::start());
    let names = [("A", a.url()), ("B", b.url())];
    let gateway = Gateway::start(tollgate_testkit::binary!(), TWO, &names);
    let status = |name: &str| gateway.admin("/health").json()["issuers"][name]["status"].clone();
    wait_for("both", || status("a") == "ok" && status("b") == "ok");
    a.down();
    let fewer =
        TWO.replace("  b: { issuer: @B@, audience: [api], algorithms: [RS256], jwks_url: '@B@/jwks' }\n", "");
    let fewer = fewer.replace("[a, b]", "a").replace("audience: [api]", "audience: [api, more], refresh: 1s");
    gateway.replace_file(&gateway.complete(&fewer, &names));
    gateway.wait_generation(2);
    assert_eq!(status("b"), Value::Null);
    let request =
        format!("GET /a HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n\r\n", a.token(json!({})));
    assert_eq!(gateway.client().exchange(request).status, 200, "its keys are still known, though it is down");
    wait_for("the new interval to count", || status("a") == "stale");
    let asked = b.count_jwks();
    assert_holds("nobody asks an issuer that is gone", Duration::from_millis(1500), || {
        b.count_jwks() == asked
    });
}

const OPAQUE: &str = "
issuers:
  legacy:
    audience: [api]
    introspection: { url: '@ISSUER@/introspect', client_id: 'gate:way', client_secret: 'introspection s3cret/with:odd+characters%', cache: @CACHE@ }
  main: { issuer: @ISSUER@, audience: [api], algorithms: [RS256] }
routes:
  - path: /opaque
    auth: { jwt: legacy, require: { scopes: [read] } }
    respond: { body: '{consumer}' }
  - path: /either
    auth: { jwt: [main, legacy] }
    respond: { body: '{consumer}' }
";

#[track_caller]
fn opaque(gateway: &Gateway, path: &str, token: &str) -> Response {
    let lines = format!("Host: test\r\nAuthorization: Bearer {token}\r\n");
    gateway.client().exchange(format!("GET {path} HTTP/1.1\r\n{lines}\r\n"))
}

#[test]
fn opaque_tokens_are_asked_about() {
    let issuer = Issuer::start();
    let gateway = gateway!(OPAQUE, ISSUER = issuer.url(), CACHE = "1h");
    let get = |path: &str, token: &str| opaque(&gateway, path, token);
    let now = tollgate_testkit::now_unix_s();
    issuer.set_opaque("good", json!({ "sub": "u1", "aud": "api", "scope": "read", "exp": now + 3600 }));
    issuer.set_opaque("eternal+/=", json!({ "sub": "u2", "aud": ["api"], "scope": "read" }));
    issuer.set_opaque("narrow", json!({ "sub": "u3", "aud": "api", "scope": "write" }));
    issuer.set_opaque("another", json!({ "sub": "u4", "aud": "another", "scope": "read" }));
    issuer.set_opaque("late", json!({ "sub": "u5", "aud": "api", "exp": now - 60 }));
    for _ in 0..3 {
        assert_eq!(get("/opaque", "good").text(), "legacy:u1");
        assert_eq!(get("/opaque", "eternal+/=").text(), "legacy:u2");
        assert_problem(&get("/opaque", "narrow"), "scope_missing");
        assert_problem(&get("/opaque", "another"), "token_audience");
        assert_problem(&get("/opaque", "late"), "token_expired");
        assert_problem(&get("/opaque", "unheard-of"), "token_inactive");
        assert_problem(&get("/opaque", "not one word"), "token_malformed");
    }
    // Workers do not share what they remember, so each of them may have asked.
    let workers = 6 * std::thread::available_parallelism().map_or(1, |n| n.get());
    assert!((6..=workers).contains(&issuer.count_introspection()), "{}", issuer.count_introspection());

    // Beside signed tokens: what is no token of theirs is asked about, what is theirs never.
    let before = issuer.count_introspection();
    assert_eq!(get("/either", &issuer.token(json!({ "sub": "u6" }))).text(), "main:u6");
    assert_problem(&get("/either", &issuer.token(json!({ "exp": 1 }))), "token_expired");
    assert_eq!(issuer.count_introspection(), before);
    assert_problem(&get("/either", &issuer.token(json!({ "iss": "nobody" }))), "token_inactive");
    assert_eq!(get("/either", "good").text(), "legacy:u1");
}

#[test]
fn an_endpoint_that_cannot_answer_is_no_verdict() {
    let issuer = Issuer::start();
    let gateway = gateway!(OPAQUE, ISSUER = issuer.url(), CACHE = "0s");
    let get = |token: &str| opaque(&gateway, "/opaque", token);
    issuer.set_opaque("good", json!({ "sub": "u1", "aud": "api", "scope": "read" }));
    assert_eq!(get("good").text(), "legacy:u1");
    issuer.set_opaque("good", json!({ "active": false }));
    assert_problem(&get("good"), "token_inactive");
    issuer.set_opaque("good", json!({ "sub": "u1", "aud": "api", "scope": "read" }));
    let troubles: [fn(&Issuer); 4] = [
        |issuer| issuer.status(500),
        |issuer| issuer.garbage(),
        |issuer| issuer.oversized(),
        |issuer| issuer.down(),
    ];
    for begin in troubles {
        begin(&issuer);
        assert_problem(&get("good"), "issuer_unavailable");
        let health = gateway.admin("/health").json()["issuers"]["legacy"].clone();
        assert_eq!(health["status"], "unavailable", "{health}");
        issuer.well();
        issuer.up();
        assert_eq!(get("good").text(), "legacy:u1");
    }
    assert_eq!(gateway.admin("/health").json()["issuers"]["legacy"]["status"], "ok");
}

/// Many requests with one token ask once.
#[test]
fn one_question_for_many() {
    let issuer = Issuer::start();
    let text = format!("workers: 1\n{OPAQUE}");
    let gateway = gateway!(&text, ISSUER = issuer.url(), CACHE = "1h");
    issuer.set_opaque("good", json!({ "sub": "u1", "aud": "api", "scope": "read" }));
    issuer.slow(Duration::from_millis(300));
    std::thread::scope(|scope| {
        let all: Vec<_> =
            (0..20).map(|_| scope.spawn(|| opaque(&gateway, "/opaque", "good").text())).collect();
        for one in all {
            assert_eq!(one.join().unwrap(), "legacy:u1");
        }
    });
    assert_eq!(issuer.count_introspection(), 1);
}
