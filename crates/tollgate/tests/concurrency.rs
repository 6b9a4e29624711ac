//! How many at once: `concurrency` and its queue.

use std::time::Duration;

use tollgate_testkit::{
    Client, Gate, Gateway, Origin, Signal, assert_problem, behaviour, gateway, pause, wait_for,
};

fn reload(gateway: &Gateway, text: &str) {
    let before = gateway.generation();
    gateway.replace_file(&gateway.complete(text, &[]));
    wait_for("the reload", || gateway.generation() > before);
}

/// A connection with a GET on it that is not answered yet.
fn asking(gateway: &Gateway, path: &str) -> Client {
    let mut client = gateway.client();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
    client
}

fn inflight(gateway: &Gateway) -> f64 {
    gateway.metrics().get("tollgate_inflight_requests")
}

#[test]
fn no_more_than_max_are_in_flight_over_all_workers() {
    let gate = Gate::new();
    let origin = Origin::start(behaviour::gated(&gate, "ok"));
    let gateway = gateway!(
        "
workers: 4
routes:
  - { path: /a, concurrency: { max: 5 }, to: \"@ORIGIN@\" }
  - { path: /b, concurrency: { max: 1 }, to: \"@ORIGIN@\" }
",
        ORIGIN = origin.url()
    );
    let mut clients: Vec<Client> = (0..20).map(|_| asking(&gateway, "/a")).collect();
    wait_for("five at the origin and no other left", || inflight(&gateway) == 5.0 && origin.count() == 5);
    let other = asking(&gateway, "/b");
    wait_for("another route has its own places", || origin.count() == 6);
    gate.open();
    let mut statuses: Vec<u16> = Vec::new();
    for client in &mut clients {
        let answer = client.response();
        if answer.status != 200 {
            assert_problem(&answer, "concurrency_limited");
            assert_eq!(answer.json()["detail"], "5 requests at once here");
        }
        statuses.push(answer.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [[200; 5].as_slice(), &[503; 15]].concat());
    drop(other);
    // The places are free again.
    for client in clients.iter_mut().take(5) {
        assert_eq!(client.get("/a").status, 200);
    }
}

const QUEUED: &str = "
workers: 2
shutdown: { grace: 20s }
routes:
  - { path: /*, concurrency: { max: 1, queue: 3 }, timeout: 20s, to: \"@ORIGIN@\" }
";

/// Who has its answer has given its place up: one request after the other is never two at once, on whichever connection.
#[test]
fn a_place_is_free_before_its_answer_is_read() {
    let origin = Origin::start(behaviour::ok);
    let chunked =
        Origin::saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let gateway = gateway!(
        "
workers: 2
routes:
  - { path: /plain, concurrency: { max: 1 }, to: \"@ORIGIN@\" }
  - { path: /chunked, concurrency: { max: 1 }, to: \"@CHUNKED@\" }
  - { path: /coded, concurrency: { max: 1 }, to: \"@CHUNKED@\", response: { compress: true } }
  - { path: /own, concurrency: { max: 1 }, respond: { body: ok } }
",
        ORIGIN = origin.url(),
        CHUNKED = chunked.url()
    );
    let mut clients: Vec<Client> = (0..6).map(|_| gateway.client()).collect();
    for path in ["/plain", "/chunked", "/coded", "/own"] {
        for turn in 0..300 {
            let answer = clients[turn % 6].get(path);
            assert_eq!(answer.status, 200, "{path}, request {turn}: {answer:?}");
        }
    }
}

#[test]
fn who_waits_gets_a_place_in_the_order_in_which_they_came() {
    let gate = Gate::new();
    let origin = Origin::start(behaviour::gated(&gate, "ok"));
    let gateway = gateway!(QUEUED, ORIGIN = origin.url());
    let mut clients = Vec::new();
    for n in 0..4 {
        clients.push(asking(&gateway, &format!("/{n}")));
        wait_for("it waits", || inflight(&gateway) == f64::from(n + 1));
    }
    let refused = gateway.get("/4");
    assert_problem(&refused, "concurrency_limited");
    assert_eq!(refused.json()["detail"], "1 requests at once here, 3 more may wait");
    origin.wait_requests(1);
    assert_eq!(origin.count(), 1);
    // Who leaves makes room, and takes no place.
    clients.remove(1).reset();
    wait_for("it left", || inflight(&gateway) == 3.0);
    assert_eq!(gateway.record_of("/1")["reason"], "client_closed");
    clients.push(asking(&gateway, "/5"));
    wait_for("it waits", || inflight(&gateway) == 4.0);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    let order: Vec<String> = origin.requests().iter().map(|seen| seen.target().to_owned()).collect();
    assert_eq!(order, ["/0", "/2", "/3", "/5"]);
}

#[test]
fn who_waits_is_served_by_a_drain() {
    let gate = Gate::new();
    let origin = Origin::start(behaviour::gated(&gate, "ok"));
    let mut gateway = gateway!(QUEUED, ORIGIN = origin.url());
    let mut clients: Vec<Client> = (0..3).map(|_| asking(&gateway, "/")).collect();
    wait_for("all of them", || inflight(&gateway) == 3.0);
    gateway.signal(Signal::TERM);
    wait_for("the drain", || gateway.readyz()["draining"] == true);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    assert!(gateway.wait_exit().success());
}

#[test]
fn waiting_ends_when_an_answer_should_be_there() {
    let origin = Origin::ok();
    let gateway = gateway!(
        "routes:\n  - { path: /*, concurrency: { max: 1, queue: 9 }, timeout: 300ms, to: \"@ORIGIN@\" }\n",
        ORIGIN = origin.url()
    );
    // Its body never comes, which is another deadline.
    let mut holder = gateway.client();
    holder.send("POST /held HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhel");
    wait_for("it holds the place", || inflight(&gateway) == 1.0);
    let began = std::time::Instant::now();
    assert_problem(&gateway.get("/waits"), "concurrency_limited");
    assert!(began.elapsed() >= Duration::from_millis(300));
    // A client that ends its side without leaving waits as well.
    let mut half = asking(&gateway, "/half");
    half.half_close();
    pause(Duration::from_millis(50));
    holder.send("lo");
    assert_eq!(holder.response().status, 200);
    assert_eq!(half.response().status, 200);
}

#[test]
fn places_outlive_a_reload() {
    let gate = Gate::new();
    let origin = Origin::start(behaviour::gated(&gate, "ok"));
    let text = |max: u32, more: &str| {
        format!(
            "routes:\n  - {{ path: /a, concurrency: {{ max: {max} }}, to: \"{}\" }}\n{more}",
            origin.url()
        )
    };
    let gateway = gateway!(&text(1, ""));
    let mut held = asking(&gateway, "/a");
    wait_for("it is in flight", || origin.count() == 1);
    reload(&gateway, &text(1, "  - { path: /b, respond: { body: ok } }\n"));
    assert_problem(&gateway.get("/a"), "concurrency_limited");
    gate.open();
    assert_eq!(held.response().status, 200);
    // The answer is out a moment before its place is free.
    wait_for("the place is given up", || inflight(&gateway) == 0.0);
    assert_eq!(gateway.get("/a").status, 200);
    reload(&gateway, &text(2, ""));
    assert_eq!(gateway.get("/a").status, 200);
}
