//! Stage 9, and the store of stage 12: answers that are kept (RFC 9111).
//!
//! What is kept is the answer of the upstream as scripts and shaping left it, in front of the route's own header edits and
//! of compression: those are made anew for each client.

mod explain;
mod forget;
mod give;
mod keep;
mod key;
mod look;
mod refresh;
mod told;

use std::cell::OnceCell;
use std::sync::Arc;

use crate::exchange::Exchange;
use crate::live::cache::Entry;

pub(crate) use explain::explain;
pub(crate) use forget::forget;
pub(crate) use keep::{is_whole_wanted, keep};
pub(crate) use look::{Look, look};
pub(crate) use refresh::Refresh;

/// Whether the route keeps answers.
pub(crate) fn has(exchange: &Exchange<'_>) -> bool {
    exchange.matched().is_some_and(|route| route.cache.is_some())
}

/// Where the kept answer lies that a request is given: longer than the request itself, so that nothing of it is copied.
#[derive(Default)]
pub(crate) struct Shelf(OnceCell<Arc<Entry>>);

impl Shelf {
    /// Puts the answer there; a request is given one.
    fn put(&self, entry: Arc<Entry>) -> &Entry {
        self.0.get_or_init(|| entry)
    }
}
