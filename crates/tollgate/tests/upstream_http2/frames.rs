//! Targets that break the rules of HTTP/2, or leave, frame by frame.

use std::sync::Arc;

use tollgate_testkit::{Client, Conn, Frame, Http2, Origin, Port, assert_problem};

use super::with;

fn frames(handler: impl Fn(&mut Conn) -> std::io::Result<()> + Send + Sync + 'static) -> (Origin, String) {
    let origin = Origin::start(handler);
    let url = format!("h2c://{}", origin.address());
    (origin, url)
}

/// A stream that was refused, or stands behind the last that a leaving target answers: sent once more, whatever the
/// method, because nothing was done for it.
#[test]
fn what_was_not_begun_is_sent_again() {
    let refused = |connection: &mut Conn| {
        let first = connection.index() == 0;
        let mut peer = Http2::begin(connection, &[])?;
        let stream = peer.request()?;
        if first {
            peer.send(&Frame::reset(stream, 7))?;
            return peer.wait_end();
        }
        peer.answer(stream, "again")?;
        peer.wait_end()
    };
    let left_out = |connection: &mut Conn| {
        let first = connection.index() == 0;
        let mut peer = Http2::begin(connection, &[])?;
        let stream = peer.request()?;
        if first {
            peer.send(&Frame::go_away(0, 0))?;
            return peer.wait_end();
        }
        peer.answer(stream, "again")?;
        peer.wait_end()
    };
    type Handler = Box<dyn Fn(&mut Conn) -> std::io::Result<()> + Send + Sync>;
    let handlers: [(&str, Handler); 2] = [("refused", Box::new(refused)), ("left out", Box::new(left_out))];
    for (what, handler) in handlers {
        let handler = Arc::new(handler);
        let bodies =
            [0, 5, 16 * 1024].map(|bytes| format!("Content-Length: {bytes}\r\n\r\n{}", "x".repeat(bytes)));
        let chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_owned();
        for body in bodies.into_iter().chain([chunked]) {
            let handler = handler.clone();
            let (_origin, url) = frames(move |conn| handler(conn));
            let gateway = with(&url, "");
            let answer = gateway.client().exchange(format!("POST / HTTP/1.1\r\nHost: a\r\n{body}"));
            let what = format!("{what}: {}", body.get(..24).unwrap_or(&body));
            assert_eq!((answer.status, answer.text().as_str()), (200, "again"), "{what}");
            assert_eq!(gateway.record_of("/")["attempts"], 2, "{what}");
        }
        let (_origin, url) = frames(move |conn| handler(conn));
        let long = format!("Content-Length: {}\r\n\r\n{}", 16 * 1024 + 1, "x".repeat(16 * 1024 + 1));
        let answer = with(&url, "").client().exchange(format!("POST / HTTP/1.1\r\nHost: a\r\n{long}"));
        assert_problem(&answer, "upstream_reset");
    }
}

