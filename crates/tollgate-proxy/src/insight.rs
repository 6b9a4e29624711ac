//! What the admin side may look at beside the counters: the last access records, as they were and as they come, and how
//! full the tables are.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tollgate_policy::limit::Counts as BucketCounts;

use crate::control::Control;
use crate::live::memory::MemoryReport;
use crate::observe::News;
use crate::run::Order;

/// How many may follow the access records at once. Each is told every line, so a few are enough.
pub(crate) const FOLLOWERS_MAX: usize = 8;

/// What waits for one follower, of each worker; one that does not listen misses what comes beyond it.
const NEWS_PER_WORKER_MAX: usize = 4;

/// A worker that does not answer for so long is left out.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// The last access records.
pub struct Records {
    /// Those of each worker that answered, as lines of JSON, the eldest first.
    pub workers: Vec<Vec<u8>>,
    /// Workers that did not answer in time: one waits for something, the access log perhaps.
    pub missing: usize,
}

/// The access records of all workers as they come. Whoever drops it is told nothing any more.
pub struct Following {
    news: mpsc::Receiver<News>,
    _place: OwnedSemaphorePermit,
}

impl Following {
    /// What is new; ready at most every 100 ms for each worker. None when the gateway is gone.
    pub fn poll_next(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<News>> {
        self.news.poll_recv(cx)
    }
}

/// The places under a route's `concurrency`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacesReport {
    /// The route's name.
    pub route: Arc<str>,
    /// How many requests may be in flight, and how many are.
    pub max: usize,
    /// See `max`.
    pub in_flight: usize,
    /// How many may wait, and how many do.
    pub queue: usize,
    /// See `queue`.
    pub waiting: usize,
}

impl Control {
    /// The last access records of all workers that answer in time.
    pub async fn recent(&self) -> Records {
        let inboxes = self.shared.inboxes();
        let asked = inboxes.iter().filter_map(|inbox| {
            let (answer, lines) = oneshot::channel();
            inbox.try_send(Order::Recent(answer)).ok().map(|()| lines)
        });
        let asked: Vec<oneshot::Receiver<Vec<u8>>> = asked.collect();
        let until = tokio::time::Instant::now() + ANSWER_WITHIN;
        let mut workers = Vec::new();
        for lines in asked {
            workers.extend(tokio::time::timeout_at(until, lines).await.ok().and_then(Result::ok));
        }
        Records { missing: inboxes.len() - workers.len(), workers }
    }

    /// Follows the access records from now on; none when too many do already.
    pub async fn follow(&self) -> Option<Following> {
        let place = self.shared.followers.clone().try_acquire_owned().ok()?;
        let inboxes = self.shared.inboxes();
        let (sender, news) = mpsc::channel((inboxes.len() * NEWS_PER_WORKER_MAX).max(1));
        let until = tokio::time::Instant::now() + ANSWER_WITHIN;
        for inbox in inboxes {
            // A worker that takes no orders now records nothing either.
            let _ = tokio::time::timeout_at(until, inbox.send(Order::Follow(sender.clone()))).await;
        }
        Some(Following { news, _place: place })
    }

    /// How full the table of rate limits is.
    pub fn buckets(&self) -> BucketCounts {
        self.shared.buckets.counts()
    }

    /// How many buckets it may have.
    pub fn buckets_max(&self) -> usize {
        self.shared.memory.buckets_max()
    }

    /// Open client connections, and how many were refused at accept because of `limits.connections`.
    pub fn connections(&self) -> (usize, u64) {
        let counts = &self.shared.counts;
        (counts.open(), counts.refused.load(std::sync::atomic::Ordering::Relaxed))
    }

    /// How the process stands to `limits.memory`.
    pub fn memory(&self) -> MemoryReport {
        self.shared.memory.report()
    }

    /// The places under `concurrency`, of the routes that have it, in the order of the file.
    pub fn places(&self) -> Vec<PlacesReport> {
        let current = self.shared.current();
        let routes = current.plan.routes.iter().enumerate();
        routes
            .filter_map(|(at, route)| {
                let rule = route.concurrency.as_deref()?;
                let id = tollgate_plan::route::RouteId(u32::try_from(at).ok()?);
                let gate = current.limits.route(Some(id))?.gate.as_ref()?;
                Some(PlacesReport {
                    route: route.name.clone(),
                    max: rule.max,
                    in_flight: gate.taken(),
                    queue: rule.queue,
                    waiting: gate.waiting(),
                })
            })
            .collect()
    }
}
