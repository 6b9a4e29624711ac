//! The one thing a route does.

use std::path::Path;
use std::sync::Arc;

use tollgate_plan::route::{Action, Mirror, Redirect, Respond, RespondBody, Weighted};
use tollgate_plan::template::Template;
use tollgate_plan::upstream::UpstreamId;
use tollgate_wire::{Name, name};

use super::Contents;
use super::checks::Schemas;
use super::consumers::People;
use super::edits::Scope;
use super::interface::Interfaces;
use super::issuers::Issuers;
use super::limits::RateLimits;
use super::lua::Compiled;
use super::templates::Templates;
use super::upstreams::Upstreams;
use super::{aggregate, shaping};
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, Dict, Slot};
use crate::source_map::Span;
use crate::spec::{self, HealthSet, Route, To};
use crate::suggest;

const JSON: &str = "application/json";
const PLAIN: &str = "text/plain; charset=utf-8";

/// What routes are made from.
pub(super) struct Parts<'a> {
    pub(super) upstreams: Upstreams,
    pub(super) issuers: Issuers,
    pub(super) people: People,
    pub(super) rate_limits: RateLimits,
    pub(super) schemas: Schemas<'a>,
    pub(super) interfaces: Interfaces<'a>,
    pub(super) scripts: Compiled<'a>,
    pub(super) templates: Templates<'a>,
    pub(super) files: &'a Contents,
}

/// The action of a route. `None` when the report says what is wrong with it.
pub(super) fn action(
    route: &At<Route>,
    encode: spec::Encode,
    parts: &mut Parts<'_>,
    scope: &Scope<'_>,
    report: &mut Report,
) -> Option<Action> {
    exactly_one(route, report)?;
    let block = &route.value;
    if let Some(To(to)) = block.to.value() {
        let to = forward(to, &mut parts.upstreams, report)?;
        return Some(match to[..] {
            [only] => Action::To(only.upstream),
            _ => Action::Split(to.into()),
        });
    }
    if let Some(At { value, .. }) = block.respond.given() {
        return respond(value, parts.files, scope, report).map(|respond| Action::Respond(respond.into()));
    }
    if let Some(redirect) = block.redirect.value() {
        let At { value: location, span, .. } = redirect.to.given()?;
        let to = scope.bind(&location.0.0, *span, report);
        return Some(Action::Redirect(Redirect { to, status: redirect.status().0 }.into()));
    }
    if let Some(aggregate) = block.aggregate.value() {
        let encode = shaping::encoding(encode);
        let aggregate = aggregate::aggregate(aggregate, encode, parts, scope, report)?;
        return Some(Action::Aggregate(aggregate.into()));
    }
    health(block.health.value()?, &mut parts.upstreams, report).map(|of| Action::Health(of.into()))
}

/// Who gets copies of the route's requests. Of none of them is nobody.
pub(super) fn mirror(
    slot: &Slot<spec::Mirror>,
    parts: &mut Parts<'_>,
    report: &mut Report,
) -> Option<Box<Mirror>> {
    let block = slot.value()?;
    let to = destination(block.to.given()?, &mut parts.upstreams, report)?;
    let share_percent = block.share().0;
    (share_percent > 0).then(|| Box::new(Mirror { to, share_percent }))
}

/// Reports a route with no action, or with more than one.
fn exactly_one(route: &At<Route>, report: &mut Report) -> Option<()> {
    let block = &route.value;
    let keys = [
        ("to", block.to.key()),
        ("respond", block.respond.key()),
        ("redirect", block.redirect.key()),
        ("health", block.health.key()),
        ("aggregate", block.aggregate.key()),
    ];
    let found: Vec<(&str, Span)> = keys.into_iter().filter_map(|(name, key)| Some((name, key?))).collect();
    match found.as_slice() {
        [_] => Some(()),
        [] => {
            let hint = "add one of `to`, `aggregate`, `respond`, `redirect` and `health`";
            report.push(Finding::error(Code::MissingKey, route.key, "the route has no action").hint(hint));
            None
        }
        [first, rest @ ..] => {
            let names = suggest::listing(found.iter().map(|(name, _)| *name));
            let place = rest.iter().map(|(_, key)| *key).next().unwrap_or(first.1);
            let message = format!("the route has more than one action: {names}");
            report.push(Finding::error(Code::Conflict, place, message).related(first.1, "the first one"));
            None
        }
    }
}

