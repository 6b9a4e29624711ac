//! The request's body on its way from the client to the upstream.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tollgate_plan::route::RouteId;
use tollgate_wire::{BodyLength, ChunkError, HeaderBlock, Step, chunk_prefix, write_last_chunk};

use super::kept::{KEPT_SMALL_BYTES_MAX, Kept};
use super::pending::Pending;
use super::window::Window;
use crate::client::Client;
use crate::exchange::{Exchange, RequestBody};
use crate::io::Stream;
use crate::transform;
use crate::worker::{Active, Worker};

/// A body under way.
pub(crate) struct Upload {
    client: Rc<Client>,
    body: Box<RequestBody>,
    /// Whose trailers go on is the route's word.
    active: Rc<Active>,
    route: Option<RouteId>,
    /// The request's head, when it can go out in one write with the first bytes of the body.
    prefix: Vec<u8>,
    pending: Pending,
    /// The payload so far, while it may have to go out again or somebody wants a copy.
    kept: Option<Kept>,
    /// Payload bytes that came, for the log.
    received: Rc<Cell<u64>>,
    /// The client has not been told to go on yet.
    held: bool,
    window: Window,
    decoded: bool,
    /// What stood behind the body of a client that speaks HTTP/2, or goes to an upstream that does.
    trailers: Option<Box<HeaderBlock>>,
    done: bool,
    /// Bytes moved since the last look.
    moved: u64,
}

/// Why a body cannot be finished.
#[derive(Debug)]
pub(crate) enum UploadError {
    /// The client went away in the middle of it.
    ClientGone,
    /// The client's framing is wrong.
    Malformed(ChunkError),
    /// It is longer than it may be.
    TooLarge,
    /// The upstream takes no more. Its answer may already be on the way.
    UpstreamClosed,
}

/// Whom a body waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    /// For bytes from the client.
    Client,
    /// For room at the upstream.
    Upstream,
    /// For `100 Continue`.
    Permission,
    /// It is through.
    Nothing,
}

impl Upload {
    /// With `keep` the body can be sent again, as long as there is not too much of it.
    pub(crate) fn new(
        exchange: &Exchange<'_>,
        body: Box<RequestBody>,
        received: Rc<Cell<u64>>,
        keep: bool,
    ) -> Upload {
        let client = body.here.as_ref().unwrap_or(exchange.client).clone();
        // A client that already sent some of the body does not wait for permission.
        let held = body.expects_continue && client.unread.is_empty();
        let kept = (keep || body.copy.is_some()).then(|| Kept::new(&exchange.worker.kept_bytes));
        Upload {
            client,
            body,
            active: exchange.active.clone(),
            route: exchange.route,
            prefix: Vec::new(),
            pending: Pending::default(),
            kept,
            received,
            held,
            window: Window::default(),
            decoded: false,
            trailers: None,
            done: false,
            moved: 0,
        }
    }

    /// Begins with the request's head, on a connection that nothing was written to. What already went out on another
    /// one follows, in the framing of this one.
    pub(crate) fn start(&mut self, to: &Stream, head: &[u8]) {
        self.prefix.clear();
        self.pending = Pending::default();
        self.done = false;
        if !self.held && !self.has_begun() && !self.client.unread.is_empty() {
            self.prefix.extend_from_slice(head);
            return;
        }
        self.pending.keep(head);
        if self.has_begun() {
            let (chunked, mut again) = (self.is_chunked(to), Vec::new());
            append(&mut again, self.kept.as_ref().map_or(&[], Kept::bytes), chunked);
            if self.decoded && chunked {
                write_last_chunk(&mut again, self.trailers.as_deref());
            }
            self.pending.keep(&again);
        }
    }

    /// Keeps the body while it is small: the connection that it goes out on may be dead, or refuse it.
    pub(crate) fn keep_small(&mut self, sum: &Rc<Cell<usize>>) {
        let may_be_small = match self.body.length {
            BodyLength::Length(length) => length <= KEPT_SMALL_BYTES_MAX as u64,
            BodyLength::None | BodyLength::Chunked | BodyLength::UntilClose => true,
        };
        if may_be_small && !self.has_begun() && self.kept.is_none() {
            self.kept = Some(Kept::small(sum));
        }
    }

