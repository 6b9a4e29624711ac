//! Moments before which what was kept, or asked for, is of no use any more.
//!
//! An invalidation must reach answers that are under way too, and those that are kept for somebody else (the key of a
//! caller's own answers is not known to another caller). So nothing is looked for: the URL's stamp is moved on, and whoever
//! uses or keeps an answer compares. URLs share stamps, which costs an answer now and then and never keeps a wrong one.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Stamps of URLs: 128 KiB, from the first invalidation on.
const STAMPS: usize = 16 * 1024;

/// The stamps of a process.
pub(crate) struct Stamps {
    epoch: Instant,
    hashes: RandomState,
    /// By URL. Nanoseconds since the epoch.
    urls: OnceLock<Box<[AtomicU64]>>,
    /// Requests that began before this are not kept, whatever their URL: a purge came in between.
    asked: AtomicU64,
}

impl Default for Stamps {
    fn default() -> Self {
        Stamps {
            epoch: Instant::now(),
            hashes: RandomState::new(),
            urls: OnceLock::new(),
            asked: AtomicU64::new(0),
        }
    }
}

impl Stamps {
    /// What was kept or asked for under this URL until `now` is of no use any more.
    pub(crate) fn invalidate(&self, url: &[u8], now: Instant) {
        let urls = self.urls.get_or_init(|| (0..STAMPS).map(|_| AtomicU64::new(0)).collect());
        if let Some(stamp) = urls.get(self.place(url)) {
            stamp.fetch_max(self.nanos(now), Relaxed);
        }
    }

    /// Nothing that was asked for until `now` is kept.
    pub(super) fn purge(&self, now: Instant) {
        self.asked.fetch_max(self.nanos(now), Relaxed);
    }

    /// Whether the answer to a request for this URL that began at `begun` may still be given.
    pub(crate) fn holds(&self, url: &[u8], begun: Instant) -> bool {
        let Some(urls) = self.urls.get() else { return true };
        urls.get(self.place(url)).is_none_or(|stamp| stamp.load(Relaxed) < self.nanos(begun))
    }

    /// Whether it may still be kept.
    pub(super) fn keeps(&self, url: &[u8], begun: Instant) -> bool {
        self.holds(url, begun) && self.asked.load(Relaxed) < self.nanos(begun)
    }

    fn place(&self, url: &[u8]) -> usize {
        (self.hashes.hash_one(url) % STAMPS as u64) as usize
    }

    /// Never zero, which is what stamps begin with.
    fn nanos(&self, at: Instant) -> u64 {
        // 64 bits of nanoseconds are five centuries.
        (at.saturating_duration_since(self.epoch).as_nanos() as u64).saturating_add(1)
    }
}
