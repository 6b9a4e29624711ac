//! Stage 12: what the client will be sent of the upstream's head.

use tollgate_plan::route::HeaderEdit;
use tollgate_wire::{HeaderBlock, remove_hop_by_hop};

use crate::exchange::Exchange;

/// Edits the upstream's headers for the client.
pub(crate) fn response(exchange: &Exchange<'_>, headers: &mut HeaderBlock) {
    remove_hop_by_hop(headers);
    let Some(route) = exchange.matched() else { return };
    if let Some(edits) = &route.response {
        let mut value = exchange.worker.spare.buffer();
        edit_headers(&edits.headers, exchange, headers, &mut value);
        exchange.worker.spare.keep_buffer(value);
    }
}

/// Applies a route's header edits.
fn edit_headers(
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
