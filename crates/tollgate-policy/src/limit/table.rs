//! The buckets of one process, shared by its workers.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::bucket::Decision;
use super::quota::Quota;
use super::shard::Shard;
use super::siphash::{self, Hash128};

/// Locks, so that two workers seldom want the same one. A power of two.
const SHARDS: usize = 64;
/// Buckets looked at per shard by one [`Table::sweep`].
const SWEPT_PER_SHARD: usize = 64;

/// Token buckets by limit and key: exact over all workers, bounded, and safe to be shared.
///
/// A key's bytes are not kept: a bucket is found by a 128-bit hash whose secret is new in every process, so neither
/// memory nor time of a look-up depends on what clients send, beyond reading it once.
///
/// When the table is full, only buckets that are full leave, the eldest first: they say nothing that a new one would
/// not. When none is full, new keys of a limit share an overflow bucket in each shard, so that inventing keys
/// resets nobody's count and passes no more than that bucket lets through.
///
/// Memory: about 110 bytes per bucket, between 80 right before and 160 right after the maps of a shard have grown.
pub struct Table {
    shards: Box<[Padded; SHARDS]>,
    secret: [u64; 2],
}

/// On cache lines of its own (two, because processors fetch pairs), so that neighbours' locks do not collide.
#[repr(align(128))]
struct Padded(Mutex<Shard>);

/// What a table has seen, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Buckets now.
    pub buckets: u64,
    /// Bytes now, of capacity, not only of what is in it.
    pub bytes: u64,
    /// Full buckets that made room for a new key.
    pub evicted: u64,
    /// Decisions by an overflow bucket: more keys at once than the table has room for.
    pub overflowed: u64,
}

impl Table {
    /// A table of at most `max_buckets`, rounded up to a multiple of the number of shards. Draws its secret from the
    /// system.
    pub fn new(max_buckets: usize) -> Table {
        let random = RandomState::new();
        Table::with_secret(max_buckets, [random.hash_one(0), random.hash_one(1)])
    }

    /// The same with a secret that is handed in, for runs that replay.
    pub fn with_secret(max_buckets: usize, secret: [u64; 2]) -> Table {
        let per_shard = max_buckets.div_ceil(SHARDS).max(1);
        let shards = std::array::from_fn(|_| Padded(Mutex::new(Shard::new(per_shard))));
        Table { shards: Box::new(shards), secret }
    }

    /// Has room for so many buckets from now on. Fewer than there are: they leave when they are full, and until then
    /// no others come.
    pub fn resize(&self, max_buckets: usize) {
        let per_shard = max_buckets.div_ceil(SHARDS).max(1);
        for shard in self.shards.iter() {
            lock(shard).resize(per_shard);
        }
    }

    /// Takes one token from the bucket of `key` under `limit`.
    pub fn take(&self, limit: u64, key: &[u8], quota: &Quota, now_ns: u64) -> Decision {
        self.with(limit, key, |shard, place| shard.take(limit, place, quota, now_ns))
    }

    /// What [`take`](Table::take) would meet.
    pub fn peek(&self, limit: u64, key: &[u8], quota: &Quota, now_ns: u64) -> Decision {
        self.with(limit, key, |shard, place| shard.peek(limit, place, quota, now_ns))
    }

    /// What [`take`](Table::take) would say. It takes nothing.
    pub fn preview(&self, limit: u64, key: &[u8], quota: &Quota, now_ns: u64) -> Decision {
        self.with(limit, key, |shard, place| shard.preview(limit, place, quota, now_ns))
    }

    /// Undoes a [`take`](Table::take) that was allowed at `taken_at_ns`, because a later limit refused: as if it had
    /// never been, and never more than a burst. The time is the one that was handed to the take.
    pub fn give_back(&self, limit: u64, key: &[u8], quota: &Quota, taken_at_ns: u64) {
        self.with(limit, key, |shard, place| shard.give_back(limit, place, quota, taken_at_ns));
    }

    /// Frees some of what has been full for a while. Takes do the same as they go; this is for a process that is
    /// idle, once a second.
    pub fn sweep(&self, now_ns: u64) {
        for shard in self.shards.iter() {
            lock(shard).sweep(now_ns, SWEPT_PER_SHARD);
        }
    }

    /// Buckets now.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// No bucket at all?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes now, of capacity, not only of what is in it.
    pub fn bytes(&self) -> usize {
        let own = self.shards.len() * size_of::<Padded>();
        own + self.shards.iter().map(|shard| lock(shard).bytes()).sum::<usize>()
    }

    /// What the metrics show.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { bytes: self.bytes() as u64, ..Counts::default() };
        for shard in self.shards.iter() {
            let shard = lock(shard);
            counts.buckets += shard.len() as u64;
            counts.evicted += shard.evicted();
            counts.overflowed += shard.overflowed();
        }
        counts
    }

    #[expect(clippy::indexing_slicing, reason = "there are as many shards as the rest can be")]
    fn with<T>(&self, limit: u64, key: &[u8], act: impl FnOnce(&mut Shard, Hash128) -> T) -> T {
        let place = siphash::hash(self.secret, limit, key);
        // The maps choose by the other half.
        act(&mut lock(&self.shards[place[1] as usize % SHARDS]), place)
    }
}

/// A panic elsewhere leaves no bucket half changed: every change is a few plain stores.
fn lock(shard: &Padded) -> MutexGuard<'_, Shard> {
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
