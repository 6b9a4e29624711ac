//! Targets: how one is chosen, how connections are kept, and what a client hears when none answers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tollgate_testkit::behaviour::{self, named, response};
use tollgate_testkit::{Client, Closed, Gate, Gateway, Origin, Port, assert_problem, gateway, wait_for};

#[track_caller]
fn shares(gateway: &Gateway, count: usize, request: impl Fn(usize) -> String) -> BTreeMap<String, usize> {
    let mut client = gateway.client();
    let mut shares = BTreeMap::new();
    for n in 0..count {
        let answer = client.exchange(request(n));
        assert_eq!(answer.status, 200, "{answer:#?}");
        *shares.entry(answer.text()).or_insert(0) += 1;
    }
    shares
}

fn get(_: usize) -> String {
    "GET / HTTP/1.1\r\nHost: test\r\n\r\n".to_owned()
}

fn three(balance: &str) -> (Vec<Origin>, Gateway) {
    let origins: Vec<Origin> = ["a", "b", "c"].map(|name| Origin::start(named(name))).into();
    let text = format!(
        "workers: 1\nupstreams:\n  u:\n    targets: [@A@, @B@, {{ url: @C@, weight: 2 }}]\n    balance: {balance}\n\
         routes:\n  - {{ path: /*, to: u }}\n"
    );
    let gateway = gateway!(&text, A = origins[0].url(), B = origins[1].url(), C = origins[2].url());
    (origins, gateway)
}

#[test]
fn round_robin_goes_by_weight() {
    let (_origins, gateway) = three("round_robin");
    let shares = shares(&gateway, 80, get);
    assert_eq!(shares, [("a".into(), 20), ("b".into(), 20), ("c".into(), 40)].into());
}

#[test]
fn random_goes_by_weight() {
    let (_origins, gateway) = three("random");
    let shares = shares(&gateway, 800, get);
    // Five standard deviations around 200, 200, 400.
    for (name, low, high) in [("a", 138, 262), ("b", 138, 262), ("c", 329, 471)] {
        assert!((low..=high).contains(&shares[name]), "{shares:?}");
    }
}

