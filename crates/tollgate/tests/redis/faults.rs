//! A Redis that answers, but not what it should.

use tollgate_testkit::Redis;

use crate::health;
use crate::trio::{Trio, storm_exact};
use crate::{is_up, start_two};

/// Breaks Redis with one command, and mends it with another; `told` is what `/health` says meanwhile.
#[track_caller]
fn check(breaks: &[&str], mends: &[&str], told: &str) {
    let redis = Redis::start();
    let trio = Trio::start_up(&redis);
    trio.check_with("a");
    redis.call(breaks).unwrap();
    trio.check_without("b");
    for gateway in trio.gateways() {
        let health = health(gateway);
        assert!(
            health["last_error"].as_str().is_some_and(|error| error.contains(told)),
            "{breaks:?}: {health}"
        );
    }
    redis.call(mends).unwrap();
    trio.check_with("c");
}

#[test]
fn a_primary_that_became_a_replica() {
    check(&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"], "READONLY");
}

#[test]
fn no_memory_left() {
    check(&["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"], "OOM");
}

#[test]
fn writes_that_nothing_answers() {
    check(&["CLIENT", "PAUSE", "60000", "WRITE"], &["CLIENT", "UNPAUSE"], "no answer");
}

#[test]
fn rights_that_were_taken_away() {
    check(&["ACL", "SETUSER", "default", "-evalsha"], &["ACL", "SETUSER", "default", "+@all"], "NOPERM");
    check(&["ACL", "SETUSER", "default", "-set"], &["ACL", "SETUSER", "default", "+@all"], "can't run");
}

#[test]
fn a_bucket_that_is_something_else_harms_its_own_requests_only() {
    let redis = Redis::start();
    let trio = Trio::start_up(&redis);
    trio.check_with("a");
    let mut resp = redis.connect();
    for key in crate::buckets(&mut resp) {
        resp.call(&["DEL", &key]).unwrap();
        resp.call(&["LPUSH", &key, "x"]).unwrap();
    }
    let answers = trio.gateways().map(|gateway| crate::ask(&mut gateway.client(), "/exact", "a").0.status);
    assert_eq!(answers.collect::<Vec<_>>(), [200, 200, 503], "by `on_failure`, each");
    assert!(trio.gateways().all(is_up), "the server is well");
    trio.check_with("b");
}

#[test]
fn connections_that_are_cut() {
    let redis = Redis::start();
    let gateways = start_two(&redis.url(), "timeout: 2s, on_failure: deny", crate::trio::ROUTES);
    for round in 0..3 {
        redis.call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).unwrap();
        // Noticed by the next probe at the latest, or by a request; then all is as before.
        let asked =
            |gateway| crate::ask(&mut tollgate_testkit::Gateway::client(gateway), "/exact", "probe").0;
        gateways.iter().for_each(|gateway| drop(asked(gateway)));
        gateways.iter().for_each(crate::wait_up);
        let key = format!("round {round}");
        tollgate_testkit::wait_for("all workers to be connected", || {
            gateways.iter().all(is_up) && crate::reload::gateways_of(&redis).len() == 4
        });
        assert_eq!(storm_exact(&gateways, &key), 10);
    }
}
