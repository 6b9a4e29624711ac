//! `sync: exact`, and what stands in Redis.

use std::time::Instant;

use tollgate_testkit::{Redis, Value, wait_for};

use crate::{ask, buckets, keys, passes, scripts, start_two, storm};

const PATIENT: &str = "timeout: 5s, on_failure: deny";

const ROUTES: &str = r#"
  - { path: /all, rate_limit: { rate: 1/h, burst: 50, per: all, store: redis, sync: exact }, respond: { body: ok } }
  - { path: /key, rate_limit: { rate: 1/h, burst: 5, per: "header:x-k", store: redis, sync: exact }, respond: { body: ok } }
  - { path: /leased, rate_limit: { rate: 1/h, burst: 5, per: "header:x-k", store: redis }, respond: { body: ok } }
  - path: /both
    rate_limit:
      - { rate: 1/h, burst: 5, per: all, store: redis, sync: exact }
      - { rate: 1/h, burst: 1, per: "header:x-k", store: redis, sync: exact }
    respond: { body: ok }
"#;

#[test]
fn exactly_the_burst_passes_over_all_gateways() {
    let redis = Redis::start();
    let gateways = start_two(&redis.url(), PATIENT, ROUTES);
    assert_eq!(storm(&gateways, "/all", "x", 10, 20), 50);
    let refused: f64 =
        gateways.iter().map(|gateway| gateway.metrics().sum("tollgate_rate_limited_total", &[])).sum();
    assert_eq!(refused, 150.0);
    // And some signs of life.
    assert!((200..230).contains(&scripts(&redis)), "one question for each request, not {}", scripts(&redis));
}

#[test]
fn what_redis_says_arrives_to_the_number() {
    let redis = Redis::start();
    let gateways = start_two(&redis.url(), PATIENT, ROUTES);
    let mut clients = gateways.each_ref().map(|gateway| gateway.client());
    for (at, left) in [4, 3, 2, 1, 0].into_iter().enumerate() {
        let (answer, _) = ask(&mut clients[at % 2], "/key", "a");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), Some(r#""header-x-k";q=5;w=18000"#));
        let member = answer.header("ratelimit").expect("the header");
        assert!(member.starts_with(&format!(r#""header-x-k";r={left};t="#)), "{member}");
    }
    let began = Instant::now();
    let (answer, _) = ask(&mut clients[0], "/key", "a");
    assert_eq!(answer.code(), "rate_limited");
    let wait: u64 = answer.header("retry-after").expect("the header").parse().expect("seconds");
    // An hour after the first, which was some moments ago.
    assert!((3540..=3600).contains(&wait), "{wait} after {:?}", began.elapsed());
    assert!(passes(&mut clients[1], "/key", "b"), "another key has another bucket");
}

#[test]
fn a_later_limit_that_refuses_gives_back_what_an_earlier_one_took() {
    let redis = Redis::start();
    let gateways = start_two(&redis.url(), PATIENT, ROUTES);
    assert_eq!(storm(&gateways, "/both", "a", 4, 5), 1);
    // Each asks both limits or is refused by the first, while tokens are on their way back.
    let settled = |before: &mut u64| {
        let now = scripts(&redis);
        let same = now == std::mem::replace(before, now);
        same && now > 20
    };
    let mut before = 0;
    wait_for("what is given back to arrive", || settled(&mut before));
    let mut clients = gateways.each_ref().map(|gateway| gateway.client());
    let more = (0..20).filter(|at| passes(&mut clients[at % 2], "/both", &format!("k{at}"))).count();
    assert_eq!(more, 4, "the first limit has lost one token to the one that passed");
}

#[test]
fn a_server_that_forgot_the_script_is_told_again_and_nobody_is_refused_for_it() {
    let redis = Redis::start();
    let gateways = start_two(&redis.url(), PATIENT, ROUTES);
    let mut clients = gateways.each_ref().map(|gateway| gateway.client());
    for (round, client) in [0, 1, 0, 1].into_iter().enumerate() {
        for path in ["/key", "/leased"] {
            redis.call(&["SCRIPT", "FLUSH"]).unwrap();
            assert!(passes(&mut clients[client], path, "a"), "{path}, round {round}");
        }
    }
    redis.call(&["SCRIPT", "FLUSH"]).unwrap();
    assert_eq!(storm(&gateways, "/all", "x", 10, 20), 50, "as exact as ever");
}

#[test]
fn keys_in_redis_tell_nothing_and_end_by_themselves() {
    let redis = Redis::start();
    let gateways = start_two(&redis.url(), PATIENT, ROUTES);
    let mut clients = gateways.each_ref().map(|gateway| gateway.client());
    for key in ["s3cret-token", "192.0.2.7", "a", "b"] {
        for path in ["/key", "/leased", "/both", "/all"] {
            clients.iter_mut().for_each(|client| drop(ask(client, path, key)));
        }
    }
    let mut resp = redis.connect();
    // Four keys of three limits, and the two that count everybody together.
    assert_eq!(buckets(&mut resp).len(), 4 * 3 + 2);
    for key in keys(&mut resp) {
        let name = key.strip_prefix("tollgate:").unwrap_or_else(|| panic!("{key}"));
        let hash = name.len() == 32 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        assert!(hash || name == "alive", "{key}");
        let value = resp.call(&["GET", &key]);
        let value = value.text().unwrap_or("1");
        assert!(value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b':')), "{key} {value}");
        // The sign of life may have ended meanwhile.
        let ttl = resp.call(&["PTTL", &key]);
        let bound = if hash { 50 * 3_600_000 + 2 } else { 1000 };
        assert!(
            matches!(ttl, Value::Int(ms) if (1..=bound).contains(&ms) || (!hash && ms == -2)),
            "{key} {ttl:?}"
        );
    }
}
