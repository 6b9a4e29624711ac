//! Rate limits: each one of the route is asked in order, and every one must let the request pass.

use std::rc::Rc;
use std::time::Duration;

use tollgate_plan::Reason;
use tollgate_plan::limit::{RateLimitId, RouteLimits, Store};
use tollgate_policy::limit::{Decision, Quota};

use super::{explain, key, stored};
use crate::exchange::{Exchange, Reject};
use crate::live::limits::LimitLive;
use crate::worker::{Active, Worker};

/// How often buckets that are full again are looked for while nobody calls.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What one limit said about this request.
pub(crate) struct Verdict {
    pub(crate) limit: RateLimitId,
    pub(crate) decision: Decision,
    /// It was this gateway's share of the limit that was asked, because the store could not be.
    pub(super) share: bool,
    /// What would have to be given back.
    pub(super) taken: Taken,
}

impl Verdict {
    /// What the bucket holds that was asked.
    pub(super) fn quota<'a>(&self, live: &'a LimitLive) -> &'a Quota {
        if self.share { &live.share.1 } else { &live.quota }
    }
}

/// Where a token was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Nowhere, or it was given back.
    Nowhere,
    /// Here, at this time.
    Here { at_ns: u64 },
    /// Here, out of this gateway's share, because the store could not be asked.
    Share { at_ns: u64 },
    /// In the store, at this time on its clock.
    Stored { at_us: u64 },
    /// Out of a lease.
    Leased,
}

/// Stage 5: limits that need no identity.
pub(crate) async fn by_address(exchange: &mut Exchange<'_>) -> Result<(), Reject> {
    pass(exchange, |limits| &limits.by_address).await
}

/// Stage 7: limits by consumer and claim.
pub(crate) async fn by_identity(exchange: &mut Exchange<'_>) -> Result<(), Reject> {
    pass(exchange, |limits| &limits.by_identity).await
}

/// Runs for the life of a worker: gives back the memory of buckets that say nothing any more. Requests do the same
/// as they come; this is for when none come.
pub(crate) async fn sweep(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let shared = &worker.shared;
        shared.buckets.sweep(shared.nanos(worker.clock.now()));
    }
}

async fn pass(exchange: &mut Exchange<'_>, which: fn(&RouteLimits) -> &[RateLimitId]) -> Result<(), Reject> {
    if exchange.matched().is_none_or(|route| route.limits.is_none()) {
        return Ok(());
    }
    let active = exchange.active.clone();
    let limits = active.route(exchange.route).and_then(|route| route.limits.as_deref());
    for &id in limits.map_or(&[][..], which) {
        if let Err(reject) = ask(exchange, &active, id).await {
            give_back(exchange, &active);
            return Err(reject);
        }
    }
    Ok(())
}

/// Takes a token from one limit, or says why there is none.
async fn ask(exchange: &mut Exchange<'_>, active: &Active, id: RateLimitId) -> Result<(), Reject> {
    let (Some(limit), Some(live)) = (active.plan.rate_limits.get(id.0 as usize), active.limits.limit(id))
    else {
        return Err(Reject::internal("no such limit"));
    };
    let worker = exchange.worker;
    let mut key = worker.spare.buffer();
    key::write(exchange, &limit.per, &mut key);
    let asked = match limit.store {
        // Boxed: it asks elsewhere, too.
        _ if exchange.is_explained() => Box::pin(explain::preview(exchange, active, id, &key)).await,
        Store::Local => {
            let at_ns = worker.shared.nanos(worker.clock.recent());
            let decision = worker.shared.buckets.take(live.identity, &key, &live.quota, at_ns);
            Ok(Some((Taken::Here { at_ns }, decision)))
        }
        // Boxed: most limits count here and need not carry the room for asking elsewhere.
        Store::Leased | Store::Exact => Box::pin(stored::take(worker, active, limit, live, &key)).await,
    };
    worker.spare.keep_buffer(key);
    let Some((taken, decision)) = asked? else { return Ok(()) };
    let share = matches!(taken, Taken::Share { .. });
    let taken = if decision.allowed { taken } else { Taken::Nowhere };
    exchange.kit.verdicts.push(Verdict { limit: id, decision, share, taken });
    if decision.allowed {
        return Ok(());
    }
    if !exchange.is_explained() {
        active.series.count_limited(exchange.route, &limit.label);
    }
    let mut reject = Reject::new(Reason::RateLimited, format!("limit {}", limit.label));
    reject.retry_after = Some(seconds_up(decision.retry_after));
    Err(reject)
}

/// A limit refused: what others took of this request is as if it had never been taken.
fn give_back(exchange: &mut Exchange<'_>, active: &Active) {
    let worker = exchange.worker;
    for at in 0..exchange.kit.verdicts.len() {
        let Some(verdict) = exchange.kit.verdicts.get_mut(at) else { return };
        let id = verdict.limit;
        let taken = std::mem::replace(&mut verdict.taken, Taken::Nowhere);
        let (Some(limit), Some(live)) = (active.plan.rate_limits.get(id.0 as usize), active.limits.limit(id))
        else {
            continue;
        };
        if taken == Taken::Nowhere {
            continue;
        }
        verdict.decision.remaining = (verdict.decision.remaining + 1).min(verdict.quota(live).burst());
        let mut key = worker.spare.buffer();
        key::write(exchange, &limit.per, &mut key);
        let buckets = &worker.shared.buckets;
        match taken {
            Taken::Nowhere => {}
            Taken::Here { at_ns } => buckets.give_back(live.identity, &key, &live.quota, at_ns),
            Taken::Share { at_ns } => buckets.give_back(live.share.0, &key, &live.share.1, at_ns),
            Taken::Stored { at_us } => stored::give_back(active, limit, live, &key, Some(at_us)),
            Taken::Leased => stored::give_back(active, limit, live, &key, None),
        }
        worker.spare.keep_buffer(key);
    }
}

/// Whole seconds, at least one: nobody should come back at once.
pub(super) fn seconds_up(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_never_comes_early() {
        for (wait_ms, expect) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (3_600_000, 3600)] {
            assert_eq!(seconds_up(Duration::from_millis(wait_ms)), expect, "{wait_ms} ms");
        }
    }
}
