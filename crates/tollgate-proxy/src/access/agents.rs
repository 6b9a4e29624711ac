//! `user_agents`.

use tollgate_plan::Reason;
use tollgate_wire::name;

use crate::exchange::{Exchange, Reject};
use crate::trail::Stage;

/// Refuses a program that may not call.
pub(crate) fn agents(exchange: &Exchange<'_>) -> Result<(), Reject> {
    let Some(rules) = exchange.matched().and_then(|route| route.user_agents.as_deref()) else {
        return Ok(());
    };
    let verdict = match rules.may_call(exchange.kit.head.headers.get_all(&name::USER_AGENT)) {
        true => Ok(()),
        false => Err(Reject::new(Reason::UserAgentDenied, "this user agent may not call here")),
    };
    exchange.note(|trail| trail.told(Stage::UserAgents, &verdict, "the user agent may call"));
    verdict
}
