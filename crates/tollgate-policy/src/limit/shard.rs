//! One lock's share of a table: buckets by place, and the order in which they are full.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::bucket::{Bucket, Decision};
use super::quota::{NS_PER_S, Quota};
use super::siphash::Hash128;

/// How long a full bucket stays when there is room: one that is used now and then is not made anew every time.
const KEPT_FULL_NS: u64 = 10 * NS_PER_S;
/// Buckets looked at on the way by every take, so that memory returns as fast as it was taken.
const SWEPT_PER_TAKE: usize = 2;
/// Buckets looked at for a full one before a new key is sent to the overflow: bounds what one request may cost.
const SEARCHED_MAX: usize = 256;
/// Room that is not worth giving back.
const ROOM_KEPT: usize = 64;

/// A part of the table.
pub(super) struct Shard {
    buckets: HashMap<Place, Bucket, BuildHasherDefault<Hashed>>,
    /// Every bucket once, by the moment it was going to be full when it was put here. Takes move that moment on and
    /// leave the queue alone; who meets a bucket too early puts it back. So a take costs no reordering, and each
    /// reordering is paid by at least one take before it.
    queue: BinaryHeap<Reverse<(u64, Place)>>,
    /// Per limit, for the keys that found no room. As many as there are limits, at most.
    overflow: HashMap<u64, Bucket>,
    /// The latest moment seen: a clock that steps back must not make what left the table full once more.
    latest_ns: u64,
    max: usize,
    evicted: u64,
    overflowed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place(Hash128);

impl Shard {
    pub(super) fn new(max: usize) -> Shard {
        Shard {
            buckets: HashMap::default(),
            queue: BinaryHeap::new(),
            overflow: HashMap::new(),
            latest_ns: 0,
            max,
            evicted: 0,
            overflowed: 0,
        }
    }

    pub(super) fn resize(&mut self, max: usize) {
        self.max = max;
    }

    pub(super) fn take(&mut self, limit: u64, place: Hash128, quota: &Quota, now_ns: u64) -> Decision {
        let now_ns = self.moved_on(now_ns);
        self.sweep(now_ns, SWEPT_PER_TAKE);
        let place = Place(place);
        if let Some(bucket) = self.buckets.get_mut(&place) {
            return bucket.take(now_ns, quota, 1);
        }
        if self.buckets.len() >= self.max && !self.evict(now_ns) {
            return self.take_overflow(limit, quota, now_ns);
        }
        let mut bucket = Bucket::default();
        let decision = bucket.take(now_ns, quota, 1);
        self.queue.push(Reverse((bucket.full_at_ns(), place)));
        self.buckets.insert(place, bucket);
        decision
    }

    pub(super) fn peek(&mut self, limit: u64, place: Hash128, quota: &Quota, now_ns: u64) -> Decision {
        let now_ns = self.moved_on(now_ns);
        self.bucket(limit, place).copied().unwrap_or_default().peek(now_ns, quota)
    }

    pub(super) fn preview(&mut self, limit: u64, place: Hash128, quota: &Quota, now_ns: u64) -> Decision {
        let now_ns = self.moved_on(now_ns);
        // A copy of it.
        self.bucket(limit, place).copied().unwrap_or_default().take(now_ns, quota, 1)
    }

    pub(super) fn give_back(&mut self, limit: u64, place: Hash128, quota: &Quota, taken_at_ns: u64) {
        // None: it was full, and has left.
        if let Some(bucket) = self.bucket(limit, place) {
            bucket.give_back(quota, 1, taken_at_ns);
        }
    }

    /// Looks at `steps` buckets that should have been full for a while, and frees those that have been.
    pub(super) fn sweep(&mut self, now_ns: u64, steps: usize) {
        let now_ns = self.moved_on(now_ns);
        for _ in 0..steps {
            if self.eldest(now_ns.saturating_sub(KEPT_FULL_NS)) == Eldest::Busy {
                break;
            }
        }
        self.shrink();
    }

    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    pub(super) fn bytes(&self) -> usize {
        // A map keeps an eighth of its slots free, and a byte beside each.
        let slot = size_of::<(Place, Bucket)>() + 1;
        let queued = self.queue.capacity() * size_of::<Reverse<(u64, Place)>>();
        let overflow = self.overflow.capacity() * (size_of::<(u64, Bucket)>() + 1);
        self.buckets.capacity() * 8 / 7 * slot + queued + overflow * 8 / 7
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(super) fn overflowed(&self) -> u64 {
        self.overflowed
    }

    fn moved_on(&mut self, now_ns: u64) -> u64 {
        self.latest_ns = self.latest_ns.max(now_ns);
        self.latest_ns
    }

    fn bucket(&mut self, limit: u64, place: Hash128) -> Option<&mut Bucket> {
        match self.buckets.get_mut(&Place(place)) {
            None => self.overflow.get_mut(&limit),
            found => found,
        }
    }

    /// Makes room by the eldest full bucket. `false`: there is none.
    fn evict(&mut self, now_ns: u64) -> bool {
        for _ in 0..SEARCHED_MAX {
            match self.eldest(now_ns) {
                Eldest::Left => {
                    self.evicted += 1;
                    return true;
                }
                Eldest::PutBack => {}
                Eldest::Busy => return false,
            }
        }
        false
    }

    /// Frees the bucket at the head of the queue if it was full at `by_ns`.
    fn eldest(&mut self, by_ns: u64) -> Eldest {
        let Some(&Reverse((queued_ns, place))) = self.queue.peek() else { return Eldest::Busy };
        if queued_ns > by_ns {
            return Eldest::Busy;
        }
        self.queue.pop();
        match self.buckets.get(&place) {
            Some(bucket) if !bucket.is_full(by_ns) => {
                self.queue.push(Reverse((bucket.full_at_ns(), place)));
                Eldest::PutBack
            }
            _ => {
                self.buckets.remove(&place);
                Eldest::Left
            }
        }
    }

    fn take_overflow(&mut self, limit: u64, quota: &Quota, now_ns: u64) -> Decision {
        self.overflowed += 1;
        if !self.overflow.contains_key(&limit) {
            // Limits of configurations that are gone go here.
            self.overflow.retain(|_, bucket| !bucket.is_full(now_ns));
        }
        self.overflow.entry(limit).or_default().take(now_ns, quota, 1)
    }

    /// Gives memory back once three quarters of it are unused; before it may happen again, as many buckets must
    /// have come or gone as were moved.
    fn shrink(&mut self) {
        if self.buckets.capacity() > ROOM_KEPT && self.buckets.len() < self.buckets.capacity() / 4 {
            let room = self.buckets.len() * 2;
            self.buckets.shrink_to(room);
            self.queue.shrink_to(room);
        }
    }
}

/// What became of the bucket at the head of the queue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Eldest {
    Left,
    /// Not full yet; behind others now.
    PutBack,
    /// None is there that was to be full by then.
    Busy,
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.0[0]);
    }
}

/// Of a place, which is a hash already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}
