//! Header fields between their two forms: the block that the gateway works on, and the map that HTTP/2 is spoken in.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use tollgate_wire::{HeadError, HeadLimits, HeaderBlock, TrailersOf, parse_trailers};

/// The fields as HTTP/2 has them: lower-case names, and none that is for one connection (RFC 9113 section 8.2.2).
pub(crate) fn field_map(block: &HeaderBlock) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(block.len());
    // One allocation holds all values.
    let mut text = Vec::with_capacity(block.byte_len());
    let mut places = Vec::with_capacity(block.len());
    for (name, value) in block.iter() {
        let Ok(name) = HeaderName::from_bytes(name) else { continue };
        if !is_connection_specific(&name) {
            let start = text.len();
            text.extend_from_slice(value);
            places.push((name, start..text.len()));
        }
    }
    let text = Bytes::from(text);
    for (name, place) in places {
        // A block holds no control characters, and a head far less lines than a map has room for.
        if let Ok(value) = HeaderValue::from_maybe_shared(text.slice(place)) {
            let _ = map.try_append(name, value);
        }
    }
    map
}

/// The fields behind a body, read as strictly as those of HTTP/1.
pub(crate) fn trailer_block(
    map: &HeaderMap,
    of: TrailersOf,
    limits: &HeadLimits,
) -> Result<HeaderBlock, HeadError> {
    let mut section = Vec::new();
    for (name, value) in map {
        write_field(&mut section, name.as_str().as_bytes(), value.as_bytes());
        if section.len() > limits.header_bytes {
            return Err(HeadError::HeadTooLong);
        }
    }
    section.extend_from_slice(b"\r\n");
    parse_trailers(&section, limits.header_count, of)
}

/// Appends one field as a line.
pub(crate) fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Whether the field is for one HTTP/1 connection. `TE` is not among them: it may say `trailers`.
pub(crate) fn is_connection_specific(name: &HeaderName) -> bool {
    *name == header::CONNECTION
        || *name == header::TRANSFER_ENCODING
        || *name == header::UPGRADE
        || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings")
}
