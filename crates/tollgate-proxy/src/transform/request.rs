//! Stage 10: what the upstream will be sent.

use tollgate_plan::Reason;
use tollgate_plan::query::{self, Edit};
use tollgate_plan::route::{HeaderEdit, QueryEdit, Rewrite, Route};
use tollgate_wire::{BodyLength, HeaderBlock, name, remove_hop_by_hop};

use super::forwarding;
use crate::exchange::{Exchange, Outgoing, Reject};
use crate::worker::Scratch;

/// Makes the target and the header lines, all but Host, which depends on the upstream's target.
pub(crate) fn request(exchange: &Exchange<'_>) -> Result<Outgoing, Reject> {
    let worker = exchange.worker;
    let mut outgoing = Outgoing { target: worker.spare.buffer(), lines: worker.spare.buffer() };
    let Some(route) = exchange.matched() else { return Ok(outgoing) };
    write_path(exchange, route, &mut outgoing.target)?;
    write_query(exchange, route, &mut outgoing.target);

    let mut scratch = worker.scratch.borrow_mut();
    let Scratch { edit, value, .. } = &mut *scratch;
    edit.clone_from(&exchange.head.headers);
    remove_hop_by_hop(edit);
    edit.remove(&name::HOST);
    forwarding::set(exchange, edit, value);
    edit_headers(&route.request.headers, exchange, edit, value);
    if exchange.head.body == BodyLength::Chunked {
        edit.append(&name::TRANSFER_ENCODING, b"chunked");
    }
    edit.write_to(&mut outgoing.lines);
    Ok(outgoing)
}

fn write_path(exchange: &Exchange<'_>, route: &Route, out: &mut Vec<u8>) -> Result<(), Reject> {
    match &route.request.rewrite {
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

fn write_query(exchange: &Exchange<'_>, route: &Route, out: &mut Vec<u8>) {
    let raw = exchange.head.query();
    if route.request.query.is_empty() {
        if let Some(raw) = raw {
            out.push(b'?');
            out.extend_from_slice(raw);
        }
        return;
    }
    let values: Vec<Vec<u8>> = route.request.query.iter().map(|edit| query_value(exchange, edit)).collect();
    let edits = route.request.query.iter().zip(&values).map(|(edit, value)| match edit {
        QueryEdit::Remove(name) => Edit::Remove(name),
        QueryEdit::Set(name, _) => Edit::Set(name, value),
    });
    if let Some(edited) = query::edit(raw, &edits.collect::<Vec<_>>()) {
        out.push(b'?');
        out.extend_from_slice(&edited);
    }
}

fn query_value(exchange: &Exchange<'_>, edit: &QueryEdit) -> Vec<u8> {
    let mut value = Vec::new();
    if let QueryEdit::Set(_, template) = edit {
        template.render_text(exchange, &mut value);
    }
    value
}

/// Applies a route's header edits.
pub(super) fn edit_headers(
    edits: &[HeaderEdit],
    exchange: &Exchange<'_>,
    headers: &mut HeaderBlock,
    value: &mut Vec<u8>,
) {
    for edit in edits {
        match edit {
            HeaderEdit::Remove(name) => {
                headers.remove(name);
            }
            HeaderEdit::Set(name, template) => {
                value.clear();
                template.render_header(exchange, value);
                headers.set(name, value);
            }
            HeaderEdit::Add(name, template) => {
                value.clear();
                template.render_header(exchange, value);
                headers.append(name, value);
            }
        }
    }
}