    /// Whether the whole body can be sent once more: nothing was taken from the client yet, or all of that is kept.
    pub(crate) fn can_restart(&self) -> bool {
        !self.has_begun() || self.kept.is_some()
    }

    /// It will not be sent again: what was kept for that is given back.
    pub(crate) fn settle(&mut self) {
        if self.body.copy.is_none() {
            self.kept = None;
        }
    }

    /// The client may send.
    pub(crate) fn permit(&mut self) {
        self.held = false;
    }

    pub(crate) fn waits_for(&self) -> WaitsFor {
        match () {
            () if self.done => WaitsFor::Nothing,
            () if !self.pending.is_empty() => WaitsFor::Upstream,
            () if self.held => WaitsFor::Permission,
            () => WaitsFor::Client,
        }
    }

    /// Whether bytes moved since the last call.
    pub(crate) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.moved) > 0
    }

    /// Whether the client's whole body was read, so that the next request can follow on the connection.
    pub(crate) fn is_read(&self) -> bool {
        self.decoded
    }

    /// Whether any byte of the body was taken from the client.
    pub(crate) fn has_begun(&self) -> bool {
        self.received.get() > 0 || self.decoded
    }

    /// Whether the whole body went out to the upstream.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    pub(crate) fn max(&self) -> u64 {
        self.body.max
    }

    /// Moves what can be moved; ready when the body is through.
    pub(crate) fn poll(
        &mut self,
        worker: &Worker,
        to: &Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), UploadError>> {
        loop {
            let flushed = ready!(self.pending.poll_flush(to, cx, &mut self.moved));
            flushed.map_err(|_| UploadError::UpstreamClosed)?;
            if self.held {
                // On HTTP/2 too the client may begin without permission, only that nobody has read of it yet.
                let Some(h2) = self.client.io.h2() else { return Poll::Pending };
                ready!(h2.poll_readable(cx));
                self.held = false;
            }
            if self.decoded {
                if let Some(h2) = to.h2() {
                    let ended = match &self.trailers {
                        Some(trailers) => h2.end_with(trailers),
                        None => h2.end(),
                    };
                    ended.map_err(|_| UploadError::UpstreamClosed)?;
                }
                self.done = true;
                return Poll::Ready(Ok(()));
            }
            if self.client.unread.is_empty() {
                ready!(self.read(worker, to, cx))?;
            } else {
                let client = self.client.clone();
                client.unread.consume(|bytes| match self.forward(worker, bytes, to, cx) {
                    Ok(used) => (used, Ok(())),
                    Err(error) => (bytes.len(), Err(error)),
                })?;
            }
        }
    }

    fn read(&mut self, worker: &Worker, to: &Stream, cx: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        // Taken out of the scratch so that `forward` can use the rest of it.
        let mut buffer = worker.scratch.borrow_mut().take_read();
        let outcome = match self.client.io.poll_read(cx, self.window.of(&mut buffer)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0)) if self.client.io.h2().is_some() => {
                Poll::Ready(self.end_of_stream(worker, to, cx))
            }
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(UploadError::ClientGone)),
            Poll::Ready(Ok(read)) => {
                self.moved += read as u64;
                let bytes = buffer.get(..read).unwrap_or_default();
                Poll::Ready(self.forward(worker, bytes, to, cx).map(|used| {
                    self.client.unread.push(bytes.get(used..).unwrap_or_default());
                }))
            }
        };
        worker.scratch.borrow_mut().read = buffer;
        outcome
    }

    /// Decodes all of `bytes` that belongs to the body and writes it on; says how much was used.
    fn forward(
        &mut self,
        worker: &Worker,
        bytes: &[u8],
        to: &Stream,
        cx: &mut Context<'_>,
    ) -> Result<usize, UploadError> {
        let mut out = std::mem::take(&mut worker.scratch.borrow_mut().out);
        out.clear();
        out.append(&mut self.prefix);
        let chunked = self.is_chunked(to);
        let mut used = 0;
        let outcome = loop {
            let rest = bytes.get(used..).unwrap_or_default();
            match self.body.decoder.step(rest) {
                Err(error) => break Err(UploadError::Malformed(error)),
                Ok(Step::More { consumed }) => {
                    used += consumed;
                    break Ok(());
                }
                Ok(Step::Data { start, end, consumed }) => {
                    let payload = rest.get(start..end).unwrap_or_default();
                    used += consumed;
                    self.received.set(self.received.get() + payload.len() as u64);
                    if self.received.get() > self.body.max {
                        break Err(UploadError::TooLarge);
                    }
                    append(&mut out, payload, chunked);
                    self.keep(payload);
                }
                Ok(Step::End { consumed }) => {
                    used += consumed;
                    let trailers = self.body.decoder.take_trailers();
                    self.finish(trailers, chunked, &mut out);
                    break Ok(());
                }
            }
        };
        let written = outcome.and_then(|()| {
            let kept = self.pending.write_or_keep(to, cx, &out, &mut self.moved);
            self.window.adapt(self.pending.is_empty());
            kept.map_err(|_| UploadError::UpstreamClosed)
        });
        worker.scratch.borrow_mut().out = out;
        written.map(|()| used)
    }

    /// The end of a body on HTTP/2: only the stream knows it.
    fn end_of_stream(
        &mut self,
        worker: &Worker,
        to: &Stream,
        cx: &mut Context<'_>,
    ) -> Result<(), UploadError> {
        let limits = self.active.plan.limits.head();
        let trailers = self.client.io.h2().map(|h2| h2.take_trailers(&limits)).transpose();
        let trailers = trailers.map_err(|error| UploadError::Malformed(ChunkError::Trailer(error)))?;
        let mut out = std::mem::take(&mut worker.scratch.borrow_mut().out);
        out.clear();
        out.append(&mut self.prefix);
        self.finish(trailers.unwrap_or_default(), self.is_chunked(to), &mut out);
        let kept = self.pending.write_or_keep(to, cx, &out, &mut self.moved);
        worker.scratch.borrow_mut().out = out;
        kept.map_err(|_| UploadError::UpstreamClosed)
    }

    /// All of the body is there, and these are its trailers.
    fn finish(&mut self, mut trailers: HeaderBlock, chunked: bool, out: &mut Vec<u8>) {
        self.decoded = true;
        if let Some((copy, kept)) = self.body.copy.take().zip(self.kept.as_ref()) {
            // Nobody may wait for it any more.
            let _ = copy.send(kept.bytes().to_vec());
        }
        let route = self.active.route(self.route);
        trailers.retain_entries(|entry| {
            transform::keeps_trailer(&self.active.plan, route, entry)
                && !self.body.edited.iter().any(|name| entry.spells(name))
        });
        if chunked {
            write_last_chunk(out, Some(&trailers));
        }
        if !trailers.is_empty() {
            self.trailers = Some(Box::new(trailers));
        }
    }

    /// Whether the body goes on in chunks: its length is not known, and the upstream has no frames.
    fn is_chunked(&self, to: &Stream) -> bool {
        matches!(self.body.length, BodyLength::Chunked | BodyLength::UntilClose) && to.h2().is_none()
    }

    /// Keeps what goes out, as long as there is not too much of it.
    fn keep(&mut self, payload: &[u8]) {
        if self.kept.as_mut().is_some_and(|kept| !kept.push(payload)) {
            self.kept = None;
            self.body.copy = None;
        }
    }
}

/// Appends payload in the coding of the outgoing message.
pub(super) fn append(out: &mut Vec<u8>, payload: &[u8], chunked: bool) {
    if payload.is_empty() {
        return;
    }
    if chunked {
        out.extend_from_slice(chunk_prefix(payload.len(), &mut [0; 20]));
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
    } else {
        out.extend_from_slice(payload);
    }
}
