//! `user_agents`.

use tollgate_plan::Reason;
use tollgate_wire::name;

use crate::exchange::{Exchange, Reject};

/// Refuses a program that may not call.
pub(crate) fn agents(exchange: &Exchange<'_>) -> Result<(), Reject> {
    match exchange.matched().and_then(|route| route.user_agents.as_deref()) {
        Some(rules) if !rules.may_call(exchange.kit.head.headers.get_all(&name::USER_AGENT)) => {
            Err(Reject::new(Reason::UserAgentDenied, "this user agent may not call here"))
        }
        _ => Ok(()),
    }
}
