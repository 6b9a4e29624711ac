//! Which target a request goes to.

use std::time::Instant;

use tollgate_plan::upstream::HashKey;
use tollgate_policy::{Standing, hash, least_requests};

use crate::exchange::Exchange;
use crate::live::balancer::Method;
use crate::live::upstreams::UpstreamLive;

/// The index of the target for this attempt.
pub(super) fn choose(exchange: &Exchange<'_>, live: &UpstreamLive, now: Instant) -> usize {
    let targets = &live.targets;
    if let [_] = targets.as_slice() {
        return 0;
    }
    let standing =
        |at: usize| targets.get(at).map_or(Standing::Down, |target| target.penalty.get().standing(now));
    let in_flight = |at: usize| targets.get(at).map_or(0, |target| u64::from(target.in_flight()));
    let mut random = || exchange.worker.random.next();
    let weights = &live.balancer.weights;
    let chosen = match &live.balancer.method {
        Method::LeastRequests => least_requests(weights, standing, in_flight, &mut random),
        Method::RoundRobin(turn) => turn.borrow_mut().next(weights, standing),
        Method::Random => weights.draw_best(standing, &mut random),
        Method::Hash(key, ring) => ring.pick(hash(&key_bytes(exchange, key)), standing),
    };
    chosen.unwrap_or(0)
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
