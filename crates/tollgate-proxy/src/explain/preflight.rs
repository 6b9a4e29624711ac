//! Which routes a preflight is answered for, where that is not the one route that a look at the table names: what will stand
//! in the headers of the request that it asks about nobody knows yet.

use serde_json::{Value, json};
use tollgate_plan::Plan;
use tollgate_plan::route::RouteId;
use tollgate_plan::table::{Considered, Why};

use crate::exchange::Exchange;

/// The routes whose word counts, the first that the request may take first. None for what is no preflight.
pub(super) fn words(exchange: &Exchange<'_>) -> Vec<RouteId> {
    if !exchange.preflight {
        return Vec::new();
    }
    exchange.route.into_iter().chain(exchange.kit.preflighted.iter().copied()).collect()
}

/// What is said of a route, in place of what the table says of a request whose headers are those of the preflight.
pub(super) fn told(plan: &Plan, words: &[RouteId], one: &Considered) -> Option<Value> {
    let (verdict, why) = match (words.contains(&one.route), &one.why) {
        (true, Why::Taken) if words.len() == 1 => return None,
        (true, Why::Method) => {
            ("taken", "no route has the method that is asked about: this one tells which there are")
        }
        (true, _) if words.len() == 1 => {
            ("taken", "the request that is asked about may take it, and it answers preflights")
        }
        (true, _) => {
            ("taken", "the request that is asked about may take it: its word counts with that of others")
        }
        (false, Why::Taken) if !words.is_empty() => (
            "lost",
            "the request that is asked about may take it, but it has no `cors`: it answers no preflight",
        ),
        (false, _) => return None,
    };
    let name = plan.routes.get(one.route.0 as usize).map(|route| &*route.name);
    Some(json!({ "name": name, "verdict": verdict, "by": "preflight", "why": why }))
}
