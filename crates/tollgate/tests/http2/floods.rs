//! Attacks on HTTP/2, each by its name: what they cost, and how they end.

use std::time::Duration;

use tollgate_testkit::{Frame, Gateway, Origin, behaviour, block, gateway, pause, wait_for};

use crate::caller::get;
use crate::fields;
use crate::peer::{End, Peer};

const ENHANCE_YOUR_CALM: u32 = 11;
const ANSWERS: &str = "workers: 1\nroutes:\n  - { path: /*, respond: { body: ok } }\n";
const PRIORITY: u8 = 2;

/// The flood ends its own connection, and nobody else's.
#[track_caller]
fn check_turned_away(gateway: &Gateway, mut peer: Peer, codes: &[u32]) {
    let mut bystander = Peer::connect(gateway);
    assert!(bystander.is_alive());
    match peer.end() {
        End::GoAway(code) => assert!(codes.contains(&code), "{code} is none of {codes:?}"),
        // Its own unread bytes may have cost it the goodbye.
        End::Closed => {}
    }
    bystander.get(1, "/");
    assert_eq!(bystander.answer(1), 2);
}

#[test]
fn cve_2023_44487_rapid_reset() {
    let origin = Origin::start(behaviour::hang);
    let gateway = gateway!("workers: 1\nroutes:\n  - { path: /*, to: @TO@ }\n", TO = origin.url());
    let mut peer = Peer::connect(&gateway);
    for n in 0..1_000 {
        peer.send(&[Frame::headers(2 * n + 1, &fields("GET", "/", &[]), true), Frame::reset(2 * n + 1, 8)]);
        // Each pair in a read of its own: the library's limit for those that come together is another.
        pause(Duration::from_micros(200));
    }
    assert_eq!(peer.end(), End::GoAway(ENHANCE_YOUR_CALM));
    assert!(origin.connections().len() < 300, "{} requests were begun", origin.connections().len());
    wait_for("every attempt is given up", || {
        origin.connections().iter().all(|connection| connection.closed.is_some())
    });
}

/// Clients give up on slow services: 150 a second of them are no flood.
#[test]
fn requests_that_are_taken_back_after_a_while() {
    let origin = Origin::start(behaviour::hang);
    let gateway = gateway!("workers: 1\nroutes:\n  - { path: /*, to: @TO@ }\n", TO = origin.url());
    let mut peer = Peer::connect(&gateway);
    for batch in 0..40 {
        let ids = || (0..10).map(|n| 2 * (10 * batch + n) + 1);
        peer.send(&ids().map(|id| Frame::headers(id, &fields("GET", "/", &[]), true)).collect::<Vec<_>>());
        pause(Duration::from_millis(60));
        peer.send(&ids().map(|id| Frame::reset(id, 8)).collect::<Vec<_>>());
    }
    assert!(peer.is_alive(), "400 of them");
}

#[test]
fn rapid_reset_in_one_write() {
    let gateway = gateway!(ANSWERS);
    let mut peer = Peer::connect(&gateway);
    let frames: Vec<Frame> = (0..500)
        .flat_map(|n| [Frame::headers(2 * n + 1, &fields("GET", "/", &[]), true), Frame::reset(2 * n + 1, 8)])
        .collect();
    peer.send(&frames);
    check_turned_away(&gateway, peer, &[ENHANCE_YOUR_CALM]);
}

#[test]
fn cve_2025_8671_resets_that_the_gateway_is_made_to_send() {
    // Each request is broken on purpose, so that the gateway resets it.
    let gateway = gateway!(ANSWERS);
    let mut peer = Peer::connect(&gateway);
    for n in 0..2_000 {
        let broken = Frame::headers(2 * n + 1, &fields("GET", "/", &[("connection", "close")]), true);
        let more = Frame::window_update(2 * n + 1, 0);
        if !peer.flood(&[broken, more], 1) {
            break;
        }
    }
    check_turned_away(&gateway, peer, &[ENHANCE_YOUR_CALM, 1]);
}

/// Uploads that are answered before they are there: what the client sends until it hears of that costs nobody anything.
#[test]
fn uploads_that_are_answered_early() {
    let gateway = gateway!(ANSWERS);
    let mut peer = Peer::connect(&gateway);
    for n in 0..1_000 {
        let id = 2 * n + 1;
        peer.send(&[Frame::headers(id, &fields("POST", "/", &[("content-length", "200")]), false)]);
        peer.answer(id);
        peer.send(&[Frame::data(id, [7; 100], false), Frame::data(id, [7; 100], true)]);
    }
    assert!(peer.is_alive(), "a thousand of them, with two late frames each");
}

#[test]
fn cve_2024_30255_and_2024_27316_continuation_flood() {
    let gateway = gateway!(ANSWERS);
    let before = gateway.own_kib();
    let mut peer = Peer::connect(&gateway);
    peer.send(&[Frame::new(Frame::HEADERS, 0, 1, block(&fields("GET", "/", &[])))]);
    let junk = [Frame::new(Frame::CONTINUATION, 0, 1, block(&[("x-junk", &"x".repeat(1000))]))];
    assert!(!peer.flood(&junk, 100_000), "100 MB of one head, and it goes on");
    check_turned_away(&gateway, peer, &[ENHANCE_YOUR_CALM, 1]);
    let mut peer = Peer::connect(&gateway);
    peer.send(&[Frame::new(Frame::HEADERS, 0, 1, block(&fields("GET", "/", &[])))]);
    peer.flood(&[Frame::new(Frame::CONTINUATION, 0, 1, [])], 100_000);
    check_turned_away(&gateway, peer, &[ENHANCE_YOUR_CALM, 1]);
    assert!(gateway.own_kib().saturating_sub(before) < 8 * 1024);
}

