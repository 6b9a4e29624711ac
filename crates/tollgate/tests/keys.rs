//! API keys and passwords: who passes, who does not, and what the service behind is told.

use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Value, json};
use tollgate_testkit::{Gateway, Issuer, Origin, Response, assert_problem, wait_for};

const KEYS: &str = "
consumers:
  - { name: mobile, keys: ['@MOBILE@', '@SPARE@'], basic: { user: mobile, password: '@PASSWORD@' }, groups: [gold] }
  - { name: batch, keys: ['@BATCH@'], groups: [bronze] }
  - { name: silver, basic: { user: silver, password: '@PASSWORD@' }, groups: [silver] }
routes:
  - path: /header
    auth: { api_key: { header: x-api-key } }
    to: @ORIGIN@
  - path: /query
    auth: { api_key: { query: k }, strip: true }
    to: @ORIGIN@
  - path: /stripped
    auth: { api_key: { header: x-api-key }, basic: true, strip: true }
    to: @ORIGIN@
  - path: /basic
    auth: { basic: true }
    to: @ORIGIN@
  - path: /gold
    auth: { api_key: { header: x-api-key }, basic: true, require: { groups: [silver, gold] } }
    to: @ORIGIN@
";

const KEY: &str = "tg_mobile-key-0123456789abcdefghijklmnop";
const SPARE: &str = "tg_spare-key-0123456789abcdefghijklmnopq";
const BATCH: &str = "tg_batch-key-0123456789abcdefghijklmnopq";
const PASSWORD: &str = "correct horse: battery";

fn hash(key: &str) -> String {
    let hash = digest::digest(&digest::SHA256, key.as_bytes());
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A PHC string of argon2id with as little work as the configuration takes.
fn phc(password: &str) -> String {
    let (memory, rounds) = (8192, 1);
    let params = Params::new(memory, rounds, 1, Some(32)).unwrap();
    let salt = b"sixteen bytes ok";
    let mut out = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut out)
        .unwrap();
    let (salt, out) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(out));
    format!("$$argon2id$$v=19$$m={memory},t={rounds},p=1$${salt}$${out}")
}

fn names(origin: &Origin) -> Vec<(&'static str, String)> {
    vec![
        ("MOBILE", hash(KEY)),
        ("SPARE", hash(SPARE)),
        ("BATCH", hash(BATCH)),
        ("PASSWORD", phc(PASSWORD)),
        ("ORIGIN", origin.url()),
    ]
}

fn start(origin: &Origin) -> Gateway {
    Gateway::start(tollgate_testkit::binary!(), KEYS, &names(origin))
}

#[track_caller]
fn get(gateway: &Gateway, target: &str, lines: &str) -> Response {
    gateway.client().exchange(format!("GET {target} HTTP/1.1\r\nHost: test\r\n{lines}\r\n"))
}

fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
}

#[test]
fn api_keys() {
    let origin = Origin::echo();
    let gateway = start(&origin);
    for (key, consumer) in [(KEY, "mobile"), (SPARE, "mobile"), (BATCH, "batch")] {
        let answer = get(&gateway, "/header", &format!("X-API-KEY: {key}\r\n"));
        assert_eq!(answer.json()["headers"]["x-api-key"], json!([key]));
        gateway.record(|record| record["consumer"] == consumer && record["path"] == "/header");
    }
    let origin = Origin::echo();
    let gateway = start(&origin);
    let missing = get(&gateway, "/header", "");
    assert_problem(&missing, "key_missing");
    assert_eq!(missing.header("www-authenticate"), Some("ApiKey realm=\"tollgate\""));
    let hashed = hash(KEY);
    for bad in ["x", "", hashed.as_str(), &hashed["sha256:".len()..], &KEY[1..], &format!("{KEY}x")] {
        assert_problem(&get(&gateway, "/header", &format!("x-api-key: {bad}\r\n")), "key_unknown");
    }
    for (target, lines) in [
        ("/header", format!("x-api-key: {KEY}\r\nX-Api-Key: {KEY}\r\n")),
        ("/header", format!("x-api-key: {KEY}, {KEY}\r\n")),
        (&*format!("/query?k={KEY}&k={KEY}"), String::new()),
        (&*format!("/query?k={KEY}&%6B=x"), String::new()),
    ] {
        assert_problem(&get(&gateway, target, &lines), "key_unknown");
    }
    // It stands where the route says, and nowhere else.
    assert_problem(&get(&gateway, &format!("/header?x-api-key={KEY}"), ""), "key_missing");
    assert_problem(&get(&gateway, "/header", &format!("x_api_key: {KEY}\r\n")), "key_missing");
    assert_problem(&get(&gateway, "/header", &format!("Authorization: Bearer {KEY}\r\n")), "key_missing");
    origin.assert_untouched();
}

