//! All counters and gauges at one moment: what a worker hands out, and their sum over the workers.
//!
//! A worker answers with flat lists, which is quick; whoever asked sorts and adds them up on its own thread.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::histogram::Histogram;

/// Counters and gauges at one moment, summed over the workers. Maps are ordered by their labels.
///
/// A series appears with its first event; its labels come from the configuration, never from a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Workers that did not answer in time. What they told last is in the sums.
    pub workers_missing: usize,
    /// `requests_total{route,method,status}`
    pub requests: BTreeMap<RequestLabels, u64>,
    /// `request_duration_seconds{route}`
    pub request_duration: BTreeMap<Arc<str>, Histogram>,
    /// `overhead_seconds{route}`: time inside the gateway, total minus upstream.
    pub overhead: BTreeMap<Arc<str>, Histogram>,
    /// `rejected_total{route,reason}`
    pub rejected: BTreeMap<RejectedLabels, u64>,
    /// `rate_limited_total{route,limit}`
    pub rate_limited: BTreeMap<LimitLabels, u64>,
    /// `mirrored_total{route,result}`
    pub mirrored: BTreeMap<CopyLabels, u64>,
    /// `cache_total{route,result}`: answers of routes that have a cache.
    pub cached: BTreeMap<CacheLabels, u64>,
    /// `cache_bytes{route}`: what is kept.
    pub cache_bytes: BTreeMap<Arc<str>, u64>,
    /// `script_duration_seconds{route}`, each call of a script counted.
    pub script_duration: BTreeMap<Arc<str>, Histogram>,
    /// `upstream_requests_total{upstream,target,outcome}`, each attempt counted.
    pub upstream_requests: BTreeMap<UpstreamLabels, u64>,
    /// `upstream_duration_seconds{upstream}`, each attempt counted.
    pub upstream_duration: BTreeMap<Arc<str>, Histogram>,
    /// `retries_total{upstream}`: attempts after the first.
    pub retries: BTreeMap<Arc<str>, u64>,
    /// `inflight_requests`
    pub inflight_requests: u64,
    /// `connections{listener}`: open client connections.
    pub connections: BTreeMap<Arc<str>, u64>,
    /// `tls_handshake_failures_total{listener}`: of listeners that speak TLS.
    pub tls_handshake_failures: BTreeMap<Arc<str>, u64>,
    /// `connections_refused_total`: closed at accept, because of `limits.connections`.
    pub connections_refused: u64,
    /// `upstream_connections{upstream,state}`
    pub upstream_connections: BTreeMap<Arc<str>, UpstreamConnections>,
    /// `log_records_total{sink}` and `log_dropped_total{sink}`, for every sink that was in use since the start.
    pub logs: BTreeMap<&'static str, LogCounts>,
    /// `log_batches_total{sink,result}` and `log_spool_bytes`, where an object store was in use since the start.
    pub shipped: Option<Shipped>,
    /// `trace_spans_total{result}`, where there were traces since the start.
    pub spans: Option<SpanTotals>,
}

/// Labels of `requests_total`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestLabels {
    /// The route's name; `none` when no route matched.
    pub route: Arc<str>,
    /// A method of RFC 9110 or PATCH; `other` for extensions; `none` when the request had no readable method.
    pub method: &'static str,
    /// 100-599; 0 stands for any other.
    pub status: u16,
}

impl RequestLabels {
    /// The value of the label `status`.
    pub fn status_label(&self) -> Cow<'static, str> {
        match self.status {
            0 => Cow::Borrowed("other"),
            status => Cow::Owned(status.to_string()),
        }
    }
}

/// Labels of `rejected_total`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RejectedLabels {
    /// The route's name; `none` when no route matched.
    pub route: Arc<str>,
    /// The reason's code.
    pub reason: &'static str,
}

/// Labels of `rate_limited_total`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitLabels {
    /// The route's name.
    pub route: Arc<str>,
    /// The limit's `name`, or its rate and what it counts by.
    pub limit: Arc<str>,
}

/// Labels of `mirrored_total`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CopyLabels {
    /// The route's name.
    pub route: Arc<str>,
    /// `sent`, or why it was not: `too_many`, `too_long`, `incomplete`.
    pub result: &'static str,
}

/// Labels of `cache_total`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheLabels {
    /// The route's name.
    pub route: Arc<str>,
    /// `hit`, `collapsed`, `stale`, `revalidated`, `miss` or `bypass`.
    pub result: &'static str,
}

/// Labels of `upstream_requests_total`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamLabels {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The target as configured.
    pub target: Arc<str>,
    /// `1xx` to `5xx` by the status that came back (`other` outside 100-599), or the code of the reason why none did.
    pub outcome: &'static str,
}

/// Values of `upstream_connections`, by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UpstreamConnections {
    /// `state="idle"`: kept for reuse.
    pub idle: u64,
    /// `state="active"`: serving a request.
    pub active: u64,
}

/// Access records of one sink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogCounts {
    /// Records written.
    pub records: u64,
    /// Records lost: no room in the queue, or the sink failed.
    pub dropped: u64,
}

/// Spans of traces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpanTotals {
    /// `result="exported"`: a collector took them.
    pub exported: u64,
    /// `result="dropped"`: no room in the queue, or no collector took them.
    pub dropped: u64,
}

/// Access records on their way to an object store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shipped {
    /// `result="ok"`: objects that are in the store.
    pub batches: u64,
    /// `result="failed"`: tries that failed; the object is tried again.
    pub failures: u64,
    /// Bytes that wait in the spool, compressed.
    pub waiting_bytes: u64,
}

