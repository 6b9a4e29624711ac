//! Counters by name, as they live on over reloads.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate_plan::Plan;

use super::super::histogram::Histogram;
use super::Copied;
use super::tally::{RouteCounts, TargetCounts, UpstreamCounts};
use crate::exchange::Cached;

/// Names per kind that are kept although no current plan has them, so that a configuration that comes back
/// finds its values again; beyond it the ones gone longest leave, so that reloads cannot fill the memory.
pub(super) const RETIRED_MAX: usize = 1_000;

/// A name that is gone for so many plans, and for so long, leaves: where each plan brings names of its own, a thousand of
/// them would be some MiB of counters and of text in every scrape. The time is that of several scrapes, so that the last
/// requests of a route that was removed are still told.
pub(super) const RETIRED_PLANS: u64 = 16;
pub(super) const RETIRED_FOR: Duration = Duration::from_secs(5 * 60);

/// The label `route` of requests that no route matched.
pub(super) const UNMATCHED: &str = "none";

/// Every counter of the worker by name.
#[derive(Default)]
pub(super) struct Registry {
    pub(super) routes: Family<Arc<str>, RouteCounts>,
    pub(super) upstreams: Family<Arc<str>, UpstreamCounts>,
    pub(super) targets: Family<(Arc<str>, Arc<str>), TargetCounts>,
    /// Requests refused, by route and limit.
    pub(super) limits: Family<(Arc<str>, Arc<str>), u64>,
    /// Requests that a mirror was to have, by route.
    pub(super) copies: Family<(Arc<str>, Copied), u64>,
    /// What caches had to do with answers, by route.
    pub(super) caches: Family<(Arc<str>, Cached), u64>,
    /// How long calls of scripts took, by route.
    pub(super) scripts: Family<Arc<str>, Histogram>,
    /// Counts the plans that were attached: the clock by which names grow old.
    attached: u64,
}

impl Registry {
    pub(super) fn retire_all_but(&mut self, plan: &Plan, at: Instant) {
        self.attached += 1;
        let now = Turn { plan: self.attached, at };
        self.routes.keep(&Arc::from(UNMATCHED), now.plan);
        for route in &plan.routes {
            self.routes.keep(&route.name, now.plan);
            let ids = route.limits.iter().flat_map(|of| of.by_address.iter().chain(&of.by_identity));
            for limit in ids.filter_map(|id| plan.rate_limits.get(id.0 as usize)) {
                self.limits.keep(&(route.name.clone(), limit.label.clone()), now.plan);
            }
            if route.scripts.is_some() {
                self.scripts.keep(&route.name, now.plan);
            }
            for cached in route.cache.iter().flat_map(|_| Cached::ALL) {
                self.caches.keep(&(route.name.clone(), cached), now.plan);
            }
            for copied in route.mirror.iter().flat_map(|_| Copied::ALL) {
                self.copies.keep(&(route.name.clone(), copied), now.plan);
            }
        }
        for upstream in &plan.upstreams {
            self.upstreams.keep(&upstream.name, now.plan);
            for target in &upstream.targets {
                self.targets.keep(&(upstream.name.clone(), target.url.clone()), now.plan);
            }
        }
        self.routes.evict(now);
        self.upstreams.evict(now);
        self.targets.evict(now);
        self.limits.evict(now);
        self.caches.evict(now);
        self.copies.evict(now);
        self.scripts.evict(now);
    }
}

/// The plan that was attached last, by number and time.
#[derive(Clone, Copy)]
struct Turn {
    plan: u64,
    at: Instant,
}

impl Turn {
    /// Whether what left in that turn has been gone for long enough now.
    fn is_long_after(self, left: Turn) -> bool {
        self.plan - left.plan >= RETIRED_PLANS && self.at.saturating_duration_since(left.at) >= RETIRED_FOR
    }
}

/// Counters of one kind by name.
pub(super) struct Family<K, V> {
    members: HashMap<K, Member<V>>,
    now: u64,
}

struct Member<V> {
    counts: Rc<RefCell<V>>,
    /// The last attached plan that had this name.
    seen: u64,
    /// The first one after it that did not.
    left: Option<Turn>,
}

impl<K, V> Default for Family<K, V> {
    fn default() -> Self {
        Family { members: HashMap::new(), now: 0 }
    }
}

impl<K: Hash + Eq + Clone, V: Default> Family<K, V> {
    pub(super) fn get_or_insert(&mut self, name: &K) -> Rc<RefCell<V>> {
        // A series of an older plan may ask for a name that has left: it is as young as the last plan, and
        // the next one decides.
        let now = self.now;
        let fresh = || Member { counts: Rc::default(), seen: now, left: None };
        self.members.entry(name.clone()).or_insert_with(fresh).counts.clone()
    }

    fn keep(&mut self, name: &K, now: u64) {
        if let Some(member) = self.members.get_mut(name) {
            member.seen = now;
            member.left = None;
        }
    }

    /// Forgets names that left long ago, and then more of them until at most [`RETIRED_MAX`] are left. Series that still
    /// hold them count on, unseen.
    fn evict(&mut self, now: Turn) {
        self.now = now.plan;
        self.members.retain(|_, member| {
            member.seen == now.plan || !now.is_long_after(*member.left.get_or_insert(now))
        });
        let mut retired: Vec<u64> =
            self.members.values().map(|m| m.seen).filter(|seen| *seen < now.plan).collect();
        if retired.len() <= RETIRED_MAX {
            return;
        }
        retired.sort_unstable_by(|a, b| b.cmp(a));
        // Whole generations leave together: half a retired configuration would be of no use to anybody.
        let Some(limit) = retired.get(RETIRED_MAX).copied() else { return };
        self.members.retain(|_, member| member.seen > limit);
    }

    pub(super) fn map<T>(&self, mut f: impl FnMut(&K, &V) -> T) -> Vec<T> {
        self.members.iter().map(|(name, member)| f(name, &member.counts.borrow())).collect()
    }
}
