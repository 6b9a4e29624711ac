//! A listener's identity and gauge over reloads.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};

use arc_swap::ArcSwapOption;
use tollgate_plan::listener::{ListenAddress, Listener, ProxyProtocol};

use crate::observe::Seldom;
use crate::tls::{ServerSide, Sides};

/// One listening address, kept while the configuration keeps it.
pub(crate) struct ListenerLive {
    pub(crate) address: ListenAddress,
    /// The metric label.
    pub(crate) name: Arc<str>,
    /// Whether each connection begins with a PROXY header. Reloads write it; it holds for connections from then on.
    proxy_header: AtomicBool,
    /// Whether HTTP/2 is spoken. As above.
    http2: AtomicBool,
    /// Connections without that header, for the operator's log.
    pub(crate) without_header: Seldom,
    /// What clients are served with; none: clear text. Reloads write it; it holds for connections from then on.
    tls: ArcSwapOption<ServerSide>,
    /// How often it changed whom the listener lets in, and what it believes of them. Connections from before the last
    /// change get to the end of what is under way on them.
    terms: AtomicU64,
    /// TLS handshakes that came to nothing.
    handshakes_failed: AtomicU64,
    /// Whether others hold its sockets too: who passed them, or who got them. Then they are not this process's to close.
    lent: AtomicBool,
    open: AtomicU64,
}

impl ListenerLive {
    pub(crate) fn new(address: ListenAddress, name: Arc<str>) -> Arc<ListenerLive> {
        Arc::new(ListenerLive {
            address,
            name,
            proxy_header: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            without_header: Seldom::default(),
            tls: ArcSwapOption::empty(),
            terms: AtomicU64::new(0),
            handshakes_failed: AtomicU64::new(0),
            lent: AtomicBool::new(false),
            open: AtomicU64::new(0),
        })
    }

    /// Does as the configuration says from now on. Whether connections that were open before should end: what they
    /// were let in by, or what is believed of them, does not hold any more. Other certificates are no reason.
    pub(crate) fn follow(&self, listener: &Listener, sides: &Sides) -> bool {
        let proxy_header = listener.proxy_protocol == ProxyProtocol::Require;
        let had_header = self.proxy_header.swap(proxy_header, Relaxed);
        self.http2.store(listener.http2, Relaxed);
        let tls = sides.listener(&self.address).cloned();
        let old = self.tls.swap(tls.clone());
        let same_clients = match (&old, &tls) {
            (None, None) => true,
            (Some(old), Some(new)) => old.knows_clients_like(new),
            _ => false,
        };
        let renewed = had_header != proxy_header || !same_clients;
        if renewed {
            // Behind the changes themselves: who sees this number sees them as well.
            self.terms.fetch_add(1, Release);
        }
        renewed
    }

    /// The terms on which a connection comes in; to be asked before anything else of the listener is.
    pub(crate) fn terms(&self) -> u64 {
        self.terms.load(Acquire)
    }

    /// Whether connections that came in on these terms may go on.
    pub(crate) fn holds(&self, terms: u64) -> bool {
        self.terms.load(Relaxed) == terms
    }

    /// Whether HTTP/2 is spoken.
    pub(crate) fn speaks_http2(&self) -> bool {
        self.http2.load(Relaxed)
    }

    /// Whether each connection begins with a PROXY header.
    pub(crate) fn requires_proxy_header(&self) -> bool {
        self.proxy_header.load(Relaxed)
    }

    /// What clients are served with; none: clear text.
    pub(crate) fn tls(&self) -> Option<Arc<ServerSide>> {
        self.tls.load_full()
    }

    /// Others hold its sockets too, from now on.
    pub(crate) fn lend(&self) {
        self.lent.store(true, Relaxed);
    }

    /// Whether others hold its sockets too.
    pub(crate) fn is_lent(&self) -> bool {
        self.lent.load(Relaxed)
    }

    pub(crate) fn handshake_failed(&self) {
        self.handshakes_failed.fetch_add(1, Relaxed);
    }

    /// TLS handshakes that came to nothing.
    pub(crate) fn handshakes_failed(&self) -> u64 {
        self.handshakes_failed.load(Relaxed)
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
