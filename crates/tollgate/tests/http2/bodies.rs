//! Bodies between HTTP/2 and HTTP/1: lengths, trailers, windows, and what happens when one side gives up.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::HeaderMap;
use serde_json::json;
use tollgate_testkit::{Conn, Frame, Gate, Gateway, Origin, assert_holds, behaviour, gateway, wait_for};

use crate::caller::{self, call, connect, exchange, get, read, request, talk};
use crate::fields;
use crate::peer::Peer;

const MIB: usize = 1024 * 1024;

fn to(origin: &Origin) -> Gateway {
    with("", origin)
}

fn with(limits: &str, origin: &Origin) -> Gateway {
    let text = format!("workers: 1\n{limits}routes:\n  - {{ path: /*, to: @TO@ }}\n");
    gateway!(&text, TO = origin.url())
}

fn trailers(lines: &[(&'static str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| ((*name).parse().expect("a name"), value.parse().expect("a value")))
        .collect()
}

#[test]
fn a_body_of_known_length_keeps_its_length() {
    let origin = Origin::ok();
    let gateway = to(&origin);
    let body = vec![b'x'; 3 * MIB];
    let answer = call(&gateway, "POST", "/", &[("content-length", "3145728")], Some(&body));
    assert_eq!(answer.status, 200);
    let seen = origin.request();
    assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (Some("3145728"), None));
    assert_eq!((seen.body_bytes, seen.complete), (body.len() as u64, true));
    assert_eq!(gateway.record_of("/")["bytes_in"], 3 * MIB);
}

#[test]
fn a_body_of_unknown_length_goes_on_in_chunks_with_its_trailers() {
    let origin = Origin::ok();
    let gateway = to(&origin);
    let behind = trailers(&[("x-sum", "abc"), ("x-end", "1")]);
    let answer = talk(async {
        let mut send = connect(&gateway).await;
        exchange(&mut send, request("PUT", "/", &[]), Some(b"hello"), Some(behind)).await.expect("an answer")
    });
    assert_eq!(answer.status, 200);
    let seen = origin.request();
    assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (None, Some("chunked")));
    assert_eq!((seen.body.as_slice(), seen.complete), (&b"hello"[..], true));
    assert_eq!(seen.trailers, [("x-sum".to_owned(), "abc".to_owned()), ("x-end".to_owned(), "1".to_owned())]);
}

#[test]
fn trailers_that_may_not_stand_behind_a_body_are_refused() {
    let origin = Origin::ok();
    let gateway = to(&origin);
    let behind = trailers(&[("content-length", "5")]);
    let answer = talk(async {
        let mut send = connect(&gateway).await;
        exchange(&mut send, request("PUT", "/", &[]), Some(b"hello"), Some(behind)).await.expect("an answer")
    });
    assert_eq!(answer.status, 400);
    assert_eq!(gateway.record_of("/")["reason"], "bad_framing");
    assert!(!origin.request().complete);
}

#[test]
fn an_answer_in_chunks_brings_its_trailers() {
    let origin = Origin::saying(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: abc\r\n\r\n",
    );
    let gateway = to(&origin);
    let answer = get(&gateway, "/");
    assert_eq!((answer.text().as_str(), answer.trailer("x-sum")), ("hello", "abc"));
    assert_eq!((answer.header("transfer-encoding"), answer.header("content-length")), ("", ""));
}

#[test]
fn a_body_that_ends_with_the_connection_ends_its_stream_only() {
    let origin = Origin::start(behaviour::then_close(b"HTTP/1.1 200 OK\r\n\r\nall of it"));
    let gateway = to(&origin);
    talk(async {
        let mut send = connect(&gateway).await;
        for _ in 0..2 {
            let answer = exchange(&mut send, request("GET", "/", &[]), None, None).await.expect("an answer");
            assert_eq!(answer.text(), "all of it");
        }
    });
}

#[test]
fn a_body_that_is_cut_is_never_ended() {
    for cut in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense",
    ] {
        let origin = Origin::start(behaviour::then_close(cut));
        let gateway = to(&origin);
        let text = String::from_utf8_lossy(cut);
        talk(async {
            let mut send = connect(&gateway).await;
            let outcome = exchange(&mut send, request("GET", "/", &[]), None, None).await;
            // What is wrong with the first bytes is seen before anything was sent.
            match outcome {
                Err(reason) => assert_eq!(reason, Reason::INTERNAL_ERROR, "{text}"),
                Ok(answer) => assert_eq!(answer.status, 502, "{text}"),
            }
            let again = exchange(&mut send, request("GET", "/none", &[]), None, None).await;
            assert!(again.is_err() || again.is_ok_and(|answer| answer.status == 502), "the connection lives");
        });
        let reason = gateway.record_of("/")["reason"].clone();
        assert!(reason == "upstream_reset" || reason == "upstream_protocol", "{text}: {reason}");
    }
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let origin = Origin::ok();
    let gateway = with("limits: { body: 64KiB }\n", &origin);
    let body = vec![0u8; 65 * 1024];
    let declared = call(&gateway, "POST", "/declared", &[("content-length", "66560")], Some(&body));
    assert_eq!(declared.status, 413);
    let counted = call(&gateway, "POST", "/counted", &[], Some(&body));
    assert_eq!(counted.status, 413);
    assert!(origin.requests().iter().all(|seen| !seen.complete));
}

