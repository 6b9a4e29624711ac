//! `sync: leased`: how exact, how many questions, and what becomes of what is taken ahead.

#![expect(clippy::print_stdout, reason = "figures that are worth more than that they were good enough")]

use std::time::{Duration, Instant};

use tollgate_testkit::{Gateway, Redis, Signal, pause, wait_for};

use crate::{buckets, passes, scripts, start_two, start_up, storm};

const PATIENT: &str = "timeout: 5s, on_failure: deny";

/// A limit as tests reckon with it.
struct Limit {
    path: &'static str,
    per_second: f64,
    burst: usize,
    /// The most that one gateway takes ahead.
    lease: usize,
}

const SMALL: Limit = Limit { path: "/small", per_second: 10.0, burst: 60, lease: 3 };
const LARGE: Limit = Limit { path: "/large", per_second: 200.0, burst: 400, lease: 62 };
const QUICK: Limit = Limit { path: "/quick", per_second: 100.0, burst: 100, lease: 25 };

const ROUTES: &str = r#"
  - { path: /small, rate_limit: { rate: 600/m, burst: 60, per: "header:x-k", store: redis }, respond: { body: ok } }
  - { path: /large, rate_limit: { rate: 12000/m, burst: 400, per: "header:x-k", store: redis }, respond: { body: ok } }
  - { path: /quick, rate_limit: { rate: 100/s, burst: 100, per: "header:x-k", store: redis }, respond: { body: ok } }
  - { path: /slow, rate_limit: { rate: 60/h, burst: 20000, per: "header:x-k", store: redis }, respond: { body: ok } }
  - { path: /few, rate_limit: { rate: 1/h, burst: 2, per: "header:x-k", store: redis }, respond: { body: ok } }
  - { path: /many, rate_limit: { rate: 100000/s, per: "header:x-k", store: redis }, respond: { body: ok } }
"#;

/// Asks every `gap` on one connection to each gateway, for so long; how many passed, and of how many.
fn load(gateways: &[Gateway], path: &str, gap: Duration, time: Duration) -> (usize, usize) {
    let one = |gateway: &Gateway| {
        let (mut client, began) = (gateway.client(), Instant::now());
        let (mut passed, mut sent) = (0, 0);
        while began.elapsed() < time {
            passed += usize::from(passes(&mut client, path, "k"));
            sent += 1;
            // By the clock and not by the answers, so that a slow one is made up for.
            pause((gap * sent as u32).saturating_sub(began.elapsed()));
        }
        (passed, sent)
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = gateways.iter().map(|gateway| scope.spawn(move || one(gateway))).collect();
        let counts = running.into_iter().map(|client| client.join().expect("no panic"));
        counts.fold((0, 0), |(passed, sent), (p, s)| (passed + p, sent + s))
    })
}

/// Steady load of three times the limit on both: what passes is what the limit says.
#[track_caller]
fn check_sum(gateways: &[Gateway], limit: &Limit, time: Duration, least: f64) {
    let began = Instant::now();
    let gap = Duration::from_secs_f64(2.0 / (3.0 * limit.per_second));
    let (passed, sent) = load(gateways, limit.path, gap, time);
    let allowed = limit.burst as f64 + limit.per_second * began.elapsed().as_secs_f64();
    // What is counted ends with the last question, somewhat before the clock is read again.
    let share = passed as f64 / (limit.burst as f64 + limit.per_second * time.as_secs_f64());
    println!("{}: {passed} of {sent} passed in {time:?}, {:.2}% of the limit", limit.path, share * 100.0);
    assert!(passed as f64 <= allowed, "{passed} passed, {allowed:.1} is the limit");
    assert!(share >= least, "only {:.2}%", share * 100.0);
}

#[test]
fn the_sum_over_gateways_stays_within_the_limit_and_close_to_it() {
    let redis = Redis::start();
    let gateways = start_two(&redis.url(), PATIENT, ROUTES);
    std::thread::scope(|scope| {
        for limit in [&SMALL, &LARGE] {
            let gateways = &gateways;
            scope.spawn(move || check_sum(gateways, limit, Duration::from_secs(10), 0.97));
        }
    });
}

#[test]
#[ignore = "it takes a minute, because the promise is about a minute: within 1% of the limit"]
fn over_a_minute_the_sum_is_within_a_hundredth() {
    let redis = Redis::start();
    let gateways = start_two(&redis.url(), PATIENT, ROUTES);
    std::thread::scope(|scope| {
        for limit in [&SMALL, &LARGE] {
            let gateways = &gateways;
            scope.spawn(move || check_sum(gateways, limit, Duration::from_secs(60), 0.99));
        }
    });
}

