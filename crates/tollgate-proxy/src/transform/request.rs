//! Stage 10: what the upstream will be sent.

use std::borrow::Cow;

use tollgate_plan::aggregate::Aggregate;
use tollgate_plan::query::{self, Edit};
use tollgate_plan::route::{HeaderEdit, QueryEdit, Rewrite, Route};
use tollgate_plan::{Plan, Reason};
use tollgate_wire::{BodyLength, EntryRef, HopByHop, Name, name, write_header};

use super::forwarding;
use super::identity::Told;
use crate::exchange::{Exchange, ForParts, Outgoing, Reject, Validators};

/// Makes the target and the header lines, all but Host, which depends on the upstream's target.
pub(crate) fn request(exchange: &Exchange<'_>) -> Result<Outgoing, Reject> {
    let worker = exchange.worker;
    let mut outgoing = Outgoing { target: worker.spare.buffer(), lines: worker.spare.buffer() };
    let Some(route) = exchange.matched() else { return Ok(outgoing) };
    write_path(exchange, route, &mut outgoing.target)?;
    let told = Told::of(route.auth.as_deref());
    write_query(exchange, route, told, &mut outgoing.target);

    write_lines(exchange, route, told, &mut outgoing.lines);
    Ok(outgoing)
}

/// Whether a line behind the body goes on. What would not in the head, does not here either: some services read both
/// alike, and a claim or a header of the gateway's own must not come from the client.
pub(crate) fn keeps_trailer(plan: &Plan, route: Option<&Route>, entry: EntryRef<'_>) -> bool {
    !plan.subject_headers.iter().any(|name| entry.spells(name))
        && route.is_none_or(|route| {
            only_headers(route).is_none_or(|only| lists(only, entry))
                && Told::of(route.auth.as_deref()).keeps(entry)
                && !replaces(header_edits(route), |name| entry.spells(name))
        })
}

/// The client's lines that go on, the gateway's own, and the route's, written in one pass: the block that the
/// client sent stays as it is, for the log and for templates.
fn write_lines(exchange: &Exchange<'_>, route: &Route, told: Told<'_>, out: &mut Vec<u8>) {
    let headers = &exchange.kit.head.headers;
    let hop = HopByHop::of(headers);
    // A body that the gateway reads comes whole, and as it is.
    const OF_THE_CODING: [Name; 3] = [name::ACCEPT_ENCODING, name::IF_RANGE, name::RANGE];
    let reshaped = route.response.as_deref().is_some_and(|edits| edits.body.is_some());
    let (edits, only) = (header_edits(route), only_headers(route));
    let validates = exchange.validators.as_deref();
    headers.write_where(out, |entry| {
        !entry.is(&name::HOST)
            && hop.keeps(entry)
            && forwarding::keeps(exchange, entry)
            && told.keeps(entry)
            && !exchange.client.owns(&exchange.active.plan, entry)
            && !replaces(edits, |name| entry.spells(name))
            && only.is_none_or(|only| lists(only, entry) || is_needed(exchange, entry))
            && !(reshaped && lists(&OF_THE_CODING, entry))
            && !(validates.is_some() && lists(&CONDITIONS, entry))
    });
    if let Some(validators) = validates {
        write_validators(validators, out);
    }
    write_own(exchange, told, edits, only, reshaped, out);
    if hop.trailers {
        write_header(out, &name::TE, b"trailers");
    }
    if exchange.websocket {
        write_header(out, &name::CONNECTION, b"Upgrade");
        write_header(out, &name::UPGRADE, b"websocket");
    }
    if matches!(exchange.kit.head.body, BodyLength::Chunked | BodyLength::UntilClose) {
        write_header(out, &name::TRANSFER_ENCODING, b"chunked");
    }
}

/// What asks for a piece of an answer, or for none where the client has it.
const CONDITIONS: [Name; 4] = [name::IF_MODIFIED_SINCE, name::IF_NONE_MATCH, name::IF_RANGE, name::RANGE];

