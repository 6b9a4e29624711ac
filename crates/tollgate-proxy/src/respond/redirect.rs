//! `redirect:`.

use std::borrow::Cow;

use tollgate_plan::Reason;
use tollgate_plan::route::Redirect;
use tollgate_wire::{HeaderBlock, name};

use crate::exchange::{Exchange, Reject, Reply};

/// The answer that the route's `redirect` describes.
pub(crate) fn redirect(exchange: &Exchange<'_>, redirect: &Redirect) -> Result<Reply<'static>, Reject> {
    let mut location = Vec::new();
    redirect.to.render_url(exchange, &mut location).map_err(|_| {
        Reject::new(Reason::TemplateValueMissing, "the request lacks a value that the new address needs")
    })?;
    let mut headers = HeaderBlock::default();
    headers.append(&name::LOCATION, &location);
    Ok(Reply { status: redirect.status, headers, body: Cow::Borrowed(&[]) })
}
