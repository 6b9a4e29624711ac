//! What all workers know of an upstream: who of its targets is left out, its circuit breaker, its retries.
//!
//! The deciders are in `tollgate_policy`; here they stand behind small locks, taken only where the configuration
//! asks for them, and what changes is told in the operator's log.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tollgate_plan::resilience::{Outlier, Retry};
use tollgate_plan::upstream::Upstream;
use tollgate_policy::{Breaker, Budget, Circuit, Ending, Outliers, Ticket};

use super::expand::Expanded;
use super::targets::TargetShared;
use super::tokens::TokenLive;
use crate::tls::ClientSide;

/// One upstream. What its parts hold survives reloads that keep them.
pub(crate) struct UpstreamShared {
    pub(crate) name: Arc<str>,
    /// Indexed like the targets of [`UpstreamShared::served`].
    pub(crate) targets: Vec<Arc<TargetShared>>,
    /// The upstream as it is served, where DNS has a say in that.
    expanded: Option<Expanded>,
    /// Since when nothing stands for one of the services among its targets, where that is so.
    unserved_since: Option<SystemTime>,
    /// What those targets are spoken to with that are reached over TLS.
    pub(crate) tls: Option<Arc<ClientSide>>,
    /// The gateway's own token toward it.
    pub(crate) token: Option<Arc<TokenLive>>,
    outliers: Option<(Outlier, Arc<Mutex<Outliers>>)>,
    breaker: Option<Arc<Mutex<Guarded>>>,
    budget: Option<Arc<Mutex<Budget>>>,
}

