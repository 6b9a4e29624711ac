//! What an origin remembers.

use std::time::Instant;

use crate::message::Head;

/// Bytes kept of one body and of one connection; beyond them only the count goes on.
pub(crate) const KEPT_BYTES: usize = 1024 * 1024;

/// One request at an origin.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which connection it came on, counting from 0.
    pub connection: usize,
    /// When its head was complete.
    pub arrived: Instant,
    /// The head, parsed.
    pub head: Head,
    /// The head, byte by byte.
    pub raw_head: Vec<u8>,
    /// The decoded body so far, at most the first MiB.
    pub body: Vec<u8>,
    /// Bytes of the decoded body so far.
    pub body_bytes: u64,
    /// A checksum over the decoded body so far, see [`checksum`].
    pub body_sum: u64,
    /// Trailers of a chunked body.
    pub trailers: Vec<(String, String)>,
    /// The body came to its proper end.
    pub complete: bool,
}

impl Seen {
    /// The method.
    pub fn method(&self) -> &str {
        self.head.start.split(' ').next().unwrap_or_default()
    }

    /// The request target, as it was on the wire.
    pub fn target(&self) -> &str {
        self.head.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The only value of a header.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    pub(crate) fn take_body(&mut self, bytes: &[u8]) {
        let room = KEPT_BYTES.saturating_sub(self.body.len()).min(bytes.len());
        self.body.extend_from_slice(&bytes[..room]);
        self.body_bytes += bytes.len() as u64;
        self.body_sum = checksum(self.body_sum, bytes);
    }
}

/// FNV-1a, continued from `sum` (0 at the start): enough to notice a lost, doubled or swapped byte.
pub(crate) fn checksum(sum: u64, bytes: &[u8]) -> u64 {
    let start = if sum == 0 { 0xcbf2_9ce4_8422_2325 } else { sum };
    bytes.iter().fold(start, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// One connection at an origin.
#[derive(Debug, Clone, Default)]
pub struct ConnectionSeen {
    /// Everything that was read, at most the first MiB.
    pub raw: Vec<u8>,
    /// Its requests.
    pub requests: Vec<Seen>,
    /// How it ended.
    pub closed: Option<Closed>,
    /// What came that is not HTTP/1.1 as RFC 9112 has it: never what a gateway may send.
    pub malformed: Option<&'static str>,
}

/// Who ended a connection, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The gateway, in an orderly way.
    ByPeer,
    /// The gateway, with a reset.
    ByReset,
    /// The origin itself.
    ByOrigin,
}
