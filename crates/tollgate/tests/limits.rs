//! Every bound of `limits:`, with the reason that the contract names, on both sides of its edge.

use std::time::{Duration, Instant};

use tollgate_testkit::{Client, Fault, Gateway, Origin, assert_problem, gateway, wait_for};

fn start(limits: &str, origin: &Origin) -> Gateway {
    let text = format!("limits: {{ {limits} }}\nroutes:\n  - {{ path: /*, to: @ORIGIN@ }}\n");
    gateway!(&text, ORIGIN = origin.url())
}

/// Far above the small timeouts here, far below the waiting of a test.
const SOON: Duration = Duration::from_secs(4);

#[test]
fn a_head_that_does_not_come_to_its_end() {
    let origin = Origin::ok();
    let gateway = start("header_timeout: 300ms", &origin);
    for part in [
        "G",
        "GET /",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\n\r",
    ] {
        let mut client = gateway.client();
        let begin = Instant::now();
        client.send(part);
        assert_problem(&client.response(), "request_timeout");
        client.assert_closed();
        assert!(begin.elapsed() > Duration::from_millis(200), "{part:?} was given up at once");
        assert!(begin.elapsed() < SOON);
    }
    origin.assert_untouched();
}

/// Each byte is progress, but the time counts from the first.
#[test]
fn a_dripping_head() {
    let origin = Origin::ok();
    let gateway = start("header_timeout: 400ms", &origin);
    let mut client = gateway.client();
    let begin = Instant::now();
    let request = format!("GET / HTTP/1.1\r\nHost: test\r\nX-Slow: {}", "x".repeat(2_000));
    // The connection ends under the dripping, so a failing write is what should happen.
    let _ = client.drip(request.as_bytes(), 1, Duration::from_millis(20));
    assert!(begin.elapsed() < SOON, "a dripped head was taken for {:?}", begin.elapsed());
    let answer = client.try_response();
    assert!(
        matches!(&answer, Err(Fault::Reset | Fault::Eof))
            || answer.is_ok_and(|a| a.code() == "request_timeout")
    );
    origin.assert_untouched();
}

#[test]
fn a_connection_that_says_nothing() {
    let origin = Origin::ok();
    let gateway = start("header_timeout: 300ms", &origin);
    let mut client = gateway.client();
    let begin = Instant::now();
    match client.try_response() {
        Ok(answer) => assert_problem(&answer, "request_timeout"),
        Err(Fault::Eof) => {}
        other => panic!("{other:?}"),
    }
    assert!(begin.elapsed() < SOON);
}

/// The second head on a connection has its own time, from its first byte.
#[test]
fn a_second_head_that_does_not_come_to_its_end() {
    let origin = Origin::ok();
    let gateway = start("header_timeout: 300ms, keepalive_timeout: 60s", &origin);
    let mut client = gateway.client();
    assert_eq!(client.get("/").status, 200);
    client.assert_silent(Duration::from_millis(500));
    client.send("GET / HT");
    assert_problem(&client.response(), "request_timeout");
    client.assert_closed();
}

/// The same where it came in one packet with the request before it.
#[test]
fn a_pipelined_head_that_does_not_come_to_its_end() {
    let origin = Origin::ok();
    let gateway = start("header_timeout: 300ms, keepalive_timeout: 60s", &origin);
    let mut client = gateway.client();
    client.send("GET /1 HTTP/1.1\r\nHost: test\r\n\r\nGET /2 HT");
    assert_eq!(client.response().status, 200);
    let begin = Instant::now();
    assert_problem(&client.response(), "request_timeout");
    client.assert_closed();
    assert!(begin.elapsed() < SOON);
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_body_that_stalls() {
    let origin = Origin::ok();
    let gateway = start("body_idle_timeout: 300ms", &origin);
    for start in [
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
    ] {
        let mut client = gateway.client();
        let begin = Instant::now();
        client.send(start);
        assert_problem(&client.response(), "request_timeout");
        client.assert_closed();
        assert!(
            begin.elapsed() > Duration::from_millis(200) && begin.elapsed() < SOON,
            "{:?}",
            begin.elapsed()
        );
    }
    assert!(origin.requests().iter().all(|seen| !seen.complete));
}

/// Progress is enough: a slow body is no stalled one.
#[test]
fn a_slow_body_is_no_offence() {
    let origin = Origin::echo();
    let gateway = start("body_idle_timeout: 400ms", &origin);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n");
    client.drip(b"0123456789", 1, Duration::from_millis(80)).expect("every byte is taken");
    assert_eq!(client.response().json()["body"], "0123456789");
}

#[test]
fn a_client_that_does_not_read() {
    let origin = Origin::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 500000000\r\n\r\n")?;
        loop {
            conn.send([b'x'; 16 * 1024])?;
        }
    });
    let gateway = start("write_idle_timeout: 300ms", &origin);
    let mut client = Client::connect_narrow(&gateway.address(), 16 * 1024);
    client.send("GET /big HTTP/1.1\r\nHost: test\r\n\r\n");
    gateway.record_of("/big");
    wait_for("the origin to be let go", || origin.connections()[0].closed.is_some());
    wait_for("nothing in flight", || gateway.metrics().get("tollgate_inflight_requests") == 0.0);
}

