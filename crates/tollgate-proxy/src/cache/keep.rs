//! What becomes of the upstream's answer: kept, given as it is, or replaced by an older one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tollgate_plan::Reason;
use tollgate_plan::reason::Blame;
use tollgate_plan::route::{HeaderEdit, Route};
use tollgate_policy::cache::{Came, Terms, covers_error, merge, terms, varied};
use tollgate_wire::{BodyLength, HeaderBlock, Method, Name, name, remove_hop_by_hop, vary_on};

use super::Shelf;
use super::give::give;
use super::look::Visit;
use super::told::Status;
use crate::exchange::{Answer, Cached, Exchange, Outcome, Reject, Reply};
use crate::live::cache::{Draft, Entry, Filling};
use crate::worker::Active;

/// Headers that the gateway writes for each request: what varies on them is for nobody else.
const OWN: [Name; 5] =
    [name::FORWARDED, name::VIA, name::X_FORWARDED_FOR, name::X_REAL_IP, name::X_REQUEST_ID];

/// Keeps what came if it may be kept, and tells the client how its answer was had.
pub(crate) fn keep<'a>(
    exchange: &Exchange<'_>,
    active: &Active,
    shelf: &'a Shelf,
    mut visit: Box<Visit>,
    outcome: Result<Outcome<'a>, Reject>,
) -> Result<Outcome<'a>, Reject> {
    let now = exchange.worker.clock.now();
    let mut outcome = match outcome {
        Err(reject) => return failed(exchange, shelf, *visit, reject, now),
        Ok(outcome) => outcome,
    };
    let status = outcome.status();
    if let Some(old) = visit.old.take() {
        let conditional = exchange.validators.as_ref().is_some_and(|with| !with.is_empty());
        if status == 304 && conditional {
            return unchanged(exchange, active, shelf, *visit, old, outcome, now).map(Outcome::Reply);
        }
        if matches!(status, 500 | 502 | 503 | 504) && covers_error(&old.terms, old.age(now)) {
            give_up(exchange, outcome);
            if let Some(flight) = visit.flight.take() {
                flight.failed();
            }
            let told = Status {
                forward: Some(visit.forward),
                forward_status: Some(status),
                collapsed: visit.collapsed,
                ..Status::default()
            };
            return give(exchange, shelf, old, Cached::Stale, told, now).map(Outcome::Reply);
        }
    }
    depends(exchange, active, outcome.headers());
    let draft = draft(exchange, active, &visit, status, outcome.headers(), now);
    if made_here(exchange)
        && let Some(flight) = visit.flight.take()
    {
        // The next request may well be another case to the script.
        flight.failed();
    }
    let stored = store(&mut visit, draft, &mut outcome, now);
    let told =
        Status { forward: Some(visit.forward), stored, collapsed: visit.collapsed, ..Status::default() };
    told.tell(outcome.headers());
    Ok(outcome)
}

/// Keeps the answer: now, or while its body goes to the client. Whether it is kept, as far as that is known now.
fn store(visit: &mut Visit, draft: Option<Draft>, outcome: &mut Outcome<'_>, now: Instant) -> bool {
    let flight = visit.flight.take();
    match (draft, outcome) {
        (Some(draft), Outcome::Answer(answer)) if is_framed(answer) => {
            let length = match answer.body {
                BodyLength::Length(length) => Some(length),
                BodyLength::None | BodyLength::Chunked | BodyLength::UntilClose => None,
            };
            answer.store = Filling::new(&visit.cache, draft, length, flight);
            answer.store.is_some()
        }
        (Some(draft), Outcome::Reply(reply)) => {
            let kept = draft.keep(&visit.cache, Bytes::copy_from_slice(&reply.body)).is_some();
            match flight {
                Some(flight) if kept => flight.kept(),
                Some(flight) => flight.failed(),
                None => {}
            }
            kept
        }
        (_, _) => {
            if let Some(flight) = flight {
                flight.not_kept(now);
            }
            false
        }
    }
}

