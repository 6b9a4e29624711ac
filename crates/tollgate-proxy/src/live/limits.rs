//! Limits as requests meet them: every number checked once, every text that answers carry written once.

use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use tollgate_plan::Plan;
use tollgate_plan::limit::{Concurrency, RateLimit, RateLimitId, RouteLimits};
use tollgate_plan::route::RouteId;
use tollgate_policy::limit::{Quota, QuotaError, limit_identity};

use super::gate::Gate;

/// Buckets in the process. An attacker who invents keys fills it at most, with about 110 bytes for each: 58 MB. A
/// gateway that honestly knows more callers than this within the time that a bucket takes to refill counts those
/// beyond it together.
pub(crate) const BUCKETS_MAX: usize = 512 * 1024;

/// The limits of one plan. Buckets are found by identity, so they outlive it.
pub(crate) struct LimitsLive {
    /// Indexed by `RateLimitId`.
    limits: Box<[LimitLive]>,
    /// Indexed by `RouteId`.
    routes: Box<[RouteLive]>,
}

/// One rate limit.
pub(crate) struct LimitLive {
    /// What its buckets are found by.
    pub(crate) identity: u64,
    pub(crate) quota: Quota,
    /// What this gateway may pass alone while those who share the limit cannot be asked, and its own buckets for it.
    pub(crate) share: (u64, Quota),
}

/// What one route's answers say, and its places.
#[derive(Default)]
pub(crate) struct RouteLive {
    /// The value of `RateLimit-Policy`; empty for a route without limits.
    pub(crate) policy: Box<[u8]>,
    /// Each limit's name there, quoted.
    names: Box<[(RateLimitId, Box<str>)]>,
    /// The places under `concurrency`.
    pub(crate) gate: Option<Arc<Gate>>,
}

/// A limit that cannot be kept.
#[derive(Debug)]
pub(crate) struct BadLimit {
    pub(crate) label: Arc<str>,
    pub(crate) source: QuotaError,
}

impl LimitsLive {
    /// The limits of `plan`. Places of the plan before are kept where the route's name and `max` stay.
    pub(crate) fn new(plan: &Plan, before: Option<(&Plan, &LimitsLive)>) -> Result<LimitsLive, BadLimit> {
        let instances = plan.redis.as_ref().map_or(1, |redis| redis.instances);
        let instances = NonZeroU32::new(instances).unwrap_or(NonZeroU32::MIN);
        let limits = plan.rate_limits.iter().map(|limit| LimitLive::new(limit, instances));
        let limits: Box<[LimitLive]> = limits.collect::<Result<_, _>>()?;
        let gates = before.map(|(plan, live)| live.gates(plan)).unwrap_or_default();
        let routes = plan.routes.iter().map(|route| {
            let said = route.limits.as_deref().map(|of| RouteLive::new(of, &plan.rate_limits, &limits));
            let gate = route.concurrency.as_deref().map(|&Concurrency { max, .. }| {
                let kept = gates.get(&*route.name).filter(|gate| gate.max == max);
                kept.map_or_else(|| Gate::new(max), |gate| (*gate).clone())
            });
            RouteLive { gate, ..said.unwrap_or_default() }
        });
        let routes = routes.collect();
        Ok(LimitsLive { limits, routes })
    }

    pub(crate) fn limit(&self, RateLimitId(at): RateLimitId) -> Option<&LimitLive> {
        self.limits.get(at as usize)
    }

    pub(crate) fn route(&self, id: Option<RouteId>) -> Option<&RouteLive> {
        id.and_then(|RouteId(at)| self.routes.get(at as usize))
    }

    fn gates<'a>(&'a self, plan: &'a Plan) -> HashMap<&'a str, &'a Arc<Gate>> {
        let routes = plan.routes.iter().zip(&self.routes);
        routes.filter_map(|(route, live)| Some((&*route.name, live.gate.as_ref()?))).collect()
    }
}

impl LimitLive {
    fn new(limit: &RateLimit, instances: NonZeroU32) -> Result<LimitLive, BadLimit> {
        let bad = |source| BadLimit { label: limit.label.clone(), source };
        let rate = NonZeroU64::new(limit.rate).ok_or(bad(QuotaError::Count))?;
        let period_ns = u64::try_from(limit.period.as_nanos()).map_err(|_| bad(QuotaError::Period))?;
        let quota = Quota::new(rate, period_ns, limit.burst).map_err(bad)?;
        Ok(LimitLive {
            identity: limit_identity(&[&limit.identity]),
            quota,
            share: (limit_identity(&[&limit.identity, "share"]), quota.share(instances)),
        })
    }
}

impl RouteLive {
    fn new(of: &RouteLimits, plan: &[RateLimit], live: &[LimitLive]) -> RouteLive {
        let mut names: Vec<(RateLimitId, Box<str>)> = Vec::new();
        let mut policy = String::new();
        for &id in of.by_address.iter().chain(&of.by_identity) {
            let at = id.0 as usize;
            let (Some(limit), Some(live)) = (plan.get(at), live.get(at)) else { continue };
            let mut name = quoted(&limit.policy);
            // Two limits may count by the same thing; a client must be able to tell them apart.
            for number in 2.. {
                if names.iter().all(|(_, taken)| *taken != name) {
                    break;
                }
                name = quoted(&format!("{}-{number}", limit.policy));
            }
            if !policy.is_empty() {
                policy.push_str(", ");
            }
            policy.push_str(&format!("{name};q={};w={}", live.quota.burst(), live.quota.refill_s()));
            names.push((id, name));
        }
        RouteLive { policy: policy.into_bytes().into(), names: names.into(), gate: None }
    }

    /// A limit's name in the headers, quoted.
    pub(crate) fn name(&self, id: RateLimitId) -> Option<&str> {
        self.names.iter().find(|(known, _)| *known == id).map(|(_, name)| &**name)
    }
}

/// A text as an RFC 9651 string, which has printable ASCII only.
fn quoted(text: &str) -> Box<str> {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => out.push('?'),
        }
    }
    out.push('"');
    out.into()
}

#[cfg(test)]
mod tests;
