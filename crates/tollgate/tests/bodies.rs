//! Bodies stream, both ways, with back-pressure, and always end where they should.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tollgate_testkit::behaviour::{self, response};
use tollgate_testkit::{
    Closed, Conn, End, Fault, Gate, Gateway, Nginx, Origin, assert_problem, gateway, wait_for,
};

const ROUTES: &str = "
limits: { body: 1GiB }
routes:
  - path: /*
    to: @ORIGIN@
";

const MIB: usize = 1024 * 1024;

/// What may stand between two ends that do not read: socket buffers of the kernel on four sides, and the
/// gateway's own buffers.
const IN_BETWEEN: usize = 32 * MIB;

fn start(origin: &Origin) -> Gateway {
    gateway!(ROUTES, ORIGIN = origin.url())
}

#[test]
fn an_upload_arrives_while_it_is_sent() {
    let origin = Origin::echo();
    let gateway = start(&origin);
    let arrived = |n: u64| {
        wait_for("the part of the body", || origin.requests().last().is_some_and(|s| s.body_bytes == n))
    };
    let mut client = gateway.client();
    client.send("POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nabc");
    arrived(3);
    client.send("def");
    assert_eq!(client.response().json()["body"], "abcdef");
    client.send("POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    arrived(3);
    client.send("2\r\nde");
    arrived(5);
    client.send("\r\n0\r\n\r\n");
    assert_eq!(client.response().json()["body"], "abcde");
}

#[test]
fn a_download_arrives_while_it_is_made() {
    for (head, first, last) in [
        ("Content-Length: 6", "abc", "def"),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n", "3\r\ndef\r\n0\r\n\r\n"),
        ("Connection: close", "abc", "def"),
        (
            "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked",
            "3\r\nabc\r\n",
            "3\r\ndef\r\n0\r\n\r\n",
        ),
    ] {
        let gate = Gate::new();
        let theirs = gate.clone();
        let origin = Origin::start(move |conn| {
            conn.request()?;
            conn.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{first}"))?;
            theirs.wait();
            conn.send(last)
        });
        let gateway = start(&origin);
        let mut client = gateway.client();
        client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        let start = client.until("abc");
        assert!(start.contains("200 OK"), "{start}");
        gate.open();
        let (rest, end) = client.drain();
        assert!(String::from_utf8_lossy(&rest).contains("def"), "{head}: {rest:?}");
        assert_eq!(end, End::Eof, "{head}");
    }
}

#[test]
fn an_upload_that_nobody_reads_waits() {
    let done = Gate::new();
    let theirs = done.clone();
    let origin = Origin::start(move |conn| {
        conn.narrow(64 * 1024)?;
        conn.head()?;
        theirs.wait();
        Ok(())
    });
    let gateway = start(&origin);
    let before = gateway.resident_kib();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 500000000\r\n\r\n");
    let sent = client.send_while_taken(&vec![b'x'; 128 * MIB], Duration::from_millis(500));
    assert!(sent < IN_BETWEEN, "{sent} bytes were taken although nobody reads them");
    let grown = gateway.resident_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "one stalled upload takes {grown} KiB");
    done.open();
}

#[test]
fn a_download_that_nobody_reads_waits() {
    let sent = Arc::new(AtomicUsize::new(0));
    let theirs = sent.clone();
    let origin = Origin::start(move |conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 500000000\r\n\r\n")?;
        let piece = vec![b'x'; 64 * 1024];
        loop {
            conn.send(&piece)?;
            theirs.fetch_add(piece.len(), Ordering::SeqCst);
        }
    });
    let gateway = start(&origin);
    let before = gateway.resident_kib();
    let mut client = tollgate_testkit::Client::connect_narrow(&gateway.address(), 64 * 1024);
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut last = (0, 0);
    wait_for("the origin to be stopped", || {
        let now = sent.load(Ordering::SeqCst);
        last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
        now > 0 && last.1 > 60
    });
    assert!(last.0 < IN_BETWEEN, "{} bytes were taken although nobody reads them", last.0);
    let grown = gateway.resident_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "one stalled download takes {grown} KiB");
}

/// Nothing lost, doubled or swapped over many buffers, and the memory stays small.
#[test]
fn large_bodies_arrive_whole() {
    let body: Vec<u8> = (0..24 * MIB).map(|i| (i / 251 + i % 251) as u8).collect();
    let kept = body.clone();
    let origin = Origin::start(move |conn| {
        loop {
            let seen = conn.request()?;
            if seen.method() == "GET" {
                conn.send(response(200, &kept))?;
            } else {
                conn.send(response(200, format!("{} {:x}", seen.body_bytes, seen.body_sum).as_bytes()))?;
            }
        }
    });
    let gateway = start(&origin);
    let mut client = gateway.client();
    let before = gateway.resident_kib();
    assert!(client.get("/down").body == body, "the download is not what the origin sent");
    let head = format!("POST /up HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len());
    client.send(head);
    client.send(&body);
    let by_length = client.response().text();
    assert!(by_length.starts_with(&format!("{} ", body.len())), "{by_length}");
    client.send("POST /up HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (at, piece) in body.chunks(77_777).enumerate() {
        client.send(format!("{:x}\r\n", piece.len()));
        client.send(piece);
        client.send("\r\n");
        assert!(at < 1_000);
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().text(), by_length);
    let grown = gateway.resident_kib().saturating_sub(before);
    assert!(grown < 16 * 1024, "bodies of 24 MiB take {grown} KiB");
}

#[test]
fn a_real_nginx_gets_and_gives() {
    let nginx = Nginx::start(
        "location /echo { return 200 $request_method:$http_x_forwarded_for; }\n location /up { return 201 done; }",
    );
    let gateway = gateway!(ROUTES, ORIGIN = nginx.url());
    let mut client = gateway.client();
    assert_eq!(client.get("/echo").text(), "GET:127.0.0.1");
    client.send(format!("POST /up HTTP/1.1\r\nHost: test\r\nContent-Length: {MIB}\r\n\r\n"));
    client.send(vec![b'x'; MIB]);
    assert_eq!(client.response().status, 201);
    let head = client.exchange("HEAD /echo HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!((head.status, head.header("content-length")), (200, Some("14")));
    assert_eq!(client.get("/echo").status, 200);
}

/// As a well-behaved origin: asks for the body only when it wants it.
fn continuing(conn: &mut Conn) -> std::io::Result<()> {
    loop {
        let seen = conn.head()?;
        if seen.head.get("expect").is_some() {
            conn.send("HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = conn.body()?.body;
        conn.send(response(200, &body))?;
    }
}

#[test]
fn a_client_that_waits_for_100_gets_it_once() {
    let origin = Origin::start(continuing);
    let gateway = start(&origin);
    let mut client = gateway.client();
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        client.send(format!("POST /x HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\n{framing}\r\n\r\n"));
        let interim = client.until("\r\n\r\n");
        assert!(interim.starts_with("HTTP/1.1 100 "), "{interim}");
        client.send(if framing.contains("chunked") { "5\r\nhello\r\n0\r\n\r\n" } else { "hello" });
        let answer = client.response();
        assert_eq!((answer.text().as_str(), answer.interim.len()), ("hello", 0));
    }
    // Who does not wait is served as well.
    let answer = client
        .exchange("POST /x HTTP/1.1\r\nHost: test\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(answer.text(), "hello");
    assert!(answer.interim.len() <= 1);
}

/// A final answer instead of 100: the body is not asked for, and what comes next on the connection is no body.
#[test]
fn a_client_that_waits_may_be_refused() {
    let origin = Origin::ok();
    let gateway = gateway!(
        "routes:\n  - { path: /small, methods: [POST], max_body: 1KiB, to: @ORIGIN@ }\n",
        ORIGIN = origin.url()
    );
    for (request, code) in [
        (
            "POST /nowhere HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
            "route_not_found",
        ),
        (
            "PUT /small HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
            "method_not_allowed",
        ),
        (
            "POST /small HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n",
            "body_too_large",
        ),
    ] {
        let mut client = gateway.client();
        let answer = client.exchange(request);
        assert_problem(&answer, code);
        assert!(answer.interim.is_empty(), "{answer:#?}");
        assert_eq!(
            answer.header("connection"),
            Some("close"),
            "nobody knows whether the body comes: {answer:#?}"
        );
        client.assert_closed();
    }
    origin.assert_untouched();
}

#[test]
fn an_origin_may_refuse_instead_of_100() {
    let origin = Origin::start(|conn| {
        conn.head()?;
        conn.send("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
    });
    let gateway = start(&origin);
    let mut client = gateway.client();
    let answer = client
        .exchange("POST /x HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!((answer.status, answer.text().as_str()), (413, "big"));
}

#[test]
fn interim_answers_pass_to_those_who_know_them() {
    let origin = Origin::saying(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let gateway = start(&origin);
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!(answer.text(), "ok");
        assert_eq!(
            answer.interim.iter().filter_map(|head| head.get("link")).collect::<Vec<_>>(),
            ["</a.css>"]
        );
    }
    let old = gateway.client().exchange("GET / HTTP/1.0\r\nHost: test\r\n\r\n");
    assert_eq!((old.text().as_str(), old.interim.len()), ("ok", 0));
}

#[test]
fn answers_without_a_body_keep_the_connection() {
    let origin = Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            conn.send(match seen.target() {
                "/204" => "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 99\r\n\r\n",
                "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
                "/chunked" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            })?;
        }
    });
    let gateway = start(&origin);
    let mut client = gateway.client();
    for (method, path, status) in [
        ("GET", "/204", 204),
        ("GET", "/304", 304),
        ("HEAD", "/head", 200),
        ("HEAD", "/chunked", 200),
        ("HEAD", "/204", 204),
    ] {
        let answer = client.exchange(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        assert_eq!(answer.status, status, "{method} {path}");
        if path == "/head" {
            assert_eq!(answer.header("content-length"), Some("99"));
        }
        assert_eq!(client.get("/ok").text(), "ok", "after {method} {path}");
    }
}

#[test]
fn trailers_pass_both_ways() {
    let origin = Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: {}\r\n\r\n",
                seen.trailers.len()
            ))?;
        }
    });
    let gateway = start(&origin);
    let mut client = gateway.client();
    let answer = client.exchange(
        "POST / HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\nX-Up: 7\r\n\r\n",
    );
    assert_eq!(answer.text(), "ok");
    let up = origin.last().trailers;
    assert!(
        matches!(&up[..], [(name, value)] if name.eq_ignore_ascii_case("x-up") && value == "7"),
        "{up:?}"
    );
    assert_eq!(answer.trailers.len(), 1, "{answer:#?}");
    assert!(answer.trailers[0].0.eq_ignore_ascii_case("x-sum"));
    assert_eq!(answer.trailers[0].1, "1");
    // Without TE nobody may rely on trailers, but the answer is whole and the connection goes on.
    assert_eq!(client.get("/").text(), "ok");
    assert_eq!(client.get("/").text(), "ok");
}

#[test]
fn http_1_0_clients() {
    let origin = Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            conn.send(match seen.target() {
                "/chunked" => {
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n"
                }
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            })?;
        }
    });
    let gateway = start(&origin);
    for path in ["/length", "/chunked"] {
        let mut client = gateway.client();
        let answer = client.exchange(format!("GET {path} HTTP/1.0\r\nHost: test\r\n\r\n"));
        assert_eq!(answer.text(), "ok");
        assert_eq!(answer.header("transfer-encoding"), None, "HTTP/1.0 knows no chunks");
        client.assert_closed_cleanly();
    }
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.exchange("GET /length HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(answer.text(), "ok");
        assert!(
            answer.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("keep-alive")),
            "{answer:#?}"
        );
    }
}

#[test]
fn http_1_0_origins() {
    let origin = Origin::start(behaviour::then_close(b"HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nold but fine"));
    let gateway = start(&origin);
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!(answer.text(), "old but fine");
        assert!(!answer.until_close, "an HTTP/1.1 client gets chunks and keeps its connection");
    }
}

/// The upstream answers before it has read the upload.
#[test]
fn early_answers() {
    let refuse: &'static [u8] =
        b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig";
    let accept: &'static [u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly";
    for (bytes, status, text) in [(refuse, 413, "big"), (accept, 200, "early")] {
        let origin = Origin::start(move |conn| {
            conn.head()?;
            conn.send(bytes)?;
            if status == 413 {
                conn.finish_sending()?
            }
            conn.wait_end()
        });
        let gateway = start(&origin);
        let mut client = gateway.client();
        client.send(format!("POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\nsome", 64 * MIB));
        let answer = client.response();
        assert_eq!((answer.status, answer.text().as_str()), (status, text));
        // What is left of the upload is never taken for a request.
        let _ = client.try_send("GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n".repeat(100));
        drop(client);
        wait_for("the end", || gateway.metrics().get("tollgate_inflight_requests") == 0.0);
        assert!(origin.requests().iter().all(|seen| seen.target() == "/x"), "{:#?}", origin.requests());
    }
}

/// An early answer to an upload that then ends well: the connection goes on, or it is closed, but never out of step.
#[test]
fn after_an_early_answer() {
    let origin = Origin::start(|conn| {
        loop {
            let seen = conn.head()?;
            conn.send(response(200, seen.target().as_bytes()))?;
            conn.body()?;
        }
    });
    let gateway = start(&origin);
    let mut client = gateway.client();
    client.send("POST /1 HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n");
    assert_eq!(client.response().text(), "/1");
    let _ = client.try_send(vec![b'x'; 100_000]);
    let _ = client.try_send("GET /2 HTTP/1.1\r\nHost: test\r\n\r\n");
    match client.try_response() {
        Ok(answer) => assert_eq!(answer.text(), "/2"),
        Err(Fault::Eof | Fault::Reset) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_half_closed_client_gets_its_answer() {
    let gate = Gate::new();
    let origin = Origin::start(behaviour::gated(&gate, "late"));
    let gateway = start(&origin);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    client.half_close();
    origin.wait_requests(1);
    gate.open();
    assert_eq!(client.response().text(), "late");
    client.assert_closed_cleanly();
}

#[test]
fn a_client_that_leaves_cancels_the_upstream() {
    let origin = Origin::start(behaviour::hang);
    let gateway = start(&origin);
    let mut client = gateway.client();
    client.send("GET /reset HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.wait_requests(1);
    client.reset();
    assert_ne!(origin.wait_closed(0), Closed::ByOrigin);
    let record = gateway.record_of("/reset");
    assert_eq!((&record["reason"], &record["status"]), (&"client_closed".into(), &499.into()));
}

#[test]
fn a_client_that_leaves_during_the_answer_cancels_the_upstream() {
    let origin = Origin::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        loop {
            conn.send("1\r\nx\r\n")?;
            tollgate_testkit::pause(Duration::from_millis(5));
        }
    });
    let gateway = start(&origin);
    let mut client = gateway.client();
    client.send("GET /stream HTTP/1.1\r\nHost: test\r\n\r\n");
    client.until("x\r\n");
    drop(client);
    wait_for("the origin to be told", || origin.connections()[0].closed.is_some());
    assert_eq!(gateway.record_of("/stream")["reason"], "client_closed");
}

#[test]
fn a_client_that_leaves_during_the_upload_leaves_no_whole_request() {
    let origin = Origin::ok();
    let gateway = start(&origin);
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let mut client = gateway.client();
        client.send(format!("POST /half HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n5\r\nhe"));
        let before = origin.count();
        wait_for("the head", || {
            origin.count() > before || origin.requests().iter().any(|s| s.body_bytes > 0)
        });
        client.reset();
    }
    wait_for("the ends", || origin.connections().iter().all(|c| c.closed.is_some()));
    assert!(origin.requests().iter().all(|seen| !seen.complete), "{:#?}", origin.requests());
}

#[test]
fn a_body_over_the_limit_by_its_length() {
    let origin = Origin::ok();
    let gateway = gateway!(
        "limits: { body: 1KiB }\nroutes:\n  - { path: /more, max_body: 2KiB, to: @ORIGIN@ }\n  - { path: /*, to: @ORIGIN@ }\n",
        ORIGIN = origin.url()
    );
    for (path, length, status) in [
        ("/a", 1024, 200),
        ("/a", 1025, 413),
        ("/more", 2048, 200),
        ("/more", 2049, 413),
        ("/a", usize::MAX / 2, 413),
    ] {
        let before = origin.count();
        let mut client = gateway.client();
        client.send(format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"));
        if status == 200 {
            client.send(vec![b'x'; length]);
        }
        let answer = client.response();
        assert_eq!(answer.status, status, "{path} with {length}");
        if status == 413 {
            assert_problem(&answer, "body_too_large");
            assert_eq!(origin.count(), before, "the origin was not bothered");
        }
    }
}

#[test]
fn a_body_over_the_limit_by_its_chunks() {
    let origin = Origin::ok();
    let gateway =
        gateway!("limits: { body: 1KiB }\nroutes:\n  - { path: /*, to: @ORIGIN@ }\n", ORIGIN = origin.url());
    let chunk = format!("100\r\n{}\r\n", "x".repeat(256));
    let head = "POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(gateway.client().exchange(format!("{head}{}0\r\n\r\n", chunk.repeat(4))).status, 200);
    let mut client = gateway.client();
    let answer = client.exchange(format!("{head}{}1\r\nx\r\n0\r\n\r\n", chunk.repeat(4)));
    assert_problem(&answer, "body_too_large");
    let mut endless = gateway.client();
    endless.send(format!("{head}{}", chunk.repeat(5)));
    assert_problem(&endless.response(), "body_too_large");
    endless.assert_closed();
    let whole = origin.requests().iter().filter(|seen| seen.complete).count();
    assert_eq!(whole, 1, "a body that is cut must not look whole");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            if seen.target() == "/slow" {
                tollgate_testkit::pause(Duration::from_millis(100));
            }
            conn.send(response(200, format!("{} {}", seen.target(), seen.body_bytes).as_bytes()))?;
        }
    });
    let gateway = start(&origin);
    let mut client = gateway.client();
    client.send(
        "GET /slow HTTP/1.1\r\nHost: test\r\n\r\n\
         POST /2 HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc\
         POST /3 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n\
         GET /..%2f HTTP/1.1\r\nHost: test\r\n\r\n\
         GET /nowhere/../5 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n\
         GET /never HTTP/1.1\r\nHost: test\r\n\r\n",
    );
    for expected in ["/slow 0", "/2 3", "/3 4", "/..%2F 0"] {
        assert_eq!(client.response().text(), expected);
    }
    let last = client.response();
    assert_eq!((last.text().as_str(), last.header("connection")), ("/5 0", Some("close")));
    client.assert_closed();
    assert!(origin.requests().iter().all(|seen| seen.target() != "/never"));
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let origin = Origin::echo();
    let gateway = start(&origin);
    let mut client = gateway.client();
    let request = "POST /drip?x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-T: 1\r\n\r\n";
    for _ in 0..2 {
        client.drip(request.as_bytes(), 1, Duration::from_millis(1)).expect("every byte is taken");
        let seen = client.response().json();
        assert_eq!((&seen["target"], &seen["body"]), (&"/drip?x".into(), &"hello!".into()));
    }
}

#[test]
fn an_origin_may_drip_too() {
    let origin = Origin::start(|conn| {
        loop {
            conn.request()?;
            let answer = "HTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                          5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-T: 1\r\n\r\n";
            conn.drip(answer, Duration::from_millis(1))?;
        }
    });
    let gateway = start(&origin);
    let mut client = gateway.client();
    for _ in 0..2 {
        assert_eq!(client.get("/").text(), "hello!");
    }
}
