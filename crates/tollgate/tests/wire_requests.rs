//! What a client may not send: every refusal with its reason, and nothing of it ever reaches an origin.

use std::fmt::Write;

use tollgate_testkit::{Gateway, Origin, assert_problem, assert_problem_head, gateway};

const ROUTES: &str = "
routes:
  - path: /*
    to: @ORIGIN@
";

/// A head that is good but for the `line` put into it.
fn with_line(line: &str) -> String {
    format!("POST /smuggled HTTP/1.1\r\nHost: test\r\n{line}\r\n\r\n")
}

fn with_request_line(line: &str) -> String {
    format!("{line}\r\nHost: test\r\n\r\n")
}

/// Each request is refused with one of the codes of its row, the connection is closed although a good request
/// follows in the same packet, and the origin never hears of either.
#[track_caller]
fn check_refused(cases: &[(Vec<u8>, &str)]) {
    let origin = Origin::ok();
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    for (request, codes) in cases {
        let mut bytes = request.clone();
        bytes.extend_from_slice(b"GET /smuggled-too HTTP/1.1\r\nHost: test\r\n\r\n");
        let mut client = gateway.client();
        client.send(&bytes);
        let answer = match client.try_response() {
            Ok(answer) => answer,
            Err(fault) => panic!("{fault:?} for {:?}", String::from_utf8_lossy(request)),
        };
        let shown = String::from_utf8_lossy(request);
        assert!(codes.split('|').any(|code| code == answer.code()), "{codes} for {shown:?}: {answer:#?}");
        assert_problem(&answer, codes);
        assert_eq!(answer.header("connection"), Some("close"), "{shown:?}");
        client.assert_closed();
    }
    origin.assert_untouched();
    assert_still_serves(&gateway, &origin);
}

#[track_caller]
fn assert_still_serves(gateway: &Gateway, origin: &Origin) {
    // What was refused midway may be noted there a moment later.
    let fine = || origin.requests().iter().filter(|seen| seen.target() == "/fine").count();
    let before = fine();
    assert_eq!(gateway.get("/fine").text(), "ok");
    assert_eq!(fine(), before + 1);
}

fn rows<'a>(cases: &[(&str, &'a str)], make: fn(&str) -> String) -> Vec<(Vec<u8>, &'a str)> {
    cases.iter().map(|(text, codes)| (latin1(&make(text)), *codes)).collect()
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("latin-1")).collect()
}

#[test]
fn request_lines() {
    let cases = [
        ("GET  / HTTP/1.1", "bad_request_line"),
        ("GET /  HTTP/1.1", "bad_request_line"),
        (" GET / HTTP/1.1", "bad_request_line"),
        ("GET\t/ HTTP/1.1", "bad_request_line"),
        ("GET /\tHTTP/1.1", "bad_request_line|bad_path"),
        ("GET / HTTP/1.1 ", "bad_request_line|version_not_supported"),
        ("GET / HTTP/1.1x", "bad_request_line|version_not_supported"),
        ("GET / HTTP/11", "bad_request_line|version_not_supported"),
        ("GET / HTTP/1.10", "bad_request_line|version_not_supported"),
        ("GET / http/1.1", "bad_request_line|version_not_supported"),
        ("GET / ICY/1.1", "bad_request_line|version_not_supported"),
        ("GET /", "bad_request_line|version_not_supported"),
        ("GET", "bad_request_line|version_not_supported"),
        ("GE(T / HTTP/1.1", "bad_request_line"),
        ("G\u{e9}T / HTTP/1.1", "bad_request_line"),
        ("GET: / HTTP/1.1", "bad_request_line"),
        ("GET /a b HTTP/1.1", "bad_request_line|version_not_supported"),
        ("GET /a\u{1}b HTTP/1.1", "bad_request_line|bad_path"),
        ("GET /a\u{0}b HTTP/1.1", "bad_request_line|bad_path"),
        ("GET /a\u{7f}b HTTP/1.1", "bad_request_line|bad_path"),
        ("GET /a\rb HTTP/1.1", "bad_request_line|bad_path"),
        ("GET users HTTP/1.1", "bad_request_line"),
        ("GET test:80 HTTP/1.1", "bad_request_line"),
        ("GET * HTTP/1.1", "bad_request_line"),
        ("GET ftp://test/ HTTP/1.1", "bad_request_line"),
        ("GET http:/ HTTP/1.1", "bad_request_line|bad_host"),
        ("GET http:///x HTTP/1.1", "bad_request_line|bad_host"),
        ("GET http://user@test/ HTTP/1.1", "bad_request_line|bad_host"),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}", "bad_request_line|version_not_supported"),
        ("GET / HTTP/2.0", "version_not_supported"),
        ("GET / HTTP/3.0", "version_not_supported"),
        ("GET / HTTP/0.9", "version_not_supported"),
    ];
    check_refused(&rows(&cases, with_request_line));
}

#[test]
fn line_ends() {
    let cases = [
        ("GET / HTTP/1.1\nHost: test\r\n\r\n", "bad_request_line|bad_header"),
        ("GET / HTTP/1.1\nHost: test\n\n", "bad_request_line|bad_header"),
        ("GET / HTTP/1.1\r\nHost: test\n\r\n", "bad_header"),
        ("GET / HTTP/1.1\r\nHost: test\r\n\n", "bad_header"),
        ("GET / HTTP/1.1\r\nHost: test\r\nX: a\rY: b\r\n\r\n", "bad_header"),
        ("GET / HTTP/1.1\r\nHost: test\r\nX: a\r\r\n\r\n", "bad_header"),
        ("GET / HTTP/1.1\rHost: test\r\n\r\n", "bad_request_line|bad_header"),
    ];
    check_refused(&rows(&cases, str::to_owned));
}

#[test]
fn header_lines() {
    let cases = [
        ("X-A : 1", "bad_header"),
        ("X-A\t: 1", "bad_header"),
        ("X-A: 1\r\n folded", "bad_header"),
        ("X-A: 1\r\n\tfolded", "bad_header"),
        ("X-A:\r\n 1", "bad_header"),
        ("no colon here", "bad_header"),
        (": nameless", "bad_header"),
        ("X@A: 1", "bad_header"),
        ("X\u{e9}: 1", "bad_header"),
        ("X(A): 1", "bad_header"),
        ("X-A: a\u{0}b", "bad_header"),
        ("X-\u{0}A: b", "bad_header"),
        ("X-A: a\u{1}b", "bad_header"),
        ("X-A: a\u{7f}b", "bad_header"),
        ("X-A: a\u{b}b", "bad_header"),
    ];
    check_refused(&rows(&cases, with_line));
    let first = [
        ("GET / HTTP/1.1\r\n Host: test\r\n\r\n", "bad_header"),
        ("GET / HTTP/1.1\r\n\tX: 1\r\nHost: test\r\n\r\n", "bad_header"),
    ];
    check_refused(&rows(&first, str::to_owned));
}

#[test]
fn lengths() {
    let cases = [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", "bad_framing"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0", "bad_framing"),
        ("Content-Length: 5\r\nContent-Length: 6", "bad_framing"),
        ("Content-Length: 5\r\nContent-Length: 5", "bad_framing"),
        ("Content-Length: 5, 5", "bad_framing"),
        ("Content-Length: 5, 6", "bad_framing"),
        ("Content-Length: +5", "bad_framing"),
        ("Content-Length: -5", "bad_framing"),
        ("Content-Length: 0x5", "bad_framing"),
        ("Content-Length: 5a", "bad_framing"),
        ("Content-Length: 5 5", "bad_framing"),
        ("Content-Length: 5.0", "bad_framing"),
        ("Content-Length: 1e1", "bad_framing"),
        ("Content-Length: 1_0", "bad_framing"),
        ("Content-Length: \"5\"", "bad_framing"),
        ("Content-Length:", "bad_framing"),
        ("Content-Length: ,5", "bad_framing"),
        ("Content-Length: \u{b2}", "bad_framing"),
        ("Content-Length: 18446744073709551616", "bad_framing"),
        ("Content-Length: 99999999999999999999", "bad_framing"),
        ("Transfer-Encoding: xchunked", "bad_framing"),
        ("Transfer-Encoding: chunked, chunked", "bad_framing"),
        ("Transfer-Encoding: gzip, chunked", "bad_framing"),
        ("Transfer-Encoding: chunked, gzip", "bad_framing"),
        ("Transfer-Encoding: chunked, identity", "bad_framing"),
        ("Transfer-Encoding: identity", "bad_framing"),
        ("Transfer-Encoding: gzip", "bad_framing"),
        ("Transfer-Encoding: chunked;q=1", "bad_framing"),
        ("Transfer-Encoding: chunked,", "bad_framing"),
        ("Transfer-Encoding: ,chunked", "bad_framing"),
        ("Transfer-Encoding: \"chunked\"", "bad_framing"),
        ("Transfer-Encoding: chunke\u{e4}", "bad_framing"),
        ("Transfer-Encoding:", "bad_framing"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "bad_framing"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "bad_framing"),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", "bad_framing"),
    ];
    check_refused(&rows(&cases, with_line));
    let old = [(
        "POST /smuggled HTTP/1.0\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "bad_framing",
    )];
    check_refused(&rows(&old, str::to_owned));
}

#[test]
fn hosts() {
    let good = "Host: test\r\n";
    let cases = [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "bad_host"),
        ("GET / HTTP/1.1\r\nX-Host: test\r\n\r\n".to_owned(), "bad_host"),
        (format!("GET / HTTP/1.1\r\n{good}{good}\r\n"), "bad_host"),
        (format!("GET / HTTP/1.1\r\n{good}Host: other\r\n\r\n"), "bad_host"),
        (format!("GET http://other/ HTTP/1.1\r\n{good}\r\n"), "bad_host"),
        (format!("GET http://test:81/ HTTP/1.1\r\n{good}\r\n"), "bad_host"),
    ];
    let mut all: Vec<(Vec<u8>, &str)> = cases.iter().map(|(text, code)| (latin1(text), *code)).collect();
    for host in [
        "",
        "a b",
        "a,b",
        "a/b",
        "user@test",
        "test:99999",
        "test:x",
        "test:-1",
        "[::1",
        "::1",
        "[zz]",
        "a\\b",
        "a?b",
        "a#b",
        "t\u{e9}st",
        "a<b",
        "a\"b",
        "[::1]x",
        "a:1:2",
    ] {
        all.push((latin1(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), "bad_host|bad_header"));
    }
    check_refused(&all);
}

/// Paths without a normal form. The framing is good, so the connection need not end.
#[test]
fn paths() {
    let origin = Origin::ok();
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    for path in [
        "/a\\b",
        "/%",
        "/a%4",
        "/a%zz",
        "/a%00b",
        "/a%0ab",
        "/a%0D",
        "/a%1f",
        "/a%7F",
        "/..",
        "/../a",
        "/a/../..",
        "/a/../../b",
        "/%2e%2e",
        "/%2E%2e/a",
        "/.%2e/a",
        "/a/%2e%2e/%2e%2e/b",
        "/\u{80}",
        "/a\u{ff}",
        "/a%u0041",
        "/a#b",
    ] {
        let request = latin1(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        let answer = gateway.client().exchange(&request);
        let codes = if path.contains('#') { "bad_path|bad_request_line" } else { "bad_path" };
        assert!(codes.contains(&answer.code()), "{path:?} gives {answer:#?}");
        assert_problem(&answer, codes);
    }
    origin.assert_untouched();
    assert_still_serves(&gateway, &origin);
}

#[test]
fn methods_and_expectations_that_are_not_served() {
    let origin = Origin::ok();
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    for (request, code) in [
        ("CONNECT test:443 HTTP/1.1\r\nHost: test:443\r\n\r\n", "method_not_implemented"),
        ("CONNECT test:443 HTTP/1.1\r\nHost: test\r\n\r\n", "method_not_implemented"),
        ("CONNECT test:443 HTTP/1.1\r\n\r\n", "method_not_implemented"),
        ("CONNECT test HTTP/1.1\r\nHost: test\r\n\r\n", "method_not_implemented"),
        ("CONNECT / HTTP/1.1\r\nHost: test\r\n\r\n", "method_not_implemented"),
        ("CONNECT http://test/ HTTP/1.1\r\nHost: test\r\n\r\n", "method_not_implemented"),
        ("CONNECT / HTTP/1.0\r\n\r\n", "method_not_implemented"),
        ("TRACE / HTTP/1.1\r\nHost: test\r\n\r\n", "method_not_implemented"),
        ("TRACE /..%zz HTTP/1.1\r\nHost: test\r\n\r\n", "method_not_implemented"),
        (
            "POST / HTTP/1.1\r\nHost: test\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\nx",
            "expectation_failed",
        ),
        (
            "POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue, x\r\nContent-Length: 1\r\n\r\nx",
            "expectation_failed",
        ),
    ] {
        let mut client = gateway.client();
        assert_problem(&client.exchange(request), code);
        if code == "method_not_implemented" {
            client.assert_closed();
        }
    }
    origin.assert_untouched();
    assert_still_serves(&gateway, &origin);
}

/// What asks for a WebSocket and is no handshake, also as one of several protocols: the client may take any answer for
/// its start.
#[test]
fn upgrades() {
    let origin = Origin::ok();
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let ask = |upgrade: &str, connection: &str| {
        let lines = format!("Upgrade: {upgrade}\r\nConnection: {connection}\r\nSec-WebSocket-Version: 13");
        gateway.client().exchange(format!("GET / HTTP/1.1\r\nHost: test\r\n{lines}\r\n\r\n"))
    };
    for upgrade in
        ["websocket", "WebSocket", "websocket, foo", "foo/1,websocket", "h2c\r\nUpgrade: websocket"]
    {
        assert_problem(&ask(upgrade, "keep-alive, Upgrade"), "upgrade_refused");
    }
    origin.assert_untouched();
    // Not asked for, or another protocol: the request counts and the offer is not passed on (RFC 9110 section 7.8).
    for (upgrade, connection) in
        [("websocket", "keep-alive"), ("h2c", "upgrade"), ("xwebsocket, foo", "upgrade")]
    {
        assert_eq!(ask(upgrade, connection).status, 200, "{upgrade}");
    }
    assert!(origin.requests().iter().all(|seen| seen.header("upgrade").is_none()));
}

/// HEAD has the headers of the problem without its body, and the connection goes on where it may.
#[test]
fn head_gets_a_problem_without_its_body() {
    let gateway = gateway!("routes:\n  - path: /here\n    respond: { status: 200 }\n");
    let mut client = gateway.client();
    let answer = client.exchange("HEAD /nowhere HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_problem_head(&answer, "route_not_found");
    assert_problem(&client.get("/nowhere"), "route_not_found");
}

/// The chunked body of a request goes wrong after its head was forwarded: 400, closed, and the origin never
/// sees a complete request.
#[test]
fn chunks() {
    let origin = Origin::ok();
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(70_000));
    let cases: &[&str] = &[
        "G\r\n",
        "\r\n",
        ";x\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "10000000000000000\r\nhello",
        "ffffffffffffffffff\r\nhello",
        &long,
        "5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
        "5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "5\r\nhello\r\n0\r\nHost: evil\r\n\r\n",
        "5\r\nhello\r\n0\r\nAuthorization: evil\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-A : 1\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-A: 1\r\n fold\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-A: \u{0}\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-A: 1\n\r\n",
        "5\r\nhello\r\n0\r\nnocolon\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
    ];
    for body in cases {
        let mut client = gateway.client();
        client.send("POST /smuggled HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
        // The gateway may refuse before it has read everything.
        let _ = client.try_send(latin1(body));
        let answer = match client.try_response() {
            Ok(answer) => answer,
            Err(fault) => panic!("{fault:?} for {body:?}"),
        };
        assert!(answer.status == 400, "{body:?} gives {answer:#?}");
        assert_problem(&answer, "bad_framing|bad_header");
        client.assert_closed();
    }
    for seen in origin.requests() {
        assert!(!seen.complete, "the origin believes in {seen:#?}");
    }
    assert_still_serves(&gateway, &origin);
}

/// The published ways of hiding a Transfer-Encoding beside a Content-Length, with a request to smuggle behind.
#[test]
fn smuggling_corpus() {
    let hidden = [
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: CHUNKED",
        "Transfer-Encoding:chunked",
        "Transfer-Encoding:\tchunked",
        "Transfer-Encoding:  chunked",
        "Transfer-Encoding: chunked ",
        "Transfer-Encoding: chunked\t",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "X: X\nTransfer-Encoding: chunked",
        "X: X\rTransfer-Encoding: chunked",
        "X: X\u{0}\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding\r\n: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: chunked\u{c}",
        "Transfer-Encoding: \u{a0}chunked",
        "Transfer-Encoding: \u{ff}chunked",
        "Transfer-Encoding: chun\u{1}ked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: x, chunked",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: chunked, x",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;x",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-encoding: x",
        "Foo: bar\r\n\tTransfer-Encoding: chunked",
        "Transfer-Encoding\u{0}: chunked",
        "\u{0}Transfer-Encoding: chunked",
        "Content-Length: 0",
        "Content-Length: 44",
        "Content-Length : 0",
        "Content-Length: 0\u{b}",
    ];
    let mut cases = Vec::new();
    for line in hidden {
        let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";
        for head in ["{line}\r\nContent-Length: {n}", "Content-Length: {n}\r\n{line}"] {
            let lines = head.replace("{line}", line).replace("{n}", &smuggled.len().to_string());
            let request = format!("POST /smuggled HTTP/1.1\r\nHost: test\r\n{lines}\r\n\r\n{smuggled}");
            cases.push((latin1(&request), "bad_framing|bad_header"));
        }
    }
    check_refused(&cases);
}

/// What looks like a request inside a body is body, whatever the method.
#[test]
fn a_request_inside_a_body_is_data() {
    let origin = Origin::echo();
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let inner = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut requests = String::new();
    for method in ["GET", "DELETE", "POST", "PUT", "BREW"] {
        let head =
            format!("{method} /outer HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", inner.len());
        write!(requests, "{head}{inner}").expect("a string takes it");
    }
    let head = "POST /outer HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
    write!(requests, "{head}{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len()).expect("a string takes it");
    let mut client = gateway.client();
    client.send(&requests);
    for _ in 0..6 {
        assert_eq!(client.response().json()["body"], inner);
    }
    let seen = origin.requests();
    assert_eq!(seen.len(), 6);
    assert!(seen.iter().all(|seen| seen.target() == "/outer" && seen.complete), "{seen:#?}");
}

/// An unusual but unambiguous spelling is no offence.
#[test]
fn unusual_but_good_requests_pass() {
    let origin = Origin::echo();
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    for request in [
        "GET / HTTP/1.1\r\nhOST: test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \t test \t\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test:8080\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: TEST.Example.\r\n\r\n",
        "GET / HTTP/1.1\r\nX-Empty:\r\nHost: test\r\n\r\n",
        "GET http://test/ HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET HTTP://TEST/ HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET http://test HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: test\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 00005\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: test\r\ntransfer-encoding: Chunked\r\n\r\n5;name=value\r\nhello\r\n000\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n",
    ] {
        let answer = gateway.client().exchange(request);
        assert_eq!(answer.status, 200, "{request:?} gives {answer:#?}");
    }
}
