//! What holds for any bytes at all. Used by the fuzz targets, and by the tests here on seeds and on mutations of
//! them, so that what a fuzzer finds becomes a test by copying its file.

#![allow(dead_code)] // Each test uses its part.

pub(crate) mod mutate;
pub(crate) mod slow;

use tollgate_wire::{
    BodyDecoder, BodyLength, ChunkError, ChunkLimits, HeadError, HeadLimits, HeadProgress, HeaderBlock,
    LAST_CHUNK, Method, PROXY_HEADER_BYTES_MAX, Parsed, RequestHead, ResponseHead, Step, Version,
    parse_proxy_header, parse_request, parse_response, write_chunk, write_last_chunk, write_request_head,
    write_response_head,
};

/// Small enough for a fuzzer to reach.
pub(crate) const LIMITS: HeadLimits = HeadLimits { header_bytes: 512, header_count: 8, uri_bytes: 64 };

/// As above.
pub(crate) const CHUNK_LIMITS: ChunkLimits =
    ChunkLimits { extension_bytes: 16, extension_excess_bytes: 40, trailer_bytes: 128, trailer_count: 4 };

/// Any bytes as a request head, and what follows it as its body. Whether the head was accepted.
pub(crate) fn request_head(bytes: &[u8]) -> bool {
    let (parsed, head) = parse_one_request(bytes);
    let dripped =
        drip(bytes, |part, progress| parse_request(part, progress, &LIMITS, &mut RequestHead::default()));
    assert_same(parsed, dripped, bytes);
    let expected = slow::request(bytes, &LIMITS);
    assert_eq!(expected.is_some(), matches!(parsed, Ok(Parsed::Complete(_))), "{}", bytes.escape_ascii());
    let Ok(Parsed::Complete(end)) = parsed else { return false };

    let expected = expected.unwrap();
    assert_eq!(head.method.as_str().as_bytes(), expected.method);
    assert_eq!(head.target(), expected.target);
    assert_eq!(head.body, expected.message.body);
    assert_eq!(end, expected.message.bytes);
    assert_lines(&head.headers, &expected.message.lines);
    if head.version == Version::Http10 {
        return true;
    }
    let mut written = Vec::new();
    write_request_head(&mut written, &head.method, head.target(), &head.headers);
    let mut again = RequestHead::default();
    let limits = HeadLimits { header_bytes: written.len(), ..LIMITS };
    let parsed = parse_request(&written, &mut HeadProgress::default(), &limits, &mut again);
    assert_eq!(parsed, Ok(Parsed::Complete(written.len())), "{}", written.escape_ascii());
    assert_eq!(format!("{head:?}"), format!("{again:?}"));
    body(head.body, bytes.get(end..).unwrap_or_default());
    true
}

/// Any bytes as a connection behind a balancer. Whether it begins with a header.
pub(crate) fn proxy_header(bytes: &[u8]) -> bool {
    let whole = parse_proxy_header(bytes);
    // The first part that says anything decides: what follows it changes nothing.
    let part = (0..=bytes.len()).map(|end| parse_proxy_header(&bytes[..end]));
    let first = part.into_iter().find(|part| *part != Ok(None)).unwrap_or(Ok(None));
    match first {
        // A part may be refused for less than what is wrong with the whole.
        Err(_) => assert!(whole.is_err(), "{}", bytes.escape_ascii()),
        Ok(header) => assert_eq!(whole, Ok(header), "{}", bytes.escape_ascii()),
    }
    let Ok(Some(header)) = whole else {
        assert!(whole.is_err() || bytes.len() < PROXY_HEADER_BYTES_MAX, "it asks for too much");
        return false;
    };
    assert!((15..=PROXY_HEADER_BYTES_MAX.min(bytes.len())).contains(&header.bytes));
    true
}

/// Any bytes as the head of a response, and what follows it as its body. The first byte chooses the method.
/// Whether the head was accepted.
pub(crate) fn response_head(bytes: &[u8]) -> bool {
    let Some((choice, bytes)) = bytes.split_first() else { return false };
    let method = [Method::Get, Method::Head, Method::Connect][*choice as usize % 3].clone();
    let mut head = ResponseHead::default();
    let parsed = parse_response(bytes, &mut HeadProgress::default(), &LIMITS, &method, &mut head);
    let dripped = drip(bytes, |part, progress| {
        parse_response(part, progress, &LIMITS, &method, &mut ResponseHead::default())
    });
    assert_same(parsed, dripped, bytes);
    let expected = slow::response(bytes, &LIMITS, &method);
    assert_eq!(expected.is_some(), matches!(parsed, Ok(Parsed::Complete(_))), "{}", bytes.escape_ascii());
    let Ok(Parsed::Complete(end)) = parsed else { return false };

    let expected = expected.unwrap();
    assert_eq!(head.status, expected.status);
    assert_eq!(head.reason(), expected.reason);
    assert_eq!(head.body, expected.message.body);
    assert_eq!(end, expected.message.bytes);
    assert_lines(&head.headers, &expected.message.lines);
    if head.version == Version::Http10 {
        return true;
    }
    let mut written = Vec::new();
    write_response_head(&mut written, head.status, Some(head.reason()), &head.headers);
    let mut again = ResponseHead::default();
    let limits = HeadLimits { header_bytes: written.len(), ..LIMITS };
    let parsed = parse_response(&written, &mut HeadProgress::default(), &limits, &method, &mut again);
    assert_eq!(parsed, Ok(Parsed::Complete(written.len())), "{}", written.escape_ascii());
    // A length that a 204 should not have had is gone, and with it the reason to close.
    again.persistent = head.persistent;
    assert_eq!(format!("{head:?}"), format!("{again:?}"));
    body(head.body, bytes.get(end..).unwrap_or_default());
    true
}