#[test]
fn interim_answers_come_before_the_final_one() {
    let origin = Origin::start(|conn: &mut Conn| {
        conn.head()?;
        conn.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")?;
        conn.body()?;
        conn.send(behaviour::response(200, b"ok"))
    });
    let gateway = to(&origin);
    let mut peer = Peer::connect(&gateway);
    let head = fields("POST", "/", &[("expect", "100-continue"), ("content-length", "5")]);
    peer.send(&[Frame::headers(1, &head, false)]);
    let hints = peer.wait(Frame::HEADERS, 1);
    assert!(!hints.ends_stream() && hints.payload.windows(4).any(|bytes| bytes[0] & 0x40 != 0), "{hints:?}");
    let goes_on = peer.wait(Frame::HEADERS, 1);
    assert!(!goes_on.ends_stream());
    peer.send(&[Frame::data(1, "hello", true)]);
    let last = peer.wait(Frame::HEADERS, 1);
    assert_eq!(last.payload.first(), Some(&0x88), "`:status: 200` is number 8 of the static table");
    assert_eq!(peer.answer(1), 2);
    assert_eq!(origin.request().body, b"hello");
}

#[test]
fn an_answer_is_sent_as_fast_as_it_is_taken() {
    // The origin sends on for as long as it is read.
    let origin = Origin::start(|conn: &mut Conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")?;
        (0..64).try_for_each(|_| conn.send(vec![b'x'; MIB]))
    });
    let gateway = to(&origin);
    let before = gateway.own_kib();
    let mut peers: Vec<Peer> = (0..20)
        .map(|_| {
            let mut peer = Peer::with(&gateway, &[(4, 1000)]);
            peer.get(1, "/");
            peer
        })
        .collect();
    for peer in &mut peers {
        let mut got = 0;
        while got < 1000 {
            got += peer.wait(Frame::DATA, 1).payload.len();
        }
        assert_eq!(got, 1000, "the window is kept");
    }
    let grown = gateway.own_kib().saturating_sub(before);
    assert!(grown < 32 * 1024, "20 streams that nobody reads hold {grown} KiB");
    let peer = &mut peers[0];
    peer.send(&[Frame::window_update(1, 2_000_000), Frame::window_update(0, 2_000_000)]);
    let mut got = 0;
    while got < 2_000_000 {
        got += peer.wait(Frame::DATA, 1).payload.len();
    }
    assert_eq!(got, 2_000_000);
}

#[test]
fn a_request_is_taken_as_fast_as_its_service_takes_it() {
    let gate = Gate::new();
    let origin = Origin::start({
        let gate = gate.clone();
        move |conn: &mut Conn| {
            conn.head()?;
            gate.wait();
            Ok(())
        }
    });
    let gateway = with("limits: { body: 1GiB }\n", &origin);
    talk(async {
        let mut send = connect(&gateway).await;
        let (_response, mut body) = send.send_request(request("POST", "/", &[]), false).expect("a stream");
        let mut sent = 0;
        // The kernel's buffers take some, and then the window does not open again.
        loop {
            body.reserve_capacity(64 * 1024);
            let room = std::future::poll_fn(|cx| body.poll_capacity(cx));
            match tokio::time::timeout(Duration::from_secs(1), room).await {
                Ok(Some(Ok(room))) => {
                    body.send_data(Bytes::from(vec![0; room]), false).expect("room");
                    sent += room;
                }
                Ok(_) => panic!("the stream ended after {sent} bytes"),
                Err(_) => break,
            }
            assert!(sent < 64 * MIB, "nobody reads, and it goes on");
        }
    });
    gate.open();
}

