//! The kit itself is right: a test that trusts a broken origin or client proves nothing.

use std::time::Duration;

use tollgate_testkit::behaviour::{self, response};
use tollgate_testkit::{Client, Closed, End, Fault, Gate, Metrics, Nginx, Origin, Port, wait_for};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn an_origin_records_every_byte() {
    let origin = Origin::echo();
    let mut client = Client::connect(&origin.address());
    let request =
        "POST /a?b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n";
    let answer = client.exchange(request);
    assert_eq!(answer.json()["body"], "abc");
    let seen = origin.request();
    assert_eq!((seen.method(), seen.target(), seen.header("host")), ("POST", "/a?b", Some("h")));
    assert_eq!(seen.trailers, [("x-t".to_owned(), "1".to_owned())]);
    assert!(seen.complete && seen.raw_head.ends_with(b"\r\n\r\n"));
    drop(client);
    assert_eq!(origin.wait_closed(0), Closed::ByPeer);
}

#[test]
fn an_origin_notices_what_is_not_http() {
    let origin = Origin::ok();
    let mut client = Client::connect(&origin.address());
    client.send("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
    wait_for("the verdict", || origin.connections().iter().any(|c| c.malformed == Some("framing headers")));
}

#[test]
fn an_origin_sees_a_reset() {
    let origin = Origin::start(behaviour::hang);
    let mut client = Client::connect(&origin.address());
    client.send(GET);
    origin.wait_requests(1);
    client.reset();
    assert_eq!(origin.wait_closed(0), Closed::ByReset);
}

#[test]
fn a_client_tells_a_reset_from_an_end() {
    for (origin, end) in [
        (Origin::start(behaviour::then_close(b"")), End::Eof),
        (Origin::start(behaviour::then_reset(b"")), End::Reset),
    ] {
        let mut client = Client::connect(&origin.address());
        client.send(GET);
        assert_eq!(client.drain(), (Vec::new(), end));
    }
    let origin = Origin::start(behaviour::hang);
    let mut client = Client::connect(&origin.address());
    client.send(GET);
    client.assert_silent(Duration::from_millis(50));
}

#[test]
fn the_reader_is_strict() {
    let cases: &[(&[u8], &str)] = &[
        (b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "Malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "Malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok", "Malformed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\n\r\n", "Malformed"),
        (b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nok", "Malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "Truncated"),
        (b"", "Eof"),
    ];
    for (bytes, want) in cases {
        let origin = Origin::start(behaviour::then_close(bytes));
        let mut client = Client::connect(&origin.address());
        client.send(GET);
        let fault: Fault = client.try_response().expect_err("a refusal");
        assert!(format!("{fault:?}").starts_with(want), "{fault:?} for {:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn interim_responses_and_head_are_understood() {
    let origin =
        Origin::saying("HTTP/1.1 103 Early\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    let mut client = Client::connect(&origin.address());
    let answer = client.exchange("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((answer.interim.len(), answer.status, answer.body.len()), (1, 200, 0));
}

#[test]
fn a_gate_holds_until_it_is_opened() {
    let gate = Gate::new();
    let origin = Origin::start(behaviour::gated(&gate, "late"));
    let mut client = Client::connect(&origin.address());
    client.send(GET);
    origin.wait_requests(1);
    client.assert_silent(Duration::from_millis(30));
    gate.open();
    assert_eq!(client.response().text(), "late");
}

#[test]
fn a_stopped_origin_refuses() {
    let origin = Origin::ok();
    let address = origin.address();
    let mut client = Client::connect(&address);
    assert_eq!(client.exchange(GET).body, b"ok");
    drop(origin);
    client.assert_closed();
    wait_for("the port to be closed", || Client::try_connect(&address).is_err());
    let again = Origin::start_at(&address, |conn| behaviour::answer_each(conn, &response(200, b"back")));
    assert_eq!(Client::connect(&again.address()).exchange(GET).text(), "back");
}

#[test]
fn unix_sockets_serve_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("s.sock");
    let origin = Origin::start_unix(&path, behaviour::ok);
    assert_eq!(Client::connect_unix(&path).exchange(GET).text(), "ok");
    assert_eq!(origin.count(), 1);
}

#[test]
fn ports_are_reserved_for_one() {
    let ports: Vec<Port> = (0..20).map(|_| Port::reserve()).collect();
    let mut numbers: Vec<u16> = ports.iter().map(Port::number).collect();
    numbers.dedup();
    assert_eq!(numbers.len(), 20);
}

#[test]
fn metrics_are_read() {
    let metrics = Metrics::parse("# TYPE a counter\na{x=\"1\",y=\"p,q\"} 3\na{x=\"2\",y=\"\"} 4\nb 5\n");
    assert_eq!(metrics.get("a{y=\"p,q\",x=\"1\"}"), 3.0);
    assert_eq!(metrics.sum("a", &[]), 7.0);
    assert_eq!(metrics.sum("a", &["x=\"2\""]), 4.0);
    assert_eq!((metrics.get("b"), metrics.get("c"), metrics.kind("a")), (5.0, 0.0, "counter"));
}

#[test]
fn nginx_runs() {
    let nginx = Nginx::start("location / { return 200 \"from nginx\"; }");
    assert_eq!(Client::connect(&nginx.address()).exchange(GET).text(), "from nginx");
}
