//! Starts the workers and keeps what they share.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tollgate_plan::Plan;
use tollgate_plan::listener::{ListenAddress, Listener};
use tollgate_policy::limit::Table;

use crate::background::Background;
use crate::control::{Applied, ApplyError, Control, Drained, Status};
use crate::drain::{self, Course};
use crate::handover::Held;
use crate::insight::FOLLOWERS_MAX;
use crate::listen::{self, Accepted};
use crate::live::Counts;
use crate::live::cache::{CachesLive, Purge, PurgeError};
use crate::live::collector::Collector;
use crate::live::dial::Dialer;
use crate::live::issuers::{IssuerLive, IssuerRegistry};
use crate::live::limits::LimitsLive;
use crate::live::listeners::ListenerLive;
use crate::live::memory::Memory;
use crate::live::passwords::Passwords;
use crate::live::registry::{UpstreamRegistry, Upstreams};
use crate::live::services::ServicesLive;
use crate::live::store::{Leases, StoreHealth, StoreReport};
use crate::live::targets::TargetShared;
#[cfg(test)]
pub(crate) use crate::observe::fixture;
use crate::observe::{LastTold, LogWriter, Snapshot};
use crate::run::{self, Order};
use crate::tls::Sides;
use crate::upstream::NameServers;

/// Orders that wait for a worker: handed-over connections above all. Over it, who accepted one serves it.
const INBOX: usize = 1024;

/// A start or a reload waits so long for the first answers about services: the first requests would be refused.
const SERVICES_WITHIN: Duration = Duration::from_secs(1);

/// A worker that does not answer for so long counts with what it told last.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// The running data plane.
pub struct Gateway {
    shared: Arc<Shared>,
}

/// The data plane could not start; nothing is left behind.
pub type StartError = ApplyError;

impl Gateway {
    /// Binds every listener, opens the access log, starts the workers; returns when they accept.
    ///
    /// The plan is the first generation, number 1.
    pub fn start(plan: Plan) -> Result<Gateway, StartError> {
        Gateway::start_on(plan, Vec::new())
    }

    /// The same on sockets that were handed to this process, as far as they are for listeners of the plan. The others
    /// are closed.
    pub fn start_on(plan: Plan, held: Vec<Held>) -> Result<Gateway, StartError> {
        Gateway::begin(plan, held, Instant::now(), true)
    }

    /// The same with the time of rate limits beginning at `epoch`: before, none of it passes.
    /// Where it does not serve, it has no network either.
    pub(crate) fn begin(
        plan: Plan,
        mut held: Vec<Held>,
        epoch: Instant,
        serves: bool,
    ) -> Result<Gateway, StartError> {
        let sides = Sides::of(&plan, &Sides::default())?;
        let mut fresh = Fresh::default();
        for listener in &plan.listeners {
            match held.iter().position(|held| held.address == listener.address) {
                Some(at) => fresh.take(listener, &sides, plan.workers, held.swap_remove(at))?,
                None => fresh.bind(listener, &sides, plan.workers, false)?,
            }
        }
        drop(held);
        let limits = LimitsLive::new(&plan, None)?;
        let name_servers = NameServers::default();
        name_servers.set(&plan.name_servers);
        let log = LogWriter::start(&plan.access_log, Arc::new(Dialer::new(&name_servers)))
            .map_err(ApplyError::AccessLog)?;
        let issuers = IssuerRegistry::default();
        let upstreams = UpstreamRegistry::default();
        let (collector, exporter) = Collector::new(&plan);
        let memory = Arc::new(Memory::new(Arc::new(Counts::new(plan.workers))));
        memory.follow(&plan.limits);
        let background = match serves {
            true => Background::start(&issuers, &upstreams, &name_servers, &memory, exporter)
                .map_err(ApplyError::Thread)?,
            false => Background::nothing(),
        };
        if serves {
            upstreams.services.want(&plan);
            upstreams.services.wait(SERVICES_WITHIN);
        }
        let registries = (issuers, upstreams);
        let beside = (background, name_servers, memory, epoch);
        let shared = Shared::new(plan, sides, limits, (log, collector), registries, beside);
        let shared = Arc::new(Shared { serves, ..shared });
        let shares = shared.adopt(fresh);
        let (started, ready) = std::sync::mpsc::sync_channel(shared.workers);
        let mut threads = Vec::new();
        let mut inboxes = Vec::new();
        for (index, listening) in shares.into_iter().enumerate() {
            let (sender, inbox) = mpsc::channel(INBOX);
            inboxes.push(sender);
            let (shared, started) = (shared.clone(), started.clone());
            let name = format!("worker-{index}");
            let run = move || run::worker(index, shared, inbox, listening, started);
            threads.push(std::thread::Builder::new().name(name).spawn(run).map_err(ApplyError::Thread)?);
        }
        shared.set_inboxes(inboxes);
        drop(started);
        for _ in 0..shared.workers {
            ready
                .recv()
                .map_err(|_| ApplyError::Thread(std::io::Error::other("a worker ended at its start")))?;
        }
        lock(&shared.threads).append(&mut threads);
        Ok(Gateway { shared })
    }

