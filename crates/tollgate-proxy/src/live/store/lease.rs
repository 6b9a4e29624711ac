//! Leases: tokens that this gateway took ahead from shared buckets, for all its workers together.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::rc::Weak;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tollgate_policy::limit::lease::{Lease, Verdict};
use tollgate_policy::limit::script::{Ask, Reply};
use tollgate_policy::limit::{Decision, Quota};

use super::{Limit, Store};
use crate::gateway::Shared;

/// Parts of the table that have a lock each. Workers look after them in turn, so it is more than there are cores.
const SHARDS: usize = 64;
/// Leases of one part. A key beyond them is counted by asking for each request.
const LEASES_MAX: usize = 2048;
/// How often leases are looked at that nobody asks for: what they hold in vain goes back.
const ATTEND_EVERY: Duration = Duration::from_millis(100);

/// Every lease of the process.
pub(crate) struct Leases {
    shards: Box<[Mutex<Shard>]>,
    hashers: [RandomState; 2],
}

type Shard = HashMap<u128, Entry>;

struct Entry {
    lease: Lease,
    quota: Quota,
    /// The bucket's name in the store.
    key: Arc<str>,
    /// How often the store was asked: tells whether a request that waits was asked for.
    asked: u64,
    waiting: Vec<oneshot::Sender<()>>,
}

/// What a lease wants of the store, and for which entry.
struct Wanted {
    id: u128,
    key: Arc<str>,
    quota: Quota,
    ask: Ask,
}

/// Where a token came from.
pub(crate) enum Leased {
    /// Out of a lease.
    Lease(Decision),
    /// There is no room for one more lease: ask for this request alone.
    NoRoom,
    /// The store did not answer in time.
    Unavailable,
}

impl Default for Leases {
    fn default() -> Leases {
        Leases {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hashers: [RandomState::new(), RandomState::new()],
        }
    }
}

impl Leases {
    /// 128 bits with keys that nobody knows: no two buckets meet.
    fn id(&self, identity: u64, key: &[u8]) -> u128 {
        let [high, low] = &self.hashers;
        u128::from(high.hash_one((identity, key))) << 64 | u128::from(low.hash_one((identity, key)))
    }

    fn shard(&self, id: u128) -> MutexGuard<'_, Shard> {
        let at = (id % SHARDS as u128) as usize;
        // A panic while it was held left counts that are wrong by one request.
        #[expect(clippy::indexing_slicing, reason = "reduced to their number")]
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn asks(&mut self, id: u128, now_ns: u64, wanted: &mut Vec<Wanted>) {
        while let Some(ask) = self.lease.ask(now_ns, &self.quota) {
            if matches!(ask, Ask::Lease(_)) {
                self.asked += 1;
            }
            wanted.push(Wanted { id, key: self.key.clone(), quota: self.quota, ask });
        }
    }
}

impl Store {
    /// `sync: leased`: a token out of a lease, which most often is there already.
    pub(crate) async fn leased(&self, limit: Limit<'_>, key: &[u8]) -> Leased {
        let id = self.shared.leases.id(limit.identity, key);
        let mut decide: fn(&mut Lease, u64, &Quota) -> Verdict = Lease::decide;
        let mut deadline = None;
        loop {
            if self.link.is_down() {
                return Leased::Unavailable;
            }
            let (waiter, woken) = match self.step(id, limit, key, decide) {
                Step::Decided(decision) => return Leased::Lease(decision),
                Step::NoRoom => return Leased::NoRoom,
                Step::Wait(waiter, woken) => (waiter, woken),
            };
            let until = *deadline.get_or_insert_with(|| Instant::now() + self.settings.timeout);
            if timeout_at(until, woken).await.is_err() {
                return Leased::Unavailable;
            }
            // The lease forgot who waited; whoever still does begins anew.
            waiter.disarm();
            decide = Lease::claim;
        }
    }

