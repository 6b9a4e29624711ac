//! `examples/vps` and its shared limits, with stand-ins for what is behind it; as its command starts it: `examples_vps.rs`.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::json;
use tollgate_testkit::{
    Client, Gateway, Issuer, Origin, Redis, Response, Value, assert_problem, gateway, wait_for,
};

/// The key whose hash stands in `examples/vps/tollgate.yaml`.
const API_KEY: &str = "tg_vpsExampleKeyThatIsNoSecretAtAll00000000000";
/// What the example lets pass at once, and per minute.
const LIMIT: usize = 100;

/// What `examples/vps/start` starts.
struct Vps {
    gateways: [Gateway; 2],
    issuer: Issuer,
    _origin: Origin,
    redis: Redis,
}

impl Vps {
    fn start() -> Vps {
        let (issuer, origin, redis) = (Issuer::with_keys(&["ES256"]), Origin::echo(), Redis::start());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/vps");
        let mut text = std::fs::read_to_string(folder.join("tollgate.yaml")).expect("the example");
        let script = format!("file: {},", folder.join("stock.lua").display());
        for (variable, value) in [
            ("127.0.0.1:${VPS_PORTS:-84}0${VPS_INSTANCE:-1}", "\"@LISTEN@\""),
            ("127.0.0.1:${VPS_PORTS:-84}1${VPS_INSTANCE:-1}", "\"@ADMIN@\""),
            ("redis://127.0.0.1:${VPS_PORTS:-84}40", &redis.url()),
            // A busy machine is no Redis that is gone.
            ("timeout: 250ms", "timeout: 5s"),
            ("http://127.0.0.1:${VPS_PORTS:-84}30", &issuer.url()),
            ("http://127.0.0.1:${VPS_PORTS:-84}21", &origin.url()),
            ("http://127.0.0.1:${VPS_PORTS:-84}22", &origin.url()),
            ("http://127.0.0.1:${VPS_PORTS:-84}23", &origin.url()),
            ("file: stock.lua,", &script),
        ] {
            assert!(text.contains(variable), "the example asks for {variable}");
            text = text.replace(variable, value);
        }
        let gateways = [gateway!(&text), gateway!(&text)];
        let vps = Vps { gateways, issuer, _origin: origin, redis };
        for (number, gateway) in vps.gateways.iter().enumerate() {
            // Somebody of its own for each, so that what it counts is new to Redis.
            let token = vps.token(&format!("first-{number}"));
            let before = vps.counted();
            wait_for("the issuer's keys and Redis", || {
                order(&mut gateway.client(), &token).status == 200 && vps.counted() > before
            });
        }
        vps
    }

    /// How many limits stand in Redis.
    fn counted(&self) -> i64 {
        match self.redis.call(&["DBSIZE"]) {
            Value::Int(number) => number,
            other => panic!("DBSIZE says {other:?}"),
        }
    }

    fn token(&self, sub: &str) -> String {
        self.issuer.token(json!({ "sub": sub, "aud": "vps" }))
    }
}

fn order(client: &mut Client, token: &str) -> Response {
    client.exchange(format!("GET /orders/7 HTTP/1.1\r\nHost: vps\r\nAuthorization: Bearer {token}\r\n\r\n"))
}

fn report(gateway: &Gateway, key: &str) -> Response {
    gateway.client().exchange(format!("GET /reports/today HTTP/1.1\r\nHost: vps\r\nX-Api-Key: {key}\r\n\r\n"))
}

#[test]
fn vps_tells_who_may_pass() {
    let vps = Vps::start();
    for gateway in &vps.gateways {
        assert_eq!(gateway.get("/health").status, 200);
        assert_problem(&gateway.get("/orders/7"), "token_missing");
        assert_problem(&order(&mut gateway.client(), "not.a.token"), "token_malformed");
        let seen = order(&mut gateway.client(), &vps.token("u1")).json();
        assert_eq!(seen["headers"]["x-user"], json!(["u1"]));
        assert_eq!(seen["headers"].get("authorization"), None, "the token stays here: {seen}");
        assert_problem(&gateway.get("/reports/today"), "key_missing");
        assert_problem(&report(gateway, "tg_wrong"), "key_unknown");
        let seen = report(gateway, API_KEY);
        assert_eq!(seen.status, 200, "{seen:?}");
        assert_eq!(seen.json()["headers"].get("x-api-key"), None, "the key stays here: {seen:?}");
    }
}

/// What one gateway let pass, the other counts too; another owner of tokens is not concerned.
#[test]
fn vps_counts_both_gateways_together() {
    let vps = Vps::start();
    let begun = Instant::now();
    let passed = vps.gateways.each_ref().map(|gateway| {
        let (mut client, token) = (gateway.client(), vps.token("busy"));
        let answers = (0..LIMIT + 20).map(|_| order(&mut client, &token));
        let (passed, refused): (Vec<_>, Vec<_>) = answers.partition(|answer| answer.status == 200);
        for answer in refused {
            assert_problem(&answer, "rate_limited");
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
        }
        passed.len()
    });
    // A token comes back every 0.6 s; a lease may be on its way.
    let refilled = begun.elapsed().as_secs_f64() * LIMIT as f64 / 60.0;
    let most = LIMIT + LIMIT / 10 + refilled.ceil() as usize;
    let all = passed[0] + passed[1];
    assert!(passed[0] >= LIMIT * 9 / 10, "one gateway alone may use nearly all of the limit: {passed:?}");
    assert!((LIMIT * 9 / 10..=most).contains(&all), "{passed:?} passed, {most} may");
    assert_eq!(order(&mut vps.gateways[1].client(), &vps.token("another")).status, 200);
}

/// The issuer gets a new key and loses the old one while requests run: none fails.
#[test]
fn vps_goes_on_while_the_issuer_rotates() {
    let vps = Vps::start();
    let (done, sent) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; 2]);
    let old = vps.issuer.key();
    std::thread::scope(|scope| {
        for (gateway, sent) in vps.gateways.iter().zip(&sent) {
            scope.spawn(|| {
                let mut client = gateway.client();
                while !done.load(Ordering::Relaxed) {
                    // Each time somebody else, so that no limit is in the way.
                    let number = sent.load(Ordering::Relaxed);
                    let answer = order(&mut client, &vps.token(&format!("u{number}")));
                    assert_eq!(answer.status, 200, "request {number}: {answer:?}");
                    sent.store(number + 1, Ordering::Relaxed);
                }
            });
        }
        let more = |than: [usize; 2]| {
            let now = || sent.each_ref().map(|count| count.load(Ordering::Relaxed));
            let alive = || now().iter().zip(than).all(|(now, before)| *now >= before + 50);
            wait_for("requests", alive);
            now()
        };
        // Ends the threads also when one of them failed and no more requests come.
        let before = Ended(&done);
        let at = more([0, 0]);
        let fresh = vps.issuer.add_key("ES256");
        assert_ne!(fresh.id, old.id);
        let at = more(at);
        vps.issuer.remove_key(&old.id);
        more(at);
        drop(before);
    });
    let fetched = vps.issuer.count_jwks();
    assert!(
        (4..=6).contains(&fetched),
        "each gateway fetched the keys once more, and not for each token: {fetched}"
    );
}

/// Says that it is over when it goes.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
