//! Offences in the lines of a head, in bytes, in requests and in responses: each line is refused in both,
//! for the same reason, and whether the head comes at once or byte by byte.

use tollgate_wire::{
    HeadError, HeadLimits, HeadProgress, Method, Parsed, RequestHead, ResponseHead, parse_request,
    parse_response,
};

use HeadError::*;

/// Header lines after `Host: a` in a request and after `Server: a` in a response.
const BAD_LINES: &[(&[u8], HeadError)] = &[
    // Line ends.
    (b"X: a\nY: b\r\n", BareLf),
    (b"X: a\n", BareLf),
    (b"X:\n", BareLf),
    (b"X: a\r\n\n", BareLf),
    (b"X: a\n\n", BareLf),
    (b"\n", BareLf),
    (b"X: a\rb\r\n", BareCr),
    (b"X: a\r\r\n", BareCr),
    (b"X: \r a\r\n", BareCr),
    (b"X\r: a\r\n", BareCr),
    (b"\rX: a\r\n", BareCr),
    (b"X: a\r\n\rY: b\r\n", BareCr),
    // Bytes.
    (b"X: a\0b\r\n", NulByte),
    (b"X: \0\r\n", NulByte),
    (b"X\0: a\r\n", NulByte),
    (b"\0: a\r\n", NulByte),
    (b"X: a\x01b\r\n", BadValue),
    (b"X: a\x0bb\r\n", BadValue),
    (b"X: a\x0cb\r\n", BadValue),
    (b"X: a\x1fb\r\n", BadValue),
    (b"X: a\x7fb\r\n", BadValue),
    (b"X: \x08\r\n", BadValue),
    // Folding.
    (b"X: a\r\n b\r\n", ObsFold),
    (b"X: a\r\n\tb\r\n", ObsFold),
    (b"X: a\r\n \r\n", ObsFold),
    (b"X:\r\n a\r\n", ObsFold),
    (b"Transfer-Encoding:\r\n chunked\r\n", ObsFold),
    (b" X: a\r\n", ObsFold),
    // Names.
    (b"X : a\r\n", SpaceBeforeColon),
    (b"X\t: a\r\n", SpaceBeforeColon),
    (b"Transfer-Encoding : chunked\r\n", SpaceBeforeColon),
    (b"Content-Length : 5\r\n", SpaceBeforeColon),
    (b": a\r\n", EmptyName),
    (b":\r\n", EmptyName),
    (b"X\r\n", MissingColon),
    (b"X-Y-Z\r\nY: b\r\n", MissingColon),
    (b"X Y: a\r\n", BadName),
    (b"X(: a\r\n", BadName),
    (b"X,Y: a\r\n", BadName),
    (b"X\"Y\": a\r\n", BadName),
    (b"X/Y: a\r\n", BadName),
    (b"X@Y: a\r\n", BadName),
    (b"X[0]: a\r\n", BadName),
    (b"X\x01: a\r\n", BadName),
    (b"X\x7f: a\r\n", BadName),
    (b"X\xe9: a\r\n", BadName),
    (b"\xef\xbb\xbfX: a\r\n", BadName),
    // Both framings, in either order.
    (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", LengthAndTransferEncoding),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", LengthAndTransferEncoding),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", LengthAndTransferEncoding),
    (b"Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", LengthAndTransferEncoding),
    (b"Transfer-Encoding:\r\nContent-Length: 5\r\n", LengthAndTransferEncoding),
    (b"Transfer-Encoding: chunked\r\nContent-Length:\r\n", LengthAndTransferEncoding),
    (b"tRANSFER-eNCODING: chunked\r\ncONTENT-lENGTH: 5\r\n", LengthAndTransferEncoding),
    // Lengths.
    (b"Content-Length: 5\r\nContent-Length: 6\r\n", DifferingLengths),
    (b"Content-Length: 5\r\nX: a\r\nContent-Length: 6\r\n", DifferingLengths),
    (b"Content-Length: 5\r\nContent-Length: 5\r\nContent-Length: 6\r\n", DifferingLengths),
    (b"Content-Length: 5\r\ncontent-length: 5\r\n", RepeatedLength),
    (b"Content-Length: 5\r\nContent-Length: 05\r\n", DifferingLengths),
    (b"Content-Length: 5, 5\r\n", RepeatedLength),
    (b"Content-Length: 5,5\r\n", RepeatedLength),
    (b"Content-Length: 5, 6\r\n", DifferingLengths),
    (b"Content-Length: 5,\r\n", MalformedLength),
    (b"Content-Length: ,5\r\n", MalformedLength),
    (b"Content-Length: 5, a\r\n", MalformedLength),
    (b"Content-Length:\r\n", MalformedLength),
    (b"Content-Length: \t \r\n", MalformedLength),
    (b"Content-Length: +5\r\n", MalformedLength),
    (b"Content-Length: -5\r\n", MalformedLength),
    (b"Content-Length: 0x5\r\n", MalformedLength),
    (b"Content-Length: 5_0\r\n", MalformedLength),
    (b"Content-Length: 5 0\r\n", MalformedLength),
    (b"Content-Length: 5.0\r\n", MalformedLength),
    (b"Content-Length: 5e1\r\n", MalformedLength),
    (b"Content-Length: \"5\"\r\n", MalformedLength),
    (b"Content-Length: 5;q=1\r\n", MalformedLength),
    (b"Content-Length: \xb2\r\n", MalformedLength),
    (b"Content-Length: \xd9\xa5\r\n", MalformedLength),
    (b"Content-Length: 9223372036854775808\r\n", LengthOverflow),
    (b"Content-Length: 18446744073709551621\r\n", LengthOverflow),
    (b"Content-Length: 00000000000000000005\r\n", LengthOverflow),
    (b"Content-Length: 99999999999999999999999999999999999999\r\n", LengthOverflow),
    // Transfer codings.
    (b"Transfer-Encoding: gzip\r\n", UnknownTransferCoding),
    (b"Transfer-Encoding: gzip, chunked\r\n", UnknownTransferCoding),
    (b"Transfer-Encoding: identity\r\n", UnknownTransferCoding),
    (b"Transfer-Encoding: identity, chunked\r\n", UnknownTransferCoding),
    (b"Transfer-Encoding: xchunked\r\n", UnknownTransferCoding),
    (b"Transfer-Encoding: chunkedx\r\n", UnknownTransferCoding),
    (b"Transfer-Encoding: chunked;q=1\r\n", UnknownTransferCoding),
    (b"Transfer-Encoding: \"chunked\"\r\n", UnknownTransferCoding),
    (b"Transfer-Encoding: 'chunked'\r\n", UnknownTransferCoding),
    (b"Transfer-Encoding: \xa0chunked\r\n", UnknownTransferCoding),
    (b"Transfer-Encoding:\r\n", UnknownTransferCoding),
    (b"Transfer-Encoding: ,\r\n", UnknownTransferCoding),
    (b"Transfer-Encoding: chunked, gzip\r\n", ChunkedNotFinal),
    (b"Transfer-Encoding: chunked, identity\r\n", ChunkedNotFinal),
    (b"Transfer-Encoding: chunked, chunked\r\n", ChunkedNotFinal),
    (b"Transfer-Encoding: chunked,\r\n", ChunkedNotFinal),
    (b"Transfer-Encoding: , chunked\r\n", ChunkedNotFinal),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", RepeatedTransferEncoding),
    (b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", RepeatedTransferEncoding),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n", RepeatedTransferEncoding),
    // What some servers read as framing.
    (b"Content_Length: 5\r\n", DisguisedFraming),
    (b"TRANSFER_ENCODING: chunked\r\n", DisguisedFraming),
    (b"Content-Length: 5\r\ncontent_length: 6\r\n", DisguisedFraming),
];