/// What one worker holds open at the moment it is asked. Filled by the worker itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gauges {
    pub(crate) inflight_requests: u64,
    /// By upstream name.
    pub(crate) upstream_connections: Vec<(Arc<str>, UpstreamConnections)>,
}

/// One worker's part. Plain data that may cross threads.
#[derive(Debug, Clone, Default)]
pub(crate) struct WorkerSnapshot {
    pub(crate) routes: Vec<RouteSnapshot>,
    pub(crate) targets: Vec<TargetSnapshot>,
    pub(crate) upstreams: Vec<UpstreamSnapshot>,
    /// Requests refused by each limit.
    pub(crate) limited: Vec<(LimitLabels, u64)>,
    /// How long calls of scripts took.
    pub(crate) scripts: Vec<(Arc<str>, Histogram)>,
    /// What caches had to do with answers.
    pub(crate) caches: Vec<(CacheLabels, u64)>,
    /// Requests that mirrors were to have.
    pub(crate) copies: Vec<(CopyLabels, u64)>,
    pub(crate) gauges: Gauges,
}

/// One worker's counters of one route.
#[derive(Debug, Clone)]
pub(crate) struct RouteSnapshot {
    pub(crate) route: Arc<str>,
    /// By method label and status.
    pub(crate) requests: Vec<(&'static str, u16, u64)>,
    /// By reason code.
    pub(crate) rejected: Vec<(&'static str, u64)>,
    pub(crate) duration: Histogram,
    pub(crate) overhead: Histogram,
}

/// One worker's counters of one target.
#[derive(Debug, Clone)]
pub(crate) struct TargetSnapshot {
    pub(crate) upstream: Arc<str>,
    pub(crate) target: Arc<str>,
    /// By outcome label.
    pub(crate) outcomes: Vec<(&'static str, u64)>,
}

/// One worker's counters of one upstream.
#[derive(Debug, Clone)]
pub(crate) struct UpstreamSnapshot {
    pub(crate) upstream: Arc<str>,
    pub(crate) duration: Histogram,
    pub(crate) retries: u64,
}

/// What each worker told last. A worker that does not answer, since it waits for something, still has counted that: a
/// counter that fell would look like a restart.
pub(crate) struct LastTold(Box<[Mutex<Option<Arc<WorkerSnapshot>>>]>);

impl LastTold {
    pub(crate) fn new(workers: usize) -> LastTold {
        LastTold((0..workers).map(|_| Mutex::default()).collect())
    }

    /// Takes what a worker tells, from the worker alone; what it told before is given back.
    pub(crate) fn replace(&self, worker: usize, told: WorkerSnapshot) -> Option<Arc<WorkerSnapshot>> {
        let mut place = self.0.get(worker)?.lock().unwrap_or_else(PoisonError::into_inner);
        place.replace(Arc::new(told))
    }

    /// The sum over all workers.
    pub(crate) fn merged(&self) -> Snapshot {
        let parts = self.0.iter().map(|place| place.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let parts: Vec<Arc<WorkerSnapshot>> = parts.flatten().collect();
        Snapshot::merge(parts.iter().map(|part| &**part))
    }
}

impl Snapshot {
    /// Sums the workers' parts. What the workers share is left empty: `connections`, `tls_handshake_failures`,
    /// `connections_refused`, and `logs`, for which there is `LogWriter::counts`.
    pub(super) fn merge<'a>(workers: impl IntoIterator<Item = &'a WorkerSnapshot>) -> Snapshot {
        let mut sum = Snapshot::default();
        for worker in workers {
            for route in &worker.routes {
                sum.add_route(route);
            }
            for target in &worker.targets {
                sum.add_target(target);
            }
            for upstream in &worker.upstreams {
                sum.add_upstream(upstream);
            }
            for (route, duration) in &worker.scripts {
                sum.script_duration.entry(route.clone()).or_default().add(duration);
            }
            for (labels, count) in &worker.caches {
                *sum.cached.entry(labels.clone()).or_default() += count;
            }
            for (labels, count) in &worker.copies {
                *sum.mirrored.entry(labels.clone()).or_default() += count;
            }
            for (labels, count) in &worker.limited {
                *sum.rate_limited.entry(labels.clone()).or_default() += count;
            }
            sum.add_gauges(&worker.gauges);
        }
        sum
    }

    fn add_route(&mut self, part: &RouteSnapshot) {
        for (method, status, count) in &part.requests {
            let labels = RequestLabels { route: part.route.clone(), method, status: *status };
            *self.requests.entry(labels).or_default() += count;
        }
        for (reason, count) in &part.rejected {
            *self.rejected.entry(RejectedLabels { route: part.route.clone(), reason }).or_default() += count;
        }
        self.request_duration.entry(part.route.clone()).or_default().add(&part.duration);
        self.overhead.entry(part.route.clone()).or_default().add(&part.overhead);
    }

    fn add_target(&mut self, part: &TargetSnapshot) {
        for (outcome, count) in &part.outcomes {
            let labels =
                UpstreamLabels { upstream: part.upstream.clone(), target: part.target.clone(), outcome };
            *self.upstream_requests.entry(labels).or_default() += count;
        }
    }

    fn add_upstream(&mut self, part: &UpstreamSnapshot) {
        self.upstream_duration.entry(part.upstream.clone()).or_default().add(&part.duration);
        *self.retries.entry(part.upstream.clone()).or_default() += part.retries;
    }

    fn add_gauges(&mut self, part: &Gauges) {
        self.inflight_requests += part.inflight_requests;
        for (upstream, connections) in &part.upstream_connections {
            let sum = self.upstream_connections.entry(upstream.clone()).or_default();
            sum.idle += connections.idle;
            sum.active += connections.active;
        }
    }
}
