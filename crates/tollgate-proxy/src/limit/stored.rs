//! Limits that gateways share in a store, and what decides while the store cannot be asked.

use tollgate_plan::Reason;
use tollgate_plan::limit::{RateLimit, Store};
use tollgate_plan::redis::OnFailure;
use tollgate_policy::limit::Decision;

use super::buckets::Taken;
use crate::exchange::Reject;
use crate::live::limits::LimitLive;
use crate::live::store::{self, Leased};
use crate::worker::{Active, Worker};

/// Takes a token in the store, or where `on_failure` says. None: nobody counted, and the request passes.
pub(super) async fn take(
    worker: &Worker,
    active: &Active,
    limit: &RateLimit,
    live: &LimitLive,
    key: &[u8],
) -> Result<Option<(Taken, Decision)>, Reject> {
    match ask(active, limit, live, key).await {
        Some(taken) => Ok(Some(taken)),
        None => without(worker, active, live, key),
    }
}

/// What the store would say to one more request, without taking a token. Tokens that gateways have leased are taken, for
/// the store. None: it does not answer in time.
pub(super) async fn peek(
    active: &Active,
    limit: &RateLimit,
    live: &LimitLive,
    key: &[u8],
) -> Option<Decision> {
    active.store.as_ref()?.peek(named(limit, live), key).await
}

/// Gives a token back that was taken in the store: at that time on its clock, or out of a lease.
pub(super) fn give_back(
    active: &Active,
    limit: &RateLimit,
    live: &LimitLive,
    key: &[u8],
    taken_at_us: Option<u64>,
) {
    let Some(store) = &active.store else { return };
    match taken_at_us {
        Some(at_us) => store.give_back_exact(named(limit, live), key, at_us),
        None => store.give_back_leased(named(limit, live), key),
    }
}

/// Asks the store. None: it did not answer in time, or is known not to.
async fn ask(active: &Active, limit: &RateLimit, live: &LimitLive, key: &[u8]) -> Option<(Taken, Decision)> {
    let store = active.store.as_ref()?;
    let named = named(limit, live);
    if limit.store == Store::Leased {
        match store.leased(named, key).await {
            Leased::Lease(decision) => return Some((Taken::Leased, decision)),
            Leased::Unavailable => return None,
            Leased::NoRoom => {}
        }
    }
    let (decision, at_us) = store.exact(named, key).await?;
    Some((Taken::Stored { at_us }, decision))
}

fn named<'a>(limit: &'a RateLimit, live: &'a LimitLive) -> store::Limit<'a> {
    store::Limit { identity: live.identity, name: &limit.identity, quota: &live.quota }
}

/// Decides without the store.
fn without(
    worker: &Worker,
    active: &Active,
    live: &LimitLive,
    key: &[u8],
) -> Result<Option<(Taken, Decision)>, Reject> {
    let on_failure = active.plan.redis.as_ref().map_or(OnFailure::Local, |redis| redis.on_failure);
    match on_failure {
        OnFailure::Local => {
            let (identity, quota) = &live.share;
            // The store was waited for; time went on.
            let at_ns = worker.shared.nanos(worker.clock.now());
            let decision = worker.shared.buckets.take(*identity, key, quota, at_ns);
            Ok(Some((Taken::Share { at_ns }, decision)))
        }
        OnFailure::Allow => Ok(None),
        OnFailure::Deny => {
            Err(Reject::new(Reason::LimitStoreUnavailable, "the limits of this route cannot be counted now"))
        }
    }
}
