//! What an HTTP/2 connection is read from and written to.
//!
//! The library writes a frame or two at a time. Here they gather until the connection has nothing more to say, and
//! go out together: with many streams on a connection, one system call carries the answers of all that are ready.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::meter::{Fault, Meter};
use crate::io::Stream;
use crate::pump::Pending;

/// So much gathers at most before it has to go out.
const GATHER_BYTES: usize = 64 * 1024;

/// A byte stream that HTTP/2 is spoken on; all clones are the same one.
#[derive(Clone)]
pub(crate) struct Wire(Rc<Shared>);

struct Shared {
    io: Stream,
    /// What was read before anybody knew that this is HTTP/2.
    ahead: RefCell<Vec<u8>>,
    out: RefCell<Pending>,
    /// The stream did not take what is to be sent.
    stuck: Cell<bool>,
    /// Bytes that went out.
    written: Cell<u64>,
    /// Bytes that came.
    received: Cell<u64>,
    /// What is counted of a peer that may be hostile.
    meter: Option<RefCell<Meter>>,
}

impl Wire {
    /// HTTP/2 on `io`, of which `ahead` was already read.
    pub(crate) fn new(io: Stream, ahead: Vec<u8>) -> Wire {
        Wire::with(io, ahead, None)
    }

    /// The same from a client, whose frames are counted.
    pub(crate) fn metered(io: Stream, ahead: Vec<u8>) -> Wire {
        Wire::with(io, ahead, Some(Meter::new(Instant::now())))
    }

    fn with(io: Stream, ahead: Vec<u8>, meter: Option<Meter>) -> Wire {
        Wire(Rc::new(Shared {
            io,
            ahead: RefCell::new(ahead),
            out: RefCell::default(),
            stuck: Cell::new(false),
            written: Cell::new(0),
            received: Cell::new(0),
            meter: meter.map(RefCell::new),
        }))
    }

    /// What the client did wrong, as far as it is counted. From then on nothing of it is read.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.0.meter.as_ref().and_then(|meter| meter.borrow().fault())
    }

    /// A request was answered to its end, or held its place for a while.
    pub(crate) fn finished(&self) {
        if let Some(meter) = &self.0.meter {
            meter.borrow_mut().finished();
        }
    }

    /// The gateway is about to refuse a request that is not the client's fault.
    pub(crate) fn forgive(&self) {
        if let Some(meter) = &self.0.meter {
            meter.borrow_mut().forgive();
        }
    }

    /// The stream that HTTP/2 is spoken on.
    pub(crate) fn io(&self) -> &Stream {
        &self.0.io
    }

    /// Writes what has gathered. Whoever drives the connection calls this when the connection itself is done for now.
    pub(crate) fn poll_out(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut moved = 0;
        let flushed = self.0.out.borrow_mut().poll_flush(&self.0.io, cx, &mut moved);
        self.0.written.set(self.0.written.get() + moved);
        self.0.stuck.set(flushed.is_pending());
        if let Some(meter) = &self.0.meter {
            meter.borrow_mut().sent(moved);
        }
        flushed
    }

    /// Whether the other side does not take what is to be sent.
    pub(crate) fn is_stuck(&self) -> bool {
        self.0.stuck.get()
    }

    /// Bytes that went out so far: while stuck, whether this grows tells a slow peer from one that is gone.
    pub(crate) fn written(&self) -> u64 {
        self.0.written.get()
    }

    /// Bytes that came so far: a peer of whom nothing comes may be gone without a word.
    pub(crate) fn received(&self) -> u64 {
        self.0.received.get()
    }
}

impl Wire {
    /// Takes what was read before; false when there is nothing of it.
    fn take_ahead(&self, buf: &mut ReadBuf<'_>) -> bool {
        let mut ahead = self.0.ahead.borrow_mut();
        let taken = ahead.len().min(buf.remaining());
        buf.put_slice(ahead.get(..taken).unwrap_or_default());
        ahead.drain(..taken);
        if ahead.is_empty() {
            *ahead = Vec::new();
        }
        taken > 0
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.fault().is_some() {
            // Whoever drives the connection sees it and ends it: nothing has to be woken.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        if !self.take_ahead(buf) {
            let read = ready!(self.0.io.poll_read(cx, buf.initialize_unfilled()))?;
            buf.advance(read);
        }
        let bytes = buf.filled().get(before..).unwrap_or_default();
        self.0.received.set(self.0.received.get() + bytes.len() as u64);
        if let Some(meter) = &self.0.meter {
            meter.borrow_mut().received(bytes, Instant::now());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.0.out.borrow().unwritten().len() + bytes.len() > GATHER_BYTES {
            ready!(self.poll_out(cx))?;
        }
        if let Some(meter) = &self.0.meter {
            meter.borrow_mut().sending(bytes, Instant::now);
        }
        self.0.out.borrow_mut().keep(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Frames gather: see [`Wire::poll_out`].
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Poll::Ready(self.0.io.end())
    }
}