#[test]
fn after_idling_no_more_than_the_burst_and_one_lease_pass_at_once() {
    let redis = Redis::start();
    let gateways = start_two(&redis.url(), PATIENT, ROUTES);
    for round in 0..3 {
        // It leaves leases behind on both; then the bucket is full again after a second.
        load(&gateways, QUICK.path, Duration::from_millis(4), Duration::from_secs(1));
        wait_for("the bucket to be full", || buckets(&mut redis.connect()).is_empty());
        let began = Instant::now();
        let passed = storm(&gateways, QUICK.path, "k", 12, 25);
        let refilled = QUICK.per_second * began.elapsed().as_secs_f64();
        let most = (QUICK.burst + QUICK.lease) as f64 + refilled;
        assert!(passed as f64 <= most, "round {round}: {passed} passed, {most:.1} is the most");
        assert!(passed >= QUICK.burst * 9 / 10, "round {round}: only {passed} passed");
    }
}

/// Tokens that miss from the only bucket there is, of a limit that gains one in a minute.
fn missing(redis: &Redis) -> f64 {
    const TOKEN_US: f64 = 60e6;
    let mut resp = redis.connect();
    let Some(key) = buckets(&mut resp).into_iter().next() else { return 0.0 };
    let value = resp.call(&["GET", &key]);
    let full: f64 = value.text().and_then(|text| text.split(':').next()?.parse().ok()).expect("a bucket");
    let now = resp.call(&["TIME"]);
    let tollgate_testkit::Value::List(now) = now else { panic!("TIME gives a list") };
    let [s, us] =
        [0, 1].map(|at| now[at].text().and_then(|text| text.parse::<f64>().ok()).expect("a number"));
    (full - s * 1e6 - us) / TOKEN_US
}

/// Uses a key steadily until the gateway holds tokens that nobody has used; how many were used.
fn hold(redis: &Redis, gateway: &Gateway) -> usize {
    let mut client = gateway.client();
    let mut used = 0;
    wait_for("a lease to be held", || {
        used += usize::from(passes(&mut client, "/slow", "k"));
        used > 50 && missing(redis) > used as f64 + 1.0
    });
    used
}

#[test]
fn what_is_not_used_goes_back_when_the_key_idles() {
    let redis = Redis::start();
    let gateway = start_up(&redis.url(), PATIENT, ROUTES);
    let used = hold(&redis, &gateway);
    wait_for("leases to come back", || missing(&redis) <= used as f64 + 0.1);
    assert!(missing(&redis) > used as f64 - 1.0, "no more than was taken: {used}, {}", missing(&redis));
}

#[test]
fn what_is_not_used_goes_back_when_the_gateway_ends() {
    let redis = Redis::start();
    let mut gateway = start_up(&redis.url(), PATIENT, ROUTES);
    let used = hold(&redis, &gateway);
    gateway.signal(Signal::TERM);
    assert!(gateway.wait_exit().success());
    let missing = missing(&redis);
    assert!((used as f64 - 1.0..used as f64 + 0.1).contains(&missing), "{used} used, {missing} missing");
}

#[test]
fn many_new_keys_at_once_are_each_served() {
    const KEYS: usize = 2_000;
    const CLIENTS: usize = 8;
    let redis = Redis::start();
    let gateways = start_two(&redis.url(), PATIENT, ROUTES);
    let one = |at: usize| {
        let mut client = gateways[at % 2].client();
        let key = |number: usize| format!("key-{}", at * (KEYS / CLIENTS) + number);
        for number in 0..KEYS / CLIENTS {
            assert!(passes(&mut client, "/few", &key(number)), "the first of {}", key(number));
        }
        // At the other gateway the same keys.
        let mut other = gateways[(at + 1) % 2].client();
        for number in 0..KEYS / CLIENTS {
            let more = (0..3).filter(|_| passes(&mut other, "/few", &key(number))).count();
            assert!(more <= 1, "{more} more passed for {}", key(number));
        }
    };
    std::thread::scope(|scope| {
        let one = &one;
        (0..CLIENTS).for_each(|at| drop(scope.spawn(move || one(at))));
    });
    assert_eq!(buckets(&mut redis.connect()).len(), KEYS);
}

#[test]
fn most_requests_ask_nobody() {
    let redis = Redis::start();
    let gateways = start_two(&redis.url(), PATIENT, ROUTES);
    let (passed, sent) = load(&gateways, "/many", Duration::from_millis(3), Duration::from_secs(5));
    let asked = scripts(&redis);
    let each = asked as f64 / sent as f64;
    println!("{asked} questions for {sent} requests: {each:.3} each");
    assert_eq!(passed, sent);
    assert!(each <= 0.1, "{asked} questions for {sent} requests");
}
