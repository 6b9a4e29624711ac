//! Request heads in bytes: what is accepted and as what, and what is refused and why.

use tollgate_wire::{
    BodyLength, HeadError, HeadLimits, HeadProgress, Method, Offence, Parsed, RequestHead, TargetForm,
    Version, name, parse_request,
};

use HeadError::*;

#[test]
fn request_lines_are_refused() {
    for (line, offence) in [
        // The method.
        (&b" / HTTP/1.1\r\n"[..], BadMethod),
        (b" GET / HTTP/1.1\r\n", BadMethod),
        (b"\tGET / HTTP/1.1\r\n", BadMethod),
        (b"G\x01T / HTTP/1.1\r\n", BadMethod),
        (b"G(T / HTTP/1.1\r\n", BadMethod),
        (b"G\xc9T / HTTP/1.1\r\n", BadMethod),
        (b"GET\t/ HTTP/1.1\r\n", BadMethod),
        (b"{\"a\": 1}\r\n", BadMethod),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", NulByteInStartLine),
        (b"\x16\x03\x01\x02\x10\x01\x10\x01\xfc\x03\x03", BadMethod),
        (b"A23456789012345678901234567890123 / HTTP/1.1\r\n", MethodTooLong),
        // The target.
        (b"GET\r\n", BadTarget),
        (b"GET \r\n", BadTarget),
        (b"GET  / HTTP/1.1\r\n", BadTarget),
        (b"GET  HTTP/1.1\r\n", BadTarget),
        (b"GET HTTP/1.1\r\n", UnsupportedVersion),
        (b"GET a HTTP/1.1\r\n", BadTarget),
        (b"GET * HTTP/1.1\r\n", BadTarget),
        (b"GET a:80 HTTP/1.1\r\n", BadTarget),
        (b"GET ftp://a/ HTTP/1.1\r\n", BadTarget),
        (b"GET http:///a HTTP/1.1\r\n", BadTarget),
        (b"GET http://u:p@a/ HTTP/1.1\r\n", BadTarget),
        (b"GET /a?b#c HTTP/1.1\r\n", BadTarget),
        (b"GET /\ta HTTP/1.1\r\n", BadTargetByte),
        (b"GET /\x01 HTTP/1.1\r\n", BadTargetByte),
        (b"GET /\x7f HTTP/1.1\r\n", BadTargetByte),
        (b"GET /\xff HTTP/1.1\r\n", BadTargetByte),
        (b"GET /a\0b HTTP/1.1\r\n", NulByteInStartLine),
        (b"GET /a\rb HTTP/1.1\r\n", BareCrInStartLine),
        (b"GET /a\nb HTTP/1.1\r\n", BareLfInStartLine),
        (b"CONNECT a HTTP/1.1\r\n", MalformedConnect),
        (b"CONNECT / HTTP/1.1\r\n", MalformedConnect),
        // The version.
        (b"GET /\r\n", UnsupportedVersion),
        (b"GET / HTTP/0.9\r\n", UnsupportedVersion),
        (b"GET / HTTP/1.2\r\n", UnsupportedVersion),
        (b"GET / HTTP/2.0\r\n", UnsupportedVersion),
        (b"GET / HTTP/2\r\n", UnsupportedVersion),
        (b"GET / HTTP/9.9\r\n", UnsupportedVersion),
        (b"PRI * HTTP/2.0\r\n", UnsupportedVersion),
        (b"GET / http/1.1\r\n", BadVersion),
        (b"GET / HTTP/1.1 \r\n", BadVersion),
        (b"GET / HTTP/1.1\t\r\n", BadVersion),
        (b"GET /  HTTP/1.1\r\n", BadVersion),
        (b"GET / a HTTP/1.1\r\n", BadVersion),
        (b"GET / HTTP/1.10\r\n", BadVersion),
        (b"GET / HTTP/11.1\r\n", BadVersion),
        (b"GET / HTTP/1.\r\n", BadVersion),
        (b"GET / HTTP/01.1\r\n", BadVersion),
        (b"GET / HTTPS/1.1\r\n", BadVersion),
        (b"GET / ICY/1.1\r\n", BadVersion),
        (b"GET / \r\n", BadVersion),
        // Line ends.
        (b"GET / HTTP/1.1\n", BareLfInStartLine),
        (b"GET / HTTP/1.1\r\r\n", BareCrInStartLine),
        (b"GET / HTTP/1.1\r", BareCrInStartLine),
        (b"\nGET / HTTP/1.1\r\n", BareLfInStartLine),
        (b"\r\n\nGET / HTTP/1.1\r\n", BareLfInStartLine),
        (b"\r\n\r\nGET / HTTP/1.1\r\n", EmptyLine),
        (b"\rGET / HTTP/1.1\r\n", BareCrInStartLine),
        (b"\0GET / HTTP/1.1\r\n", NulByteInStartLine),
    ] {
        refused(&[line, b"Host: a\r\n\r\n"].concat(), offence);
    }
}

