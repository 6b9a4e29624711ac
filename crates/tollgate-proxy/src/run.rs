//! A worker's thread: its runtime, its tasks, and the orders it takes.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc, oneshot};
use tollgate_plan::listener::ListenAddress;

use crate::explain::{self, Question};
use crate::gateway::{Current, Shared};
use crate::identify::Known;
use crate::io::Room;
use crate::limit;
use crate::listen::{self, Accepted, Accepting};
use crate::live::listeners::ListenerLive;
use crate::live::memory::Account;
use crate::live::relief::relieve;
use crate::live::services;
use crate::live::store::Store;
use crate::live::targets::TargetShared;
use crate::live::upstreams::{reap, reconcile};
use crate::observe::{
    Counters, Gauges, HttpDate, News, Reports, RequestIds, UpstreamConnections, WorkerSnapshot, tell_left_out,
};
use crate::scripting::Scripting;
use crate::timer::Timers;
use crate::upstream::Resolver;
use crate::worker::{Active, Clock, Phase, Random, Scratch, Spare, Worker};

/// Log records wait so long at most before they are handed to the writer.
const LOG_EVERY: Duration = Duration::from_millis(100);

/// What a worker is told.
pub(crate) enum Order {
    /// Serve a connection that another worker accepted.
    Adopt(Accepted),
    /// Serve new requests by a new plan.
    Apply(Box<Change>),
    /// Send new requests to other hosts, by the plan that is there.
    Retarget(Box<Current>),
    /// Close an idle connection to this target: another worker needs its place.
    GiveWay(Arc<TargetShared>),
    /// Say that it takes orders.
    Ping(oneshot::Sender<()>),
    /// Give the listening sockets once more, for another process.
    Share(oneshot::Sender<Copies>),
    /// Nothing is accepted any more, on these listeners; what is open goes on.
    Unlisten(Vec<ListenAddress>),
    /// Write down what was counted, and give back what was written before.
    Snapshot(oneshot::Sender<Option<Arc<WorkerSnapshot>>>),
    /// Say what would become of a request.
    Explain(Box<Question>),
    /// Say what was recorded last.
    Recent(oneshot::Sender<Vec<u8>>),
    /// Tell what is recorded from now on.
    Follow(mpsc::Sender<News>),
    /// The shutdown goes on.
    Phase(Phase),
    /// Nothing is accepted any more, on these listeners.
    Drain(Vec<ListenAddress>),
    /// End, whatever is in flight.
    End,
}

/// Listening sockets once more; an error when there are too many descriptors.
type Copies = std::io::Result<Vec<(Arc<ListenerLive>, OwnedFd)>>;

/// A new plan, and what changes with it.
pub(crate) struct Change {
    pub(crate) current: Current,
    pub(crate) listen: Vec<(OwnedFd, Arc<ListenerLive>)>,
    pub(crate) unlisten: Vec<ListenAddress>,
    /// Connections of some listener should end, also those on which nothing comes.
    pub(crate) renewed: bool,
    pub(crate) done: oneshot::Sender<()>,
}

/// Runs a worker to its end.
pub(crate) fn worker(
    index: usize,
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Order>,
    listening: Vec<(OwnedFd, Arc<ListenerLive>)>,
    started: std::sync::mpsc::SyncSender<()>,
) {
    // What a gateway for tests has to say of upstreams that fail on purpose is no news for an operator.
    let _quiet = shared.is_still().then(|| tracing::dispatcher::set_default(&tracing::Dispatch::none()));
    let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        // Dropping `started` tells the starter.
        Err(error) => return tracing::error!(%error, "a worker cannot start"),
    };
    let worker = runtime.block_on(async { Worker::new(index, shared) });
    runtime.block_on(async {
        let mut accepting = listen_on(&worker, listening);
        tokio::task::spawn_local(worker.timers.clone().sweep());
        tokio::task::spawn_local(reap(worker.clone()));
        tokio::task::spawn_local(hand_log_over(worker.clone()));
        tokio::task::spawn_local(tell_left_out(worker.clone()));
        tokio::task::spawn_local(relieve(worker.clone()));
        if index == 0 {
            tokio::task::spawn_local(limit::sweep(worker.clone()));
            tokio::task::spawn_local(services::follow(worker.shared.clone()));
        }
        // The starter may have given up, and then tells the process itself.
        let _ = started.send(());
        take_orders(&worker, inbox, &mut accepting).await;
        let store = worker.active.borrow().store.clone();
        if let Some(store) = store {
            store.hand_back().await;
        }
    });
    // Connections that are still open are cut here, and their exchanges leave their records.
    drop(runtime);
    worker.log.borrow_mut().tick();
    worker.spans.borrow_mut().tick();
    worker.reports.tell();
}

