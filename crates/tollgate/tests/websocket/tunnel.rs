//! What happens in a tunnel: ends of each kind, silence, sides that do not read, reloads and the drain.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tollgate_testkit::{
    Client, Closed, Conn, End, Gate, Gateway, Origin, Signal, assert_problem, gateway, pause, wait_for,
};

use crate::{ROUTES, begin, check_echo, echo, handshake, in_flight, open, switch};

const MIB: usize = 1024 * 1024;

/// Two sockets' worth of buffers in the kernel, and then some.
const IN_BETWEEN: usize = 48 * MIB;

/// Bytes that differ from place to place, so that a lost or doubled piece shows.
fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at % 251) as u8 ^ (at / 65_536) as u8).collect()
}

/// Switches, then does what the test wants.
fn origin(then: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static) -> Origin {
    Origin::start(move |conn| {
        let seen = conn.head()?;
        conn.send(switch(&seen, ""))?;
        then(conn)
    })
}

/// The record of the only tunnel.
#[track_caller]
fn record(gateway: &Gateway) -> serde_json::Value {
    gateway.record(|record| record["status"] == 101)
}

#[test]
fn who_has_no_more_to_say_may_still_listen() {
    let origin = origin(|conn| {
        let mut came = Vec::new();
        while let Ok(bytes) = conn.some_bytes() {
            came.extend(bytes);
        }
        conn.send(format!("{} came", came.len()))
    });
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = begin(gateway.client(), "/", "");
    client.send([b'x'; 3000]);
    client.half_close();
    assert_eq!(client.until("came"), "3000 came");
    client.assert_closed_cleanly();
    assert_eq!(record(&gateway)["reason"], json!(null));
}

#[test]
fn an_origin_that_has_no_more_to_say_still_listens() {
    let origin = origin(|conn| {
        conn.send("last words")?;
        conn.finish_sending()?;
        conn.wait_end()
    });
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = begin(gateway.client(), "/", "");
    let (rest, end) = client.drain();
    assert_eq!((rest.as_slice(), end), (b"last words".as_slice(), End::Eof));
    client.send("I heard");
    wait_for("the words at the origin", || origin.connections()[0].raw.ends_with(b"I heard"));
    client.half_close();
    assert_eq!(origin.wait_closed(0), Closed::ByPeer);
    let record = record(&gateway);
    assert_eq!((&record["bytes_in"], &record["bytes_out"]), (&json!(7), &json!(10)));
    assert_eq!(record["reason"], json!(null));
}

/// A side that only ever sends its end and waits would else hold both connections for `tunnel_idle`.
#[test]
fn a_side_that_does_not_follow_the_other_to_the_end() {
    let gate = Gate::new();
    let theirs = gate.clone();
    let origin = origin(move |conn| {
        let _ = conn.wait_end();
        theirs.wait();
        Ok(())
    });
    let gateway =
        gateway!(&format!("limits: {{ write_idle_timeout: 300ms }}\n{ROUTES}"), ORIGIN = origin.url());
    let mut client = begin(gateway.client(), "/", "");
    client.half_close();
    client.assert_closed_cleanly();
    assert_eq!(record(&gateway)["reason"], "request_timeout");
    gate.open();
}

#[test]
fn connections_that_break() {
    let origin = origin(|conn| {
        if conn.some_bytes()? == b"break" {
            return conn.reset();
        }
        conn.wait_end()
    });
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = begin(gateway.client(), "/origin", "");
    client.send("break");
    client.assert_closed();
    assert_eq!(gateway.record_of("/origin")["reason"], "upstream_reset");

    let mut client = begin(gateway.client(), "/client", "");
    client.send("stay");
    client.reset();
    assert_ne!(origin.wait_closed(1), Closed::ByOrigin);
    let record = gateway.record_of("/client");
    assert_eq!((&record["status"], &record["reason"]), (&json!(101), &json!("client_closed")));
}

