//! A listener's identity and gauge over reloads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tollgate_plan::listener::ListenAddress;

/// One listening address, kept while the configuration keeps it.
pub(crate) struct ListenerLive {
    pub(crate) address: ListenAddress,
    /// The metric label.
    pub(crate) name: Arc<str>,
    open: AtomicU64,
}

impl ListenerLive {
    pub(crate) fn new(address: ListenAddress, name: Arc<str>) -> Arc<ListenerLive> {
        Arc::new(ListenerLive { address, name, open: AtomicU64::new(0) })
    }

    pub(crate) fn enter(&self) {
        self.open.fetch_add(1, Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    /// Open connections that came in here.
    pub(crate) fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }
}
