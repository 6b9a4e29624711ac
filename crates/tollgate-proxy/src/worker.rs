//! What one worker thread owns. Nothing in here is shared: `Rc` and `Cell`, no locks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;
use tollgate_plan::Plan;
use tollgate_plan::route::{Action, Route, RouteId};
use tollgate_plan::table::Params;
use tollgate_wire::{HeaderBlock, RequestHead, ResponseHead, name};

use crate::gateway::Shared;
use crate::identify::Known;
use crate::io::Room;
use crate::limit::Verdict;
use crate::live::cache::CachesLive;
use crate::live::issuers::IssuerLive;
use crate::live::limits::LimitsLive;
use crate::live::memory::Account;
use crate::live::store::Store;
use crate::live::upstreams::UpstreamLive;
use crate::observe::{Counters, HttpDate, Reports, RequestIds, Series, WorkerSink, WorkerSpans};
use crate::scripting::Scripting;
use crate::timer::Timers;
use crate::upstream::Resolver;

/// Bytes of the read buffer. A long body costs a quarter of the system calls that it would with 64 KiB, and the
/// buffer still fits into a second-level cache. Pages that no long body touched cost no memory.
pub(crate) const READ_BYTES: usize = 256 * 1024;

/// Spare heads kept for the next request; more than this are given back to the allocator.
const SPARE_MAX: usize = 64;

/// The same for buffers, of which a request has up to four at a time.
const SPARE_BUFFERS_MAX: usize = 4 * SPARE_MAX;

/// A spare head or buffer that grew beyond this is given back to the allocator.
const SPARE_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a new buffer: a head of common size fits without growing.
const BUFFER_BYTES: usize = 512;

/// One worker's world.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    /// What the process holds in memory.
    pub(crate) memory: Rc<Account>,
    pub(crate) active: RefCell<Rc<Active>>,
    pub(crate) timers: Rc<Timers>,
    /// Used between two awaits, never across one.
    pub(crate) scratch: RefCell<Scratch>,
    pub(crate) spare: Spare,
    /// The buffers of all TLS connections.
    pub(crate) room: Room,
    pub(crate) counters: Counters,
    pub(crate) log: RefCell<WorkerSink>,
    pub(crate) spans: RefCell<WorkerSpans>,
    /// A record or a span waits to be handed over.
    pub(crate) logged: Notify,
    pub(crate) reports: Reports,
    pub(crate) ids: RefCell<RequestIds>,
    pub(crate) date: RefCell<HttpDate>,
    pub(crate) resolver: Resolver,
    /// Credentials that were checked before.
    pub(crate) known: Known,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// Requests between head and log record.
    pub(crate) inflight: Cell<u64>,
    /// Bytes of request bodies that are kept to be sent again.
    pub(crate) kept_bytes: Rc<Cell<usize>>,
    /// Answers that are being compressed.
    pub(crate) coders: Rc<Cell<usize>>,
    /// Copies of requests that are on their way to a second upstream.
    pub(crate) copies: Rc<Cell<usize>>,
    /// Where scripts run.
    pub(crate) scripting: Scripting,
    /// How far the shutdown is.
    pub(crate) phase: Cell<Phase>,
}

/// How far the shutdown is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Serving.
    Serving,
    /// Answers carry `Connection: close`; new connections are still accepted.
    Closing,
    /// Nothing is accepted any more; idle connections are closed.
    Draining,
}

/// A plan and the live state that belongs to it, on this worker. A request holds one from head to log record.
pub(crate) struct Active {
    pub(crate) plan: Arc<Plan>,
    pub(crate) generation: u64,
    /// Indexed by `UpstreamId`.
    pub(crate) upstreams: Vec<Rc<UpstreamLive>>,
    /// Indexed by `IssuerId`.
    pub(crate) issuers: Arc<[IssuerLive]>,
    pub(crate) limits: Arc<LimitsLive>,
    pub(crate) caches: Arc<CachesLive>,
    /// Where gateways share limits.
    pub(crate) store: Option<Rc<Store>>,
    pub(crate) series: Series,
}

impl Worker {
    /// Who makes an answer, keeps it or forwards it writes down when, where it does not say so (RFC 9110 section 6.6.1).
    pub(crate) fn date(&self, headers: &mut HeaderBlock, at: Instant) {
        if !headers.contains(&name::DATE) {
            headers.append(&name::DATE, self.date.borrow_mut().at(self.clock.wall(at)));
        }
    }
}

impl Active {
    pub(crate) fn route(&self, id: Option<RouteId>) -> Option<&Route> {
        id.and_then(|RouteId(at)| self.plan.routes.get(at as usize))
    }

    /// What a route does.
    pub(crate) fn action(&self, route: Option<RouteId>) -> Option<&Action> {
        self.route(route).map(|route| &route.action)
    }
}

/// The worker's buffers.
pub(crate) struct Scratch {
    /// What was read last.
    pub(crate) read: Box<[u8]>,
    /// What is about to be written.
    pub(crate) out: Vec<u8>,
    /// A value being rendered.
    pub(crate) value: Vec<u8>,
}

