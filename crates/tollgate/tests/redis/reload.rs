//! Reloads: connections stay while `redis` says the same, and go when it does not.

use std::time::Duration;

use tollgate_testkit::{Gate, Gateway, Origin, Redis, Signal, assert_holds, behaviour, wait_for};

use crate::trio::ROUTES;
use crate::{ask, buckets, health, start_up, text, wait_up};

const SETTINGS: &str = "timeout: 2s, on_failure: deny";

/// The numbers of everybody's connections but the one that asks.
#[track_caller]
pub(crate) fn gateways_of(redis: &Redis) -> Vec<String> {
    let list = redis.call(&["CLIENT", "LIST"]).unwrap();
    let lines = list.text().expect("a text").lines();
    let others = lines.filter(|line| !line.contains("cmd=client|list"));
    others.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
}

#[track_caller]
fn reload(gateway: &Gateway, text: &str) {
    let before = gateway.generation();
    gateway.replace_file(&gateway.complete(text, &[]));
    gateway.signal(Signal::HUP);
    wait_for("the reload", || gateway.generation() > before);
}

#[track_caller]
fn passed(gateway: &Gateway, key: &str, count: usize) -> usize {
    let mut client = gateway.client();
    (0..count).filter(|_| ask(&mut client, "/exact", key).0.status == 200).count()
}

#[test]
fn connections_outlive_a_reload_that_leaves_redis_as_it_is() {
    let redis = Redis::start();
    let gateway = start_up(&redis.url(), SETTINGS, ROUTES);
    let before = gateways_of(&redis);
    assert_eq!(before.len(), 2, "one for each worker");
    assert_eq!(passed(&gateway, "a", 4), 4);
    let more = format!("{ROUTES}  - {{ path: /new, respond: {{ body: ok }} }}\n");
    reload(&gateway, &text(&redis.url(), SETTINGS, &more));
    assert_eq!(gateway.get("/new").status, 200);
    assert_eq!(gateways_of(&redis), before);
    assert_eq!(passed(&gateway, "a", 10), 6, "and counts go on");

    reload(&gateway, &text(&redis.url(), "timeout: 3s, on_failure: deny", ROUTES));
    wait_for("new connections in place of the old", || {
        let now = gateways_of(&redis);
        now.len() == 2 && now.iter().all(|one| !before.contains(one))
    });
    wait_up(&gateway);
    assert_eq!(passed(&gateway, "a", 3), 0);
    assert_eq!(passed(&gateway, "b", 12), 10);
}

#[test]
fn another_redis_takes_over_and_no_redis_leaves_nothing() {
    let (old, new) = (Redis::start(), Redis::start());
    let gateway = start_up(&old.url(), SETTINGS, ROUTES);
    assert_eq!(passed(&gateway, "a", 12), 10);
    for _ in 0..5 {
        ask(&mut gateway.client(), "/leased", "a");
    }
    reload(&gateway, &text(&new.url(), SETTINGS, ROUTES));
    wait_for("the old connections to go", || gateways_of(&old).is_empty());
    wait_up(&gateway);
    assert_eq!(passed(&gateway, "a", 12), 10, "another Redis has other buckets");
    assert_eq!(buckets(&mut new.connect()).len(), 1);
    assert_eq!(ask(&mut gateway.client(), "/leased", "a").0.status, 200);
    assert_eq!(buckets(&mut new.connect()).len(), 2, "leases of the old one are not used");

    reload(&gateway, "workers: 2\nroutes:\n  - { path: /, respond: { body: ok } }\n");
    wait_for("the connections to go", || gateways_of(&new).is_empty());
    assert_eq!(health(&gateway), serde_json::Value::Null);
    assert!(!gateway.admin("/metrics").text().contains("\ntollgate_redis_up"));
}

#[test]
fn a_request_from_before_keeps_nobody_informed_of_the_old_redis() {
    let (mut old, new) = (Redis::start(), Redis::start());
    let gate = Gate::new();
    let slow = Origin::start(behaviour::gated(&gate, "late"));
    let routes = format!("{ROUTES}  - {{ path: /slow, to: \"http://{}\" }}\n", slow.address());
    let gateway = start_up(&old.url(), SETTINGS, &routes);
    let mut client = gateway.client();
    client.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    wait_for("it to be under way", || gateway.metrics().get("tollgate_inflight_requests") >= 1.0);
    reload(&gateway, &text(&new.url(), SETTINGS, &routes));
    wait_up(&gateway);
    old.kill();
    assert_holds("the new Redis is well", Duration::from_secs(2), || health(&gateway)["status"] == "ok");
    gate.open();
    assert_eq!(client.response().status, 200);
}
