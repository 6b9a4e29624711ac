//! Two connections joined: bytes pass both ways as they come, and nobody looks at them.
//!
//! Each direction has back-pressure of its own, and ends on its own: who has no more to say may still listen. What a
//! slow receiver has not taken is all that is kept, so a tunnel in which nothing moves holds no buffer.

use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::pending::Pending;
use super::window::Window;
use crate::client::Client;
use crate::io::Stream;
use crate::worker::Worker;

/// After so many reads in one direction it is the other one's turn, and other connections': the runtime's own bound
/// counts both directions together, and the first one could use it up each time.
const PASSES_MAX: usize = 16;

/// A tunnel, from the answer that begins it.
pub(crate) struct Tunnel {
    up: Flow,
    down: Flow,
    patience: Patience,
    /// Whose connection broke before it had ended its direction.
    broken: Option<Side>,
}

/// How long a tunnel may stand still.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Nothing moves, for there is nothing to move.
    pub(crate) idle: Duration,
    /// A side does not take what is there for it, or does not end although the other one has.
    pub(crate) stalled: Duration,
}

/// One of the two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Upstream,
}

/// How a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Each side said that it has no more to say.
    Orderly,
    /// Nothing moved for too long.
    Idle,
    /// This side did not take what was there for it.
    Stalled(Side),
    /// The connection to this side broke.
    Broken(Side),
}

impl Tunnel {
    pub(crate) fn new(patience: Patience, now: Instant) -> Tunnel {
        Tunnel { up: Flow::new(now), down: Flow::new(now), patience, broken: None }
    }

    /// Bytes that the client sent.
    pub(crate) fn bytes_in(&self) -> u64 {
        self.up.read
    }

    /// Bytes that the upstream sent.
    pub(crate) fn bytes_out(&self) -> u64 {
        self.down.read
    }

    /// Writes what is owed to the client, the head that begins the tunnel, and `rest`, which was read behind the
    /// upstream's; and to the upstream what the client sent already.
    pub(crate) fn begin(
        &mut self,
        worker: &Worker,
        client: &Client,
        upstream: &Stream,
        rest: &[u8],
        cx: &mut Context<'_>,
        head: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut out = std::mem::take(&mut worker.scratch.borrow_mut().out);
        out.clear();
        out.extend_from_slice(client.owed.take().unwritten());
        head(&mut out);
        out.extend_from_slice(rest);
        self.down.read += rest.len() as u64;
        self.down.put(&out, &client.io, cx);
        worker.scratch.borrow_mut().out = out;
        client.unread.consume(|bytes| {
            self.up.read += bytes.len() as u64;
            self.up.put(bytes, upstream, cx);
            (bytes.len(), ())
        });
    }

