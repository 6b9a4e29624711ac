//! An answer on its way into the store, while its client gets it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use bytes::Bytes;
use tollgate_policy::cache::{Terms, Varied};
use tollgate_wire::HeaderBlock;

use super::RouteCache;
use super::entry::{Entry, Key};
use super::flights::Flight;

/// Memory for a body whose length is known is taken at once up to this.
const AT_ONCE_BYTES: usize = 64 * 1024;

/// Bodies on their way into a store take no more than this share of it beside it.
const UNDER_WAY_SHARE: u64 = 4;

/// An answer without its body.
pub(crate) struct Draft {
    pub(crate) key: Box<[u8]>,
    pub(crate) status: u16,
    pub(crate) headers: HeaderBlock,
    pub(crate) terms: Terms,
    pub(crate) varied: Box<[Varied]>,
    pub(crate) begun: Instant,
    pub(crate) arrived: Instant,
}

/// An answer whose body comes bit by bit. Dropped, nothing is kept.
pub(crate) struct Filling {
    cache: Arc<RouteCache>,
    draft: Draft,
    body: Vec<u8>,
    /// Bytes that are counted among those under way.
    counted: usize,
    given_up: bool,
    flight: Option<Flight>,
}

impl Draft {
    /// Keeps the answer with this body, all of which is here. None where a purge or an invalidation came in between: then the
    /// answer is its client's only.
    pub(crate) fn keep(self, cache: &RouteCache, body: Bytes) -> Option<Arc<Entry>> {
        let Draft { key, status, headers, terms, varied, begun, arrived } = self;
        let holds = cache.stamps.keeps(Key::url_of(&key), begun) && body.len() <= cache.entry_bytes_max();
        let entry = Arc::new(Entry { status, headers, body, terms, varied, begun, arrived });
        holds.then(|| {
            cache.store.put(&key, entry.clone());
            entry
        })
    }
}

impl Filling {
    /// None where the body is too long to be kept.
    pub(crate) fn new(
        cache: &Arc<RouteCache>,
        draft: Draft,
        length: Option<u64>,
        flight: Option<Flight>,
    ) -> Option<Box<Filling>> {
        let length = length.unwrap_or_default();
        if length > cache.entry_bytes_max() as u64 {
            if let Some(flight) = flight {
                flight.not_kept(draft.arrived);
            }
            return None;
        }
        let body = Vec::with_capacity(AT_ONCE_BYTES.min(length as usize));
        Some(Box::new(Filling { cache: cache.clone(), draft, body, counted: 0, given_up: false, flight }))
    }

    /// Takes what came of the body.
    pub(crate) fn push(&mut self, payload: &[u8]) {
        if self.given_up {
            return;
        }
        let under_way = self.cache.filling.fetch_add(payload.len(), Relaxed) + payload.len();
        self.counted += payload.len();
        // All bodies under way take a quarter of what is kept at most.
        if self.body.len() + payload.len() > self.cache.entry_bytes_max()
            || under_way as u64 > self.cache.max_bytes / UNDER_WAY_SHARE
        {
            self.given_up = true;
            self.body = Vec::new();
            if let Some(flight) = self.flight.take() {
                flight.not_kept(self.draft.arrived);
            }
            return;
        }
        self.body.extend_from_slice(payload);
    }

    /// The body came to its end.
    pub(crate) fn finish(mut self: Box<Self>) {
        if self.given_up {
            return;
        }
        let body = Bytes::from(std::mem::take(&mut self.body).into_boxed_slice());
        let flight = self.flight.take();
        let headers = std::mem::take(&mut self.draft.headers);
        let Draft { status, terms, begun, arrived, .. } = self.draft;
        let key = std::mem::take(&mut self.draft.key);
        let varied = std::mem::take(&mut self.draft.varied);
        let draft = Draft { key, status, headers, terms, varied, begun, arrived };
        let kept = draft.keep(&self.cache, body).is_some();
        match flight {
            Some(flight) if kept => flight.kept(),
            Some(flight) => flight.failed(),
            None => {}
        }
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.cache.filling.fetch_sub(self.counted, Relaxed);
    }
}
