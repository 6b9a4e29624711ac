//! One stream of an HTTP/2 connection as a carrier: what a body is read from and written to, on either side.
//!
//! Flow control is carried through. Bytes count as received only when somebody read them here, and no more is taken
//! for sending than the peer's windows and the connection's buffer have room for. Heads and trailers are whole values
//! in HTTP/2: they go past the byte calls, by [`H2Stream::respond`] and [`H2Stream::take_trailers`].

mod fields;
mod heads;
mod meter;
mod wire;

use std::cell::{Cell, RefCell};
use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;
use tollgate_wire::{HeadError, HeadLimits, HeaderBlock, TrailersOf};

use super::Gone;
pub(crate) use fields::is_connection_specific;
use fields::{field_map, trailer_block};
pub(crate) use heads::{check_request, write_request, write_response};
pub(crate) use meter::Fault;
pub(crate) use wire::Wire;

/// So much is handed over for sending at once: four frames of the usual size.
const SEND_BYTES_MAX: usize = 64 * 1024;

/// One stream of an HTTP/2 connection.
pub(crate) struct H2Stream {
    incoming: RefCell<Incoming>,
    outgoing: RefCell<Outgoing>,
    /// The peer gave the stream up, or its connection is gone.
    broken: Cell<bool>,
    /// What is received.
    from: TrailersOf,
    /// What a stream that cannot be finished is reset with.
    fault: Reason,
    /// A call of gRPC, whose caller reads errors in a way of its own.
    grpc: bool,
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// With the last of so many bytes.
    After(u64),
    /// When somebody says so.
    WhenTold,
}

struct Incoming {
    /// None before the head of the answer came (on the side that asked).
    body: Option<RecvStream>,
    /// Received and not read yet.
    chunk: Bytes,
    ended: bool,
    trailers: Option<HeaderMap>,
}

enum Outgoing {
    /// The head of the answer comes first.
    Respond(SendResponse<Bytes>),
    /// A body; how many bytes are left until it ends by itself.
    Body { stream: SendStream<Bytes>, left: Option<u64>, ended: bool },
}

impl H2Stream {
    /// The server's side: a request that came; whether it is a call of gRPC.
    pub(crate) fn accepted(body: RecvStream, respond: SendResponse<Bytes>, grpc: bool) -> H2Stream {
        let outgoing = Outgoing::Respond(respond);
        H2Stream { grpc, ..H2Stream::new(Some(body), outgoing, TrailersOf::Request, Reason::INTERNAL_ERROR) }
    }

    /// Whether it is a call of gRPC.
    pub(crate) fn is_grpc(&self) -> bool {
        self.grpc
    }

    /// The client's side: a request whose head was sent; `ended` says that it has no body.
    pub(crate) fn asked(stream: SendStream<Bytes>, ended: bool) -> H2Stream {
        let outgoing = Outgoing::Body { stream, left: None, ended };
        H2Stream::new(None, outgoing, TrailersOf::Response, Reason::CANCEL)
    }

    /// The head of the answer came: this is its body.
    pub(crate) fn receive(&self, body: RecvStream) {
        self.incoming.borrow_mut().body = Some(body);
    }

    fn new(body: Option<RecvStream>, outgoing: Outgoing, from: TrailersOf, fault: Reason) -> H2Stream {
        let incoming = Incoming { body, chunk: Bytes::new(), ended: false, trailers: None };
        H2Stream {
            incoming: RefCell::new(incoming),
            outgoing: RefCell::new(outgoing),
            broken: Cell::new(false),
            from,
            fault,
            grpc: false,
        }
    }

    /// Sends the head of the final answer.
    pub(crate) fn respond(&self, status: u16, headers: &HeaderBlock, ends: Ends) -> io::Result<()> {
        let mut outgoing = self.outgoing.borrow_mut();
        let Outgoing::Respond(respond) = &mut *outgoing else { return Err(closed()) };
        let ended = ends == Ends::After(0);
        let stream = respond.send_response(head(status, headers), ended).map_err(io_error)?;
        let left = match ends {
            Ends::After(bytes) => Some(bytes),
            Ends::WhenTold => None,
        };
        *outgoing = Outgoing::Body { stream, left, ended };
        Ok(())
    }

    /// Sends the head of an interim answer (1xx).
    pub(crate) fn inform(&self, status: u16, headers: &HeaderBlock) -> io::Result<()> {
        match &mut *self.outgoing.borrow_mut() {
            Outgoing::Respond(respond) => respond.send_informational(head(status, headers)).map_err(io_error),
            Outgoing::Body { .. } => Ok(()),
        }
    }

