//! What is counted of one route, one upstream, one target: plain integers, labels only in the snapshot.

use std::sync::Arc;

use tollgate_plan::Reason;
use tollgate_wire::Method;

use super::Outcome;
use crate::observe::histogram::Histogram;
use crate::observe::record::Record;
use crate::observe::snapshot::{RouteSnapshot, TargetSnapshot, UpstreamSnapshot};

#[derive(Default)]
pub(super) struct RouteCounts {
    requests: RequestCounts,
    rejected: ReasonCounts,
    duration: Histogram,
    overhead: Histogram,
}

impl RouteCounts {
    pub(super) fn count(&mut self, record: &Record<'_>) {
        self.requests.count(method_index(record.method), record.status);
        if let Some(reason) = record.reason {
            self.rejected.count(reason);
        }
        self.duration.observe(record.duration);
        self.overhead.observe(record.duration.saturating_sub(record.upstream_time.unwrap_or_default()));
    }

    pub(super) fn snapshot(&self, name: &Arc<str>) -> RouteSnapshot {
        RouteSnapshot {
            route: name.clone(),
            requests: self.requests.labelled(),
            rejected: self.rejected.labelled().collect(),
            duration: self.duration.clone(),
            overhead: self.overhead.clone(),
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
#[derive(Default)]
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
#[derive(Default)]
struct RequestCounts {
    counts: Vec<(u16, u64)>,
    /// Where the last request was counted: most often the next one goes there too.
    last: usize,
}

/// Above every status that is told apart, so that method and status make one key.
const STATUSES: u16 = 600;

impl RequestCounts {
    fn count(&mut self, method: u16, status: u16) {
        let key = method * STATUSES + known_status(status);
        if let Some((last, count)) = self.counts.get_mut(self.last)
            && *last == key
        {
            *count += 1;
            return;
        }
        match self.counts.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(index) => {
                self.last = index;
                if let Some((_, count)) = self.counts.get_mut(index) {
                    *count += 1;
                }
            }
            Err(index) => {
                self.last = index;
                self.counts.insert(index, (key, 1));
            }
        }
    }

    fn labelled(&self) -> Vec<(&'static str, u16, u64)> {
        let label = |key: u16| METHOD_LABELS.get(usize::from(key / STATUSES)).copied().unwrap_or("other");
        self.counts.iter().map(|(key, count)| (label(*key), key % STATUSES, *count)).collect()
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
