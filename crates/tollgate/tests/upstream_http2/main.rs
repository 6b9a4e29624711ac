//! Targets that speak HTTP/2 in clear: what they are sent, what comes back, and how many connections it takes.

mod frames;
#[path = "../tls/pki.rs"]
#[allow(dead_code, reason = "not every kind of certificate is needed here")]
mod pki;
mod tls;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server::Builder;
use tokio::sync::watch;
use tollgate_testkit::{
    Client, Gateway, H2Exchange, H2Origin, H2Seen, assert_holds, assert_problem, gateway, wait_for,
};

fn to(origin: &H2Origin) -> Gateway {
    gateway!("routes:\n  - { path: /*, to: @TO@ }\n", TO = origin.url())
}

/// One worker, one upstream `u` with these keys.
fn with(url: &str, keys: &str) -> Gateway {
    let text = format!(
        "workers: 1\nupstreams:\n  u:\n    targets: [\"@TO@\"]\n{keys}routes:\n  - {{ path: /*, to: u }}\n"
    );
    gateway!(&text, TO = url)
}

#[test]
fn a_request_arrives_as_it_was_sent() {
    let origin = H2Origin::ok();
    let gateway = to(&origin);
    let answer = gateway.client().exchange(
        "POST /a/../b%20c?x=%3C<&y HTTP/1.1\r\nHost: Client.test\r\nConnection: close, x-hop\r\nX-Hop: 1\r\n\
         Keep-Alive: 1\r\nTE: trailers, gzip\r\nCookie: a=1; b=2\r\nX-Twice: 1\r\nX-Twice: 2\r\n\
         Content-Length: 5\r\n\r\nhello",
    );
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let seen = origin.request();
    assert_eq!((seen.method.as_str(), seen.scheme.as_str()), ("POST", "http"));
    assert_eq!((seen.path.as_str(), seen.authority.as_str()), ("/b%20c?x=%3C%3C&y", &*origin.address()));
    assert_eq!((seen.body.as_slice(), seen.complete), (&b"hello"[..], true));
    let lines = |seen: &H2Seen| -> Vec<(String, String)> {
        let own = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "via"];
        seen.headers.iter().filter(|(name, _)| !own.contains(&&**name)).cloned().collect()
    };
    let wanted = [
        ("cookie", "a=1; b=2"),
        ("x-twice", "1"),
        ("x-twice", "2"),
        ("content-length", "5"),
        ("te", "trailers"),
    ];
    let mut found = lines(&seen);
    found.sort();
    let mut wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
    wanted.sort();
    assert_eq!(found, wanted);
    assert_eq!(seen.header("via"), Some("1.1 tollgate"));
    assert_eq!(seen.header("x-forwarded-host"), Some("Client.test"));
}

#[test]
fn what_authority_says() {
    let origin = H2Origin::ok();
    for (host, wanted) in [
        ("upstream", origin.address()),
        ("preserve", "client.test:81".into()),
        ("api.test", "api.test".into()),
    ] {
        let gateway = with(&origin.url(), &format!("    host: {host}\n"));
        let before = origin.requests().len();
        gateway.client().exchange("GET / HTTP/1.1\r\nHost: client.test:81\r\n\r\n");
        assert_eq!(origin.requests()[before].authority, wanted, "{host}");
    }
}