    /// What a worker is made from.
    #[cfg(test)]
    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// A handle for the rest of the process.
    pub fn control(&self) -> Control {
        Control { shared: self.shared.clone() }
    }
}

/// What the workers share, and what [`Control`] reaches.
pub(crate) struct Shared {
    /// It serves clients; else it only explains what it would do.
    pub(crate) serves: bool,
    pub(crate) workers: usize,
    pub(crate) counts: Arc<Counts>,
    /// What is held in memory, and how much of it there may be.
    pub(crate) memory: Arc<Memory>,
    /// Places for those who follow the access records.
    pub(crate) followers: Arc<Semaphore>,
    /// The tokens of rate limits that count in this process.
    pub(crate) buckets: Table,
    /// The tokens that are taken ahead of limits that gateways share.
    pub(crate) leases: Leases,
    /// How the store of those limits is doing.
    pub(crate) store: Arc<StoreHealth>,
    /// Where the time of the buckets begins.
    epoch: Instant,
    pub(crate) log: LogWriter,
    /// Where spans go.
    pub(crate) collector: Collector,
    pub(crate) started: SystemTime,
    current: Mutex<Current>,
    generation: AtomicU64,
    draining: AtomicBool,
    upstreams: UpstreamRegistry,
    issuers: IssuerRegistry,
    pub(crate) background: Background,
    /// Whom names are asked of.
    pub(crate) name_servers: NameServers,
    pub(crate) passwords: Passwords,
    /// The counters of the workers.
    pub(crate) told: LastTold,
    inboxes: OnceLock<Vec<mpsc::Sender<Order>>>,
    listeners: Mutex<HashMap<ListenAddress, Arc<ListenerLive>>>,
    pub(crate) threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    /// One configuration at a time.
    pub(crate) applying: tokio::sync::Mutex<()>,
    pub(crate) drained: watch::Sender<Option<Drained>>,
}

/// The plan that new requests meet, and what lives of it.
#[derive(Clone)]
pub(crate) struct Current {
    pub(crate) plan: Arc<Plan>,
    sides: Arc<Sides>,
    /// Indexed by `UpstreamId`.
    pub(crate) upstreams: Arc<Upstreams>,
    /// Indexed by `IssuerId`.
    pub(crate) issuers: Arc<[IssuerLive]>,
    pub(crate) limits: Arc<LimitsLive>,
    pub(crate) caches: Arc<CachesLive>,
    pub(crate) generation: u64,
}

/// A listener with the sockets of each worker.
struct Bound {
    live: Arc<ListenerLive>,
    sockets: Vec<Vec<OwnedFd>>,
    /// Somebody else bound it: what stands in the file system is theirs until this process serves.
    handed: bool,
}

/// Listeners that are bound but not in use yet; dropping them leaves nothing behind, in the file system either.
#[derive(Default)]
struct Fresh(Vec<Bound>);

impl Fresh {
    fn bind(
        &mut self,
        listener: &Listener,
        sides: &Sides,
        workers: usize,
        ours: bool,
    ) -> Result<(), ApplyError> {
        let Listener { address, name, .. } = listener;
        let sockets = listen::bind(listener, workers, ours)
            .map_err(|source| ApplyError::Bind { address: name.clone(), source })?;
        let live = ListenerLive::new(address.clone(), name.clone());
        live.follow(listener, sides);
        self.0.push(Bound {
            live,
            sockets: sockets.into_iter().map(|one| vec![one]).collect(),
            handed: false,
        });
        Ok(())
    }