struct Guarded {
    breaker: Breaker,
    /// What the operator's log was told last.
    told: Circuit,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl UpstreamShared {
    /// The upstream as the plan has it, with what stays of the old one.
    pub(super) fn new(
        upstream: &Upstream,
        expanded: Option<Expanded>,
        (tls, token): (Option<Arc<ClientSide>>, Option<Arc<TokenLive>>),
        old: Option<&Arc<UpstreamShared>>,
        now: SystemTime,
    ) -> UpstreamShared {
        let kept = |url: &Arc<str>| old?.targets.iter().position(|target| target.url == *url);
        let served = expanded.as_ref().map_or(upstream, |expanded| &expanded.upstream);
        let places: Vec<Option<usize>> = served.targets.iter().map(|target| kept(&target.url)).collect();
        let targets = served.targets.iter().zip(&places).map(|(target, place)| {
            let known = place.and_then(|at| old?.targets.get(at));
            known.cloned().unwrap_or_else(|| Arc::new(TargetShared::new(target.url.clone(), now)))
        });
        let targets: Vec<Arc<TargetShared>> = targets.collect();
        targets.iter().for_each(|target| target.set_checked(upstream.health_check.is_some()));
        if upstream.outlier.is_none() {
            targets.iter().for_each(|target| target.forget_failures());
        }
        UpstreamShared {
            name: upstream.name.clone(),
            tls,
            token,
            outliers: upstream.outlier.map(|rules| (rules, outliers(&places, old))),
            breaker: upstream.circuit_breaker.map(|rules| {
                let known = old.and_then(|old| old.breaker.clone());
                let same = known.filter(|known| *lock(known).breaker.rules() == rules);
                let fresh = || Guarded { breaker: Breaker::new(rules), told: Circuit::Closed };
                same.unwrap_or_else(|| Arc::new(Mutex::new(fresh())))
            }),
            budget: upstream.retry.as_ref().map(|_| {
                let known = old.and_then(|old| old.budget.clone());
                known.unwrap_or_default()
            }),
            targets,
            unserved_since: expanded
                .as_ref()
                .filter(|expanded| (0..upstream.targets.len()).any(|at| !expanded.places.contains(&at)))
                .map(|_| old.and_then(|old| old.unserved_since).unwrap_or(now)),
            expanded,
        }
    }

    /// The upstream as it is served: as it is configured, but with hosts in the place of services.
    pub(crate) fn served<'u>(&'u self, configured: &'u Upstream) -> &'u Upstream {
        self.expanded.as_ref().map_or(configured, |expanded| &expanded.upstream)
    }

    /// Which of the configured targets the one at `at` is, or stands for.
    pub(crate) fn place(&self, at: usize) -> usize {
        match &self.expanded {
            Some(expanded) => expanded.places.get(at).copied().unwrap_or(usize::MAX),
            None => at,
        }
    }

    /// The tier of each target, where there are several.
    pub(crate) fn tiers(&self) -> &[u16] {
        self.expanded.as_ref().map_or(&[], |expanded| &expanded.tiers)
    }

    /// Since when nothing stands for one of the services among its targets, where that is so.
    pub(crate) fn unserved_since(&self) -> Option<SystemTime> {
        self.unserved_since
    }

    /// Whether the outcomes of attempts matter to anybody.
    pub(super) fn is_watched(&self) -> bool {
        self.outliers.is_some() || self.breaker.is_some()
    }

    /// A request to the target went well.
    pub(super) fn succeeded(&self, at: usize) {
        let Some((_, outliers)) = &self.outliers else { return };
        // Nearly always there is nothing to take back, and no lock to wait for.
        if self.targets.get(at).is_some_and(|target| target.failing.load(Relaxed)) {
            let mut outliers = lock(outliers);
            outliers.succeeded(at);
            if let Some(target) = self.targets.get(at) {
                target.failing.store(false, Relaxed);
            }
        }
    }

    /// A request to the target failed.
    pub(super) fn failed(&self, at: usize, now: Instant) {
        let (Some((rules, outliers)), Some(target)) = (&self.outliers, self.targets.get(at)) else { return };
        let mut outliers = lock(outliers);
        target.failing.store(true, Relaxed);
        for (other, target) in self.targets.iter().enumerate() {
            if target.pardoned.swap(false, Relaxed) {
                outliers.pardon(other);
            }
        }
        let usable = |other: usize| self.targets.get(other).is_some_and(|other| !other.is_unhealthy());
        if let Some(until) = outliers.failed(at, now, rules, usable) {
            target.eject(now, until);
            drop(outliers);
            tracing::warn!(
                upstream = &*self.name,
                target = &*target.url,
                failures = rules.consecutive_failures,
                eject_s = rules.eject.as_secs_f64(),
                "a target failed too often in a row and is left out"
            );
        }
    }

    /// Leave to make an attempt, from the breaker if there is one; else when to ask again.
    pub(super) fn admit(&self, now: Instant) -> Result<Option<Ticket>, Duration> {
        let Some(breaker) = &self.breaker else { return Ok(None) };
        let mut guarded = lock(breaker);
        let ticket = guarded.breaker.admit(now);
        self.tell(&mut guarded, now);
        ticket.map(Some)
    }

    /// What [`UpstreamShared::admit`] would say. The breaker does not notice.
    pub(crate) fn would_admit(&self, now: Instant) -> Result<(), Duration> {
        let Some(breaker) = &self.breaker else { return Ok(()) };
        let mut copy = lock(breaker).breaker.clone();
        copy.admit(now).map(drop)
    }

    /// Tells the breaker how an attempt ended.
    pub(super) fn settle(&self, ticket: Ticket, ending: Ending, now: Instant) {
        let Some(breaker) = &self.breaker else { return };
        let mut guarded = lock(breaker);
        guarded.breaker.settle(ticket, ending, now);
        self.tell(&mut guarded, now);
    }

    /// The state of its breaker; none where there is none.
    pub(crate) fn circuit(&self, now: Instant) -> Option<Circuit> {
        self.breaker.as_ref().map(|breaker| lock(breaker).breaker.circuit(now))
    }

    /// A request that may be tried again begins.
    pub(crate) fn count_request(&self, now: Instant) {
        if let Some(budget) = &self.budget {
            lock(budget).request(now);
        }
    }

    /// Takes one retry from the budget.
    pub(crate) fn withdraw(&self, rules: &Retry, now: Instant) -> bool {
        self.budget.as_ref().is_some_and(|budget| lock(budget).withdraw(rules, now))
    }

    fn tell(&self, guarded: &mut Guarded, now: Instant) {
        let circuit = guarded.breaker.circuit(now);
        if std::mem::replace(&mut guarded.told, circuit) == circuit {
            return;
        }
        let (upstream, rules) = (&*self.name, guarded.breaker.rules());
        match circuit {
            Circuit::Open => {
                let open_s = rules.open.as_secs_f64();
                tracing::warn!(upstream, open_s, "an upstream failed too often: its circuit is open");
            }
            Circuit::HalfOpen => {
                tracing::info!(upstream, "the circuit is half open: some requests try the upstream");
            }
            Circuit::Closed => tracing::info!(upstream, "the circuit is closed again"),
        }
    }
}

/// What is remembered of failures; `places` says where each target stood in the old upstream.
fn outliers(places: &[Option<usize>], old: Option<&Arc<UpstreamShared>>) -> Arc<Mutex<Outliers>> {
    let known = old.and_then(|old| old.outliers.as_ref().map(|(_, outliers)| (old.targets.len(), outliers)));
    let same = |count: usize| {
        places.len() == count && places.iter().enumerate().all(|(at, place)| *place == Some(at))
    };
    match known {
        // The very same, so that requests in flight on the old plan count here.
        Some((count, outliers)) if same(count) => outliers.clone(),
        Some((_, outliers)) => {
            let old = lock(outliers);
            let target = |place: &Option<usize>| place.map(|at| old.target(at)).unwrap_or_default();
            Arc::new(Mutex::new(Outliers::new(places.iter().map(target))))
        }
        None => Arc::new(Mutex::new(Outliers::new(places.iter().map(|_| Default::default())))),
    }
}