#[test]
fn answers_come_back_whole() {
    let origin = H2Origin::start(|mut exchange| async move {
        exchange.body().await;
        match exchange.request.uri().path() {
            "/length" => exchange.answer(201, &[("content-length", "3"), ("x-a", "1")], b"abc", &[]),
            "/open" => exchange.answer(200, &[("server", "s")], b"abc", &[]),
            "/none" => exchange.answer(200, &[], b"", &[]),
            "/204" => exchange.answer(204, &[], b"", &[]),
            "/trailers" => exchange.answer(200, &[], b"abc", &[("x-sum", "6")]),
            "/head" => exchange.answer(200, &[("content-length", "7")], b"", &[]),
            _ => exchange.answer(404, &[], b"no", &[]),
        }
    });
    let gateway = to(&origin);
    let mut client = gateway.client();
    let answer = client.get("/length");
    assert_eq!((answer.status, answer.text().as_str(), answer.head.get("x-a")), (201, "abc", Some("1")));
    assert_eq!(answer.head.get("content-length"), Some("3"));
    let answer = client.get("/open");
    assert_eq!((answer.text().as_str(), answer.head.get("transfer-encoding")), ("abc", Some("chunked")));
    let answer = client.get("/none");
    assert_eq!((answer.text().as_str(), answer.head.get("content-length")), ("", Some("0")));
    assert_eq!(client.get("/204").status, 204);
    let answer = client.exchange("GET /trailers HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n");
    assert_eq!((answer.text().as_str(), answer.trailers), ("abc", vec![("x-sum".into(), "6".into())]));
    client.send("HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = client.response_to("HEAD");
    assert_eq!((answer.status, answer.head.get("content-length")), (200, Some("7")));
    assert_eq!(client.get("/else").status, 404);
    assert_eq!(origin.connections(), (1, 1), "one connection carries all");
}

#[test]
fn bodies_of_every_kind_go_up() {
    let origin = H2Origin::ok();
    let gateway = to(&origin);
    let mut client = gateway.client();
    client.exchange(
        "POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
         3\r\nabc\r\n4\r\ndefg\r\n0\r\nx-sum: 7\r\n\r\n",
    );
    let seen = origin.request();
    assert_eq!((seen.body.as_slice(), seen.complete), (&b"abcdefg"[..], true));
    assert_eq!(seen.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    assert_eq!((seen.header("transfer-encoding"), seen.header("content-length")), (None, None));
    let big: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
    client.send(format!("PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", big.len()));
    client.send(&big);
    assert_eq!(client.response().status, 200);
    assert!(origin.requests()[1].body == big, "a megabyte arrived whole");
}

#[test]
fn requests_at_the_same_time_share_a_connection() {
    let gate = watch::Sender::new(false);
    let origin = held(100, &gate);
    let gateway = with(&origin.url(), "");
    let mut clients: Vec<Client> = (0..30).map(|_| gateway.client()).collect();
    clients.iter_mut().for_each(|client| client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    origin.wait_requests(30);
    assert_eq!(origin.connections(), (1, 1));
    let active = "tollgate_upstream_connections{upstream=\"u\",state=\"active\"}";
    assert_eq!(gateway.metrics().get(active), 1.0, "connections, not requests");
    gate.send_replace(true);
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
    let idle = "tollgate_upstream_connections{upstream=\"u\",state=\"idle\"}";
    wait_for("the connection to be idle", || gateway.metrics().get(idle) == 1.0);
    assert_eq!(gateway.metrics().get(active), 0.0);
}

/// Holds every answer until the gate opens.
fn held(streams: u32, gate: &watch::Sender<bool>) -> H2Origin {
    let gate = gate.subscribe();
    H2Origin::start_with(Builder::new().max_concurrent_streams(streams), move |mut exchange| {
        let mut gate = gate.clone();
        async move {
            exchange.body().await;
            let _ = gate.wait_for(|open| *open).await;
            exchange.answer(200, &[], b"ok", &[]);
        }
    })
}

#[test]
fn another_connection_when_the_first_is_full() {
    let gate = watch::Sender::new(false);
    let origin = held(2, &gate);
    let gateway = with(&origin.url(), "    pool: { max_connections: 2 }\n    connect_timeout: 300ms\n");
    let mut clients: Vec<Client> = (0..5).map(|_| gateway.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n"));
        if n < 4 {
            origin.wait_requests(n + 1);
        }
    }
    let mut last = clients.pop().expect("five of them");
    assert_problem(&last.response(), "overloaded");
    assert_eq!(origin.connections(), (2, 2), "two streams on each of two connections");
    gate.send_replace(true);
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
    assert_eq!(last.get("/").status, 200, "there is room again");
}

/// As a target that drains without saying so: what is open goes on, and nothing new is taken.
#[test]
fn a_connection_that_refuses_streams_is_left_alone() {
    let gate = watch::Sender::new(false);
    let held = gate.subscribe();
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = seen.clone();
    let origin = H2Origin::start(move |mut exchange| {
        let (mut held, counted) = (held.clone(), counted.clone());
        async move {
            if exchange.request.uri().path() == "/long" {
                exchange.head(200, &[], false);
                let _ = held.wait_for(|open| *open).await;
            } else if exchange.connection() == 0 {
                counted.fetch_add(1, Ordering::Relaxed);
                exchange.reset(Reason::REFUSED_STREAM);
            } else {
                exchange.answer(200, &[], b"ok", &[]);
            }
        }
    });
    let gateway = with(&origin.url(), "");
    let mut long = gateway.client();
    long.send("GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_requests(1);
    for n in 0..12 {
        assert_eq!(gateway.get("/").status, 200, "request {n}");
    }
    assert!(seen.load(Ordering::Relaxed) <= 3, "{seen:?} of 12 were sent where they are refused");
    assert_eq!(origin.connections().0, 2);
    gate.send_replace(true);
}

/// Where all connections refuse, there is no sense in more of them.
#[test]
fn a_target_that_refuses_everything_gets_no_more_connections() {
    let origin = H2Origin::start(|mut exchange| async move { exchange.reset(Reason::REFUSED_STREAM) });
    let gateway = with(&origin.url(), "    pool: { max_connections: 10 }\n");
    for _ in 0..12 {
        assert_problem(&gateway.get("/"), "upstream_reset");
    }
    assert_eq!(origin.connections().0, 2);
    let gateway = with(&origin.url(), "    pool: { max_connections: 1 }\n    connect_timeout: 5s\n");
    for _ in 0..3 {
        assert_problem(&gateway.get("/"), "upstream_reset");
    }
    assert_eq!(origin.connections().0, 3);
}

/// Others look for room meanwhile, and find none: that is nothing to the one who has it.
#[test]
fn who_fills_a_connection_sends_its_body_at_once() {
    for streams in [1, 3] {
        let mut builder = Builder::new();
        let origin =
            H2Origin::start_with(builder.max_concurrent_streams(streams), |mut exchange| async move {
                exchange.body().await;
                exchange.answer(200, &[], b"ok", &[]);
            });
        let gateway = with(&origin.url(), "    timeout: 60s\n");
        let mut clients: Vec<Client> = (0..10).map(|_| gateway.client()).collect();
        for _ in 0..10 {
            let body = "x".repeat(100);
            let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{body}");
            clients.iter_mut().for_each(|client| client.send(&request));
            clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
        }
    }
}

#[test]
fn who_waits_for_a_stream_gets_the_next_one() {
    let gate = watch::Sender::new(false);
    let origin = held(1, &gate);
    let gateway = with(&origin.url(), "    pool: { max_connections: 1 }\n    connect_timeout: 5s\n");
    let mut clients: Vec<Client> = (0..6).map(|_| gateway.client()).collect();
    clients.iter_mut().for_each(|client| client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    origin.wait_requests(1);
    assert_holds("one at a time", Duration::from_millis(100), || origin.requests().len() == 1);
    gate.send_replace(true);
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
    assert_eq!(origin.connections(), (1, 1));
}

#[test]
fn idle_connections_end_in_time_and_on_reload() {
    let origin = H2Origin::ok();
    let gateway = with(&origin.url(), "    pool: { idle: 1s }\n");
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(origin.connections(), (1, 1));
    wait_for("the idle connection to end", || origin.connections() == (1, 0));
    assert_eq!(gateway.get("/").status, 200);
    gateway.replace_file("routes: [{ path: /*, respond: { status: 204 } }]\n");
    gateway.wait_generation(2);
    wait_for("the connection of a target that is none any more to end", || origin.connections().1 == 0);
    let none = with(&origin.url(), "    pool: { max_idle_per_worker: 0 }\n");
    assert_eq!(none.get("/").status, 200);
    wait_for("a connection that may not be kept to end", || origin.connections().1 == 0);
}

#[test]
fn a_connection_that_goes_finishes_what_is_on_it() {
    let gate = watch::Sender::new(false);
    let origin = held(100, &gate);
    let gateway = with(&origin.url(), "");
    let mut first = gateway.client();
    first.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_requests(1);
    origin.go_away();
    // Those that were faster than the farewell are on the first connection, too, and wait there.
    let mut others = Vec::new();
    wait_for("a request on a second connection", || {
        let mut other = gateway.client();
        other.send("GET /second HTTP/1.1\r\nHost: a\r\n\r\n");
        others.push(other);
        origin.wait_requests(1 + others.len());
        origin.connections().0 == 2
    });
    gate.send_replace(true);
    assert_eq!(first.response().status, 200);
    others.iter_mut().for_each(|other| assert_eq!(other.response().status, 200));
    wait_for("the first connection to end", || origin.connections() == (2, 1));
}

#[test]
fn a_client_that_leaves_cancels_its_stream() {
    let origin = H2Origin::start(|mut exchange| async move {
        exchange.body().await;
        if exchange.request.uri().path() == "/hang" {
            exchange.wait_reset().await;
        } else {
            exchange.answer(200, &[], b"ok", &[]);
        }
    });
    let gateway = with(&origin.url(), "");
    let mut client = gateway.client();
    client.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_requests(1);
    client.reset();
    wait_for("the stream to be given up", || origin.requests()[0].reset == Some(Reason::CANCEL.into()));
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(origin.connections(), (1, 1), "nobody else suffers");
}

#[test]
fn a_body_that_is_not_finished_never_looks_complete() {
    let origin = H2Origin::start(|mut exchange| async move {
        exchange.answer(200, &[], b"early", &[]);
        exchange.body().await;
    });
    let gateway = to(&origin);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    assert_eq!(client.response().text(), "early", "an answer does not wait for the body");
    drop(client);
    wait_for("the stream to be given up", || origin.request().reset.is_some());
    assert!(!origin.request().complete);

    let origin = H2Origin::start(|mut exchange| async move {
        let mut stream = exchange.head(200, &[], false);
        exchange.body().await;
        if let Some(stream) = &mut stream {
            let _ = stream.send_data(Bytes::from_static(b"end"), true);
        }
    });
    let gateway = to(&origin);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client.until("\r\n\r\n");
    wait_for("the beginning of the body", || origin.request().body == b"abc");
    client.send("nonsense\r\n");
    drop(client);
    wait_for("the stream to be given up", || origin.request().reset.is_some());
    assert!(!origin.request().complete, "what came is not all there is");
}

/// Neither side buffers for the other: an origin that does not read stops the client, a client that does not read
/// stops the origin.
#[test]
fn back_pressure() {
    let sent = Arc::new(AtomicUsize::new(0));
    let theirs = sent.clone();
    let origin = H2Origin::start(move |mut exchange: H2Exchange| {
        let sent = theirs.clone();
        async move {
            if exchange.request.method() == "POST" {
                return exchange.wait_reset().await;
            }
            let Some(mut stream) = exchange.head(200, &[], false) else { return };
            loop {
                stream.reserve_capacity(16_384);
                match std::future::poll_fn(|cx| stream.poll_capacity(cx)).await {
                    Some(Ok(room)) if room > 0 => {
                        sent.fetch_add(room, Ordering::SeqCst);
                        let _ = stream.send_data(Bytes::from(vec![b'x'; room]), false);
                    }
                    Some(Ok(_)) => {}
                    _ => return,
                }
            }
        }
    });
    let gateway = with(&origin.url(), "");
    let mut reader = Client::connect_narrow(&gateway.address(), 4096);
    reader.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    reader.until("\r\n\r\n");
    let mut before = usize::MAX;
    wait_for("the origin to stand still", || {
        tollgate_testkit::pause(Duration::from_millis(100));
        std::mem::replace(&mut before, sent.load(Ordering::SeqCst)) == sent.load(Ordering::SeqCst)
    });
    assert!(before < 8 << 20, "{before} bytes were taken for a client that reads nothing");
    let mut writer = gateway.client();
    writer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
    let taken = writer.send_while_taken(&vec![b'x'; 9_000_000], Duration::from_millis(500));
    assert!(taken < 8 << 20, "{taken} bytes were taken for an origin that reads nothing");
}

/// A hundred clients that read nothing do not hold up one that does.
#[test]
fn slow_clients_hold_up_nobody() {
    let origin = H2Origin::start(|mut exchange| async move {
        exchange.body().await;
        let big = vec![b'x'; 4 << 20];
        let quick = exchange.request.uri().path() == "/quick";
        exchange.answer(200, &[], if quick { b"quick" } else { &big }, &[]);
    });
    let gateway = with(&origin.url(), "");
    let mut slow: Vec<Client> = (0..40).map(|_| Client::connect_narrow(&gateway.address(), 4096)).collect();
    slow.iter_mut().for_each(|client| client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"));
    origin.wait_requests(40);
    for _ in 0..20 {
        assert_eq!(gateway.get("/quick").text(), "quick");
    }
    assert_eq!(origin.connections().0, 1);
}

#[test]
fn interim_answers_pass() {
    let origin = H2Origin::start(|mut exchange| async move {
        exchange.interim(103, &[("link", "</a>")]);
        exchange.body().await;
        exchange.answer(200, &[], b"ok", &[]);
    });
    let gateway = to(&origin);
    let answer = gateway.client().exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((answer.status, answer.interim.len()), (200, 1), "{answer:#?}");
    assert_eq!(answer.interim[0].get("link"), Some("</a>"));
}

#[test]
fn expect_continue_is_asked_of_the_target() {
    let origin = H2Origin::start(|mut exchange| async move {
        exchange.interim(100, &[]);
        exchange.body().await;
        exchange.answer(200, &[], b"ok", &[]);
    });
    let gateway = to(&origin);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    client.until("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    assert_eq!(client.response().status, 200);
    assert_eq!(origin.request().body, b"abc");
}

#[test]
fn a_target_that_comes_back() {
    let first = H2Origin::ok();
    let (address, url) = (first.address(), first.url());
    let gateway = with(&url, "");
    assert_eq!(gateway.get("/").status, 200);
    drop(first);
    let second = H2Origin::start_at(&address, &Builder::new(), |mut exchange| async move {
        exchange.answer(200, &[], b"back", &[]);
    });
    for _ in 0..5 {
        assert_eq!(gateway.get("/").text(), "back");
    }
    assert_eq!(second.connections().0, 1);
}

#[test]
fn workers_share_the_limit_on_connections() {
    let origin = H2Origin::ok();
    let text = "workers: 2\nupstreams:\n  u: { targets: [\"@TO@\"], pool: { max_connections: 1 }, connect_timeout: 5s }\n\
                routes:\n  - { path: /*, to: u }\n";
    let gateway = gateway!(text, TO = origin.url());
    let mut clients: Vec<Client> = (0..6).map(|_| gateway.client()).collect();
    for _ in 0..10 {
        clients.iter_mut().for_each(|client| client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
    }
    assert!(origin.connections().1 <= 1);
}

#[test]
fn health_checks_speak_it_too() {
    let healthy = Arc::new(Mutex::new(200u16));
    let theirs = healthy.clone();
    let origin = H2Origin::start(move |mut exchange| {
        let status = *theirs.lock().expect("nobody panics");
        async move { exchange.answer(status, &[], b"", &[]) }
    });
    let gateway = with(
        &origin.url(),
        "    health_check: { path: /health, every: 50ms, timeout: 40ms, healthy_after: 1, unhealthy_after: 1 }\n",
    );
    wait_for("a check", || !origin.requests().is_empty());
    let seen = origin.requests().remove(0);
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("GET", "/health"));
    assert_eq!((seen.scheme.as_str(), seen.authority.as_str()), ("http", &*origin.address()));
    assert_eq!(seen.header("user-agent"), Some("tollgate-health-check"));
    *healthy.lock().expect("nobody panics") = 500;
    wait_for("the target to be unhealthy", || gateway.get("/").status == 503);
    *healthy.lock().expect("nobody panics") = 200;
    wait_for("the target to be healthy", || gateway.get("/").status == 200);
}

#[test]
fn a_websocket_cannot_go_there() {
    let origin = H2Origin::ok();
    let gateway = to(&origin);
    let answer = gateway.client().exchange(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert_problem(&answer, "upgrade_refused");
    assert!(origin.requests().is_empty());
}
