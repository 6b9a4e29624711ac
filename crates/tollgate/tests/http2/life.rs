//! How a connection ends: by its limits, by a reload that does not end it, by the drain.

use std::time::Duration;

use serde_json::json;
use tollgate_testkit::{Frame, Gate, Origin, PREFACE, Signal, assert_holds, behaviour, gateway, wait_for};

use crate::fields;
use crate::peer::{End, Peer};

const NO_ERROR: u32 = 0;
const REFUSED_STREAM: u32 = 7;
const ANSWERS: &str = "routes:\n  - { path: /*, respond: { body: ok } }\n";

#[test]
fn an_idle_connection_ends_with_a_goodbye() {
    let text = format!("limits: {{ keepalive_timeout: 1s }}\n{ANSWERS}");
    let gateway = gateway!(&text);
    let mut peer = Peer::connect(&gateway);
    peer.get(1, "/");
    assert_eq!(peer.answer(1), 2);
    // It does not answer the ping that comes with the goodbye, and is not waited for.
    assert_eq!(peer.end(), End::GoAway(NO_ERROR));
}

#[test]
fn who_begins_and_does_not_ask_is_not_waited_for() {
    let text = format!("limits: {{ header_timeout: 1s }}\n{ANSWERS}");
    let gateway = gateway!(&text);
    for said in [&PREFACE[..10], &PREFACE[..20], PREFACE] {
        let mut peer = Peer::silent(&gateway);
        peer.send_bytes(said);
        peer.end();
    }
    let mut peer = Peer::connect(&gateway);
    assert_eq!(peer.end(), End::GoAway(NO_ERROR), "settings are no request");
}

#[test]
fn a_connection_ends_after_as_many_requests_as_it_may_have() {
    let text = format!("limits: {{ requests_per_connection: 3 }}\n{ANSWERS}");
    let gateway = gateway!(&text);
    let mut peer = Peer::connect(&gateway);
    for stream in [1, 3, 5] {
        peer.get(stream, "/");
        assert_eq!(peer.answer(stream), 2, "{stream}");
    }
    assert_eq!(peer.end(), End::GoAway(NO_ERROR));
}

#[test]
fn more_requests_at_once_than_allowed_are_refused_unread() {
    let gate = Gate::new();
    let origin = Origin::start(behaviour::gated(&gate, "ok"));
    let text = "limits: { http2_streams: 3 }\nroutes:\n  - { path: /*, to: @TO@ }\n";
    let gateway = gateway!(text, TO = origin.url());
    let mut peer = Peer::connect(&gateway);
    let settings = peer.wait(Frame::SETTINGS, 0);
    assert!(settings.payload.windows(6).any(|pair| pair == [0, 3, 0, 0, 0, 3]), "{settings:?}");
    peer.send(&[Frame::new(Frame::SETTINGS, 1, 0, [])]);
    for stream in [1, 3, 5, 7] {
        peer.get(stream, "/");
    }
    assert_eq!(peer.reset(7), REFUSED_STREAM);
    gate.open();
    for stream in [1, 3, 5] {
        peer.answer(stream);
    }
    peer.get(9, "/");
    assert_eq!(peer.answer(9), 2, "there is room again");
}

#[test]
fn a_reload_ends_no_connection_and_the_next_request_meets_the_new_plan() {
    let gate = Gate::new();
    let origin = Origin::start(behaviour::gated(&gate, "old"));
    let gateway = gateway!("routes:\n  - { path: /*, to: @TO@ }\n", TO = origin.url());
    let mut peer = Peer::connect(&gateway);
    peer.get(1, "/");
    origin.wait_requests(1);
    gateway.replace_file(&gateway.complete("routes:\n  - { path: /*, respond: { body: newer } }\n", &[]));
    gateway.wait_generation(2);
    peer.get(3, "/");
    assert_eq!(peer.answer(3), 5);
    gate.open();
    assert_eq!(peer.answer(1), 3);
    let generation =
        |status: u64| gateway.record(|record| record["bytes_out"] == status)["generation"].clone();
    assert_eq!((generation(3), generation(5)), (json!(1), json!(2)));
}

#[test]
fn a_drain_says_goodbye_and_waits_for_what_is_under_way() {
    let gate = Gate::new();
    let origin = Origin::start(behaviour::gated(&gate, "late"));
    let mut gateway = gateway!("routes:\n  - { path: /*, to: @TO@ }\n", TO = origin.url());
    let mut busy = Peer::connect(&gateway);
    busy.get(1, "/");
    origin.wait_requests(1);
    let mut idle = Peer::connect(&gateway);
    gateway.signal(Signal::TERM);
    assert_eq!(idle.end(), End::GoAway(NO_ERROR));
    assert_eq!(busy.wait(Frame::GOAWAY, 0).code(), Some(NO_ERROR));
    // The library's ping tells that the goodbye was heard; from then on nothing new is taken.
    let ping = busy.wait(Frame::PING, 0);
    busy.send(&[Frame::new(Frame::PING, 1, 0, ping.payload)]);
    let last = busy.wait(Frame::GOAWAY, 0);
    assert_eq!(last.payload.get(..4), Some(&[0, 0, 0, 1][..]), "the request under way is the last one");
    assert_holds("the process waits", Duration::from_millis(100), || gateway.is_running());
    gate.open();
    assert_eq!(busy.answer(1), 4);
    assert_eq!(busy.end(), End::GoAway(NO_ERROR));
    assert!(gateway.wait_exit().success());
}

#[test]
fn what_the_drain_cuts_is_recorded() {
    let origin = Origin::start(behaviour::hang);
    let text = "shutdown: { grace: 1s }\nroutes:\n  - { path: /*, to: @TO@ }\n";
    let mut gateway = gateway!(text, TO = origin.url());
    let mut peer = Peer::connect(&gateway);
    peer.get(1, "/hangs");
    origin.wait_requests(1);
    gateway.signal(Signal::TERM);
    peer.end();
    assert!(gateway.wait_exit().success());
    let record = gateway.record_of("/hangs");
    assert_eq!((&record["status"], &record["reason"]), (&json!(503), &json!("draining")));
}

#[test]
fn a_client_that_is_gone_takes_its_requests_with_it() {
    let origin = Origin::start(behaviour::hang);
    let gateway = gateway!("routes:\n  - { path: /*, to: @TO@ }\n", TO = origin.url());
    let mut peer = Peer::connect(&gateway);
    peer.get(1, "/a");
    peer.send(&[Frame::headers(3, &fields("POST", "/b", &[]), false)]);
    origin.wait_requests(2);
    drop(peer);
    origin.wait_closed(0);
    origin.wait_closed(1);
    for path in ["/a", "/b"] {
        assert_eq!(gateway.record_of(path)["reason"], "client_closed", "{path}");
    }
    wait_for("the connection's place", || gateway.metrics().sum("tollgate_connections", &[]) == 0.0);
}
