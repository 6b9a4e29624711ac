//! A worker's counters: plain integers, found by index on the hot path and kept by name over reloads.
//!
//! [`Counters`] belongs to the worker and lives as long as it. [`Series`] belongs to one plan: it turns the
//! plan's indexes into counters, so a request that began before a reload still counts where it belongs.

mod registry;
mod tally;

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate_plan::route::RouteId;
use tollgate_plan::upstream::UpstreamId;
use tollgate_plan::{Plan, Reason};

use self::registry::{Registry, UNMATCHED};
use self::tally::{RouteCounts, TargetCounts, UpstreamCounts};
use super::record::Record;
use super::snapshot::{CacheLabels, CopyLabels, Gauges, LimitLabels, WorkerSnapshot};
use crate::exchange::Cached;

/// All counters of one worker.
pub(crate) struct Counters {
    registry: Rc<RefCell<Registry>>,
}

/// The counters of one worker as the indexes of one plan see them.
pub(crate) struct Series {
    registry: Rc<RefCell<Registry>>,
    unmatched: Rc<RefCell<RouteCounts>>,
    plan: Arc<Plan>,
    /// From a route's first event on. The names are the plan's: small slots stay in a cache.
    routes: Vec<OnceCell<Rc<RefCell<RouteCounts>>>>,
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

/// What became of a request that a mirror was to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Copied {
    /// It was sent.
    Sent,
    /// Too many copies were on their way.
    TooMany,
    /// Its body is longer than a copy's may be.
    TooLong,
    /// Its body turned out longer, or did not come to its end.
    Incomplete,
}

impl Copied {
    pub(super) const ALL: [Copied; 4] = [Copied::Sent, Copied::TooMany, Copied::TooLong, Copied::Incomplete];

    fn label(self) -> &'static str {
        match self {
            Copied::Sent => "sent",
            Copied::TooMany => "too_many",
            Copied::TooLong => "too_long",
            Copied::Incomplete => "incomplete",
        }
    }
}

impl Counters {
    pub(crate) fn new() -> Counters {
        Counters { registry: Rc::new(RefCell::new(Registry::default())) }
    }

    /// The counters as this plan's indexes see them. Names that earlier plans had too go on counting.
    pub(crate) fn attach(&self, plan: &Arc<Plan>, now: Instant) -> Series {
        let mut registry = self.registry.borrow_mut();
        registry.retire_all_but(plan, now);
        let unmatched: Arc<str> = Arc::from(UNMATCHED);
        Series {
            registry: self.registry.clone(),
            unmatched: registry.routes.get_or_insert(&unmatched),
            routes: plan.routes.iter().map(|_| OnceCell::new()).collect(),
            plan: plan.clone(),
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
            limited: registry.limits.map(|(route, limit), count| {
                (LimitLabels { route: route.clone(), limit: limit.clone() }, *count)
            }),
            scripts: registry.scripts.map(|route, duration| (route.clone(), duration.clone())),
            caches: registry.caches.map(|(route, cached), count| {
                (CacheLabels { route: route.clone(), result: cached.label() }, *count)
            }),
            copies: registry.copies.map(|(route, copied), count| {
                (CopyLabels { route: route.clone(), result: copied.label() }, *count)
            }),
            gauges,
        }
    }
}

impl Series {
    /// Counts one finished exchange.
    pub(crate) fn count(&self, record: &Record<'_>) {
        self.route(record.route).borrow_mut().count(record);
        if let Some(cached) = record.cache {
            self.count_cached(record.route, cached);
        }
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

    /// Counts one request that a limit refused. Refusals are looked up by name: they are few, or their sender is in
    /// no hurry.
    pub(crate) fn count_limited(&self, route: Option<RouteId>, limit: &Arc<str>) {
        let Some(route) = route.and_then(|id| self.plan.routes.get(id.0 as usize)) else { return };
        let name = (route.name.clone(), limit.clone());
        *self.registry.borrow_mut().limits.get_or_insert(&name).borrow_mut() += 1;
    }

    /// Counts one request that a route's mirror was to have. By name: a copy costs much more than that.
    pub(crate) fn count_copy(&self, route: Option<RouteId>, copied: Copied) {
        let Some(route) = route.and_then(|id| self.plan.routes.get(id.0 as usize)) else { return };
        let name = (route.name.clone(), copied);
        *self.registry.borrow_mut().copies.get_or_insert(&name).borrow_mut() += 1;
    }

    /// Counts what the cache had to do with one answer. By name: what is saved costs much more than that.
    fn count_cached(&self, route: Option<RouteId>, cached: Cached) {
        let Some(route) = route.and_then(|id| self.plan.routes.get(id.0 as usize)) else { return };
        let name = (route.name.clone(), cached);
        *self.registry.borrow_mut().caches.get_or_insert(&name).borrow_mut() += 1;
    }

    /// Counts one call of a script. By name: a call costs much more than that.
    pub(crate) fn count_script(&self, route: RouteId, duration: Duration) {
        let Some(route) = self.plan.routes.get(route.0 as usize) else { return };
        self.registry.borrow_mut().scripts.get_or_insert(&route.name).borrow_mut().observe(duration);
    }

    /// Counts one attempt after the first.
    pub(crate) fn count_retry(&self, upstream: UpstreamId) {
        if let Some(slots) = self.upstreams.get(upstream.0 as usize) {
            slots.counts(&self.registry).borrow_mut().retries += 1;
        }
    }

    fn route(&self, route: Option<RouteId>) -> &Rc<RefCell<RouteCounts>> {
        let Some((RouteId(at), slot)) = route.and_then(|id| Some((id, self.routes.get(id.0 as usize)?)))
        else {
            return &self.unmatched;
        };
        slot.get_or_init(|| match self.plan.routes.get(at as usize) {
            Some(route) => self.registry.borrow_mut().routes.get_or_insert(&route.name),
            None => self.unmatched.clone(),
        })
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

#[cfg(test)]
mod tests;
