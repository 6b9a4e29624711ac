//! `deadline`: the whole request is over in time, whoever it waits for.

use std::time::{Duration, Instant};

use tollgate_testkit::behaviour::{self, response};
use tollgate_testkit::{Client, Fault, Gate, Gateway, Origin, assert_problem, gateway, pause, wait_for};

const ROUTES: &str = "
workers: 1
upstreams:
  u: { targets: [@ORIGIN@], @MORE@ }
routes:
  - { path: /queue, to: u, deadline: 400ms, concurrency: { max: 1, queue: 5 } }
  - { path: /*, to: u, deadline: 400ms }
";

fn start(origin: &Origin, more: &str) -> Gateway {
    gateway!(ROUTES, ORIGIN = origin.url(), MORE = more)
}

/// Not before the deadline, and soon after it.
#[track_caller]
fn assert_in_time(began: Instant) {
    let took = began.elapsed();
    assert!((Duration::from_millis(390)..Duration::from_millis(1400)).contains(&took), "it took {took:?}");
}

#[test]
fn before_the_answer_began_it_is_504() {
    let origin = Origin::start(behaviour::hang);
    let gateway = start(&origin, "timeout: 20s");
    let began = Instant::now();
    assert_problem(&gateway.get("/"), "upstream_timeout");
    assert_in_time(began);
    assert_eq!(gateway.record_of("/")["status"], 504);
}

#[test]
fn all_attempts_and_their_pauses_count() {
    let origin = Origin::start(|conn| behaviour::answer_each(conn, &response(503, b"")));
    for more in ["retry: { attempts: 10, backoff: 300ms }", "retry: { attempts: 10, backoff: 60s }"] {
        let gateway = start(&origin, more);
        let began = Instant::now();
        let answer = gateway.get("/");
        assert_problem(&answer, "upstream_timeout");
        assert_in_time(began);
    }
    let hangs = Origin::start(behaviour::hang);
    let gateway = start(&hangs, "timeout: 150ms, retry: { attempts: 10, on: [timeout], backoff: 1ms }");
    let began = Instant::now();
    assert_problem(&gateway.get("/"), "upstream_timeout");
    assert_in_time(began);
    assert!(gateway.record_of("/")["attempts"].as_u64().is_some_and(|attempts| attempts >= 2));
}

#[test]
fn a_connection_that_does_not_come_counts() {
    let gate = Gate::new();
    let origin = Origin::start_behind(&gate, behaviour::ok);
    let gateway = start(&origin, "connect_timeout: 20s");
    let began = Instant::now();
    assert_problem(&gateway.get("/"), "upstream_timeout");
    assert_in_time(began);
    gate.open();
}

#[test]
fn an_answer_that_began_is_cut() {
    // One byte at a time: it moves on and on, and never pauses.
    let drips = Origin::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
        conn.drip([b'x'; 100_000], Duration::from_millis(2))
    });
    let floods = Origin::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\n\r\n")?;
        loop {
            conn.send([b'x'; 65536])?;
        }
    });
    let stalls = Origin::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")?;
        conn.wait_end()
    });
    for origin in [drips, floods, stalls] {
        let gateway = start(&origin, "idle_timeout: 20s");
        let began = Instant::now();
        let mut client = gateway.client();
        client.send("GET /cut HTTP/1.1\r\nHost: test\r\n\r\n");
        let fault = client.try_response().expect_err("it is cut");
        assert!(matches!(fault, Fault::Truncated | Fault::Reset), "{fault:?}");
        assert_in_time(began);
        let record = gateway.record_of("/cut");
        assert_eq!(
            (&record["status"], &record["reason"]),
            (&200.into(), &"upstream_timeout".into()),
            "{record}"
        );
    }
}

/// A request that does not come is its client's fault, and no slowness of a client's is a target's failure.
#[test]
fn a_slow_client_is_no_failure_of_the_target() {
    let origin = Origin::start(|conn| {
        conn.head()?;
        let _ = conn.body();
        conn.send("HTTP/1.1 200 OK\r\n\r\n")?;
        loop {
            conn.send([b'x'; 65536])?;
        }
    });
    let gateway =
        start(&origin, "outlier: { consecutive_failures: 1 }, circuit_breaker: { min_requests: 1 }");
    let began = Instant::now();
    let mut sends = gateway.client();
    sends.send("POST /sends HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\n");
    // It moves, and still it is too slow as a whole.
    let _ = sends.drip(&[b'x'; 40], 1, Duration::from_millis(20));
    assert_problem(&sends.response(), "request_timeout");
    assert_in_time(began);
    let mut reads = Client::connect_narrow(&gateway.address(), 4096);
    reads.send("GET /reads HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(gateway.record_of("/reads")["reason"], "upstream_timeout");
    let health = gateway.admin("/health").json();
    assert_eq!(health["upstreams"]["u"]["circuit"], "closed", "{health}");
}

#[test]
fn waiting_for_a_turn_counts() {
    let gate = Gate::new();
    let origin = Origin::start(behaviour::gated(&gate, "late"));
    let gateway = start(&origin, "timeout: 20s");
    let mut first = gateway.client();
    first.send("GET /queue HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.wait_requests(1);
    let began = Instant::now();
    assert_problem(&gateway.get("/queue"), "upstream_timeout");
    assert_in_time(began);
    gate.open();
}

#[test]
fn what_is_in_time_is_not_touched() {
    let origin = Origin::start(|conn| behaviour::answer_each(conn, &response(200, b"ok")));
    let gateway = start(&origin, "timeout: 20s");
    let mut client = gateway.client();
    for _ in 0..5 {
        assert_eq!(client.get("/").text(), "ok");
    }
    // Each request has its own: the connection is older than that.
    pause(Duration::from_millis(500));
    assert_eq!(client.get("/").text(), "ok");
    wait_for("the records", || gateway.stdout().records().len() == 6);
    assert!(gateway.stdout().records().iter().all(|record| record["reason"].is_null()));
}
