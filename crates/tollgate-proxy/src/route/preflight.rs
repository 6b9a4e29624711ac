//! Which route a browser asks about before it calls (CORS-preflight fetch of the Fetch Standard).
//!
//! The route is found as for the request that is to come, so that routes of one path can differ: by its method, and by its
//! headers as far as the preflight names them. What stands in them it does not say. Where that decides between routes, every
//! one of them has to allow the request.

use std::cell::RefCell;

use tollgate_plan::route::RouteId;
use tollgate_plan::table::{Facts, Found, HeaderCondition, ValueMatch};
use tollgate_wire::{Method, Name, name};

use crate::exchange::Exchange;

/// Routes that a request may take by what stands in its headers.
const ROUTES_MAX: usize = 32;

/// Headers that no preflight has or names, and the request may have: the CORS-safelisted ones, and cookies.
const NEVER_NAMED: [Name; 6] = [
    name::ACCEPT,
    name::ACCEPT_LANGUAGE,
    name::CONTENT_LANGUAGE,
    name::CONTENT_TYPE,
    name::COOKIE,
    name::RANGE,
];

/// The route whose word counts, or else, where no route has that method, one by which the browser learns which there are.
/// None when this is no such question, or the route leaves it to its service.
pub(super) fn find(exchange: &mut Exchange<'_>) -> Option<RouteId> {
    let head = &exchange.kit.head;
    if head.method != Method::Options || !head.headers.contains(&name::ORIGIN) {
        return None;
    }
    let method = Method::parse(head.headers.get(&name::ACCESS_CONTROL_REQUEST_METHOD)?)?;
    match look_up(exchange, &method) {
        Ok(found) => found,
        Err(others) => others.iter().find_map(|method| look_up(exchange, method).ok().flatten()),
    }
}

/// The first of the routes that the request may take and that answer preflights; the others are noted. An error has the
/// methods that the path has instead.
fn look_up(exchange: &mut Exchange<'_>, method: &Method) -> Result<Option<RouteId>, Vec<Method>> {
    let mut params = std::mem::take(&mut exchange.kit.params);
    let named: Vec<Name> = {
        let listed = exchange.kit.head.headers.list(&name::ACCESS_CONTROL_REQUEST_HEADERS);
        listed.filter_map(|name| Name::from_bytes(name).ok()).collect()
    };
    let mut request = Coming { exchange, method, named, passed: Vec::new(), unsure: RefCell::default() };
    let table = &exchange.active.plan.table;
    let mut answering: Vec<RouteId> = Vec::new();
    let outcome = loop {
        request.unsure.borrow_mut().clear();
        match table.find(&exchange.kit.host, exchange.path(), &request, &mut params) {
            Found::Route(id) => {
                if exchange.active.route(Some(id)).is_some_and(|route| route.cors.is_some()) {
                    answering.push(id);
                }
                if !request.unsure.borrow().contains(&id) {
                    break Ok(());
                }
                request.passed.push(id);
                if request.passed.len() > ROUTES_MAX {
                    answering.clear();
                    break Ok(());
                }
            }
            Found::MethodNotAllowed(allow) if request.passed.is_empty() => {
                break Err(allow.methods().to_vec());
            }
            Found::MethodNotAllowed(_) | Found::NotFound => break Ok(()),
        }
    };
    exchange.kit.params = params;
    outcome?;
    let mut answering = answering.into_iter();
    let first = answering.next();
    exchange.kit.preflighted.extend(answering);
    Ok(first)
}

/// The request that is to come.
struct Coming<'e> {
    exchange: &'e Exchange<'e>,
    method: &'e Method,
    /// Headers that it will have.
    named: Vec<Name>,
    /// Routes that it may take, which were found before.
    passed: Vec<RouteId>,
    /// Routes that it would take, if the right thing stood in its headers.
    unsure: RefCell<Vec<RouteId>>,
}

impl Coming<'_> {
    /// Whether a condition holds, where that is known.
    fn known(&self, condition: &HeaderCondition) -> Option<bool> {
        let name = &condition.name;
        match (&condition.value, self.named.contains(name)) {
            (ValueMatch::Present, true) => Some(true),
            (ValueMatch::Absent, true) => Some(false),
            (ValueMatch::Exact(_) | ValueMatch::Regex(_), true) => None,
            (_, false) if NEVER_NAMED.contains(name) => None,
            (_, false) => Some(condition.holds(self.header(name))),
        }
    }
}

impl Facts for Coming<'_> {
    fn method(&self) -> &Method {
        self.method
    }

    fn header<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a [u8]> {
        self.exchange.kit.head.headers.get_all(name)
    }

    fn query(&self) -> Option<&[u8]> {
        self.exchange.kit.head.query()
    }

    fn meets(&self, route: RouteId, condition: &HeaderCondition) -> bool {
        self.known(condition).unwrap_or_else(|| {
            let passed = self.passed.contains(&route);
            if !passed {
                self.unsure.borrow_mut().push(route);
            }
            !passed
        })
    }
}
