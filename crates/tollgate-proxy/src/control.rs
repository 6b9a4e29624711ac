//! The small handle through which the rest of the process reaches the data plane.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tollgate_plan::Plan;
use tollgate_plan::listener::ListenAddress;
use tollgate_policy::limit::QuotaError;

use crate::drain::Course;
use crate::gateway::Shared;
use crate::handover::{self, Held};
use crate::health::HealthReport;
use crate::live::cache::{Purge, PurgeError};
use crate::live::issuers::IssuerHealth;
use crate::live::limits::BadLimit;
use crate::live::store::StoreReport;
use crate::live::tokens::TokenHealth;
use crate::observe::Snapshot;

/// A handle on the running data plane. Cheap to clone; usable from any thread and any runtime.
#[derive(Clone)]
pub struct Control {
    pub(crate) shared: Arc<Shared>,
}

/// What the data plane is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Counts up from 1 with every configuration that was applied.
    pub generation: u64,
    /// A drain has begun.
    pub draining: bool,
    /// Configuration active, listeners bound, not draining.
    pub ready: bool,
    /// When the data plane started.
    pub started: SystemTime,
}

/// A configuration was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The new generation.
    pub generation: u64,
    /// Settings that changed but need a restart: `workers`, `admin.address`.
    pub needs_restart: Vec<&'static str>,
}

/// A configuration could not be applied; the old one runs on, untouched.
#[derive(Debug)]
pub enum ApplyError {
    /// A listener could not be bound.
    Bind {
        /// The address as configured.
        address: Arc<str>,
        /// Why.
        source: std::io::Error,
    },
    /// The access log could not be opened.
    AccessLog(std::io::Error),
    /// A thread or a runtime could not be made.
    Thread(std::io::Error),
    /// A rate limit cannot be kept.
    RateLimit {
        /// The limit, as its users know it.
        limit: Arc<str>,
        /// Why.
        source: QuotaError,
    },
    /// Certificates, keys or authorities cannot be used.
    Tls {
        /// The listener or the upstream.
        place: Arc<str>,
        /// Why.
        source: rustls::Error,
    },
    /// The gateway is draining.
    Draining,
}

impl std::fmt::Display for ApplyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ApplyError::Bind { address, source } => write!(f, "cannot listen on {address}: {source}"),
            ApplyError::AccessLog(source) => write!(f, "cannot open the access log: {source}"),
            ApplyError::Thread(source) => write!(f, "cannot start a worker: {source}"),
            ApplyError::RateLimit { limit, source } => {
                write!(f, "the limit {limit} cannot be kept: {source}")
            }
            ApplyError::Tls { place, source } => write!(f, "TLS cannot be set up for {place}: {source}"),
            ApplyError::Draining => f.write_str("the gateway is draining"),
        }
    }
}

impl std::error::Error for ApplyError {}

impl From<BadLimit> for ApplyError {
    fn from(BadLimit { label, source }: BadLimit) -> ApplyError {
        ApplyError::RateLimit { limit: label, source }
    }
}

/// The drain is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were cut when `shutdown.grace` was over.
    pub cut: usize,
}

impl Control {
    /// What the data plane is doing.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// The plan that new requests meet.
    pub fn plan(&self) -> Arc<Plan> {
        self.shared.plan()
    }

    /// The health of the gateway and every upstream.
    pub fn health(&self) -> HealthReport {
        self.shared.health(None)
    }

    /// How each issuer is doing, in the order of the configuration.
    pub fn issuers(&self) -> Vec<IssuerHealth> {
        self.shared.issuer_health()
    }

    /// How the gateway's own tokens toward upstreams are doing, in the order of the configuration.
    pub fn tokens(&self) -> Vec<TokenHealth> {
        self.shared.token_health()
    }

    /// How the Redis of shared limits is doing; none where the configuration has none.
    pub fn store(&self) -> Option<StoreReport> {
        self.shared.store_report()
    }

    /// Forgets kept answers, those on their way into the caches too. How many were there.
    pub fn purge(&self, purge: &Purge) -> Result<u64, PurgeError> {
        self.shared.purge(purge)
    }

    /// All counters and gauges, summed over the workers.
    pub async fn snapshot(&self) -> Snapshot {
        self.shared.snapshot().await
    }

    /// Replaces the configuration, all or nothing. Requests in flight finish on the plan they started with.
    pub async fn apply(&self, plan: Plan) -> Result<Applied, ApplyError> {
        self.shared.apply(plan).await
    }

    /// The listening sockets once more, for the process that comes after this one.
    pub async fn listening(&self) -> std::io::Result<Vec<Held>> {
        handover::listening(&self.shared).await
    }

    /// Whether every worker takes orders within that time: one that does not is stuck.
    pub async fn answers(&self, within: Duration) -> bool {
        handover::answers(&self.shared, within).await
    }

    /// Begins the drain; idempotent. Readiness fails at once; after `shutdown.delay` accepting stops.
    pub fn begin_drain(&self) {
        let shutdown = self.shared.plan().shutdown;
        self.shared.begin_drain(Course::of(shutdown));
    }

    /// Begins a drain that is over when this time is: the machine goes away then. Idempotent.
    pub fn begin_drain_within(&self, left: Duration) {
        let shutdown = self.shared.plan().shutdown;
        self.shared.begin_drain(Course::within(shutdown, left));
    }

    /// Begins the drain of a process whose successor accepts on the sockets of these addresses; idempotent. Nothing is
    /// accepted here any more, and nobody who connects notices.
    pub fn retire(&self, kept: &[ListenAddress]) {
        let shutdown = self.shared.plan().shutdown;
        self.shared.begin_drain(Course::handed_over(shutdown, kept));
    }

    /// Resolves when the drain is over and the access log is flushed.
    pub async fn drained(&self) -> Drained {
        self.shared.drained().await
    }
}
