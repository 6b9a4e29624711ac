//! A worker's counters: plain integers, found by index on the hot path and kept by name over reloads.
//!
//! [`Counters`] belongs to the worker and lives as long as it. [`Series`] belongs to one plan: it turns the
//! plan's indexes into counters, so a request that began before a reload still counts where it belongs.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tollgate_plan::route::RouteId;
use tollgate_plan::upstream::UpstreamId;
use tollgate_plan::{Plan, Reason};
use tollgate_wire::Method;

use super::histogram::Histogram;
use super::record::Record;
use super::snapshot::{Gauges, RouteSnapshot, TargetSnapshot, UpstreamSnapshot, WorkerSnapshot};

/// Names per kind that are kept although no current plan has them, so that a configuration that comes back
/// finds its values again; beyond it the ones gone longest leave, so that reloads cannot fill the memory.
const RETIRED_MAX: usize = 1_000;

/// The label `route` of requests that no route matched.
const UNMATCHED: &str = "none";

/// All counters of one worker.
pub(crate) struct Counters {
    registry: Rc<RefCell<Registry>>,
}

/// The counters of one worker as the indexes of one plan see them.
pub(crate) struct Series {
    registry: Rc<RefCell<Registry>>,
    unmatched: Rc<RefCell<RouteCounts>>,
    routes: Vec<Slot<RouteCounts>>,
    upstreams: Vec<UpstreamSlots>,
}

/// How one attempt on a target ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A response head came back.
    Status(u16),
    /// None did.
    Failed(Reason),
}

impl Counters {
    pub(crate) fn new() -> Counters {
        Counters { registry: Rc::new(RefCell::new(Registry::default())) }
    }

    /// The counters as this plan's indexes see them. Names that earlier plans had too go on counting.
    pub(crate) fn attach(&self, plan: &Plan) -> Series {
        let mut registry = self.registry.borrow_mut();
        registry.retire_all_but(plan);
        let unmatched: Arc<str> = Arc::from(UNMATCHED);
        Series {
            registry: self.registry.clone(),
            unmatched: registry.routes.get_or_insert(&unmatched),
            routes: plan.routes.iter().map(|route| Slot::new(&route.name)).collect(),
            upstreams: plan.upstreams.iter().map(UpstreamSlots::new).collect(),
        }
    }

    /// A copy of everything, for another thread.
    pub(crate) fn snapshot(&self, gauges: Gauges) -> WorkerSnapshot {
        let registry = self.registry.borrow();
        WorkerSnapshot {
            routes: registry.routes.map(|name, counts| counts.snapshot(name)),
            targets: registry.targets.map(|name, counts| counts.snapshot(name)),
            upstreams: registry.upstreams.map(|name, counts| counts.snapshot(name)),
            gauges,
        }
    }
}

impl Series {
    /// Counts one finished exchange.
    pub(crate) fn count(&self, record: &Record<'_>) {
        self.route(record.route).borrow_mut().count(record);
    }

    /// Counts one attempt on one target, whatever becomes of the exchange.
    pub(crate) fn count_attempt(
        &self,
        upstream: UpstreamId,
        target: usize,
        outcome: Outcome,
        duration: Duration,
    ) {
        let Some(slots) = self.upstreams.get(upstream.0 as usize) else { return };
        slots.counts(&self.registry).borrow_mut().duration.observe(duration);
        if let Some(target) = slots.target(target, &self.registry) {
            target.borrow_mut().count(outcome);
        }
    }

    /// Counts one attempt after the first.
    pub(crate) fn count_retry(&self, upstream: UpstreamId) {
        if let Some(slots) = self.upstreams.get(upstream.0 as usize) {
            slots.counts(&self.registry).borrow_mut().retries += 1;
        }
    }

    fn route(&self, route: Option<RouteId>) -> &Rc<RefCell<RouteCounts>> {
        match route.and_then(|id| self.routes.get(id.0 as usize)) {
            Some(slot) => {
                slot.counts.get_or_init(|| self.registry.borrow_mut().routes.get_or_insert(&slot.name))
            }
            None => &self.unmatched,
        }
    }
}

/// A name of the plan and, from its first event on, its counters.
struct Slot<V> {
    name: Arc<str>,
    counts: OnceCell<Rc<RefCell<V>>>,
}

impl<V> Slot<V> {
    fn new(name: &Arc<str>) -> Slot<V> {
        Slot { name: name.clone(), counts: OnceCell::new() }
    }
}

struct UpstreamSlots {
    upstream: Slot<UpstreamCounts>,
    targets: Vec<Slot<TargetCounts>>,
}

impl UpstreamSlots {
    fn new(upstream: &tollgate_plan::upstream::Upstream) -> UpstreamSlots {
        UpstreamSlots {
            upstream: Slot::new(&upstream.name),
            targets: upstream.targets.iter().map(|target| Slot::new(&target.url)).collect(),
        }
    }

