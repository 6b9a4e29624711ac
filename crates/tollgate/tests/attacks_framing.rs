//! Where one message ends and the next begins, as others got it wrong: every request of a client is one request for
//! the service, with the body that the client meant.

use tollgate_testkit::{Client, Fault, Gateway, Origin, assert_problem, behaviour, gateway, wait_for};

/// Behind every attack, on the same connection.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";

const ROUTES: &str = "
consumers: [{ name: app, keys: ['sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b'] }]
routes:
  - { path: /own/*, respond: { body: own } }
  - { path: /moved/*, redirect: { to: /elsewhere } }
  - { path: /private/*, auth: { api_key: { header: x-api-key } }, to: @ORIGIN@ }
  - { path: /inside/*, allow_ips: [192.0.2.0/24], to: @ORIGIN@ }
  - { path: /read/*, methods: [GET], to: @ORIGIN@ }
  - { path: /guarded/*, guard: [{ if: 'false' }], to: @ORIGIN@ }
  - { path: /gone/*, to: 'http://127.0.0.1:9' }
  - { path: /kept/*, cache: { ttl: 1h }, to: @ORIGIN@ }
  - { path: /*, to: @ORIGIN@ }
";

fn start(origin: &Origin) -> Gateway {
    gateway!(ROUTES, ORIGIN = origin.url())
}

/// Everything that comes back until the connection ends or nothing more does.
fn answers(gateway: &Gateway, bytes: &[u8]) -> Vec<u16> {
    let mut client = gateway.client();
    // The gateway may refuse and close before it has read all of it.
    let _ = client.try_send(bytes);
    client.half_close();
    let mut statuses = Vec::new();
    loop {
        match client.try_response() {
            Ok(answer) => statuses.push(answer.status),
            Err(Fault::Eof | Fault::Reset | Fault::Truncated) => return statuses,
            Err(fault) => panic!("{fault:?} behind {statuses:?}"),
        }
    }
}

/// Refused, closed, and nothing of it reaches the service.
#[track_caller]
fn check_refused(heads: &[&[u8]], codes: &str) {
    let origin = Origin::ok();
    let gateway = start(&origin);
    for head in heads {
        let shown = String::from_utf8_lossy(head).into_owned();
        let mut client = gateway.client();
        let _ = client.try_send([head, SMUGGLED.as_bytes()].concat());
        let answer = client.try_response().unwrap_or_else(|fault| panic!("{fault:?} for {shown:?}"));
        assert!(codes.split('|').any(|code| code == answer.code()), "{shown:?}: {answer:#?}");
        client.assert_closed();
    }
    origin.assert_untouched();
    assert_eq!(gateway.get("/fine").text(), "ok");
}

/// A vertical tab in front of `chunked`: HAProxy passed the line on and went by the length.
#[test]
fn cve_2019_18277_a_coding_behind_a_vertical_tab() {
    let with =
        |line: &str| format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n{line}\r\n\r\n0\r\n\r\n");
    let lines =
        ["Transfer-Encoding:\x0bchunked", "Transfer-Encoding: \x0bchunked", "Transfer-Encoding: chunked\x0b"];
    let requests: Vec<String> = lines.iter().map(|line| with(line)).collect();
    check_refused(&requests.iter().map(String::as_bytes).collect::<Vec<_>>(), "bad_header|bad_framing");
}

/// nginx answered with a redirect, left the body unread, and took it for the next request. Here whatever the gateway
/// answers by itself is followed by the end of the connection, or by the request behind the body.
#[test]
fn cve_2019_20372_the_body_of_a_request_that_the_gateway_answers_by_itself() {
    let origin = Origin::ok();
    let gateway = start(&origin);
    for path in ["/own/x", "/moved/x", "/private/x", "/inside/x", "/read/x", "/guarded/x", "/gone/x"] {
        for framing in [
            format!("Content-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len()),
            format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len()),
            format!("Expect: 100-continue\r\nContent-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len()),
        ] {
            let request = format!("POST {path} HTTP/1.1\r\nHost: test\r\n{framing}");
            let statuses = answers(&gateway, request.as_bytes());
            let finals = statuses.iter().filter(|status| **status >= 200).count();
            assert_eq!(finals, 1, "{statuses:?} for {request}");
        }
    }
    assert!(
        origin.requests().iter().all(|seen| !seen.target().contains("smuggled")),
        "{:#?}",
        origin.requests()
    );
}

/// HAProxy kept the length of a header's name in too few bits, so that one of 270 bytes hid a length.
#[test]
fn cve_2021_40346_a_name_so_long_that_its_length_overflows() {
    let origin = Origin::echo();
    let gateway = start(&origin);
    for length in [255, 256, 257, 270, 511, 512, 4096] {
        let name = format!("Content-Length0{}", "a".repeat(length - 15));
        let request = format!(
            "POST /x HTTP/1.1\r\nHost: test\r\n{name}: 0\r\nContent-Length: {}\r\n\r\n{SMUGGLED}",
            SMUGGLED.len()
        );
        let answer = gateway.client().exchange(request);
        assert_eq!((answer.status, answer.json()["body"].as_str()), (200, Some(SMUGGLED)), "{length}");
    }
    assert!(origin.requests().iter().all(|seen| seen.target() == "/x"));
}

/// Headers behind an empty name were lost in HAProxy, the length among them.
#[test]
fn cve_2023_25725_a_header_without_a_name() {
    check_refused(
        &[
            b"POST / HTTP/1.1\r\nHost: test\r\n: x\r\nContent-Length: 4\r\n\r\nGET ",
            b"POST / HTTP/1.1\r\nHost: test\r\n:\r\nContent-Length: 4\r\n\r\nGET ",
            b"POST / HTTP/1.1\r\n:Host: test\r\nHost: test\r\n\r\n",
        ],
        "bad_header",
    );
}

/// HAProxy passed on a Content-Length without digits, which services read as none or as zero.
#[test]
fn cve_2023_40225_a_length_without_digits() {
    check_refused(
        &[
            b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length:\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: \r\nContent-Length: 5\r\n\r\nhello",
            b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: ,5\r\n\r\nhello",
            b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: -0\r\n\r\n",
        ],
        "bad_framing",
    );
}

/// Envoy took any 200 for the beginning of a tunnel, and handed on what came behind the handshake without a look.
#[test]
fn cve_2024_23326_an_upgrade_that_is_answered_with_200_is_no_tunnel() {
    let origin = Origin::ok();
    let gateway = start(&origin);
    let handshake = "GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let statuses =
        answers(&gateway, format!("{handshake}GET /private/x HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes());
    // The second request is refused as ever, or the connection ended in front of it.
    assert!(matches!(statuses[..], [200] | [200, 401]), "{statuses:?}");
    assert_eq!(origin.request().target(), "/ws");
}

/// Envoy handed on what a client sent behind a CONNECT before anybody had said yes to it.
#[test]
fn cve_2025_64763_what_comes_behind_a_connect_goes_nowhere() {
    let origin = Origin::ok();
    let gateway = start(&origin);
    for early in [SMUGGLED, "\x16\x03\x01", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let statuses =
            answers(&gateway, format!("CONNECT test:80 HTTP/1.1\r\nHost: test:80\r\n\r\n{early}").as_bytes());
        assert_eq!(statuses, [501]);
    }
    origin.assert_untouched();
}

/// Pingora answered from its cache without reading the request's body, and read that as the next request.
#[test]
fn cve_2025_4366_the_body_of_a_request_that_is_answered_from_the_cache() {
    let origin = Origin::ok();
    let gateway = start(&origin);
    assert_eq!(gateway.get("/kept/x").status, 200);
    for method in ["GET", "HEAD"] {
        let request = format!(
            "{method} /kept/x HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{SMUGGLED}",
            SMUGGLED.len()
        );
        let mut client = gateway.client();
        client.send(&request);
        client.half_close();
        assert_eq!(client.response_to(method).status, 200);
        client.assert_closed();
    }
    assert!(origin.requests().iter().all(|seen| seen.target() == "/kept/x"), "{:#?}", origin.requests());
}

/// HAProxy looped for ever over a Set-Cookie2 in an answer.
#[test]
fn cve_2022_0711_old_cookies_in_an_answer() {
    let origin = Origin::saying(
        "HTTP/1.1 200 OK\r\nSet-Cookie2: a=b; Version=1\r\nSet-Cookie2:\r\nSet-Cookie: ;;;=\r\nSet-Cookie: ,\r\n\
         Content-Length: 2\r\n\r\nok",
    );
    let gateway = start(&origin);
    for path in ["/x", "/kept/x"] {
        assert_eq!(gateway.get(path).text(), "ok");
    }
}

/// What smuggles by the end of a chunk's line (an LF alone, a quoted line end, a space): no reader of it agrees with
/// the next.
#[test]
fn extensions_of_chunks_that_end_somewhere_else_for_others() {
    let origin = Origin::ok();
    let gateway = start(&origin);
    for line in [
        "1;\n",
        "1;a=b\n",
        "1\n",
        "1;x\r",
        "1;\"\r\n\"\r\n",
        "1;a=\"\n\"\r\n",
        "1\r\r\n",
        "1;\0\r\n",
        "1\x0b\r\n",
    ] {
        let request = format!(
            "POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{line}Z\r\n0\r\n\r\n{SMUGGLED}"
        );
        let mut client = gateway.client();
        let _ = client.try_send(&request);
        let answer = client.try_response().unwrap_or_else(|fault| panic!("{fault:?} for {line:?}"));
        assert_problem(&answer, "bad_framing");
        client.assert_closed();
    }
    for seen in origin.requests() {
        assert!(!seen.complete && seen.target() == "/x", "{seen:#?}");
    }
}

/// Extensions and spellings of a size are the client's: the service gets chunks that the gateway wrote.
#[test]
fn chunks_are_written_anew() {
    let origin = Origin::echo();
    let gateway = start(&origin);
    let answer = gateway.client().exchange(
        "POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: Chunked\r\n\r\n0005;a=\"b c\";d\r\nhello\r\n00;e\r\n\r\n",
    );
    assert_eq!(answer.json()["body"], "hello");
    let raw = String::from_utf8_lossy(&origin.connections()[0].raw).into_owned();
    assert!(raw.contains("\r\n5\r\nhello\r\n0\r\n\r\n") && !raw.contains("a="), "{raw}");
}

/// An answer in two: what a service is made to say in a header stays one header, or is refused.
#[test]
fn answers_cannot_be_split() {
    for evil in ["a\rX-Evil: 1", "a\nX-Evil: 1", "a\0", "a\r\n X-Evil: 1"] {
        let origin = Origin::start(move |conn| {
            conn.request()?;
            conn.send(format!("HTTP/1.1 200 OK\r\nX-A: {evil}\r\nContent-Length: 2\r\n\r\nok"))?;
            conn.wait_end()
        });
        let gateway = start(&origin);
        assert_problem(&gateway.get("/x"), "upstream_protocol");
    }
}

/// A client that ends in the middle never makes a whole request of what it sent so far.
#[test]
fn half_a_body_is_no_body() {
    let origin = Origin::start(behaviour::hang);
    let gateway = start(&origin);
    for (n, rest) in
        ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"]
            .iter()
            .enumerate()
    {
        let mut client: Client = gateway.client();
        client.send(format!("POST /x HTTP/1.1\r\nHost: test\r\n{rest}"));
        client.half_close();
        let _ = client.drain();
        wait_for("the attempt to end", || origin.connections().get(n).is_none_or(|c| c.closed.is_some()));
    }
    assert!(origin.requests().iter().all(|seen| !seen.complete), "{:#?}", origin.requests());
}
