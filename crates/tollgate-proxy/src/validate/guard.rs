//! `guard`.

use serde_json::json;
use tollgate_plan::Reason;
use tollgate_plan::table::Allow;
use tollgate_wire::name;

use crate::credentials::challenges;
use crate::exchange::{Exchange, Reject};
use crate::expressions;
use crate::trail::{Stage, Verdict};

/// Refuses a request for which not all of the route's expressions hold. One that cannot be evaluated does not hold.
pub(crate) fn guards(exchange: &Exchange<'_>) -> Result<(), Reject> {
    let Some(route) = exchange.matched() else { return Ok(()) };
    let Some(checks) = route.checks.as_deref() else { return Ok(()) };
    for (at, guard) in checks.guards.iter().enumerate() {
        let detail = match expressions::holds(exchange, &guard.holds) {
            Ok(true) => continue,
            Ok(false) => guard.detail.to_string(),
            Err(_) => "a condition of this route could not be evaluated for the request".to_owned(),
        };
        let mut reject = Reject { status: guard.status, ..Reject::new(Reason::GuardFailed, detail) };
        if guard.status == 401 {
            for challenge in challenges(route.auth.as_deref(), None) {
                reject = reject.with(&name::WWW_AUTHENTICATE, challenge.as_bytes());
            }
        }
        if guard.status == 405 {
            // RFC 9110 section 15.5.6. Whether the guard lets these pass, only the next request can show.
            let table = &exchange.active.plan.table;
            let methods = exchange.route.map(|id| table.methods(id)).unwrap_or_default();
            let allow = Allow::instead(methods, &exchange.kit.head.method);
            reject = reject.with(&name::ALLOW, allow.to_string().as_bytes());
        }
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
