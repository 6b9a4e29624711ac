//! One request to the upstream for many clients: who asks, and who waits for what comes of it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Of so many keys it is remembered that waiting was in vain. A key is forgotten for another one in its place, and never
/// taken for it: whoever asks for many that are not kept changes nothing for the others.
const HOPELESS: usize = 1024;

/// For so long nobody waits where the last answer was not one to keep: else requests whose answers never are would go one
/// behind the other.
const HOPELESS_FOR: Duration = Duration::from_secs(10);

/// The requests of one route that others may wait for.
pub(crate) struct Flights {
    hashes: RandomState,
    /// Removed when the request lands. At most one for each request under way.
    flying: Mutex<HashMap<u64, watch::Receiver<Landed>>>,
    /// For which keys waiting is in vain, and until when: see `Flights::vain`.
    hopeless: Box<[AtomicU64]>,
    epoch: Instant,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Landed {
    /// It is under way.
    Flying,
    /// Its answer is kept.
    Kept,
    /// Its answer is not one to keep: everybody asks for themselves.
    NotKept,
    /// Who asked went away in the middle: somebody else has to.
    Lost,
}

/// Who asks.
pub(crate) enum Joined {
    /// This request, for all.
    Lead(Flight),
    /// Another one.
    Follow(watch::Receiver<Landed>),
    /// Each for themselves.
    Alone,
}

/// A request that others wait for. Dropped, it is lost.
pub(crate) struct Flight {
    flights: Arc<Flights>,
    hash: u64,
    told: watch::Sender<Landed>,
}

impl Default for Flights {
    fn default() -> Self {
        Flights {
            hashes: RandomState::new(),
            flying: Mutex::default(),
            hopeless: (0..HOPELESS).map(|_| AtomicU64::new(0)).collect(),
            epoch: Instant::now(),
        }
    }
}

impl Flights {
    /// Joins those who want the answer under this key. Two keys with one hash wait for each other in vain, and that is all.
    pub(crate) fn join(self: &Arc<Self>, key: &[u8], now: Instant) -> Joined {
        let hash = self.hashes.hash_one(key);
        if self.is_hopeless(hash, now) {
            return Joined::Alone;
        }
        match self.take_off(hash) {
            Ok(flight) => Joined::Lead(flight),
            Err(other) => Joined::Follow(other),
        }
    }

    /// Asks behind the backs of those who want the answer under this key, if nobody asks already. Nobody waits for it, so
    /// that the last answer was not one to keep says nothing.
    pub(crate) fn lead(self: &Arc<Self>, key: &[u8]) -> Option<Flight> {
        self.take_off(self.hashes.hash_one(key)).ok()
    }

    fn take_off(self: &Arc<Self>, hash: u64) -> Result<Flight, watch::Receiver<Landed>> {
        let mut flying = lock(&self.flying);
        if let Some(other) = flying.get(&hash) {
            return Err(other.clone());
        }
        let (told, landed) = watch::channel(Landed::Flying);
        flying.insert(hash, landed);
        Ok(Flight { flights: self.clone(), hash, told })
    }

    /// Joins those who already ask for the answer under this key, if somebody does; asks for nobody else.
    pub(crate) fn follow(&self, key: &[u8]) -> Option<watch::Receiver<Landed>> {
        lock(&self.flying).get(&self.hashes.hash_one(key)).cloned()
    }

    fn is_hopeless(&self, hash: u64, now: Instant) -> bool {
        let noted = self.place(hash).map_or(0, |place| place.load(Relaxed));
        // The upper halves agree, so that what is left of both are times.
        let now = self.vain(hash, now);
        noted >> 32 == now >> 32 && noted > now
    }

    fn place(&self, hash: u64) -> Option<&AtomicU64> {
        self.hopeless.get((hash % HOPELESS as u64) as usize)
    }

    /// The upper half of the hash, of which the lower one finds the place, and a time in hundredths of a second since the
    /// epoch, which are enough for a year.
    fn vain(&self, hash: u64, until: Instant) -> u64 {
        let time = until.saturating_duration_since(self.epoch).as_millis() / 10;
        (hash & !u64::from(u32::MAX)) | u64::from(time as u32)
    }
}

impl Flight {
    /// The answer is kept.
    pub(crate) fn kept(self) {
        self.told.send_replace(Landed::Kept);
    }

    /// There is no answer to keep.
    pub(crate) fn not_kept(self, now: Instant) {
        if let Some(place) = self.flights.place(self.hash) {
            place.store(self.flights.vain(self.hash, now + HOPELESS_FOR), Relaxed);
        }
        self.told.send_replace(Landed::NotKept);
    }

    /// There is none this time.
    pub(crate) fn failed(self) {
        self.told.send_replace(Landed::NotKept);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // First out of the list: who comes now asks anew.
        lock(&self.flights.flying).remove(&self.hash);
        self.told.send_if_modified(|landed| {
            let lost = *landed == Landed::Flying;
            if lost {
                *landed = Landed::Lost;
            }
            lost
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