fn forward(
    to: &[(At<spec::Destination>, u32)],
    upstreams: &mut Upstreams,
    report: &mut Report,
) -> Option<Vec<Weighted>> {
    let mut weighted = Vec::with_capacity(to.len());
    for (to, weight) in to {
        let upstream = destination(to, upstreams, report);
        weighted.extend(upstream.map(|upstream| Weighted { upstream, weight: *weight }));
    }
    (weighted.len() == to.len()).then_some(weighted)
}

pub(super) fn destination(
    At { value, span, .. }: &At<spec::Destination>,
    upstreams: &mut Upstreams,
    report: &mut Report,
) -> Option<UpstreamId> {
    match value {
        spec::Destination::Named(name) => upstreams.find(name, *span, report),
        spec::Destination::Url(url) => Some(upstreams.of_url(url, *span)),
    }
}

fn health(block: &spec::Health, upstreams: &mut Upstreams, report: &mut Report) -> Option<Vec<UpstreamId>> {
    match block.upstreams() {
        HealthSet::All => Some(upstreams.all_named()),
        HealthSet::Some(names) if names.is_empty() => {
            let span = block.upstreams.given().map_or(block.span, |at| at.span);
            report.push(Finding::error(Code::BadValue, span, "the health of no upstream says nothing"));
            None
        }
        HealthSet::Some(names) => {
            let found: Vec<_> =
                names.iter().filter_map(|name| upstreams.find(&name.value, name.span, report)).collect();
            (found.len() == names.len()).then_some(found)
        }
    }
}

fn respond(
    block: &spec::Respond,
    files: &Contents,
    scope: &Scope<'_>,
    report: &mut Report,
) -> Option<Respond> {
    let status = block.status().0 as u16;
    let bodies: Vec<Span> =
        [block.json.key(), block.body.key(), block.file.key()].into_iter().flatten().collect();
    if let [first, second, ..] = bodies.as_slice() {
        let message = "`json`, `body` and `file` exclude each other";
        report.push(Finding::error(Code::Conflict, *second, message).related(*first, "the first one"));
        return None;
    }
    // RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5.
    if let (204 | 205 | 304, Some(body)) = (status, bodies.first()) {
        let message = format!("an answer with status {status} has no body");
        report.push(Finding::error(Code::Conflict, *body, message));
    }
    let (body, content_type) = body(block, files, scope, report)?;
    let mut headers: Vec<(Name, Template)> = Vec::new();
    for (name, At { value, span, .. }) in block.headers.value().into_iter().flat_map(Dict::iter) {
        headers.push((name.0.clone(), scope.bind(&value.0, *span, report)));
    }
    if let Some(content_type) =
        content_type.filter(|_| !headers.iter().any(|(name, _)| *name == name::CONTENT_TYPE))
    {
        headers.push((name::CONTENT_TYPE, Template::text(content_type)));
    }
    Some(Respond { status, headers, body })
}

fn body(
    block: &spec::Respond,
    files: &Contents,
    scope: &Scope<'_>,
    report: &mut Report,
) -> Option<(RespondBody, Option<&'static str>)> {
    if let Some(At { value, span, .. }) = block.json.given() {
        let template = scope.bind(&value.0, *span, report);
        return Some((fixed_or(template, RespondBody::Json), Some(JSON)));
    }
    if let Some(At { value, span, .. }) = block.body.given() {
        let template = scope.bind(&value.0, *span, report);
        return Some((fixed_or(template, RespondBody::Text), Some(PLAIN)));
    }
    if let Some(path) = block.file.value() {
        // A file that could not be read is in the report and not in the map.
        let bytes = files.get(path)?;
        return Some((RespondBody::Fixed(bytes.clone()), Some(content_type(path))));
    }
    let written = block.json.key().or(block.body.key()).or(block.file.key()).is_some();
    (!written).then(|| (RespondBody::Fixed(Arc::default()), None))
}

fn fixed_or(template: Template, body: fn(Template) -> RespondBody) -> RespondBody {
    match template.literal() {
        Some(text) => RespondBody::Fixed(text.as_bytes().into()),
        None => body(template),
    }
}

/// The media type that a file's ending implies.
fn content_type(path: &Path) -> &'static str {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    match ending.as_deref() {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("txt" | "text" | "log") => PLAIN,
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("csv") => "text/csv; charset=utf-8",
        Some("md") => "text/markdown; charset=utf-8",
        Some("json" | "map") => JSON,
        Some("webmanifest") => "application/manifest+json",
        Some("xml") => "application/xml",
        Some("yaml" | "yml") => "application/yaml",
        Some("pdf") => "application/pdf",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        Some("avif") => "image/avif",
        Some("ico") => "image/x-icon",
        Some("woff") => "font/woff",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