    fn counts(&self, registry: &RefCell<Registry>) -> &Rc<RefCell<UpstreamCounts>> {
        let slot = &self.upstream;
        slot.counts.get_or_init(|| registry.borrow_mut().upstreams.get_or_insert(&slot.name))
    }

    fn target(&self, index: usize, registry: &RefCell<Registry>) -> Option<&Rc<RefCell<TargetCounts>>> {
        let slot = self.targets.get(index)?;
        Some(slot.counts.get_or_init(|| {
            let name = (self.upstream.name.clone(), slot.name.clone());
            registry.borrow_mut().targets.get_or_insert(&name)
        }))
    }
}

/// Every counter of the worker by name.
#[derive(Default)]
struct Registry {
    routes: Family<Arc<str>, RouteCounts>,
    upstreams: Family<Arc<str>, UpstreamCounts>,
    targets: Family<(Arc<str>, Arc<str>), TargetCounts>,
    /// Counts the plans that were attached: the clock by which names grow old.
    attached: u64,
}

impl Registry {
    fn retire_all_but(&mut self, plan: &Plan) {
        self.attached += 1;
        self.routes.keep(&Arc::from(UNMATCHED), self.attached);
        for route in &plan.routes {
            self.routes.keep(&route.name, self.attached);
        }
        for upstream in &plan.upstreams {
            self.upstreams.keep(&upstream.name, self.attached);
            for target in &upstream.targets {
                self.targets.keep(&(upstream.name.clone(), target.url.clone()), self.attached);
            }
        }
        self.routes.evict(self.attached);
        self.upstreams.evict(self.attached);
        self.targets.evict(self.attached);
    }
}

/// Counters of one kind by name.
struct Family<K, V> {
    members: HashMap<K, Member<V>>,
    now: u64,
}

struct Member<V> {
    counts: Rc<RefCell<V>>,
    /// The last attached plan that had this name.
    seen: u64,
}

impl<K, V> Default for Family<K, V> {
    fn default() -> Self {
        Family { members: HashMap::new(), now: 0 }
    }
}

impl<K: Hash + Eq + Clone, V: Default> Family<K, V> {
    fn get_or_insert(&mut self, name: &K) -> Rc<RefCell<V>> {
        // A series of an older plan may ask for a name that has left: it is as young as the last plan, and
        // the next one decides.
        let now = self.now;
        let fresh = || Member { counts: Rc::default(), seen: now };
        self.members.entry(name.clone()).or_insert_with(fresh).counts.clone()
    }

    fn keep(&mut self, name: &K, now: u64) {
        if let Some(member) = self.members.get_mut(name) {
            member.seen = now;
        }
    }

    /// Forgets retired names until at most [`RETIRED_MAX`] are left. Series that still hold them count on, unseen.
    fn evict(&mut self, now: u64) {
        self.now = now;
        let mut retired: Vec<u64> =
            self.members.values().map(|m| m.seen).filter(|seen| *seen < now).collect();
        if retired.len() <= RETIRED_MAX {
            return;
        }
        retired.sort_unstable_by(|a, b| b.cmp(a));
        // Whole generations leave together: half a retired configuration would be of no use to anybody.
        let Some(limit) = retired.get(RETIRED_MAX).copied() else { return };
        self.members.retain(|_, member| member.seen > limit);
    }

    fn map<T>(&self, mut f: impl FnMut(&K, &V) -> T) -> Vec<T> {
        self.members.iter().map(|(name, member)| f(name, &member.counts.borrow())).collect()
    }
}

#[derive(Default)]
struct RouteCounts {
    requests: RequestCounts,
    rejected: ReasonCounts,
    duration: Histogram,
    overhead: Histogram,
}

impl RouteCounts {
    fn count(&mut self, record: &Record<'_>) {
        self.requests.count(method_index(record.method), record.status);
        if let Some(reason) = record.reason {
            self.rejected.count(reason);
        }
        self.duration.observe(record.duration);
        self.overhead.observe(record.duration.saturating_sub(record.upstream_time.unwrap_or_default()));
    }

    fn snapshot(&self, name: &Arc<str>) -> RouteSnapshot {
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
struct UpstreamCounts {
    duration: Histogram,
    retries: u64,
}

impl UpstreamCounts {
    fn snapshot(&self, name: &Arc<str>) -> UpstreamSnapshot {
        UpstreamSnapshot { upstream: name.clone(), duration: self.duration.clone(), retries: self.retries }
    }
}

const CLASS_LABELS: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];

#[derive(Default)]
struct TargetCounts {
    classes: [u64; CLASS_LABELS.len()],
    failed: ReasonCounts,
}

impl TargetCounts {
    fn count(&mut self, outcome: Outcome) {
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

    fn snapshot(&self, (upstream, target): &(Arc<str>, Arc<str>)) -> TargetSnapshot {
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

#[cfg(test)]
mod tests;
