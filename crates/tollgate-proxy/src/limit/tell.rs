//! What clients are told about their limits (draft-ietf-httpapi-ratelimit-headers-10).

use tollgate_plan::limit::RateLimitHeaders;
use tollgate_policy::limit::{Decision, Quota};
use tollgate_wire::name;

use super::buckets::{Verdict, seconds_up};
use crate::exchange::Exchange;
use crate::live::limits::{LimitsLive, RouteLive};
use crate::worker::Kit;

/// Notes in the answer's headers what the limits said.
pub(crate) fn tell(exchange: &mut Exchange<'_>) {
    if exchange.matched().is_none_or(|route| route.limits.is_none()) {
        return;
    }
    let active = exchange.active.clone();
    let Some(route) = active.limits.route(exchange.route).filter(|route| !route.policy.is_empty()) else {
        return;
    };
    let Kit { carried, verdicts, .. } = &mut *exchange.kit;
    // A preflight is not counted.
    if exchange.preflight {
        return;
    }
    let mut value = exchange.worker.spare.buffer();
    match active.plan.rate_limit_headers {
        RateLimitHeaders::Off => {}
        RateLimitHeaders::Standard => {
            carried.append(&name::RATELIMIT_POLICY, &route.policy);
            write_standard(route, &active.limits, verdicts, &mut value);
            if !value.is_empty() {
                carried.append(&name::RATELIMIT, &value);
            }
        }
        RateLimitHeaders::Legacy => {
            if let Some((verdict, quota)) = tightest(&active.limits, verdicts) {
                let mut digits = itoa::Buffer::new();
                carried.append(&name::X_RATELIMIT_LIMIT, digits.format(quota.burst()).as_bytes());
                carried.append(
                    &name::X_RATELIMIT_REMAINING,
                    digits.format(verdict.decision.remaining).as_bytes(),
                );
                carried.append(&name::X_RATELIMIT_RESET, digits.format(verdict.decision.reset_s).as_bytes());
            }
        }
    }
    exchange.worker.spare.keep_buffer(value);
}

/// `"ip";r=199;t=1`, joined by commas.
fn write_standard(route: &RouteLive, limits: &LimitsLive, verdicts: &[Verdict], out: &mut Vec<u8>) {
    for verdict in verdicts {
        let (Some(name), Some(live)) = (route.name(verdict.limit), limits.limit(verdict.limit)) else {
            continue;
        };
        if !out.is_empty() {
            out.extend_from_slice(b", ");
        }
        let decision = &verdict.decision;
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b";r=");
        out.extend_from_slice(digits.format(decision.remaining).as_bytes());
        if let Some(seconds) = seconds_to_more(decision, verdict.quota(live)) {
            out.extend_from_slice(b";t=");
            out.extend_from_slice(digits.format(seconds).as_bytes());
        }
    }
}

/// The limit that refused, or else the one with the fewest tokens left.
fn tightest<'a>(limits: &'a LimitsLive, verdicts: &'a [Verdict]) -> Option<(&'a Verdict, &'a Quota)> {
    let tightest = verdicts.iter().min_by_key(|v| (v.decision.allowed, v.decision.remaining))?;
    Some((tightest, tightest.quota(limits.limit(tightest.limit)?)))
}

/// Seconds until there is one token more than `remaining`, rounded up; none when there cannot be one. That is what
/// the draft calls `t`, and where a limit refused it is what `Retry-After` says.
fn seconds_to_more(decision: &Decision, quota: &Quota) -> Option<u64> {
    let missing = quota.burst().checked_sub(decision.remaining).filter(|missing| *missing > 0)?;
    if !decision.allowed {
        return Some(seconds_up(decision.retry_after));
    }
    // The bucket is full when all that is missing came back: one token first, then the others.
    let token_ns = |n: u64| u128::from(n) * u128::from(quota.period_ns()) / u128::from(quota.count());
    let others_s = token_ns(missing - 1) / 1_000_000_000;
    let one_s = u64::try_from(token_ns(1).div_ceil(1_000_000_000)).unwrap_or(u64::MAX);
    let first_s = decision.reset_s.saturating_sub(u64::try_from(others_s).unwrap_or(u64::MAX));
    Some(first_s.clamp(1, one_s.max(1)))
}

#[cfg(test)]
mod tests;