#[test]
fn the_length_of_the_target() {
    let origin = Origin::ok();
    let gateway = start("uri_bytes: 100B", &origin);
    for (length, status) in [(100, 200), (101, 414), (5_000, 414)] {
        let target = format!("/{}", "a".repeat(length - 1));
        let mut client = gateway.client();
        let answer = client.get(&target);
        assert_eq!(answer.status, status, "a target of {length} bytes");
        if status == 414 {
            assert_problem(&answer, "uri_too_long");
            client.assert_closed();
        }
    }
    assert_eq!(gateway.get(&format!("/?{}", "a".repeat(98))).status, 200);
    assert_eq!(gateway.get(&format!("/?{}", "a".repeat(99))).status, 414);
    assert_eq!(origin.count(), 2);
}

#[test]
fn the_size_of_the_head() {
    let origin = Origin::ok();
    let gateway = start("uri_bytes: 1KiB, header_bytes: 2KiB", &origin);
    let head = |length: usize| {
        let frame = "GET / HTTP/1.1\r\nHost: test\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n", "a".repeat(length - frame))
    };
    for (length, status) in [(2_048, 200), (2_049, 431), (30_000, 431)] {
        let mut client = gateway.client();
        let answer = client.exchange(head(length));
        assert_eq!(answer.status, status, "a head of {length} bytes");
        if status == 431 {
            assert_problem(&answer, "headers_too_large");
            client.assert_closed();
        }
    }
    // A head that never ends is not gathered for ever.
    let mut endless = gateway.client();
    let _ = endless.try_send(format!("GET / HTTP/1.1\r\nHost: test\r\nX: {}", "a".repeat(60_000)));
    assert_problem(&endless.response(), "headers_too_large");
}

/// Neither has to be written because the other one is.
#[test]
fn the_limit_that_is_not_written_gives_way() {
    let origin = Origin::ok();
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "a".repeat(length - 1));
    let small = start("header_bytes: 4KiB", &origin);
    for (length, status) in [(4_000, 200), (4_090, 431), (4_200, 414)] {
        assert_eq!(small.client().exchange(target(length)).status, status, "a target of {length} bytes");
    }
    let large = start("uri_bytes: 40KiB", &origin);
    assert_eq!(large.client().exchange(target(39_000)).status, 200);
    assert_eq!(large.client().exchange(target(42_000)).status, 414);
}

#[test]
fn the_number_of_header_lines() {
    let origin = Origin::ok();
    let gateway = start("header_count: 10", &origin);
    for (count, status) in [(10, 200), (11, 431), (500, 431)] {
        let lines: String = (1..count).map(|i| format!("X-{i}: 1\r\n")).collect();
        let mut client = gateway.client();
        let answer = client.exchange(format!("GET / HTTP/1.1\r\nHost: test\r\n{lines}\r\n"));
        assert_eq!(answer.status, status, "{count} lines");
        if status == 431 {
            assert_problem(&answer, "headers_too_large");
            client.assert_closed();
        }
    }
    assert_eq!(origin.count(), 1);
}

/// The defaults hold without a word in the file.
#[test]
fn the_defaults() {
    let origin = Origin::ok();
    let gateway = gateway!("routes:\n  - { path: /*, to: @ORIGIN@ }\n", ORIGIN = origin.url());
    let lines = |count: usize| (1..count).map(|i| format!("X-{i}: 1\r\n")).collect::<String>();
    let cases = [
        (format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "a".repeat(8_191)), 200),
        (format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "a".repeat(8_192)), 414),
        (format!("GET / HTTP/1.1\r\nHost: test\r\n{}\r\n", lines(100)), 200),
        (format!("GET / HTTP/1.1\r\nHost: test\r\n{}\r\n", lines(101)), 431),
        (format!("GET / HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n", "a".repeat(32_000)), 200),
        (format!("GET / HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n", "a".repeat(32_768)), 431),
        (format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", 10 * 1024 * 1024 + 1), 413),
    ];
    for (request, status) in cases {
        let answer = gateway.client().exchange(&request);
        assert_eq!(answer.status, status, "{}…", &request[..60]);
    }
}