#[test]
fn cve_2019_9512_and_2019_9513_and_2019_9515_and_2019_9518_frames_that_ask_for_nothing() {
    // Pings, settings, priorities, and frames without anything in them.
    let gateway = gateway!(ANSWERS);
    let before = gateway.own_kib();
    let open = || {
        let mut peer = Peer::connect(&gateway);
        peer.send(&[Frame::headers(1, &fields("POST", "/none", &[("content-length", "5")]), false)]);
        peer
    };
    for frame in [
        Frame::new(Frame::PING, 0, 0, [7; 8]),
        Frame::new(Frame::PING, 1, 0, [7; 8]),
        Frame::settings(&[]),
        Frame::settings(&[(4, 65_535), (5, 16_384)]),
        Frame::new(PRIORITY, 0, 3, [0, 0, 0, 1, 10]),
        Frame::data(1, [], false),
        Frame::window_update(0, 1),
        Frame::new(0xbe, 0, 0, []),
    ] {
        let mut peer = open();
        // Nobody reads what comes back.
        peer.flood(std::slice::from_ref(&frame), 100_000);
        check_turned_away(&gateway, peer, &[ENHANCE_YOUR_CALM, 1, 3, 5]);
    }
    assert!(gateway.own_kib().saturating_sub(before) < 8 * 1024);
}

#[test]
fn header_bomb() {
    // One byte stands for 4 KB of a head: 10 connections with 100 requests each would be 40 MB and more.
    let origin = Origin::start(behaviour::hang);
    let gateway = gateway!("workers: 1\nroutes:\n  - { path: /*, to: @TO@ }\n", TO = origin.url());
    let before = gateway.own_kib();
    let mut peers = Vec::new();
    for _ in 0..10 {
        let mut peer = Peer::connect(&gateway);
        for n in 0..100 {
            let mut head = block(&fields("GET", "/", &[]));
            if n == 0 {
                // Remembered by the library as the first entry of its table (RFC 7541 section 6.2.1).
                let entry = block(&[("x-bomb", &"b".repeat(4000))]);
                head.push(0x40);
                head.extend_from_slice(&entry[1..]);
            }
            head.extend_from_slice(&[0xbe; 7]);
            let flags = Frame::END_HEADERS | Frame::END_STREAM;
            peer.send(&[Frame::new(Frame::HEADERS, flags, 2 * n + 1, head)]);
        }
        assert!(peer.is_alive());
        peers.push(peer);
    }
    // Those that were not let in are told about, too.
    gateway.record(|record| record["reason"] == "overloaded" && record["http"] == "2");
    let grown = gateway.own_kib().saturating_sub(before);
    assert!(grown < 24 * 1024, "1,000 requests hold {grown} KiB");
    drop(peers);
    // And one that is too large for anybody, which the library unfolds no further than it has to.
    let mut peer = Peer::connect(&gateway);
    let mut head = block(&fields("GET", "/", &[]));
    let entry = block(&[("x-bomb", &"b".repeat(4000))]);
    head.push(0x40);
    head.extend_from_slice(&entry[1..]);
    head.extend_from_slice(&vec![0xbe; 15_000 - head.len()]);
    peer.send(&[Frame::new(Frame::HEADERS, Frame::END_HEADERS | Frame::END_STREAM, 1, head)]);
    peer.is_alive();
    assert!(gateway.own_kib().saturating_sub(before) < 32 * 1024);
}

#[test]
fn cve_2019_9511_and_2019_9517_tiny_windows() {
    // Much is asked for, next to nothing is taken.
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n{}", "x".repeat(200_000));
    let origin = Origin::saying(answer);
    let text = "workers: 1\nlimits: { write_idle_timeout: 2s }\nroutes:\n  - { path: /*, to: @TO@ }\n";
    let gateway = gateway!(text, TO = origin.url());
    let before = gateway.own_kib();
    let mut peers: Vec<Peer> = (0..5)
        .map(|_| {
            let mut peer = Peer::with(&gateway, &[(4, 1)]);
            (0..100).for_each(|n| peer.get(2 * n + 1, "/"));
            peer
        })
        .collect();
    let mut most = 0;
    for peer in &mut peers {
        peer.reset(199);
        most = most.max(gateway.own_kib());
    }
    let grown = most.saturating_sub(before);
    assert!(grown < 24 * 1024, "500 answers that nobody takes hold {grown} KiB");
    assert_eq!(get(&gateway, "/").body.len(), 200_000);
}

#[test]
fn a_client_that_reads_nothing_at_all() {
    let body = "x".repeat(30_000);
    let text = format!(
        "workers: 1\nlimits: {{ write_idle_timeout: 1s }}\nroutes:\n  - {{ path: /*, respond: {{ body: {body} }} }}\n"
    );
    let gateway = gateway!(&text);
    let before = gateway.own_kib();
    // The window is as wide as it can be; the bytes stay in the kernel's buffers, and then in the gateway's.
    let mut peer = Peer::with(&gateway, &[(4, i32::MAX as u32)]);
    peer.send(&[Frame::window_update(0, i32::MAX as u32 - 65_535)]);
    for n in 0..2_000 {
        peer.send(&[Frame::headers(2 * n + 1, &fields("GET", "/", &[]), true)]);
    }
    wait_for("the connection is given up", || gateway.metrics().sum("tollgate_connections", &[]) == 0.0);
    let grown = gateway.own_kib().saturating_sub(before);
    assert!(grown < 32 * 1024, "one connection held {grown} KiB");
}
