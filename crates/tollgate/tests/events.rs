//! Server-sent events and long polling: nothing waits for more, and silence has its own bounds.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tollgate_testkit::behaviour::response;
use tollgate_testkit::{Closed, End, Origin, gateway, pause};

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n";

/// Each event is sent only after the client has the one before.
#[test]
fn every_event_arrives_before_the_next_one_is_made() {
    const EVENTS: usize = 100;
    for chunked in [true, false] {
        let (go, gone) = sync_channel::<()>(1);
        let gone = Arc::new(Mutex::new(gone));
        let origin = Origin::start(move |conn| {
            conn.request()?;
            let coding = if chunked { "Transfer-Encoding: chunked\r\n" } else { "" };
            conn.send(format!("{HEAD}{coding}\r\n"))?;
            for at in 0..EVENTS {
                let event = format!("id: {at}\ndata: x\n\n");
                match chunked {
                    true => conn.send(format!("{:x}\r\n{event}\r\n", event.len()))?,
                    false => conn.send(&event)?,
                }
                let _ = gone.lock().expect("no other thread fails").recv_timeout(tollgate_testkit::PATIENCE);
            }
            if chunked { conn.send("0\r\n\r\n") } else { Ok(()) }
        });
        let routes = "routes: [{ path: /*, response: { compress: true }, to: \"@ORIGIN@\" }]\n";
        let gateway = gateway!(routes, ORIGIN = origin.url());
        let mut client = gateway.client();
        client.send(
            "GET / HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\nAccept-Encoding: gzip, br, zstd\r\n\
             Connection: close\r\n\r\n",
        );
        let head = client.until("\r\n\r\n").to_lowercase();
        assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
        assert!(head.contains("cache-control: no-cache\r\n") && !head.contains("content-encoding"), "{head}");
        for at in 0..EVENTS {
            let event = client.until("data: x\n\n");
            assert!(event.contains(&format!("id: {at}\n")), "{event}");
            go.send(()).expect("the origin waits");
        }
        let (rest, end) = client.drain();
        assert_eq!((String::from_utf8_lossy(&rest).ends_with("0\r\n\r\n"), end), (true, End::Eof));
    }
}

/// `idle_timeout` is the time between bytes, not of the whole; a stream with long pauses raises it.
#[test]
fn silence_between_events() {
    let origin = Origin::start(|conn| {
        conn.request()?;
        conn.send(format!("{HEAD}\r\n"))?;
        for pieces in [3, 1] {
            for _ in 0..pieces {
                conn.send("data: x\n\n")?;
                pause(Duration::from_millis(250));
            }
            pause(Duration::from_millis(700));
        }
        conn.send("data: last\n\n")
    });
    let gateway = gateway!(
        "
upstreams:
  short: { targets: [\"@ORIGIN@\"], idle_timeout: 600ms }
  long: { targets: [\"@ORIGIN@\"], idle_timeout: 10s, timeout: 300ms }
routes:
  - { path: /short, to: short }
  - { path: /long, timeout: 300ms, to: long }
",
        ORIGIN = origin.url()
    );
    let mut client = gateway.client();
    client.send("GET /short HTTP/1.1\r\nHost: test\r\n\r\n");
    let (stream, _) = client.drain();
    let stream = String::from_utf8_lossy(&stream);
    assert_eq!(stream.matches("data: x").count(), 3, "{stream}");
    assert!(!stream.ends_with("0\r\n\r\n"), "what was cut must not look whole: {stream}");
    assert_eq!(gateway.record_of("/short")["reason"], "upstream_timeout");

    let answer = gateway.get("/long").text();
    assert_eq!(
        (answer.matches("data: x").count(), answer.ends_with("data: last\n\n")),
        (4, true),
        "{answer}"
    );
}

/// The browser is closed: the service is told, so that it need not go on.
#[test]
fn a_listener_that_leaves() {
    let origin = Origin::start(|conn| {
        conn.request()?;
        conn.send(format!("{HEAD}\r\ndata: x\n\n"))?;
        conn.wait_end()
    });
    let gateway = gateway!("routes: [{ path: /*, to: \"@ORIGIN@\" }]\n", ORIGIN = origin.url());
    let mut client = gateway.client();
    client.send("GET /events HTTP/1.1\r\nHost: test\r\n\r\n");
    client.until("data: x\n\n");
    drop(client);
    assert_ne!(origin.wait_closed(0), Closed::ByOrigin);
    assert_eq!(gateway.record_of("/events")["reason"], "client_closed");
}

/// Long polling waits for the head of the answer: that is the route's `timeout`, which may be longer than the upstream's.
#[test]
fn a_long_poll() {
    let origin = Origin::start(|conn| {
        conn.request()?;
        pause(Duration::from_millis(900));
        conn.send(response(200, b"news"))
    });
    let gateway = gateway!(
        "
upstreams: { u: { targets: [\"@ORIGIN@\"], timeout: 300ms, idle_timeout: 300ms } }
limits: { body_idle_timeout: 300ms, write_idle_timeout: 300ms, keepalive_timeout: 300ms }
routes: [{ path: /*, timeout: 10s, to: u }]
",
        ORIGIN = origin.url()
    );
    assert_eq!(gateway.get("/poll").text(), "news");
}