#[test]
fn a_client_that_takes_nothing_is_cut_with_its_stream_only() {
    let origin =
        Origin::saying(format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{}", "x".repeat(100_000)));
    let gateway = with("limits: { write_idle_timeout: 1s }\n", &origin);
    let mut peer = Peer::with(&gateway, &[(4, 10)]);
    peer.get(1, "/slow");
    assert_eq!(peer.wait(Frame::DATA, 1).payload.len(), 10);
    assert_eq!(peer.reset(1), u32::from(Reason::INTERNAL_ERROR));
    assert_eq!(gateway.record_of("/slow")["reason"], "client_closed");
    assert!(peer.is_alive());
    peer.send(&[Frame::window_update(0, 1_000_000), Frame::settings(&[(4, 1_000_000)])]);
    peer.get(3, "/fast");
    assert_eq!(peer.answer(3), 100_000);
}

#[test]
fn a_client_that_sends_nothing_is_told_that_it_was_late() {
    let origin = Origin::ok();
    let gateway = with("limits: { body_idle_timeout: 1s }\n", &origin);
    let mut peer = Peer::connect(&gateway);
    peer.send(&[Frame::headers(1, &fields("POST", "/", &[]), false), Frame::data(1, "some", false)]);
    peer.answer(1);
    assert_eq!(gateway.record_of("/")["reason"], "request_timeout");
    assert!(peer.is_alive());
}

#[test]
fn a_request_that_is_taken_back_is_taken_back_from_its_service() {
    let origin = Origin::start(behaviour::hang);
    let gateway = to(&origin);
    let mut peer = Peer::connect(&gateway);
    peer.get(1, "/gone");
    peer.send(&[Frame::headers(3, &fields("POST", "/uploading", &[]), false), Frame::data(3, "some", false)]);
    origin.wait_requests(2);
    peer.send(&[Frame::reset(1, 8), Frame::reset(3, 8)]);
    origin.wait_closed(0);
    origin.wait_closed(1);
    for path in ["/gone", "/uploading"] {
        let record = gateway.record_of(path);
        assert_eq!((&record["status"], &record["reason"]), (&json!(499), &json!("client_closed")), "{path}");
    }
    assert!(peer.is_alive());
}

#[test]
fn an_answer_that_comes_before_the_body_does_is_whole() {
    let origin = Origin::start(|conn: &mut Conn| {
        conn.head()?;
        conn.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
    });
    let gateway = to(&origin);
    let mut peer = Peer::connect(&gateway);
    peer.send(&[Frame::headers(1, &fields("POST", "/", &[]), false)]);
    assert_eq!(peer.answer(1), 2);
    assert_eq!(
        peer.wait(Frame::RST_STREAM, 1).code(),
        Some(u32::from(Reason::NO_ERROR)),
        "RFC 9113 section 8.1: no more of the body is wanted"
    );
    assert!(peer.is_alive());
}

#[test]
fn both_directions_move_at_once() {
    let origin = Origin::start(|conn: &mut Conn| {
        conn.head()?;
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for _ in 0..3 {
            conn.some_bytes()?;
            conn.send("4\r\npong\r\n")?;
        }
        conn.body()?;
        conn.send("0\r\n\r\n")
    });
    let gateway = to(&origin);
    talk(async {
        let mut send = connect(&gateway).await;
        let (response, mut body) = send.send_request(request("POST", "/", &[]), false).expect("a stream");
        body.send_data(Bytes::from_static(b"ping"), false).expect("room");
        let mut pongs = response.await.expect("a head").into_body();
        for round in 0..3 {
            let piece = pongs.data().await.expect("a piece").expect("no error");
            assert_eq!(&piece[..], b"pong", "round {round}");
            let _ = pongs.flow_control().release_capacity(piece.len());
            body.send_data(Bytes::from_static(b"ping"), false).expect("room");
        }
        body.send_data(Bytes::new(), true).expect("room");
        let mut rest = caller::Answer::default();
        read(pongs, &mut rest).await.expect("an end");
    });
}

#[test]
fn many_requests_share_a_connection_and_none_waits_for_another() {
    let gate = Gate::new();
    let slow = Origin::start(behaviour::gated(&gate, "slow"));
    let fast = Origin::start(|conn: &mut Conn| -> io::Result<()> { behaviour::ok(conn) });
    let text = "workers: 1\nroutes:\n  - { path: /slow, to: @SLOW@ }\n  - { path: /fast, to: @FAST@ }\n";
    let gateway = gateway!(text, SLOW = slow.url(), FAST = fast.url());
    let mut peer = Peer::connect(&gateway);
    let (first, last) = (1, 199);
    peer.get(first, "/slow");
    slow.wait_requests(1);
    for stream in (3..=last).step_by(2) {
        peer.get(stream, "/fast");
        assert_eq!(peer.answer(stream), 2);
    }
    assert_holds("the slow one waits", Duration::from_millis(50), || slow.count() == 1);
    gate.open();
    assert_eq!(peer.answer(first), 4);
    wait_for("the records", || gateway.stdout().records().len() == 100);
    assert_eq!(gateway.metrics().sum("tollgate_connections", &[]), 1.0);
}
