//! `validate.openapi`: whether the request is one that the description of the interface has.

use tollgate_content::openapi::{BodyCheck, OpenApi};
use tollgate_plan::Reason;
use tollgate_wire::{HeaderBlock, Name, name};

use crate::buffer;
use crate::exchange::{Exchange, Reject};
use crate::trail::Stage;

/// Refuses a request that is not as the route's description says. Where a body has a schema, all of it is read first.
pub(crate) async fn interface(exchange: &mut Exchange<'_>) -> Result<(), Reject> {
    let interface = exchange.matched().and_then(|route| route.checks.as_deref()?.interface.clone());
    let Some(interface) = interface else { return Ok(()) };
    let verdict = check(exchange, &interface).await;
    exchange.note(|trail| trail.told(Stage::Openapi, &verdict, "the request is as the description says"));
    verdict
}

async fn check(exchange: &mut Exchange<'_>, interface: &OpenApi) -> Result<(), Reject> {
    let Some(rest) = head(exchange, interface)? else { return Ok(()) };
    let headers = &exchange.kit.head.headers;
    if headers.list(&name::CONTENT_ENCODING).any(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(invalid("body: it must not have a content coding".to_owned()));
    }
    buffer::request_body(exchange).await?;
    buffer::with_request_body(exchange, |body| rest.check(body)).map_err(invalid)
}

/// Checks all but the body; what is left to check of that.
fn head<'a>(exchange: &Exchange<'_>, interface: &'a OpenApi) -> Result<Option<BodyCheck<'a>>, Reject> {
    let head = &exchange.kit.head;
    let header = |wanted: &str| joined(&head.headers, wanted);
    let call = interface.find(head.method.as_str(), exchange.path()).map_err(invalid)?;
    call.check(head.query().unwrap_or_default(), &header).map_err(invalid)?;
    let kind = head.headers.only(&name::CONTENT_TYPE).map(String::from_utf8_lossy);
    call.body(exchange.body.is_some(), kind.as_deref()).map_err(invalid)
}

/// The lines under a lower-case name, as one text.
fn joined(headers: &HeaderBlock, wanted: &str) -> Option<String> {
    let wanted = Name::new(wanted).ok()?;
    let separator: &[u8] = if wanted == name::COOKIE { b"; " } else { b", " };
    let lines: Vec<&[u8]> = headers.get_all(&wanted).collect();
    (!lines.is_empty()).then(|| String::from_utf8_lossy(&lines.join(separator)).into_owned())
}

fn invalid(why: String) -> Reject {
    Reject::new(Reason::SchemaInvalid, why)
}
