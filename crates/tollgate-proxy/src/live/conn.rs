//! One connection to a target.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use super::upstreams::TargetLive;
use crate::io::Stream;

/// A connection to a target. Dropping it closes it and makes room for another.
pub(crate) struct Conn {
    pub(crate) io: Stream,
    target: Rc<TargetLive>,
    /// It has carried an exchange before.
    pub(crate) reused: Cell<bool>,
    /// Since when it is idle.
    pub(crate) idle_since: Cell<Instant>,
}

impl Conn {
    pub(crate) fn new(io: Stream, target: Rc<TargetLive>, now: Instant) -> Rc<Conn> {
        Rc::new(Conn { io, target, reused: Cell::new(false), idle_since: Cell::new(now) })
    }

    /// Keeps the connection for the next request. The caller has seen the end of the answer, and nothing behind it.
    pub(crate) fn release(self: Rc<Self>, now: Instant) {
        self.reused.set(true);
        self.idle_since.set(now);
        let target = self.target.clone();
        target.keep(self);
    }

    /// Whether nothing came while it was idle: an end, an error, or bytes that nobody asked for.
    pub(crate) fn is_clean(&self) -> bool {
        self.io.is_quiet()
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.target.closed();
    }
}
