//! The store that gateways share: one connection for each worker, calls of one turn of its loop in one pipeline,
//! leases that spare most calls.

mod batch;
mod client;
mod health;
mod key;
mod lease;
mod link;

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tollgate_plan::redis::Redis;
use tollgate_policy::limit::script::{Ask, Reply};
use tollgate_policy::limit::{Bucket, Decision, Quota};

use self::batch::{Call, Done};
use self::key::KeyNames;
use self::link::Link;
use crate::gateway::Shared;

pub(crate) use health::StoreHealth;
pub use health::StoreReport;
pub(crate) use lease::{Leased, Leases};

/// The store as one worker reaches it. It survives reloads that leave `redis` as it is.
pub(crate) struct Store {
    shared: Arc<Shared>,
    settings: Redis,
    names: KeyNames,
    /// Tells leases of this Redis from those of another one, that a reload replaced.
    place: u64,
    link: Rc<Link>,
    /// Which worker this is: it looks after its share of the leases.
    worker: usize,
    tasks: Vec<JoinHandle<()>>,
}

/// One shared limit, as the store counts it.
#[derive(Clone, Copy)]
pub(crate) struct Limit<'a> {
    pub(crate) identity: u64,
    pub(crate) name: &'a str,
    pub(crate) quota: &'a Quota,
}

impl Store {
    /// Begins to connect, and waits for nothing.
    pub(crate) fn start(shared: &Arc<Shared>, worker: usize, settings: &Redis) -> Rc<Store> {
        let link = Link::new(settings, &shared.name_servers, shared.store.clone());
        let tasks = vec![
            tokio::task::spawn_local(link::keep_up(link.clone())),
            tokio::task::spawn_local(link::flush(link.clone())),
        ];
        let (shared, names) = (shared.clone(), KeyNames::new(settings));
        let place = shared.leases.place(settings);
        let mut store = Store { shared, settings: settings.clone(), names, place, link, worker, tasks };
        Rc::new_cyclic(|this| {
            store.tasks.push(tokio::task::spawn_local(lease::attend(this.clone())));
            store
        })
    }

    /// The store that `settings` ask for: the old one where they are the same.
    pub(crate) fn reconcile(
        old: Option<&Rc<Store>>,
        settings: Option<&Redis>,
        shared: &Arc<Shared>,
        worker: usize,
    ) -> Option<Rc<Store>> {
        if let (Some(old), Some(settings)) = (old, settings)
            && old.settings == *settings
        {
            return Some(old.clone());
        }
        let new = settings.map(|settings| Store::start(shared, worker, settings));
        if let Some(old) = old {
            old.step_aside(new.as_deref());
        }
        new
    }

    /// Requests that began before the reload go on with this store, and nobody else does.
    fn step_aside(self: &Rc<Store>, new: Option<&Store>) {
        self.link.step_aside();
        // In the same place, leases go on.
        if new.is_none_or(|new| new.place != self.place) {
            let old = self.clone();
            tokio::task::spawn_local(async move { old.hand_back().await });
        }
    }

    /// `sync: exact`. None when the store does not answer in time. Gives the time of the take on the store's clock, too,
    /// by which the token can be given back.
    pub(crate) async fn exact(&self, limit: Limit<'_>, key: &[u8]) -> Option<(Decision, u64)> {
        let (answer, answered) = oneshot::channel();
        let quota = *limit.quota;
        self.call(limit, key, Ask::Take(1), move |reply| {
            // The client may have left meanwhile.
            let _ = answer.send(reply);
        });
        // The call ends within `redis.timeout`, with an answer or without.
        let reply = answered.await.ok()??;
        Some((reply.decision(&quota), reply.now_us))
    }

    /// What [`Store::exact`] would say. No token is taken.
    pub(crate) async fn peek(&self, limit: Limit<'_>, key: &[u8]) -> Option<Decision> {
        let (answer, answered) = oneshot::channel();
        let quota = *limit.quota;
        self.call(limit, key, Ask::Take(0), move |reply| {
            // Who asks may have left meanwhile.
            let _ = answer.send(reply);
        });
        let reply = answered.await.ok()??;
        Some(Bucket::lacking(reply.missing, 0).take(0, &quota, 1))
    }

    /// Gives a token of [`Store::exact`] back. Nobody waits for it.
    pub(crate) fn give_back_exact(&self, limit: Limit<'_>, key: &[u8], taken_at_us: u64) {
        self.call(limit, key, Ask::GiveBack { tokens: 1, taken_at_us }, |_| {});
    }

    fn call(&self, limit: Limit<'_>, key: &[u8], ask: Ask, done: impl FnOnce(Option<Reply>) + 'static) {
        self.send(self.names.of(limit.name, key), *limit.quota, ask, done);
    }

    fn send(&self, key: Arc<str>, quota: Quota, ask: Ask, done: impl FnOnce(Option<Reply>) + 'static) {
        let read =
            move |numbers: Option<[i64; 4]>| done(numbers.and_then(|numbers| Reply::read(numbers, &quota)));
        self.link.enqueue(Call { key, args: ask.args(&quota), done: Done::new(read) });
    }

    fn nanos(&self) -> u64 {
        self.shared.nanos(std::time::Instant::now())
    }

    /// Gives back what was leased and not used: at the end of the worker, and when another store takes its place.
    pub(crate) async fn hand_back(&self) {
        lease::hand_back(self).await;
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.link.retire();
    }
}
