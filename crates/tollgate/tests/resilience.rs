//! Targets that fail: who is left out, what is tried again, when the circuit opens; and that all of it is told.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use tollgate_testkit::behaviour::{self, named, response};
use tollgate_testkit::{Client, Conn, Gate, Gateway, Origin, Port, assert_problem, gateway, pause, wait_for};

const RESET: fn(&mut Conn) -> io::Result<()> = |conn| {
    conn.request()?;
    conn.reset()
};

/// Answers with a status that the test can change, and the origin's name.
fn moody(status: &Arc<AtomicUsize>, name: &'static str) -> Origin {
    let status = status.clone();
    Origin::start(move |conn| {
        loop {
            conn.request()?;
            conn.send(response(status.load(SeqCst) as u16, name.as_bytes()))?;
        }
    })
}

fn status(code: usize) -> Arc<AtomicUsize> {
    Arc::new(AtomicUsize::new(code))
}

/// The targets of the upstream `u` in `/health`: whether each is healthy.
fn healthy(gateway: &Gateway) -> Vec<bool> {
    let health = gateway.admin("/health").json();
    let targets = health["upstreams"]["u"]["targets"].as_array().cloned().unwrap_or_default();
    targets.iter().map(|target| target["healthy"] == true).collect()
}

fn circuit(gateway: &Gateway) -> String {
    gateway.admin("/health").json()["upstreams"]["u"]["circuit"].as_str().unwrap_or("none").to_owned()
}

/// A request with this method; with a body when there is one.
fn request(method: &str, path: &str, body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{length}\r\n{body}")
}

/// Two targets in turn, the first of which is bad: does the second get another attempt?
#[track_caller]
fn check_retry(
    bad: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static,
    retry: &str,
    ask: &str,
    expect: u16,
) {
    let (bad, good) = (Origin::start(bad), Origin::start(named("good")));
    let gateway = gateway!(
        &format!(
            "workers: 1\nupstreams:\n  u: {{ targets: [@BAD@, @GOOD@], timeout: 500ms, balance: round_robin{retry} }}\n\
             routes:\n  - {{ path: /*, to: u }}\n"
        ),
        BAD = bad.url(),
        GOOD = good.url()
    );
    // Workers begin anywhere in the round: two requests meet both targets.
    let answers: Vec<u16> = (0..2).map(|_| gateway.client().exchange(ask).status).collect();
    assert_eq!(answers.iter().max(), Some(&expect), "{retry}: {ask:?} came to {answers:?}");
    let record = |status: u16| gateway.record(|record| record["status"] == u64::from(status));
    let attempts = if expect == 200 { 2 } else { 1 };
    wait_for("the records", || gateway.stdout().records().len() == 2);
    let most = gateway.stdout().records().iter().map(|record| record["attempts"].as_u64()).max().flatten();
    assert_eq!(most, Some(attempts), "{retry}: {}", record(expect));
    let retries = gateway.metrics().get("tollgate_retries_total{upstream=\"u\"}");
    assert_eq!(retries, attempts as f64 - 1.0);
}

fn saying(status: u16) -> impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static {
    move |conn| behaviour::answer_each(conn, &response(status, b"bad"))
}

#[test]
fn what_is_safe_is_tried_again_elsewhere() {
    let (get, put) = (request("GET", "/", ""), request("PUT", "/", ""));
    check_retry(RESET, ", retry: {}", &get, 200);
    check_retry(RESET, ", retry: {}", &put, 200);
    check_retry(saying(503), ", retry: {}", &get, 200);
    check_retry(saying(502), ", retry: {}", &get, 200);
    check_retry(saying(429), ", retry: { on: [429] }", &get, 200);
    check_retry(behaviour::hang, ", retry: { on: [timeout] }", &get, 200);
    check_retry(behaviour::then_close(b"SSH-2.0\r\n\r\n"), ", retry: { on: [protocol] }", &get, 200);
    let post = request("POST", "/", "");
    check_retry(RESET, ", retry: { methods: [POST] }", &post, 200);
}