    /// Reads what is there of the body; 0 is its end, with trailers or without.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = self.incoming.borrow_mut().poll_read(cx, buf);
        if let Poll::Ready(Err(_)) = read {
            self.broken.set(true);
        }
        read
    }

    /// Ready when there is something to read: bytes, the end, or an error.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut incoming = self.incoming.borrow_mut();
        if incoming.chunk.is_empty() { incoming.poll_chunk(cx).map(drop) } else { Poll::Ready(()) }
    }

    /// What stood behind the body, once a read has come to its end; empty when nothing did.
    pub(crate) fn take_trailers(&self, limits: &HeadLimits) -> Result<HeaderBlock, HeadError> {
        match self.incoming.borrow_mut().trailers.take() {
            Some(trailers) => trailer_block(&trailers, self.from, limits),
            None => Ok(HeaderBlock::default()),
        }
    }

    /// Whether the peer has sent all of its body, and all of it was read.
    pub(crate) fn is_read(&self) -> bool {
        let incoming = self.incoming.borrow();
        let over = || incoming.body.as_ref().is_some_and(RecvStream::is_end_stream);
        incoming.ended || (incoming.chunk.is_empty() && over())
    }

    /// Takes of the body what there is room for.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut outgoing = self.outgoing.borrow_mut();
        let Outgoing::Body { stream, left, ended: ended @ false } = &mut *outgoing else {
            return Poll::Ready(Err(closed()));
        };
        let wanted = bytes.len().min(SEND_BYTES_MAX);
        stream.reserve_capacity(wanted);
        let mut room = stream.capacity();
        while room == 0 {
            match ready!(stream.poll_capacity(cx)) {
                Some(Ok(more)) => room = more,
                Some(Err(_)) | None => {
                    self.broken.set(true);
                    return Poll::Ready(Err(closed()));
                }
            }
        }
        let taken = bytes.get(..wanted.min(room)).unwrap_or_default();
        if let Some(left) = left {
            *left = left.saturating_sub(taken.len() as u64);
            *ended = *left == 0;
        }
        let sent = stream.send_data(Bytes::copy_from_slice(taken), *ended);
        Poll::Ready(sent.map(|()| taken.len()).map_err(io_error))
    }

    /// Ends our direction, if that is not done yet.
    pub(crate) fn end(&self) -> io::Result<()> {
        match &mut *self.outgoing.borrow_mut() {
            Outgoing::Body { ended: true, .. } => Ok(()),
            Outgoing::Body { stream, ended, .. } => {
                *ended = true;
                stream.send_data(Bytes::new(), true).map_err(io_error)
            }
            Outgoing::Respond(_) => Err(closed()),
        }
    }

    /// Ends our direction with trailers, if it has not ended yet.
    pub(crate) fn end_with(&self, trailers: &HeaderBlock) -> io::Result<()> {
        if trailers.is_empty() {
            return self.end();
        }
        match &mut *self.outgoing.borrow_mut() {
            Outgoing::Body { ended: true, .. } => Ok(()),
            Outgoing::Body { stream, ended, .. } => {
                *ended = true;
                stream.send_trailers(field_map(trailers)).map_err(io_error)
            }
            Outgoing::Respond(_) => Err(closed()),
        }
    }

    /// Ready when the peer gave the stream up, or the connection broke.
    ///
    /// An end of the peer's direction is none of it: that is how every request and every answer ends.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<Gone> {
        let reset = match &mut *self.outgoing.borrow_mut() {
            Outgoing::Respond(respond) => respond.poll_reset(cx),
            Outgoing::Body { stream, .. } => stream.poll_reset(cx),
        };
        reset.map(|_| {
            self.broken.set(true);
            Gone::Broken
        })
    }

    /// Whether the stream is known to be broken.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// Gives the stream up at once: the peer must not take what it got for all there is.
    pub(crate) fn give_up(&self) {
        self.reset(self.fault);
    }

    /// Gives the stream up for this reason.
    pub(crate) fn reset(&self, reason: Reason) {
        match &mut *self.outgoing.borrow_mut() {
            Outgoing::Respond(respond) => respond.send_reset(reason),
            Outgoing::Body { stream, .. } => stream.send_reset(reason),
        }
    }
}

impl Incoming {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut filled = 0;
        while let Some(room) = buf.get_mut(filled..).filter(|room| !room.is_empty()) {
            if self.chunk.is_empty() {
                match self.poll_chunk(cx) {
                    Poll::Ready(Ok(true)) => {}
                    Poll::Ready(Ok(false)) => break,
                    // What was read so far comes first; the next call meets the error again.
                    Poll::Ready(Err(_)) | Poll::Pending if filled > 0 => break,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            let taken = room.len().min(self.chunk.len());
            self.chunk.copy_to_slice(room.split_at_mut(taken).0);
            filled += taken;
        }
        if let Some(body) = self.body.as_mut().filter(|_| filled > 0) {
            // It fails only for more than was received.
            let _ = body.flow_control().release_capacity(filled);
        }
        Poll::Ready(Ok(filled))
    }

    /// The next piece; false at the end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let Some(body) = self.body.as_mut().filter(|_| !self.ended) else { return Poll::Ready(Ok(false)) };
        loop {
            match ready!(body.poll_data(cx)) {
                // The last frame is often an empty one.
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(chunk)) => {
                    self.chunk = chunk;
                    return Poll::Ready(Ok(true));
                }
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
                None => break,
            }
        }
        self.trailers = ready!(body.poll_trailers(cx)).map_err(io_error)?;
        self.ended = true;
        Poll::Ready(Ok(false))
    }
}

/// The head of an answer. Fields of one connection and the reason phrase have no place in HTTP/2 (RFC 9113 sections
/// 8.2.2 and 8.3.2).
fn head(status: u16, headers: &HeaderBlock) -> http::Response<()> {
    let mut head = http::Response::new(());
    *head.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    *head.headers_mut() = field_map(headers);
    head
}

fn closed() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

fn io_error(error: h2::Error) -> io::Error {
    // Boxing the text of every reset would be work for the one who resets: the kind is all that anybody asks for.
    if error.is_library() { io::ErrorKind::InvalidData.into() } else { io::ErrorKind::ConnectionReset.into() }
}
