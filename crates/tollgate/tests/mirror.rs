//! `mirror`: copies of requests for a second upstream, which the client never notices.

use std::time::{Duration, Instant};

use tollgate_testkit::behaviour::{self, named};
use tollgate_testkit::{Gateway, Origin, Port, Seen, Signal, assert_holds, gateway, wait_for};

const ROUTES: &str = "
workers: 1
upstreams:
  main: { targets: [@MAIN@] }
  canary: { targets: [@CANARY@/base] }
routes:
  - name: all
    path: /*
    to: main
    mirror: { to: canary }
    request: { rewrite: \"/v2{path}\", set_headers: { x-a: b }, remove_headers: [cookie], set_query: { v: \"2\" } }
";

fn start(main: &Origin, canary: &str) -> Gateway {
    gateway!(ROUTES, MAIN = main.url(), CANARY = canary)
}

fn mirrored(gateway: &Gateway, result: &str) -> f64 {
    gateway.metrics().get(&format!("tollgate_mirrored_total{{route=\"all\",result=\"{result}\"}}"))
}

/// The lines of a request that both upstreams see alike.
fn lines(seen: &Seen) -> Vec<(String, String)> {
    seen.head.lines.iter().filter(|(name, _)| name != "host").cloned().collect()
}

#[test]
fn the_copy_is_the_request_with_its_edits() {
    let (main, canary) = (Origin::start(named("main")), Origin::start(named("canary")));
    let gateway = start(&main, &canary.url());
    let mut client = gateway.client();
    for (request, body) in [
        ("GET /x?a=1 HTTP/1.1\r\nHost: test\r\nCookie: c\r\nX-B: c\r\n\r\n", ""),
        ("POST /x?a=1 HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello", "hello"),
        (
            "PUT /x?a=1 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            "abcde",
        ),
        ("POST /x?a=1 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ""),
        ("POST /x?a=1 HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n", ""),
    ] {
        let before = canary.count();
        assert_eq!(client.exchange(request).text(), "main", "{request:?}");
        canary.wait_requests(before + 1);
        let (theirs, copy) = (main.last(), canary.last());
        wait_for("the body of the copy", || canary.last().body == body.as_bytes());
        assert_eq!((theirs.target(), copy.target()), ("/v2/x?a=1&v=2", "/base/v2/x?a=1&v=2"));
        assert_eq!((theirs.method(), lines(&theirs)), (copy.method(), lines(&copy)));
        assert_eq!(copy.header("host"), Some(&*canary.address()));
        assert_eq!(theirs.body, body.as_bytes());
    }
    wait_for("the metrics", || mirrored(&gateway, "sent") == 5.0);
    let labels = ["upstream=\"canary\"", "outcome=\"2xx\""];
    wait_for("the answers", || gateway.metrics().sum("tollgate_upstream_requests_total", &labels) == 5.0);
    wait_for("the records", || gateway.stdout().records().len() >= 5);
    assert_holds("a copy has no record of its own", Duration::from_millis(300), || {
        gateway.stdout().records().len() == 5
    });
    assert_eq!(canary.connections().len(), 1, "its connection is used again");
}

#[test]
fn nothing_that_the_second_upstream_does_is_noticed() {
    let main = Origin::start(named("main"));
    let nobody = Port::reserve();
    let hang = Origin::start(behaviour::hang);
    let reset = Origin::start(|conn| {
        conn.request()?;
        conn.reset()
    });
    let garbage = Origin::saying("SSH-2.0\r\n\r\n");
    let endless = Origin::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\n\r\n")?;
        loop {
            conn.send([b'x'; 65536])?;
        }
    });
    let urls =
        [format!("http://{}", nobody.address()), hang.url(), reset.url(), garbage.url(), endless.url()];
    for canary in urls {
        let gateway = start(&main, &canary);
        let mut client = gateway.client();
        for n in 0..20 {
            let began = Instant::now();
            let answer =
                client.exchange(format!("POST /{n} HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc"));
            assert_eq!((answer.status, answer.text()), (200, "main".to_owned()), "{canary}");
            assert!(began.elapsed() < Duration::from_secs(1), "{canary} slows the client");
            assert_eq!(gateway.record_of(&format!("/{n}"))["reason"], serde_json::Value::Null);
        }
        wait_for("the copies", || mirrored(&gateway, "sent") == 20.0);
    }
    // An answer without an end is not read to it.
    wait_for("the end of the endless", || endless.connections().iter().all(|seen| seen.closed.is_some()));
}

#[test]
fn what_is_too_long_or_too_much_is_counted_and_not_sent() {
    let (main, canary) = (Origin::echo(), Origin::start(behaviour::hang));
    let gateway = start(&main, &canary.url());
    let mut client = gateway.client();
    let long = "x".repeat(64 * 1024 + 1);
    let answer = client
        .exchange(format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{long}", long.len()));
    assert_eq!(answer.json()["body_bytes"], 64 * 1024 + 1);
    assert_eq!(mirrored(&gateway, "too_long"), 1.0);
    let chunks = format!(
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n",
        long.len()
    );
    assert_eq!(client.exchange(chunks).json()["body_bytes"], 64 * 1024 + 1);
    wait_for("the count", || mirrored(&gateway, "incomplete") == 1.0);
    // A client that leaves in the middle of its body.
    let mut leaves = gateway.client();
    leaves.send("POST /left HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nabc");
    main.wait_requests(3);
    drop(leaves);
    wait_for("the count", || mirrored(&gateway, "incomplete") == 2.0);
    canary.assert_untouched();
    for _ in 0..70 {
        client.get("/");
    }
    wait_for("the counts", || mirrored(&gateway, "too_many") == 6.0 && mirrored(&gateway, "sent") == 64.0);
    canary.wait_requests(64);
    assert_holds("no more than that many", Duration::from_millis(100), || canary.count() == 64);
}

#[test]
fn a_share_is_about_that_share() {
    let (main, canary) = (Origin::ok(), Origin::ok());
    let text = "
workers: 1
routes:
  - { name: all, path: /*, to: @MAIN@, mirror: { to: @CANARY@, share: 20% } }
  - { name: never, path: /never, to: @MAIN@, mirror: { to: @CANARY@, share: 0% } }
";
    let gateway = gateway!(text, MAIN = main.url(), CANARY = canary.url());
    let mut client = gateway.client();
    (0..600).for_each(|_| assert_eq!(client.get("/").status, 200));
    (0..50).for_each(|_| assert_eq!(client.get("/never").status, 200));
    wait_for("all to be counted", || {
        let sent = mirrored(&gateway, "sent") + mirrored(&gateway, "too_many");
        sent as usize >= canary.count() && sent > 0.0
    });
    // The standard deviation is 10: this misses by chance once in 10 million times.
    let sent = mirrored(&gateway, "sent") + mirrored(&gateway, "too_many");
    assert!((66.0..=174.0).contains(&sent), "{sent} of 600");
}

#[test]
fn a_drain_does_not_wait_for_copies() {
    let (main, canary) = (Origin::ok(), Origin::start(behaviour::hang));
    let mut gateway = start(&main, &canary.url());
    assert_eq!(gateway.get("/").status, 200);
    canary.wait_requests(1);
    let began = Instant::now();
    gateway.signal(Signal::TERM);
    assert!(gateway.wait_exit().success());
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
}
