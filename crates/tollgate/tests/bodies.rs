//! Bodies stream, both ways, with back-pressure, and always end where they should.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tollgate_testkit::behaviour::response;
use tollgate_testkit::{Client, End, Gate, Gateway, Nginx, Origin, assert_problem, gateway, wait_for};

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
    let before = gateway.own_kib();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 500000000\r\n\r\n");
    let sent = client.send_while_taken(&vec![b'x'; 128 * MIB], Duration::from_millis(500));
    assert!(sent < IN_BETWEEN, "{sent} bytes were taken although nobody reads them");
    let grown = gateway.own_kib().saturating_sub(before);
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
    let before = gateway.own_kib();
    let mut client = tollgate_testkit::Client::connect_narrow(&gateway.address(), 64 * 1024);
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut last = (0, 0);
    wait_for("the origin to be stopped", || {
        let now = sent.load(Ordering::SeqCst);
        last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
        now > 0 && last.1 > 60
    });
    assert!(last.0 < IN_BETWEEN, "{} bytes were taken although nobody reads them", last.0);
    let grown = gateway.own_kib().saturating_sub(before);
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
    let before = gateway.own_kib();
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
    let grown = gateway.own_kib().saturating_sub(before);
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
    let early = client.response();
    assert_eq!(early.status, 201);
    // nginx answers before it has read the upload, so the connection may end here, if the answer said so.
    if early.header("connection") == Some("close") {
        client = gateway.client();
    }
    let head = client.exchange("HEAD /echo HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!((head.status, head.header("content-length")), (200, Some("14")));
    assert_eq!(client.get("/echo").status, 200);
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
    assert!(answer.header("trailer").is_some(), "{answer:#?}");
    // Without TE nobody may rely on trailers, but the answer is whole and the connection goes on.
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((answer.text().as_str(), answer.header("trailer")), ("ok", None), "none is announced");
    }
}

/// The gateway reads such an answer to its end first, and passes its body alone.
#[test]
fn trailers_of_an_answer_that_is_held_are_neither_announced_nor_sent() {
    let origin = Origin::saying(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    const HELD: &str = "routes:
  - path: /*
    to: @ORIGIN@
    lua: |
      function response(res, req)
        res.headers['x-length'] = tostring(#res.body)
      end
";
    let gateway = gateway!(HELD, ORIGIN = origin.url());
    let answer =
        gateway.client().exchange("GET / HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    assert_eq!((answer.text().as_str(), answer.header("x-length")), ("ok", Some("2")));
    assert_eq!((answer.trailers.len(), answer.header("trailer")), (0, None), "{answer:#?}");
}

/// What stands behind a body has the bounds of the head before it: of an answer's, 64 KiB and 128 lines.
#[test]
fn trailers_of_answers_are_bounded_as_their_heads() {
    let ask = "GET / HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nConnection: TE\r\n\r\n";
    for (lines, bytes, good) in [(128, 400, true), (129, 1, false), (1, 65_000, true), (1, 65_600, false)] {
        let trailers: String = (0..lines).map(|at| format!("X-{at}: {}\r\n", "a".repeat(bytes))).collect();
        let origin = Origin::saying(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n{trailers}\r\n"
        ));
        let gateway = start(&origin);
        let mut client = gateway.client();
        client.send(ask);
        let answer = client.try_response();
        let what = format!("{lines} lines of {bytes}");
        match answer.map(|answer| (answer.status, answer.trailers.len())) {
            Ok((200, count)) => assert!(good && count == lines, "{what}: {count} trailers"),
            other => {
                assert!(!good, "{what}: {other:?}");
                assert_eq!(gateway.record_of("/")["reason"], "upstream_protocol", "{what}");
            }
        }
    }
}

/// A client's, those of `limits`.
#[test]
fn trailers_of_requests_are_bounded_as_their_heads() {
    let origin = Origin::ok();
    let gateway = gateway!(
        "limits: { header_bytes: 4KiB, uri_bytes: 1KiB, header_count: 40 }\nroutes:\n  - { path: /*, to: @ORIGIN@ }\n  - { path: /held, validate: { body: { type: string } }, to: @ORIGIN@ }\n",
        ORIGIN = origin.url()
    );
    for (lines, bytes, good) in [(40, 80, true), (41, 1, false), (1, 4_000, true), (1, 4_100, false)] {
        for path in ["/", "/held"] {
            let trailers: String =
                (0..lines).map(|at| format!("X-{at}: {}\r\n", "a".repeat(bytes))).collect();
            let mut client = gateway.client();
            client.send(format!(
                "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
                 4\r\n\"ok\"\r\n0\r\n{trailers}\r\n"
            ));
            let answer = client.response();
            match good {
                true => assert_eq!(answer.status, 200, "{path}: {lines} lines of {bytes}: {answer:#?}"),
                false => assert_problem(&answer, "headers_too_large"),
            }
        }
    }
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

/// A long answer holds no more memory than what moves: not what came with its head.
#[test]
fn answers_that_wait_hold_no_buffers() {
    let origin = Origin::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_owned() + &"x".repeat(60_000))?;
        conn.wait_end()
    });
    let gateway = start(&origin);
    assert_eq!(gateway.client().exchange("HEAD /nothing HTTP/1.1\r\nHost: test\r\n\r\n").status, 200);
    let before = gateway.own_kib();
    let mut clients: Vec<Client> = (0..200).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send("GET /x HTTP/1.1\r\nHost: test\r\n\r\n");
        client.bytes(60_000);
    }
    let grown = gateway.own_kib().saturating_sub(before);
    assert!(grown < 200 * 24, "200 answers that wait keep {grown} KiB");
}
