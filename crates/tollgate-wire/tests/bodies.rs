//! Bodies in bytes: chunked framing in particular, and what is written.

use tollgate_wire::{
    BodyDecoder, BodyLength, ChunkError, ChunkLimits, HeadError, HeadLimits, HeaderBlock, Name, Offence,
    Step, chunk_prefix, write_chunk, write_last_chunk,
};

use ChunkError::*;

#[test]
fn chunked_bodies_are_accepted() {
    for (bytes, payload, rest) in [
        ("0\r\n\r\n", "", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello", ""),
        ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET /", "hello world", "GET /"),
        ("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", ""),
        ("0000000000000005\r\nhello\r\n0000\r\n\r\n", "hello", ""),
        ("5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello", ""),
        ("5;a=\"b;c d\"; e\t=f\r\nhello\r\n0\r\n\r\n", "hello", ""),
        ("5;a=\"\\\"b\\\\\"\r\nhello\r\n0\r\n\r\n", "hello", ""),
        ("5;\u{e9}\r\nhello\r\n0\r\n\r\n", "hello", ""),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", ""),
        ("1\r\na\r\n0\r\nX: y\r\n\r\nrest", "a", "rest"),
    ] {
        assert_eq!(decode(bytes.as_bytes()), Ok((payload.into(), rest.len())), "{bytes:?}");
    }
}

#[test]
fn chunked_bodies_are_refused() {
    for (bytes, offence) in [
        // Sizes.
        (&b"\r\n"[..], EmptySize),
        (b"\r\nhello\r\n0\r\n\r\n", EmptySize),
        (b";a\r\n", EmptySize),
        (b"\n", EmptySize),
        (b" 5\r\nhello\r\n", BadSize),
        (b"\t5\r\n", BadSize),
        (b"5 \r\nhello\r\n", BadSize),
        (b"5\t\r\n", BadSize),
        (b"5 ;a\r\n", BadSize),
        (b"+5\r\n", BadSize),
        (b"-5\r\n", BadSize),
        (b"0x5\r\n", BadSize),
        (b"5h\r\n", BadSize),
        (b"5_0\r\n", BadSize),
        (b"5,5\r\n", BadSize),
        (b"\"5\"\r\n", BadSize),
        (b"5\0\r\n", BadSize),
        (b"\xef\xbc\x95\r\n", BadSize),
        (b"g\r\n", BadSize),
        (b"8000000000000000\r\n", SizeOverflow),
        (b"ffffffffffffffff\r\n", SizeOverflow),
        (b"ffffffffffffffff;a\r\n", SizeOverflow),
        (b"10000000000000005\r\nhello\r\n", SizeOverflow),
        (b"00000000000000005\r\nhello\r\n", SizeOverflow),
        // Line ends.
        (b"5\nhello\r\n0\r\n\r\n", BareLf),
        (b"5;a\nhello\r\n0\r\n\r\n", BareLf),
        (b"5\rhello\r\n", BareCr),
        (b"5\r\r\nhello", BareCr),
        (b"5;a\rb\r\n", BareCr),
        (b"5\r\nhello\n0\r\n\r\n", DataNotTerminated),
        (b"5\r\nhello\r0\r\n\r\n", DataNotTerminated),
        (b"5\r\nhello0\r\n\r\n", DataNotTerminated),
        (b"5\r\nhello!\r\n0\r\n\r\n", DataNotTerminated),
        (b"5\r\nhell\r\n0\r\n\r\n", DataNotTerminated),
        (b"0\r\n\n", BareLf),
        (b"0\n\r\n", BareLf),
        (b"0\r\nX: y\n\r\n", BareLf),
        // Extensions.
        (b"5;a\0b\r\n", BadExtension),
        (b"5;a\x7f\r\n", BadExtension),
        (b"5;a=\"\r\nhello\r\n0\r\n\r\n", BadExtension),
        (b"5;a=\"b\\\"\r\nhello\r\n0\r\n\r\n", BadExtension),
        (b"5;01234567890123456\r\n", ExtensionTooLong),
        // Trailers.
        (b"0\r\nX: y\rz\r\n\r\n", Trailer(HeadError::BareCr)),
        (b"0\r\nX: y\0\r\n\r\n", Trailer(HeadError::NulByte)),
        (b"0\r\nX: y\x01\r\n\r\n", Trailer(HeadError::BadValue)),
        (b"0\r\nX: y\r\n z\r\n\r\n", Trailer(HeadError::ObsFold)),
        (b"0\r\n X: y\r\n\r\n", Trailer(HeadError::ObsFold)),
        (b"0\r\nX : y\r\n\r\n", Trailer(HeadError::SpaceBeforeColon)),
        (b"0\r\n: y\r\n\r\n", Trailer(HeadError::EmptyName)),
        (b"0\r\nX\r\n\r\n", Trailer(HeadError::MissingColon)),
        (b"0\r\nX(: y\r\n\r\n", Trailer(HeadError::BadName)),
        (b"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Trailer(HeadError::BadName)),
        (b"0\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n", Trailer(HeadError::TooManyHeaders)),
        (b"0\r\nX: 0123456789012345678901234567890123456789\r\n\r\n", TrailersTooLong),
    ] {
        assert_eq!(decode(bytes), Err(offence), "{}", bytes.escape_ascii());
    }
}

#[test]
fn forbidden_trailers_are_refused_or_left_out_in_any_spelling() {
    const REFUSED: Kept = Err(Trailer(HeadError::ForbiddenTrailer));
    const LEFT_OUT: Kept = Ok(false);
    const STAYS: Kept = Ok(true);
    #[rustfmt::skip]
    let framing = [
        "Content-Length", "transfer-ENCODING", "Host", "Trailer", "TE", "Connection", "Upgrade", "Keep-Alive",
        "Content_Length", "transfer_encoding",
    ];
    let credentials = ["Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "x_api_key"];
    #[rustfmt::skip]
    let deciding = [
        "Set-Cookie", "WWW-Authenticate", "Content-Type", "Content-Encoding", "Content-Range", "Cache-Control",
        "Location", "Vary", "Expires", "set_cookie",
    ];
    #[rustfmt::skip]
    let request_only = [
        "Expect", "Max-Forwards", "Range", "If-Match", "Date", "Retry-After", "X-Forwarded-For", "X_Forwarded_For",
        "X-Forwarded-Anything", "x-forwarded_client_cert", "Forwarded", "X-Real-IP", "x_real_ip", "X-Request-Id", "Via",
    ];
    let neither = ["X-Sum", "Digest", "Grpc-Status", "Server-Timing", "ETag", "Content-Digest", "X-Forward"];
    for (names, request, response) in [
        (&framing[..], REFUSED, LEFT_OUT),
        (&credentials, REFUSED, STAYS),
        (&deciding, LEFT_OUT, LEFT_OUT),
        (&request_only, LEFT_OUT, STAYS),
        (&neither, STAYS, STAYS),
    ] {
        for name in names {
            let bytes = format!("0\r\n{name}: a\r\nx-b: c\r\n\r\n");
            let kept = |decoder| last_chunk(decoder, bytes.as_bytes(), name);
            assert_eq!(kept(BodyDecoder::new(BodyLength::Chunked, &LIMITS)), request, "{name}");
            assert_eq!(kept(BodyDecoder::of_response(BodyLength::Chunked, &LIMITS)), response, "{name}");
        }
    }
}

#[test]
fn offences_of_a_chunked_body_have_groups() {
    assert_eq!(BadSize.offence(), Offence::Framing);
    assert_eq!(TrailersTooLong.offence(), Offence::HeadersTooLarge);
    assert_eq!(Trailer(HeadError::ForbiddenTrailer).offence(), Offence::Header);
    assert_eq!(Trailer(HeadError::TooManyHeaders).offence(), Offence::HeadersTooLarge);
}

#[test]
fn extensions_may_not_outweigh_the_data() {
    let limits = ChunkLimits { extension_bytes: 100, extension_excess_bytes: 1000, ..LIMITS };
    let chunks = |size: usize| format!("{size:x};{}\r\n{}\r\n", "e".repeat(84), "d".repeat(size));
    let small = chunks(1).repeat(100) + "0\r\n\r\n";
    assert_eq!(decode_within(&limits, small.as_bytes()), Err(ExtensionsOutweighData));
    // As an object store's client signs its chunks: a small part of what they carry.
    let large = chunks(1000).repeat(100) + "0\r\n\r\n";
    assert_eq!(decode_within(&limits, large.as_bytes()).map(|(data, _)| data.len()), Ok(100_000));
}

#[test]
fn trailers_are_given_when_the_body_is_complete() {
    let mut decoder = BodyDecoder::new(BodyLength::Chunked, &LIMITS);
    let bytes = b"1\r\na\r\n0\r\nX-Sum:  1 \r\nx-sum: 2\r\n\r\n";
    assert_eq!(decoder.step(bytes), Ok(Step::Data { start: 3, end: 4, consumed: 4 }));
    assert!(decoder.trailers().is_empty() && !decoder.is_done() && decoder.remaining().is_none());
    assert_eq!(decoder.step(&bytes[4..]), Ok(Step::End { consumed: bytes.len() - 4 }));
    let sum = Name::new("x-sum").unwrap();
    assert_eq!(decoder.trailers().get_all(&sum).collect::<Vec<_>>(), [b"1", b"2"]);
    assert!(decoder.is_done() && decoder.remaining() == Some(0));
    assert_eq!(decoder.take_trailers().len(), 2);
    assert!(decoder.trailers().is_empty());
}

#[test]
fn a_body_of_known_length_ends_there() {
    let mut decoder = BodyDecoder::new(BodyLength::Length(5), &LIMITS);
    assert_eq!(decoder.step(b""), Ok(Step::More { consumed: 0 }));
    assert_eq!(decoder.step(b"hel"), Ok(Step::Data { start: 0, end: 3, consumed: 3 }));
    assert_eq!(decoder.remaining(), Some(2));
    assert!(decoder.finish_at_eof().is_err());
    assert_eq!(decoder.step(b"lo GET"), Ok(Step::Data { start: 0, end: 2, consumed: 2 }));
    assert!(decoder.is_done() && decoder.finish_at_eof().is_ok());
    assert_eq!(decoder.step(b" GET"), Ok(Step::End { consumed: 0 }));
}

#[test]
fn no_body_is_done_at_once_and_one_until_close_never() {
    for length in [BodyLength::None, BodyLength::Length(0)] {
        let mut decoder = BodyDecoder::new(length, &LIMITS);
        assert!(decoder.is_done());
        assert_eq!(decoder.step(b"GET"), Ok(Step::End { consumed: 0 }));
    }
    let mut decoder = BodyDecoder::new(BodyLength::UntilClose, &LIMITS);
    assert_eq!(decoder.step(b"all"), Ok(Step::Data { start: 0, end: 3, consumed: 3 }));
    assert_eq!(decoder.step(b""), Ok(Step::More { consumed: 0 }));
    assert!(!decoder.is_done() && decoder.finish_at_eof().is_ok() && decoder.remaining().is_none());
}

#[test]
fn a_chunked_body_that_ends_early_is_truncated() {
    let bytes = b"5\r\nhello\r\n0\r\nX: y\r\n\r\n";
    for len in 0..bytes.len() {
        let mut decoder = BodyDecoder::new(BodyLength::Chunked, &LIMITS);
        let mut at = 0;
        while let Ok(Step::Data { consumed, .. } | Step::More { consumed: consumed @ 1.. }) =
            decoder.step(&bytes[at..len])
        {
            at += consumed;
        }
        assert!(decoder.finish_at_eof().is_err(), "{len}");
    }
}

#[test]
fn chunks_are_written() {
    let prefix = |len| String::from_utf8(chunk_prefix(len, &mut [0; 20]).to_vec()).unwrap();
    assert_eq!(
        [1, 15, 16, 65536, usize::MAX].map(prefix),
        ["1\r\n", "f\r\n", "10\r\n", "10000\r\n", "ffffffffffffffff\r\n"]
    );
    let mut out = Vec::new();
    write_chunk(&mut out, b"hello");
    write_chunk(&mut out, b"");
    write_last_chunk(&mut out, None);
    assert_eq!(out, b"5\r\nhello\r\n0\r\n\r\n");
    let mut trailers = HeaderBlock::default();
    trailers.append(&Name::new("x-sum").unwrap(), b"1\r\n2");
    out.clear();
    write_last_chunk(&mut out, Some(&trailers));
    assert_eq!(out, b"0\r\nx-sum: 1  2\r\n\r\n");
}

const LIMITS: ChunkLimits =
    ChunkLimits { extension_bytes: 16, extension_excess_bytes: 100, trailer_bytes: 42, trailer_count: 2 };

/// Whether a trailer is still there.
type Kept = Result<bool, ChunkError>;

/// Reads a last chunk with the trailer `name` and another one, which stays whatever becomes of the first.
fn last_chunk(mut decoder: BodyDecoder, bytes: &[u8], name: &str) -> Kept {
    assert_eq!(decoder.step(bytes)?, Step::End { consumed: bytes.len() });
    let names: Vec<String> =
        decoder.trailers().iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
    assert_eq!(names.last().map(String::as_str), Some("x-b"), "{name}");
    Ok(names.first().is_some_and(|first| first == name))
}

fn decode(bytes: &[u8]) -> Result<(String, usize), ChunkError> {
    decode_within(&LIMITS, bytes)
}

/// The payload of a whole body, and how many bytes are left over.
fn decode_within(limits: &ChunkLimits, bytes: &[u8]) -> Result<(String, usize), ChunkError> {
    let mut decoder = BodyDecoder::new(BodyLength::Chunked, limits);
    let (mut payload, mut at) = (Vec::new(), 0);
    loop {
        let input = &bytes[at..];
        match decoder.step(input)? {
            Step::Data { start, end, consumed } => {
                payload.extend_from_slice(&input[start..end]);
                at += consumed;
            }
            Step::End { consumed } => {
                return Ok((String::from_utf8(payload).unwrap(), bytes.len() - at - consumed));
            }
            Step::More { .. } => panic!("incomplete: {}", bytes.escape_ascii()),
        }
    }
}

#[test]
fn trailers_have_the_bounds_of_the_head_before_them() {
    let limits = ChunkLimits::behind(&HeadLimits { header_bytes: 7, header_count: 3, uri_bytes: 1 });
    assert_eq!((limits.trailer_bytes, limits.trailer_count), (7, 3));
    assert_eq!(limits.extension_bytes, ChunkLimits::default().extension_bytes);
}
