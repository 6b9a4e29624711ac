//! Heads: what the service is sent, what is refused and how, what the record says.

use serde_json::json;
use tollgate_testkit::{Frame, Gateway, Origin, gateway, wait_for};

use crate::caller::{call, get};
use crate::fields;
use crate::peer::Peer;

const HEADERS_TOO_LARGE: &str = "headers_too_large";

fn to(origin: &Origin) -> Gateway {
    gateway!("workers: 1\nroutes:\n  - { path: /*, to: @TO@ }\n", TO = origin.url())
}

#[test]
fn a_request_arrives_as_if_it_had_come_over_http1() {
    let origin = Origin::ok();
    let gateway = to(&origin);
    let lines = [
        ("cookie", "a=1"),
        ("x-b", "2"),
        ("cookie", "b=2"),
        ("te", "trailers"),
        ("x-b", "3"),
        ("cookie", "c=3"),
    ];
    let answer = call(&gateway, "GET", "/a/./b%7Ec?x=1", &lines, None);
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let seen = origin.request();
    assert_eq!(seen.head.start, "GET /a/b~c?x=1 HTTP/1.1");
    assert_eq!(seen.header("host"), Some(&*origin.address()));
    assert_eq!(seen.header("cookie"), Some("a=1; b=2; c=3"), "crumbs are joined");
    assert_eq!(seen.header("via"), Some("2 tollgate"));
    assert_eq!(seen.header("x-forwarded-host"), Some("test"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"), "`:scheme` is not believed");
    assert_eq!(seen.header("te"), Some("trailers"));
    assert_eq!(seen.header("transfer-encoding"), None, "there is no body");
    let record = gateway.record_of("/a/b~c");
    assert_eq!(
        (&record["http"], &record["status"], &record["host"]),
        (&json!("2"), &json!(200), &json!("test"))
    );
}

#[test]
fn answers_have_the_form_of_http2() {
    let origin = Origin::saying(
        "HTTP/1.1 203 Nobody Reads This\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
         X-UPPER: 1\r\nContent-Length: 2\r\n\r\nok",
    );
    let gateway = to(&origin);
    let answer = get(&gateway, "/");
    assert_eq!((answer.status, answer.text().as_str()), (203, "ok"));
    assert_eq!(answer.header("x-upper"), "1");
    assert_eq!(answer.header("content-length"), "2");
    for gone in ["connection", "keep-alive", "x-hop", "transfer-encoding"] {
        assert_eq!(answer.header(gone), "", "{gone}");
    }
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ] {
        let origin = Origin::saying(answer);
        let gateway = to(&origin);
        let mut peer = Peer::connect(&gateway);
        peer.send(&[Frame::headers(1, &fields(method, "/", &[]), true)]);
        assert!(peer.wait(Frame::HEADERS, 1).ends_stream(), "{method} {answer}");
        assert!(peer.is_alive());
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
enum Expect {
    /// An answer, with this reason in the record.
    Answer(u16, &'static str),
    /// Its stream is reset as malformed.
    Reset,
    /// The library judges, and takes some offences for those of the whole connection.
    Refused,
}
use Expect::{Answer, Refused, Reset};

#[track_caller]
fn check(gateway: &Gateway, fields: &[(&str, &str)], expect: Expect) {
    const PROTOCOL_ERROR: u32 = 1;
    let recorded = |status: u16, reason: &str| {
        let records = gateway.stdout().records();
        records.iter().filter(|record| record["reason"] == reason && record["status"] == status).count()
    };
    let before = match expect {
        Answer(status, reason) => recorded(status, reason),
        Reset | Refused => 0,
    };
    let mut peer = Peer::connect(gateway);
    peer.ask(1, fields);
    let ended = peer.ended(1);
    match expect {
        Answer(status, reason) => {
            assert!(matches!(ended, Some(Ok(_))), "{ended:?} {fields:?}");
            wait_for(&format!("a record {status} {reason} for {fields:?}"), || {
                recorded(status, reason) > before
            });
        }
        Reset => assert_eq!(ended, Some(Err(PROTOCOL_ERROR)), "{fields:?}"),
        Refused => {
            assert!(matches!(ended, None | Some(Err(_))), "{ended:?} {fields:?}");
            if ended.is_none() {
                return;
            }
        }
    }
    assert!(peer.is_alive(), "only the stream ends: {fields:?}");
}

#[test]
fn heads_that_are_malformed_or_ambiguous_are_refused() {
    let (method, scheme, path, host) =
        ((":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "test"));
    let whole = [method, scheme, path, host];
    let with = |more: &[(&'static str, &'static str)]| [&whole[..], more].concat();
    let long: &'static str = Box::leak("x".repeat(33 * 1024).into_boxed_str());
    let many: Vec<(&str, &str)> = (0..101).map(|_| ("x-a", "1")).collect();
    let long_path: &'static str = Box::leak(format!("/{}", "a".repeat(9000)).into_boxed_str());
    let origin = Origin::ok();
    let gateway = to(&origin);
    for (fields, expect) in [
        (with(&[("connection", "close")]), Reset),
        (with(&[("keep-alive", "1")]), Reset),
        (with(&[("proxy-connection", "close")]), Reset),
        (with(&[("transfer-encoding", "chunked")]), Reset),
        (with(&[("upgrade", "websocket")]), Reset),
        (with(&[("te", "gzip")]), Reset),
        (with(&[("te", "trailers, gzip")]), Reset),
        (with(&[("X-Upper", "1")]), Refused),
        (with(&[("x-a", " 1")]), Reset),
        (with(&[("x-a", "1\t")]), Reset),
        (with(&[("x-a", "1\r\nx-evil: 1")]), Refused),
        (with(&[("x-a", "1\0")]), Refused),
        (with(&[("x-a\r\nx-evil", "1")]), Refused),
        (with(&[("x a", "1")]), Refused),
        (with(&[(":path", "/admin")]), Refused),
        (with(&[("content-length", "5")]), Refused),
        (with(&[("content-length", "x")]), Refused),
        (vec![method, scheme, host], Refused),
        (vec![method, scheme], Reset),
        (vec![method, scheme, (":path", "/ HTTP/1.1\r\nx-evil: 1"), host], Refused),
        (vec![method, scheme, (":path", "/a b"), host], Refused),
        (vec![(":method", "GET / HTTP/1.1\r\n"), scheme, path, host], Refused),
        (with(&[("content-length", "0"), ("content-length", "0")]), Answer(400, "bad_framing")),
        (with(&[("host", "other")]), Answer(400, "bad_host")),
        (with(&[("host", "test"), ("host", "test")]), Answer(400, "bad_host")),
        (vec![method, scheme, path], Answer(400, "bad_host")),
        (vec![method, scheme, path, (":authority", "user@test")], Answer(400, "bad_host")),
        (vec![method, scheme, (":path", "/../etc"), host], Answer(400, "bad_path")),
        (vec![method, scheme, (":path", "no-slash"), host], Refused),
        (vec![(":method", "CONNECT"), (":authority", "test:443")], Answer(501, "method_not_implemented")),
        (vec![(":method", "TRACE"), scheme, path, host], Answer(501, "method_not_implemented")),
        (with(&[("expect", "miracles")]), Answer(417, "expectation_failed")),
        (with(&[("content_length", "5")]), Answer(400, "bad_framing")),
        (with(&[("x-long", long)]), Answer(431, HEADERS_TOO_LARGE)),
        (with(&many), Answer(431, HEADERS_TOO_LARGE)),
        (vec![method, scheme, (":path", long_path), host], Answer(414, "uri_too_long")),
    ] {
        check(&gateway, &fields, expect);
    }
    origin.assert_untouched();
}

#[test]
fn host_alone_and_host_beside_the_authority_are_understood() {
    let gateway = gateway!("routes:\n  - { path: /, respond: { body: \"{host}\" } }\n");
    for (more, expect) in [
        (vec![(":authority", "test")], 4),
        (vec![("host", "test")], 4),
        (vec![(":authority", "Test"), ("host", "test")], 4),
        (vec![(":authority", "test:80"), ("host", "test")], 4),
    ] {
        let mut peer = Peer::connect(&gateway);
        let fields = [vec![(":method", "GET"), (":scheme", "http"), (":path", "/")], more].concat();
        peer.send(&[Frame::headers(1, &fields, true)]);
        assert_eq!(peer.answer(1), expect, "{fields:?}");
    }
}

#[test]
fn a_listener_may_speak_http1_only() {
    let text =
        "listeners: [{ address: \"@LISTEN@\", http2: false }]\nroutes:\n  - { path: /, respond: {} }\n";
    let gateway = gateway!(text);
    let mut client = gateway.client();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.status, 505);
    assert_eq!(gateway.get("/").status, 200);
}

#[test]
fn a_preface_in_pieces_is_a_preface() {
    let gateway = gateway!("routes:\n  - { path: /, respond: { body: ok } }\n");
    for piece in [1, 3, 17] {
        let mut peer = Peer::silent(&gateway);
        let mut bytes = tollgate_testkit::PREFACE.to_vec();
        bytes.extend(Frame::settings(&[]).encode());
        bytes.extend(Frame::headers(1, &fields("GET", "/", &[]), true).encode());
        for piece in bytes.chunks(piece) {
            peer.send_bytes(piece);
            tollgate_testkit::pause(std::time::Duration::from_millis(2));
        }
        assert_eq!(peer.answer(1), 2, "in pieces of {piece}");
    }
}

#[test]
fn a_refused_call_of_grpc_is_told_in_trailers() {
    let text = "routes:\n  - { path: /dead, to: http://127.0.0.1:1 }\n  - { path: /ip, deny_ips: [127.0.0.0/8], respond: {} }\n";
    let gateway = gateway!(text);
    for (path, status, message) in [
        ("/none", "12", "route_not_found: no route matches"),
        ("/dead", "14", "upstream_connect: the service does not accept connections"),
        ("/ip", "7", "ip_denied: "),
    ] {
        let lines = [("content-type", "application/grpc+proto"), ("te", "trailers")];
        let answer = call(&gateway, "POST", path, &lines, Some(b""));
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/grpc"), "{path}");
        assert_eq!(answer.header("grpc-status"), status, "{path}");
        assert!(answer.header("grpc-message").starts_with(message), "{path}: {answer:?}");
        assert!(answer.body.is_empty() && answer.header("content-length").is_empty(), "{path}: {answer:?}");
        let record = gateway.record_of(path);
        assert_eq!(
            (&record["status"], &record["reason"]),
            (&json!(200), &json!(message.split(':').next())),
            "{path}"
        );
    }
}
