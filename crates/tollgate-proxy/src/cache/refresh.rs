//! Asking again for an answer that was given stale, when nobody waits any more.

use std::rc::Rc;
use std::time::Duration;

use tollgate_plan::route::RouteId;
use tollgate_wire::Method;

use super::look::{Visit, validators};
use crate::client::Client;
use crate::exchange::{Exchange, Facts, Id, Origin};
use crate::identity::Identity;
use crate::live::cache::Refreshing;
use crate::trace::Trace;
use crate::worker::{Active, Kit, Worker};

/// It is given up after this time; the next request that finds the answer stale begins anew.
const WITHIN: Duration = Duration::from_secs(30);

/// A request of the gateway's own.
pub(crate) struct Refresh {
    worker: Rc<Worker>,
    pub(crate) active: Rc<Active>,
    client: Rc<Client>,
    kit: Box<Kit>,
    facts: Option<Facts>,
    route: Option<RouteId>,
    identity: Option<Identity>,
    trace: Option<Box<Trace>>,
    visit: Option<Box<Visit>>,
    _place: Refreshing,
}

impl Refresh {
    /// The client's request once more.
    pub(super) fn new(exchange: &Exchange<'_>, visit: Visit, place: Refreshing) -> Refresh {
        let worker = exchange.worker;
        let mut kit = worker.spare.kit();
        kit.head.clone_from(&exchange.kit.head);
        kit.head.method = Method::Get;
        kit.host.push_str(&exchange.kit.host);
        kit.path.push_str(&exchange.kit.path);
        kit.params.clone_from(&exchange.kit.params);
        let Facts { client_ip, trusted, scheme, .. } = exchange.facts;
        let id = Id::Kept(exchange.facts.id.as_str().into());
        Refresh {
            worker: worker.clone(),
            active: exchange.active.clone(),
            // Who asked before may have shown a certificate of which the upstream is told: so it is again.
            client: exchange.client.absent(&worker.timers),
            kit,
            facts: Some(Facts { id, client_ip, trusted, scheme }),
            route: exchange.route,
            identity: exchange.identity.clone(),
            // It belongs to the request that it is made for, and the client's own lines are not sent.
            trace: exchange.trace.as_ref().map(|trace| trace.shared()),
            visit: Some(Box::new(visit)),
            _place: place,
        }
    }

    /// What is asked, and what is to become of the answer.
    pub(crate) fn begin(&mut self) -> Option<(Exchange<'_>, Box<Visit>)> {
        let (facts, visit) = self.facts.take().zip(self.visit.take())?;
        let origin = Origin::Gateway { target: None };
        let mut exchange =
            Exchange::of(&self.worker, &self.client, self.active.clone(), &mut self.kit, facts, origin)
                .traced(self.trace.take());
        exchange.route = self.route;
        exchange.identity = self.identity.take();
        exchange.deadline = Some(self.worker.clock.now() + WITHIN);
        exchange.validators = visit.old.as_deref().map(|entry| validators(&exchange, entry));
        Some((exchange, visit))
    }
}
