//! What one worker thread owns. Nothing in here is shared: `Rc` and `Cell`, no locks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;
use tollgate_plan::Plan;
use tollgate_plan::route::{Action, RouteId};
use tollgate_wire::{HeaderBlock, RequestHead, ResponseHead};

use crate::gateway::Shared;
use crate::live::upstreams::UpstreamLive;
use crate::observe::{Counters, HttpDate, RequestIds, Series, WorkerSink};
use crate::timer::Timers;
use crate::upstream::Resolver;

/// Bytes of the read buffer. Larger reads make no body cheaper, and this stays in the second-level cache.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Spare heads and buffers kept for the next request; more than this are given back to the allocator.
const SPARE_MAX: usize = 64;

/// A spare buffer that grew beyond this is given back to the allocator.
const SPARE_BYTES_MAX: usize = 16 * 1024;

/// One worker's world.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) active: RefCell<Rc<Active>>,
    pub(crate) timers: Rc<Timers>,
    /// Used between two awaits, never across one.
    pub(crate) scratch: RefCell<Scratch>,
    pub(crate) spare: Spare,
    pub(crate) counters: Counters,
    pub(crate) log: RefCell<WorkerSink>,
    /// A record waits in the log.
    pub(crate) logged: Notify,
    pub(crate) ids: RefCell<RequestIds>,
    pub(crate) date: RefCell<HttpDate>,
    pub(crate) resolver: Resolver,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// Connections that this worker serves.
    pub(crate) connections: Rc<Cell<usize>>,
    /// Requests between head and log record.
    pub(crate) inflight: Cell<u64>,
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
    pub(crate) series: Series,
}

impl Active {
    /// What a route does.
    pub(crate) fn action(&self, route: Option<RouteId>) -> Option<&Action> {
        route.and_then(|RouteId(at)| self.plan.routes.get(at as usize)).map(|route| &route.action)
    }
}

/// The worker's buffers.
pub(crate) struct Scratch {
    /// What was read last.
    pub(crate) read: Box<[u8]>,
    /// What is about to be written.
    pub(crate) out: Vec<u8>,
    /// A head under edit.
    pub(crate) edit: HeaderBlock,
    /// A value being rendered.
    pub(crate) value: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch {
            read: vec![0; READ_BYTES].into_boxed_slice(),
            out: Vec::with_capacity(READ_BYTES + 1024),
            edit: HeaderBlock::default(),
            value: Vec::new(),
        }
    }
}

/// Heads and buffers that the next request takes over, so that steady traffic allocates nothing.
#[derive(Default)]
pub(crate) struct Spare {
    requests: RefCell<Vec<Box<RequestHead>>>,
    responses: RefCell<Vec<Box<ResponseHead>>>,
    buffers: RefCell<Vec<Vec<u8>>>,
}

impl Spare {
    pub(crate) fn request(&self) -> Box<RequestHead> {
        self.requests.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn response(&self) -> Box<ResponseHead> {
        self.responses.borrow_mut().pop().unwrap_or_default()
    }

    /// An empty buffer.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn keep_request(&self, head: Box<RequestHead>) {
        let mut kept = self.requests.borrow_mut();
        if kept.len() < SPARE_MAX && head.headers.byte_len() <= SPARE_BYTES_MAX {
            kept.push(head);
        }
    }

    pub(crate) fn keep_response(&self, head: Box<ResponseHead>) {
        let mut kept = self.responses.borrow_mut();
        if kept.len() < SPARE_MAX && head.headers.byte_len() <= SPARE_BYTES_MAX {
            kept.push(head);
        }
    }

    pub(crate) fn keep_buffer(&self, mut buffer: Vec<u8>) {
        let mut kept = self.buffers.borrow_mut();
        if kept.len() < SPARE_MAX && (1..=SPARE_BYTES_MAX).contains(&buffer.capacity()) {
            buffer.clear();
            kept.push(buffer);
        }
    }
}

/// Wall time from the monotonic clock, so that a request asks the kernel for one clock only.
pub(crate) struct Clock {
    base: Cell<(Instant, SystemTime)>,
}

/// The wall clock is asked again after this long, so that a correction of it shows in the logs.
const CLOCK_REBASE: Duration = Duration::from_secs(1);

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock { base: Cell::new((Instant::now(), SystemTime::now())) }
    }

    /// The wall time at `at`.
    pub(crate) fn wall(&self, at: Instant) -> SystemTime {
        let (instant, wall) = self.base.get();
        let since = at.saturating_duration_since(instant);
        if since > CLOCK_REBASE {
            self.base.set((at, SystemTime::now()));
        }
        wall + since
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
