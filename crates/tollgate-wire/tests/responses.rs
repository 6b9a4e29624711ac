//! Response heads in bytes: an upstream can attack as a client can.

use tollgate_wire::{
    HeadError, HeadLimits, HeadProgress, Method, Parsed, ResponseHead, Version, name, parse_response,
};

use HeadError::*;

#[test]
fn status_lines_are_refused() {
    for (line, offence) in [
        (&b"\r\nHTTP/1.1 200 OK\r\n"[..], EmptyLine),
        (b"\nHTTP/1.1 200 OK\r\n", BareLfInStartLine),
        (b"HTTP/1.1 200 OK\n", BareLfInStartLine),
        (b"HTTP/1.1 200\n", BareLfInStartLine),
        (b"HTTP/1.1 200 O\rK\r\n", BareCrInStartLine),
        (b"HTTP/1.1 200\r \r\n", BareCrInStartLine),
        (b"HTTP/1.1 200 O\0K\r\n", NulByteInStartLine),
        (b"HTTP/1.1 200 O\x01K\r\n", BadReason),
        (b"HTTP/1.1 200 O\x7fK\r\n", BadReason),
        (b"HTTP/0.9 200 OK\r\n", UnsupportedVersion),
        (b"HTTP/1.2 200 OK\r\n", UnsupportedVersion),
        (b"HTTP/2.0 200 OK\r\n", UnsupportedVersion),
        (b"HTTP/2 200\r\n", UnsupportedVersion),
        (b"http/1.1 200 OK\r\n", BadVersion),
        (b" HTTP/1.1 200 OK\r\n", BadVersion),
        (b"ICY 200 OK\r\n", BadVersion),
        (b"HTTP/1.1200 OK\r\n", BadVersion),
        (b"HTTP/1.1\t200 OK\r\n", BadVersion),
        (b"SSH-2.0-OpenSSH_9.2\r\n", BadVersion),
        (b"HTTP/1.1  200 OK\r\n", BadStatus),
        (b"HTTP/1.1 20 OK\r\n", BadStatus),
        (b"HTTP/1.1 2000 OK\r\n", BadStatus),
        (b"HTTP/1.1 099 OK\r\n", BadStatus),
        (b"HTTP/1.1 000 OK\r\n", BadStatus),
        (b"HTTP/1.1 2x0 OK\r\n", BadStatus),
        (b"HTTP/1.1 +20 OK\r\n", BadStatus),
        (b"HTTP/1.1 200\tOK\r\n", BadStatus),
        (b"HTTP/1.1 OK\r\n", BadStatus),
        (b"HTTP/1.1 \r\n", BadStatus),
        (b"HTTP/1.1\r\n", BadStatus),
    ] {
        let bytes = [line, b"Server: a\r\n\r\n"].concat();
        assert_eq!(parse(&Method::Get, &bytes).err(), Some(offence), "{}", bytes.escape_ascii());
    }
}

#[test]
fn lengths_by_status_and_method() {
    let (get, head, connect) = (Method::Get, Method::Head, Method::Connect);
    for (method, status, lines, expect) in [
        (&get, 200, "", Ok("UntilClose")),
        (&get, 200, "Connection: keep-alive\r\n", Ok("UntilClose")),
        (&get, 200, "Content-Length: 0\r\n", Ok("Length(0) persistent length")),
        (&get, 200, "Content-Length: 5\r\n", Ok("Length(5) persistent length")),
        (&get, 200, "Transfer-Encoding: chunked\r\n", Ok("Chunked persistent")),
        (&get, 500, "Content-Length: 5\r\nConnection: close\r\n", Ok("Length(5) length")),
        (&get, 205, "Content-Length: 0\r\n", Ok("Length(0) persistent length")),
        (&get, 999, "Content-Length: 5\r\n", Ok("Length(5) persistent length")),
        (&head, 200, "", Ok("None persistent")),
        (&head, 200, "Content-Length: 5\r\n", Ok("None persistent length")),
        (&head, 200, "Transfer-Encoding: chunked\r\n", Ok("None persistent")),
        (&head, 200, "Content-Length: 5, 5\r\n", Err(RepeatedLength)),
        (&get, 304, "", Ok("None persistent")),
        (&get, 304, "Content-Length: 5\r\n", Ok("None persistent length")),
        (&get, 304, "Transfer-Encoding: chunked\r\n", Ok("None persistent")),
        (&get, 304, "Transfer-Encoding: gzip\r\n", Err(UnknownTransferCoding)),
        (&get, 204, "", Ok("None persistent")),
        (&get, 204, "Content-Length: 0\r\n", Ok("None persistent")),
        (&get, 204, "Content-Length: 5\r\n", Ok("None")),
        (&get, 204, "Transfer-Encoding: chunked\r\n", Err(TransferEncodingWithoutBody)),
        (&head, 204, "Transfer-Encoding: chunked\r\n", Err(TransferEncodingWithoutBody)),
        (&get, 100, "", Ok("None persistent")),
        (&get, 103, "Link: </a>\r\n", Ok("None persistent")),
        (&get, 101, "Upgrade: websocket\r\nConnection: Upgrade\r\n", Ok("None persistent")),
        (&get, 100, "Content-Length: 0\r\n", Ok("None persistent")),
        (&get, 100, "Content-Length: 5\r\n", Err(LengthWithoutBody)),
        (&get, 101, "Content-Length: 5\r\n", Err(LengthWithoutBody)),
        (&get, 100, "Transfer-Encoding: chunked\r\n", Err(TransferEncodingWithoutBody)),
        (&get, 101, "Transfer-Encoding: chunked\r\n", Err(TransferEncodingWithoutBody)),
        (&get, 100, "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", Err(LengthAndTransferEncoding)),
        (&get, 204, "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", Err(LengthAndTransferEncoding)),
        (&get, 304, "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", Err(LengthAndTransferEncoding)),
        (&head, 200, "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", Err(LengthAndTransferEncoding)),
        (&connect, 200, "Content-Length: 5\r\n", Ok("None persistent length")),
        (&connect, 403, "Content-Length: 5\r\n", Ok("Length(5) persistent length")),
    ] {
        let found = parse(method, format!("HTTP/1.1 {status} X\r\n{lines}\r\n").as_bytes());
        let found = found.as_ref().map(show).map_err(|offence| *offence);
        assert_eq!(found.as_deref(), expect.as_ref().map(|text| *text), "{method} {status} {lines:?}");
    }
}

