//! Writing heads and chunks. Whatever the values are, what is written has the lines it should have.

use crate::ascii;
use crate::block::HeaderBlock;
use crate::method::Method;

/// The end of a line, and of the data of a chunk.
pub const CRLF: &[u8; 2] = b"\r\n";

/// The end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8; 5] = b"0\r\n\r\n";

/// Writes the head of an HTTP/1.1 request.
///
/// Spaces and control characters in the target are percent-encoded, and an empty target is `/`, so that the
/// request line has three parts and one line.
pub fn write_request_head(out: &mut Vec<u8>, method: &Method, target: &[u8], headers: &HeaderBlock) {
    let method = method.as_str().as_bytes();
    out.reserve(method.len() + target.len() + headers.byte_len() + 16);
    out.extend_from_slice(method);
    out.push(b' ');
    write_target(out, target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    headers.write_to(out);
    out.extend_from_slice(CRLF);
}

/// Writes the head of an HTTP/1.1 response. Without a reason phrase the canonical one is written; control
/// characters in one become spaces. A status of more or fewer than three digits is written as 500.
pub fn write_response_head(out: &mut Vec<u8>, status: u16, reason: Option<&[u8]>, headers: &HeaderBlock) {
    let status = if (100..=999).contains(&status) { status } else { 500 };
    let reason = reason.unwrap_or(reason_phrase(status).as_bytes());
    out.reserve(reason.len() + headers.byte_len() + 20);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    if ascii::has_control(reason) {
        out.extend(reason.iter().map(|&b| if ascii::is_control(b) { b' ' } else { b }));
    } else {
        out.extend_from_slice(reason);
    }
    out.extend_from_slice(CRLF);
    headers.write_to(out);
    out.extend_from_slice(CRLF);
}

/// Writes the size line of a chunk of `len` bytes. The data and [`CRLF`] follow.
///
/// `len` is not zero: that size is the end of the body, for which [`write_last_chunk`] is. Zero gives nothing.
#[expect(clippy::indexing_slicing, reason = "16 digits and CRLF fit into 20 bytes; `at` starts at 18")]
pub fn chunk_prefix(len: usize, buf: &mut [u8; 20]) -> &[u8] {
    debug_assert!(len > 0, "an empty chunk would end the body");
    let mut rest = len;
    let mut at = buf.len() - 2;
    buf[at..].copy_from_slice(CRLF);
    // Sixteen digits at most stand before the two bytes of the line end.
    while rest > 0 {
        at -= 1;
        buf[at] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
    }
    if len == 0 { &[] } else { &buf[at..] }
}

/// Writes `data` as one chunk. Empty data is no chunk.
pub fn write_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    out.reserve(data.len() + 22);
    out.extend_from_slice(chunk_prefix(data.len(), &mut [0; 20]));
    out.extend_from_slice(data);
    out.extend_from_slice(CRLF);
}

/// Writes the end of a chunked body.
pub fn write_last_chunk(out: &mut Vec<u8>, trailers: Option<&HeaderBlock>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        trailers.write_to(out);
    }
    out.extend_from_slice(CRLF);
}

/// The reason phrase that the IANA registry has for a status; empty when it has none.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}

fn write_target(out: &mut Vec<u8>, target: &[u8]) {
    let unsafe_byte = |b: u8| b <= b' ' || b == 0x7f;
    if target.is_empty() {
        out.push(b'/');
    } else if !target.iter().fold(false, |found, &b| found | unsafe_byte(b)) {
        out.extend_from_slice(target);
    } else {
        for &b in target {
            match unsafe_byte(b) {
                true => out.extend_from_slice(&[b'%', hex(b >> 4), hex(b & 15)]),
                false => out.push(b),
            }
        }
    }
}

fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 }
}
