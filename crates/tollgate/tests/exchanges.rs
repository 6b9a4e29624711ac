//! One request and its answer on a connection: 100-continue, interim answers, HTTP/1.0, early answers, clients that
//! leave, pipelining. Whatever happens, the next request is never out of step.

use std::time::Duration;

use tollgate_testkit::behaviour::{self, response};
use tollgate_testkit::{Closed, Conn, End, Fault, Gate, Gateway, Origin, assert_problem, gateway, wait_for};

const ROUTES: &str = "
limits: { body: 1GiB }
routes:
  - path: /*
    to: @ORIGIN@
";

const MIB: usize = 1024 * 1024;

fn start(origin: &Origin) -> Gateway {
    gateway!(ROUTES, ORIGIN = origin.url())
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

/// Many services never send 100: the client is not left waiting for it.
#[test]
fn an_origin_that_never_says_100() {
    let origin = Origin::echo();
    let gateway = start(&origin);
    let mut client = gateway.client();
    for _ in 0..2 {
        client.send("POST /x HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
        assert!(client.until("\r\n\r\n").starts_with("HTTP/1.1 100 "));
        client.send("hello");
        assert_eq!(client.response().json()["body"], "hello");
    }
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

/// What the route takes out of answers, or says itself, comes neither before nor behind them from the service.
#[test]
fn edits_of_an_answer_hold_before_and_behind_it() {
    let origin = Origin::saying(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nX-Secret: s\r\nX-Ok: theirs\r\nX-Add: theirs\r\n\r\n\
         HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Secret: s\r\n\r\n2\r\nok\r\n0\r\n\
         X-Sum: 1\r\nX-Secret: s\r\nX-Ok: theirs\r\nX-Add: theirs\r\n\r\n",
    );
    let text = "
routes:
  - { path: /edited, to: @ORIGIN@, response: { remove_headers: [x-secret], set_headers: { x-ok: ours } } }
  - { path: /*, to: @ORIGIN@ }
";
    let gateway = gateway!(text, ORIGIN = origin.url());
    for (path, before, behind) in [
        ("/edited", "link: </a.css>\r\nx-add: theirs\r\n", "x-sum: 1\r\nx-add: theirs\r\n"),
        (
            "/plain",
            "link: </a.css>\r\nx-secret: s\r\nx-ok: theirs\r\nx-add: theirs\r\n",
            "x-sum: 1\r\nx-secret: s\r\nx-ok: theirs\r\nx-add: theirs\r\n",
        ),
    ] {
        let mut client = gateway.client();
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n"
        ));
        let (bytes, end) = client.drain();
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        assert_eq!(end, End::Eof);
        let interim = text.split("\r\n\r\n").next().and_then(|head| head.split_once("\r\n"));
        assert_eq!(interim.map(|(_, lines)| format!("{lines}\r\n")).as_deref(), Some(before), "{text}");
        let trailers = text.split_once("ok\r\n0\r\n").map(|(_, trailers)| trailers);
        assert_eq!(trailers, Some(&*format!("{behind}\r\n")), "{text}");
    }
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
            if conn.index() > 0 {
                return behaviour::ok(conn);
            }
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
        // The upstream's connection still waits for the rest of the upload: it is not used again.
        for _ in 0..3 {
            assert_eq!(gateway.get("/next").text(), "ok");
        }
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

/// A refusal reaches a client that is still sending: closing at once would reset it away (RFC 9112 section 9.6).
#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let origin = Origin::ok();
    let gateway = gateway!(
        "
limits: { body: 1KiB }
routes:
  - { path: /small, methods: [POST], respond: { body: x } }
  - { path: /up, to: @ORIGIN@ }
",
        ORIGIN = origin.url()
    );
    let body = vec![b'x'; 2 * MIB];
    for (head, code) in [
        (
            format!("POST /small HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len()),
            "body_too_large",
        ),
        (
            format!("POST /nowhere HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len()),
            "route_not_found|body_too_large",
        ),
        (
            format!("PUT /small HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len()),
            "method_not_allowed|body_too_large",
        ),
        (
            "POST /up HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n".to_owned(),
            "body_too_large",
        ),
        (
            format!(
                "POST /small HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\nBad Header\r\n\r\n",
                body.len()
            ),
            "bad_header",
        ),
    ] {
        let mut client = gateway.client();
        client.send(&head);
        // Everything is sent before anything is read, as simple clients do.
        let _ = client.try_send(&body);
        match client.try_response() {
            Ok(answer) => assert_problem(&answer, code),
            other => panic!("{head:?}: {other:?}"),
        }
    }
}

/// The upstream goes away in the middle of an upload, without an answer.
#[test]
fn an_upstream_that_resets_an_upload() {
    let origin = Origin::start(|conn| {
        conn.head()?;
        conn.some_body(10_000)?;
        conn.reset()
    });
    let gateway = start(&origin);
    let mut client = gateway.client();
    client.send(format!("POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", 8 * MIB));
    let _ = client.try_send(vec![b'x'; 8 * MIB]);
    match client.try_response() {
        Ok(answer) => assert_problem(&answer, "upstream_reset"),
        other => panic!("{other:?}"),
    }
    assert_eq!(origin.count(), 1, "an upload is not sent twice");
}

#[test]
fn two_requests_and_a_half_close() {
    let origin = Origin::echo();
    let gateway = start(&origin);
    let mut client = gateway.client();
    client.send("GET /1 HTTP/1.1\r\nHost: test\r\n\r\nGET /2 HTTP/1.1\r\nHost: test\r\n\r\nGET /3 HT");
    client.half_close();
    assert_eq!(client.response().json()["target"], "/1");
    assert_eq!(client.response().json()["target"], "/2");
    let (rest, end) = client.drain();
    assert_eq!(end, End::Eof);
    assert!(!String::from_utf8_lossy(&rest).contains("200 "), "half a request is none");
    assert_eq!(origin.count(), 2);
}

/// An HTTP/1.0 client knows no interim answers, also not as a question whether it is still there.
#[test]
fn a_half_closed_old_client_gets_its_answer_alone() {
    let gate = Gate::new();
    let origin = Origin::start(behaviour::gated(&gate, "late"));
    let gateway = start(&origin);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.0\r\nHost: test\r\n\r\n");
    client.half_close();
    origin.wait_requests(1);
    client.assert_silent(Duration::from_millis(1_500));
    gate.open();
    let answer = client.response();
    assert_eq!((answer.text().as_str(), answer.interim.len()), ("late", 0));
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
    for (n, version) in ["1.1", "1.0"].iter().enumerate() {
        let mut client = gateway.client();
        client.send(format!("GET /{version} HTTP/{version}\r\nHost: test\r\n\r\n"));
        origin.wait_requests(n + 1);
        client.reset();
        assert_ne!(origin.wait_closed(n), Closed::ByOrigin);
        let record = gateway.record_of(&format!("/{version}"));
        assert_eq!((&record["reason"], &record["status"]), (&"client_closed".into(), &499.into()));
    }
}

/// Without a reset the end looks like a half-close; the upstream is let go all the same, and soon.
#[test]
fn a_client_that_closes_cancels_the_upstream() {
    let origin = Origin::start(behaviour::hang);
    let gateway = start(&origin);
    let mut client = gateway.client();
    client.send("GET /closed HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.wait_requests(1);
    drop(client);
    assert_ne!(origin.wait_closed(0), Closed::ByOrigin);
    assert_eq!(gateway.record_of("/closed")["reason"], "client_closed");
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