    fn step(
        &self,
        id: u128,
        limit: Limit<'_>,
        key: &[u8],
        decide: fn(&mut Lease, u64, &Quota) -> Verdict,
    ) -> Step<'_> {
        let mut wanted = Vec::new();
        let step = {
            let mut shard = self.shared.leases.shard(id);
            if shard.len() >= LEASES_MAX && !shard.contains_key(&id) {
                return Step::NoRoom;
            }
            let entry = shard.entry(id).or_insert_with(|| Entry {
                lease: Lease::default(),
                quota: *limit.quota,
                key: self.names.of(limit.name, key),
                asked: 0,
                waiting: Vec::new(),
            });
            let now_ns = self.nanos();
            let verdict = decide(&mut entry.lease, now_ns, &entry.quota);
            let before = entry.asked;
            entry.asks(id, now_ns, &mut wanted);
            match verdict {
                Verdict::Decided(decision) => Step::Decided(decision),
                Verdict::Wait => {
                    let (wake, woken) = oneshot::channel();
                    entry.waiting.push(wake);
                    let unasked = (entry.asked == before).then_some(before);
                    Step::Wait(Waiter { leases: &self.shared.leases, id, unasked }, woken)
                }
            }
        };
        self.send_all(wanted);
        step
    }

    /// Undoes a token of [`Store::leased`].
    pub(crate) fn give_back_leased(&self, limit: Limit<'_>, key: &[u8]) {
        let id = self.shared.leases.id(limit.identity, key);
        if let Some(entry) = self.shared.leases.shard(id).get_mut(&id) {
            entry.lease.give_back();
        }
    }

    fn send_all(&self, wanted: Vec<Wanted>) {
        for Wanted { id, key, quota, ask } in wanted {
            let shared = self.shared.clone();
            self.send(key, quota, ask, move |reply| {
                if let Ask::Lease(_) = ask {
                    settle(&shared, id, reply);
                }
            });
        }
    }
}

/// An answer, or that there is none: whoever waits looks again.
fn settle(shared: &Shared, id: u128, reply: Option<Reply>) {
    let mut shard = shared.leases.shard(id);
    let Some(entry) = shard.get_mut(&id) else { return };
    match reply {
        Some(reply) => entry.lease.settle(shared.nanos(std::time::Instant::now()), &entry.quota, &reply),
        None => entry.lease.failed(),
    }
    // Who does not listen any more needs nothing.
    entry.waiting.drain(..).for_each(|waiter| _ = waiter.send(()));
}

/// What a lease said.
enum Step<'s> {
    Decided(Decision),
    NoRoom,
    Wait(Waiter<'s>, oneshot::Receiver<()>),
}

/// A request that waits for a lease.
struct Waiter<'s> {
    leases: &'s Leases,
    id: u128,
    /// The count of questions when it began to wait, where none of them was for it.
    unasked: Option<u64>,
}

impl Waiter<'_> {
    fn disarm(mut self) {
        self.unasked = None;
    }
}

impl Drop for Waiter<'_> {
    /// It waits no longer, or its client left: what was not asked for yet needs not be.
    fn drop(&mut self) {
        let Some(asked) = self.unasked else { return };
        if let Some(entry) = self.leases.shard(self.id).get_mut(&self.id)
            && entry.asked == asked
        {
            entry.lease.leave();
        }
    }
}

/// Runs for the life of the store: gives back what is held in vain, forgets leases that say nothing.
pub(super) async fn attend(store: Weak<Store>) {
    loop {
        tokio::time::sleep(ATTEND_EVERY).await;
        let Some(store) = store.upgrade() else { return };
        look_after(&store, |_| {});
    }
}

/// Gives back everything that this worker looks after.
pub(super) fn hand_back(store: &Store) {
    look_after(store, Lease::drain);
}

fn look_after(store: &Store, change: impl Fn(&mut Lease)) {
    let (workers, now_ns) = (store.shared.workers.max(1), store.nanos());
    for shard in store.shared.leases.shards.iter().skip(store.worker).step_by(workers) {
        let mut wanted = Vec::new();
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.retain(|id, entry| {
            change(&mut entry.lease);
            entry.asks(*id, now_ns, &mut wanted);
            !entry.waiting.is_empty() || !entry.lease.is_idle(now_ns)
        });
        drop(shard);
        store.send_all(wanted);
    }
}
