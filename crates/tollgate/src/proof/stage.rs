//! The plan that tests meet: that of the configuration, with stubs where it would reach out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tollgate_plan::Plan;
use tollgate_plan::aggregate::Source;
use tollgate_plan::consumer::{ConsumerId, Consumers};
use tollgate_plan::issuer::{HttpUrl, IssuerId, TokenCheck};
use tollgate_plan::limit::Store;
use tollgate_plan::listener::{ListenAddress, Listener, ProxyProtocol};
use tollgate_plan::object_log::Sample;
use tollgate_plan::plan::{AccessLog, LogSink, OnFull, Shutdown};
use tollgate_plan::proof::{Proof, Stub};
use tollgate_plan::route::{Action, Route};
use tollgate_plan::table::RouteTable;
use tollgate_plan::upstream::{Address, Upstream, UpstreamId};

use super::keys::{self, Keys};

/// Where the access log of tests goes. It must have a sink: without one only some records a second are made.
const NOWHERE: &str = "/dev/null";

/// The time that is as long in tests that wait as in life; see [`shorter`].
const UNIT: Duration = Duration::from_millis(50);

/// Who listens where.
pub(super) struct Addresses {
    /// The gateway.
    pub(super) gateway: SocketAddr,
    /// Services that some test names.
    pub(super) own: HashMap<UpstreamId, SocketAddr>,
    /// All other services.
    pub(super) rest: SocketAddr,
    /// Issuers that are asked.
    pub(super) issuers: SocketAddr,
    /// Nobody.
    pub(super) refused: SocketAddr,
}

/// The plans of a run.
pub(super) struct Stage {
    /// What every test begins with.
    base: Plan,
    /// Without routes: what lives of the plan before is forgotten when this is applied.
    pub(super) blank: Plan,
    addresses: Addresses,
}

impl Stage {
    pub(super) fn new(plan: &Plan, addresses: Addresses, keys: &Keys) -> Stage {
        let mut base = plan.clone();
        base.listeners = vec![listener(addresses.gateway)];
        base.workers = 1;
        base.shutdown = Shutdown { delay: Duration::ZERO, grace: Duration::ZERO };
        base.notice = None;
        base.traces = None;
        base.redis = None;
        base.limits.memory = None;
        base.access_log = AccessLog {
            sink: LogSink::File(NOWHERE.into()),
            on_full: OnFull::Drop,
            headers: Vec::new(),
            log_query: false,
            sample: Sample::ALL,
            ..base.access_log
        };
        base.rate_limits.iter_mut().for_each(|limit| limit.store = Store::Local);
        base.routes.iter_mut().for_each(|route| route.mirror = None);
        issuers(&mut base, addresses.issuers, keys);
        consumers(&mut base.consumers);
        for (at, upstream) in base.upstreams.iter_mut().enumerate() {
            let id = u32::try_from(at).ok().map(UpstreamId);
            let own = id.and_then(|id| addresses.own.get(&id));
            redirect(upstream, *own.unwrap_or(&addresses.rest), addresses.issuers);
        }
        let blank = Plan {
            issuers: Vec::new(),
            consumers: Consumers::default(),
            rate_limits: Vec::new(),
            upstreams: Vec::new(),
            routes: Vec::new(),
            table: RouteTable::build(Vec::new()),
            ..base.clone()
        };
        Stage { base, blank, addresses }
    }

    /// The plan that the test with this number meets.
    pub(super) fn plan(&self, proof: &Proof, number: usize) -> Plan {
        let mut plan = self.base.clone();
        for limit in &mut plan.rate_limits {
            // Buckets are found by identity: each test has its own.
            limit.identity = format!("{} in test {number}", limit.identity).into();
        }
        for (UpstreamId(at), stub) in &proof.stubs {
            if let (Some(upstream), Stub::Refuse) = (plan.upstreams.get_mut(*at as usize), stub) {
                let targets = upstream.targets.iter_mut();
                targets.for_each(|target| target.address = Address::Socket(self.addresses.refused));
            }
        }
        if is_slow(proof) {
            plan.upstreams.iter_mut().for_each(|upstream| upstream.timeout = shorter(upstream.timeout));
            plan.routes.iter_mut().for_each(hasten);
        }
        plan
    }
}

/// Whether a service of the test takes its time. Its waits are shortened then.
pub(super) fn is_slow(proof: &Proof) -> bool {
    proof.stubs.iter().any(|(_, stub)| match stub {
        Stub::Silence => true,
        Stub::Answer(answer) => !answer.delay.is_zero(),
        Stub::Refuse => false,
    })
}

/// What a wait takes in a test: what is twice as long takes some 50 ms longer, so that the order of times stays, and half a
/// minute is over in half a second.
pub(super) fn shorter(time: Duration) -> Duration {
    UNIT.mul_f64((1.0 + time.as_secs_f64() / UNIT.as_secs_f64()).log2())
}

fn hasten(route: &mut Route) {
    route.timeout = route.timeout.map(shorter);
    route.deadline = route.deadline.take().map(|deadline| Box::new(shorter(*deadline)));
    if let Action::Aggregate(aggregate) = &mut route.action {
        aggregate.timeout = shorter(aggregate.timeout);
        for part in &mut aggregate.parts {
            if let Source::Call(call) = &mut part.source {
                call.timeout = call.timeout.map(shorter);
            }
        }
    }
}

/// In clear text: what TLS adds is not what tests are about. The PROXY header says whose address a test wants.
fn listener(address: SocketAddr) -> Listener {
    Listener {
        address: ListenAddress::Tcp(address),
        name: "tests".into(),
        mode: None,
        proxy_protocol: ProxyProtocol::Require,
        http2: false,
        tls: None,
    }
}

fn issuers(plan: &mut Plan, asked: SocketAddr, keys: &Keys) {
    for (at, issuer) in plan.issuers.iter_mut().enumerate() {
        let Ok(id) = u16::try_from(at).map(IssuerId) else { continue };
        if let Some(known) = keys.known(id, issuer) {
            issuer.check = TokenCheck::Fixed(known);
        } else if let TokenCheck::Introspection(introspection) = &mut issuer.check {
            introspection.url = url(asked, "/introspect");
            introspection.reach.allow_http = true;
        }
    }
}

/// Each gets a key that tests can show.
fn consumers(consumers: &mut Consumers) {
    let ids = 0..u32::try_from(consumers.list.len()).unwrap_or_default();
    consumers.by_key.extend(ids.map(ConsumerId).map(|id| (keys::key_hash(id), id)));
}

/// Lets requests to the upstream go to a stub. What is said to it, a Host or a prefix, stays as it is.
fn redirect(upstream: &mut Upstream, stub: SocketAddr, issuers: SocketAddr) {
    for target in &mut upstream.targets {
        target.address = Address::Socket(stub);
        target.tls = None;
        target.http2 = false;
    }
    upstream.tls = Arc::default();
    upstream.health_check = None;
    upstream.credentials = upstream.credentials.take().map(|credentials| {
        let mut credentials = (*credentials).clone();
        credentials.token_url = url(issuers, "/token");
        credentials.reach.allow_http = true;
        Arc::new(credentials)
    });
}

fn url(address: SocketAddr, target: &str) -> HttpUrl {
    HttpUrl { tls: false, host: address.ip().to_string().into(), port: address.port(), target: target.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_shorter_and_keep_their_order() {
        for (ms, expect) in [(0, 0), (50, 50), (150, 100), (1_000, 219), (5_000, 332), (30_000, 461)] {
            let found = shorter(Duration::from_millis(ms));
            assert_eq!(found.as_millis(), expect, "{ms} ms");
        }
    }
}
