//! Every way in which an origin misbehaves, with what the client gets and the reason that is recorded.

use std::io;
use std::time::Duration;

use tollgate_testkit::behaviour::{self, then_close, then_reset};
use tollgate_testkit::{Conn, Fault, Origin, assert_problem, gateway, pause};

const ROUTES: &str = "
upstreams:
  u: { targets: [@ORIGIN@], timeout: 300ms, idle_timeout: 300ms }
routes:
  - { path: /*, to: u }
";

/// What the client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sees {
    /// A problem document with the reason.
    Problem,
    /// An answer that is cut, and known to be.
    Cut,
    /// An answer.
    Whole,
}
use Sees::{Cut, Problem, Whole};

#[track_caller]
fn check(
    handler: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static,
    sees: Sees,
    reason: Option<&str>,
) {
    let origin = Origin::start(handler);
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = gateway.client();
    client.send("POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello");
    match (sees, client.try_response()) {
        (Problem, Ok(answer)) => assert_problem(&answer, reason.expect("a problem has a reason")),
        (Whole, Ok(answer)) => assert_eq!(answer.status, 200),
        (Cut, Err(Fault::Truncated | Fault::Reset)) => {}
        (_, other) => panic!("{sees:?} with {reason:?} was {other:?}"),
    }
    let record = gateway.record_of("/x");
    assert_eq!(record["reason"].as_str(), reason, "{record}");
    let outcome = format!("outcome=\"{}\"", reason.unwrap_or("2xx"));
    assert_eq!(gateway.metrics().sum("tollgate_upstream_requests_total", &[&outcome]), 1.0, "{outcome}");
}

const HALF: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
const HALF_CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nhalf";

#[test]
fn origins_that_hang() {
    check(behaviour::hang, Problem, Some("upstream_timeout"));
    let half_a_head = |conn: &mut Conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-")?;
        conn.wait_end()
    };
    check(half_a_head, Problem, Some("upstream_timeout"));
    for half in [HALF, HALF_CHUNKED] {
        let stalls = move |conn: &mut Conn| {
            conn.request()?;
            conn.send(half)?;
            conn.wait_end()
        };
        check(stalls, Cut, Some("upstream_timeout"));
    }
}

#[test]
fn origins_that_reset() {
    check(|conn| conn.reset(), Problem, Some("upstream_reset"));
    check(then_reset(b""), Problem, Some("upstream_reset"));
    check(then_reset(b"HTTP/1.1 200 OK\r\nContent-"), Problem, Some("upstream_reset"));
    check(then_reset(HALF), Cut, Some("upstream_reset"));
    check(then_reset(HALF_CHUNKED), Cut, Some("upstream_reset"));
    check(then_reset(b"HTTP/1.1 200 OK\r\n\r\nto the end"), Cut, Some("upstream_reset"));
}

#[test]
fn origins_that_drip() {
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow";
    let head = |gap: u64| {
        move |conn: &mut Conn| {
            conn.request()?;
            conn.drip(whole, Duration::from_millis(gap))
        }
    };
    // The head has its time as a whole; a body has it between two bytes.
    check(head(1), Whole, None);
    check(head(30), Problem, Some("upstream_timeout"));
    let body = |gap: u64| {
        move |conn: &mut Conn| {
            conn.request()?;
            conn.send(whole.trim_end_matches("slow"))?;
            conn.drip("slow", Duration::from_millis(gap))
        }
    };
    check(body(150), Whole, None);
    check(body(1000), Cut, Some("upstream_timeout"));
}

#[test]
fn origins_that_send_garbage() {
    for garbage in [
        &b"SSH-2.0-OpenSSH_9.6\r\n\r\n"[..],
        b"\x00\x01\x02\x03\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA B: c\r\n\r\n",
    ] {
        check(then_close(garbage), Problem, Some("upstream_protocol"));
    }
    check(
        then_close(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngoodxx"),
        Problem,
        Some("upstream_protocol"),
    );
    let later = |conn: &mut Conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n")?;
        pause(Duration::from_millis(100));
        conn.send("not a size\r\n")?;
        conn.wait_end()
    };
    check(later, Cut, Some("upstream_protocol"));
}

#[test]
fn origins_that_lie_about_lengths() {
    check(then_close(HALF), Cut, Some("upstream_reset"));
    check(then_close(HALF_CHUNKED), Cut, Some("upstream_reset"));
    for two in [
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Content-Length: -2",
        "Content-Length: 2 2",
    ] {
        let bytes: &'static str = format!("HTTP/1.1 200 OK\r\n{two}\r\n\r\nok").leak();
        check(then_close(bytes.as_bytes()), Problem, Some("upstream_protocol"));
    }
    // What comes behind the end is nobody's answer: it goes no further, and neither does the connection.
    let more = |conn: &mut Conn| {
        behaviour::answer_each(
            conn,
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 EVIL\r\n\r\n",
        )
    };
    check(more, Whole, None);
    let origin = Origin::start(more);
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "ok");
    }
    assert_eq!(origin.connections().len(), 3, "none of them is used again");
}

#[test]
fn origins_that_close_pooled_connections() {
    let once = then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let origin = Origin::start(once);
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = gateway.client();
    for n in 0..20 {
        assert_eq!(client.get(&format!("/{n}")).text(), "ok", "request {n}");
    }
    // The worst moment: when the next request is on its way.
    let origin = Origin::start(behaviour::dies_on_reuse);
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = gateway.client();
    assert_eq!(client.get("/a").text(), "first");
    assert_eq!(client.get("/b").status, 200, "what is safe is sent once more");
    assert_eq!(gateway.record_of("/b")["attempts"], 2);
}

#[test]
fn origins_that_answer_early() {
    let early = |conn: &mut Conn| {
        conn.head()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")?;
        conn.wait_end()
    };
    check(early, Whole, None);
    let before_anything = |conn: &mut Conn| {
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")?;
        conn.wait_end()
    };
    // On a connection that was just made for it, an answer is the request's; on a kept one it would be nobody's.
    check(before_anything, Whole, None);
    let unasked = |conn: &mut Conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        pause(Duration::from_millis(100));
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")?;
        conn.wait_end()
    };
    let origin = Origin::start(unasked);
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "ok");
        pause(Duration::from_millis(200));
    }
}