/// Any bytes as a chunked body. Whether it was accepted.
pub(crate) fn chunked_body(bytes: &[u8]) -> bool {
    body(BodyLength::Chunked, bytes)
}

fn body(length: BodyLength, bytes: &[u8]) -> bool {
    let whole = decode(length, bytes, bytes.len().max(1));
    for piece in [1, 2, 3, 7] {
        assert_eq!(whole, decode(length, bytes, piece), "pieces of {piece}: {}", bytes.escape_ascii());
    }
    if length != BodyLength::Chunked {
        return matches!(whole.end, Ok(Some(_)));
    }
    let expected = slow::chunked(bytes, &CHUNK_LIMITS);
    let Decoded { payload, trailers, end } = whole;
    let Ok(Some(end)) = end else {
        assert_eq!(expected, None, "{}", bytes.escape_ascii());
        return false;
    };
    let expected = expected.unwrap_or_else(|| panic!("accepted: {}", bytes.escape_ascii()));
    assert_eq!((&payload, end), (&expected.payload, expected.bytes));
    assert_lines(&trailers, &expected.trailers);

    let mut written = Vec::new();
    for piece in payload.chunks(3) {
        write_chunk(&mut written, piece);
    }
    match trailers.is_empty() {
        true => written.extend_from_slice(LAST_CHUNK),
        false => write_last_chunk(&mut written, Some(&trailers)),
    }
    let roomy = ChunkLimits { trailer_bytes: written.len(), ..CHUNK_LIMITS };
    let again = decode_within(&roomy, length, &written, written.len());
    assert_eq!(again, Decoded { payload, trailers, end: Ok(Some(written.len())) });
    true
}

/// What came of a body: payload so far, and where it ended, if it did.
#[derive(Debug, PartialEq)]
pub(crate) struct Decoded {
    pub(crate) payload: Vec<u8>,
    pub(crate) trailers: HeaderBlock,
    pub(crate) end: Result<Option<usize>, ChunkError>,
}

/// Decodes `bytes` as they come in pieces of some size.
pub(crate) fn decode(length: BodyLength, bytes: &[u8], piece: usize) -> Decoded {
    decode_within(&CHUNK_LIMITS, length, bytes, piece)
}

pub(crate) fn decode_within(limits: &ChunkLimits, length: BodyLength, bytes: &[u8], piece: usize) -> Decoded {
    let mut decoder = BodyDecoder::new(length, limits);
    let mut payload = Vec::new();
    let (mut done, mut received) = (0, 0);
    let end = loop {
        let input = &bytes[done..received];
        match decoder.step(input) {
            Err(offence) => {
                assert_eq!(decoder.step(b"0\r\n\r\n"), Err(offence), "an offence is for good");
                break Err(offence);
            }
            Ok(Step::Data { start, end, consumed }) => {
                assert!(start < end && end <= consumed && consumed <= input.len());
                payload.extend_from_slice(&input[start..end]);
                done += consumed;
            }
            Ok(Step::End { consumed }) => {
                assert!(decoder.is_done() && decoder.finish_at_eof().is_ok());
                break Ok(Some(done + consumed));
            }
            Ok(Step::More { consumed }) => {
                assert_eq!(consumed, input.len());
                done = received;
                if received == bytes.len() {
                    assert_eq!(decoder.finish_at_eof().is_ok(), length == BodyLength::UntilClose);
                    break Ok(None);
                }
                received = bytes.len().min(received + piece);
            }
        }
    };
    Decoded { payload, trailers: decoder.take_trailers(), end }
}

fn parse_one_request(bytes: &[u8]) -> (Result<Parsed, HeadError>, RequestHead) {
    let mut head = RequestHead::default();
    let parsed = parse_request(bytes, &mut HeadProgress::default(), &LIMITS, &mut head);
    (parsed, head)
}

/// Parses ever longer parts of `bytes`, up to the first that is a head or an offence.
fn drip(
    bytes: &[u8],
    mut parse: impl FnMut(&[u8], &mut HeadProgress) -> Result<Parsed, HeadError>,
) -> Result<Parsed, HeadError> {
    let mut progress = HeadProgress::default();
    (0..=bytes.len())
        .map(|len| parse(&bytes[..len], &mut progress))
        .find(|parsed| *parsed != Ok(Parsed::Partial))
        .unwrap_or(Ok(Parsed::Partial))
}

/// Pieces change nothing but which of several offences is seen first.
fn assert_same(whole: Result<Parsed, HeadError>, dripped: Result<Parsed, HeadError>, bytes: &[u8]) {
    match (whole, dripped) {
        (Err(_), Err(_)) => {}
        // Whole, the bytes are looked at once; dripped, not at every length.
        (Err(_), Ok(Parsed::Partial)) => {}
        _ => assert_eq!(whole, dripped, "{}", bytes.escape_ascii()),
    }
}

fn assert_lines(block: &HeaderBlock, lines: &[(Vec<u8>, Vec<u8>)]) {
    let found: Vec<_> = block.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    assert_eq!(found, lines);
    let mut written = Vec::new();
    block.write_to(&mut written);
    let expected: Vec<u8> =
        lines.iter().flat_map(|(name, value)| [&name[..], b": ", value, b"\r\n"].concat()).collect();
    assert_eq!(written, expected);
    assert_eq!(block.byte_len(), expected.len());
}