impl Scratch {
    /// The read buffer, to be put back: reading fills it while the rest of the scratch is in use.
    ///
    /// A task that panicked in between did not put it back; an empty buffer would make every read look like the end
    /// of its stream.
    pub(crate) fn take_read(&mut self) -> Box<[u8]> {
        let buffer = std::mem::take(&mut self.read);
        if buffer.is_empty() { vec![0; READ_BYTES].into_boxed_slice() } else { buffer }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch { read: vec![0; READ_BYTES].into_boxed_slice(), out: Vec::new(), value: Vec::new() }
    }
}

/// What every request needs and the next one can take over.
#[derive(Default)]
pub(crate) struct Kit {
    pub(crate) head: RequestHead,
    /// Lower-case host name without port; empty when there is none.
    pub(crate) host: String,
    /// The path in normal form.
    pub(crate) path: String,
    pub(crate) params: Params,
    /// Headers that the answer will carry, whoever makes it: what the access and limit stages have to say.
    pub(crate) carried: HeaderBlock,
    /// What each limit said.
    pub(crate) verdicts: Vec<Verdict>,
    /// Routes that the request after a preflight may take instead, by what stands in its headers.
    pub(crate) preflighted: Vec<RouteId>,
}

/// Kits, heads and buffers that the next request takes over, so that steady traffic allocates nothing.
#[derive(Default)]
pub(crate) struct Spare {
    // Boxed: a kit goes from hand to hand, and moves as a pointer.
    #[expect(clippy::vec_box)]
    kits: RefCell<Vec<Box<Kit>>>,
    #[expect(clippy::vec_box)]
    responses: RefCell<Vec<Box<ResponseHead>>>,
    buffers: RefCell<Vec<Vec<u8>>>,
}

impl Spare {
    pub(crate) fn kit(&self) -> Box<Kit> {
        self.kits.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn response(&self) -> Box<ResponseHead> {
        self.responses.borrow_mut().pop().unwrap_or_default()
    }

    /// An empty buffer.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES))
    }

    /// Gives everything back to the allocator.
    pub(crate) fn clear(&self) {
        self.kits.take();
        self.responses.take();
        self.buffers.take();
    }

    pub(crate) fn keep_kit(&self, mut kit: Box<Kit>) {
        let mut kept = self.kits.borrow_mut();
        kit.host.clear();
        kit.path.clear();
        kit.carried.clear();
        kit.verdicts.clear();
        kit.preflighted.clear();
        if kept.len() < SPARE_MAX && kit.head.headers.capacity_bytes() <= SPARE_BYTES_MAX {
            kept.push(kit);
        }
    }

    pub(crate) fn keep_response(&self, head: Box<ResponseHead>) {
        let mut kept = self.responses.borrow_mut();
        if kept.len() < SPARE_MAX && head.headers.capacity_bytes() <= SPARE_BYTES_MAX {
            kept.push(head);
        }
    }

    pub(crate) fn keep_buffer(&self, mut buffer: Vec<u8>) {
        let mut kept = self.buffers.borrow_mut();
        if kept.len() < SPARE_BUFFERS_MAX && (1..=SPARE_BYTES_MAX).contains(&buffer.capacity()) {
            buffer.clear();
            kept.push(buffer);
        }
    }
}

/// The monotonic clock, asked once where a socket had something to say and remembered for what follows from it;
/// and wall time from it, so that a request asks the kernel for one clock only.
pub(crate) struct Clock {
    recent: Cell<Instant>,
    base: Cell<(Instant, SystemTime)>,
}

/// The wall clock is asked again after this long, so that a correction of it shows in the logs.
const CLOCK_REBASE: Duration = Duration::from_secs(1);

impl Clock {
    pub(crate) fn new() -> Clock {
        let now = Instant::now();
        Clock { recent: Cell::new(now), base: Cell::new((now, SystemTime::now())) }
    }

    /// Asks the clock.
    pub(crate) fn now(&self) -> Instant {
        let now = Instant::now();
        self.recent.set(now);
        now
    }

    /// What the clock said when it was asked last: right for what follows in the same poll.
    pub(crate) fn recent(&self) -> Instant {
        self.recent.get()
    }

    /// The wall time at `at`, which may lie a while back.
    pub(crate) fn wall(&self, at: Instant) -> SystemTime {
        let (mut instant, mut wall) = self.base.get();
        if at.saturating_duration_since(instant) > CLOCK_REBASE {
            // Both clocks at the same moment, which `at` is not.
            (instant, wall) = (Instant::now(), SystemTime::now());
            self.base.set((instant, wall));
        }
        match at.checked_duration_since(instant) {
            Some(since) => wall + since,
            None => wall - instant.saturating_duration_since(at),
        }
    }
}

/// Random numbers for choices that need no secrecy: xorshift64*, seeded from the system.
pub(crate) struct Random(Cell<u64>);

impl Random {
    pub(crate) fn new() -> Random {
        use std::hash::{BuildHasher, Hasher};
        // A fresh `RandomState` is keyed from the system's entropy.
        let seed = std::collections::hash_map::RandomState::new().build_hasher().finish();
        Random(Cell::new(seed | 1))
    }

    pub(crate) fn next(&self) -> u64 {
        let mut x = self.0.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0.set(x);
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}
