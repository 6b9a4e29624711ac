//! The answer's body on its way from the upstream to the client.

use std::borrow::Cow;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tollgate_plan::Reason;
use tollgate_plan::route::{Route, RouteId};
use tollgate_wire::{BodyDecoder, BodyLength, ChunkLimits, HeadLimits, HeaderBlock, Step, write_last_chunk};

use super::head::Head;
use super::pending::Pending;
use super::upload::append;
use super::window::Window;
use crate::client::Client;
use crate::io::{Ends, Stream};
use crate::live::cache::Filling;
use crate::live::gate::Place;
use crate::live::memory::Held;
use crate::transform::{CODED_TURN_BYTES, Coder};
use crate::worker::{Active, Worker};

/// So much is read at once of a body that is compressed: pieces that take a fraction of a millisecond.
const CODED_PIECE_BYTES: usize = 32 * 1024;

/// How the body is framed for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// As many bytes as the head says, or to the end of the connection.
    Plain,
    /// Chunked; trailers only for a client that wants them.
    Chunked {
        /// Whether trailers are passed on.
        trailers: bool,
    },
    /// In the frames of HTTP/2.
    Frames,
}

/// A body under way, its head included.
pub(crate) struct Download {
    decoder: BodyDecoder,
    framing: Framing,
    pending: Pending,
    /// What is pending.
    held: Held,
    window: Window,
    decoded: bool,
    /// What stood behind the body of an upstream that speaks HTTP/2.
    trailers: Option<Box<HeaderBlock>>,
    /// The route, where it says which trailers go out.
    route: Option<(Rc<Active>, RouteId)>,
    /// The bytes of the body go out as they come, and nothing stands between them.
    contiguous: bool,
    /// What compresses them on the way.
    coder: Option<Box<Coder>>,
    /// What keeps them, as they come from the upstream.
    store: Option<Box<Filling>>,
    /// A place under the route's `concurrency`, until all has come from the upstream.
    place: Option<Box<Place>>,
    /// The upstream sent more than its body.
    surplus: bool,
    /// Bytes that the client took since the last look, and in all.
    moved: u64,
    read: u64,
    /// Payload bytes handed to the client's socket or waiting for it.
    pub(crate) payload: u64,
}

/// Whom a body waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// The client does not read.
    Client,
    /// The upstream does not send.
    Upstream,
}

impl Download {
    /// With a `coder` the body goes out coded by it; with a `store` it is kept, as soon as all of it has come.
    pub(crate) fn new(
        length: BodyLength,
        framing: Framing,
        coder: Option<Box<Coder>>,
        store: Option<Box<Filling>>,
        place: Option<Box<Place>>,
    ) -> Download {
        Download {
            decoder: BodyDecoder::of_response(length, &ChunkLimits::behind(&HeadLimits::RESPONSE)),
            framing,
            pending: Pending::default(),
            held: Held::default(),
            window: if framing == Framing::Frames { Window::wary() } else { Window::default() },
            decoded: false,
            trailers: None,
            route: None,
            contiguous: length != BodyLength::Chunked && coder.is_none(),
            coder,
            store,
            place,
            surplus: false,
            moved: 0,
            read: 0,
            payload: 0,
        }
    }

    /// The same, of whose trailers only those go out that the route lets out.
    pub(crate) fn on(self, active: &Rc<Active>, route: Option<RouteId>) -> Download {
        let edited = route.filter(|id| active.route(Some(*id)).is_some_and(Route::edits_answers));
        Download { route: edited.map(|id| (active.clone(), id)), ..self }
    }

    /// Whether the upstream's connection stands exactly behind the body.
    pub(crate) fn ended_cleanly(&self) -> bool {
        self.decoded && !self.surplus
    }