/// The second target gets the very body of which the first one had a part, or all.
#[track_caller]
fn check_body_again(
    bad: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static,
    send: impl Fn(&mut Client),
    expect: Result<&str, &str>,
) {
    let (bad, good) = (Origin::start(bad), Origin::echo());
    let gateway = gateway!(
        "workers: 1\nupstreams:\n  u: { targets: [@BAD@, @GOOD@], balance: round_robin, retry: { methods: [PUT, POST] } }\nroutes:\n  - { path: /*, to: u }\n",
        BAD = bad.url(),
        GOOD = good.url()
    );
    // Workers begin anywhere in the round: one of two requests begins with the bad one.
    for _ in 0..2 {
        let mut client = gateway.client();
        send(&mut client);
        let answer = client.response();
        if bad.count() == 0 {
            continue;
        }
        match expect {
            Ok(body) => {
                let got = answer.json();
                assert_eq!(got["body"], body, "{answer:?}");
                let framing =
                    ["content-length", "transfer-encoding"].map(|name| got["headers"][name].is_array());
                assert_eq!(framing.iter().filter(|one| **one).count(), 1, "{got}");
                assert_eq!(answer.status, 200);
            }
            Err(code) => assert_problem(&answer, code),
        }
        return;
    }
    panic!("nobody asked the bad one");
}

