//! Limits that gateways share in Redis: a real redis-server, the real binary, two gateways or three.

mod exact;
mod failures;
mod faults;
mod leases;
mod reload;
mod trio;
mod ways;

use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tollgate_testkit::{Client, Gateway, Redis, Resp, Response, Value, gateway, wait_for};

/// What a busy machine adds to a wait. The gateway's own share of it is a few milliseconds.
const SLACK: Duration = Duration::from_millis(500);

/// A gateway with two workers that shares limits in the Redis at `url`; `settings` go into the block `redis`.
#[track_caller]
fn start(url: &str, settings: &str, routes: &str) -> Gateway {
    gateway!(&text(url, settings, routes))
}

/// The same, once every worker is connected.
#[track_caller]
fn start_up(url: &str, settings: &str, routes: &str) -> Gateway {
    let gateway = start(url, settings, routes);
    wait_up(&gateway);
    gateway
}

/// Two of them.
#[track_caller]
fn start_two(url: &str, settings: &str, routes: &str) -> [Gateway; 2] {
    [(); 2].map(|()| start_up(url, settings, routes))
}

fn text(url: &str, settings: &str, routes: &str) -> String {
    format!("workers: 2\nredis: {{ url: {url}, {settings} }}\nroutes:\n{routes}")
}

/// What `/health` says of Redis.
#[track_caller]
fn health(gateway: &Gateway) -> Json {
    gateway.admin("/health").json()["redis"].clone()
}

#[track_caller]
fn is_up(gateway: &Gateway) -> bool {
    let up = health(gateway)["status"] == "ok";
    // Asked one after the other, and it may change in between.
    let told = gateway.metrics().get("tollgate_redis_up") == 1.0;
    up && told
}

#[track_caller]
fn wait_up(gateway: &Gateway) {
    wait_for("Redis to be up", || is_up(gateway));
}

#[track_caller]
fn wait_down(gateway: &Gateway) {
    wait_for("Redis to be down", || {
        health(gateway)["status"] == "down" && gateway.metrics().get("tollgate_redis_up") == 0.0
    });
}

/// A GET for a key, and how long it took. None is ever a 500.
#[track_caller]
fn ask(client: &mut Client, path: &str, key: &str) -> (Response, Duration) {
    let began = Instant::now();
    let answer = client.exchange(format!("GET {path} HTTP/1.1\r\nHost: test\r\nx-k: {key}\r\n\r\n"));
    let codes = ["rate_limited", "limit_store_unavailable"];
    let known = answer.status == 200 || codes.contains(&answer.code().as_str());
    assert!(known, "{} {}", answer.status, answer.text());
    (answer, began.elapsed())
}

#[track_caller]
fn passes(client: &mut Client, path: &str, key: &str) -> bool {
    ask(client, path, key).0.status == 200
}

/// How many pass of `each` requests for one key on each of `clients` connections, spread over the gateways, all at once.
#[track_caller]
fn storm(gateways: &[Gateway], path: &str, key: &str, clients: usize, each: usize) -> usize {
    std::thread::scope(|scope| {
        let run = |at: usize| {
            let mut client = gateways[at % gateways.len()].client();
            move || (0..each).filter(|_| passes(&mut client, path, key)).count()
        };
        let running: Vec<_> = (0..clients).map(|at| scope.spawn(run(at))).collect();
        running.into_iter().map(|client| client.join().expect("no panic")).sum()
    })
}

/// How often the bucket script ran.
#[track_caller]
fn scripts(redis: &Redis) -> u64 {
    let info = redis.call(&["INFO", "commandstats"]).unwrap();
    let calls = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let counted = name == "evalsha";
        counted.then(|| rest.split(',').next()?.parse::<u64>().ok())?
    };
    info.text().expect("a text").lines().filter_map(calls).sum()
}

/// Every key there is.
#[track_caller]
fn keys(resp: &mut Resp) -> Vec<String> {
    let Value::List(answer) = resp.call(&["SCAN", "0", "COUNT", "100000"]).unwrap() else {
        panic!("SCAN gives a list")
    };
    let Some(Value::List(keys)) = answer.into_iter().nth(1) else { panic!("SCAN gives keys") };
    keys.iter().filter_map(|key| key.text().map(str::to_owned)).collect()
}

/// The keys of buckets.
#[track_caller]
fn buckets(resp: &mut Resp) -> Vec<String> {
    keys(resp).into_iter().filter(|key| key != "tollgate:alive").collect()
}