#[test]
fn keys_are_taken_off_before_the_upstream() {
    let origin = Origin::echo();
    let gateway = start(&origin);
    let answer = get(&gateway, &format!("/query?a=1&k={KEY}&b=2"), "").json();
    assert_eq!(answer["target"], "/query?a=1&b=2");
    let answer = get(&gateway, "/stripped", &format!("X-Api-Key: {KEY}\r\nX-Other: 1\r\n")).json();
    assert_eq!(
        (&answer["headers"]["x-api-key"], &answer["headers"]["x-other"]),
        (&Value::Null, &json!(["1"]))
    );
    let answer = get(&gateway, "/stripped", &basic("mobile", PASSWORD)).json();
    assert_eq!(answer["headers"]["authorization"], Value::Null);
    // What is no credential here is the service's.
    let lines = format!("X-Api-Key: {KEY}\r\nAuthorization: Bearer theirs\r\n");
    let answer = get(&gateway, "/stripped", &lines).json();
    assert_eq!(answer["headers"]["authorization"], json!(["Bearer theirs"]));
}

#[test]
fn passwords() {
    let origin = Origin::echo();
    let gateway = start(&origin);
    let answer = get(&gateway, "/basic", &basic("mobile", PASSWORD));
    assert_eq!(answer.status, 200, "{answer:#?}");
    assert!(answer.json()["headers"]["authorization"].is_array());
    gateway.record(|record| record["consumer"] == "mobile");
    assert_eq!(get(&gateway, "/basic", &basic("mobile", PASSWORD).replace("Basic", "bASIC")).status, 200);

    let missing = get(&gateway, "/basic", "");
    assert_problem(&missing, "basic_missing");
    assert_eq!(missing.header("www-authenticate"), Some("Basic realm=\"tollgate\", charset=\"UTF-8\""));
    assert_problem(&get(&gateway, "/basic", "Authorization: Bearer x\r\n"), "basic_missing");
    for (user, password) in [
        ("mobile", "wrong"),
        ("mobile", ""),
        ("nobody", PASSWORD),
        ("", ""),
        ("Mobile", PASSWORD),
        ("batch", ""),
    ] {
        assert_problem(&get(&gateway, "/basic", &basic(user, password)), "basic_invalid");
    }
    for bad in ["", "x", "bW9iaWxl", "bW9i aWxl", "!!!!", "bW9iaWxlOgA="] {
        assert_problem(&get(&gateway, "/basic", &format!("Authorization: Basic {bad}\r\n")), "basic_invalid");
    }
    let twice = basic("mobile", PASSWORD).repeat(2);
    assert_problem(&get(&gateway, "/basic", &twice), "basic_invalid");
}

