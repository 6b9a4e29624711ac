//! What one worker knows of an upstream: its targets, their idle connections, what is in flight to them.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate_plan::upstream::{Pool, Upstream};
use tollgate_policy::Penalty;

use super::balancer::Balancer;
use super::conn::Conn;
use super::queue::Queue;
use super::registry::Upstreams;
use super::sessions::{Session, Sessions};
use super::shield::UpstreamShared;
use super::targets::TargetShared;
use crate::tls::ClientSide;
use crate::worker::{Active, Worker};

/// How often idle connections are looked at.
const REAP_EVERY: Duration = Duration::from_secs(1);

/// One upstream on this worker.
pub(crate) struct UpstreamLive {
    pub(crate) shared: Arc<UpstreamShared>,
    /// Indexed like the targets of [`UpstreamShared::served`].
    pub(crate) targets: Vec<Rc<TargetLive>>,
    pub(crate) balancer: Balancer,
}

/// One target on this worker. It survives reloads that keep it.
pub(crate) struct TargetLive {
    pub(crate) shared: Arc<TargetShared>,
    idle: RefCell<VecDeque<Rc<Conn>>>,
    /// Its HTTP/2 connections.
    pub(crate) sessions: Sessions,
    /// Requests of this worker between connect and the end of the answer.
    pub(crate) in_flight: Cell<u32>,
    /// What is remembered of failed connects.
    pub(crate) penalty: Cell<Penalty>,
    pool: Cell<Pool>,
    /// How TLS is spoken to it, and the name that its certificate must have.
    tls: RefCell<Option<(Box<str>, Arc<ClientSide>)>>,
    /// How often that changed. What was connected before the last change is used for nothing new.
    era: Cell<u64>,
    /// Requests that wait for a place under `max_connections`.
    pub(crate) waiting: Queue,
}

impl TargetLive {
    fn new(shared: Arc<TargetShared>, pool: Pool) -> TargetLive {
        TargetLive {
            shared,
            idle: RefCell::default(),
            sessions: Sessions::default(),
            in_flight: Cell::new(0),
            penalty: Cell::default(),
            pool: Cell::new(pool),
            tls: RefCell::default(),
            era: Cell::new(0),
            waiting: Queue::default(),
        }
    }

    /// The connection that was used last, if it is still good: the youngest is the likeliest to be.
    pub(crate) fn idle_connection(&self, now: Instant) -> Option<Rc<Conn>> {
        let keep = self.pool.get().idle;
        loop {
            // Not in the `while let`: closing a connection looks at this pool again.
            let conn = self.idle.borrow_mut().pop_back()?;
            if now.saturating_duration_since(conn.idle_since.get()) < keep && conn.is_clean() {
                return Some(conn);
            }
        }
    }

    pub(crate) fn keep(&self, conn: Rc<Conn>) {
        let pool = self.pool.get();
        let wanted_elsewhere = self.shared.is_wanted() && self.waiting.is_empty();
        let outdated = conn.era() != self.era.get();
        if outdated || wanted_elsewhere || self.idle.borrow().len() >= pool.max_idle_per_worker {
            return drop(conn);
        }
        self.idle.borrow_mut().push_back(conn);
        self.waiting.wake_first();
    }

    /// Nothing is on the session any more: it is kept as an idle connection is.
    pub(crate) fn became_idle(&self, session: &Session) {
        let pool = self.pool.get();
        let wanted_elsewhere = self.shared.is_wanted() && self.waiting.is_empty();
        if wanted_elsewhere || self.sessions.counts().0 > pool.max_idle_per_worker {
            self.sessions.release(|one| std::ptr::eq(one, session));
        }
    }

    /// Closes what was idle too long or was closed by the target.
    fn reap(&self, now: Instant) {
        let keep = self.pool.get().idle;
        self.sessions.release(|session| session.is_idle(now, keep));
        let mut old = Vec::new();
        self.idle.borrow_mut().retain(|conn| {
            let good = now.saturating_duration_since(conn.idle_since.get()) < keep && conn.is_clean();
            if !good {
                old.push(conn.clone());
            }
            good
        });
    }

    /// Closes one idle connection so that another worker can open one.
    pub(crate) fn give_way(&self) {
        let conn = self.idle.borrow_mut().pop_front();
        if conn.is_none() {
            self.sessions.give_way();
        }
    }

