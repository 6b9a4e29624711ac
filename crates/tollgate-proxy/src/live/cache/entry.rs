//! One kept answer, and what it is found by.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tollgate_policy::cache::{Terms, Varied, suits};
use tollgate_wire::HeaderBlock;

/// Beside what can be counted an answer takes about so many bytes.
const ENTRY_OVERHEAD_BYTES: usize = 256;

/// What answers are found by: the URL as the client sees it, what else the upstream may be told of it, and the caller where
/// answers are the caller's own.
pub(crate) struct Key {
    bytes: Vec<u8>,
    url: usize,
}

/// Between the parts of a key: a byte that no part can have.
const END: u8 = 0;

impl Key {
    /// A key for this URL; `bytes` are its memory.
    pub(crate) fn new(bytes: Vec<u8>, write_url: impl FnOnce(&mut Vec<u8>)) -> Key {
        let mut key = Key { bytes, url: 0 };
        key.bytes.clear();
        write_url(&mut key.bytes);
        key.url = key.bytes.len();
        key
    }

    /// Adds something that tells answers apart.
    pub(crate) fn push(&mut self, part: &[u8]) {
        self.bytes.push(END);
        self.bytes.extend_from_slice(part);
    }

    /// Its memory, for the next one.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn url(&self) -> &[u8] {
        self.bytes.get(..self.url).unwrap_or_default()
    }

    /// The URL of a key that is only bytes.
    pub(super) fn url_of(bytes: &[u8]) -> &[u8] {
        bytes.split(|byte| *byte == END).next().unwrap_or_default()
    }
}

/// A kept answer. It never changes: a newer one takes its place.
pub(crate) struct Entry {
    pub(crate) status: u16,
    /// As they came, without those for one connection and without `Age`.
    pub(crate) headers: HeaderBlock,
    /// As it came: decoded from its framing, not from its coding.
    pub(crate) body: Bytes,
    pub(crate) terms: Terms,
    /// Requests that it answers.
    pub(crate) varied: Box<[Varied]>,
    /// When it was asked for.
    pub(crate) begun: Instant,
    /// When its head came.
    pub(crate) arrived: Instant,
}

impl Entry {
    pub(crate) fn age(&self, now: Instant) -> Duration {
        self.terms.age + now.saturating_duration_since(self.arrived)
    }

    /// Whether it answers requests with these headers, as far as headers count.
    pub(crate) fn suits(&self, request: &HeaderBlock) -> bool {
        suits(&self.varied, request)
    }

    /// About what it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let varied = |(name, said): &Varied| name.as_str().len() + said.as_ref().map_or(0, |said| said.len());
        self.headers.capacity_bytes()
            + self.body.len()
            + self.varied.iter().map(varied).sum::<usize>()
            + ENTRY_OVERHEAD_BYTES
    }
}
