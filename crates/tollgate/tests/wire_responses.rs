//! What an upstream may not send: an attack from behind is answered with 502, never passed on, never mixed into
//! another answer, and its connection is never used again.

use std::time::Duration;

use serde_json::Value;
use tollgate_testkit::behaviour::{self, response};
use tollgate_testkit::{
    Client, Conn, Fault, Gate, Gateway, Origin, assert_problem, gateway, pause, wait_for,
};

// One worker, so that the second request would find the first one's pooled connection.
const ROUTES: &str = "
workers: 1
upstreams:
  origin:
    targets: [@ORIGIN@]
    timeout: 3s
routes:
  - path: /*
    to: origin
";

/// An origin that attacks on its first connection and is good on all others.
fn attacker(bytes: &[u8], close: bool) -> Origin {
    let bytes = bytes.to_vec();
    Origin::start(move |conn: &mut Conn| {
        if conn.index() > 0 {
            return behaviour::ok(conn);
        }
        conn.request()?;
        conn.send(&bytes)?;
        if close { Ok(()) } else { conn.wait_end() }
    })
}

/// The next two requests of the same client are answered by a good connection.
#[track_caller]
fn assert_recovers(gateway: &Gateway, origin: &Origin, client: &mut Client, what: &str) {
    for _ in 0..2 {
        assert_eq!(client.get("/next").text(), "ok", "after {what}");
    }
    for seen in origin.requests() {
        assert_eq!(seen.connection == 0, seen.target() == "/attack", "{what}: {seen:#?}");
    }
    assert_eq!(gateway.get("/other").text(), "ok", "after {what}");
}

/// A head that is refused: a 502 with that reason, and the same client connection goes on.
#[track_caller]
fn check_refused(cases: &[(&[u8], &str)], close: bool) {
    for (bytes, codes) in cases {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        let origin = attacker(bytes, close);
        let gateway = gateway!(ROUTES, ORIGIN = origin.url());
        let mut client = gateway.client();
        let answer = client.get("/attack");
        assert!(answer.status == 502, "{shown:?} gives {answer:#?}");
        assert_problem(&answer, codes);
        assert_recovers(&gateway, &origin, &mut client, &shown);
        let record = gateway.record_of("/attack");
        assert!(codes.split('|').any(|code| record["reason"] == code), "{shown:?}: {record}");
    }
}

#[test]
fn status_lines() {
    check_refused(
        &[
            (b"SSH-2.0-OpenSSH\r\n\r\n", "upstream_protocol"),
            (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "upstream_protocol"),
            (b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1\t200 OK\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 2x0 OK\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 200 O\x00K\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
                "upstream_protocol",
            ),
        ],
        false,
    );
}

#[test]
fn header_lines() {
    check_refused(
        &[
            (b"HTTP/1.1 200 OK\r\nX : 1\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\n X: 1\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nX: 1\r\n fold\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\n: 1\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nX: a\nY: b\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nX\xe9: b\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
        ],
        false,
    );
}

#[test]
fn framing() {
    check_refused(
        &[
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nno", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "upstream_protocol"),
            (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "upstream_protocol"),
        ],
        false,
    );
}

#[test]
fn heads_that_end_too_early() {
    check_refused(
        &[
            (b"", "upstream_reset"),
            (b"HT", "upstream_reset|upstream_protocol"),
            (b"HTTP/1.1 200 OK\r\nContent-Le", "upstream_reset|upstream_protocol"),
            (b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", "upstream_reset|upstream_protocol"),
        ],
        true,
    );
}

#[test]
fn heads_without_end() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: b\r\n".repeat(50_000));
    let huge = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "b".repeat(4 * 1024 * 1024));
    let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100_000);
    for bytes in [many, huge] {
        check_refused(&[(bytes.as_bytes(), "upstream_protocol")], false);
    }
    // Interim answers are passed on, so all that may be asked is that they do not go on for ever.
    let origin = attacker(hints.as_bytes(), false);
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = gateway.client();
    let answer = client.get("/attack");
    assert_problem(&answer, "upstream_protocol");
    assert!(answer.interim.len() < 1_000, "{} interim answers were passed on", answer.interim.len());
}

/// The body goes wrong after the head was passed on: the client must be able to see that it is incomplete, the
/// record tells why, and the connection is not used again.
#[test]
fn bodies_that_break() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases: &[(&str, String, bool)] = &[
        ("upstream_reset", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort".into(), true),
        ("upstream_reset", format!("{chunked}5\r\nshort\r\n"), true),
        ("upstream_reset", format!("{chunked}a\r\nshort"), true),
        ("upstream_reset", format!("{chunked}5\r\nshort\r\n0\r\n"), true),
        ("upstream_protocol", format!("{chunked}5\r\nshort\r\nG\r\n"), false),
        ("upstream_protocol", format!("{chunked}5\r\nshortX\r\n0\r\n\r\n"), false),
        ("upstream_protocol", format!("{chunked}5\r\nshort\n0\r\n\r\n"), false),
        ("upstream_protocol", format!("{chunked}5\r\nshort\r\n-1\r\n"), false),
        ("upstream_protocol", format!("{chunked}5\r\nshort\r\nfffffffffffffffff\r\n"), false),
        ("upstream_protocol", format!("{chunked}5\r\nshort\r\n0\r\nX : 1\r\n\r\n"), false),
        ("upstream_protocol", format!("{chunked}5\r\nshort\r\n5;{}", "x".repeat(70_000)), false),
    ];
    for (reason, bytes, close) in cases {
        let shown = &bytes[..bytes.len().min(120)];
        let origin = attacker(bytes.as_bytes(), *close);
        let gateway = gateway!(ROUTES, ORIGIN = origin.url());
        let mut client = gateway.client();
        client.send("GET /attack HTTP/1.1\r\nHost: test\r\n\r\n");
        match client.try_response() {
            Err(Fault::Truncated | Fault::Reset) => {}
            // A gateway that noticed before it sent the head may still answer properly.
            Ok(answer) if answer.status == 502 => assert_problem(&answer, reason),
            other => panic!("{shown:?} gives {other:#?}"),
        }
        assert_recovers(&gateway, &origin, &mut gateway.client(), shown);
        assert_eq!(gateway.record_of("/attack")["reason"], *reason, "{shown:?}");
    }
}

/// A reset in the middle of a body without a length must not look like its proper end.
#[test]
fn a_reset_is_no_end() {
    let origin = Origin::start(behaviour::then_reset(b"HTTP/1.1 200 OK\r\n\r\nhalf of it"));
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = gateway.client();
    client.send("GET /attack HTTP/1.1\r\nHost: test\r\n\r\n");
    match client.try_response() {
        Err(Fault::Truncated | Fault::Reset) => {}
        other => panic!("{other:#?}"),
    }
    assert_eq!(gateway.record_of("/attack")["reason"], "upstream_reset");
}

/// More bytes than the answer has: the answer is good, the rest is nobody's, the connection is not used again.
#[test]
fn bytes_after_the_answer() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let cases: &[(&str, &str, u16, &str)] = &[
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood", 200, "good"),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n", 200, "good"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, ""),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", 200, ""),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, ""),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n", 304, ""),
    ];
    for (method, answer, status, body) in cases {
        for rest in [evil, "x", "\r\n\r\n"] {
            let origin = attacker(format!("{answer}{rest}").as_bytes(), false);
            let gateway = gateway!(ROUTES, ORIGIN = origin.url());
            let mut client = gateway.client();
            let first = client.exchange(format!("{method} /attack HTTP/1.1\r\nHost: test\r\n\r\n"));
            assert_eq!((first.status, first.text().as_str()), (*status, *body), "{answer:?} and {rest:?}");
            assert_recovers(&gateway, &origin, &mut client, answer);
        }
    }
}

/// An answer to a HEAD with a body, and a 204 with one, both with the length of what they should not have.
#[test]
fn bodies_where_none_may_be() {
    for (method, answer) in [
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil!!",
        ),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil"),
        ("GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n"),
    ] {
        let origin = attacker(answer.as_bytes(), false);
        let gateway = gateway!(ROUTES, ORIGIN = origin.url());
        let mut client = gateway.client();
        let first = client.exchange(format!("{method} /attack HTTP/1.1\r\nHost: test\r\n\r\n"));
        assert!([200, 204, 502].contains(&first.status), "{first:#?}");
        assert!(!first.text().contains("evil"), "{first:#?}");
        assert_recovers(&gateway, &origin, &mut client, answer);
    }
}

/// An answer that nobody asked for, sent while the connection is idle, is not the answer to the next request.
#[test]
fn an_answer_before_the_question() {
    let sent = Gate::new();
    let theirs = sent.clone();
    let origin = Origin::start(move |conn| {
        if conn.index() > 0 {
            return behaviour::ok(conn);
        }
        conn.request()?;
        conn.send(response(200, b"ok"))?;
        // Once the first answer is through, the connection is idle.
        pause(Duration::from_millis(100));
        conn.send(response(200, b"evil"))?;
        theirs.open();
        conn.wait_end()
    });
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = gateway.client();
    assert_eq!(client.get("/attack").text(), "ok");
    assert!(sent.wait());
    for _ in 0..3 {
        assert_eq!(client.get("/next").text(), "ok");
    }
}

/// Headers of the upstream cannot break out into the client's connection.
#[test]
fn connection_headers_of_the_upstream_stop_here() {
    let origin = Origin::saying(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: close\r\nUpgrade: h2c\r\nX-Public: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
         Content-Length: 2\r\n\r\nok",
    );
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.get("/");
        for name in ["x-private", "keep-alive", "proxy-connection", "upgrade", "transfer-encoding"] {
            assert_eq!(answer.header(name), None, "{name}");
        }
        assert_eq!(answer.header("x-public"), Some("1"));
        assert_eq!(answer.head.all("set-cookie"), ["a=1", "b=2"]);
    }
}

/// Whatever status the upstream chooses passes, with its own headers and body.
#[test]
fn every_status_passes() {
    let origin = Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            let status = seen.target().trim_start_matches('/').parse().unwrap_or(500);
            conn.send(response(status, b"as it is"))?;
        }
    });
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = gateway.client();
    for status in
        [200, 201, 203, 206, 299, 300, 301, 307, 400, 401, 404, 418, 429, 451, 499, 500, 502, 503, 599]
    {
        let answer = client.get(&format!("/{status}"));
        assert_eq!((answer.status, answer.text().as_str()), (status, "as it is"));
        assert_ne!(answer.header("content-type"), Some("application/problem+json"));
    }
    assert_eq!(gateway.record_of("/502")["reason"], Value::Null);
}

/// Damage on one connection leaves the requests on others alone.
#[test]
fn others_are_not_harmed() {
    let origin = Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            let evil = seen.target() == "/attack";
            conn.send(if evil {
                b"garbage\r\n\r\n".to_vec()
            } else {
                response(200, seen.target().as_bytes())
            })?;
        }
    });
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let address = gateway.address();
            std::thread::spawn(move || {
                let mut client = Client::connect(&address);
                for i in 0..50 {
                    let path = format!("/{n}/{i}");
                    assert_eq!(client.get(&path).text(), path);
                    assert_eq!(client.get("/attack").status, 502);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("every answer was the right one");
    }
    wait_for("nothing in flight", || gateway.metrics().get("tollgate_inflight_requests") == 0.0);
}