/// Asks whether what the gateway keeps is still right.
fn write_validators(validators: &Validators, out: &mut Vec<u8>) {
    if let Some(etag) = &validators.etag {
        write_header(out, &name::IF_NONE_MATCH, etag);
    }
    if let Some(changed) = &validators.last_modified {
        write_header(out, &name::IF_MODIFIED_SINCE, changed);
    }
}

/// The lines that the gateway itself writes, and the route's. `reads` says that it reads the answer's body: without
/// `Accept-Encoding` a service may use any coding that it likes (RFC 9110 section 12.5.3).
fn write_own(
    exchange: &Exchange<'_>,
    told: Told<'_>,
    edits: &[HeaderEdit],
    only: Option<&[Name]>,
    reads: bool,
    out: &mut Vec<u8>,
) {
    let headers = &exchange.kit.head.headers;
    let mut scratch = exchange.worker.scratch.borrow_mut();
    let value = &mut scratch.value;
    let mut put = |name: &Name, value: &[u8]| {
        // What is left of cookies when a credential is taken out is the client's still.
        let is_listed = *name != name::COOKIE || only.is_none_or(|only| only.contains(name));
        if is_listed && !replaces(edits, |edited| edited == name) {
            write_header(out, name, value);
        }
    };
    forwarding::write(exchange, value, &mut put);
    if reads {
        put(&name::ACCEPT_ENCODING, b"identity");
    }
    if let Some(trace) =
        exchange.trace.as_deref().filter(|_| replaces(edits, |edited| *edited == name::TRACEPARENT))
    {
        trace.hide();
    }
    told.write(exchange, headers, value, &mut put);
    // Not the line that stands in the block: the client's `Connection` may name it.
    if let Some((name, subject)) = exchange.client.subject() {
        put(name, subject.as_bytes());
    }
    for edit in edits {
        if let HeaderEdit::Set(name, template) | HeaderEdit::Add(name, template) = edit {
            value.clear();
            template.render_header(exchange, value);
            write_header(out, name, value);
        }
    }
}

/// What every part of an aggregate is sent: what of the client it may see, by its own lists and by the route's, the gateway's
/// own, and the route's. What describes the client's message, or asks for a piece or a coding of the answer, is for nobody's request
/// but its own.
pub(crate) fn part(exchange: &Exchange<'_>, aggregate: &Aggregate) -> ForParts {
    const OF_THE_MESSAGE: [Name; 12] = [
        name::ACCEPT_ENCODING,
        name::CONTENT_ENCODING,
        name::CONTENT_LENGTH,
        name::CONTENT_TYPE,
        name::EXPECT,
        name::HOST,
        name::IF_MATCH,
        name::IF_MODIFIED_SINCE,
        name::IF_NONE_MATCH,
        name::IF_UNMODIFIED_SINCE,
        name::RANGE,
        name::TRAILER,
    ];
    let mut out = Vec::new();
    let Some(route) = exchange.matched() else { return ForParts { lines: out, query: None } };
    let headers = &exchange.kit.head.headers;
    let only = &*aggregate.headers;
    let (hop, told, edits) = (HopByHop::of(headers), Told::of(route.auth.as_deref()), header_edits(route));
    headers.write_where(&mut out, |entry| {
        lists(only, entry)
            && only_headers(route).is_none_or(|only| lists(only, entry))
            && !lists(&OF_THE_MESSAGE, entry)
            && hop.keeps(entry)
            && forwarding::keeps(exchange, entry)
            && told.keeps(entry)
            && !exchange.client.owns(&exchange.active.plan, entry)
            && !replaces(edits, |name| entry.spells(name))
    });
    write_own(exchange, told, edits, Some(only), true, &mut out);
    ForParts { lines: out, query: edited_query(exchange, route, told, Some(&aggregate.query)) }
}

fn header_edits(route: &Route) -> &[HeaderEdit] {
    route.request.as_deref().map_or(&[], |edits| &edits.headers)
}

fn only_headers(route: &Route) -> Option<&[Name]> {
    route.request.as_deref()?.only_headers.as_deref()
}

/// Whether a line is one of those that a route lets through: in the standard spelling, which is what it lists.
fn lists(only: &[Name], entry: EntryRef<'_>) -> bool {
    only.iter().any(|name| entry.is(name))
}

