//! `respond:`, an answer from the configuration.

use std::borrow::Cow;

use tollgate_plan::route::{Respond, RespondBody};
use tollgate_wire::HeaderBlock;

use crate::exchange::{Exchange, Reply};

/// The answer that the route's `respond` describes.
pub(crate) fn fixed<'a>(exchange: &Exchange<'_>, respond: &'a Respond) -> Reply<'a> {
    let mut value = Vec::new();
    let mut headers = HeaderBlock::default();
    for (name, template) in &respond.headers {
        value.clear();
        template.render_header(exchange, &mut value);
        headers.append(name, &value);
    }
    let body = match &respond.body {
        RespondBody::Fixed(bytes) => Cow::Borrowed(&**bytes),
        RespondBody::Text(template) => {
            let mut out = Vec::new();
            template.render_text(exchange, &mut out);
            Cow::Owned(out)
        }
        RespondBody::Json(template) => {
            let mut out = Vec::new();
            template.render_json(exchange, &mut out);
            Cow::Owned(out)
        }
    };
    Reply { status: respond.status, headers, body }
}
