//! `guard`.

use serde_json::json;
use tollgate_plan::Reason;

use crate::exchange::{Exchange, Reject};
use crate::expressions;
use crate::trail::{Stage, Verdict};

/// Refuses a request for which not all of the route's expressions hold. One that cannot be evaluated does not hold.
pub(crate) fn guards(exchange: &Exchange<'_>) -> Result<(), Reject> {
    let Some(checks) = exchange.matched().and_then(|route| route.checks.as_deref()) else { return Ok(()) };
    for (at, guard) in checks.guards.iter().enumerate() {
        let detail = match expressions::holds(exchange, &guard.holds) {
            Ok(true) => continue,
            Ok(false) => guard.detail.to_string(),
            Err(_) => "a condition of this route could not be evaluated for the request".to_owned(),
        };
        let reject = Reject { status: guard.status, ..Reject::new(Reason::GuardFailed, detail) };
        exchange.note(|trail| {
            let detail = format!("guard {} of {}: {}", at + 1, checks.guards.len(), reject.detail);
            trail.step(Stage::Guard, Verdict::of(&reject), detail, json!({ "guard": at }));
        });
        return Err(reject);
    }
    if !checks.guards.is_empty() {
        exchange.note(|trail| trail.ok(Stage::Guard, format!("all of {} hold", checks.guards.len())));
    }
    Ok(())
}
