//! Counters by name, as they live on over reloads.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;
use std::sync::Arc;

use tollgate_plan::Plan;

use super::super::histogram::Histogram;
use super::Copied;
use super::tally::{RouteCounts, TargetCounts, UpstreamCounts};
use crate::exchange::Cached;

/// Names per kind that are kept although no current plan has them, so that a configuration that comes back
/// finds its values again; beyond it the ones gone longest leave, so that reloads cannot fill the memory.
pub(super) const RETIRED_MAX: usize = 1_000;

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
    pub(super) fn retire_all_but(&mut self, plan: &Plan) {
        self.attached += 1;
        self.routes.keep(&Arc::from(UNMATCHED), self.attached);
        for route in &plan.routes {
            self.routes.keep(&route.name, self.attached);
            let ids = route.limits.iter().flat_map(|of| of.by_address.iter().chain(&of.by_identity));
            for limit in ids.filter_map(|id| plan.rate_limits.get(id.0 as usize)) {
                self.limits.keep(&(route.name.clone(), limit.label.clone()), self.attached);
            }
            if route.scripts.is_some() {
                self.scripts.keep(&route.name, self.attached);
            }
            for cached in route.cache.iter().flat_map(|_| Cached::ALL) {
                self.caches.keep(&(route.name.clone(), cached), self.attached);
            }
            for copied in route.mirror.iter().flat_map(|_| Copied::ALL) {
                self.copies.keep(&(route.name.clone(), copied), self.attached);
            }
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
        self.limits.evict(self.attached);
        self.caches.evict(self.attached);
        self.copies.evict(self.attached);
        self.scripts.evict(self.attached);
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

    pub(super) fn map<T>(&self, mut f: impl FnMut(&K, &V) -> T) -> Vec<T> {
        self.members.iter().map(|(name, member)| f(name, &member.counts.borrow())).collect()
    }
}