/// What each misbehaviour of a target is called.
#[test]
fn reasons() {
    type Do = fn(&mut Http2<'_>, u32) -> std::io::Result<()>;
    let cases: &[(&str, Do, u16, &str)] = &[
        ("reset", |peer, stream| peer.send(&Frame::reset(stream, 2)), 502, "upstream_reset"),
        ("cancel", |peer, stream| peer.send(&Frame::reset(stream, 8)), 502, "upstream_reset"),
        ("always refused", |peer, stream| refuse_all(peer, stream), 502, "upstream_reset"),
        ("goes with an error", |peer, stream| go(peer, &Frame::go_away(stream, 2)), 502, "upstream_reset"),
        (
            "goes without a word",
            |peer, stream| go(peer, &Frame::window_update(stream, 1)),
            502,
            "upstream_reset",
        ),
        ("no status", |peer, stream| head(peer, stream, &[("x", "1")]), 502, "upstream_protocol"),
        ("bad status", |peer, stream| head(peer, stream, &[(":status", "20")]), 502, "upstream_protocol"),
        (
            "connection header",
            |p, s| head(p, s, &[(":status", "200"), ("connection", "x")]),
            502,
            "upstream_protocol",
        ),
        (
            "coding",
            |p, s| head(p, s, &[(":status", "200"), ("transfer-encoding", "chunked")]),
            502,
            "upstream_protocol",
        ),
        (
            "two lengths",
            |p, s| head(p, s, &[(":status", "200"), ("content-length", "1"), ("content-length", "2")]),
            502,
            "upstream_protocol",
        ),
        ("upper case", |p, s| head(p, s, &[(":status", "200"), ("X-A", "1")]), 502, "upstream_protocol"),
        (
            "line end",
            |p, s| head(p, s, &[(":status", "200"), ("x-a", "1\r\nx-b: 2")]),
            502,
            "upstream_protocol",
        ),
        ("switches", |p, s| head(p, s, &[(":status", "101")]), 502, "upstream_protocol"),
        ("huge head", |p, s| huge(p, s), 502, "upstream_protocol"),
        ("data first", |p, s| p.send(&Frame::data(s, "abc", false)), 502, "upstream_protocol"),
        ("garbage", |p, _| p.conn().send([0xff; 64]), 502, "upstream_protocol"),
        ("pushes", |p, s| p.send(&Frame::new(5, 4, s, [0, 0, 0, 2])), 502, "upstream_protocol"),
        (
            "endless 103",
            |p, s| (0..40).try_for_each(|_| head(p, s, &[(":status", "103")])),
            502,
            "upstream_protocol",
        ),
        ("never answers", |_, _| Ok(()), 504, "upstream_timeout"),
    ];
    for (what, act, status, reason) in cases {
        let act = *act;
        let (_origin, url) = frames(move |conn| {
            let mut peer = Http2::begin(conn, &[])?;
            let stream = peer.request()?;
            act(&mut peer, stream)?;
            peer.wait_end()
        });
        let gateway = with(&url, "    timeout: 500ms\n");
        let answer = gateway.client().exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        assert_eq!((answer.status, what), (*status, what), "{answer:#?}");
        assert_problem(&answer, reason);
    }
}

fn head(peer: &mut Http2<'_>, stream: u32, fields: &[(&str, &str)]) -> std::io::Result<()> {
    peer.send(&Frame::headers(stream, fields, false))
}

fn go(peer: &mut Http2<'_>, last: &Frame) -> std::io::Result<()> {
    peer.send(last)?;
    Err(std::io::ErrorKind::Other.into())
}

fn refuse_all(peer: &mut Http2<'_>, stream: u32) -> std::io::Result<()> {
    peer.send(&Frame::reset(stream, 7))?;
    let stream = peer.request()?;
    peer.send(&Frame::reset(stream, 7))
}

fn huge(peer: &mut Http2<'_>, stream: u32) -> std::io::Result<()> {
    let value = "v".repeat(12_000);
    let fields: Vec<(String, &str)> = (0..8).map(|n| (format!("x-{n}"), &*value)).collect();
    peer.send(&Frame::new(Frame::HEADERS, 0, stream, tollgate_testkit::block(&[(":status", "200")])))?;
    for (n, (name, value)) in fields.iter().enumerate() {
        let flags = if n + 1 == fields.len() { Frame::END_HEADERS } else { 0 };
        let block = tollgate_testkit::block(&[(name, value)]);
        peer.send(&Frame::new(Frame::CONTINUATION, flags, stream, block))?;
    }
    Ok(())
}

/// A target that takes the connection and never begins, or is no HTTP/2 at all.
#[test]
fn targets_that_do_not_speak_it() {
    let silent = Origin::start(|conn: &mut Conn| conn.wait_end());
    let none = Origin::start(|conn: &mut Conn| {
        conn.wait_byte()?;
        conn.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
        conn.wait_end()
    });
    let leaves = Origin::start(|conn: &mut Conn| conn.wait_byte());
    let port = Port::reserve();
    for (address, reason) in [
        (silent.address(), "upstream_connect"),
        (none.address(), "upstream_protocol"),
        (leaves.address(), "upstream_connect"),
        (port.address(), "upstream_connect"),
    ] {
        let gateway = with(&format!("h2c://{address}"), "    connect_timeout: 300ms\n");
        let mut clients: Vec<Client> = (0..4).map(|_| gateway.client()).collect();
        clients.iter_mut().for_each(|client| client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        clients.iter_mut().for_each(|client| assert_problem(&client.response(), reason));
    }
}

/// A body that breaks off never looks complete.
#[test]
fn a_body_that_breaks_off() {
    for end in
        [Frame::reset(1, 2), Frame::reset(1, 0), Frame::go_away(0, 2), Frame::data(1, "0123456789", true)]
    {
        for fields in [&[(":status", "200")][..], &[(":status", "200"), ("content-length", "9")]] {
            let end = end.clone();
            let (ends_well, whole) = (end.ends_stream(), fields.len() == 1);
            let fields: Vec<(&'static str, &'static str)> = fields.to_vec();
            let (_origin, url) = frames(move |conn| {
                let mut peer = Http2::begin(conn, &[])?;
                let stream = peer.request()?;
                peer.send(&Frame::headers(stream, &fields, false))?;
                peer.send(&Frame::data(stream, "abc", false))?;
                peer.send(&end)?;
                if end.kind == Frame::GOAWAY { Ok(()) } else { peer.wait_end() }
            });
            let gateway = with(&url, "");
            let mut client = gateway.client();
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            match client.try_response() {
                Ok(answer) => assert!(ends_well && whole && answer.text() == "abc0123456789", "{answer:#?}"),
                Err(_) => assert!(!(ends_well && whole), "a whole answer was cut"),
            }
        }
    }
}

/// A target that fell silent gets no other requests: nobody would know for minutes.
#[test]
fn a_connection_that_fell_silent_is_left() {
    let (origin, url) = frames(|conn| {
        let first = conn.index() == 0;
        let mut peer = Http2::begin(conn, &[])?;
        loop {
            let stream = peer.request()?;
            if !first || stream == 1 {
                peer.answer(stream, "ok")?;
            }
        }
    });
    let gateway = with(&url, "    timeout: 300ms\n");
    assert_eq!(gateway.get("/").status, 200);
    assert_problem(&gateway.get("/"), "upstream_timeout");
    assert_eq!(gateway.get("/").status, 200, "on another connection");
    assert_eq!(origin.connections().len(), 2);
}
