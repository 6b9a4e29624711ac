//! Stage 3: which route the request takes.

use tollgate_plan::Reason;
use tollgate_plan::table::{Facts, Found};
use tollgate_wire::{Method, Name};

use crate::exchange::{Exchange, Reject};

/// Finds the route and remembers it and its parameters in the exchange.
pub(crate) fn find(exchange: &mut Exchange<'_>) -> Result<(), Reject> {
    let mut params = std::mem::take(&mut exchange.kit.params);
    let plan = &exchange.active.plan;
    let found = plan.table.find(&exchange.kit.host, exchange.path(), &Request(exchange), &mut params);
    exchange.kit.params = params;
    match found {
        Found::Route(id) => {
            exchange.route = Some(id);
            Ok(())
        }
        Found::MethodNotAllowed(allow) => Err(Reject {
            allow: Some(allow.to_string()),
            ..Reject::new(Reason::MethodNotAllowed, format!("allowed here: {allow}"))
        }),
        Found::NotFound => Err(Reject::new(Reason::RouteNotFound, "no route matches")),
    }
}

struct Request<'e>(&'e Exchange<'e>);

impl Facts for Request<'_> {
    fn method(&self) -> &Method {
        &self.0.kit.head.method
    }

    fn header<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a [u8]> {
        self.0.kit.head.headers.get_all(name)
    }

    fn query(&self) -> Option<&[u8]> {
        self.0.kit.head.query()
    }
}
