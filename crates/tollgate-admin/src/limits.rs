//! The JSON of `/api/v1/limits`: what is counted, and how full it is.

use std::collections::HashMap;

use serde_json::{Value, json};
use tollgate_plan::Plan;
use tollgate_plan::limit::{RateLimit, RateLimitId, Store};
use tollgate_proxy::{Control, MemoryReport, PlacesReport, Snapshot};

/// `{"workers_missing", "rate_limits", "buckets", "concurrency", "connections", "memory"}`.
pub(crate) fn limits(control: &Control, snapshot: &Snapshot) -> Value {
    let plan = control.plan();
    let counts = control.buckets();
    let (open, refused) = control.connections();
    json!({
        "workers_missing": snapshot.workers_missing,
        "rate_limits": rate_limits(&plan, snapshot),
        "buckets": {
            "now": counts.buckets, "max": control.buckets_max(), "bytes": counts.bytes, "evicted": counts.evicted,
            "overflowed": counts.overflowed,
        },
        "concurrency": control.places().iter().map(places).collect::<Vec<_>>(),
        "connections": { "open": open, "max": plan.limits.connections, "refused": refused },
        "memory": memory(&control.memory()),
    })
}

fn rate_limits(plan: &Plan, snapshot: &Snapshot) -> Vec<Value> {
    let mut routes: HashMap<RateLimitId, Vec<&str>> = HashMap::new();
    for route in &plan.routes {
        for id in route.limits.iter().flat_map(|limits| limits.by_address.iter().chain(&limits.by_identity)) {
            routes.entry(*id).or_default().push(&route.name);
        }
    }
    let mut refused: HashMap<&str, u64> = HashMap::new();
    for (labels, count) in &snapshot.rate_limited {
        *refused.entry(&labels.limit).or_default() += count;
    }
    let limits = plan.rate_limits.iter().enumerate();
    limits
        .map(|(at, limit)| {
            let id = RateLimitId(u32::try_from(at).unwrap_or(u32::MAX));
            let routes = routes.get(&id).map(Vec::as_slice).unwrap_or_default();
            rate_limit(limit, routes, refused.get(&*limit.label).copied().unwrap_or_default())
        })
        .collect()
}

fn rate_limit(limit: &RateLimit, routes: &[&str], refused: u64) -> Value {
    let (store, sync) = match limit.store {
        Store::Local => ("local", None),
        Store::Leased => ("redis", Some("leased")),
        Store::Exact => ("redis", Some("exact")),
    };
    json!({
        "limit": &*limit.label, "rate": limit.rate, "period_s": limit.period.as_secs(), "burst": limit.burst,
        "per": limit.per.to_string(), "store": store, "sync": sync, "routes": routes, "refused": refused,
    })
}

fn places(one: &PlacesReport) -> Value {
    let PlacesReport { route, max, in_flight, queue, waiting } = one;
    json!({ "route": &**route, "max": max, "in_flight": in_flight, "queue": queue, "waiting": waiting })
}

fn memory(report: &MemoryReport) -> Value {
    let MemoryReport { cap, resident, held, buffers, pressure, closed } = report;
    json!({
        "max": cap, "resident": resident, "held": held, "held_max": buffers, "state": pressure.as_str(),
        "connections_closed": closed,
    })
}
