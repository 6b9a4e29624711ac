//! HTTP/1 on the wire, sans-IO: bytes in and bytes out.
//!
//! Heads are parsed into a [`HeaderBlock`] and written from one; bodies are delimited by [`BodyDecoder`]. What
//! is ambiguous is refused, never repaired, in requests and in responses alike: an upstream can attack too.
//! Where RFC 9112 lets a recipient be lenient, this crate is not, and says so at the place.
//!
//! This crate has no clock, no sockets, no tasks, and no configuration but the limits it is given.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod authority;
mod block;
mod error;
mod method;
pub mod name;
mod target;
mod version;

mod diagnose;
mod facts;
mod framing;
mod head;
mod request;
mod request_line;
mod response;
mod search;

mod body;
mod chunked;
mod trailer;

mod ascii;
mod civil;
mod encode;
mod hop;
mod vary;

mod proxy_header;

pub use block::{EntryRef, HeaderBlock, write_header};
pub use body::{BodyDecoder, Step};
pub use chunked::ChunkLimits;
pub use civil::civil_from_days;
pub use encode::{
    CRLF, LAST_CHUNK, chunk_prefix, reason_phrase, write_chunk, write_last_chunk, write_request_head,
    write_response_head,
};
pub use error::{ChunkError, HeadError, Offence, Truncated};
pub use framing::BodyLength;
pub use head::{HeadLimits, Parsed};
pub use hop::{HopByHop, remove_hop_by_hop, speaks_for_client};
pub use method::{ExtensionMethod, Method};
pub use name::{BadName, Name};
pub use proxy_header::{PROXY_HEADER_BYTES_MAX, ProxyHeader, ProxyHeaderError, parse_proxy_header};
pub use request::{RequestHead, parse_request};
pub use request_line::{RequestLine, peek_request_line};
pub use response::{ResponseHead, parse_response};
pub use search::HeadProgress;
pub use target::TargetForm;
pub use trailer::{TrailersOf, parse_trailers};
pub use vary::vary_on;
pub use version::Version;
