//! `guard`.

use tollgate_plan::Reason;

use crate::exchange::{Exchange, Reject};
use crate::expressions;

/// Refuses a request for which not all of the route's expressions hold. One that cannot be evaluated does not hold.
pub(crate) fn guards(exchange: &Exchange<'_>) -> Result<(), Reject> {
    let Some(checks) = exchange.matched().and_then(|route| route.checks.as_deref()) else { return Ok(()) };
    for guard in &checks.guards {
        let detail = match expressions::holds(exchange, &guard.holds) {
            Ok(true) => continue,
            Ok(false) => guard.detail.to_string(),
            Err(_) => "a condition of this route could not be evaluated for the request".to_owned(),
        };
        return Err(Reject { status: guard.status, ..Reject::new(Reason::GuardFailed, detail) });
    }
    Ok(())
}
