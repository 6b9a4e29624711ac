//! Stage 3: which route the request takes.

use tollgate_plan::Reason;
use tollgate_plan::route::RouteId;
use tollgate_plan::table::{Facts, Found};
use tollgate_wire::{Method, Name, name};

use crate::exchange::{Exchange, Reject};

/// Finds the route and remembers it and its parameters in the exchange.
pub(crate) fn find(exchange: &mut Exchange<'_>) -> Result<(), Reject> {
    if let Some(id) = find_for_preflight(exchange) {
        exchange.route = Some(id);
        exchange.preflight = true;
        return Ok(());
    }
    match look_up(exchange, None) {
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

/// The route about which a browser asks before it calls (CORS-preflight fetch of the Fetch Standard): found by the
/// method that it means to use, so that routes of one path can differ; or else by one that the path has, so that it
/// learns which. None when this is no such question, or the route leaves it to its service.
fn find_for_preflight(exchange: &mut Exchange<'_>) -> Option<RouteId> {
    let head = &exchange.kit.head;
    if head.method != Method::Options || !head.headers.contains(&name::ORIGIN) {
        return None;
    }
    let method = Method::parse(head.headers.get(&name::ACCESS_CONTROL_REQUEST_METHOD)?)?;
    match look_up(exchange, Some(&method)) {
        Found::Route(id) => answers_preflights(exchange, id).then_some(id),
        Found::MethodNotAllowed(allow) => {
            allow.methods().iter().find_map(|method| match look_up(exchange, Some(method)) {
                Found::Route(id) if answers_preflights(exchange, id) => Some(id),
                _ => None,
            })
        }
        Found::NotFound => None,
    }
}

fn answers_preflights(exchange: &Exchange<'_>, id: RouteId) -> bool {
    exchange.active.route(Some(id)).is_some_and(|route| route.cors.is_some())
}

/// Asks the table, as if the request had another method where one is given.
fn look_up(exchange: &mut Exchange<'_>, method: Option<&Method>) -> Found {
    let mut params = std::mem::take(&mut exchange.kit.params);
    let asked = Request { method: method.unwrap_or(&exchange.kit.head.method), exchange };
    let found = exchange.active.plan.table.find(&exchange.kit.host, exchange.path(), &asked, &mut params);
    exchange.kit.params = params;
    found
}

struct Request<'e> {
    exchange: &'e Exchange<'e>,
    method: &'e Method,
}

impl Facts for Request<'_> {
    fn method(&self) -> &Method {
        self.method
    }

    fn header<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a [u8]> {
        self.exchange.kit.head.headers.get_all(name)
    }

    fn query(&self) -> Option<&[u8]> {
        self.exchange.kit.head.query()
    }
}