#[test]
fn http_1_0_closes_unless_it_says_otherwise() {
    for (lines, expect) in [
        ("", "UntilClose"),
        ("Content-Length: 5\r\n", "Length(5) length"),
        ("Content-Length: 5\r\nConnection: keep-alive\r\n", "Length(5) persistent length"),
        ("Content-Length: 5\r\nConnection: close, keep-alive\r\n", "Length(5) length"),
        ("Connection: keep-alive\r\n", "UntilClose"),
    ] {
        let head = parse(&Method::Get, format!("HTTP/1.0 200 OK\r\n{lines}\r\n").as_bytes()).unwrap();
        assert_eq!(head.version, Version::Http10);
        assert_eq!(show(&head), expect, "{lines:?}");
    }
}

#[test]
fn reasons_are_kept_as_sent() {
    for (line, reason) in [
        (&b"HTTP/1.1 200 OK\r\n"[..], &b"OK"[..]),
        (b"HTTP/1.1 200 \r\n", b""),
        (b"HTTP/1.1 200\r\n", b""),
        (b"HTTP/1.1 404 Nicht gefunden\r\n", b"Nicht gefunden"),
        (b"HTTP/1.1 404 Pas trouv\xe9\r\n", b"Pas trouv\xe9"),
        (b"HTTP/1.1 404 a\tb \r\n", b"a\tb "),
    ] {
        for lines in [&b""[..], b"Server: a\r\n"] {
            let head = parse(&Method::Get, &[line, lines, b"\r\n"].concat()).unwrap();
            assert_eq!(head.reason(), reason);
        }
    }
}

#[test]
fn interim_responses_are_heads() {
    for (status, interim) in [(100, true), (102, true), (103, true), (101, false), (200, false)] {
        let head = parse(&Method::Get, format!("HTTP/1.1 {status} X\r\n\r\n").as_bytes()).unwrap();
        assert_eq!((head.status, head.is_interim()), (status, interim));
    }
}

/// Body, then what else is worth knowing.
fn show(head: &ResponseHead) -> String {
    let mut text = format!("{:?}", head.body);
    text += if head.persistent { " persistent" } else { "" };
    text += if head.headers.contains(&name::CONTENT_LENGTH) { " length" } else { "" };
    text
}

/// The bounds on what services answer: 64 KiB and 128 lines.
#[test]
fn heads_of_services_are_bounded() {
    let head = |line: usize, lines: usize| {
        let line = format!("a: {}\r\n", "x".repeat(line - 5));
        format!("HTTP/1.1 200 OK\r\n{}\r\n", line.repeat(lines)).into_bytes()
    };
    let take = |bytes: &[u8]| {
        let (mut progress, mut head) = (HeadProgress::default(), ResponseHead::default());
        parse_response(bytes, &mut progress, &HeadLimits::RESPONSE, &Method::Get, &mut head).err()
    };
    for (line, lines, expect) in [
        (500, 128, None),
        (10, 129, Some(TooManyHeaders)),
        (64 * 1024 - 100, 1, None),
        (64 * 1024 + 1, 1, Some(HeadTooLong)),
    ] {
        assert_eq!(take(&head(line, lines)), expect, "{lines} of {line}");
    }
}

fn parse(method: &Method, bytes: &[u8]) -> Result<ResponseHead, HeadError> {
    let (limits, mut head) = (HeadLimits::default(), ResponseHead::default());
    let parsed = parse_response(bytes, &mut HeadProgress::default(), &limits, method, &mut head);
    if let Ok(parsed) = parsed {
        assert_eq!(parsed, Parsed::Complete(bytes.len()), "{}", bytes.escape_ascii());
    }
    let mut progress = HeadProgress::default();
    let dripped = (1..=bytes.len())
        .find_map(|len| parse_response(&bytes[..len], &mut progress, &limits, method, &mut head).err());
    assert_eq!(dripped.is_some(), parsed.is_err(), "dripped: {}", bytes.escape_ascii());
    parsed.map(|_| head)
}