#[test]
fn a_hash_stays_with_its_target() {
    for (balance, line) in
        [("{ hash: header:x-user }", "X-User: "), ("{ hash: cookie:sid }", "Cookie: a=1; sid=")]
    {
        let (_origins, gateway) = three(balance);
        let ask = |user: usize| {
            let shares =
                shares(&gateway, 5, |_| format!("GET / HTTP/1.1\r\nHost: test\r\n{line}user-{user}\r\n\r\n"));
            assert_eq!(shares.len(), 1, "one user went to {shares:?}");
            shares.into_keys().next().unwrap_or_default()
        };
        let mut users: BTreeMap<String, usize> = BTreeMap::new();
        for user in 0..60 {
            *users.entry(ask(user)).or_default() += 1;
        }
        assert_eq!(users.len(), 3, "60 users all went to {users:?}");
        assert!(users["c"] > users["a"] / 2, "weight 2 gets its part: {users:?}");
    }
    let (_origins, by_path) = three("{ hash: path }");
    assert_eq!(shares(&by_path, 20, |_| "GET /same?a HTTP/1.1\r\nHost: test\r\n\r\n".into()).len(), 1);
    assert_eq!(shares(&by_path, 60, |n| format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n")).len(), 3);
    let (_origins, by_ip) = three("{ hash: ip }");
    assert_eq!(shares(&by_ip, 20, get).len(), 1);
}

/// Least requests: a target that is busy is left alone.
#[test]
fn a_busy_target_is_spared() {
    let gate = Gate::new();
    let busy = Origin::start(behaviour::gated(&gate, "busy"));
    let idle = Origin::start(named("idle"));
    let gateway = gateway!(
        "workers: 1\nupstreams:\n  u: { targets: [@A@, @B@] }\nroutes:\n  - { path: /*, to: u }\n",
        A = busy.url(),
        B = idle.url()
    );
    let mut waiting: Vec<Client> = Vec::new();
    // Ask until one request is stuck in the busy target; then every other must avoid it.
    wait_for("a request at the busy target", || {
        let mut client = gateway.client();
        client.send(get(0));
        waiting.push(client);
        busy.count() > 0
    });
    let stuck = || busy.count() as f64;
    wait_for("the others to be answered", || gateway.metrics().get("tollgate_inflight_requests") == stuck());
    let stuck = busy.count();
    for _ in 0..50 {
        assert_eq!(gateway.get("/").text(), "idle");
    }
    assert_eq!(busy.count(), stuck, "requests went to the busy target");
    gate.open();
    for mut client in waiting {
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn connections_are_reused() {
    let origin = Origin::ok();
    let gateway = gateway!("workers: 1\nroutes:\n  - { path: /*, to: @ORIGIN@ }\n", ORIGIN = origin.url());
    for _ in 0..10 {
        assert_eq!(gateway.get("/").status, 200);
    }
    let mut client = gateway.client();
    for _ in 0..10 {
        let answer = client.exchange("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(answer.status, 200);
    }
    assert_eq!(origin.connections().len(), 1, "20 requests one after the other need one connection");
    let metrics = gateway.metrics();
    assert_eq!(metrics.sum("tollgate_upstream_connections", &["state=\"idle\""]), 1.0);
}

/// `Connection: close` of an origin is honoured; its answer is whole.
#[test]
fn a_connection_that_the_origin_ends_is_not_reused() {
    for (head, close) in [("Connection: close\r\n", true), ("Connection: close\r\n", false), ("", true)] {
        let origin = Origin::start(move |conn| {
            conn.request()?;
            conn.send(format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 2\r\n\r\nok"))?;
            if close { Ok(()) } else { conn.wait_end() }
        });
        let gateway =
            gateway!("workers: 1\nroutes:\n  - { path: /*, to: @ORIGIN@ }\n", ORIGIN = origin.url());
        let mut client = gateway.client();
        for method in ["GET", "POST", "GET", "POST"] {
            let answer =
                client.exchange(format!("{method} / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"));
            assert_eq!(answer.text(), "ok", "{head:?} {close}");
            wait_for("the origin's connection to end", || {
                !close || origin.connections().iter().all(|c| c.closed.is_some())
            });
        }
        assert_eq!(origin.connections().len(), 4);
    }
}

/// A pooled connection that dies under the request before a byte came back: one safe retry on a fresh one.
#[test]
fn one_retry_when_a_pooled_connection_was_dead() {
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let origin = Origin::start(behaviour::dies_on_reuse);
        let gateway =
            gateway!("workers: 1\nroutes:\n  - { path: /*, to: @ORIGIN@ }\n", ORIGIN = origin.url());
        let mut client = gateway.client();
        assert_eq!(client.get("/1").text(), "first");
        let again = client.exchange(format!("{method} /2 HTTP/1.1\r\nHost: test\r\n\r\n"));
        assert_eq!(again.status, 200, "{method}: {again:#?}");
        let record = gateway.record_of("/2");
        assert_eq!((&record["attempts"], &record["status"]), (&2.into(), &200.into()), "{record}");
        assert_eq!(gateway.metrics().sum("tollgate_retries_total", &[]), 1.0);
    }
}

/// Also of a request with a body, as long as that is small.
#[test]
fn one_retry_of_a_small_body_when_a_pooled_connection_was_dead() {
    let put = |method: &str, bytes: usize| {
        let body = "x".repeat(bytes);
        format!("{method} /2 HTTP/1.1\r\nHost: test\r\nContent-Length: {bytes}\r\n\r\n{body}")
    };
    let chunked =
        "PUT /2 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for (request, body) in [
        (put("PUT", 5), Some(5)),
        (put("DELETE", 5), Some(5)),
        (chunked.to_owned(), Some(5)),
        (put("PUT", 16 * 1024), Some(16 * 1024)),
        (put("PUT", 16 * 1024 + 1), None),
        (put("POST", 5), None),
    ] {
        let origin = Origin::start(behaviour::dies_on_reuse);
        let gateway =
            gateway!("workers: 1\nroutes:\n  - { path: /*, to: @ORIGIN@ }\n", ORIGIN = origin.url());
        let mut client = gateway.client();
        assert_eq!(client.get("/1").text(), "first");
        let answer = client.exchange(&request);
        let what = request.get(..60).unwrap_or(&request);
        match body {
            Some(bytes) => {
                assert_eq!(answer.status, 200, "{what}: {answer:#?}");
                assert_eq!((origin.last().body.len(), origin.last().complete), (bytes, true), "{what}");
            }
            None => assert_problem(&answer, "upstream_reset"),
        }
        let attempts = if body.is_some() { 2 } else { 1 };
        assert_eq!(gateway.record_of("/2")["attempts"], attempts, "{what}");
    }
}

/// The same for a request that is not idempotent: it may have been acted upon, so it is not sent twice.
#[test]
fn no_retry_of_what_may_have_been_done() {
    let origin = Origin::start(|conn| {
        conn.request()?;
        conn.send(response(200, b"first"))?;
        if conn.index() > 0 {
            return behaviour::ok(conn);
        }
        // Read the whole of the second request, so that it may have had its effect.
        conn.request()?;
        conn.reset()
    });
    let gateway = gateway!("workers: 1\nroutes:\n  - { path: /*, to: @ORIGIN@ }\n", ORIGIN = origin.url());
    let mut client = gateway.client();
    assert_eq!(client.get("/1").text(), "first");
    let answer = client.exchange("POST /2 HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc");
    assert_problem(&answer, "upstream_reset");
    let posts = origin.requests().iter().filter(|seen| seen.target() == "/2").count();
    assert_eq!(posts, 1, "a POST was sent {posts} times");
}

/// A fresh connection that dies is no reason to try again, and the one retry is only one.
#[test]
fn no_retry_on_a_fresh_connection() {
    let origin = Origin::start(|conn| {
        conn.request()?;
        conn.reset()
    });
    let gateway = gateway!("workers: 1\nroutes:\n  - { path: /*, to: @ORIGIN@ }\n", ORIGIN = origin.url());
    assert_problem(&gateway.get("/"), "upstream_reset");
    assert_eq!(origin.count(), 1);
}

#[test]
fn an_idle_connection_is_given_up_in_time() {
    let origin = Origin::ok();
    let gateway = gateway!(
        "workers: 1\nupstreams:\n  u: { targets: [@ORIGIN@], pool: { idle: 300ms } }\nroutes:\n  - { path: /*, to: u }\n",
        ORIGIN = origin.url()
    );
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(origin.wait_closed(0), Closed::ByPeer);
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(origin.connections().len(), 2);
}

#[test]
fn idle_connections_are_bounded() {
    let gate = Gate::new();
    let origin = Origin::start(behaviour::gated(&gate, "x"));
    let gateway = gateway!(
        "workers: 1\nupstreams:\n  u: { targets: [@ORIGIN@], pool: { max_idle_per_worker: 2 } }\nroutes:\n  - { path: /*, to: u }\n",
        ORIGIN = origin.url()
    );
    let mut clients: Vec<Client> = (0..6).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send(get(0));
    }
    origin.wait_requests(6);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    wait_for("all but two to be closed", || {
        origin.connections().iter().filter(|c| c.closed.is_none()).count() == 2
    });
}

#[test]
fn too_many_connections_are_overload() {
    let gate = Gate::new();
    let origin = Origin::start(behaviour::gated(&gate, "x"));
    let gateway = gateway!(
        "
upstreams:
  u: { targets: [@ORIGIN@], connect_timeout: 400ms, pool: { max_connections: 2 } }
routes:
  - { path: /*, to: u }
",
        ORIGIN = origin.url()
    );
    let mut held: Vec<Client> = (0..2).map(|_| gateway.client()).collect();
    for client in &mut held {
        client.send(get(0));
    }
    origin.wait_requests(2);
    let begin = Instant::now();
    assert_problem(&gateway.get("/third"), "overloaded");
    assert!(begin.elapsed() > Duration::from_millis(250), "it did not wait: {:?}", begin.elapsed());
    // Room that appears while waiting is used.
    let mut waiting = gateway.client();
    waiting.send(get(0));
    gate.open();
    assert_eq!(waiting.response().status, 200);
    for client in &mut held {
        assert_eq!(client.response().status, 200);
    }
    assert!(origin.connections().len() <= 2 + 1, "{} connections", origin.connections().len());
}

/// Many that wait for a place wait in a queue: waiting costs next to nothing, and everybody's turn comes.
#[test]
fn a_crowd_that_waits_for_a_place() {
    let gate = Gate::new();
    let origin = Origin::start(behaviour::gated(&gate, "x"));
    let gateway = gateway!(
        "
workers: 2
upstreams:
  u: { targets: [@ORIGIN@], connect_timeout: 9s, pool: { max_connections: 1 } }
routes:
  - { path: /*, to: u }
",
        ORIGIN = origin.url()
    );
    let mut crowd: Vec<Client> = (0..400).map(|_| gateway.client()).collect();
    for client in &mut crowd {
        client.send(get(0));
    }
    wait_for("all to be there", || gateway.metrics().get("tollgate_inflight_requests") == 400.0);
    let before = gateway.processor_time();
    tollgate_testkit::pause(Duration::from_secs(1));
    let spent = gateway.processor_time() - before;
    assert!(spent < Duration::from_millis(300), "400 that wait for a second took {spent:?}");
    // Some leave; the others still have their turn.
    crowd.drain(100..200);
    gate.open();
    for client in &mut crowd {
        assert_eq!(client.response().status, 200);
    }
    assert!(origin.connections().iter().filter(|c| c.closed.is_none()).count() <= 1);
}

/// The bound counts connections of the process, so an idle one of another worker must not stand in the way.
#[test]
fn the_bound_is_not_used_up_by_idle_connections() {
    let origin = Origin::ok();
    let gateway = gateway!(
        "
workers: 2
upstreams:
  u: { targets: [@ORIGIN@], connect_timeout: 500ms, pool: { max_connections: 1 } }
routes:
  - { path: /*, to: u }
",
        ORIGIN = origin.url()
    );
    for n in 0..40 {
        let answer = gateway.get("/");
        assert_eq!(answer.status, 200, "request {n}: {answer:#?}");
    }
}

#[test]
fn nobody_listens() {
    let nobody = Port::reserve();
    let gateway = gateway!("routes:\n  - { path: /*, to: \"http://@NOBODY@\" }\n", NOBODY = nobody.address());
    let mut client = gateway.client();
    for _ in 0..2 {
        assert_problem(&client.get("/x"), "upstream_connect");
    }
    let origin = Origin::start_at(&nobody.address(), behaviour::ok);
    assert_eq!(client.get("/x").text(), "ok", "back at once when the origin is back");
    drop(origin);
    wait_for("the origin to be gone", || client.get("/x").code() == "upstream_connect");
}

/// The time for an answer begins when there is a connection: making one takes nothing away from it.
#[test]
fn a_connection_that_takes_long() {
    let gate = Gate::new();
    let origin = Origin::start_behind(&gate, behaviour::ok);
    let gateway = gateway!(
        "
workers: 1
upstreams:
  u: { targets: [@ORIGIN@], connect_timeout: 8s, timeout: 400ms }
routes:
  - { path: /*, to: u }
",
        ORIGIN = origin.url()
    );
    let mut client = gateway.client();
    client.send(get(0));
    // The kernel asks again a second after it first asked, and by then the queue is empty.
    let port = origin.address().rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0u16);
    wait_for("the first attempt", || {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        sockets.lines().any(|line| line.contains(&format!(":{port:04X} 02 ")))
    });
    gate.open();
    let answer = client.response();
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"), "{answer:#?}");
    let upstream_ms = gateway.record_of("/")["upstream_ms"].as_f64().unwrap_or(0.0);
    assert!(upstream_ms > 400.0, "the way there is the upstream's time: {upstream_ms}");
}

#[test]
fn an_answer_that_takes_too_long() {
    let origin = Origin::start(behaviour::hang);
    let gateway = gateway!(
        "
upstreams:
  u: { targets: [@ORIGIN@], timeout: 300ms }
  patient: { targets: [@ORIGIN@], timeout: 60s }
routes:
  - { path: /upstream, to: u }
  - { path: /route, to: patient, timeout: 300ms }
",
        ORIGIN = origin.url()
    );
    for (index, path) in ["/upstream", "/route"].into_iter().enumerate() {
        let begin = Instant::now();
        let mut client = gateway.client();
        assert_problem(&client.get(path), "upstream_timeout");
        let took = begin.elapsed();
        assert!(took > Duration::from_millis(250) && took < Duration::from_secs(4), "{path}: {took:?}");
        assert_ne!(origin.wait_closed(index), Closed::ByOrigin, "the origin is told");
        assert_eq!(client.get("/nowhere").status, 404, "the client's connection goes on");
    }
}

#[test]
fn an_answer_that_stalls() {
    let origin = Origin::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
        conn.wait_end()
    });
    let gateway = gateway!(
        "upstreams:\n  u: { targets: [@ORIGIN@], idle_timeout: 300ms }\nroutes:\n  - { path: /*, to: u }\n",
        ORIGIN = origin.url()
    );
    let mut client = gateway.client();
    client.send("GET /stall HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(client.try_response().is_err(), "half an answer must not look whole");
    assert_eq!(gateway.record_of("/stall")["reason"], "upstream_timeout");
    assert_ne!(origin.wait_closed(0), Closed::ByOrigin);
}

/// Time to the head is not time for the body: a long download is fine as long as bytes come.
#[test]
fn a_long_answer_is_no_offence() {
    let origin = Origin::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")?;
        conn.drip("12345678", Duration::from_millis(100))
    });
    let gateway = gateway!(
        "upstreams:\n  u: { targets: [@ORIGIN@], timeout: 400ms, idle_timeout: 400ms }\nroutes:\n  - { path: /*, to: u }\n",
        ORIGIN = origin.url()
    );
    assert_eq!(gateway.get("/").text(), "12345678");
}

#[test]
fn a_name_without_an_address() {
    let gateway = gateway!("routes:\n  - { path: /*, to: \"http://no-such-host.invalid:80\" }\n");
    let begin = Instant::now();
    assert_problem(&gateway.get("/"), "upstream_dns");
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_name_with_an_address() {
    let origin = Origin::echo();
    let port = origin.address().rsplit(':').next().unwrap_or_default().to_owned();
    let gateway = gateway!("routes:\n  - { path: /*, to: \"http://localhost:@PORT@\" }\n", PORT = port);
    assert_eq!(gateway.get("/").json()["headers"]["host"][0], format!("localhost:{port}"));
}

#[test]
fn unix_sockets() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("origin.sock");
    let origin = Origin::start_unix(&path, behaviour::echo);
    let gateway = gateway!(
        "workers: 1\nupstreams:\n  u: { targets: ['@ORIGIN@'] }\nroutes:\n  - { path: /*, to: u }\n",
        ORIGIN = origin.url()
    );
    for _ in 0..3 {
        let answer = gateway.get("/x?y");
        assert_eq!(answer.json()["target"], "/x?y");
    }
    assert_eq!(origin.connections().len(), 1);
    drop(origin);
    wait_for("the loss to show", || gateway.get("/").code() == "upstream_connect");
}

/// Two requests at once need two connections; the answers never cross.
#[test]
fn answers_do_not_cross() {
    let origin = Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            let number: u64 = seen.target().trim_start_matches('/').parse().unwrap_or(0);
            tollgate_testkit::pause(Duration::from_millis(number % 7));
            conn.send(response(200, seen.target().as_bytes()))?;
        }
    });
    let gateway = gateway!("routes:\n  - { path: /*, to: @ORIGIN@ }\n", ORIGIN = origin.url());
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let address = gateway.address();
            std::thread::spawn(move || {
                let mut client = Client::connect(&address);
                for n in 0..60 {
                    let path = format!("/{}", thread * 1_000 + n);
                    assert_eq!(client.get(&path).text(), path);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no answer went to another client");
    }
}

/// A name's first address that does not answer takes a part of connect_timeout, not all of it.
#[test]
fn a_name_whose_first_address_hangs() {
    let gate = Gate::new();
    let hanging = Origin::start_behind(&gate, behaviour::ok);
    let port = hanging.address().rsplit(':').next().expect("an address has a port").to_owned();
    let origin = Origin::start_at(&format!("[::1]:{port}"), behaviour::named("second"));
    let gateway = gateway!(
        "
workers: 1
upstreams:
  u: { targets: [\"http://localhost:@PORT@\"], connect_timeout: 900ms }
routes:
  - { path: /*, to: u }
",
        PORT = port
    );
    let begin = Instant::now();
    let answer = gateway.get("/x");
    assert_eq!((answer.status, answer.text().as_str()), (200, "second"), "{answer:#?}");
    assert!(begin.elapsed() < Duration::from_millis(800), "{:?}", begin.elapsed());
    drop(origin);
    assert_problem(&gateway.get("/x"), "upstream_connect");
    gate.open();
}
