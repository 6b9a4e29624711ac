//! One connection to a target, as an exchange has it: all of it, or one stream of it.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::sessions::Lease;
use super::upstreams::TargetLive;
use crate::io::Stream;

/// An answer that is complete may still be waiting for the end of its stream: for so long, before it is given up.
const END_WITHIN: Duration = Duration::from_secs(5);

/// A connection to a target. Dropping it closes it and makes room for another.
pub(crate) struct Conn {
    pub(crate) io: Stream,
    hold: Hold,
    /// The era of its target in which it was made.
    era: u64,
    /// It has carried an exchange before.
    pub(crate) reused: Cell<bool>,
    /// Since when it is idle.
    pub(crate) idle_since: Cell<Instant>,
}

/// What an exchange has of a connection.
enum Hold {
    /// All of it.
    Whole(Whole),
    /// One stream.
    Stream(Lease),
}

/// A place under `max_connections`, given back when dropped.
struct Whole(Rc<TargetLive>);

impl Conn {
    /// A connection that was made in this era of the target.
    pub(crate) fn new(io: Stream, target: Rc<TargetLive>, era: u64, now: Instant) -> Rc<Conn> {
        let hold = Hold::Whole(Whole(target));
        Rc::new(Conn { io, hold, era, reused: Cell::new(false), idle_since: Cell::new(now) })
    }

    /// One stream of a connection that others use too.
    pub(crate) fn on_stream(io: Stream, lease: Lease, now: Instant) -> Rc<Conn> {
        let reused = Cell::new(lease.is_proven());
        // A stream is never kept; whether its connection is, the session knows.
        Rc::new(Conn { io, hold: Hold::Stream(lease), era: 0, reused, idle_since: Cell::new(now) })
    }

    /// The era of its target in which it was made.
    pub(crate) fn era(&self) -> u64 {
        self.era
    }

    /// The stream's part in its connection, where it is one.
    pub(crate) fn lease(&self) -> Option<&Lease> {
        match &self.hold {
            Hold::Whole(_) => None,
            Hold::Stream(lease) => Some(lease),
        }
    }

    /// Why the other side never took the connection for made.
    pub(crate) fn refusal(&self) -> Option<rustls::Error> {
        match &self.hold {
            Hold::Whole(_) if self.reused.get() => None,
            Hold::Whole(_) => self.io.refusal(),
            Hold::Stream(lease) => lease.refusal(),
        }
    }

    /// Keeps the connection for the next request. The caller has seen the end of the answer, and nothing behind it.
    pub(crate) fn release(self: Rc<Self>, now: Instant) {
        match &self.hold {
            Hold::Whole(Whole(target)) => {
                self.reused.set(true);
                self.idle_since.set(now);
                let target = target.clone();
                target.keep(self);
            }
            Hold::Stream(_) => self.await_end(),
        }
    }

    /// Whether nothing came while it was idle: an end, an error, or bytes that nobody asked for.
    pub(crate) fn is_clean(&self) -> bool {
        self.io.is_quiet()
    }

    /// The request will not be finished. On a connection of its own its end says so; a stream has no end but the good
    /// one, and its peer must not take what came for all there is.
    pub(crate) fn cut_short(&self) {
        if let Hold::Whole(_) = &self.hold {
            // A connection on which that fails is broken, and the answer ends all the same.
            let _ = self.io.end();
        }
    }

    /// Lets go of the stream when its end is there. The end may stand in a frame of its own, behind the body; to give
    /// the stream up because of that would look like a client who resets stream after stream.
    fn await_end(self: Rc<Self>) {
        let mut cx = Context::from_waker(Waker::noop());
        if self.poll_end(&mut cx).is_pending() {
            tokio::task::spawn_local(tokio::time::timeout(END_WITHIN, poll_fn(move |cx| self.poll_end(cx))));
        }
    }

    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.io.h2() {
            // Whatever it says, the answer was complete.
            Some(stream) if !stream.is_read() => stream.poll_read(cx, &mut [0]).map(drop),
            _ => Poll::Ready(()),
        }
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.io.part();
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        self.0.closed();
    }
}
