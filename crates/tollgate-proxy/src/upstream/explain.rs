//! Where a request would go that is only explained, and what would be sent. No connection is made, no breaker and no
//! balancer takes note.

use std::borrow::Cow;
use std::time::Instant;

use serde_json::{Value, json};
use tollgate_plan::Plan;
use tollgate_plan::route::{Action, Route, Weighted};
use tollgate_plan::upstream::{Target, Upstream, UpstreamId};
use tollgate_policy::{Circuit, Standing};
use tollgate_wire::HeaderBlock;

use super::call::{begin, check_switch, upstream_of, write_head};
use super::retry::Tried;
use super::token::unavailable;
use crate::exchange::{Exchange, Outcome, Outgoing, Reject, Reply};
use crate::live::upstreams::UpstreamLive;
use crate::trail::{Sent, Stage, Trail, Verdict};

/// Chooses as for a request that is sent. What is given stands for the answer that nobody has: it has the status 0.
pub(crate) fn explain(exchange: &Exchange<'_>, mut outgoing: Outgoing) -> Result<Outcome<'static>, Reject> {
    let (Some(trail), Some(route)) = (exchange.trail.as_deref(), exchange.matched()) else {
        return Err(Reject::internal("nobody asks"));
    };
    let plan = &exchange.active.plan;
    mirror(plan, route, trail);
    let id = upstream_of(exchange);
    let at = id.0 as usize;
    let (Some(upstream), Some(live)) = (plan.upstreams.get(at), exchange.active.upstreams.get(at)) else {
        return Err(Reject::internal("no such upstream"));
    };
    let upstream = live.shared.served(upstream);
    if live.shared.token.is_some() {
        outgoing.authorize("***");
    }
    let now = exchange.worker.clock.now();
    let mut more = json!({
        "upstream": &*upstream.name,
        "drawn": drawn(plan, route),
        "circuit": live.shared.circuit(now).map(Circuit::as_str),
        "own_token": live.shared.token.is_some(),
        "target": null,
        "targets": [],
    });
    if trail.live && live.shared.token.as_ref().is_some_and(|token| token.is_out_of_reach(now)) {
        let reject = unavailable(exchange);
        let detail = format!("upstream {}: its issuer gives no token for it now", upstream.name);
        trail.step(Stage::Act, Verdict::of(&reject), detail, more);
        return Err(reject);
    }
    if !trail.live && live.targets.is_empty() {
        let detail =
            format!("upstream {}: its hosts are what DNS says, which is not asked offline", upstream.name);
        trail.step(Stage::Act, Verdict::Unknown, detail, more);
        return Ok(nothing_came());
    }
    let chosen = begin(exchange, id, (upstream, live), &Tried::default(), now);
    let chosen = chosen.map(|(at, _)| at).and_then(|at| {
        let target = upstream.targets.get(at).ok_or_else(|| Reject::internal("no such target"))?;
        check_switch(exchange, target).map(|()| (at, target))
    });
    let at = chosen.as_ref().ok().map(|(at, _)| *at);
    set(&mut more, "targets", targets(upstream, live, at, now));
    let (at, target) = chosen.inspect_err(|reject| {
        let detail = format!("upstream {}: {}", upstream.name, reject.detail);
        trail.step(Stage::Act, Verdict::of(reject), detail, more.clone());
    })?;
    exchange.seen.upstream.set(Some((id, at)));
    set(&mut more, "target", (&*target.url).into());
    let detail = format!("upstream {}, target {}{}", upstream.name, target.url, others(live.targets.len()));
    trail.step(Stage::Act, Verdict::Ok, detail, more);
    trail.sends(sent(exchange, upstream, target, &outgoing));
    Ok(nothing_came())
}

/// Stands for an answer that did not come.
fn nothing_came() -> Outcome<'static> {
    Outcome::Reply(Reply { status: 0, headers: HeaderBlock::default(), body: Cow::Borrowed(&[]) })
}

fn sent(exchange: &Exchange<'_>, upstream: &Upstream, target: &Target, outgoing: &Outgoing) -> Sent {
    let mut head = Vec::new();
    if let Some(trace) = &exchange.trace {
        trace.attempt(&target.url, &outgoing.target, &mut exchange.worker.ids.borrow_mut());
    }
    write_head(exchange, upstream, target, outgoing, &mut head);
    let scheme = if target.tls.is_some() { "https" } else { "http" };
    Sent {
        upstream: upstream.name.clone(),
        target: Some(target.url.clone()),
        origin: format!("{scheme}://{}", target.authority),
        head,
    }
}

fn mirror(plan: &Plan, route: &Route, trail: &Trail) {
    let Some(mirror) = route.mirror.as_deref() else { return };
    let name = name_of(plan, mirror.to);
    let share = mirror.share_percent;
    let detail = format!("{share}% of the requests are copied to {name}; nothing is copied now");
    trail.step(Stage::Mirror, Verdict::Ok, detail, json!({ "upstream": name, "share_percent": share }));
}

/// The upstreams among which one is drawn, with their weights; null where there is only one.
fn drawn(plan: &Plan, route: &Route) -> Value {
    let Action::Split(choices) = &route.action else { return Value::Null };
    let one = |Weighted { upstream, weight }: &Weighted| json!({ "upstream": name_of(plan, *upstream), "weight": weight });
    choices.iter().map(one).collect()
}

fn name_of(plan: &Plan, UpstreamId(at): UpstreamId) -> &str {
    plan.upstreams.get(at as usize).map_or("", |upstream| &*upstream.name)
}

/// Every target, and why it is not the one.
fn targets(upstream: &Upstream, live: &UpstreamLive, chosen: Option<usize>, now: Instant) -> Value {
    let each = upstream.targets.iter().zip(&live.targets).enumerate().map(|(at, (target, known))| {
        let state = match () {
            () if known.shared.is_unhealthy() => "unhealthy",
            () if known.shared.is_ejected(now) => "ejected",
            () if known.penalty.get().standing(now) != Standing::Up => "suspect",
            () => "ok",
        };
        json!({
            "target": &*target.url, "state": state, "weight": target.weight, "in_flight": known.in_flight(),
            "chosen": chosen == Some(at),
        })
    });
    each.collect()
}

fn others(targets: usize) -> String {
    if targets > 1 { format!(", one of {targets}") } else { String::new() }
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(member) = object.get_mut(key) {
        *member = value;
    }
}
