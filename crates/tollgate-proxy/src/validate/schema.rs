//! `validate`: query parameters, headers and body against their schemas.

use std::sync::Arc;

use serde_json::{Map, Value};
use tollgate_content::media::is_utf8;
use tollgate_content::schema::Schema;
use tollgate_plan::Reason;
use tollgate_wire::{HeaderBlock, Method, name};

use crate::buffer;
use crate::exchange::{Exchange, Reject};
use crate::expressions;
use crate::trail::Stage;

/// Refuses a request that is not as the route's schemas say. Where there is one for the body, all of it is read first.
pub(crate) async fn schemas(exchange: &mut Exchange<'_>) -> Result<(), Reject> {
    let Some(checks) = exchange.matched().and_then(|route| route.checks.as_deref()) else { return Ok(()) };
    if let Some(schema) = &checks.query {
        texts("query", schema, expressions::query(exchange), false)?;
    }
    if let Some(schema) = &checks.headers {
        texts("headers", schema, expressions::headers(exchange), true)?;
    }
    let kinds = [("query", &checks.query), ("headers", &checks.headers), ("body", &checks.body)];
    let kinds = kinds.map(|(kind, schema)| if schema.is_some() { kind } else { "" });
    if let Some(schema) = checks.body.clone() {
        body(exchange, schema).await?;
    }
    if kinds.iter().any(|kind| !kind.is_empty()) {
        exchange.note(|trail| {
            let checked: Vec<&str> = kinds.into_iter().filter(|kind| !kind.is_empty()).collect();
            trail.ok(Stage::Schema, format!("{} as the schema says", checked.join(" and ")));
        });
    }
    Ok(())
}

fn texts(what: &str, schema: &Schema, all: Value, commas: bool) -> Result<(), Reject> {
    let all = match all {
        Value::Object(all) => all,
        _ => Map::new(),
    };
    schema.check_texts(all, commas).map_err(|why| invalid(what, &why))
}

async fn body(exchange: &mut Exchange<'_>, schema: Arc<Schema>) -> Result<(), Reject> {
    let head = &exchange.kit.head;
    if exchange.body.is_none() {
        // What has no body by its method has nothing to check.
        return match head.method {
            Method::Post | Method::Put | Method::Patch => Err(invalid("body", "there is none")),
            _ => Ok(()),
        };
    }
    if !is_json(&head.headers) {
        return Err(invalid(
            "body",
            "its `Content-Type` must be `application/json`, or one that ends in `+json`",
        ));
    }
    if !head.headers.only(&name::CONTENT_TYPE).is_some_and(|kind| is_utf8(&String::from_utf8_lossy(kind))) {
        return Err(invalid("body", "its `charset` must be UTF-8"));
    }
    if head.headers.list(&name::CONTENT_ENCODING).any(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(invalid("body", "it must not have a content coding"));
    }
    buffer::request_body(exchange).await?;
    buffer::with_request_body(exchange, |body| schema.check(body)).map_err(|why| invalid("body", &why))
}

/// Whether the one media type is that of JSON, or of something written in it (RFC 6839 section 3.1).
fn is_json(headers: &HeaderBlock) -> bool {
    let Some(written) = headers.only(&name::CONTENT_TYPE) else { return false };
    let kind =
        written.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    kind == b"application/json" || kind.ends_with(b"+json")
}

fn invalid(what: &str, why: &str) -> Reject {
    Reject::new(Reason::SchemaInvalid, format!("{what}: {why}"))
}
