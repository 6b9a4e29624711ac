//! Leases: tokens that this gateway took ahead from shared buckets, for all its workers together.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::rc::Weak;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tollgate_plan::redis::Redis;
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
/// Questions each time, by each worker. What is left waits for the next time, so that what goes back is in nobody's way.
const ATTEND_ASKS_MAX: usize = 256;
/// The end of a worker waits so long at most for what goes back.
const HAND_BACK_WITHIN: Duration = Duration::from_secs(1);
/// Leases of a Redis that is configured no more are forgotten after so long. Requests that began before use them.
const FORGET_NS: u64 = 10_000_000_000;

/// Every lease of the process.
pub(crate) struct Leases {
    shards: Box<[Mutex<Shard>]>,
    hashers: [RandomState; 2],
}

type Shard = HashMap<u128, Entry>;

struct Entry {
    lease: Lease,
    quota: Quota,
    /// The store, and the bucket's name in it.
    place: u64,
    key: Arc<str>,
    /// How often the store was asked: tells whether a request that waits was asked for.
    asked: u64,
    /// They are told whether there was an answer.
    waiting: Vec<oneshot::Sender<bool>>,
    touched_ns: u64,
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
    /// What tells one Redis from another: where it is, and the password, which the names of the buckets hang on.
    pub(super) fn place(&self, settings: &Redis) -> u64 {
        let nodes = settings.nodes.iter().map(|node| {
            let password = node.password.as_ref().map(|password| password.expose());
            (node.tls, &node.host, node.port, &node.user, password, node.db)
        });
        self.hashers[0].hash_one((settings.cluster, nodes.collect::<Vec<_>>()))
    }

    /// 128 bits with keys that nobody knows: no two buckets meet.
    fn id(&self, place: u64, identity: u64, key: &[u8]) -> u128 {
        let bucket = (place, identity, key);
        let [high, low] = &self.hashers;
        u128::from(high.hash_one(bucket)) << 64 | u128::from(low.hash_one(bucket))
    }

    fn shard(&self, id: u128) -> MutexGuard<'_, Shard> {
        self.shard_at((id % SHARDS as u128) as usize)
    }

    fn shard_at(&self, at: usize) -> MutexGuard<'_, Shard> {
        // A panic while it was held left counts that are wrong by one request.
        #[expect(clippy::indexing_slicing, reason = "reduced to their number")]
        self.shards[at % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
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
        let id = self.shared.leases.id(self.place, limit.identity, key);
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
            let answered = match timeout_at(until, woken).await {
                Ok(answered) => answered.unwrap_or(false),
                Err(_) => return Leased::Unavailable,
            };
            // The lease forgot who waited; whoever still does begins anew.
            waiter.disarm();
            if !answered {
                return Leased::Unavailable;
            }
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
                place: self.place,
                key: self.names.of(limit.name, key),
                asked: 0,
                waiting: Vec::new(),
                touched_ns: 0,
            });
            let now_ns = self.nanos();
            entry.touched_ns = now_ns;
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
        let id = self.shared.leases.id(self.place, limit.identity, key);
        if let Some(entry) = self.shared.leases.shard(id).get_mut(&id) {
            entry.lease.give_back();
        }
    }

    /// The parts of the table that this worker looks after.
    fn shards(&self) -> impl Iterator<Item = usize> {
        (self.worker..SHARDS).step_by(self.shared.workers.max(1))
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
    let answered = reply.is_some();
    match reply {
        Some(reply) => entry.lease.settle(shared.nanos(std::time::Instant::now()), &entry.quota, &reply),
        None => entry.lease.failed(),
    }
    // Who does not listen any more needs nothing.
    entry.waiting.drain(..).for_each(|waiter| _ = waiter.send(answered));
}

/// What a lease said.
enum Step<'s> {
    Decided(Decision),
    NoRoom,
    Wait(Waiter<'s>, oneshot::Receiver<bool>),
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
        sleep(ATTEND_EVERY).await;
        let mut left = ATTEND_ASKS_MAX;
        let mut at = None;
        loop {
            // Not held while it waits: a store that is of no use any more ends.
            let Some(store) = store.upgrade() else { return };
            let Some(shard) = store.shards().find(|shard| at.is_none_or(|at| *shard > at)) else { break };
            left -= look_after(&store, shard, left, |_| {});
            at = Some(shard);
            drop(store);
            tokio::task::yield_now().await;
        }
    }
}

/// Gives back everything that this worker looks after.
pub(super) async fn hand_back(store: &Store) {
    let all = async {
        // Twice: what was under way may bring more.
        for shard in store.shards().chain(store.shards()) {
            if store.link.is_down() {
                return;
            }
            if look_after(store, shard, usize::MAX, Lease::drain) > 0 {
                store.link.settle().await;
            }
        }
    };
    // Tokens that cannot be given back come back by themselves.
    let _ = timeout(HAND_BACK_WITHIN, all).await;
}

/// Gives back what is held in vain in one part of the table, with so many questions at most; how many it took.
fn look_after(store: &Store, shard: usize, most: usize, change: impl Fn(&mut Lease)) -> usize {
    let now_ns = store.nanos();
    let mut wanted = Vec::new();
    store.shared.leases.shard_at(shard).retain(|id, entry| {
        if entry.place != store.place {
            // Of a store that went: it gave back what it could, and will not come again.
            return now_ns < entry.touched_ns.saturating_add(FORGET_NS);
        }
        change(&mut entry.lease);
        if wanted.len() < most {
            entry.asks(*id, now_ns, &mut wanted);
        }
        !entry.waiting.is_empty() || !entry.lease.is_idle(now_ns)
    });
    let asked = wanted.len();
    store.send_all(wanted);
    asked.min(most)
}