/// Whether it can be told where the body ends: one that runs to the end of the connection may have broken off.
fn is_framed(answer: &Answer) -> bool {
    answer.body != BodyLength::UntilClose || answer.conn.io.h2().is_some()
}

/// Whether all of the body is to be read where no client gets it.
pub(crate) fn is_whole_wanted(answer: &Answer) -> bool {
    answer.head.status != 304 && is_framed(answer)
}

/// The upstream did not answer.
fn failed<'a>(
    exchange: &Exchange<'_>,
    shelf: &'a Shelf,
    mut visit: Visit,
    mut reject: Reject,
    now: Instant,
) -> Result<Outcome<'a>, Reject> {
    let flight = visit.flight.take();
    if reject.reason != Reason::ClientClosed
        && let Some(flight) = flight
    {
        // Who waits for it asks, and meets what stands before an upstream that fails.
        flight.failed();
    }
    // Who gives the gateway its tokens stands behind it as the upstream does.
    let fails =
        matches!(reject.reason.row().blame, Blame::Upstream) || reject.reason == Reason::IssuerUnavailable;
    let told = Status { forward: Some(visit.forward), collapsed: visit.collapsed, ..Status::default() };
    match visit.old.take().filter(|old| fails && covers_error(&old.terms, old.age(now))) {
        None => {
            told.tell(&mut reject.headers);
            Err(reject)
        }
        Some(old) => give(exchange, shelf, old, Cached::Stale, told, now).map(Outcome::Reply),
    }
}

/// The upstream says that what is kept is still right: it is kept anew, under the headers that came.
fn unchanged<'a>(
    exchange: &Exchange<'_>,
    active: &Active,
    shelf: &'a Shelf,
    mut visit: Visit,
    old: Arc<Entry>,
    mut outcome: Outcome<'_>,
    now: Instant,
) -> Result<Reply<'a>, Reject> {
    let news = outcome.headers().clone();
    let mut headers = merge(&old.headers, &news);
    if !news.contains(&name::DATE) {
        // It has been said now (RFC 9110 section 6.6.1), and not when what is kept was made.
        headers.remove(&name::DATE);
    }
    depends(exchange, active, &mut headers);
    give_up(exchange, outcome);
    let draft = draft(exchange, active, &visit, old.status, &headers, now);
    let fresh = draft.and_then(|draft| {
        let draft = Draft { varied: old.varied.clone(), ..draft };
        draft.keep(&visit.cache, old.body.clone())
    });
    if let Some(flight) = visit.flight.take() {
        if fresh.is_some() { flight.kept() } else { flight.not_kept(now) }
    }
    let told = Status {
        forward: Some(visit.forward),
        forward_status: Some(304),
        stored: fresh.is_some(),
        collapsed: visit.collapsed,
        entry: None,
    };
    // What is not kept is this client's all the same.
    let given = fresh.unwrap_or_else(|| {
        Arc::new(Entry {
            status: old.status,
            headers: kept_headers(exchange, &headers, &[], now),
            body: old.body.clone(),
            terms: Terms { age: Duration::ZERO, ..old.terms },
            varied: old.varied.clone(),
            begun: visit.begun,
            arrived: now,
        })
    });
    let mut reply = give(exchange, shelf, given, Cached::Revalidated, told, now)?;
    // Cookies are never kept; they are for this client.
    news.get_all(&name::SET_COOKIE).for_each(|cookie| reply.headers.append(&name::SET_COOKIE, cookie));
    Ok(reply)
}

/// Tells caches between here and the client what tells the route's answers apart.
fn depends(exchange: &Exchange<'_>, active: &Active, headers: &mut HeaderBlock) {
    let rules = active.route(exchange.route).and_then(|route| route.cache.as_deref());
    rules.into_iter().flat_map(|rules| &rules.vary).for_each(|name| vary_on(headers, name.as_str()));
}