#[test]
fn hosts_are_refused() {
    for (head, offence) in [
        ("GET / HTTP/1.1\r\n\r\n", MissingHost),
        ("GET http://a/ HTTP/1.1\r\n\r\n", MissingHost),
        ("OPTIONS * HTTP/1.1\r\n\r\n", MissingHost),
        ("CONNECT a:1 HTTP/1.1\r\n\r\n", MalformedConnect),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", RepeatedHost),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhOST: b\r\n\r\n", RepeatedHost),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", RepeatedHost),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", MalformedHost),
        ("GET / HTTP/1.0\r\nHost:\r\n\r\n", MalformedHost),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", MalformedHost),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", MalformedHost),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", MalformedHost),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", MalformedHost),
        ("GET / HTTP/1.1\r\nHost: a:80a\r\n\r\n", MalformedHost),
        ("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", MalformedHost),
        ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", MalformedHost),
        ("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", MalformedHost),
        ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", HostMismatch),
        ("GET http://a/ HTTP/1.0\r\nHost: b\r\n\r\n", HostMismatch),
        ("GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n", HostMismatch),
        ("GET https://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n", HostMismatch),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", MalformedConnect),
    ] {
        refused(head.as_bytes(), offence);
    }
}

#[test]
fn expectations_are_refused() {
    for expectation in ["", "100", "200-ok", "100-continue, x", "100-continue;q=1", "100-continued"] {
        let head =
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: {expectation}\r\n\r\n");
        refused(head.as_bytes(), UnknownExpectation);
    }
    refused(
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n\r\n",
        UnknownExpectation,
    );
}

#[test]
fn framing_is_judged_before_the_expectation_and_after_the_target() {
    refused(
        b"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        LengthAndTransferEncoding,
    );
    refused(b"GET a HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", BadTarget);
}

