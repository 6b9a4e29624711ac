//! Many clients that want the same at the same time.

use std::time::Duration;

use tollgate_testkit::{Client, Gate, Gateway, Origin, assert_holds, behaviour, gateway, wait_for};

use crate::kit::status;

const CLIENTS: usize = 20;

const ROUTES: &str = "
workers: 2
routes:
  - { name: all, path: /*, to: @ORIGIN@, cache: {} }
";

/// Answers when the gate opens, with these header lines.
fn gated(gate: &Gate, lines: &'static str) -> Origin {
    let gate = gate.clone();
    Origin::start(move |conn| {
        loop {
            conn.request()?;
            gate.wait();
            conn.send(format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok"))?;
        }
    })
}

fn ask_all(gateway: &Gateway) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| gateway.client()).collect();
    clients.iter_mut().for_each(|client| client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n"));
    clients
}

fn in_flight(gateway: &Gateway) -> f64 {
    gateway.metrics().get("tollgate_inflight_requests")
}

#[test]
fn one_asks_for_all() {
    let gate = Gate::new();
    let origin = gated(&gate, "Cache-Control: max-age=60\r\n");
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut clients = ask_all(&gateway);
    wait_for("all of them", || in_flight(&gateway) == CLIENTS as f64);
    origin.wait_requests(1);
    assert_holds("one asks", Duration::from_millis(200), || origin.count() == 1);
    gate.open();
    let answers: Vec<_> = clients.iter_mut().map(Client::response).collect();
    assert!(answers.iter().all(|answer| answer.text() == "ok"));
    let collapsed = answers.iter().filter(|answer| status(answer).contains("; collapsed")).count();
    assert_eq!((collapsed, origin.count()), (CLIENTS - 1, 1));
    let counted = gateway.metrics().get("tollgate_cache_total{route=\"all\",result=\"collapsed\"}");
    assert_eq!(counted as usize, CLIENTS - 1);
}

#[test]
fn an_answer_for_one_client_only_makes_nobody_wait_in_a_row() {
    let gate = Gate::new();
    let origin = gated(&gate, "Cache-Control: no-store\r\n");
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut clients = ask_all(&gateway);
    wait_for("all of them", || in_flight(&gateway) == CLIENTS as f64);
    gate.open();
    assert!(clients.iter_mut().all(|client| client.response().text() == "ok"));
    assert_eq!(origin.count(), CLIENTS, "each has an answer of its own");
    // Now it is known: the next ones do not wait at all.
    let shut = Gate::new();
    drop(clients);
    let hanging = gated(&shut, "Cache-Control: no-store\r\n");
    gateway.replace_file(&gateway.complete(ROUTES, &[("ORIGIN", hanging.url())]));
    gateway.wait_generation(2);
    let first = ask_all(&gateway);
    wait_for("one, and the others behind it", || {
        in_flight(&gateway) == CLIENTS as f64 && hanging.count() >= 1
    });
    shut.open();
    drop(first);
}

#[test]
fn who_waits_takes_over_when_the_first_one_leaves() {
    let gate = Gate::new();
    let origin = gated(&gate, "Cache-Control: max-age=60\r\n");
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut first = gateway.client();
    first.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.wait_requests(1);
    let mut second = gateway.client();
    second.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    wait_for("both", || in_flight(&gateway) == 2.0);
    first.reset();
    origin.wait_requests(2);
    gate.open();
    assert_eq!(second.response().text(), "ok");
}

#[test]
fn a_request_for_other_headers_waits_for_nobody_in_vain() {
    let gate = Gate::new();
    let inside = gate.clone();
    let origin = Origin::start(move |conn| {
        loop {
            let seen = conn.request()?;
            if seen.header("x-color") == Some("red") {
                inside.wait();
            }
            let color = seen.header("x-color").unwrap_or_default();
            let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nVary: X-Color\r\n";
            conn.send(format!("{head}Content-Length: {}\r\n\r\n{color}", color.len()))?;
        }
    });
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let ask = |color: &str| {
        let mut client = gateway.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: test\r\nX-Color: {color}\r\n\r\n"));
        client
    };
    // Once it is known what answers depend on, others need not wait.
    assert_eq!(ask("green").response().text(), "green");
    let mut red = ask("red");
    origin.wait_requests(2);
    assert_eq!(ask("blue").response().text(), "blue");
    gate.open();
    assert_eq!(red.response().text(), "red");
}

#[test]
fn head_waits_for_what_get_is_answered_and_for_nothing_else() {
    let gate = Gate::new();
    let origin = gated(&gate, "Cache-Control: max-age=60\r\n");
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let ask = |method: &str, path: &str| {
        let mut client = gateway.client();
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        client
    };
    let mut get = ask("GET", "/");
    origin.wait_requests(1);
    let mut heads: Vec<Client> = (0..CLIENTS).map(|_| ask("HEAD", "/")).collect();
    wait_for("all of them", || in_flight(&gateway) == (CLIENTS + 1) as f64);
    assert_holds("one asks", Duration::from_millis(200), || origin.count() == 1);
    gate.open();
    assert_eq!(get.response().text(), "ok");
    for head in &mut heads {
        let answer = head.response_to("HEAD");
        assert!(status(&answer).contains("; collapsed"), "{}", status(&answer));
        assert_eq!((answer.status, answer.header("content-length")), (200, Some("2")));
    }
    assert_eq!(origin.count(), 1);
}

#[test]
fn waiting_has_an_end() {
    let origin = Origin::start(|conn| match conn.index() {
        0 => behaviour::hang(conn),
        _ => behaviour::ok(conn),
    });
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut first = gateway.client();
    first.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.wait_requests(1);
    let mut second = gateway.client();
    second.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(second.response().text(), "ok", "after five seconds it asks by itself");
}

#[test]
fn a_request_with_credentials_does_not_keep_the_others_from_waiting() {
    let gate = Gate::new();
    let inside = gate.clone();
    let origin = Origin::start(move |conn| {
        loop {
            let seen = conn.request()?;
            if seen.header("authorization").is_none() {
                inside.wait();
            }
            conn.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok")?;
        }
    });
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let own = gateway.client().exchange("GET / HTTP/1.1\r\nHost: test\r\nAuthorization: Basic eDp5\r\n\r\n");
    assert_eq!(status(&own), "tollgate; fwd=uri-miss", "it is not kept");
    let mut clients = ask_all(&gateway);
    wait_for("all of them", || in_flight(&gateway) == CLIENTS as f64);
    origin.wait_requests(2);
    assert_holds("one asks", Duration::from_millis(200), || origin.count() == 2);
    gate.open();
    assert!(clients.iter_mut().all(|client| client.response().text() == "ok"));
    assert_eq!(origin.count(), 2);
}