#[test]
fn a_body_that_was_sent_is_sent_again() {
    let put = |client: &mut Client| client.send(request("PUT", "/", "hello"));
    let chunked = |client: &mut Client| {
        client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n");
        pause(Duration::from_millis(50));
        client.send("2\r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n");
    };
    let in_parts = |client: &mut Client| {
        client.send("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhe");
        pause(Duration::from_millis(100));
        client.send("llo");
    };
    let early = |conn: &mut Conn| {
        conn.head()?;
        conn.send(response(503, b"no"))?;
        conn.wait_end()
    };
    let after_a_part = |conn: &mut Conn| {
        conn.head()?;
        conn.some_body(2)?;
        conn.reset()
    };
    check_body_again(RESET, put, Ok("hello"));
    check_body_again(RESET, chunked, Ok("hello"));
    check_body_again(RESET, in_parts, Ok("hello"));
    check_body_again(saying(503), put, Ok("hello"));
    check_body_again(saying(503), chunked, Ok("hello"));
    check_body_again(early, in_parts, Ok("hello"));
    check_body_again(after_a_part, put, Ok("hello"));
    check_body_again(after_a_part, in_parts, Ok("hello"));
    check_body_again(
        RESET,
        |client| client.send("PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Ok(""),
    );
}

#[test]
fn a_body_that_is_longer_than_what_is_kept_is_not() {
    let sized =
        |bytes: usize| move |client: &mut Client| client.send(request("PUT", "/", &"x".repeat(bytes)));
    let most = "x".repeat(64 * 1024);
    check_body_again(RESET, sized(64 * 1024), Ok(&most));
    check_body_again(RESET, sized(64 * 1024 + 1), Err("upstream_reset"));
}

/// What is kept is given back: requests with bodies, one after the other, do not use it up.
#[test]
fn what_is_kept_of_bodies_is_given_back() {
    let good = Origin::ok();
    let gateway = gateway!(
        "workers: 1\nupstreams:\n  u: { targets: [@GOOD@], retry: {} }\nroutes:\n  - { path: /*, to: u }\n",
        GOOD = good.url()
    );
    let mut client = gateway.client();
    let put = request("PUT", "/", &"x".repeat(60 * 1024));
    for _ in 0..20 {
        assert_eq!(client.exchange(&put).status, 200);
    }
    let before = gateway.own_kib();
    for _ in 0..400 {
        assert_eq!(client.exchange(&put).status, 200);
    }
    let grown = gateway.own_kib().saturating_sub(before);
    assert!(grown < 4096, "24 MiB of bodies left {grown} KiB");
}

#[test]
fn what_is_not_safe_or_not_asked_for_is_not() {
    let (get, post) = (request("GET", "/", ""), request("POST", "/", ""));
    check_retry(RESET, "", &get, 502);
    check_retry(saying(503), "", &get, 503);
    check_retry(RESET, ", retry: {}", &post, 502);
    check_retry(saying(503), ", retry: {}", &post, 503);
    check_retry(RESET, "", &request("PUT", "/", "abc"), 502);
    check_retry(RESET, ", retry: { on: [connect] }", &get, 502);
    check_retry(RESET, ", retry: { attempts: 0 }", &get, 502);
    check_retry(RESET, ", retry: { methods: [PUT] }", &get, 502);
    check_retry(saying(500), ", retry: {}", &get, 500);
    check_retry(behaviour::hang, ", retry: {}", &get, 504);
}

/// Nothing was sent where no connection could be made, so even a POST with a body is tried again.
#[test]
fn a_refused_connection_is_tried_again_whatever_the_method() {
    let (nobody, good) = (Port::reserve(), Origin::echo());
    let gateway = gateway!(
        "workers: 1\nupstreams:\n  u: { targets: [\"http://@NOBODY@\", @GOOD@], retry: {} }\nroutes:\n  - { path: /*, to: u }\n",
        NOBODY = nobody.address(),
        GOOD = good.url()
    );
    for n in 0..8 {
        let answer = gateway.client().exchange(request("POST", &format!("/{n}"), "abc"));
        assert_eq!((answer.status, &answer.json()["body"]), (200, &"abc".into()), "{answer:#?}");
    }
    let targets: Vec<String> = good.requests().iter().map(|seen| seen.target().to_owned()).collect();
    assert_eq!(targets.len(), 8, "each was sent once: {targets:?}");
}

/// A target that was tried gets the request again only when there is no other.
#[test]
fn the_next_attempt_goes_to_another_target() {
    let bad: Vec<Origin> = (0..3).map(|_| Origin::start(RESET)).collect();
    let gateway = gateway!(
        "workers: 1\nupstreams:\n  u: { targets: [@A@, @B@, @C@], balance: random, retry: { attempts: 5, backoff: 1ms } }\nroutes:\n  - { path: /*, to: u }\n",
        A = bad[0].url(),
        B = bad[1].url(),
        C = bad[2].url()
    );
    for n in 1..=4 {
        assert_problem(&gateway.get("/"), "upstream_reset");
        let counts: Vec<usize> = bad.iter().map(Origin::count).collect();
        assert_eq!(counts.iter().sum::<usize>(), 6 * n, "six attempts each: {counts:?}");
        assert!(counts.iter().all(|count| *count >= n), "each target has its turn: {counts:?}");
    }
    let alone = gateway!(
        "workers: 1\nupstreams:\n  u: { targets: [@A@], retry: { attempts: 2, backoff: 1ms } }\nroutes:\n  - { path: /*, to: u }\n",
        A = bad[0].url()
    );
    let before = bad[0].count();
    assert_problem(&alone.get("/"), "upstream_reset");
    assert_eq!(bad[0].count() - before, 3);
}

/// A share of the requests, and thirty in ten seconds however few there are.
#[test]
fn retries_have_a_budget() {
    let bad = Origin::start(saying(503));
    let gateway = gateway!(
        "workers: 2\nupstreams:\n  u: { targets: [@BAD@], retry: { backoff: 0, budget: 20% } }\nroutes:\n  - { path: /*, to: u }\n",
        BAD = bad.url()
    );
    let begin = Instant::now();
    for _ in 0..60 {
        assert_eq!(gateway.get("/").text(), "bad", "the answer of the last attempt passes");
    }
    if begin.elapsed() < Duration::from_secs(9) {
        assert_eq!(bad.count(), 60 + 30);
        assert_eq!(gateway.metrics().get("tollgate_retries_total{upstream=\"u\"}"), 30.0);
    }
}

/// A client that leaves during the wait before a retry is not waited for.
#[test]
fn who_leaves_is_not_tried_for_again() {
    let bad = Origin::start(RESET);
    let gateway = gateway!(
        "workers: 1\nupstreams:\n  u: { targets: [@BAD@], retry: { backoff: 60s } }\nroutes:\n  - { path: /*, to: u }\n",
        BAD = bad.url()
    );
    let mut client = gateway.client();
    client.send(request("GET", "/leaves", ""));
    bad.wait_requests(1);
    client.reset();
    assert_eq!(gateway.record_of("/leaves")["reason"], "client_closed");
    assert_eq!(bad.count(), 1);
}

#[test]
fn a_target_that_fails_in_a_row_is_left_out_for_a_time() {
    let mood = status(500);
    let (bad, good) = (moody(&mood, "bad"), Origin::start(named("good")));
    let gateway = gateway!(
        "workers: 2\nupstreams:\n  u: { targets: [@BAD@, @GOOD@], balance: round_robin, outlier: { consecutive_failures: 3, eject: 2s } }\nroutes:\n  - { path: /*, to: u }\n",
        BAD = bad.url(),
        GOOD = good.url()
    );
    assert_eq!(healthy(&gateway), [true, true]);
    wait_for("the bad one to be left out", || {
        gateway.get("/");
        bad.count() == 3
    });
    mood.store(200, SeqCst);
    let ejected = Instant::now();
    assert_eq!(healthy(&gateway), [false, true]);
    assert_eq!(gateway.admin("/health").json()["status"], "degraded");
    let series = format!("tollgate_target_healthy{{upstream=\"u\",target=\"{}\"}}", bad.url());
    assert_eq!(gateway.metrics().get(&series), 0.0);
    for _ in 0..20 {
        assert_eq!(gateway.get("/").text(), "good");
    }
    assert!(ejected.elapsed() > Duration::from_millis(1500) || bad.count() == 3);
    wait_for("it to be used again", || gateway.get("/").text() == "bad");
    assert!(ejected.elapsed() > Duration::from_millis(1500), "after {:?}", ejected.elapsed());
    assert_eq!(healthy(&gateway), [true, true]);
    let log = gateway.stderr().text();
    assert_eq!(log.matches("is left out").count(), 1, "{log}");
}

/// What counts as a failure, and what does not.
#[test]
fn failures_are_what_the_configuration_says() {
    for (bad, extra, expect) in [
        (Origin::start(saying(500)), "", true),
        (Origin::start(saying(404)), "", false),
        (Origin::start(saying(500)), ", failure_status: 501", false),
        (Origin::start(saying(429)), ", failure_status: [429, 500-599]", true),
        (Origin::start(RESET), "", true),
        (Origin::start(behaviour::hang), ", timeout: 100ms", true),
        (Origin::start(behaviour::then_close(b"nonsense\r\n\r\n")), "", true),
        (Origin::start(behaviour::then_reset(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")), "", true),
    ] {
        let good = Origin::start(named("good"));
        let gateway = gateway!(
            &format!(
                "workers: 1\nupstreams:\n  u: {{ targets: [@BAD@, @GOOD@], balance: round_robin, outlier: {{ consecutive_failures: 2, eject: 60s }}{extra} }}\nroutes:\n  - {{ path: /*, to: u }}\n"
            ),
            BAD = bad.url(),
            GOOD = good.url()
        );
        for _ in 0..8 {
            let mut client = gateway.client();
            client.send(request("GET", "/", ""));
            // An answer that breaks off is none.
            let _ = client.try_response();
        }
        let count = bad.count();
        assert_eq!(count == 2, expect, "{extra}: {count} requests");
        assert_eq!(healthy(&gateway), [!expect, true], "{extra}");
    }
}

#[test]
fn a_client_that_leaves_is_no_failure() {
    let (slow, good) = (Origin::start(behaviour::hang), Origin::start(named("good")));
    let gateway = gateway!(
        "workers: 1\nupstreams:\n  u: { targets: [@SLOW@, @GOOD@], balance: round_robin, outlier: { consecutive_failures: 1, eject: 60s } }\nroutes:\n  - { path: /*, to: u }\n",
        SLOW = slow.url(),
        GOOD = good.url()
    );
    for n in 0..6 {
        let mut client = gateway.client();
        client.send(request("GET", &format!("/{n}"), ""));
        wait_for("the request to arrive", || slow.count() + good.count() == n + 1);
        client.reset();
        gateway.record_of(&format!("/{n}"));
    }
    assert_eq!(healthy(&gateway), [true, true]);
    assert_eq!(slow.count(), 3, "it goes on having its turn");
}

/// However bad they are, somebody is asked.
#[test]
fn the_last_target_is_never_left_out() {
    let bad: Vec<Origin> = (0..2).map(|_| Origin::start(saying(500))).collect();
    let gateway = gateway!(
        "workers: 1\nupstreams:\n  u: { targets: [@A@, @B@], outlier: { consecutive_failures: 1, eject: 60s, max_ejected: 100% } }\nroutes:\n  - { path: /*, to: u }\n",
        A = bad[0].url(),
        B = bad[1].url()
    );
    for _ in 0..20 {
        assert_eq!(gateway.get("/").text(), "bad");
    }
    assert_eq!(healthy(&gateway).iter().filter(|healthy| **healthy).count(), 1);
}

const BREAKER: &str = "workers: 2\nupstreams:\n  u: { targets: [@ORIGIN@], circuit_breaker: { min_requests: 4, open: 1s, half_open_requests: 2 } }\nroutes:\n  - { path: /*, to: u }\n";

#[test]
fn the_circuit_opens_tries_and_closes() {
    let mood = status(200);
    let origin = moody(&mood, "x");
    let gateway = gateway!(BREAKER, ORIGIN = origin.url());
    let level = || gateway.metrics().get("tollgate_circuit_state{upstream=\"u\"}");
    assert_eq!((circuit(&gateway).as_str(), level()), ("closed", 0.0));
    let statuses = |mood_of: usize, count: usize| -> Vec<u16> {
        mood.store(mood_of, SeqCst);
        (0..count).map(|_| gateway.get("/").status).collect()
    };
    assert_eq!(statuses(200, 3), [200; 3]);
    assert_eq!(statuses(500, 3), [500; 3], "three of six is half of them");
    assert_eq!((circuit(&gateway).as_str(), level()), ("open", 2.0));
    assert_eq!(gateway.admin("/health").json()["upstreams"]["u"]["status"], "down");
    let refused = gateway.get("/refused");
    assert_problem(&refused, "circuit_open");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(origin.count(), 6, "nothing is sent while it is open");
    let record = gateway.record_of("/refused");
    assert_eq!(
        (&record["upstream"], &record["target"], &record["attempts"]),
        (&"u".into(), &().into(), &0.into())
    );

    wait_for("the circuit to be half open", || circuit(&gateway) == "half_open");
    assert_eq!(level(), 1.0);
    assert_eq!(statuses(500, 2), [500, 503], "one that fails opens it again");
    wait_for("the circuit to be half open", || circuit(&gateway) == "half_open");
    assert_eq!(statuses(200, 2), [200; 2]);
    assert_eq!((circuit(&gateway).as_str(), level()), ("closed", 0.0));
    assert_eq!(statuses(200, 5), [200; 5]);
    let log = gateway.stderr().text();
    assert_eq!(log.matches("its circuit is open").count(), 2, "{log}");
    assert_eq!(log.matches("the circuit is closed again").count(), 1, "{log}");
}

/// Half open, exactly so many may try at the same time, over all workers.
#[test]
fn a_half_open_circuit_lets_exactly_its_requests_through() {
    let (gate, failing) = (Gate::new(), Arc::new(AtomicBool::new(true)));
    let (held, fails) = (gate.clone(), failing.clone());
    let origin = Origin::start(move |conn| {
        loop {
            conn.request()?;
            if fails.load(SeqCst) {
                conn.send(response(500, b"bad"))?;
            } else {
                held.wait();
                conn.send(response(200, b"good"))?;
            }
        }
    });
    let gateway = gateway!(BREAKER, ORIGIN = origin.url());
    for _ in 0..4 {
        assert_eq!(gateway.get("/").status, 500);
    }
    failing.store(false, SeqCst);
    wait_for("the circuit to be half open", || circuit(&gateway) == "half_open");
    let mut clients: Vec<_> = (0..12).map(|_| gateway.client()).collect();
    clients.iter_mut().for_each(|client| client.send(request("GET", "/", "")));
    wait_for("all but two to be refused", || {
        gateway.metrics().get("tollgate_rejected_total{route=\"/*\",reason=\"circuit_open\"}") == 10.0
    });
    assert_eq!(origin.count(), 4 + 2);
    gate.open();
    let mut statuses: Vec<u16> = clients.iter_mut().map(|client| client.response().status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [[200; 2].as_slice(), &[503; 10]].concat());
    assert_eq!(circuit(&gateway), "closed");
}

/// What is known of targets and circuits survives a reload that keeps them.
#[test]
fn a_reload_forgets_nothing() {
    let (bad, good) = (Origin::start(saying(500)), Origin::start(named("good")));
    let text = |route: &str| {
        format!(
            "workers: 2\nupstreams:\n  u: {{ targets: [@BAD@, @GOOD@], outlier: {{ consecutive_failures: 1, eject: 60s }} }}\n  \
             v: {{ targets: [@BAD@], circuit_breaker: {{ min_requests: 2, open: 60s }} }}\n\
             routes:\n  - {{ path: /u, to: u }}\n  - {{ path: /v, to: v }}\n  - {{ path: /{route}, respond: {{}} }}\n"
        )
    };
    let names = [("BAD", bad.url()), ("GOOD", good.url())];
    let gateway = gateway!(&text("a"), BAD = bad.url(), GOOD = good.url());
    wait_for("the bad one to be left out", || {
        gateway.get("/u");
        healthy(&gateway) == [false, true]
    });
    assert_eq!([gateway.get("/v").status, gateway.get("/v").status], [500; 2]);
    assert_problem(&gateway.get("/v"), "circuit_open");
    let count = bad.count();
    gateway.replace_file(&gateway.complete(&text("b"), &names));
    gateway.wait_generation(2);
    assert_problem(&gateway.get("/v"), "circuit_open");
    for _ in 0..10 {
        assert_eq!(gateway.get("/u").text(), "good");
    }
    assert_eq!((bad.count(), healthy(&gateway)), (count, vec![false, true]));
    // Without the blocks nobody leaves it out.
    let without = text("c").replace(", outlier: { consecutive_failures: 1, eject: 60s }", "");
    gateway.replace_file(&gateway.complete(&without, &names));
    gateway.wait_generation(3);
    assert_eq!(healthy(&gateway), [true, true]);
    wait_for("it to be used again", || gateway.get("/u").text() == "bad");
}

const CLIENTS: u64 = 32;

/// Requests that failed while one target of four died under load, until and after it was left out.
fn one_of_four_dies(retry: &str) -> (u64, u64) {
    let in_flight = Arc::new(AtomicU64::new(0));
    let counted = in_flight.clone();
    let mut doomed = Some(Origin::start(move |conn| {
        loop {
            conn.request()?;
            counted.fetch_add(1, SeqCst);
            pause(Duration::from_millis(5));
            counted.fetch_sub(1, SeqCst);
            conn.send(response(200, b"doomed"))?;
        }
    }));
    let others: Vec<Origin> =
        (0..3).map(|_| Origin::start(behaviour::slow(Duration::from_millis(5)))).collect();
    let gateway = gateway!(
        &format!(
            "workers: 2\nupstreams:\n  u: {{ targets: [@D@, @A@, @B@, @C@], outlier: {{}}{retry} }}\n\
             routes:\n  - {{ path: /*, to: u }}\n"
        ),
        D = doomed.as_ref().map(Origin::url).unwrap_or_default(),
        A = others[0].url(),
        B = others[1].url(),
        C = others[2].url()
    );
    let (failed, answered, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = gateway.client();
                while !stop.load(SeqCst) {
                    let response = client.get("/");
                    if response.status != 200 {
                        assert_problem(&response, "upstream_reset|upstream_connect");
                        failed.fetch_add(1, SeqCst);
                    }
                    answered.fetch_add(1, SeqCst);
                }
            });
        }
        let more = |count: u64| {
            let before = answered.load(SeqCst);
            wait_for("the load to go on", || answered.load(SeqCst) >= before + count);
        };
        more(400);
        wait_for("enough to be in flight", || in_flight.load(SeqCst) >= 6);
        drop(doomed.take());
        wait_for("the dead one to be left out", || healthy(&gateway) == [false, true, true, true]);
        more(400);
        let until = failed.load(SeqCst);
        more(400);
        stop.store(true, SeqCst);
        (until, failed.load(SeqCst) - until)
    })
}

#[test]
fn one_target_of_four_dies_under_load() {
    // What was on its way to it, and connections refused until five failures in a row: fewer than there are clients.
    let (failed, afterwards) = one_of_four_dies("");
    assert!(failed <= CLIENTS, "{failed} failed");
    assert_eq!(afterwards, 0, "nobody notices once it is left out");
    assert_eq!(one_of_four_dies(", retry: {}"), (0, 0), "with retries nobody notices at all");
}