    /// Takes sockets that another process has bound.
    fn take(
        &mut self,
        listener: &Listener,
        sides: &Sides,
        workers: usize,
        held: Held,
    ) -> Result<(), ApplyError> {
        let Listener { address, name, .. } = listener;
        let sockets = listen::deal(held.sockets, workers)
            .map_err(|source| ApplyError::Bind { address: name.clone(), source })?;
        let live = ListenerLive::new(address.clone(), name.clone());
        live.follow(listener, sides);
        if held.lent {
            live.lend();
        } else {
            listen::permit(listener);
        }
        self.0.push(Bound { live, sockets, handed: true });
        Ok(())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        self.0.iter().filter(|bound| !bound.handed).for_each(|bound| listen::unbind(&bound.live));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn new(
        plan: Plan,
        sides: Sides,
        limits: LimitsLive,
        (log, collector): (LogWriter, Collector),
        (issuers, upstreams): (IssuerRegistry, UpstreamRegistry),
        (background, name_servers, memory, epoch): (Background, NameServers, Arc<Memory>, Instant),
    ) -> Shared {
        let started = SystemTime::now();
        let of_plan = Arc::new(upstreams.reconcile(&plan, &sides, started));
        let living = issuers.reconcile(&plan).into();
        let workers = plan.workers;
        let caches = Arc::new(CachesLive::new(&plan, None));
        let current = Current {
            plan: Arc::new(plan),
            sides: Arc::new(sides),
            upstreams: of_plan,
            issuers: living,
            limits: Arc::new(limits),
            caches,
            generation: 1,
        };
        Shared {
            serves: true,
            workers,
            counts: memory.counts().clone(),
            buckets: Table::new(memory.buckets_max()),
            followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
            leases: Leases::default(),
            store: Arc::default(),
            epoch,
            log,
            collector,
            started,
            current: Mutex::new(current),
            generation: AtomicU64::new(1),
            draining: AtomicBool::new(false),
            upstreams,
            issuers,
            background,
            name_servers,
            memory,
            passwords: Passwords::default(),
            told: LastTold::new(workers),
            inboxes: OnceLock::new(),
            listeners: Mutex::default(),
            threads: Mutex::default(),
            applying: tokio::sync::Mutex::new(()),
            drained: watch::channel(None).0,
        }
    }

    /// Remembers listeners and deals their sockets out, one list for each worker.
    fn adopt(&self, mut fresh: Fresh) -> Vec<Vec<(OwnedFd, Arc<ListenerLive>)>> {
        let mut shares: Vec<Vec<_>> = (0..self.workers).map(|_| Vec::new()).collect();
        for Bound { live, sockets, .. } in std::mem::take(&mut fresh.0) {
            for (share, sockets) in shares.iter_mut().zip(sockets) {
                share.extend(sockets.into_iter().map(|socket| (socket, live.clone())));
            }
            lock(&self.listeners).insert(live.address.clone(), live);
        }
        shares
    }

    fn set_inboxes(&self, inboxes: Vec<mpsc::Sender<Order>>) {
        // Set once, by the only caller.
        let _ = self.inboxes.set(inboxes);
    }

    pub(crate) fn inboxes(&self) -> &[mpsc::Sender<Order>] {
        self.inboxes.get().map_or(&[], |inboxes| inboxes)
    }

    pub(crate) fn current(&self) -> Current {
        lock(&self.current).clone()
    }

    /// How the store of shared limits is doing; none where the configuration has none.
    pub(crate) fn store_report(&self) -> Option<StoreReport> {
        self.store.report()
    }

    /// A moment in the time of the buckets.
    pub(crate) fn nanos(&self, at: Instant) -> u64 {
        // 64 bits of nanoseconds are five centuries.
        at.saturating_duration_since(self.epoch).as_nanos() as u64
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        self.current().plan
    }

    pub(crate) fn status(&self) -> Status {
        let draining = self.draining.load(Relaxed);
        Status {
            generation: self.generation.load(Relaxed),
            draining,
            ready: !draining,
            started: self.started,
        }
    }

    /// Gives an accepted connection to the worker that should serve it; back when that takes none at the moment.
    pub(crate) fn hand_over(&self, accepted: Accepted) -> Option<Accepted> {
        let Some(inbox) = self.inboxes().get(accepted.place.worker) else { return Some(accepted) };
        match inbox.try_send(Order::Adopt(accepted)) {
            Err(TrySendError::Full(Order::Adopt(back)) | TrySendError::Closed(Order::Adopt(back))) => {
                Some(back)
            }
            Ok(()) | Err(_) => None,
        }
    }

    /// Asks the other workers to close an idle connection to a target whose places are all taken.
    pub(crate) fn ask_for_place(&self, asker: usize, target: &Arc<TargetShared>) {
        for (index, inbox) in self.inboxes().iter().enumerate() {
            if index != asker {
                // A full inbox means that the worker is busy; the asker looks again soon.
                let _ = inbox.try_send(Order::GiveWay(target.clone()));
            }
        }
    }

    /// Gives every worker the order; a worker that ended needs none.
    pub(crate) async fn order_all(&self, order: impl Fn() -> Order) {
        for inbox in self.inboxes() {
            let _ = inbox.send(order()).await;
        }
    }

    /// Forgets kept answers. How many.
    pub(crate) fn purge(&self, purge: &Purge) -> Result<u64, PurgeError> {
        let current = self.current();
        current.caches.purge(&current.plan, purge, Instant::now())
    }

    pub(crate) async fn snapshot(&self) -> Snapshot {
        let mut answers = Vec::new();
        let mut missing = self.inboxes().len();
        for inbox in self.inboxes() {
            let (answer, received) = oneshot::channel();
            if inbox.try_send(Order::Snapshot(answer)).is_ok() {
                answers.push(received);
            }
        }
        let until = tokio::time::Instant::now() + ANSWER_WITHIN;
        for answer in answers {
            // What the worker told before is dropped here, and not on its thread.
            missing -= usize::from(matches!(tokio::time::timeout_at(until, answer).await, Ok(Ok(_))));
        }
        let mut snapshot = self.told.merged();
        snapshot.workers_missing = missing;
        snapshot.logs = self.log.counts().collect();
        snapshot.shipped = self.log.shipped();
        snapshot.spans = self.collector.totals();
        snapshot.connections_refused = self.counts.refused.load(Relaxed);
        let current = self.current();
        snapshot.cache_bytes = current.caches.bytes(&current.plan).into_iter().collect();
        for live in lock(&self.listeners).values() {
            snapshot.connections.insert(live.name.clone(), live.open());
            if live.tls().is_some() {
                snapshot.tls_handshake_failures.insert(live.name.clone(), live.handshakes_failed());
            }
        }
        snapshot
    }

    pub(crate) async fn apply(&self, mut plan: Plan) -> Result<Applied, ApplyError> {
        let _turn = self.applying.lock().await;
        if self.draining.load(Relaxed) {
            return Err(ApplyError::Draining);
        }
        let old = self.plan();
        let mut needs_restart = Vec::new();
        if plan.workers != old.workers {
            needs_restart.push("workers");
            plan.workers = old.workers;
        }
        if plan.admin.address != old.admin.address {
            needs_restart.push("admin.address");
            plan.admin.address = old.admin.address;
        }
        // Everything that can fail comes first; dropping it leaves no trace.
        let sides = Sides::of(&plan, &self.current().sides)?;
        let (fresh, gone) = self.listener_changes(&plan, &sides)?;
        let limits = Arc::new(LimitsLive::new(&plan, Some((&old, &self.current().limits)))?);
        let caches = Arc::new(CachesLive::new(&plan, Some((&old, &self.current().caches))));
        let log = self.log.prepare(&plan.access_log).map_err(ApplyError::AccessLog)?;

        self.log.commit(log);
        self.name_servers.set(&plan.name_servers);
        self.collector.follow(&plan);
        self.memory.follow(&plan.limits);
        self.buckets.resize(self.memory.buckets_max());
        self.learn_services(&plan).await;
        let upstreams = Arc::new(self.upstreams.reconcile(&plan, &sides, SystemTime::now()));
        let issuers = self.issuers.reconcile(&plan).into();
        let generation = self.generation.fetch_add(1, Relaxed) + 1;
        let current = Current {
            plan: Arc::new(plan),
            sides: Arc::new(sides),
            upstreams,
            issuers,
            limits,
            caches,
            generation,
        };
        *lock(&self.current) = current.clone();
        let mut shares = self.adopt(fresh).into_iter();
        let left: Vec<_> = {
            let mut listeners = lock(&self.listeners);
            gone.iter().filter_map(|address| listeners.remove(address)).collect()
        };
        let renewed = self.renew(&current);
        left.iter().for_each(|live| listen::unbind(live));
        let mut applied = Vec::new();
        for inbox in self.inboxes() {
            let (done, wait) = oneshot::channel();
            let order = run::Change {
                current: current.clone(),
                listen: shares.next().unwrap_or_default(),
                unlisten: gone.clone(),
                renewed,
                done,
            };
            if inbox.send(Order::Apply(Box::new(order))).await.is_ok() {
                applied.push(wait);
            }
        }
        for worker in applied {
            // A worker that ended meanwhile has nothing to apply.
            let _ = worker.await;
        }
        Ok(Applied { generation, needs_restart })
    }

    /// Lets the listeners that stay follow the plan. Whether one has other terms now.
    fn renew(&self, current: &Current) -> bool {
        let mut renewed = false;
        for listener in &current.plan.listeners {
            listen::permit(listener);
            if let Some(live) = lock(&self.listeners).get(&listener.address) {
                renewed |= live.follow(listener, &current.sides);
            }
        }
        renewed
    }

    /// Asks for the services of a new plan, and waits a little for answers about those that are new.
    async fn learn_services(&self, plan: &Plan) {
        let services = self.services().clone();
        services.want(plan);
        services.forget();
        if services.is_waiting() {
            // A failure would mean that the runtime ends.
            let _ = tokio::task::spawn_blocking(move || services.wait(SERVICES_WITHIN)).await;
        }
    }

    /// What DNS says of services.
    pub(crate) fn services(&self) -> &Arc<ServicesLive> {
        &self.upstreams.services
    }

    /// Sends new requests to the hosts that DNS names now. The plan and its generation stay.
    pub(crate) async fn retarget(&self) {
        let _turn = self.applying.lock().await;
        let current = {
            let mut current = lock(&self.current);
            let upstreams = self.upstreams.reconcile(&current.plan, &current.sides, SystemTime::now());
            current.upstreams = Arc::new(upstreams);
            current.clone()
        };
        self.order_all(|| Order::Retarget(Box::new(current.clone()))).await;
    }

    /// Binds what is new; names what is gone.
    fn listener_changes(
        &self,
        plan: &Plan,
        sides: &Sides,
    ) -> Result<(Fresh, Vec<ListenAddress>), ApplyError> {
        let known: Vec<ListenAddress> = lock(&self.listeners).keys().cloned().collect();
        let port = |address: &ListenAddress| match address {
            ListenAddress::Tcp(address) => Some(address.port()),
            ListenAddress::Unix(_) => None,
        };
        let mut fresh = Fresh::default();
        for listener in plan.listeners.iter().filter(|listener| !known.contains(&listener.address)) {
            // From 127.0.0.1:80 to 0.0.0.0:80 the old sockets are still there when the new ones come.
            let ours =
                known.iter().any(|known| port(known).is_some() && port(known) == port(&listener.address));
            fresh.bind(listener, sides, self.workers, ours)?;
        }
        let wanted =
            |address: &ListenAddress| plan.listeners.iter().any(|listener| listener.address == *address);
        Ok((fresh, known.into_iter().filter(|address| !wanted(address)).collect()))
    }

    pub(crate) fn begin_drain(self: &Arc<Self>, course: Course) {
        if !self.draining.swap(true, Relaxed) {
            drain::begin(self.clone(), Instant::now(), course);
        }
    }

    pub(crate) async fn drained(&self) -> Drained {
        let mut drained = self.drained.subscribe();
        let over = drained.wait_for(Option::is_some).await;
        over.ok().and_then(|over| *over).unwrap_or(Drained { cut: 0 })
    }

    pub(crate) fn listening(&self) -> Vec<Arc<ListenerLive>> {
        lock(&self.listeners).values().cloned().collect()
    }
}