/// Whether a line goes on whatever the route lists: those that frame the message or change its protocol, and those
/// of a trusted proxy in whose place the gateway would write its own.
fn is_needed(exchange: &Exchange<'_>, entry: EntryRef<'_>) -> bool {
    const FRAMING: [Name; 2] = [name::CONTENT_LENGTH, name::EXPECT];
    const WEBSOCKET: [Name; 4] = [
        name::SEC_WEBSOCKET_EXTENSIONS,
        name::SEC_WEBSOCKET_KEY,
        name::SEC_WEBSOCKET_PROTOCOL,
        name::SEC_WEBSOCKET_VERSION,
    ];
    const FORWARDED: [Name; 2] = [name::X_FORWARDED_HOST, name::X_FORWARDED_PROTO];
    lists(&FRAMING, entry)
        || (exchange.websocket && lists(&WEBSOCKET, entry))
        || (exchange.facts.trusted && lists(&FORWARDED, entry))
}

/// Whether the route takes a line away, or puts its own in the place of it.
fn replaces(edits: &[HeaderEdit], is: impl Fn(&Name) -> bool) -> bool {
    edits.iter().any(|edit| match edit {
        HeaderEdit::Remove(name) | HeaderEdit::Set(name, _) => is(name),
        HeaderEdit::Add(..) => false,
    })
}

fn write_path(exchange: &Exchange<'_>, route: &Route, out: &mut Vec<u8>) -> Result<(), Reject> {
    match route.request.as_deref().and_then(|edits| edits.rewrite.as_ref()) {
        None => out.extend_from_slice(exchange.path().as_bytes()),
        Some(Rewrite::To(template)) => template.render_path(exchange, out).map_err(|_| {
            Reject::new(
                Reason::TemplateValueMissing,
                "the request lacks a value that its way to the service needs",
            )
        })?,
        Some(Rewrite::StripPrefix(prefix)) => {
            let rest = exchange.path().strip_prefix(&**prefix);
            match rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                Some("") => out.push(b'/'),
                Some(rest) => out.extend_from_slice(rest.as_bytes()),
                None => out.extend_from_slice(exchange.path().as_bytes()),
            }
        }
    }
    Ok(())
}

fn write_query(exchange: &Exchange<'_>, route: &Route, told: Told<'_>, out: &mut Vec<u8>) {
    let edits = route.request.as_deref();
    let stays = edits.is_none_or(|edits| edits.only_query.is_none() && edits.query.is_empty());
    let edited = match exchange.kit.head.query() {
        Some(raw) if stays && told.parameters().next().is_none() => Some(Cow::Borrowed(raw)),
        _ => edited_query(exchange, route, told, None).map(Cow::Owned),
    };
    if let Some(query) = edited {
        out.push(b'?');
        out.extend_from_slice(&query);
    }
}

/// The client's query as the route leaves it, and of that only what `listed` names.
fn edited_query(
    exchange: &Exchange<'_>,
    route: &Route,
    told: Told<'_>,
    listed: Option<&[Box<str>]>,
) -> Option<Vec<u8>> {
    let only = route.request.as_deref().and_then(|edits| edits.only_query.as_deref());
    let mut edits: Vec<Edit<'_>> = only.into_iter().chain(listed).map(Edit::Only).collect();
    edits.extend(told.parameters().map(Edit::Remove));
    let own = route.request.as_deref().map_or(&[][..], |edits| &edits.query);
    let values: Vec<Vec<u8>> = own.iter().map(|edit| query_value(exchange, edit)).collect();
    edits.extend(own.iter().zip(&values).map(|(edit, value)| match edit {
        QueryEdit::Remove(name) => Edit::Remove(name),
        QueryEdit::Set(name, _) => Edit::Set(name, value),
    }));
    query::edit(exchange.kit.head.query(), &edits)
}

fn query_value(exchange: &Exchange<'_>, edit: &QueryEdit) -> Vec<u8> {
    let mut value = Vec::new();
    if let QueryEdit::Set(_, template) = edit {
        template.render_text(exchange, &mut value);
    }
    value
}
