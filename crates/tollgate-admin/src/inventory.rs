//! The JSON of `/api/v1/routes` and `/api/v1/upstreams`: what runs now.

use std::collections::HashMap;

use serde_json::{Value, json};
use tollgate_config::posture;
use tollgate_plan::Plan;
use tollgate_plan::aggregate::{Part, Source};
use tollgate_plan::route::{Action, Route, RouteId};
use tollgate_plan::upstream::{Address, Balance, HashKey, HostMode, Upstream, UpstreamId};
use tollgate_proxy::{Circuit, Snapshot, UpstreamHealth, rfc3339};

/// `/api/v1/routes` and `tollgate routes --json`: every route in the order in which they are asked.
///
/// `{"routes": [{"name", "methods", "hosts", "path", "conditions", "max_body", "timeout_ms", "action"}]}`; no methods
/// or hosts mean any, `conditions` counts those on headers and query, `max_body` is in bytes, and `action` has one
/// member: `to`, `respond`, `redirect` or `health`.
pub fn routes_json(plan: &Plan) -> Value {
    let order = plan.table.in_order().into_iter();
    let routes: Vec<Value> = order
        .filter_map(|id| plan.routes.get(id.0 as usize).map(|route| route_json(plan, id, route)))
        .collect();
    json!({ "routes": routes })
}

/// `/api/v1/routes`: [`routes_json`] with `"posture": {"auth", "limits", "tls", "public"}` for each route.
pub(crate) fn routes_with_posture(plan: &Plan) -> Value {
    let mut rows: HashMap<String, Value> = HashMap::new();
    for row in posture(plan) {
        let shown = json!({ "auth": row.auth, "limits": row.limits, "tls": row.tls, "public": row.public });
        rows.insert(row.route, shown);
    }
    let mut shown = routes_json(plan);
    let routes = shown.get_mut("routes").and_then(Value::as_array_mut);
    for route in routes.into_iter().flatten().filter_map(Value::as_object_mut) {
        let row = route.get("name").and_then(Value::as_str).and_then(|name| rows.remove(name));
        route.insert("posture".to_owned(), row.unwrap_or_default());
    }
    shown
}

fn route_json(plan: &Plan, id: RouteId, route: &Route) -> Value {
    let name = |id: UpstreamId| plan.upstreams.get(id.0 as usize).map_or("", |upstream| &*upstream.name);
    let action = match &route.action {
        Action::To(only) => json!({ "to": [{ "upstream": name(*only), "weight": 1 }] }),
        Action::Split(weighted) => {
            let parts = weighted.iter();
            let to = parts.map(|part| json!({ "upstream": name(part.upstream), "weight": part.weight }));
            json!({ "to": to.collect::<Vec<_>>() })
        }
        Action::Respond(respond) => json!({ "respond": { "status": respond.status } }),
        Action::Redirect(redirect) => json!({ "redirect": { "status": redirect.status } }),
        Action::Aggregate(aggregate) => {
            let parts: Vec<Value> = aggregate.parts.iter().map(|part| part_json(plan, part)).collect();
            json!({ "aggregate": { "parts": parts, "timeout_ms": millis(aggregate.timeout) } })
        }
        Action::Health(upstreams) => {
            json!({ "health": { "upstreams": upstreams.iter().map(|id| name(*id)).collect::<Vec<_>>() } })
        }
    };
    json!({
        "name": *route.name,
        "methods": plan.table.methods(id).iter().map(|method| method.as_str()).collect::<Vec<_>>(),
        "hosts": plan.table.hosts(id).iter().map(ToString::to_string).collect::<Vec<_>>(),
        "path": *route.pattern,
        "conditions": plan.table.condition_count(id),
        "max_body": route.max_body,
        "timeout_ms": route.timeout.map(millis),
        "action": action,
    })
}

fn part_json(plan: &Plan, part: &Part) -> Value {
    let to = match &part.source {
        Source::Constant(_) => Value::Null,
        Source::Call(call) => {
            plan.upstreams.get(call.upstream.0 as usize).map_or(Value::Null, |upstream| json!(*upstream.name))
        }
    };
    json!({ "name": *part.name, "to": to, "required": part.required })
}

/// `/api/v1/upstreams`: the configured ones with health and connections.
pub(crate) fn upstreams(plan: &Plan, health: &[UpstreamHealth], snapshot: &Snapshot) -> Value {
    let upstreams: Vec<Value> = plan
        .upstreams
        .iter()
        .map(|upstream| {
            let health = health.iter().find(|health| health.name == upstream.name);
            upstream_json(upstream, health, snapshot)
        })
        .collect();
    json!({ "upstreams": upstreams })
}

fn upstream_json(upstream: &Upstream, health: Option<&UpstreamHealth>, snapshot: &Snapshot) -> Value {
    let targets: Vec<Value> = upstream
        .targets
        .iter()
        .map(|target| {
            let all = health.map(|health| health.targets.as_slice()).unwrap_or_default();
            let hosts: Vec<_> = all.iter().filter(|one| one.configured == target.url).collect();
            let one = |host: &&tollgate_proxy::TargetHealth| {
                json!({ "url": *host.url, "healthy": host.healthy, "since": rfc3339(host.since) })
            };
            let mut json = json!({
                "url": *target.url,
                "weight": target.weight,
                "healthy": (!hosts.is_empty()).then(|| hosts.iter().any(|host| host.healthy)),
                "since": hosts.iter().map(|host| host.since).max().map(rfc3339),
            });
            // A service that DNS knows: the hosts that stand for it.
            if let (Address::Service { .. }, Some(members)) = (&target.address, json.as_object_mut()) {
                let hosts = hosts.iter().filter(|host| host.url != target.url).map(one);
                members.insert("hosts".to_owned(), hosts.collect());
            }
            json
        })
        .collect();
    let connections = snapshot.upstream_connections.get(&upstream.name).copied().unwrap_or_default();
    json!({
        "name": *upstream.name,
        "status": health.map(UpstreamHealth::verdict),
        "circuit": health.and_then(|health| health.circuit).map(Circuit::as_str),
        "targets": targets,
        "balance": balance(&upstream.balance),
        "host": match &upstream.host {
            HostMode::Upstream => "upstream",
            HostMode::Preserve => "preserve",
            HostMode::Fixed(name) => name,
        },
        "connect_timeout_ms": millis(upstream.connect_timeout),
        "timeout_ms": millis(upstream.timeout),
        "idle_timeout_ms": millis(upstream.idle_timeout),
        "connections": { "active": connections.active, "idle": connections.idle },
    })
}

fn balance(balance: &Balance) -> String {
    match balance {
        Balance::LeastRequests => "least_requests".to_owned(),
        Balance::RoundRobin => "round_robin".to_owned(),
        Balance::Random => "random".to_owned(),
        Balance::Hash(HashKey::Ip) => "hash ip".to_owned(),
        Balance::Hash(HashKey::Path) => "hash path".to_owned(),
        Balance::Hash(HashKey::Cookie(name)) => format!("hash cookie:{name}"),
        Balance::Hash(HashKey::Header(name)) => format!("hash header:{name}"),
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
