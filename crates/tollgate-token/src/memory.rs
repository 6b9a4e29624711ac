//! What one worker remembers of tokens it has verified, bounded in bytes.
//!
//! A look-up is one hash of 32 bytes and one comparison. The signature ends the token and is as good as random, so
//! its tail tells tokens apart; the hash is keyed, so nobody can choose collisions; and the whole token is compared,
//! so a collision is only a miss.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::rc::Rc;

/// How much of the token's end is hashed.
const TAIL_BYTES: usize = 32;
/// What an entry costs beside token and value: itself, its place in the index, allocator overhead, and the room
/// that lists have when they have just doubled.
const ENTRY_BYTES: usize = 256;
/// No entry may take more than this share of the whole: one huge token must not push out all others.
const LARGEST_SHARE: usize = 8;

/// Verified tokens and what they gave. Of one worker: neither `Send` nor shared.
///
/// What a token gave holds under one configuration, named by its generation: under another the entry is gone.
pub struct Memory<V> {
    limit_bytes: usize,
    used_bytes: usize,
    entries: Vec<Entry<V>>,
    /// Hash of the token's tail to its place in `entries`.
    places: HashMap<u64, usize, BuildHasherDefault<Hashed>>,
    /// Where the clock's hand stands in `entries`.
    hand: usize,
    hasher: RandomState,
}

struct Entry<V> {
    token: Box<[u8]>,
    value: Rc<V>,
    generation: u64,
    expires_unix_s: i64,
    hash: u64,
    cost_bytes: usize,
    /// Asked for since the hand last passed.
    used: bool,
}

impl<V> Memory<V> {
    /// An empty memory that never holds more than this, by its own estimate. 0 remembers nothing.
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            used_bytes: 0,
            entries: Vec::new(),
            places: HashMap::default(),
            hand: 0,
            hasher: RandomState::new(),
        }
    }

    /// What this very token gave, while it holds: before its end and under the same generation. Else the entry is freed.
    pub fn get(&mut self, token: &[u8], now_unix_s: i64, generation: u64) -> Option<Rc<V>> {
        let place = *self.places.get(&self.hash(token))?;
        let entry = self.entries.get_mut(place)?;
        if *entry.token != *token {
            return None;
        }
        if entry.generation != generation || now_unix_s >= entry.expires_unix_s {
            self.remove(place);
            return None;
        }
        entry.used = true;
        Some(Rc::clone(&entry.value))
    }

    /// Remembers what a token gave. `value_bytes`: what the value occupies. `expires_unix_s`: the first second at
    /// which it must be forgotten, that is `exp` and the leeway.
    pub fn insert(
        &mut self,
        token: &[u8],
        value: Rc<V>,
        value_bytes: usize,
        now_unix_s: i64,
        expires_unix_s: i64,
        generation: u64,
    ) {
        let hash = self.hash(token);
        if let Some(place) = self.places.get(&hash) {
            self.remove(*place);
        }
        let cost_bytes = ENTRY_BYTES.saturating_add(token.len()).saturating_add(value_bytes);
        if cost_bytes > self.limit_bytes / LARGEST_SHARE || now_unix_s >= expires_unix_s {
            return;
        }
        while self.used_bytes + cost_bytes > self.limit_bytes && self.evict(now_unix_s) {}
        self.used_bytes += cost_bytes;
        self.places.insert(hash, self.entries.len());
        let token = Box::from(token);
        self.entries.push(Entry { token, value, generation, expires_unix_s, hash, cost_bytes, used: false });
    }

    /// Never holds more than this from now on. What is too much leaves with what comes next.
    pub fn resize(&mut self, limit_bytes: usize) {
        self.limit_bytes = limit_bytes;
        if limit_bytes < self.used_bytes / 2 {
            self.clear();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::new(self.limit_bytes);
    }

    /// How many tokens are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes in use, by estimate: at most the limit.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// CLOCK: what was asked for since the last round stays for one more, if its time is not over. Each step either
    /// removes an entry or takes back one look-up's mark, so a step is paid for by that look-up.
    fn evict(&mut self, now_unix_s: i64) -> bool {
        loop {
            if self.hand >= self.entries.len() {
                self.hand = 0;
            }
            let Some(entry) = self.entries.get_mut(self.hand) else { return false };
            if entry.used && now_unix_s < entry.expires_unix_s {
                entry.used = false;
                self.hand += 1;
                continue;
            }
            self.remove(self.hand);
            return true;
        }
    }

    /// The last entry takes the place of the removed one, so that there are no holes.
    fn remove(&mut self, place: usize) {
        if place >= self.entries.len() {
            return;
        }
        let entry = self.entries.swap_remove(place);
        self.used_bytes -= entry.cost_bytes;
        self.places.remove(&entry.hash);
        if let Some(moved) = self.entries.get(place) {
            self.places.insert(moved.hash, place);
        }
    }

    fn hash(&self, token: &[u8]) -> u64 {
        let tail = token.len().saturating_sub(TAIL_BYTES);
        self.hasher.hash_one(token.get(tail..).unwrap_or_default())
    }
}

/// Passes on a hash that is one already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Never called: keys are `u64`. Still a hash, if not a good one.
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Counts only: tokens are credentials.
impl<V> std::fmt::Debug for Memory<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory")
            .field("len", &self.len())
            .field("used_bytes", &self.used_bytes)
            .finish_non_exhaustive()
    }
}