    /// The configuration does not name the target any more: its connections are closed, those in use when
    /// their answer is through. Idle ones hold the target that holds them, so nothing else would end them.
    fn retire(&self) {
        self.pool.set(Pool { max_idle_per_worker: 0, ..self.pool.get() });
        drop(self.idle.take());
        self.sessions.release(|_| true);
    }

    /// Which settings of TLS connections are made with now: the same number, the same settings.
    pub(crate) fn era(&self) -> u64 {
        self.era.get()
    }

    /// How TLS is spoken to it, and the name that its certificate must have.
    pub(crate) fn tls(&self) -> Option<(Box<str>, Arc<ClientSide>)> {
        self.tls.borrow().clone()
    }

    /// Speaks TLS so from now on. What was connected otherwise serves no more requests: it may have trusted others.
    /// What is in use, or still in its handshake, is known by its era when it comes to be kept.
    fn speak(&self, tls: Option<(Box<str>, Arc<ClientSide>)>) {
        let same = match (&*self.tls.borrow(), &tls) {
            (None, None) => true,
            (Some((name, side)), Some((new_name, new_side))) => {
                name == new_name && Arc::ptr_eq(side, new_side)
            }
            _ => false,
        };
        if !same {
            *self.tls.borrow_mut() = tls;
            self.era.set(self.era.get() + 1);
            drop(self.idle.take());
            self.sessions.release(|_| true);
        }
    }

    /// A connection of this worker is closed.
    pub(crate) fn closed(&self) {
        self.shared.leave();
        self.waiting.wake_first();
    }

    /// Connections on which nothing is, and those with something on them.
    pub(crate) fn connection_counts(&self) -> (usize, usize) {
        let (idle, busy) = self.sessions.counts();
        let alone = (self.in_flight.get() as usize).saturating_sub(self.sessions.streams());
        (idle + self.idle.borrow().len(), busy + alone)
    }

    /// Requests in flight from this worker.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.get()
    }

    /// Whether this is the worker's view of `shared`.
    pub(crate) fn is(&self, shared: &Arc<TargetShared>) -> bool {
        Arc::ptr_eq(&self.shared, shared)
    }
}

/// A request between connect and the end of the answer: counted while it lasts.
pub(crate) struct InFlight(Rc<TargetLive>);

impl InFlight {
    pub(crate) fn new(target: &Rc<TargetLive>) -> InFlight {
        target.in_flight.set(target.in_flight.get() + 1);
        InFlight(target.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get().saturating_sub(1));
    }
}

/// The upstreams of a new plan, with the connections of those targets that the old one had too.
pub(crate) fn reconcile(
    upstreams: &[Upstream],
    shared: &Upstreams,
    old: Option<&Active>,
    random: &mut dyn FnMut() -> u64,
) -> Vec<Rc<UpstreamLive>> {
    let old = || old.into_iter().flat_map(|active| active.upstreams.iter().flat_map(|live| &live.targets));
    let known: HashMap<*const TargetShared, &Rc<TargetLive>> =
        old().map(|target| (Arc::as_ptr(&target.shared), target)).collect();
    let live = upstreams.iter().zip(shared).map(|(upstream, shared)| {
        let upstream = shared.served(upstream);
        let targets = shared.targets.iter().zip(&upstream.targets).map(|(one, target)| {
            let live = match known.get(&Arc::as_ptr(one)) {
                Some(known) => Rc::clone(known),
                None => Rc::new(TargetLive::new(one.clone(), upstream.pool)),
            };
            live.pool.set(upstream.pool);
            live.speak(target.tls.clone().zip(shared.tls.clone()));
            live
        });
        Rc::new(UpstreamLive {
            shared: shared.clone(),
            targets: targets.collect(),
            balancer: Balancer::new(upstream, random),
        })
    });
    let live: Vec<Rc<UpstreamLive>> = live.collect();
    let kept: HashSet<*const TargetLive> =
        live.iter().flat_map(|upstream| &upstream.targets).map(Rc::as_ptr).collect();
    old().filter(|target| !kept.contains(&Rc::as_ptr(target))).for_each(|target| target.retire());
    live
}

/// Runs for the life of the worker: closes idle connections that are too old or that the target closed.
pub(crate) async fn reap(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(REAP_EVERY).await;
        let (active, now) = (worker.active.borrow().clone(), Instant::now());
        active.upstreams.iter().flat_map(|upstream| &upstream.targets).for_each(|target| target.reap(now));
    }
}
