//! Stage 3: which route the request takes.

mod preflight;

use tollgate_plan::Reason;
use tollgate_plan::table::{Facts, Found};
use tollgate_wire::{Method, Name, name};

use crate::exchange::{Exchange, Reject};

/// Finds the route and remembers it and its parameters in the exchange.
pub(crate) fn find(exchange: &mut Exchange<'_>) -> Result<(), Reject> {
    if let Some(id) = preflight::find(exchange) {
        exchange.route = Some(id);
        exchange.preflight = true;
        return Ok(());
    }
    match look_up(exchange) {
        Found::Route(id) => {
            exchange.route = Some(id);
            let deadline = exchange.matched().and_then(|route| route.deadline.as_deref().copied());
            exchange.deadline = deadline.map(|after| exchange.worker.clock.recent() + after);
            Ok(())
        }
        Found::MethodNotAllowed(allow) => {
            let allow = allow.to_string();
            let reject = Reject::new(Reason::MethodNotAllowed, format!("allowed here: {allow}"));
            Err(reject.with(&name::ALLOW, allow.as_bytes()))
        }
        Found::NotFound => Err(Reject::new(Reason::RouteNotFound, "no route matches")),
    }
}

/// Asks the table.
fn look_up(exchange: &mut Exchange<'_>) -> Found {
    let mut params = std::mem::take(&mut exchange.kit.params);
    let asked = Request { exchange };
    let found = exchange.active.plan.table.find(&exchange.kit.host, exchange.path(), &asked, &mut params);
    exchange.kit.params = params;
    found
}

struct Request<'e> {
    exchange: &'e Exchange<'e>,
}

impl Facts for Request<'_> {
    fn method(&self) -> &Method {
        &self.exchange.kit.head.method
    }

    fn header<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a [u8]> {
        self.exchange.kit.head.headers.get_all(name)
    }

    fn query(&self) -> Option<&[u8]> {
        self.exchange.kit.head.query()
    }
}