#[test]
fn bad_lines_are_refused_in_requests() {
    for (lines, offence) in BAD_LINES {
        check_request(&[b"POST / HTTP/1.1\r\nHost: a\r\n", *lines, b"\r\n"].concat(), *offence);
    }
}

#[test]
fn bad_lines_are_refused_in_responses() {
    for (lines, offence) in BAD_LINES {
        check_response(&[b"HTTP/1.1 200 OK\r\nServer: a\r\n", *lines, b"\r\n"].concat(), *offence);
    }
}

#[test]
fn bad_first_lines_are_refused_in_both() {
    for (start, offence) in [
        (&b" X: a\r\n"[..], LeadingWhitespace),
        (b"\tX: a\r\n", LeadingWhitespace),
        (b" \r\n", LeadingWhitespace),
        (b": a\r\n", EmptyName),
        (b"X : a\r\n", SpaceBeforeColon),
        (b"\x00", NulByte),
    ] {
        check_request(&[b"GET / HTTP/1.1\r\n", start, b"Host: a\r\n\r\n"].concat(), offence);
        check_response(&[b"HTTP/1.1 200 OK\r\n", start, b"Server: a\r\n\r\n"].concat(), offence);
    }
}

#[test]
fn transfer_encoding_in_http_1_0_is_refused_in_both() {
    for coding in ["chunked", "gzip", "identity", ""] {
        let line = format!("Transfer-Encoding: {coding}\r\n\r\n");
        check_request(
            &[b"POST / HTTP/1.0\r\nHost: a\r\n", line.as_bytes()].concat(),
            TransferEncodingInHttp10,
        );
        check_response(&[b"HTTP/1.0 200 OK\r\n", line.as_bytes()].concat(), TransferEncodingInHttp10);
    }
}

