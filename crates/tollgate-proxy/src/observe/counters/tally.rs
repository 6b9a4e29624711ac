//! What is counted of one route, one upstream, one target: plain integers, labels only in the snapshot.

use std::sync::Arc;
use std::time::Duration;

use tollgate_plan::Reason;
use tollgate_wire::Method;

use super::Outcome;
use crate::observe::histogram::{Histogram, SmallHistogram};
use crate::observe::record::Record;
use crate::observe::snapshot::{RouteSnapshot, TargetSnapshot, UpstreamSnapshot};

/// The counters of one route.
///
/// A request touches what is recent, two cache lines. All counters of a route are seven, and where thousands of
/// routes take turns none of them is still in the cache when the next request comes.
#[derive(Default)]
pub(super) struct RouteCounts {
    recent: Recent,
    /// Without what is recent.
    earlier: Option<Box<Earlier>>,
}

/// The latest requests, as long as they have one method and status.
#[derive(Default)]
struct Recent {
    key: u16,
    requests: u8,
    duration: SmallHistogram,
    overhead: SmallHistogram,
}

#[derive(Default, Clone)]
struct Earlier {
    requests: RequestCounts,
    rejected: ReasonCounts,
    duration: Histogram,
    overhead: Histogram,
}

impl RouteCounts {
    pub(super) fn count(&mut self, record: &Record<'_>) {
        if let Some(reason) = record.reason {
            self.earlier.get_or_insert_default().rejected.count(reason);
        }
        let key = request_key(record.method, record.status);
        let overhead = record.duration.saturating_sub(record.upstream_time.unwrap_or_default());
        if !self.recent.count(key, record.duration, overhead) {
            std::mem::take(&mut self.recent).add_to(self.earlier.get_or_insert_default());
            self.recent.count(key, record.duration, overhead);
        }
    }

    pub(super) fn snapshot(&self, name: &Arc<str>) -> RouteSnapshot {
        let mut all = self.earlier.as_deref().cloned().unwrap_or_default();
        self.recent.add_to(&mut all);
        RouteSnapshot {
            route: name.clone(),
            requests: all.requests.labelled(),
            rejected: all.rejected.labelled().collect(),
            duration: all.duration,
            overhead: all.overhead,
        }
    }
}

impl Recent {
    /// `false` when the request is of another kind or there is no room, and nothing was counted.
    fn count(&mut self, key: u16, duration: Duration, overhead: Duration) -> bool {
        let fits = self.requests == 0 || (self.key == key && self.requests < u8::MAX);
        // Each bucket has room for all requests, and the overhead is not above the duration: where the one sum
        // has room, so has the other.
        let counted = fits && self.duration.observe(duration) && self.overhead.observe(overhead);
        if counted {
            self.key = key;
            self.requests += 1;
        }
        counted
    }

    fn add_to(&self, earlier: &mut Earlier) {
        if self.requests > 0 {
            earlier.requests.add(self.key, self.requests.into());
            self.duration.add_to(&mut earlier.duration);
            self.overhead.add_to(&mut earlier.overhead);
        }
    }
}

#[derive(Default)]
pub(super) struct UpstreamCounts {
    pub(super) duration: Histogram,
    pub(super) retries: u64,
}

impl UpstreamCounts {
    pub(super) fn snapshot(&self, name: &Arc<str>) -> UpstreamSnapshot {
        UpstreamSnapshot { upstream: name.clone(), duration: self.duration.clone(), retries: self.retries }
    }
}

const CLASS_LABELS: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];

#[derive(Default)]
pub(super) struct TargetCounts {
    classes: [u64; CLASS_LABELS.len()],
    failed: ReasonCounts,
}

impl TargetCounts {
    pub(super) fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Failed(reason) => self.failed.count(reason),
            Outcome::Status(status) => {
                let class = usize::from(known_status(status) / 100);
                if let Some(count) = self.classes.get_mut(class) {
                    *count += 1;
                }
            }
        }
    }

    pub(super) fn snapshot(&self, (upstream, target): &(Arc<str>, Arc<str>)) -> TargetSnapshot {
        let classes = CLASS_LABELS.into_iter().zip(self.classes).filter(|(_, count)| *count > 0);
        TargetSnapshot {
            upstream: upstream.clone(),
            target: target.clone(),
            outcomes: classes.chain(self.failed.labelled()).collect(),
        }
    }
}

/// Counts by reason. A route meets few of them, so a list is smaller and quicker than a table.
#[derive(Default, Clone)]
struct ReasonCounts(Vec<(Reason, u64)>);

impl ReasonCounts {
    fn count(&mut self, reason: Reason) {
        match self.0.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.0.push((reason, 1)),
        }
    }

    fn labelled(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(reason, count)| (reason.code(), *count))
    }
}

/// Counts by method and status, sorted. At most 11 methods times 501 statuses, of which a route sees a handful;
/// an upstream that answers with all of them costs a binary search.
#[derive(Default, Clone)]
struct RequestCounts(Vec<(u16, u64)>);

/// Above every status that is told apart, so that method and status make one key.
const STATUSES: u16 = 600;

fn request_key(method: Option<&Method>, status: u16) -> u16 {
    method_index(method) * STATUSES + known_status(status)
}

impl RequestCounts {
    fn add(&mut self, key: u16, requests: u64) {
        let index = self.0.binary_search_by_key(&key, |(key, _)| *key).unwrap_or_else(|index| {
            self.0.insert(index, (key, 0));
            index
        });
        if let Some((_, count)) = self.0.get_mut(index) {
            *count += requests;
        }
    }

    fn labelled(&self) -> Vec<(&'static str, u16, u64)> {
        let label = |key: u16| METHOD_LABELS.get(usize::from(key / STATUSES)).copied().unwrap_or("other");
        self.0.iter().map(|(key, count)| (label(*key), key % STATUSES, *count)).collect()
    }
}

/// The status, or 0 when it is none that HTTP defines: a wild upstream must not make label values.
fn known_status(status: u16) -> u16 {
    if (100..STATUSES).contains(&status) { status } else { 0 }
}

/// Values of the label `method`, by [`method_index`].
const METHOD_LABELS: [&str; 11] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "other", "none"];

fn method_index(method: Option<&Method>) -> u16 {
    match method {
        Some(Method::Get) => 0,
        Some(Method::Head) => 1,
        Some(Method::Post) => 2,
        Some(Method::Put) => 3,
        Some(Method::Delete) => 4,
        Some(Method::Patch) => 5,
        Some(Method::Options) => 6,
        Some(Method::Connect) => 7,
        Some(Method::Trace) => 8,
        Some(Method::Extension(_)) => 9,
        None => 10,
    }
}