#[test]
fn connections() {
    let origin = Origin::ok();
    let gateway = start("connections: 3", &origin);
    let mut held: Vec<Client> = (0..3).map(|_| gateway.client()).collect();
    for client in &mut held {
        assert_eq!(client.get("/").status, 200);
    }
    let mut excess = gateway.client();
    // The excess is closed at accept; a write may or may not be noticed before.
    let _ = excess.try_send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(matches!(excess.try_response(), Err(Fault::Eof | Fault::Reset)), "a fourth connection is served");
    for client in &mut held {
        assert_eq!(client.get("/").status, 200, "those that are open go on");
    }
    assert_eq!(
        gateway.metrics().sum("tollgate_connections_refused_total", &[]),
        1.0,
        "the excess is counted"
    );
    held.pop();
    wait_for("room for a new one", || {
        let Ok(mut client) = Client::try_connect(&gateway.address()) else { return false };
        let _ = client.try_send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        client.try_response().is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn requests_per_connection() {
    let origin = Origin::ok();
    let gateway = start("requests_per_connection: 3", &origin);
    let mut client = gateway.client();
    for number in 1..=3 {
        let answer = client.get("/");
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("connection") == Some("close"),
            number == 3,
            "request {number}: {answer:#?}"
        );
    }
    client.assert_closed_cleanly();
    assert_eq!(origin.count(), 3);
}

#[test]
fn the_time_between_two_requests() {
    let origin = Origin::ok();
    let gateway = start("keepalive_timeout: 800ms", &origin);
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 200);
        client.assert_silent(Duration::from_millis(150));
    }
    assert_eq!(client.get("/").status, 200);
    let begin = Instant::now();
    // Not even a 408: nobody was asking.
    client.assert_closed_cleanly();
    assert!(begin.elapsed() > Duration::from_millis(500) && begin.elapsed() < SOON, "{:?}", begin.elapsed());
}

/// An empty line on an idle connection, which clients of old send behind a body, is no request on its way.
#[test]
fn an_empty_line_between_two_requests() {
    let origin = Origin::ok();
    let gateway = start("header_timeout: 300ms, keepalive_timeout: 60s", &origin);
    let get = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut client = gateway.client();
    for (with, alone) in [("\r\n", ""), ("", "\r\n"), ("\r", ""), ("", "\r")] {
        assert_eq!(client.exchange(format!("{get}{with}")).status, 200);
        client.send(alone);
        client.assert_silent(Duration::from_millis(500));
        if with == "\r" || alone == "\r" {
            client.send("\n");
        }
    }
    client.send("GET /");
    assert_problem(&client.response(), "request_timeout");
    client.assert_closed();
}

/// And it does not make the connection live longer.
#[test]
fn an_empty_line_and_nothing_more() {
    let origin = Origin::ok();
    let gateway = start("header_timeout: 60s, keepalive_timeout: 400ms", &origin);
    let mut client = gateway.client();
    assert_eq!(client.get("/").status, 200);
    client.send("\r\n");
    client.assert_closed_cleanly();
}

/// Many slow heads neither stop others nor stay.
#[test]
fn slow_heads_do_not_block_others() {
    let origin = Origin::ok();
    let gateway = start("header_timeout: 2s", &origin);
    let before = gateway.own_kib();
    let mut slow: Vec<Client> = (0..300).map(|_| gateway.client()).collect();
    for client in &mut slow {
        client.send("GET / HTTP/1.1\r\nX-Slow: ");
    }
    let begin = Instant::now();
    for _ in 0..20 {
        assert_eq!(gateway.get("/").status, 200);
    }
    assert!(begin.elapsed() < Duration::from_millis(1_800), "{:?} for 20 requests", begin.elapsed());
    let grown = gateway.own_kib().saturating_sub(before);
    assert!(grown < 300 * 16, "300 slow heads take {grown} KiB, more than 16 KiB each");
    for client in &mut slow {
        assert_problem(&client.response(), "request_timeout");
        client.assert_closed();
    }
}

/// Descriptors come back after every kind of end.
#[test]
fn descriptors_are_returned() {
    let origin = Origin::ok();
    let gateway = start("header_timeout: 300ms", &origin);
    assert_eq!(gateway.get("/").status, 200);
    let before = gateway.descriptors();
    for round in 0..50 {
        let mut client = gateway.client();
        match round % 5 {
            0 => assert_eq!(client.get("/").status, 200),
            1 => client.send("garbage\r\n\r\n"),
            2 => client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc"),
            3 => client.send("GET / HTTP/1.1\r\n"),
            _ => {}
        }
        if round % 2 == 0 {
            client.reset();
        }
    }
    wait_for("descriptors to be returned", || gateway.descriptors() <= before + 4);
}