#[test]
fn targets_are_taken_apart() {
    for (line, form, path, query, authority) in [
        ("GET / HTTP/1.1", TargetForm::Origin, "/", None, "h"),
        ("GET /a/b?c=d?e HTTP/1.1", TargetForm::Origin, "/a/b", Some("c=d?e"), "h"),
        ("GET /? HTTP/1.1", TargetForm::Origin, "/", Some(""), "h"),
        ("GET /a? HTTP/1.1", TargetForm::Origin, "/a", Some(""), "h"),
        ("GET /a\\b\u{e9}#|\"<>{}^` HTTP/1.1", TargetForm::Origin, "/a\\b\u{e9}#|\"<>{}^`", None, "h"),
        ("GET http://h HTTP/1.1", TargetForm::Absolute, "/", None, "h"),
        ("GET http://h/ HTTP/1.1", TargetForm::Absolute, "/", None, "h"),
        ("GET http://h?q/ HTTP/1.1", TargetForm::Absolute, "/", Some("q/"), "h"),
        ("GET HTTP://H:80/a?b HTTP/1.1", TargetForm::Absolute, "/a", Some("b"), "H:80"),
        ("OPTIONS * HTTP/1.1", TargetForm::Asterisk, "*", None, "h"),
        ("CONNECT h:1 HTTP/1.1", TargetForm::Authority, "", None, "h:1"),
    ] {
        let host = if line.starts_with("CONNECT") { "h:1" } else { "h" };
        let head = accepted(format!("{line}\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(head.form(), form, "{line}");
        assert_eq!(head.path(), path.as_bytes(), "{line}");
        assert_eq!(head.query(), query.map(str::as_bytes), "{line}");
        assert_eq!(head.authority(), Some(authority.as_bytes()), "{line}");
        assert_eq!(head.target(), line.split(' ').nth(1).unwrap().as_bytes(), "{line}");
    }
    assert_eq!(accepted(b"GET / HTTP/1.0\r\n\r\n").authority(), None);
    assert_eq!(accepted(b"GET http://b HTTP/1.0\r\n\r\n").authority(), Some(&b"b"[..]));
}

#[test]
fn what_the_headers_say_about_message_and_connection() {
    // (version, lines, body, persistent, expect_continue, upgrade, trailers)
    for (version, lines, expect) in [
        ("1.1", "", "None persistent"),
        ("1.1", "Connection: close\r\n", "None"),
        ("1.1", "Connection: x, CLOSE\r\n", "None"),
        ("1.1", "Connection: x\r\nConnection: close\r\n", "None"),
        ("1.1", "Connection: keep-alive, close\r\n", "None"),
        ("1.1", "Connection: closed\r\n", "None persistent"),
        ("1.1", "Proxy-Connection: close\r\n", "None persistent"),
        ("1.0", "", "None"),
        ("1.0", "Connection: Keep-Alive\r\n", "None persistent"),
        ("1.0", "Connection: x\r\nConnection: keep-alive\r\n", "None persistent"),
        ("1.0", "Connection: keep-alive, close\r\n", "None"),
        ("1.1", "Content-Length: 0\r\n", "Length(0) persistent"),
        ("1.1", "Content-Length: 5\r\n", "Length(5) persistent"),
        ("1.1", "Content-Length:5 \t\r\n", "Length(5) persistent"),
        ("1.1", "Content-Length: 9223372036854775807\r\n", "Length(9223372036854775807) persistent"),
        ("1.0", "Content-Length: 5\r\n", "Length(5)"),
        ("1.1", "Transfer-Encoding: chunked\r\n", "Chunked persistent"),
        ("1.1", "tRANSFER-eNCODING:\t cHuNkEd \r\n", "Chunked persistent"),
        ("1.1", "Expect: 100-continue\r\n", "None persistent"),
        ("1.1", "Expect: 100-Continue\r\nContent-Length: 1\r\n", "Length(1) persistent continue"),
        ("1.1", "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "Chunked persistent continue"),
        ("1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n", "Length(1)"),
        ("1.1", "Upgrade: websocket\r\nConnection: Upgrade\r\n", "None persistent upgrade"),
        ("1.1", "Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n", "None persistent upgrade"),
        ("1.1", "Upgrade: websocket\r\n", "None persistent"),
        ("1.1", "Upgrade:\r\nConnection: upgrade\r\n", "None persistent"),
        ("1.1", "Connection: upgrade\r\n", "None persistent"),
        ("1.0", "Upgrade: websocket\r\nConnection: Upgrade, keep-alive\r\n", "None persistent"),
        ("1.1", "TE: trailers\r\n", "None persistent trailers"),
        ("1.1", "TE: gzip;q=0.5, Trailers\r\n", "None persistent trailers"),
        ("1.1", "TE: gzip\r\nTE: trailers\r\n", "None persistent trailers"),
        ("1.1", "TE: trailers;q=0\r\n", "None persistent"),
        ("1.0", "TE: trailers\r\n", "None"),
    ] {
        let head = accepted(format!("POST / HTTP/{version}\r\nHost: a\r\n{lines}\r\n").as_bytes());
        let mut found = format!("{:?}", head.body);
        for (flag, word) in [
            (head.persistent, " persistent"),
            (head.expect_continue, " continue"),
            (head.wants_upgrade(), " upgrade"),
            (head.trailers_accepted(), " trailers"),
        ] {
            found += if flag { word } else { "" };
        }
        assert_eq!(found, expect, "{version} {lines:?}");
    }
}

#[test]
fn one_empty_line_may_come_first() {
    let bytes = b"\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\nrest";
    let mut head = RequestHead::default();
    let parsed = parse_request(bytes, &mut HeadProgress::default(), &HeadLimits::default(), &mut head);
    assert_eq!(parsed, Ok(Parsed::Complete(bytes.len() - 4)));
    assert_eq!(head.path(), b"/a");
}

#[test]
fn a_head_without_headers_is_one_of_http_1_0() {
    let head = accepted(b"GET / HTTP/1.0\r\n\r\n");
    assert!(head.headers.is_empty());
    assert_eq!(head.version, Version::Http10);
}

#[test]
fn values_keep_their_bytes_without_white_space_around() {
    let head = accepted(b"GET / HTTP/1.1\r\nHost:a\r\nX: \t a \t b\xe9:\"\t\r\nY:\r\nZ: \r\nx:2\r\n\r\n");
    let x = tollgate_wire::Name::new("x").unwrap();
    assert_eq!(head.headers.get_all(&x).collect::<Vec<_>>(), [&b"a \t b\xe9:\""[..], b"2"]);
    let lines: Vec<_> = head.headers.iter().collect();
    assert_eq!(lines[0], (&b"Host"[..], &b"a"[..]));
    assert_eq!(lines[2], (&b"Y"[..], &b""[..]));
    let mut out = Vec::new();
    head.headers.write_to(&mut out);
    assert_eq!(out, b"Host: a\r\nX: a \t b\xe9:\"\r\nY: \r\nZ: \r\nx: 2\r\n");
}

#[test]
fn zeros_before_a_length_are_not_passed_on() {
    let head = accepted(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 010\r\n\r\n");
    assert_eq!(head.body, BodyLength::Length(10));
    assert_eq!(head.headers.get(&name::CONTENT_LENGTH), Some(&b"10"[..]));
}

#[test]
fn a_head_is_parsed_into_one_used_before_without_remains() {
    let mut head = accepted(
        b"POST http://a/b?c HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    let bytes = b"GET / HTTP/1.0\r\n\r\n";
    parse_request(bytes, &mut HeadProgress::default(), &HeadLimits::default(), &mut head).unwrap();
    let fresh = accepted(bytes);
    assert_eq!(format!("{head:?}"), format!("{fresh:?}"));
    assert_eq!((head.query(), head.authority(), head.path()), (None, None, &b"/"[..]));
    assert!(!head.trailers_accepted() && head.method == Method::Get && head.form() == TargetForm::Origin);
}

#[test]
fn every_offence_of_a_request_has_its_group() {
    for (offence, group) in [
        (BadTarget, Offence::RequestLine),
        (EmptyLine, Offence::RequestLine),
        (BareLf, Offence::Header),
        (ObsFold, Offence::Header),
        (LengthAndTransferEncoding, Offence::Framing),
        (MissingHost, Offence::Host),
        (UriTooLong, Offence::UriTooLong),
        (TooManyHeaders, Offence::HeadersTooLarge),
        (UnsupportedVersion, Offence::Version),
        (MalformedConnect, Offence::Method),
        (UnknownExpectation, Offence::Expectation),
    ] {
        assert_eq!(offence.offence(), group);
    }
}

fn accepted(bytes: &[u8]) -> RequestHead {
    let (mut progress, mut head) = (HeadProgress::default(), RequestHead::default());
    let parsed = parse_request(bytes, &mut progress, &HeadLimits::default(), &mut head);
    assert_eq!(parsed, Ok(Parsed::Complete(bytes.len())), "{}", bytes.escape_ascii());
    head
}

fn refused(bytes: &[u8], offence: HeadError) {
    let (limits, mut head) = (HeadLimits::default(), RequestHead::default());
    let parsed = parse_request(bytes, &mut HeadProgress::default(), &limits, &mut head);
    assert_eq!(parsed, Err(offence), "{}", bytes.escape_ascii());
    let mut progress = HeadProgress::default();
    let dripped = (1..=bytes.len())
        .find_map(|len| parse_request(&bytes[..len], &mut progress, &limits, &mut head).err())
        .unwrap_or_else(|| panic!("accepted when dripped: {}", bytes.escape_ascii()));
    let start_line = [Offence::RequestLine, Offence::Header, Offence::Version];
    assert!(
        dripped.offence() == offence.offence()
            || (start_line.contains(&dripped.offence()) && start_line.contains(&offence.offence())),
        "{dripped:?} instead of {offence:?} when dripped: {}",
        bytes.escape_ascii()
    );
}

#[test]
fn another_query_leaves_the_rest_of_the_target() {
    for (target, path) in
        [("/a?b=1", "/a"), ("/a", "/a"), ("/a?", "/a"), ("http://h:1/a?b?c", "/a"), ("http://h:1?x", "/")]
    {
        for query in [None, Some(&b""[..]), Some(b"q=1")] {
            let text = format!("GET {target} HTTP/1.1\r\nHost: h:1\r\n\r\n");
            let mut head = RequestHead::default();
            let parsed = parse_request(
                text.as_bytes(),
                &mut HeadProgress::default(),
                &HeadLimits::default(),
                &mut head,
            );
            assert!(matches!(parsed, Ok(Parsed::Complete(_))), "{target}");
            head.set_query(query);
            assert_eq!((head.path(), head.query()), (path.as_bytes(), query), "{target}");
            assert_eq!(head.authority(), Some(&b"h:1"[..]), "{target}");
        }
    }
}
