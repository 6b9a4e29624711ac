//! Which target a request goes to.

use std::time::Instant;

use tollgate_plan::upstream::HashKey;
use tollgate_policy::{Standing, hash, least_requests};

use crate::exchange::{Exchange, Origin};
use crate::live::balancer::Method;
use crate::live::upstreams::{TargetLive, UpstreamLive};

/// The index of the target for this attempt; none when health checks say that none can serve.
///
/// A target that was `tried` for this request, or is left out because it fails, gets it only for want of a better one;
/// of those tried, the last one only for want of any other. Where targets have tiers, the lowest one that has a target
/// to offer decides.
pub(super) fn choose(
    exchange: &Exchange<'_>,
    live: &UpstreamLive,
    tried: &[usize],
    now: Instant,
) -> Option<usize> {
    if let Origin::Gateway { target: Some(target) } = exchange.origin {
        // Asked for by name: how it is, its answer tells.
        return (target < live.targets.len()).then_some(target);
    }
    if let [only] = live.targets.as_slice() {
        return (!only.shared.is_unhealthy()).then_some(0);
    }
    let unfit = |target: &TargetLive| target.shared.is_unhealthy() || target.shared.is_ejected(now);
    let fresh = choice(exchange, live, now, |at, target| unfit(target) || tried.contains(&at));
    if fresh.is_some() {
        return fresh;
    }
    let last = tried.last();
    choice(exchange, live, now, |at, target| unfit(target) || last == Some(&at))
        .or_else(|| choice(exchange, live, now, |_, target| unfit(target)))
        .or_else(|| choice(exchange, live, now, |_, target| target.shared.is_unhealthy()))
}

/// The balancer's choice among the targets that are not `out`, in the lowest tier that has any to offer.
fn choice(
    exchange: &Exchange<'_>,
    live: &UpstreamLive,
    now: Instant,
    out: impl Fn(usize, &TargetLive) -> bool,
) -> Option<usize> {
    let tiers = live.shared.tiers();
    let Some(last) = tiers.iter().max() else { return pick(exchange, live, now, out) };
    // "The lowest-numbered priority it can reach" (RFC 2782): who could not be reached a moment ago stands behind all
    // others, of whatever tier.
    for suspects in [false, true] {
        for tier in 0..=*last {
            let passes = |target: &TargetLive| suspects || target.penalty.get().standing(now) == Standing::Up;
            let is_out = |at: usize, target: &TargetLive| {
                tiers.get(at) != Some(&tier) || !passes(target) || out(at, target)
            };
            let chosen = pick(exchange, live, now, is_out);
            if chosen.is_some() {
                return chosen;
            }
        }
    }
    None
}

/// The balancer's choice among the targets that are not `out`.
fn pick(
    exchange: &Exchange<'_>,
    live: &UpstreamLive,
    now: Instant,
    out: impl Fn(usize, &TargetLive) -> bool,
) -> Option<usize> {
    let targets = &live.targets;
    let standing = |at: usize| match targets.get(at) {
        Some(target) if !out(at, target) => target.penalty.get().standing(now),
        _ => Standing::Down,
    };
    let in_flight = |at: usize| targets.get(at).map_or(0, |target| u64::from(target.in_flight()));
    let mut random = || exchange.worker.random.next();
    let weights = &live.balancer.weights;
    match &live.balancer.method {
        Method::LeastRequests => least_requests(weights, standing, in_flight, &mut random),
        // What is only explained takes nobody's turn.
        Method::RoundRobin(turn) if exchange.is_explained() => turn.borrow().clone().next(weights, standing),
        Method::RoundRobin(turn) => turn.borrow_mut().next(weights, standing),
        Method::Random => weights.draw_best(standing, &mut random),
        Method::Hash(key, ring) => ring.pick(hash(&key_bytes(exchange, key)), standing),
    }
}

/// What is hashed; empty when the request does not have it.
fn key_bytes(exchange: &Exchange<'_>, key: &HashKey) -> Vec<u8> {
    match key {
        HashKey::Header(name) => exchange.kit.head.headers.get(name).unwrap_or_default().to_vec(),
        HashKey::Cookie(name) => exchange.cookie(name).unwrap_or_default().to_vec(),
        HashKey::Path => exchange.path().as_bytes().to_vec(),
        HashKey::Ip => exchange.facts.client_ip.map(|ip| ip.to_string()).unwrap_or_default().into_bytes(),
    }
}