/// What is kept of the answer beside its body; none where it may not be kept.
fn draft(
    exchange: &Exchange<'_>,
    active: &Active,
    visit: &Visit,
    status: u16,
    headers: &HeaderBlock,
    now: Instant,
) -> Option<Draft> {
    let key = visit.key.as_ref()?;
    let route = active.route(exchange.route)?;
    let rules = route.cache.as_deref()?;
    if exchange.kit.head.method != Method::Get || exchange.seen.unkept.get() {
        return None;
    }
    let came = Came {
        status,
        headers,
        cookies: headers.contains(&name::SET_COOKIE) && !removes_cookies(route),
        at: exchange.worker.clock.wall(now),
        delay: now.saturating_duration_since(visit.begun),
    };
    let (terms, left_out) = terms(came, visit.asked, rules)?;
    let varied = varied(headers, &exchange.kit.head.headers, &rules.vary)?;
    if varied.iter().any(|(name, _)| is_own(active, route, name)) {
        return None;
    }
    Some(Draft {
        key: key.as_bytes().into(),
        status,
        headers: kept_headers(exchange, headers, &left_out, now),
        terms,
        varied,
        begun: visit.begun,
        arrived: now,
    })
}

/// Whether a script answered in the place of the upstream, which was not asked.
fn made_here(exchange: &Exchange<'_>) -> bool {
    let forwards = exchange.matched().is_some_and(|route| route.action.forwards());
    exchange.seen.unkept.get() && forwards && exchange.seen.attempts.get() == 0
}

/// What is kept of the headers. One that came without a date has been made now (RFC 9110 section 6.6.1).
fn kept_headers(
    exchange: &Exchange<'_>,
    headers: &HeaderBlock,
    left_out: &[Box<[u8]>],
    now: Instant,
) -> HeaderBlock {
    let mut kept = headers.clone();
    remove_hop_by_hop(&mut kept);
    kept.retain_entries(|entry| {
        !entry.is(&name::AGE)
            && !entry.is(&name::SET_COOKIE)
            && !left_out.iter().any(|field| entry.name().eq_ignore_ascii_case(field))
    });
    exchange.worker.date(&mut kept, now);
    kept
}

fn removes_cookies(route: &Route) -> bool {
    let edits = route.response.as_deref().map_or(&[][..], |edits| &edits.headers);
    edits.iter().any(|edit| matches!(edit, HeaderEdit::Remove(name) if *name == name::SET_COOKIE))
}

/// Whether the upstream is told something under this name that the client did not say.
fn is_own(active: &Active, route: &Route, name: &Name) -> bool {
    let edits = route.request.as_deref().map_or(&[][..], |edits| &edits.headers);
    let edited = edits.iter().any(|edit| match edit {
        HeaderEdit::Set(own, template) | HeaderEdit::Add(own, template) => {
            own == name && template.literal().is_none()
        }
        HeaderEdit::Remove(_) => false,
    });
    let claims = route.auth.as_deref().map_or(&[][..], |auth| &auth.forward);
    edited
        || OWN.contains(name)
        || claims.iter().any(|(own, _)| own == name)
        || active.plan.subject_headers.contains(name)
}

/// Ends an answer that the client does not get. A body that came with the head needs no more reading; any other is not worth
/// it.
fn give_up(exchange: &Exchange<'_>, outcome: Outcome<'_>) {
    if let Outcome::Answer(mut answer) = outcome {
        let whole = match answer.body {
            BodyLength::None => answer.rest.is_empty(),
            BodyLength::Length(length) => answer.rest.len() as u64 == length,
            BodyLength::Chunked | BodyLength::UntilClose => false,
        };
        answer.ended(exchange, Ok(answer.head.status), whole);
        exchange.worker.spare.keep_response(answer.head);
        exchange.worker.spare.keep_buffer(answer.rest);
    }
}
