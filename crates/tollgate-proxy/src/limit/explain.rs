//! What a rate limit would say to a request that is only explained. No token is taken.

use serde_json::{Value, json};
use tollgate_plan::Reason;
use tollgate_plan::limit::{RateLimit, RateLimitId, Store};
use tollgate_plan::redis::OnFailure;
use tollgate_policy::limit::Decision;

use super::buckets::{Taken, seconds_up};
use super::stored;
use crate::exchange::{Exchange, Reject};
use crate::live::limits::LimitLive;
use crate::trail::{Stage, Trail, Verdict};
use crate::worker::Active;

/// The decision that a request would meet now. None: nobody counts, and it passes.
pub(super) async fn preview(
    exchange: &Exchange<'_>,
    active: &Active,
    id: RateLimitId,
    key: &[u8],
) -> Result<Option<(Taken, Decision)>, Reject> {
    let (Some(trail), Some(limit), Some(live)) =
        (exchange.trail.as_deref(), active.plan.rate_limits.get(id.0 as usize), active.limits.limit(id))
    else {
        return Ok(None);
    };
    let shared = matches!(limit.store, Store::Leased | Store::Exact);
    if shared && !trail.live {
        let detail = format!("limit {}: how full it is in Redis cannot be known offline", limit.label);
        trail.step(stage(limit), Verdict::Unknown, detail, of(limit, None));
        return Ok(None);
    }
    let decision = match shared {
        false => Some(here(exchange, (live.identity, &live.quota), key)),
        true => match stored::peek(active, limit, live, key).await {
            Some(decision) => Some(decision),
            None => without(exchange, active, live, key, trail, limit)?,
        },
    };
    if let Some(decision) = &decision {
        tell(trail, limit, decision, key);
    }
    Ok(decision.map(|decision| (Taken::Nowhere, decision)))
}

fn here(
    exchange: &Exchange<'_>,
    (identity, quota): (u64, &tollgate_policy::limit::Quota),
    key: &[u8],
) -> Decision {
    let shared = &exchange.worker.shared;
    shared.buckets.preview(identity, key, quota, shared.nanos(exchange.worker.clock.now()))
}

/// The store does not answer: as it would be for a request.
fn without(
    exchange: &Exchange<'_>,
    active: &Active,
    live: &LimitLive,
    key: &[u8],
    trail: &Trail,
    limit: &RateLimit,
) -> Result<Option<Decision>, Reject> {
    let on_failure = active.plan.redis.as_ref().map_or(OnFailure::Local, |redis| redis.on_failure);
    match on_failure {
        OnFailure::Local => Ok(Some(here(exchange, (live.share.0, &live.share.1), key))),
        OnFailure::Allow => {
            let detail =
                format!("limit {}: Redis does not answer, and `on_failure` lets it pass", limit.label);
            trail.step(stage(limit), Verdict::Ok, detail, of(limit, None));
            Ok(None)
        }
        OnFailure::Deny => {
            let reject =
                Reject::new(Reason::LimitStoreUnavailable, "the limits of this route cannot be counted now");
            trail.refused(stage(limit), &reject);
            Err(reject)
        }
    }
}

fn tell(trail: &Trail, limit: &RateLimit, decision: &Decision, key: &[u8]) {
    // Before this request: what there is now.
    let left = decision.remaining + u64::from(decision.allowed);
    let missing = key.first() == Some(&super::key::MISSING);
    let by = if missing {
        "; the request lacks what it counts by, and counts with all others that do"
    } else {
        ""
    };
    let (verdict, detail) = match decision.allowed {
        true => (Verdict::Ok, format!("limit {}: {left} of {} left{by}", limit.label, limit.burst)),
        false => (
            Verdict::Refused { status: Reason::RateLimited.status(), reason: Reason::RateLimited },
            format!(
                "limit {}: none of {} left{by}; again in {} s",
                limit.label,
                limit.burst,
                seconds_up(decision.retry_after)
            ),
        ),
    };
    trail.step(stage(limit), verdict, detail, of(limit, Some(left)));
}

fn of(limit: &RateLimit, left: Option<u64>) -> Value {
    let store = match limit.store {
        Store::Local => "local",
        Store::Leased | Store::Exact => "redis",
    };
    json!({
        "limit": &*limit.label, "per": limit.per.to_string(), "burst": limit.burst, "remaining": left, "store": store,
    })
}

fn stage(limit: &RateLimit) -> Stage {
    if limit.per.needs_identity() { Stage::IdentityLimit } else { Stage::RateLimit }
}