/// The hash is slow on purpose: a right password pays for it once on each worker, and not on every request.
#[test]
fn a_right_password_is_remembered_and_a_changed_one_is_not() {
    let origin = Origin::echo();
    let text = format!("workers: 1\n{KEYS}");
    let gateway = Gateway::start(tollgate_testkit::binary!(), &text, &names(&origin));
    // Many at once are one check.
    let lines = basic("mobile", PASSWORD);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..100).map(|_| scope.spawn(|| get(&gateway, "/basic", &lines).status)).collect();
        assert!(all.into_iter().all(|one| one.join().unwrap() == 200));
    });
    let mut client = gateway.client();
    let request = format!("GET /basic HTTP/1.1\r\nHost: test\r\n{}\r\n", basic("mobile", PASSWORD));
    let before = gateway.processor_time();
    for _ in 0..200 {
        assert_eq!(client.exchange(&request).status, 200);
    }
    let spent = gateway.processor_time() - before;
    assert!(spent < Duration::from_secs(1), "200 requests cost {spent:?}: each was hashed");

    let mut changed = names(&origin);
    for (name, value) in &mut changed {
        if *name == "PASSWORD" {
            *value = phc("another");
        }
    }
    gateway.replace_file(&gateway.complete(&text, &changed));
    gateway.wait_generation(2);
    assert_problem(&client.exchange(&request), "basic_invalid");
    assert_eq!(get(&gateway, "/basic", &basic("mobile", "another")).status, 200);
}

/// Strangers who guess passwords cannot fill memory or time: what is too much is refused, and others go on.
#[test]
fn guessing_is_bounded() {
    let origin = Origin::echo();
    let gateway = start(&origin);
    assert_eq!(get(&gateway, "/basic", &basic("mobile", PASSWORD)).status, 200);
    let guess = |at: usize| get(&gateway, "/basic", &basic("mobile", &format!("guess {at}")));
    std::thread::scope(|scope| {
        let guess = &guess;
        let all: Vec<_> = (0..150).map(|at| scope.spawn(move || guess(at))).collect();
        for one in all {
            assert_problem(&one.join().unwrap(), "basic_invalid|overloaded");
        }
    });
    wait_for("the guesses to be over", || get(&gateway, "/basic", &basic("mobile", PASSWORD)).status == 200);
    assert!(gateway.own_kib() < 200 * 1024, "{} KiB", gateway.own_kib());
}

/// Whoever was let in does not wait behind guesses, on whichever worker.
#[test]
fn who_is_known_does_not_wait_behind_guesses() {
    let origin = Origin::ok();
    let text = format!("workers: 2\n{KEYS}");
    let gateway = Gateway::start(tollgate_testkit::binary!(), &text, &names(&origin));
    let known = basic("mobile", PASSWORD);
    assert_eq!(get(&gateway, "/basic", &known).status, 200);
    let mut guesses: Vec<_> = (0..200).map(|_| gateway.client()).collect();
    for (at, client) in guesses.iter_mut().enumerate() {
        let guess = basic("mobile", &format!("guess {at}"));
        client.send(format!("GET /basic HTTP/1.1\r\nHost: test\r\n{guess}\r\n"));
    }
    for _ in 0..20 {
        assert_eq!(get(&gateway, "/basic", &known).status, 200);
    }
    let mut answers = guesses.iter_mut().filter_map(|client| client.try_response().ok());
    assert!(answers.any(|answer| answer.code() == "overloaded"), "the guesses were too few");
}

#[test]
fn groups_belong_to_consumers() {
    let origin = Origin::echo();
    let gateway = start(&origin);
    assert_eq!(get(&gateway, "/gold", &format!("X-Api-Key: {KEY}\r\n")).status, 200);
    assert_eq!(get(&gateway, "/gold", &basic("mobile", PASSWORD)).status, 200);
    assert_problem(&get(&gateway, "/gold", &format!("X-Api-Key: {BATCH}\r\n")), "group_missing");
    let missing = get(&gateway, "/gold", "");
    assert_problem(&missing, "key_missing");
    let challenges = missing.head.all("www-authenticate");
    assert_eq!(challenges, ["ApiKey realm=\"tollgate\"", "Basic realm=\"tollgate\", charset=\"UTF-8\""]);
}