async fn take_orders(worker: &Rc<Worker>, mut inbox: mpsc::Receiver<Order>, accepting: &mut Vec<Accepting>) {
    while let Some(order) = inbox.recv().await {
        match order {
            Order::Adopt(accepted) => listen::spawn(worker, accepted),
            Order::Apply(change) => {
                accepting.extend(listen_on(worker, change.listen));
                worker.activate(change.current);
                worker.log.borrow_mut().tick();
                stop(accepting, &change.unlisten);
                if change.renewed {
                    worker.timers.wake_all();
                }
                // Whoever waits for it may be gone.
                let _ = change.done.send(());
            }
            Order::Retarget(current) => worker.activate(*current),
            Order::GiveWay(target) => worker.give_way(&target),
            Order::Ping(answer) => drop(answer.send(())),
            Order::Share(answer) => drop(answer.send(share(accepting))),
            Order::Unlisten(addresses) => stop(accepting, &addresses),
            Order::Snapshot(answer) => {
                let before = worker.shared.told.replace(worker.index, worker.snapshot());
                drop(answer.send(before));
            }
            Order::Explain(question) => {
                tokio::task::spawn_local(explain::answer(worker.clone(), *question));
            }
            Order::Recent(answer) => drop(answer.send(worker.log.borrow().recent.lines())),
            Order::Follow(sender) => worker.log.borrow_mut().recent.follow(sender),
            Order::Phase(phase) => {
                worker.phase.set(phase);
                // Connections that speak HTTP/2 can be told now.
                worker.timers.wake_all();
            }
            Order::Drain(addresses) => {
                stop(accepting, &addresses);
                worker.phase.set(Phase::Draining);
                worker.timers.wake_all();
            }
            Order::End => return,
        }
    }
}

fn listen_on(worker: &Rc<Worker>, listening: Vec<(OwnedFd, Arc<ListenerLive>)>) -> Vec<Accepting> {
    listening.into_iter().filter_map(|(socket, live)| Accepting::start(worker, socket, live)).collect()
}

fn share(accepting: &[Accepting]) -> Copies {
    accepting.iter().map(|one| Ok((one.live.clone(), one.share()?))).collect()
}

fn stop(accepting: &mut Vec<Accepting>, addresses: &[ListenAddress]) {
    accepting.retain(|one| {
        let goes = addresses.contains(&one.live.address);
        if goes {
            one.stop();
        }
        !goes
    });
}

async fn hand_log_over(worker: Rc<Worker>) {
    loop {
        worker.logged.notified().await;
        tokio::time::sleep(LOG_EVERY).await;
        worker.spans.borrow_mut().tick();
        // A log that stalls takes it later; no further record may come to ask again.
        while !worker.log.borrow_mut().tick() {
            tokio::time::sleep(LOG_EVERY).await;
        }
    }
}

impl Worker {
    pub(crate) fn new(index: usize, shared: Arc<Shared>) -> Rc<Worker> {
        let random = Random::new();
        let counters = Counters::new();
        let active = Active::new(shared.current(), None, (&shared, index), &counters, &random);
        let mut log = shared.log.worker_sink(shared.workers);
        log.bound(shared.memory.log_bytes(shared.workers));
        let log = RefCell::new(log);
        let spans = RefCell::new(shared.collector.worker_spans());
        let resolver = Resolver::new(&shared.name_servers);
        let memory = Rc::new(Account(shared.memory.clone()));
        let known = Known::new();
        known.follow(&memory, shared.workers);
        Rc::new(Worker {
            index,
            shared,
            memory,
            active: RefCell::new(Rc::new(active)),
            timers: Timers::new(),
            scratch: RefCell::new(Scratch::default()),
            spare: Spare::default(),
            room: Room::default(),
            counters,
            log,
            spans,
            logged: Notify::new(),
            reports: Reports::default(),
            ids: RefCell::new(RequestIds::new()),
            date: RefCell::new(HttpDate::new()),
            resolver,
            known,
            clock: Clock::new(),
            random,
            inflight: Cell::new(0),
            kept_bytes: Rc::default(),
            coders: Rc::default(),
            copies: Rc::default(),
            scripting: Scripting::default(),
            phase: Cell::new(Phase::Serving),
        })
    }

    fn activate(&self, current: Current) {
        let old = self.active.borrow().clone();
        let place = (&self.shared, self.index);
        let active = Active::new(current, Some(&old), place, &self.counters, &self.random);
        *self.active.borrow_mut() = Rc::new(active);
        self.known.follow(&self.memory, self.shared.workers);
        self.log.borrow_mut().bound(self.memory.log_bytes(self.shared.workers));
    }

    fn give_way(&self, target: &Arc<TargetShared>) {
        let active = self.active.borrow().clone();
        let mine =
            active.upstreams.iter().flat_map(|upstream| &upstream.targets).find(|mine| mine.is(target));
        if let Some(mine) = mine {
            mine.give_way();
        }
    }

    fn snapshot(&self) -> WorkerSnapshot {
        let active = self.active.borrow().clone();
        let upstreams = active.plan.upstreams.iter().zip(&active.upstreams).map(|(upstream, live)| {
            let counts = live.targets.iter().map(|target| target.connection_counts());
            let (idle, active) = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            let connections = UpstreamConnections { idle: idle as u64, active: active as u64 };
            (upstream.name.clone(), connections)
        });
        let gauges =
            Gauges { inflight_requests: self.inflight.get(), upstream_connections: upstreams.collect() };
        self.counters.snapshot(gauges)
    }
}

impl Active {
    fn new(
        current: Current,
        old: Option<&Active>,
        (shared, worker): (&Arc<Shared>, usize),
        counters: &Counters,
        random: &Random,
    ) -> Active {
        let store = old.and_then(|old| old.store.as_ref());
        let store = Store::reconcile(store, current.plan.redis.as_ref(), shared, worker);
        let upstreams = reconcile(&current.plan.upstreams, &current.upstreams, old, &mut || random.next());
        let series = counters.attach(&current.plan, Instant::now());
        Active {
            plan: current.plan,
            generation: current.generation,
            upstreams,
            issuers: current.issuers,
            limits: current.limits,
            caches: current.caches,
            store,
            series,
        }
    }
}
