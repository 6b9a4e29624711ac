//! How many requests may wait for one thing at a time.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// One of the requests that wait; it waits no more when dropped.
pub(crate) struct Waiter<'a>(&'a AtomicUsize);

impl Waiter<'_> {
    /// One more, unless `max` wait already.
    pub(crate) fn enter(waiters: &AtomicUsize, max: usize) -> Option<Waiter<'_>> {
        let more = |waiting: usize| (waiting < max).then_some(waiting + 1);
        waiters.fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(Waiter(waiters))
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
