//! Who may pass and how often, as compact text.

use std::fmt::Write;

use tollgate_plan::Plan;
use tollgate_plan::issuer::{Issuer, TokenCheck};
use tollgate_plan::route::Route;

/// Issuers, consumers, limits and Redis of a plan.
pub(crate) fn of_plan(out: &mut String, plan: &Plan) {
    for one in &plan.issuers {
        issuer(out, one);
    }
    for consumer in &plan.consumers.list {
        writeln!(out, "consumer {:?} in {:?}", consumer.name, consumer.groups).expect("writing to text");
    }
    let mut keys: Vec<_> = plan.consumers.by_key.iter().map(|(hash, id)| (id.0, hash[0])).collect();
    keys.sort();
    let mut users: Vec<_> =
        plan.consumers.by_user.iter().map(|(user, hash)| (hash.consumer.0, user)).collect();
    users.sort();
    if !plan.consumers.list.is_empty() {
        writeln!(out, "  keys {keys:02x?}, users {users:?}").expect("writing to text");
    }
    for (id, limit) in plan.rate_limits.iter().enumerate() {
        writeln!(out, "limit {id} {:?}: {:?} {:?}", &*limit.identity, &*limit.label, &*limit.policy)
            .expect("writing to text");
        let (rate, period, burst) = (limit.rate, limit.period, limit.burst);
        writeln!(out, "  {rate} in {period:?}, burst {burst}, per {:?}, {:?}", limit.per, limit.store)
            .expect("writing to text");
    }
    if plan.rate_limit_headers != Default::default() {
        writeln!(out, "rate_limit_headers {:?}", plan.rate_limit_headers).expect("writing to text");
    }
    if let Some(redis) = &plan.redis {
        let roots = redis.roots.as_ref().map(|roots| roots.len());
        let (timeout, on_failure) = (redis.timeout, redis.on_failure);
        writeln!(
            out,
            "redis cluster {}, roots {roots:?}, {timeout:?}, {on_failure:?}, {} instances",
            redis.cluster, redis.instances
        )
        .expect("writing to text");
        for node in &redis.nodes {
            writeln!(out, "  {node:?}").expect("writing to text");
        }
    }
}

fn issuer(out: &mut String, issuer: &Issuer) {
    let expect = &issuer.expect;
    writeln!(out, "issuer {:?}: {:?} for {:?}", issuer.name, expect.issuer, expect.audience)
        .expect("writing to text");
    writeln!(
        out,
        "  {:?}, leeway {} s, exp {:?}, typ {:?}, roles in {}",
        expect.algorithms, expect.leeway_s, expect.exp, expect.typ, issuer.roles_claim
    )
    .expect("writing to text");
    let text = match &issuer.check {
        TokenCheck::Fixed(keys) => format!("{} keys, named {:?}", keys.len(), keys.ids().collect::<Vec<_>>()),
        TokenCheck::Fetched(fetch) => {
            let (reach, roots) = (&fetch.reach, fetch.reach.roots.as_ref().map(|roots| roots.len()));
            let allow = reach.allow_http;
            format!("{:?}\n  every {:?}, roots {roots:?}, allow_http {allow}", fetch.from, fetch.refresh)
        }
        TokenCheck::Introspection(ask) => {
            format!(
                "asks {:?} as {:?} {:?}, cache {:?}",
                ask.url, ask.client_id, ask.client_secret, ask.cache
            )
        }
    };
    writeln!(out, "  {text}").expect("writing to text");
}

/// What protects one route.
pub(crate) fn of_route(out: &mut String, route: &Route) {
    if let Some(cors) = &route.cors {
        writeln!(out, "  {cors:?}").expect("writing to text");
    }
    if let Some(rules) = &route.addresses {
        let shown =
            |set: &tollgate_plan::cidr::CidrSet| set.iter().map(ToString::to_string).collect::<Vec<_>>();
        writeln!(out, "  allow {:?}, deny {:?}", rules.allow.as_ref().map(shown), shown(&rules.deny))
            .expect("writing to text");
    }
    if let Some(agents) = &route.user_agents {
        // Patterns show nothing of themselves.
        let (deny, allow) = (agents.deny.len(), agents.allow.len());
        writeln!(out, "  user agents: deny {deny} but {allow}, deny empty {}", agents.deny_empty)
            .expect("writing to text");
    }
    if let Some(checks) = &route.checks {
        for guard in &checks.guards {
            let (expr, detail) = (guard.holds.as_str(), &guard.detail);
            writeln!(out, "  guard {expr:?} else {} {detail:?}", guard.status).expect("writing to text");
        }
        if let Some(interface) = &checks.interface {
            writeln!(out, "  as {interface:?}").expect("writing to text");
        }
        let schemas = [("query", &checks.query), ("headers", &checks.headers), ("body", &checks.body)];
        for (name, schema) in schemas {
            if let Some(schema) = schema {
                writeln!(out, "  {name} as {schema:?}").expect("writing to text");
            }
        }
    }
    if let Some(auth) = &route.auth {
        writeln!(out, "  {auth:?}").expect("writing to text");
    }
    if let Some(limits) = &route.limits {
        writeln!(out, "  limits {:?} then {:?}", limits.by_address, limits.by_identity)
            .expect("writing to text");
    }
    if let Some(concurrency) = &route.concurrency {
        writeln!(out, "  {concurrency:?}").expect("writing to text");
    }
}
