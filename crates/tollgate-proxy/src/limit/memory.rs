//! Refuses new requests while memory is full, so that those under way come to their end.

use tollgate_plan::route::Action;

use crate::exchange::{Exchange, Reject};
use crate::live::memory::Pressure;
use crate::trail::Stage;

/// Lets the request pass while there is memory for it. Who asks how the gateway is gets an answer all the same.
pub(crate) fn memory(exchange: &Exchange<'_>) -> Result<(), Reject> {
    if exchange.worker.memory.pressure() != Pressure::Full {
        return Ok(());
    }
    match exchange.active.action(exchange.route) {
        Some(Action::Health(_)) => Ok(()),
        // The connection goes too: it may be one of thousands.
        _ => {
            let full = Reject::out_of_memory().closing();
            exchange.note(|trail| trail.refused(Stage::Memory, &full));
            Err(full)
        }
    }
}
