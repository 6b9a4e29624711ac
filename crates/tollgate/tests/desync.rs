//! What is left over when an exchange goes wrong in the middle never becomes part of another one: not for the
//! client, and not on the way to the upstream.

use std::time::Duration;

use tollgate_testkit::{
    Client, Closed, Conn, Fault, Gate, Origin, assert_problem, behaviour, gateway, wait_for,
};

/// An answer that comes early and is then no HTTP is replaced by a problem; the rest of the upload is still on its
/// way, and must not be taken for a request.
#[test]
fn a_broken_early_answer() {
    let origin = Origin::start(|conn| {
        if conn.index() > 0 {
            return behaviour::ok(conn);
        }
        conn.head()?;
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nthis is no chunk\r\n")?;
        conn.wait_end()
    });
    let gateway = gateway!("routes:\n  - { path: /*, to: @ORIGIN@ }\n", ORIGIN = origin.url());
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut client = gateway.client();
    client.send(format!("POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", smuggled.len()));
    let answer = client.response();
    assert_problem(&answer, "upstream_protocol");
    assert_eq!(answer.header("connection"), Some("close"), "{answer:#?}");
    let _ = client.try_send(smuggled);
    assert!(matches!(client.try_response(), Err(Fault::Eof | Fault::Reset)));
    assert!(origin.requests().iter().all(|seen| seen.target() == "/x"), "{:#?}", origin.requests());
}

/// An upstream may answer a head that it has not read to its end. The rest of that head must not stand in front of
/// the next request, so the connection is not used again.
#[test]
fn an_answer_to_half_a_head() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let gate = Gate::new();
    let theirs = gate.clone();
    let origin = Origin::start_unix(&dir.path().join("origin.sock"), move |conn: &mut Conn| {
        if conn.index() > 0 {
            return behaviour::ok(conn);
        }
        conn.wait_byte()?;
        conn.send("HTTP/1.1 431 Too Large\r\nContent-Length: 3\r\n\r\nbig")?;
        theirs.wait();
        conn.wait_end()
    });
    // More than a unix socket's buffer, so that it is not out when the answer comes.
    let gateway = gateway!(
        "workers: 1\nlimits: { header_bytes: 1MiB }\nroutes:\n  - { path: /*, to: \"@ORIGIN@\" }\n",
        ORIGIN = origin.url()
    );
    let mut client = gateway.client();
    let padding = "x".repeat(900 * 1024);
    let answer = client.exchange(format!("GET /1 HTTP/1.1\r\nHost: test\r\nX-Padding: {padding}\r\n\r\n"));
    assert_eq!((answer.status, answer.text().as_str()), (431, "big"));
    gate.open();
    assert_eq!(client.get("/2").text(), "ok");
    origin.wait_closed(0);
    let first = String::from_utf8_lossy(&origin.connections()[0].raw).into_owned();
    assert!(!first.contains("GET /2 "), "the second request went into the first one's head");
}

/// A problem never begins in the middle of an interim answer that the client has not taken yet.
#[test]
fn a_failure_behind_interim_answers() {
    let interim = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "x".repeat(60_000));
    for (head, timeout) in
        [("", "700ms"), ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno\r\n", "9s")]
    {
        let interims = interim.repeat(15);
        let origin = Origin::start(move |conn| {
            conn.request()?;
            conn.send(&interims)?;
            conn.send(head)?;
            conn.wait_end()
        });
        // A unix socket holds less than the interim answers are.
        let gateway = gateway!(
            &format!(
                "listeners: [{{ address: \"unix:@DIR@/gateway.sock\" }}]\n\
                 upstreams:\n  u: {{ targets: [@ORIGIN@], timeout: {timeout} }}\n\
                 routes:\n  - {{ path: /*, to: u }}\n"
            ),
            ORIGIN = origin.url()
        );
        let mut client = Client::connect_unix(&gateway.dir().join("gateway.sock"));
        client.send("GET /x HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        // The request fails while nobody reads.
        wait_for("the failure", || origin.connections().iter().any(|c| c.closed.is_some()));
        let (bytes, _) = client.drain();
        let text = String::from_utf8_lossy(&bytes);
        let last = text.rfind("HTTP/1.1 ").map_or("", |at| text.get(..at).unwrap_or_default());
        assert!(
            last.is_empty() || last.ends_with("\r\n\r\n"),
            "an answer begins within {} bytes",
            last.len()
        );
    }
}

/// A flood of interim answers ends.
#[test]
fn interim_answers_without_end() {
    for status in ["100 Continue", "102 Processing"] {
        let origin = Origin::start(move |conn| {
            conn.request()?;
            loop {
                conn.send(format!("HTTP/1.1 {status}\r\n\r\n"))?;
            }
        });
        let gateway = gateway!("routes:\n  - { path: /*, to: @ORIGIN@ }\n", ORIGIN = origin.url());
        let mut client = gateway.client();
        client.set_patience(Duration::from_secs(5));
        assert_problem(&client.get("/x"), "upstream_protocol");
        wait_for("the origin to be let go", || origin.connections()[0].closed.is_some());
    }
}

/// An upload that turns out to be wrong while the answer is on its way: the upstream is told that no more of it
/// comes, and does not wait for it.
#[test]
fn a_broken_upload_behind_an_early_answer() {
    let origin = Origin::start(|conn| {
        conn.head()?;
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n")?;
        conn.wait_end()
    });
    let gateway =
        gateway!("limits: { body: 1KiB }\nroutes:\n  - { path: /*, to: @ORIGIN@ }\n", ORIGIN = origin.url());
    for (n, rest) in ["no chunk\r\n".to_owned(), format!("800\r\n{}", "x".repeat(0x800))].iter().enumerate() {
        let mut client = gateway.client();
        client.send("POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        client.until("early\r\n");
        client.send(rest);
        assert_eq!(origin.wait_closed(n), Closed::ByPeer, "{n}");
        client.assert_closed();
    }
}
