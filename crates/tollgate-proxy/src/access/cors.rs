//! Cross-origin requests of browsers (CORS protocol of the Fetch Standard; RFC 6454 for what an origin is).
//!
//! On a route with `cors` the gateway's word is the only one: it answers preflights, and what a service says of its
//! own about other origins does not reach the browser.

use std::borrow::Cow;

use tollgate_plan::access::{AllowedHeaders, Cors, Origins};
use tollgate_wire::{HeaderBlock, Method, Name, name};

use crate::exchange::{Exchange, Reply};
use crate::trail::Stage;
use crate::worker::Kit;

/// Notes what the answer will tell the browser, whoever makes it; a preflight is answered here.
pub(crate) fn cors(exchange: &mut Exchange<'_>) -> Option<Reply<'static>> {
    let active = exchange.active.clone();
    let cors = active.route(exchange.route)?.cors.as_deref()?;
    let Kit { head, carried, preflighted, .. } = &mut *exchange.kit;
    if exchange.preflight {
        let others = preflighted.iter().filter_map(|id| active.route(Some(*id))?.cors.as_deref());
        let headers = preflight(cors, others, &head.headers);
        let allowed = headers.contains(&name::ACCESS_CONTROL_ALLOW_ORIGIN);
        let count = preflighted.len();
        exchange.note(|trail| {
            let said =
                if allowed { "what it asks for is allowed" } else { "it is not allowed what it asks for" };
            let several = match count {
                0 => String::new(),
                others => format!(
                    ", by the word of {} routes: which one the request takes rests on what stands in its headers",
                    others + 1
                ),
            };
            trail.ok(Stage::Cors, format!("a preflight, which the gateway answers: {said}{several}"));
        });
        return Some(Reply { status: 204, headers, body: Cow::Borrowed(&[]) });
    }
    answer(cors, &head.headers, carried);
    exchange.note(|trail| {
        let told = exchange.kit.carried.contains(&name::ACCESS_CONTROL_ALLOW_ORIGIN);
        let said =
            if told { "a page of this origin may read the answer" } else { "no page may read the answer" };
        trail.ok(Stage::Cors, said);
    });
    None
}

/// Takes away what a service says about other origins, where the gateway speaks for it.
pub(crate) fn own_word(exchange: &Exchange<'_>, headers: &mut HeaderBlock) {
    if exchange.matched().is_some_and(|route| route.cors.is_some()) {
        headers.retain(|name, _| !is_cors(name));
    }
}

fn is_cors(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"access-control-";
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// What an answer that is no preflight's says.
fn answer(cors: &Cors, request: &HeaderBlock, out: &mut HeaderBlock) {
    if cors.origins == Origins::Any {
        // Whoever asks: a cache may give this answer to a browser of any origin.
        allow_origin(cors, b"*", out);
    } else {
        // Also for those who get nothing else: a cache must not give their answer to somebody who would.
        out.append(&name::VARY, b"Origin");
        let Some(origin) = allowed_origin(cors, request) else { return };
        allow_origin(cors, origin, out);
    }
    if !cors.expose.is_empty() {
        out.append(&name::ACCESS_CONTROL_EXPOSE_HEADERS, cors.expose.as_bytes());
    }
}

/// What a preflight is told: everything that is allowed, or nothing when something it asks for is not, be it by the rules of
/// another route that the request may take.
fn preflight<'a>(
    cors: &Cors,
    mut others: impl Iterator<Item = &'a Cors>,
    request: &HeaderBlock,
) -> HeaderBlock {
    let mut out = HeaderBlock::default();
    out.append(&name::VARY, b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
    let Some((origin, headers)) = allowed(cors, request) else { return out };
    // Nor is it sent with cookies to a route that wants none.
    let agrees = |other: &Cors| allowed(other, request).is_some() && (other.credentials || !cors.credentials);
    if !others.all(agrees) {
        return out;
    }
    allow_origin(cors, origin, &mut out);
    let methods: Vec<&str> = cors.methods.iter().map(Method::as_str).collect();
    out.append(&name::ACCESS_CONTROL_ALLOW_METHODS, methods.join(", ").as_bytes());
    if !headers.is_empty() {
        out.append(&name::ACCESS_CONTROL_ALLOW_HEADERS, headers.as_bytes());
    }
    out.append(&name::ACCESS_CONTROL_MAX_AGE, itoa::Buffer::new().format(cors.max_age.as_secs()).as_bytes());
    out
}

/// The origin and the request headers that a preflight is told of; none where not all that it asks for is allowed.
fn allowed<'a>(cors: &Cors, request: &'a HeaderBlock) -> Option<(&'a [u8], String)> {
    let asked = request.get(&name::ACCESS_CONTROL_REQUEST_METHOD).and_then(Method::parse);
    asked.filter(|method| allows_method(cors, method))?;
    Some((allowed_origin(cors, request)?, allowed_headers(cors, request)?))
}

fn allow_origin(cors: &Cors, origin: &[u8], out: &mut HeaderBlock) {
    let any = cors.origins == Origins::Any;
    out.append(&name::ACCESS_CONTROL_ALLOW_ORIGIN, if any { b"*" } else { origin });
    // With `*` no browser accepts it, and none should.
    if cors.credentials && !any {
        out.append(&name::ACCESS_CONTROL_ALLOW_CREDENTIALS, b"true");
    }
}

/// The origin, when there is exactly one and it may read answers.
fn allowed_origin<'a>(cors: &Cors, request: &'a HeaderBlock) -> Option<&'a [u8]> {
    let mut origins = request.get_all(&name::ORIGIN);
    let origin = origins.next().filter(|origin| cors.origins.allow(origin));
    origin.filter(|_| origins.next().is_none())
}

/// HEAD is served wherever GET is.
fn allows_method(cors: &Cors, asked: &Method) -> bool {
    cors.methods.contains(asked) || (*asked == Method::Head && cors.methods.contains(&Method::Get))
}

/// The request headers that a preflight is told of; none when it asks for one that is not allowed, or for what is no
/// header name.
fn allowed_headers(cors: &Cors, request: &HeaderBlock) -> Option<String> {
    let asked = request.list(&name::ACCESS_CONTROL_REQUEST_HEADERS).map(Name::from_bytes);
    let asked = asked.collect::<Result<Vec<Name>, _>>().ok()?;
    let told = match &cors.headers {
        AllowedHeaders::Any => &asked,
        AllowedHeaders::These(these) if asked.iter().all(|name| these.contains(name)) => these,
        AllowedHeaders::These(_) => return None,
    };
    Some(told.iter().map(Name::as_str).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests;