const EITHER: &str = "
issuers:
  main: { issuer: @ISSUER@, audience: any, algorithms: [RS256] }
consumers:
  - { name: mobile, keys: ['@MOBILE@', '@SPARE@'], basic: { user: mobile, password: '@PASSWORD@' }, groups: [gold] }
  - { name: batch, keys: ['@BATCH@'], groups: [bronze] }
  - { name: silver, basic: { user: silver, password: '@PASSWORD@' }, groups: [silver] }
routes:
  - path: /either
    auth: { jwt: main, api_key: { header: x-api-key }, basic: true }
    respond: { body: '{consumer}' }
  - path: /scoped
    auth: { jwt: main, api_key: { header: x-api-key }, require: { scopes: [read] } }
    respond: { body: '{consumer}' }
  - path: /grouped
    auth: { jwt: main, api_key: { header: x-api-key }, require: { groups: [gold] } }
    respond: { body: '{consumer}' }
  - path: /optional
    auth: { api_key: { header: x-api-key }, basic: true, optional: true }
    respond: { body: 'nobody' }
";

/// Any one is enough; and every one that is there must be good.
#[test]
fn several_kinds_of_credentials() {
    let (issuer, origin) = (Issuer::start(), Origin::ok());
    let mut names = names(&origin);
    names.push(("ISSUER", issuer.url()));
    let gateway = Gateway::start(tollgate_testkit::binary!(), EITHER, &names);
    let token = format!("Authorization: Bearer {}\r\n", issuer.token(json!({ "sub": "u1" })));
    let key = format!("X-Api-Key: {KEY}\r\n");
    let check = |path: &str, lines: &str, expect: &str| {
        let answer = get(&gateway, path, lines);
        match answer.status {
            200 => assert_eq!(answer.text(), expect, "{path} {lines}"),
            _ => assert_problem(&answer, expect),
        }
    };
    check("/either", &token, "main:u1");
    check("/either", &key, "mobile");
    check("/either", &basic("mobile", PASSWORD), "mobile");
    check("/either", &format!("{token}{key}"), "main:u1");
    check("/either", &format!("{token}X-Api-Key: x\r\n"), "key_unknown");
    check("/either", &format!("Authorization: Bearer x\r\n{key}"), "token_malformed");
    check("/either", &format!("{}{key}", basic("mobile", "wrong")), "basic_invalid");
    check("/either", &format!("{}{token}", basic("mobile", PASSWORD)), "token_malformed");
    check("/either", "", "token_missing");
    let answer = get(&gateway, "/either", "");
    assert_eq!(answer.head.all("www-authenticate").len(), 3, "{answer:#?}");
    check("/scoped", &key, "scope_missing");
    check("/scoped", &token, "scope_missing");
    check("/grouped", &key, "mobile");
    check("/grouped", &format!("X-Api-Key: {BATCH}\r\n"), "group_missing");
    check("/grouped", &token, "group_missing");
    check("/optional", "", "nobody");
    check("/optional", &key, "nobody");
    check("/optional", "X-Api-Key: x\r\n", "key_unknown");
    check("/optional", &basic("nobody", "x"), "basic_invalid");
    check("/optional", "Authorization: Digest x\r\n", "nobody");
}

#[test]
fn a_key_that_a_reload_removes_is_unknown() {
    let origin = Origin::echo();
    let gateway = start(&origin);
    let lines = format!("X-Api-Key: {SPARE}\r\n");
    assert_eq!(get(&gateway, "/header", &lines).status, 200);
    let fewer = KEYS.replace("'@MOBILE@', '@SPARE@'", "'@MOBILE@'");
    gateway.replace_file(&gateway.complete(&fewer, &names(&origin)));
    gateway.wait_generation(2);
    assert_problem(&get(&gateway, "/header", &lines), "key_unknown");
    assert_eq!(get(&gateway, "/header", &format!("X-Api-Key: {KEY}\r\n")).status, 200);
}
