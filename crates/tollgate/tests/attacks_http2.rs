//! Requests over HTTP/2 that would be other requests, or several, once they are written as HTTP/1: none of them reaches
//! the service.

use tollgate_testkit::{Frame, Gateway, Origin, PREFACE, gateway};

const ROUTES: &str = "
consumers: [{ name: app, keys: ['sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b'] }]
routes:
  - { path: /admin/*, auth: { api_key: { header: x-api-key } }, to: @ORIGIN@ }
  - { host: inside.test, path: /*, auth: { api_key: { header: x-api-key } }, to: @ORIGIN@ }
  - { path: /*, to: @ORIGIN@ }
";

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/x"), (":authority", "test")];

fn start(origin: &Origin) -> Gateway {
    gateway!(ROUTES, ORIGIN = origin.url())
}

/// A GET in which pseudo fields have other values, and with more fields.
fn fields<'a>(others: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let other = |name: &str| others.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
    let pseudo = GET.iter().map(|(name, value)| (*name, other(name).unwrap_or(*value)));
    pseudo.chain(more.iter().copied()).collect()
}

/// How the gateway answers these frames on stream 1: with a status of a static table index or a literal, a reset, or
/// the end of the connection. The first that comes.
fn outcome(gateway: &Gateway, frames: &[Frame]) -> &'static str {
    let mut client = gateway.client();
    let mut bytes = PREFACE.to_vec();
    bytes.extend(Frame::settings(&[]).encode());
    bytes.extend(frames.iter().flat_map(Frame::encode));
    // What is malformed may end the connection while the rest is on its way.
    let _ = client.try_send(&bytes);
    let mut buffer = Vec::new();
    loop {
        while let Some(frame) = Frame::take(&mut buffer) {
            match (frame.kind, frame.stream) {
                (Frame::GOAWAY, _) => return "refused",
                (Frame::RST_STREAM, 1) => return "refused",
                // 200, 400 and 401 by their places in the static table of HPACK, or by name.
                (Frame::HEADERS, 1) if frame.payload.first() == Some(&0x88) => return "served",
                (Frame::HEADERS, 1) => return "answered",
                _ => {}
            }
        }
        buffer.extend(client.bytes(1));
    }
}

/// None of these reaches the service, as far as `smuggled` or at all, and the next honest request is served.
#[track_caller]
fn check_refused(cases: &[Vec<(&str, &str)>]) {
    let origin = Origin::ok();
    let gateway = start(&origin);
    for fields in cases {
        let fate = outcome(&gateway, &[Frame::headers(1, fields, true)]);
        assert_ne!(fate, "served", "{fields:?}");
    }
    origin.assert_untouched();
    assert_eq!(outcome(&gateway, &[Frame::headers(1, &GET, true)]), "served");
    assert_eq!(origin.request().head.start, "GET /x HTTP/1.1");
}

/// HAProxy made the line of a request out of a scheme and a path that had not been looked at.
#[test]
fn cve_2021_39240_schemes_and_paths_that_are_none() {
    check_refused(&[
        fields(&[(":scheme", "http://inside.test/?")], &[]),
        fields(&[(":scheme", "http://inside.test/ HTTP/1.1\r\n")], &[]),
        fields(&[(":path", "http://inside.test/x")], &[]),
        fields(&[(":path", "inside.test/x")], &[]),
        fields(&[(":path", "@inside.test/x")], &[]),
        fields(&[(":path", ":80/x")], &[]),
        fields(&[(":path", "")], &[]),
        fields(&[(":path", "/x HTTP/1.1\r\nHost: inside.test\r\n\r\nGET /y")], &[]),
        fields(&[(":path", "/x /admin")], &[]),
        fields(&[(":path", "/x\\..\\admin")], &[]),
        fields(&[(":path", "/x\u{e9}")], &[]),
        fields(&[(":path", "*")], &[]),
    ]);
}

/// HAProxy let a space stand in a method: `GET /admin? HTTP/1.1` in front of the path.
#[test]
fn cve_2021_39241_methods_with_a_space() {
    check_refused(&[
        fields(&[(":method", "GET /admin/x?")], &[]),
        fields(&[(":method", "GET /admin/x HTTP/1.1\r\nHost: test\r\n\r\nGET")], &[]),
        fields(&[(":method", "GET\t")], &[]),
        fields(&[(":method", "")], &[]),
        fields(&[(":method", "G(T")], &[]),
    ]);
}

/// HAProxy decided by `:authority` and sent `host` on.
#[test]
fn cve_2021_39242_an_authority_and_another_host() {
    check_refused(&[
        fields(&[], &[("host", "inside.test")]),
        fields(&[(":authority", "inside.test")], &[("host", "test")]),
        fields(&[], &[("host", "test"), ("host", "inside.test")]),
        fields(&[(":authority", "test@inside.test")], &[]),
        fields(&[(":authority", "test/inside.test")], &[]),
        fields(&[(":authority", "test inside.test")], &[]),
        fields(&[(":authority", "inside.test.")], &[]),
        fields(&[(":authority", "INSIDE.test:80")], &[]),
    ]);
}

/// Envoy forwarded names and values of HTTP/2 that cannot stand in HTTP/1.
#[test]
fn cve_2023_27491_fields_that_cannot_stand_in_http1() {
    check_refused(&[
        fields(&[], &[("x-a", "b\r\nx-evil: 1")]),
        fields(&[], &[("x-a", "b\nx-evil: 1")]),
        fields(&[], &[("x-a", "b\rc")]),
        fields(&[], &[("x-a", "b\0")]),
        fields(&[], &[("x-a", "b\u{b}c")]),
        fields(&[], &[("x-a: b\r\nx-evil", "1")]),
        fields(&[], &[("x:a", "1")]),
        fields(&[], &[("x a", "1")]),
        fields(&[], &[("x-a ", "1")]),
        fields(&[], &[("", "1")]),
        fields(&[], &[(":evil", "1")]),
        fields(&[], &[(":path", "/admin/x")]),
        fields(&[], &[(":status", "200")]),
        fields(&[], &[("transfer-encoding", "chunked")]),
        fields(&[], &[("transfer_encoding", "chunked")]),
        fields(&[], &[("content_length", "0")]),
        fields(&[], &[("connection", "x-api-key")]),
        fields(&[], &[("upgrade", "h2c")]),
        fields(&[], &[("te", "chunked")]),
        fields(&[], &[("content-length", "5")]),
    ]);
}

/// nginx kept a header of no name and no value, and memory for it, as often as it came.
#[test]
fn cve_2019_9516_headers_without_name_and_value() {
    let empty: Vec<(&str, &str)> = vec![("", ""); 1000];
    check_refused(&[fields(&[], &empty), fields(&[], &[("", "")])]);
}

/// A length that is not that of the body (H2.CL), and a body that is a request (H2.0): one request comes of it, with
/// the body that was sent, or none.
#[test]
fn a_body_is_as_long_as_it_is() {
    const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";
    let origin = Origin::ok();
    let gateway = start(&origin);
    let post = |length: Option<&'static str>| {
        let more: Vec<(&str, &str)> = length.map(|length| ("content-length", length)).into_iter().collect();
        Frame::headers(1, &fields(&[(":method", "POST")], &more), false)
    };
    for length in ["0", "3", "4096", "+5", "5, 5", "0x5", ""] {
        for frames in [
            vec![post(Some(length)), Frame::data(1, SMUGGLED, true)],
            vec![post(Some(length)), Frame::data(1, "abc", false), Frame::data(1, SMUGGLED, true)],
        ] {
            assert_eq!(outcome(&gateway, &frames), "refused", "{length:?}");
        }
    }
    for seen in origin.requests() {
        assert!(seen.target() == "/x" && seen.body.len() < SMUGGLED.len(), "{seen:#?}");
    }
    let before = origin.count();
    for body in [SMUGGLED, "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"] {
        assert_eq!(outcome(&gateway, &[post(None), Frame::data(1, body, true)]), "served");
        assert_eq!(String::from_utf8_lossy(&origin.last().body), body);
    }
    assert_eq!(origin.count(), before + 2);
}