#[test]
fn limits_hold_to_the_byte() {
    let head = b"GET /abc HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\n";
    let exact = HeadLimits { header_bytes: head.len(), header_count: 2, uri_bytes: 4 };
    let check = |limits: HeadLimits, offence: Option<HeadError>| {
        assert_eq!(request(head, &limits).err(), offence);
        assert_eq!(drip_request(head, &limits).err(), offence);
    };
    check(exact, None);
    check(HeadLimits { header_bytes: exact.header_bytes - 1, ..exact }, Some(HeadTooLong));
    check(HeadLimits { header_count: 1, ..exact }, Some(TooManyHeaders));
    check(HeadLimits { uri_bytes: 3, ..exact }, Some(UriTooLong));

    let head = b"HTTP/1.1 200 OK\r\nA: a\r\nX: b\r\n\r\n";
    let exact = HeadLimits { header_bytes: head.len(), header_count: 2, uri_bytes: 0 };
    let check = |limits: HeadLimits, offence: Option<HeadError>| {
        assert_eq!(response(head, &limits).err(), offence);
        assert_eq!(drip_response(head, &limits).err(), offence);
    };
    check(exact, None);
    check(HeadLimits { header_bytes: exact.header_bytes - 1, ..exact }, Some(HeadTooLong));
    check(HeadLimits { header_count: 1, ..exact }, Some(TooManyHeaders));
}