    /// Whether bytes moved since the last call.
    pub(crate) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.moved) + std::mem::take(&mut self.read) > 0
    }

    pub(crate) fn blocked(&self) -> Blocked {
        if self.pending.is_empty() { Blocked::Upstream } else { Blocked::Client }
    }

    /// Writes the head together with `rest`, what was read behind it: one system call for most answers.
    pub(crate) fn start(
        &mut self,
        worker: &Worker,
        client: &Client,
        rest: &[u8],
        cx: &mut Context<'_>,
        head: &Head<'_>,
    ) -> Result<(), Reason> {
        self.held.count_for(&worker.memory);
        let mut out = std::mem::take(&mut worker.scratch.borrow_mut().out);
        out.clear();
        let outcome = match client.io.h2() {
            None => {
                out.extend_from_slice(client.owed.borrow().unwritten());
                head.write(&mut out);
                self.decode(rest, &mut out).map(|()| drop(client.owed.take()))
            }
            // The head goes its own way, once it is known that what was read behind it is right.
            Some(h2) => self
                .decode(rest, &mut out)
                .and_then(|()| head.send(h2, self.ends(out.len() as u64)).map_err(|_| Reason::ClientClosed)),
        };
        let outcome = outcome.and_then(|()| self.write(&client.io, cx, &out));
        worker.scratch.borrow_mut().out = out;
        outcome
    }

    /// How the answer will end, of which `bytes` bytes of body are at hand.
    fn ends(&self, bytes: u64) -> Ends {
        match self.decoder.remaining() {
            _ if self.decoded && self.decoder.trailers().is_empty() => Ends::After(bytes),
            Some(left) if self.contiguous => Ends::After(bytes + left),
            _ => Ends::WhenTold,
        }
    }

    /// Moves what can be moved; ready when the client has everything.
    pub(crate) fn poll(
        &mut self,
        worker: &Worker,
        from: &Stream,
        client: &Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Reason>> {
        let turn = self.read;
        loop {
            let flushed = ready!(self.pending.poll_flush(client, cx, &mut self.moved));
            flushed.map_err(|_| Reason::ClientClosed)?;
            self.held.note(0);
            if self.decoded {
                return Poll::Ready(self.end_frames(client));
            }
            if self.coder.is_some() && self.read - turn >= CODED_TURN_BYTES as u64 {
                // Others wait for the worker while this one computes.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let mut scratch = worker.scratch.borrow_mut();
            let mut read = scratch.take_read();
            let mut out = std::mem::take(&mut scratch.out);
            drop(scratch);
            let outcome = match from.poll_read(cx, self.piece(&mut read)) {
                // Nothing more for the moment: what came is not held back.
                Poll::Pending if self.coder.as_ref().is_some_and(|coder| coder.is_unflushed()) => {
                    Poll::Ready(self.flush_coder(&mut out, client, cx))
                }
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(0)) => Poll::Ready(self.end_of_stream(from, &mut out, client, cx)),
                Poll::Ready(got) => Poll::Ready(self.pass(got, &read, &mut out, client, cx)),
            };
            let mut scratch = worker.scratch.borrow_mut();
            (scratch.read, scratch.out) = (read, out);
            drop(scratch);
            ready!(outcome)?;
        }
    }

    fn pass(
        &mut self,
        got: io::Result<usize>,
        read: &[u8],
        out: &mut Vec<u8>,
        client: &Stream,
        cx: &mut Context<'_>,
    ) -> Result<(), Reason> {
        let bytes = match got {
            Ok(n) => read.get(..n).unwrap_or_default(),
            Err(_) => return Err(Reason::UpstreamReset),
        };
        self.read += bytes.len() as u64;
        if self.contiguous && !matches!(self.framing, Framing::Chunked { .. }) {
            return self.pass_plain(bytes, client, cx);
        }
        out.clear();
        self.decode(bytes, out)?;
        self.write(client, cx, out)
    }

    /// A body that is one run of bytes on both sides is written from where it was read.
    fn pass_plain(&mut self, bytes: &[u8], client: &Stream, cx: &mut Context<'_>) -> Result<(), Reason> {
        let payload = match self.decoder.step(bytes).map_err(|_| Reason::UpstreamProtocol)? {
            Step::Data { start, end, .. } => bytes.get(start..end).unwrap_or_default(),
            Step::More { .. } | Step::End { .. } => &[],
        };
        self.payload += payload.len() as u64;
        if let Some(store) = &mut self.store {
            store.push(payload);
        }
        self.decoded = self.decoder.is_done();
        self.came_whole();
        self.surplus |= self.decoded && payload.len() < bytes.len();
        self.write(client, cx, payload)
    }

    fn end_of_stream(
        &mut self,
        from: &Stream,
        out: &mut Vec<u8>,
        client: &Stream,
        cx: &mut Context<'_>,
    ) -> Result<(), Reason> {
        // Only a body that runs to the end of the connection may end here; any other was cut short.
        self.decoder.finish_at_eof().map_err(|_| Reason::UpstreamReset)?;
        self.decoded = true;
        self.came_whole();
        if let Some(trailers) = from.h2().map(|h2| h2.take_trailers(&HeadLimits::RESPONSE)) {
            self.trailers = Some(Box::new(trailers.map_err(|_| Reason::UpstreamProtocol)?));
        }
        out.clear();
        self.finish(out)?;
        self.write(client, cx, out)
    }

    /// Decodes everything there is into the client's framing.
    fn decode(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Reason> {
        let mut used = 0;
        while !self.decoded {
            let rest = bytes.get(used..).unwrap_or_default();
            match self.decoder.step(rest).map_err(|_| Reason::UpstreamProtocol)? {
                Step::More { consumed } => {
                    debug_assert_eq!(
                        used + consumed,
                        bytes.len(),
                        "a decoder takes everything it cannot use yet"
                    );
                    return Ok(());
                }
                Step::Data { start, end, consumed } => {
                    let payload = rest.get(start..end).unwrap_or_default();
                    if let Some(store) = &mut self.store {
                        store.push(payload);
                    }
                    match &mut self.coder {
                        None => self.append(payload, out),
                        Some(coder) => {
                            let mut coded = Vec::new();
                            coder.push(payload, &mut coded)?;
                            self.append(&coded, out);
                        }
                    }
                    used += consumed;
                }
                Step::End { consumed } => {
                    self.decoded = true;
                    self.came_whole();
                    self.surplus |= used + consumed < bytes.len();
                    self.finish(out)?;
                }
            }
        }
        Ok(())
    }

    /// All of the body has come, whether or not its client has taken it: others need not wait for that.
    fn came_whole(&mut self) {
        if let Some(store) = self.store.take_if(|_| self.decoded) {
            store.finish();
        }
        drop(self.place.take_if(|_| self.decoded));
    }

    fn append(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.payload += payload.len() as u64;
        append(out, payload, matches!(self.framing, Framing::Chunked { .. }));
    }

    fn flush_coder(
        &mut self,
        out: &mut Vec<u8>,
        client: &Stream,
        cx: &mut Context<'_>,
    ) -> Result<(), Reason> {
        let Some(coder) = &mut self.coder else { return Ok(()) };
        let mut coded = Vec::new();
        coder.flush(&mut coded)?;
        out.clear();
        self.append(&coded, out);
        self.write(client, cx, out)
    }

    /// The part of the read buffer to be filled.
    fn piece<'b>(&self, buffer: &'b mut [u8]) -> &'b mut [u8] {
        let piece = self.window.of(buffer);
        let bytes = if self.coder.is_some() { piece.len().min(CODED_PIECE_BYTES) } else { piece.len() };
        piece.split_at_mut(bytes).0
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Reason> {
        if let Some(mut coder) = self.coder.take() {
            let mut coded = Vec::new();
            coder.finish(&mut coded)?;
            self.append(&coded, out);
        }
        if let Framing::Chunked { trailers } = self.framing {
            write_last_chunk(out, trailers.then(|| self.trailers()).as_deref());
        }
        Ok(())
    }

    /// All of the body is out; on HTTP/2 that is still to be said.
    fn end_frames(&self, client: &Stream) -> Result<(), Reason> {
        match client.h2() {
            Some(h2) => h2.end_with(&self.trailers()).map_err(|_| Reason::ClientClosed),
            None => Ok(()),
        }
    }

    fn trailers(&self) -> Cow<'_, HeaderBlock> {
        let came = self.trailers.as_deref().unwrap_or_else(|| self.decoder.trailers());
        let route = self.route.as_ref().and_then(|(active, id)| active.route(Some(*id)));
        let Some(route) = route.filter(|_| !came.is_empty()) else { return Cow::Borrowed(came) };
        let mut let_out = came.clone();
        let_out.retain_entries(|entry| route.lets_out(entry));
        Cow::Owned(let_out)
    }

    fn write(&mut self, client: &Stream, cx: &mut Context<'_>, bytes: &[u8]) -> Result<(), Reason> {
        if bytes.is_empty() {
            return Ok(());
        }
        let kept = self.pending.write_or_keep(client, cx, bytes, &mut self.moved);
        self.window.adapt(self.pending.is_empty());
        self.held.note(self.pending.unwritten().len());
        kept.map_err(|_| Reason::ClientClosed)
    }
}
