//! Answers by key, within a bound of bytes.
//!
//! Which to forget is decided by second chance: keys stand in a queue, and one that was asked for since it came to the
//! front goes to the end once more. So giving an answer takes a lock that only readers share, and moves nothing.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::entry::{Entry, Key};

/// Workers that keep answers at the same moment seldom meet.
const SHARDS: usize = 8;

/// Answers under one key that differ by what they vary on; beyond it the oldest leaves.
const VARIANTS_MAX: usize = 32;

/// What a route keeps.
pub(crate) struct Store {
    shards: Box<[RwLock<Shard>]>,
    hashes: RandomState,
    /// Of all shards together.
    bytes: AtomicU64,
    max_bytes: u64,
}

#[derive(Default)]
struct Shard {
    pages: HashMap<Arc<[u8]>, Page>,
    /// Every key of `pages` once.
    queue: VecDeque<Arc<[u8]>>,
}

/// The answers under one key, the newest in front.
struct Page {
    variants: Vec<Arc<Entry>>,
    bytes: u64,
    /// Somebody asked for it since it was last considered.
    used: AtomicBool,
}

/// What a key came to.
pub(crate) enum Found {
    /// An answer.
    Answer(Arc<Entry>),
    /// Answers, but none for this request: the newest of them.
    Others(Arc<Entry>),
    /// Nothing.
    Nothing,
}

impl Store {
    pub(super) fn new(max_bytes: u64) -> Store {
        Store {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hashes: RandomState::new(),
            bytes: AtomicU64::new(0),
            max_bytes,
        }
    }

    /// The newest answer under the key that `fits`.
    pub(crate) fn find(&self, key: &[u8], fits: impl Fn(&Entry) -> bool) -> Found {
        self.look(key, fits, |page| {
            // Written only where it changes: readers on other cores keep their copy of the line.
            if !page.used.load(Relaxed) {
                page.used.store(true, Relaxed);
            }
        })
    }

    /// The same, and what is found does not count as asked for.
    pub(crate) fn peek(&self, key: &[u8], fits: impl Fn(&Entry) -> bool) -> Found {
        self.look(key, fits, |_| {})
    }

    fn look(&self, key: &[u8], fits: impl Fn(&Entry) -> bool, asked_for: impl Fn(&Page)) -> Found {
        let Some(shard) = self.shard(key).map(read) else { return Found::Nothing };
        let Some(page) = shard.pages.get(key) else { return Found::Nothing };
        let Some(entry) = page.variants.iter().find(|entry| fits(entry)) else {
            return page.variants.first().map_or(Found::Nothing, |other| Found::Others(other.clone()));
        };
        asked_for(page);
        Found::Answer(entry.clone())
    }

    /// Keeps an answer in the place of the one that it replaces.
    pub(crate) fn put(&self, key: &[u8], entry: Arc<Entry>) {
        let Some(shard) = self.shard(key) else { return };
        let mut shard = write(shard);
        let mut page = shard.pages.remove(key).unwrap_or_else(|| {
            shard.queue.push_back(Arc::from(key));
            Page { variants: Vec::new(), bytes: 0, used: AtomicBool::new(false) }
        });
        page.variants.retain(|old| old.varied != entry.varied);
        page.variants.truncate(VARIANTS_MAX - 1);
        page.variants.insert(0, entry);
        let bytes = page.variants.iter().map(|entry| entry.bytes() + key.len()).sum::<usize>() as u64;
        self.bytes.fetch_add(bytes, Relaxed);
        self.bytes.fetch_sub(page.bytes, Relaxed);
        page.bytes = bytes;
        shard.pages.insert(Arc::from(key), page);
        drop(shard);
        self.make_room(self.place(key), self.max_bytes);
    }

    /// Forgets until only this share of what is kept is left, in percent.
    pub(super) fn let_go(&self, left: u64) {
        self.make_room(0, self.bytes() / 100 * left);
    }

    /// Forgets every answer whose URL is one of those.
    pub(super) fn forget(&self, is_one: impl Fn(&[u8]) -> bool) -> u64 {
        let mut forgotten = 0;
        for shard in &self.shards {
            let mut shard = write(shard);
            let Shard { pages, queue } = &mut *shard;
            pages.retain(|key, page| {
                let goes = is_one(Key::url_of(key));
                if goes {
                    forgotten += page.variants.len() as u64;
                    self.bytes.fetch_sub(page.bytes, Relaxed);
                }
                !goes
            });
            queue.retain(|key| pages.contains_key(key));
        }
        forgotten
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Forgets until no more than so many bytes are kept, in the shard that has grown first.
    fn make_room(&self, grown: usize, max_bytes: u64) {
        for at in (grown..SHARDS).chain(0..grown) {
            let Some(shard) = self.shards.get(at) else { continue };
            // The usual case without the lock.
            if self.bytes() <= max_bytes {
                return;
            }
            let mut shard = write(shard);
            while self.bytes() > max_bytes {
                let Some(key) = shard.queue.pop_front() else { break };
                let again = shard.pages.get(&key).is_some_and(|page| page.used.swap(false, Relaxed));
                if again {
                    shard.queue.push_back(key);
                } else if let Some(page) = shard.pages.remove(&key) {
                    self.bytes.fetch_sub(page.bytes, Relaxed);
                }
            }
        }
    }

    fn place(&self, key: &[u8]) -> usize {
        (self.hashes.hash_one(key) % SHARDS as u64) as usize
    }

    fn shard(&self, key: &[u8]) -> Option<&RwLock<Shard>> {
        self.shards.get(self.place(key))
    }
}

fn read(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Shard>) -> RwLockWriteGuard<'_, Shard> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}
