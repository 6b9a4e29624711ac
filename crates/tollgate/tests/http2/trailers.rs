//! Trailers with names that belong into heads, and what else stands between a head and its end: cookies one by one,
//! permission for a body, types that only begin like that of gRPC.

use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use tollgate_testkit::{Frame, Gateway, H2Origin, Origin, behaviour, gateway};

use crate::caller::{call, connect, exchange, request, talk};
use crate::fields;
use crate::peer::Peer;

fn to(url: &str) -> Gateway {
    gateway!("workers: 1\nroutes:\n  - { path: /*, to: @TO@, response: { compress: true } }\n", TO = url)
}

fn map(lines: &[(&'static str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| ((*name).parse().expect("a name"), value.parse().expect("a value")))
        .collect()
}

/// Metadata that a service of gRPC sends behind its messages have any name.
#[test]
fn metadata_behind_an_answer_arrive() {
    let kept = [
        ("grpc-status", "0"),
        ("x-request-id", "77"),
        ("retry-after", "3"),
        ("date", "today"),
        ("via", "1.1 here"),
        ("x-api-key", "k"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-anything", "a"),
    ];
    let left_out =
        [("content-type", "application/grpc"), ("vary", "a"), ("set-cookie", "a=b"), ("content-length", "1")];
    let origin = H2Origin::start(move |mut exchange| async move {
        exchange.body().await;
        let all = [&kept[..], &left_out].concat();
        exchange.answer(200, &[("content-type", "application/grpc")], b"hello", &all);
    });
    let gateway = to(&origin.url());
    let lines = [("content-type", "application/grpc"), ("te", "trailers")];
    let answer = call(&gateway, "POST", "/", &lines, Some(b"ask"));
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    for (name, value) in kept {
        assert_eq!(answer.trailer(name), value, "{name}");
    }
    assert_eq!(answer.trailers.len(), kept.len(), "{:?}", answer.trailers);
}

/// An answer of which every trailer is taken away ends all the same.
#[test]
fn what_the_route_takes_away_does_not_come_behind_the_answer() {
    let origin = H2Origin::start(move |mut exchange| async move {
        exchange.body().await;
        let sum = exchange.request.headers().get("x-ask").is_some_and(|ask| ask == "sum");
        let trailers: &[_] = if sum { &[("x-sum", "1"), ("x-secret", "s")] } else { &[("x-secret", "s")] };
        exchange.answer(200, &[], b"hello", trailers);
    });
    let text = "routes:\n  - { path: /*, to: @TO@, response: { remove_headers: [x-secret] } }\n";
    let gateway = gateway!(text, TO = origin.url());
    for (ask, expect) in [("sum", 1), ("none", 0)] {
        let answer = call(&gateway, "GET", "/", &[("te", "trailers"), ("x-ask", ask)], None);
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
        assert_eq!(answer.trailers.len(), expect, "{:?}", answer.trailers);
    }
}

/// Rich details of an error are longer than any header that is sent on the way there.
#[test]
fn many_and_long_trailers_pass() {
    let long = "a".repeat(20_000);
    let names: Vec<String> = (0..100).map(|at| format!("x-{at}")).collect();
    let all: Vec<(String, String)> = names
        .into_iter()
        .map(|name| (name, "1".to_owned()))
        .chain([("grpc-status-details-bin".to_owned(), long.clone())])
        .collect();
    let origin = H2Origin::start(move |mut exchange| {
        let all = all.clone();
        async move {
            exchange.body().await;
            let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (&**name, &**value)).collect();
            exchange.answer(200, &[("content-type", "application/grpc")], b"hello", &all);
        }
    });
    let lines = [("content-type", "application/grpc"), ("te", "trailers")];
    let answer = call(&to(&origin.url()), "POST", "/", &lines, Some(b"ask"));
    assert_eq!((answer.status, answer.trailers.len()), (200, 101));
    assert_eq!(answer.trailer("grpc-status-details-bin"), long);
}

/// An answer of gRPC that has trailers alone is one head, and the stream ends with it ("Responses" in the gRPC over HTTP2
/// protocol): its C library takes a frame of data that ends the stream for a break.
#[test]
fn an_answer_that_is_a_head_alone_ends_with_it() {
    let alone = [("content-type", "application/grpc"), ("grpc-status", "5"), ("grpc-message", "no")];
    let origin = H2Origin::start(move |mut exchange| async move {
        exchange.body().await;
        exchange.answer(200, &alone, b"", &[]);
    });
    let gateway = to(&origin.url());
    let mut peer = Peer::connect(&gateway);
    for stream in [1, 3] {
        let lines = [("content-type", "application/grpc"), ("te", "trailers")];
        peer.send(&[Frame::headers(stream, &fields("POST", "/", &lines), false)]);
        peer.send(&[Frame::data(stream, "ask", true)]);
        let head = peer.wait(Frame::HEADERS, stream);
        assert!(head.ends_stream(), "{head:?}");
    }
}

#[test]
fn forbidden_trailers_of_a_chunked_answer_are_left_out() {
    let origin = Origin::saying(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 9\r\n\
         Set-Cookie: a=b\r\nConnection: x-sum\r\nX-Sum: abc\r\n\r\n",
    );
    let answer = call(&to(&origin.url()), "GET", "/", &[], None);
    assert_eq!((answer.text().as_str(), answer.trailer("x-sum")), ("hello", "abc"));
    assert_eq!(answer.trailers.len(), 1, "{:?}", answer.trailers);
}

/// Also behind a body whose length was announced, in both directions.
#[test]
fn trailers_of_requests_lose_what_speaks_for_the_client() {
    let origin = H2Origin::start(|mut exchange| async move {
        exchange.body().await;
        exchange.answer(200, &[("content-length", "2")], b"ok", &[("x-end", "2")]);
    });
    let gateway = to(&origin.url());
    for length in [&[][..], &[("content-length", "5")]] {
        let before = origin.requests().len();
        let behind = map(&[("x-forwarded-for", "10.9.9.9"), ("x-request-id", "mine"), ("x-sum", "abc")]);
        let answer = talk(async {
            let mut send = connect(&gateway).await;
            exchange(&mut send, request("PUT", "/", length), Some(b"hello"), Some(behind)).await
        });
        let answer = answer.expect("an answer");
        assert_eq!((answer.text().as_str(), answer.trailer("x-end")), ("ok", "2"), "{length:?}");
        let seen = &origin.requests()[before];
        assert_eq!((seen.body.as_slice(), seen.complete), (&b"hello"[..], true), "{length:?}");
        assert_eq!(seen.trailers, [("x-sum".to_owned(), "abc".to_owned())], "{length:?}");
    }
}

#[test]
fn cookies_one_by_one_count_as_one_line() {
    let origin = Origin::ok();
    let gateway = to(&origin.url());
    let crumbs = vec![("cookie", "a=1"); 400];
    let mut peer = Peer::connect(&gateway);
    peer.ask(1, &fields("GET", "/", &crumbs));
    assert_eq!(peer.answer(1), 2);
    assert_eq!(origin.request().header("cookie").map(|cookie| cookie.split("; ").count()), Some(400));
    assert_eq!(gateway.record_of("/")["status"], 200);
    // Other lines are still counted.
    peer.ask(3, &fields("GET", "/many", &[&crumbs[..], &vec![("x-a", "1"); 101]].concat()));
    peer.answer(3);
    assert_eq!(gateway.record(|record| record["reason"] == "headers_too_large")["status"], 431);
}

/// A client that does not wait for permission is not made to.
#[test]
fn a_body_that_is_here_needs_no_permission() {
    let origin = Origin::start(behaviour::ok);
    let gateway = to(&origin.url());
    let head = fields("POST", "/", &[("expect", "100-continue"), ("content-length", "5")]);
    let mut peer = Peer::connect(&gateway);
    let began = Instant::now();
    for (stream, together) in [(1, true), (3, false)] {
        let (head, body) = (Frame::headers(stream, &head, false), Frame::data(stream, "hello", true));
        if together {
            peer.send(&[head, body]);
        } else {
            peer.send(&[head]);
            assert!(peer.is_alive(), "it was read without the body");
            peer.send(&[body]);
        }
        assert_eq!(peer.answer(stream), 2);
    }
    assert!(began.elapsed().as_millis() < 900, "it waited {:?}", began.elapsed());
    assert!(origin.requests().iter().all(|seen| seen.body == b"hello" && seen.complete));
}

#[test]
fn only_grpc_is_refused_as_grpc() {
    let gateway = gateway!("routes:\n  - { path: /a, respond: {} }\n");
    for (kind, status) in [
        ("application/grpc", 200),
        ("application/grpc+json", 200),
        ("application/grpc; charset=utf-8", 200),
        ("application/grpc-web", 404),
        ("application/grpc-web+proto", 404),
        ("application/grpcx", 404),
    ] {
        let answer = call(&gateway, "POST", "/none", &[("content-type", kind)], Some(b""));
        assert_eq!(
            (answer.status, answer.header("grpc-status").is_empty()),
            (status, status == 404),
            "{kind}"
        );
    }
}

#[test]
fn messages_of_grpc_are_not_compressed() {
    for (kind, coded) in
        [("application/json", true), ("application/grpc+json", false), ("application/grpc", false)]
    {
        let origin = H2Origin::start(move |mut exchange| async move {
            let body = Bytes::from(vec![b'a'; 4000]);
            exchange.answer(200, &[("content-type", kind)], &body, &[("grpc-status", "0")]);
        });
        let answer = call(&to(&origin.url()), "GET", "/", &[("accept-encoding", "gzip")], None);
        assert_eq!(answer.header("content-encoding") == "gzip", coded, "{kind}");
        assert_eq!(answer.body.len() == 4000, !coded, "{kind}");
    }
}