#[test]
fn silence_ends_a_tunnel_and_bytes_keep_it() {
    let origin = Origin::start(echo);
    let routes = "routes: [{ path: /*, tunnel_idle: 600ms, to: \"@ORIGIN@\" }]\n";
    let gateway = gateway!(routes, ORIGIN = origin.url());
    let begun = Instant::now();
    let mut client = open(gateway.client(), "/", "");
    for _ in 0..5 {
        pause(Duration::from_millis(250));
        check_echo(&mut client);
    }
    client.assert_closed_cleanly();
    assert!(begun.elapsed() >= Duration::from_millis(1250 + 600), "it ended early");
    assert_eq!(origin.wait_closed(0), Closed::ByPeer);
    let record = record(&gateway);
    assert_eq!(record["reason"], "request_timeout");
    assert!(record["duration_ms"].as_f64().is_some_and(|took| took >= 1850.0), "{record}");
    // All of it was the two sides' time.
    let inside = record["duration_ms"].as_f64().unwrap() - record["upstream_ms"].as_f64().unwrap();
    assert!(inside < 100.0, "{record}");
}

/// Bytes in one direction are enough, and no other bound applies in a tunnel.
#[test]
fn other_timeouts_do_not_apply() {
    let origin = origin(|conn| {
        pause(Duration::from_millis(900));
        conn.drip("12345", Duration::from_millis(100))?;
        conn.wait_end()
    });
    let gateway = gateway!(
        "
limits: { header_timeout: 300ms, body_idle_timeout: 300ms, write_idle_timeout: 300ms, keepalive_timeout: 300ms, body: 10B }
upstreams: { u: { targets: [\"@ORIGIN@\"], timeout: 300ms, idle_timeout: 300ms, pool: { idle: 300ms } } }
routes: [{ path: /*, timeout: 300ms, max_body: 1B, tunnel_idle: 1500ms, to: u }]
",
        ORIGIN = origin.url()
    );
    let mut client = begin(gateway.client(), "/", "");
    client.send("more than a body may have");
    assert_eq!(client.until("5"), "12345");
    pause(Duration::from_millis(900));
    client.send("still here");
    wait_for("the bytes at the origin", || origin.connections()[0].raw.ends_with(b"still here"));
}

#[test]
fn large_amounts_pass_whole_in_both_directions_at_once() {
    const COUNT: usize = 24 * MIB;
    let origin = Origin::start(echo);
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = begin(gateway.client(), "/", "");
    let mut writer = client.another();
    let sender = std::thread::spawn(move || writer.try_send(pattern(COUNT)));
    let came = client.bytes(COUNT);
    assert!(came == pattern(COUNT), "the bytes came back changed");
    sender.join().expect("the sender").expect("all was taken");
    client.half_close();
    drop(client);
    let record = record(&gateway);
    assert_eq!((&record["bytes_in"], &record["bytes_out"]), (&json!(COUNT), &json!(COUNT)));
}

#[test]
fn a_client_that_does_not_read_holds_the_origin_back() {
    let sent = Arc::new(AtomicUsize::new(0));
    let theirs = sent.clone();
    let origin = origin(move |conn| {
        let piece = pattern(MIB);
        for _ in 0..96 {
            conn.send(&piece)?;
            theirs.fetch_add(MIB, Ordering::SeqCst);
        }
        conn.wait_end()
    });
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let before = gateway.own_kib();
    let mut client = begin(gateway.client(), "/", "");
    let mut last = usize::MAX;
    wait_for("the origin to be held back", || {
        pause(Duration::from_millis(200));
        std::mem::replace(&mut last, sent.load(Ordering::SeqCst)) == last
    });
    assert!(last < IN_BETWEEN, "{last} bytes were taken although nobody reads them");
    let grown = gateway.own_kib().saturating_sub(before);
    assert!(grown < 4096, "one stalled tunnel takes {grown} KiB");
    for _ in 0..96 {
        assert!(client.bytes_exactly(MIB) == pattern(MIB));
    }
}

#[test]
fn a_side_that_never_reads_is_left() {
    let limits = format!("limits: {{ write_idle_timeout: 400ms }}\n{ROUTES}");
    let flood = origin(|conn| {
        let piece = pattern(MIB);
        loop {
            conn.send(&piece)?;
        }
    });
    let gateway = gateway!(&limits, ORIGIN = flood.url());
    let client = begin(gateway.client(), "/", "");
    assert_eq!(record(&gateway)["reason"], "client_closed");
    drop(client);

    let gate = Gate::new();
    let theirs = gate.clone();
    let deaf = origin(move |_| {
        theirs.wait();
        Ok(())
    });
    let gateway = gateway!(&limits, ORIGIN = deaf.url());
    let mut client = begin(gateway.client(), "/", "");
    client.send_while_taken(&pattern(IN_BETWEEN), Duration::from_millis(300));
    assert_eq!(record(&gateway)["reason"], "upstream_timeout");
    gate.open();
}

#[test]
fn a_tunnel_outlives_the_configuration_that_opened_it() {
    let origin = Origin::start(echo);
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = open(gateway.client(), "/chat", "");
    let before = gateway.generation();
    gateway.replace_file(&gateway.complete("routes: [{ path: /other, respond: { body: new } }]\n", &[]));
    gateway.wait_generation(before + 1);
    assert_eq!(gateway.get("/other").text(), "new");
    assert_problem(&gateway.client().exchange(handshake("/chat", "")), "route_not_found");
    check_echo(&mut client);
    drop(client);
    let record = record(&gateway);
    assert_eq!((&record["route"], &record["generation"]), (&json!("all"), &json!(before)));
}

/// The listener goes, what came in over it stays.
#[test]
fn a_tunnel_outlives_its_listener() {
    let origin = Origin::start(echo);
    let other = tollgate_testkit::Port::reserve();
    let both = "listeners: [{ address: \"@LISTEN@\" }, { address: \"@OTHER@\" }]\n";
    let names = [("OTHER", other.address()), ("ORIGIN", origin.url())];
    let gateway = gateway!(&format!("{both}{ROUTES}"), OTHER = names[0].1, ORIGIN = names[1].1);
    let mut client = open(Client::connect(&other.address()), "/", "");
    let before = gateway.generation();
    gateway.replace_file(&gateway.complete(ROUTES, &names));
    gateway.wait_generation(before + 1);
    wait_for("the listener to go", || Client::try_connect(&other.address()).is_err());
    check_echo(&mut client);
}

#[test]
fn the_drain_waits_for_tunnels_until_the_grace_is_over() {
    let origin = Origin::start(echo);
    let mut gateway = gateway!(&format!("shutdown: {{ grace: 1500ms }}\n{ROUTES}"), ORIGIN = origin.url());
    let mut client = open(gateway.client(), "/", "");
    let begun = Instant::now();
    gateway.signal(Signal::TERM);
    wait_for("the drain", || Client::try_connect(&gateway.address()).is_err());
    check_echo(&mut client);
    client.assert_closed_cleanly();
    assert!(begun.elapsed() >= Duration::from_millis(1400), "it was cut early");
    assert_eq!(origin.wait_closed(0), Closed::ByPeer);
    assert_eq!(gateway.wait_exit().code(), Some(0));
    let record = record(&gateway);
    assert_eq!(record["reason"], "draining");
    assert_eq!((&record["bytes_in"], &record["bytes_out"]), (&json!(10), &json!(10)));
    assert!(gateway.stderr().text().contains("cut"), "{}", gateway.stderr().text());
}

#[test]
fn a_tunnel_that_ends_by_itself_ends_the_drain() {
    let origin = Origin::start(echo);
    let mut gateway = gateway!(&format!("shutdown: {{ grace: 1m }}\n{ROUTES}"), ORIGIN = origin.url());
    let mut client = open(gateway.client(), "/", "");
    gateway.signal(Signal::TERM);
    wait_for("the drain", || Client::try_connect(&gateway.address()).is_err());
    check_echo(&mut client);
    drop(client);
    assert_eq!(gateway.wait_exit().code(), Some(0));
    assert_eq!(record(&gateway)["reason"], json!(null));
}

/// 16 KiB each are promised; what the process needs anyway is not theirs.
#[test]
fn idle_tunnels_hold_no_buffers() {
    const COUNT: usize = 300;
    let origin = Origin::start(echo);
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    drop(open(gateway.client(), "/", ""));
    let (before, descriptors) = (gateway.own_kib(), gateway.descriptors());
    let clients: Vec<Client> = (0..COUNT).map(|_| open(gateway.client(), "/", "")).collect();
    let each = gateway.own_kib().saturating_sub(before) as f64 / COUNT as f64;
    assert!(each < 12.0, "{each:.1} KiB for each idle tunnel");
    assert_eq!(in_flight(&gateway), COUNT as f64);
    drop(clients);
    wait_for("all to be over", || in_flight(&gateway) == 0.0);
    wait_for("the descriptors to be returned", || gateway.descriptors() <= descriptors);
}
