//! Limits that gateways share in a store, and what decides while the store cannot be asked.

use tollgate_plan::Reason;
use tollgate_plan::limit::RateLimitId;
use tollgate_plan::redis::OnFailure;
use tollgate_policy::limit::Decision;

use super::buckets::Taken;
use crate::exchange::Reject;
use crate::worker::{Active, Worker};

/// What the store said.
pub(super) enum StoreVerdict {
    /// A token was taken, or there is none.
    #[expect(dead_code, reason = "until the store is built")]
    Decision(Decision),
    /// It did not answer in time.
    Unavailable,
}

/// Takes a token in the store, or where `on_failure` says. None: nobody counted, and the request passes.
pub(super) async fn take(
    worker: &Worker,
    active: &Active,
    id: RateLimitId,
    key: &[u8],
) -> Result<Option<(Taken, Decision)>, Reject> {
    match ask(worker, active, id, key).await {
        StoreVerdict::Decision(decision) => Ok(Some((Taken::Stored, decision))),
        StoreVerdict::Unavailable => without(worker, active, id, key),
    }
}

/// Gives a token back that was taken in the store.
pub(super) async fn give_back(_worker: &Worker, _active: &Active, _id: RateLimitId, _key: &[u8]) {}

/// Asks the store. There is none yet, so it never answers.
async fn ask(_worker: &Worker, _active: &Active, _id: RateLimitId, _key: &[u8]) -> StoreVerdict {
    StoreVerdict::Unavailable
}

/// Decides without the store.
fn without(
    worker: &Worker,
    active: &Active,
    id: RateLimitId,
    key: &[u8],
) -> Result<Option<(Taken, Decision)>, Reject> {
    let on_failure = active.plan.redis.as_ref().map_or(OnFailure::Local, |redis| redis.on_failure);
    let Some(live) = active.limits.limit(id) else { return Err(Reject::internal("no such limit")) };
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
