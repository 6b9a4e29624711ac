//! `response.compress`: what is compressed, how it is told, and that it comes whole, at once and never by halves.

use std::io::Read;
use std::process::Command;
use std::time::Duration;

use tollgate_testkit::behaviour::{answer_each, then_close};
use tollgate_testkit::{Client, Fault, Gate, Gateway, Origin, Response, assert_problem, gateway, pause};

const ROUTES: &str = "
routes:
  - { path: /plain/*, to: @ORIGIN@ }
  - { path: /edited/*, to: @ORIGIN@, response: { compress: true, set_headers: { etag: '\"mine\"', vary: accept } } }
  - { path: '/own/{word}', response: { compress: true }, respond: { headers: { etag: '\"v1\"' }, json: { word: '{word}', text: '@LONG@' } } }
  - { path: /*, to: @ORIGIN@, response: { compress: true } }
";

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

fn start(origin: &Origin) -> Gateway {
    gateway!(ROUTES, ORIGIN = origin.url(), LONG = text(3000))
}

/// Text that shrinks, and whose every part differs.
fn text(bytes: usize) -> String {
    let lines = (0..).map(|n| format!("line {n} of a text that repeats itself. "));
    lines
        .scan(0, |sum, line| {
            (*sum < bytes).then(|| {
                *sum += line.len();
                line
            })
        })
        .collect::<String>()[..bytes]
        .to_owned()
}

/// An answer with these header lines and this body.
fn answer(lines: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn ask(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n")
}

fn decoded(coding: &str, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out)?,
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out)?,
        "zstd" => zstd::Decoder::new(bytes)?.read_to_end(&mut out)?,
        other => panic!("no coding {other}"),
    };
    Ok(out)
}

#[track_caller]
fn assert_coded(response: &Response, coding: &str, body: &[u8]) {
    assert_eq!(response.header("content-encoding"), Some(coding), "{response:?}");
    assert!(response.body.len() < body.len(), "it shrank: {} of {}", response.body.len(), body.len());
    assert!(decoded(coding, &response.body).expect("a whole body") == body, "the body differs");
}

#[test]
fn each_coding_comes_whole_and_is_told_right() {
    for bytes in [1024, 5000, 100_000, 3_000_000] {
        let body = text(bytes);
        let lines = "Content-Type: application/json\r\nETag: \"abc\"\r\nAccept-Ranges: bytes\r\n";
        let served = answer(lines, body.as_bytes());
        let origin = Origin::start(move |conn| answer_each(conn, &served));
        let gateway = start(&origin);
        for coding in CODINGS {
            let mut client = gateway.client();
            for n in 0..2 {
                let path = format!("/{coding}/{n}");
                let response = client.exchange(ask(&path, &format!("Accept-Encoding: {coding}\r\n")));
                assert_coded(&response, coding, body.as_bytes());
                let header = |name| response.header(name);
                assert_eq!(header("etag"), Some("W/\"abc\""), "other bytes, the same meaning");
                assert_eq!(header("vary"), Some("accept-encoding"));
                let gone = ["content-length", "accept-ranges"].map(header);
                assert_eq!((gone, header("transfer-encoding")), ([None, None], Some("chunked")));
                let record = gateway.record_of(&path);
                assert_eq!(record["bytes_out"], response.body.len(), "what was sent: {record}");
            }
        }
    }
}

#[test]
fn what_streams_with_trailers_or_to_the_end_is_coded_too() {
    let body = text(20_000);
    let chunks: String = body
        .as_bytes()
        .chunks(1500)
        .map(|part| format!("{:x}\r\n{}\r\n", part.len(), String::from_utf8_lossy(part)))
        .collect();
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\nX-Sum: 7\r\n\r\n"
    );
    let to_the_end = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{body}");
    for (served, trailers) in [(chunked, true), (to_the_end, false)] {
        let served: &'static [u8] = served.leak().as_bytes();
        let origin = Origin::start(then_close(served));
        let gateway = start(&origin);
        for coding in CODINGS {
            let lines = format!("Accept-Encoding: {coding}\r\nTE: trailers\r\nConnection: TE\r\n");
            let response = gateway.client().exchange(ask("/", &lines));
            assert_coded(&response, coding, body.as_bytes());
            let expect = if trailers { vec![("X-Sum".to_owned(), "7".to_owned())] } else { Vec::new() };
            let got: Vec<_> = response
                .trailers
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
                .collect();
            assert_eq!(
                got,
                expect
                    .iter()
                    .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
                    .collect::<Vec<_>>()
            );
        }
    }
}

/// What is served for the route to leave alone: header lines, and the bytes of the body.
#[track_caller]
fn check_left_alone(lines: &str, body: &[u8], request_lines: &str) {
    let served = answer(lines, body);
    let origin = Origin::start(move |conn| answer_each(conn, &served));
    let gateway = start(&origin);
    let response = gateway.client().exchange(ask("/", request_lines));
    assert_eq!((response.status, &response.body[..]), (200, body), "{lines:?}");
    let length = body.len().to_string();
    assert_eq!(response.header("content-length"), Some(&*length), "{lines:?}: {response:?}");
    assert_eq!(response.header("vary"), Some("accept-encoding"), "{lines:?}");
    let coding = lines.contains("Content-Encoding").then_some("br");
    assert_eq!(response.header("content-encoding"), coding, "{lines:?}");
}

#[test]
fn what_does_not_gain_or_must_not_be_touched_is_left_alone() {
    let long = text(5000);
    let all = "Accept-Encoding: gzip, br, zstd\r\n";
    check_left_alone("Content-Type: application/json\r\n", &long.as_bytes()[..1023], all);
    check_left_alone("Content-Type: application/json\r\n", b"", all);
    for lines in [
        "",
        "Content-Type: image/png\r\n",
        "Content-Type: video/mp4\r\n",
        "Content-Type: application/zip\r\n",
        "Content-Type: application/octet-stream\r\n",
        "Content-Type: font/woff2\r\n",
        "Content-Type: text/event-stream\r\n",
        "Content-Type: text/event-stream; charset=utf-8\r\n",
        "Content-Type: application/grpc\r\n",
        "Content-Type: application/grpc+proto\r\n",
        "Content-Type: nonsense\r\n",
        "Content-Type: text/html\r\nContent-Encoding: br\r\n",
        "Content-Type: text/html\r\nCache-Control: public, no-transform\r\n",
        "Content-Type: text/html\r\nContent-Digest: sha-256=:abc=:\r\n",
        "Content-Type: text/html\r\nDigest: sha-256=abc\r\n",
    ] {
        check_left_alone(lines, long.as_bytes(), all);
    }
    for asked in [
        "",
        "Accept-Encoding:\r\n",
        "Accept-Encoding: identity\r\n",
        "Accept-Encoding: deflate, compress\r\n",
        "Accept-Encoding: gzip;q=0\r\n",
        "Accept-Encoding: gzip;q=0.5, identity;q=0.9\r\n",
        "Accept-Encoding: gzip\r\nCache-Control: no-transform\r\n",
    ] {
        check_left_alone("Content-Type: text/html\r\nETag: \"abc\"\r\n", long.as_bytes(), asked);
    }
}

#[test]
fn answers_without_a_body_and_parts_are_left_alone() {
    let head = |status: &str, lines: &str| {
        format!("HTTP/1.1 {status}\r\n{lines}Content-Type: text/html\r\nETag: \"abc\"\r\n")
    };
    let part = format!(
        "{}Content-Range: bytes 0-4999/9000\r\nContent-Length: 5000\r\n\r\n{}",
        head("206 Part", ""),
        text(5000)
    );
    for (served, status, etag) in [
        (head("204 No", "") + "\r\n", 204, "\"abc\""),
        // Validates the coded answer as well.
        (head("304 Same", "") + "\r\n", 304, "W/\"abc\""),
        (part, 206, "\"abc\""),
    ] {
        let origin = Origin::start(move |conn| answer_each(conn, served.as_bytes()));
        let response = start(&origin).client().exchange(ask("/", "Accept-Encoding: gzip\r\n"));
        assert_eq!((response.status, response.header("content-encoding")), (status, None));
        assert_eq!((response.header("etag"), response.header("vary")), (Some(etag), Some("accept-encoding")));
    }
}

#[test]
fn head_tells_what_get_would() {
    let served = answer("Content-Type: text/html\r\nETag: \"abc\"\r\n", text(5000).as_bytes());
    let head_only = served
        .split(|byte| *byte == b'\n')
        .take(5)
        .flat_map(|line| [line, b"\n"].concat())
        .collect::<Vec<u8>>();
    let origin = Origin::start(move |conn| {
        loop {
            let seen = conn.request()?;
            conn.send(if seen.method() == "HEAD" { &head_only } else { &served })?;
        }
    });
    let gateway = start(&origin);
    for path in ["/", "/own/a"] {
        let lines = "Accept-Encoding: br\r\n";
        let get = gateway.client().exchange(ask(path, lines));
        let mut client = gateway.client();
        client.send(ask(path, lines).replacen("GET", "HEAD", 1));
        let head = client.response_to("HEAD");
        assert!(head.body.is_empty());
        for name in ["content-encoding", "etag", "vary", "content-type", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
        assert_eq!(get.header("content-encoding"), Some("br"), "{path}");
    }
}

#[test]
fn the_routes_own_headers_and_answers_count() {
    let served = answer("Content-Type: text/html\r\nVary: Origin\r\n", text(5000).as_bytes());
    let origin = Origin::start(move |conn| answer_each(conn, &served));
    let gateway = start(&origin);
    let asked = "Accept-Encoding: zstd\r\n";
    let edited = gateway.client().exchange(ask("/edited/a", asked));
    assert_eq!(edited.header("etag"), Some("W/\"mine\""));
    assert_eq!(edited.head.all("vary"), ["accept", "accept-encoding"]);
    let both = gateway.client().exchange(ask("/", asked));
    assert_eq!(both.head.all("vary"), ["Origin", "accept-encoding"], "what the service said stays");
    let plain = gateway.client().exchange(ask("/plain/a", asked));
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("Origin")));

    let own = gateway.client().exchange(ask("/own/hello", asked));
    let body = decoded("zstd", &own.body).expect("a whole body");
    let json: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(json["word"], "hello");
    let length = own.body.len().to_string();
    assert_eq!((own.header("content-length"), own.header("etag")), (Some(&*length), Some("W/\"v1\"")));
    assert_eq!(gateway.record_of("/own/hello")["bytes_out"], own.body.len());
    // A body of unknown length has no end that a client of old could see.
    let mut old = gateway.client();
    old.send("GET / HTTP/1.0\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!(old.response().header("content-encoding"), None);
}

/// Reads on from a live answer, undoing the chunks, until `wanted` can be decoded from what came so far.
fn read_until(client: &mut Client, coding: &str, so_far: &mut Vec<u8>, wanted: &str) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        assert!(std::time::Instant::now() < deadline, "{coding}: {wanted:?} does not come");
        let size = client.until("\r\n");
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk");
        so_far.extend(client.bytes_exactly(size));
        client.until("\r\n");
        let mut out = Vec::new();
        // A body that is not whole gives what it has, and then an error.
        let _ = match coding {
            "gzip" => flate2::read::GzDecoder::new(&so_far[..]).read_to_end(&mut out),
            "br" => brotli::Decompressor::new(&so_far[..], 64).read_to_end(&mut out),
            _ => zstd::Decoder::new(&so_far[..]).expect("a decoder").read_to_end(&mut out),
        };
        if String::from_utf8_lossy(&out).ends_with(wanted) {
            return;
        }
    }
}

#[test]
fn what_came_is_not_held_back() {
    for coding in CODINGS {
        let (gate, line) = (Gate::new(), |n: usize| format!("{{\"n\":{n}}}\n"));
        let theirs = gate.clone();
        let origin = Origin::start(move |conn| {
            conn.request()?;
            conn.send(
                "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n",
            )?;
            conn.send(format!("{:x}\r\n{}\r\n", line(1).len(), line(1)))?;
            theirs.wait();
            conn.send(format!("{:x}\r\n{}\r\n0\r\n\r\n", line(2).len(), line(2)))
        });
        let gateway = start(&origin);
        let mut client = gateway.client();
        client.send(ask("/", &format!("Accept-Encoding: {coding}\r\n")));
        client.until("\r\n\r\n");
        let mut so_far = Vec::new();
        read_until(&mut client, coding, &mut so_far, &line(1));
        gate.open();
        read_until(&mut client, coding, &mut so_far, &line(2));
    }
}

#[test]
fn a_body_that_breaks_off_never_looks_whole() {
    let half = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 90000\r\n\r\n{}",
        text(40_000)
    );
    let half: &'static [u8] = half.leak().as_bytes();
    let origin = Origin::start(then_close(half));
    let gateway = start(&origin);
    for coding in CODINGS {
        let mut client = gateway.client();
        client.send(ask(&format!("/{coding}"), &format!("Accept-Encoding: {coding}\r\n")));
        let fault = client.try_response().expect_err("it is not whole");
        assert!(matches!(fault, Fault::Truncated | Fault::Reset), "{fault:?}");
        assert_eq!(gateway.record_of(&format!("/{coding}"))["reason"], "upstream_reset");
    }
    let garbage = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    let origin = Origin::saying(garbage);
    assert_problem(
        &start(&origin).client().exchange(ask("/", "Accept-Encoding: gzip\r\n")),
        "upstream_protocol",
    );
}

/// A client that does not read stops the service, and what is kept for it is bounded.
#[test]
fn a_slow_client_holds_little() {
    const MIB: usize = 1024 * 1024;
    let origin = Origin::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        // What does not shrink: random enough, and text.
        let mut state = 88172645463325252u64;
        for _ in 0..64 {
            let part: Vec<u8> = std::iter::repeat_with(|| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .take(MIB)
            .collect();
            conn.send(format!("{:x}\r\n", part.len()))?;
            conn.send(part)?;
            conn.send("\r\n")?;
        }
        conn.send("0\r\n\r\n")
    });
    let gateway = start(&origin);
    let before = gateway.own_kib();
    let mut clients: Vec<Client> = (0..8).map(|_| Client::connect_narrow(&gateway.address(), 4096)).collect();
    for (client, coding) in clients.iter_mut().zip(CODINGS.iter().cycle()) {
        client.send(ask("/", &format!("Accept-Encoding: {coding}\r\n")));
        client.until("HTTP/1.1 200");
    }
    pause(Duration::from_millis(300));
    let grown = gateway.own_kib() - before;
    assert!(grown < 24 * 1024, "8 slow clients hold {grown} KiB");
    drop(clients);
}

#[test]
fn curl_understands_it() {
    let body = text(50_000);
    let served = answer("Content-Type: text/html\r\n", body.as_bytes());
    let origin = Origin::start(move |conn| answer_each(conn, &served));
    let gateway = start(&origin);
    let url = format!("http://{}/", gateway.address());
    let output = Command::new("curl").args(["-sS", "--compressed", "-D", "/dev/stderr", &url]).output();
    let output = output.expect("curl is installed");
    let head = String::from_utf8_lossy(&output.stderr).to_ascii_lowercase();
    assert!(head.contains("content-encoding: "), "{head}");
    assert!(output.stdout == body.as_bytes(), "curl got something else");
}

#[test]
fn a_client_that_leaves_in_the_middle_leaves_nothing_behind() {
    let origin = Origin::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nsome text")?;
        conn.wait_end()
    });
    let gateway = start(&origin);
    // More than may be at work at the same time, one after the other.
    for n in 0..80 {
        let mut client = gateway.client();
        client.send(ask(&format!("/{n}"), "Accept-Encoding: zstd\r\n"));
        assert!(client.until("\r\n\r\n").contains("content-encoding: zstd"), "request {n}");
        client.reset();
        assert_eq!(gateway.record_of(&format!("/{n}"))["reason"], "client_closed");
    }
}
