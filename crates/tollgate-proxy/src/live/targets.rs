//! What all workers know of a target. It lives as long as the configuration names it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tollgate_plan::Plan;

/// One target of one upstream.
pub(crate) struct TargetShared {
    /// Open connections of the process to it, idle ones included.
    open: AtomicUsize,
    /// Requests, on any worker, that wait for a place because `pool.max_connections` are open.
    wanted: AtomicUsize,
    /// Since when it is in the state it is in.
    pub(crate) since: SystemTime,
}

impl TargetShared {
    fn new(since: SystemTime) -> TargetShared {
        TargetShared { open: AtomicUsize::new(0), wanted: AtomicUsize::new(0), since }
    }

    /// Takes one of `max` connections; false when all are taken.
    pub(crate) fn enter(&self, max: usize) -> bool {
        self.open.fetch_update(Relaxed, Relaxed, |open| (open < max).then_some(open + 1)).is_ok()
    }

    /// Somebody waits for a place, until the guard is dropped.
    pub(crate) fn want(self: &Arc<Self>) -> Wanted {
        self.wanted.fetch_add(1, Relaxed);
        Wanted(self.clone())
    }

    /// Whether somebody waits for a place.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Relaxed) > 0
    }

    /// A connection is closed.
    pub(crate) fn leave(&self) {
        self.open.fetch_sub(1, Relaxed);
    }
}

/// Somebody waits for a place.
pub(crate) struct Wanted(Arc<TargetShared>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.wanted.fetch_sub(1, Relaxed);
    }
}

/// The targets of all upstreams of a plan: `targets[upstream][target]`.
pub(crate) type Targets = Vec<Vec<Arc<TargetShared>>>;

/// Name of the upstream, URL of the target.
type Key = (Arc<str>, Arc<str>);

/// Finds the targets of a new plan among those of the old one by upstream name and URL.
#[derive(Default)]
pub(crate) struct TargetRegistry {
    known: Mutex<HashMap<Key, Arc<TargetShared>>>,
}

impl TargetRegistry {
    /// The targets of `plan`; those that it does not name any more are forgotten here.
    pub(crate) fn reconcile(&self, plan: &Plan, now: SystemTime) -> Targets {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = HashMap::new();
        let targets = plan.upstreams.iter().map(|upstream| {
            let of_upstream = upstream.targets.iter().map(|target| {
                let key = (upstream.name.clone(), target.url.clone());
                let fresh = || Arc::new(TargetShared::new(now));
                let live = known.remove(&key).or_else(|| next.get(&key).cloned()).unwrap_or_else(fresh);
                next.insert(key, live.clone());
                live
            });
            of_upstream.collect()
        });
        let targets = targets.collect();
        *known = next;
        targets
    }
}
