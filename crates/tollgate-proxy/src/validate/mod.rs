//! Stage 8: whether the request is acceptable: how long its body is, what `guard` and `validate` ask.

mod guard;
mod interface;
mod schema;

pub(crate) use guard::guards;
pub(crate) use interface::interface;
pub(crate) use schema::schemas;

use tollgate_wire::BodyLength;

use crate::exchange::{Exchange, Reject, RequestBody};
use crate::trail::Stage;

/// Refuses a body that announces to be too large; otherwise makes it ready to be read, within its bound.
pub(crate) fn declared_size(exchange: &mut Exchange<'_>) -> Result<(), Reject> {
    let Some(route) = exchange.matched() else { return Ok(()) };
    let max = route.max_body;
    if let BodyLength::Length(length) = exchange.kit.head.body
        && length > max
    {
        return Err(Reject::body_too_large(max));
    }
    exchange.body = RequestBody::of(&exchange.kit.head, &exchange.active.plan.limits, max);
    if let Some(body) = &exchange.body {
        exchange.note(|trail| {
            let length = match body.length {
                BodyLength::Length(length) => format!("{length} bytes"),
                _ => "of unknown length".to_owned(),
            };
            trail.ok(Stage::Body, format!("{length}; at most {max} bytes here"));
        });
    }
    Ok(())
}