    /// Moves what can be moved; ready when the tunnel is over.
    pub(crate) fn poll(
        &mut self,
        worker: &Worker,
        client: &Client,
        upstream: &Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Ended> {
        let before = [self.up.moved(), self.down.moved()];
        self.up.poll(worker, &client.io, upstream, cx);
        self.down.poll(worker, upstream, &client.io, cx);
        self.note_breaks();
        if let Some(ended) = self.ended() {
            return Poll::Ready(ended);
        }
        let now = worker.clock.now();
        for (flow, before) in [&mut self.up, &mut self.down].into_iter().zip(before) {
            if flow.moved() != before {
                flow.moved_at = now;
            }
        }
        let (left, late) = self.left(now);
        if !left.is_zero() {
            client.timer.arm(now, left);
            ready!(client.timer.poll(cx));
        }
        Poll::Ready(late)
    }

    /// A side that had ended before it went, or had been told of the end, has left in order: few stop to close a
    /// connection as its protocol has it when nothing depends on it any more.
    fn note_breaks(&mut self) {
        let goes = |says: State, hears: State| {
            (says == State::Cut && hears != State::Through)
                || (hears == State::Refused && says == State::Open)
        };
        let (up, down) = (self.up.state, self.down.state);
        let broken = match () {
            () if goes(up, down) => Side::Client,
            () if goes(down, up) => Side::Upstream,
            () => return,
        };
        self.broken.get_or_insert(broken);
    }

    fn ended(&self) -> Option<Ended> {
        let (up, down) = (self.up.state, self.down.state);
        // Whoever cannot be read any more takes nothing either. Who takes nothing may have said something before.
        let over = up == State::Cut || down == State::Cut || (up.is_over() && down.is_over());
        over.then(|| self.broken.map_or(Ended::Orderly, Ended::Broken))
    }

    /// How long nothing more may move, and what it comes to then.
    fn left(&self, now: Instant) -> (Duration, Ended) {
        let Patience { idle, stalled } = self.patience;
        let half = self.up.state.is_over() || self.down.state.is_over();
        let quiet = if half { idle.min(stalled) } else { idle };
        let mut least = (quiet.saturating_sub(self.up.still(now).min(self.down.still(now))), Ended::Idle);
        for (flow, side) in [(&self.up, Side::Upstream), (&self.down, Side::Client)] {
            let left = stalled.saturating_sub(flow.still(now));
            if !flow.pending.is_empty() && left < least.0 {
                least = (left, Ended::Stalled(side));
            }
        }
        least
    }
}

/// One direction.
struct Flow {
    state: State,
    /// What the receiver has not taken yet.
    pending: Pending,
    window: Window,
    /// When something moved last.
    moved_at: Instant,
    /// Bytes that the sender sent.
    read: u64,
    /// Bytes that the receiver took.
    written: u64,
}

/// How far a direction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The sender has no more to say.
    Ended,
    /// The receiver knows of that, and has everything.
    Through,
    /// The receiver takes nothing any more.
    Refused,
    /// The sender's connection is broken.
    Cut,
}

impl State {
    /// Whether nothing will move any more.
    fn is_over(self) -> bool {
        matches!(self, State::Through | State::Refused | State::Cut)
    }
}

impl Flow {
    fn new(now: Instant) -> Flow {
        Flow {
            state: State::Open,
            pending: Pending::default(),
            window: Window::default(),
            moved_at: now,
            read: 0,
            written: 0,
        }
    }

    fn moved(&self) -> u64 {
        self.read + self.written
    }

    /// How long nothing has moved.
    fn still(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.moved_at)
    }

    /// Moves what can be moved, or as much as is fair.
    fn poll(&mut self, worker: &Worker, from: &Stream, to: &Stream, cx: &mut Context<'_>) {
        for _ in 0..PASSES_MAX {
            if self.state.is_over() {
                return;
            }
            match self.pending.poll_flush(to, cx, &mut self.written) {
                Poll::Pending => return,
                Poll::Ready(Err(_)) => return self.refuse(),
                Poll::Ready(Ok(())) => {}
            }
            if self.state == State::Ended {
                // Who cannot be told is gone, and its own direction shows it.
                let _ = to.end();
                self.state = State::Through;
                return;
            }
            if self.pass(worker, from, to, cx).is_pending() {
                return;
            }
        }
        cx.waker().wake_by_ref();
    }

    /// Reads once, and writes that.
    fn pass(&mut self, worker: &Worker, from: &Stream, to: &Stream, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffer = worker.scratch.borrow_mut().take_read();
        let got = from.poll_read(cx, self.window.of(&mut buffer));
        let read = got.map(|got| match got {
            Ok(0) => self.state = State::Ended,
            Err(_) => self.state = State::Cut,
            Ok(read) => {
                self.read += read as u64;
                self.put(buffer.get(..read).unwrap_or_default(), to, cx);
            }
        });
        worker.scratch.borrow_mut().read = buffer;
        read
    }

    /// Writes what the receiver takes and keeps the rest. Nothing may be pending from before.
    fn put(&mut self, bytes: &[u8], to: &Stream, cx: &mut Context<'_>) {
        if bytes.is_empty() {
            return;
        }
        let kept = self.pending.write_or_keep(to, cx, bytes, &mut self.written);
        self.window.adapt(self.pending.is_empty());
        if kept.is_err() {
            self.refuse();
        }
    }

    fn refuse(&mut self) {
        self.pending = Pending::default();
        self.state = State::Refused;
    }
}
