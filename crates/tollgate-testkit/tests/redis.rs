//! The harness around redis-server, and the script that the gateway gives to it: what it decides, on the server's
//! clock and in the server's arithmetic.

use std::time::Duration;

use tollgate_testkit::{Redis, RedisOptions, Resp, Value};

#[test]
fn a_paused_server_accepts_and_says_nothing() {
    let redis = Redis::start();
    let mut before = redis.connect();
    redis.pause();
    let after = Resp::connect(&redis.address());
    before.patience(Duration::from_millis(100));
    assert!(before.try_call(&["PING"]).is_err());
    assert!(after.is_ok(), "the kernel still accepts");
    redis.resume();
    assert_eq!(redis.call(&["PING"]), Value::Text("PONG".to_owned()));
}

#[test]
fn a_killed_server_refuses_until_it_is_back_and_empty() {
    let mut redis = Redis::start();
    redis.call(&["SET", "a", "1"]).unwrap();
    redis.kill();
    assert!(Resp::connect(&redis.address()).is_err());
    redis.restart_empty();
    assert_eq!(redis.call(&["GET", "a"]), Value::Nil);
}

#[test]
fn a_password_is_asked_for() {
    let redis = RedisOptions::default().password("open sesame").start();
    let mut stranger = Resp::connect(&redis.address()).unwrap();
    assert!(matches!(stranger.call(&["GET", "a"]), Value::Error(error) if error.starts_with("NOAUTH")));
    assert_eq!(redis.call(&["GET", "a"]), Value::Nil);
}

#[test]
fn a_cluster_of_one_serves_every_key() {
    let mut redis = RedisOptions::default().cluster().start();
    for _ in 0..2 {
        redis.call(&["SET", "a", "1"]).unwrap();
        assert_eq!(redis.call(&["GET", "a"]), Value::Text("1".to_owned()));
        redis.restart_empty();
    }
}

#[test]
fn a_replica_takes_no_writes() {
    let primary = Redis::start();
    let replica = RedisOptions::default().replica_of(&primary).start();
    assert!(matches!(replica.call(&["SET", "a", "1"]), Value::Error(error) if error.starts_with("READONLY")));
}
