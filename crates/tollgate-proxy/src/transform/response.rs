//! Stage 12: what the client will be sent of the upstream's head.

use tollgate_wire::{HeaderBlock, remove_hop_by_hop};

use super::request::edit_headers;
use crate::exchange::Exchange;

/// Edits the upstream's headers for the client.
pub(crate) fn response(exchange: &Exchange<'_>, headers: &mut HeaderBlock) {
    remove_hop_by_hop(headers);
    let Some(route) = exchange.matched() else { return };
    if !route.response.headers.is_empty() {
        let mut value = exchange.worker.spare.buffer();
        edit_headers(&route.response.headers, exchange, headers, &mut value);
        exchange.worker.spare.keep_buffer(value);
    }
}
