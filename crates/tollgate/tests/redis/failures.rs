//! A Redis that dies, hangs, is not there yet, or lets nobody in: what passes is `on_failure`'s to say, at once, and
//! the gateway comes back by itself.

use std::time::{Duration, Instant};

use tollgate_testkit::{Redis, RedisOptions, Signal, wait_for, wait_some};

use crate::trio::{RECOVERY, ROUTES, Trio, check_without};
use crate::{SLACK, ask, health, is_up, start, start_up, wait_down, wait_up};

#[test]
fn killed_and_restarted_with_nothing_in_it() {
    let mut redis = Redis::start();
    let trio = Trio::start_up(&redis);
    trio.check_with("a");
    redis.kill();
    trio.check_without("b");
    redis.restart_empty();
    trio.check_with("c");
}

#[test]
fn stopped_without_a_word_and_going_on() {
    let redis = Redis::start();
    let trio = Trio::start_up(&redis);
    trio.check_with("a");
    redis.pause();
    trio.check_without("b");
    redis.resume();
    trio.check_with("c");
}

#[test]
fn only_the_first_request_of_a_worker_waits_for_a_server_that_hangs() {
    const TIMEOUT: Duration = Duration::from_secs(1);
    for path in ["/exact", "/leased"] {
        let redis = Redis::start();
        let gateway = start_up(&redis.url(), "timeout: 1s, on_failure: allow", ROUTES);
        let mut clients: Vec<_> = (0..8).map(|_| gateway.client()).collect();
        clients.iter_mut().for_each(|client| drop(ask(client, path, "before")));
        redis.pause();
        let times: Vec<_> = (0..80).map(|at| ask(&mut clients[at % 8], path, &format!("{at}")).1).collect();
        let slow = times.iter().filter(|took| **took >= TIMEOUT * 9 / 10).count();
        assert!(slow <= 2, "{path}: {slow} requests waited, and there are two workers");
        assert!(times.iter().all(|took| *took < TIMEOUT + SLACK), "{path}: {times:?}");
        redis.resume();
        wait_some("Redis to be up again", RECOVERY, || is_up(&gateway).then_some(()));
    }
}

#[test]
fn not_there_when_the_gateway_starts() {
    let mut redis = Redis::start();
    redis.kill();
    let trio = Trio::start(&redis.url());
    trio.check_without("a");
    redis.restart_empty();
    trio.check_with("b");
}

#[test]
fn hanging_when_the_gateway_starts_and_when_it_ends() {
    let redis = Redis::start();
    redis.pause();
    let trio = Trio::start(&redis.url());
    trio.check_without("a");
    let mut gateway = start(&redis.url(), "timeout: 300ms", ROUTES);
    let began = Instant::now();
    gateway.signal(Signal::TERM);
    assert!(gateway.wait_exit().success());
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    redis.resume();
    trio.check_with("b");
}

#[test]
fn a_gateway_that_holds_leases_ends_at_once_without_redis() {
    for hang in [true, false] {
        let mut redis = Redis::start();
        let mut gateway = start_up(&redis.url(), "timeout: 300ms, on_failure: allow", ROUTES);
        let mut client = gateway.client();
        for at in 0..300 {
            ask(&mut client, "/leased", &format!("{}", at % 50));
        }
        drop(client);
        if hang {
            redis.pause()
        } else {
            redis.kill()
        }
        let began = Instant::now();
        gateway.signal(Signal::TERM);
        assert!(gateway.wait_exit().success());
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}

#[test]
fn two_instances_have_half_each() {
    let mut redis = Redis::start();
    let gateway = start_up(&redis.url(), "timeout: 300ms, instances: 2", ROUTES);
    redis.kill();
    check_without(&gateway, "local", "/exact", "a", 5);
    check_without(&gateway, "local", "/leased", "a", 5);
    redis.restart_empty();
}

#[test]
fn a_password_that_is_wrong_or_missing_is_told_and_never_shown() {
    let redis = RedisOptions::default().password("right-0ne").start();
    for (login, told) in [(":wr0ng-0ne@", "refuses the user or the password"), ("", "NOAUTH")] {
        let url = format!("redis://{login}{}", redis.address());
        let trio = Trio::start(&url);
        trio.check_without("a");
        for gateway in trio.gateways() {
            gateway.stderr().wait_line(told);
            let seen = [
                gateway.stderr().text(),
                gateway.stdout().text(),
                health(gateway).to_string(),
                gateway.admin("/metrics").text(),
            ];
            assert!(seen.iter().all(|text| !text.contains("-0ne")), "{seen:?}");
            let lines = gateway.stderr().lines();
            let warnings = lines.iter().filter(|line| line.contains("cannot be used")).count();
            assert_eq!(warnings, 1, "once for two workers and all attempts: {lines:#?}");
        }
    }
    // Whoever corrects it on the other side needs not come here.
    let gateway = start(&format!("redis://:wr0ng-0ne@{}", redis.address()), "", ROUTES);
    wait_down(&gateway);
    redis.call(&["CONFIG", "SET", "requirepass", "wr0ng-0ne"]).unwrap();
    wait_some("Redis to be up", RECOVERY, || is_up(&gateway).then_some(()));
    gateway.stderr().wait_line("can be used again");
}

#[test]
fn a_server_that_reads_its_data_in_is_waited_for() {
    // Two milliseconds for each key while it reads them in, and an answer in between.
    let slowly = ["--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024"];
    let mut redis = RedisOptions::default().args(&slowly).start();
    let mut resp = redis.connect();
    for key in 0..1500 {
        resp.call(&["SET".to_owned(), format!("k{key}"), format!("{key}").repeat(200)]).unwrap();
    }
    resp.call(&["SAVE"]).unwrap();
    let gateway = start_up(&redis.url(), "timeout: 300ms, on_failure: deny", ROUTES);
    std::thread::scope(|scope| {
        let restart = scope.spawn(|| redis.restart_empty());
        wait_for("LOADING", || {
            health(&gateway)["last_error"].as_str().is_some_and(|it| it.contains("LOADING"))
        });
        check_without(&gateway, "deny", "/exact", "a", 0);
        restart.join().expect("it answers in the end");
    });
    wait_some("Redis to be up again", RECOVERY, || is_up(&gateway).then_some(()));
    assert_eq!(ask(&mut gateway.client(), "/exact", "a").0.status, 200);
}

#[test]
fn health_says_since_when_and_why() {
    let mut redis = Redis::start();
    let gateway = start_up(&redis.url(), "timeout: 300ms, on_failure: deny", ROUTES);
    let before = health(&gateway);
    assert_eq!(before["on_failure"], "deny");
    assert_eq!(before["last_error"], serde_json::Value::Null);
    redis.kill();
    wait_down(&gateway);
    let down = health(&gateway);
    assert!(down["since"].as_str() > before["since"].as_str(), "{before} {down}");
    assert!(down["last_error"].is_string(), "{down}");
    assert_eq!(gateway.readyz()["ready"], true, "the gateway serves");
    redis.restart_empty();
    wait_up(&gateway);
    let after = health(&gateway);
    assert!(after["since"].as_str() > down["since"].as_str(), "{down} {after}");
    assert_eq!(after["last_error"], serde_json::Value::Null);
}
