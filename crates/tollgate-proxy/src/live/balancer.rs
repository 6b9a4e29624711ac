//! The state that choosing among an upstream's targets needs, on one worker.

use std::cell::RefCell;

use tollgate_plan::upstream::{Balance, HashKey, Upstream};
use tollgate_policy::{Ring, RoundRobin, Weights};

/// How targets are chosen, and what has to be remembered for it.
pub(crate) struct Balancer {
    pub(crate) weights: Weights,
    pub(crate) method: Method,
}

/// One way of choosing.
pub(crate) enum Method {
    LeastRequests,
    RoundRobin(RefCell<RoundRobin>),
    Random,
    Hash(HashKey, Ring),
}

impl Balancer {
    /// `random` only spreads the workers' first turns.
    pub(crate) fn new(upstream: &Upstream, random: &mut dyn FnMut() -> u64) -> Balancer {
        let weights: Weights = upstream.targets.iter().map(|target| target.weight).collect();
        let method = match &upstream.balance {
            Balance::LeastRequests => Method::LeastRequests,
            Balance::RoundRobin => Method::RoundRobin(RefCell::new(RoundRobin::new(&weights, random()))),
            Balance::Random => Method::Random,
            Balance::Hash(key) => {
                let targets = upstream.targets.iter().map(|target| (&*target.url, target.weight));
                Method::Hash(key.clone(), Ring::new(targets))
            }
        };
        Balancer { weights, method }
    }
}