#[test]
fn endless_heads_are_refused_before_they_end() {
    let limits = HeadLimits { header_bytes: 2000, header_count: 100, uri_bytes: 1000 };
    for (start, filler, offence) in [
        (&b""[..], &b"A"[..], MethodTooLong),
        (b"GET /", b"a", UriTooLong),
        (b"GET / HTTP/1.1\r\nX: ", b"a", HeadTooLong),
        (b"GET / HTTP/1.1\r\n", b"a", HeadTooLong),
        (b"GET / HTTP/1.1\r\n", b"a:b\r\n", TooManyHeaders),
        (b"", b"\r\n", EmptyLine),
        (b"GET / HTTP/1.1\r\nX:", b" ", HeadTooLong),
    ] {
        let head = [start, &filler.repeat(2000)].concat();
        assert_eq!(request(&head, &limits).err(), Some(offence), "{}", start.escape_ascii());
        assert_eq!(drip_request(&head, &limits).err(), Some(offence), "{}", start.escape_ascii());
    }
    for (start, filler, offence) in [
        (&b"HTTP/1.1 200 "[..], &b"a"[..], HeadTooLong),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a", HeadTooLong),
        (b"", b"\r\n", EmptyLine),
    ] {
        let head = [start, &filler.repeat(2000)].concat();
        assert_eq!(response(&head, &limits).err(), Some(offence), "{}", start.escape_ascii());
        assert_eq!(drip_response(&head, &limits).err(), Some(offence), "{}", start.escape_ascii());
    }
}

#[test]
fn more_lines_than_the_stack_holds_are_allowed_when_configured() {
    let lines: String = (0..1000).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    let limits = HeadLimits { header_bytes: 1 << 20, header_count: 1001, uri_bytes: 100 };
    assert_eq!(request(head.as_bytes(), &limits).unwrap().headers.len(), 1001);
    let unlimited = HeadLimits { header_count: usize::MAX, ..limits };
    assert_eq!(request(head.as_bytes(), &unlimited).unwrap().headers.len(), 1001);
    let limits = HeadLimits { header_count: 1000, ..limits };
    assert_eq!(request(head.as_bytes(), &limits).err(), Some(TooManyHeaders));
}

fn check_request(head: &[u8], offence: HeadError) {
    let limits = HeadLimits::default();
    assert_eq!(request(head, &limits).err(), Some(offence), "{}", head.escape_ascii());
    // The parser may be sure of another offence before it has seen the whole of this one.
    let dripped = drip_request(head, &limits).err().map(HeadError::offence);
    assert_eq!(dripped, Some(offence.offence()), "dripped {}", head.escape_ascii());
}

fn check_response(head: &[u8], offence: HeadError) {
    let limits = HeadLimits::default();
    assert_eq!(response(head, &limits).err(), Some(offence), "{}", head.escape_ascii());
    let dripped = drip_response(head, &limits).err().map(HeadError::offence);
    assert_eq!(dripped, Some(offence.offence()), "dripped {}", head.escape_ascii());
}

fn request(head: &[u8], limits: &HeadLimits) -> Result<RequestHead, HeadError> {
    let mut out = RequestHead::default();
    let parsed = parse_request(head, &mut HeadProgress::default(), limits, &mut out)?;
    assert_eq!(parsed, Parsed::Complete(head.len()), "{}", head.escape_ascii());
    Ok(out)
}

fn response(head: &[u8], limits: &HeadLimits) -> Result<ResponseHead, HeadError> {
    let mut out = ResponseHead::default();
    let parsed = parse_response(head, &mut HeadProgress::default(), limits, &Method::Get, &mut out)?;
    assert_eq!(parsed, Parsed::Complete(head.len()), "{}", head.escape_ascii());
    Ok(out)
}

fn drip_request(head: &[u8], limits: &HeadLimits) -> Result<(), HeadError> {
    let (mut progress, mut out) = (HeadProgress::default(), RequestHead::default());
    for len in 1..=head.len() {
        if parse_request(&head[..len], &mut progress, limits, &mut out)? != Parsed::Partial {
            assert_eq!(len, head.len(), "{}", head.escape_ascii());
        }
    }
    Ok(())
}

fn drip_response(head: &[u8], limits: &HeadLimits) -> Result<(), HeadError> {
    let (mut progress, mut out) = (HeadProgress::default(), ResponseHead::default());
    for len in 1..=head.len() {
        let parsed = parse_response(&head[..len], &mut progress, limits, &Method::Get, &mut out)?;
        if parsed != Parsed::Partial {
            assert_eq!(len, head.len(), "{}", head.escape_ascii());
        }
    }
    Ok(())
}
