//! `health:`, the gateway's own health for the public.

use std::borrow::Cow;

use tollgate_plan::upstream::UpstreamId;
use tollgate_wire::{HeaderBlock, name};

use crate::exchange::{Exchange, Reply};

/// The health of these upstreams; 503 when none of them can be reached.
pub(crate) fn health(exchange: &Exchange<'_>, upstreams: &[UpstreamId]) -> Reply<'static> {
    let report = exchange.worker.shared.health(Some(upstreams));
    let mut headers = HeaderBlock::default();
    headers.append(&name::CONTENT_TYPE, b"application/json");
    headers.append(&name::CACHE_CONTROL, b"no-store");
    let status = if report.verdict() == "down" { 503 } else { 200 };
    Reply {
        status,
        headers,
        body: Cow::Owned(report.to_json(env!("CARGO_PKG_VERSION")).to_string().into_bytes()),
    }
}
