//! A client's connection that speaks HTTP/2, from its preface to its end (RFC 9113).
//!
//! The library reads and writes the frames, keeps the windows, and refuses what is no HTTP/2. Each request becomes a
//! task of its own with a carrier of its own. This module drives the connection: it starts those tasks, ends what
//! waits too long, says goodbye (GOAWAY), and turns away who sends more than requests are worth.
//!
//! What one connection can make the gateway hold: of bodies on the way in [`WINDOW_BYTES`], of heads
//! [`HEADS_BYTES_MAX`], of bodies on the way out [`SEND_BUFFER_BYTES`] for each of its streams.

mod head;
mod stream;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::request::Parts;
use tollgate_plan::Reason as Refused;
use tollgate_wire::HeadLimits;

use self::stream::Streams;
use super::connection::linger;
use super::head::head_limits;
use crate::client::Client;
use crate::exchange::Reject;
use crate::io::{Fault, H2Stream, Wire};
use crate::live::memory::{HTTP2_BYTES, Held};
use crate::worker::{Active, Kit, Phase, Worker};

/// What a client sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of one request's body that may be here before its service took them.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;

/// The same for all requests of a connection together.
const WINDOW_BYTES: u32 = 1024 * 1024;

/// Bytes of one answer that wait for the connection.
const SEND_BUFFER_BYTES: usize = 32 * 1024;

/// Bytes of heads that all requests of a connection may have at once. A client that wants more of them under way is
/// asked to try again: a byte on the wire can stand for 4 KiB of a head.
const HEADS_BYTES_MAX: usize = 512 * 1024;

/// So much more than its text each field counts (RFC 9113 section 6.5.2).
const FIELD_EXTRA_BYTES: usize = 32;

/// So many cookies of one request have room as fields of their own: more than browsers keep for a site.
const COOKIES_MAX: usize = 512;

/// Requests that were taken back before anybody looked at them: so many in one read are no haste any more.
const RESET_BEFORE_ACCEPT_MAX: usize = 100;

/// After a goodbye the client gets so long to begin no further requests, and to close.
const GOODBYE: Duration = Duration::from_secs(1);

/// Longer than any connection lasts.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Whether bytes that are no head of HTTP/1 are how HTTP/2 begins, as far as they go.
pub(super) fn begins(bytes: &[u8]) -> bool {
    PREFACE.iter().zip(bytes).all(|(expected, byte)| expected == byte)
}

/// Serves the connection to its end. Of what the client sent, `unread` holds what was read already.
pub(super) async fn serve(worker: Rc<Worker>, client: Client) {
    let (io, unread, front) = client.split();
    let wire = Wire::metered(io, unread);
    let active = worker.active.borrow().clone();
    let limits = head_limits(&worker);
    let mut handshake = pin!(builder(&active, &limits).handshake::<_, Bytes>(wire.clone()));
    // The deadline of the first head stands for it.
    let connection = poll_fn(|cx| {
        let done = handshake.as_mut().poll(cx);
        if done.is_pending() {
            // An error shows in the handshake.
            let _ = wire.poll_out(cx);
            return front.timer.poll(cx).map(|()| None);
        }
        done.map(Result::ok)
    })
    .await;
    let Some(connection) = connection else { return };
    let mut driver = Driver {
        streams: Streams::new(wire.clone()),
        _held: Held::of(&worker.memory, HTTP2_BYTES),
        worker,
        front,
        wire,
        connection,
        heads_max: HEADS_BYTES_MAX.max(4 * limits.header_bytes),
        requests: 0,
        goodbye: None,
        waits: Waits::FirstRequest,
    };
    let orderly = poll_fn(|cx| driver.poll(cx)).await;
    let Driver { worker, front, wire, connection, .. } = driver;
    // Requests whose connection is gone are told so.
    drop(connection);
    if orderly {
        linger(&worker, wire.io(), &front.timer).await;
    }
}

fn builder(active: &Active, limits: &HeadLimits) -> Builder {
    // What is somewhat too large is still read,
    // so that it gets an answer with a reason; what is larger gets the library's.
    // Cookies may come one by one, and count as one line.
    let list =
        limits.header_bytes.saturating_mul(2) + FIELD_EXTRA_BYTES * (2 * limits.header_count + COOKIES_MAX);
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(active.plan.limits.http2_streams)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESET_BEFORE_ACCEPT_MAX)
        // It never forgets one, however long the connection lasts; the wire's meter counts them, and does.
        .max_local_error_reset_streams(None);
    builder
}

/// Whether the type is that of gRPC in any coding. `application/grpc-web` is another protocol: its clients read HTTP.
fn is_grpc(kind: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    kind.split_at_checked(GRPC.len()).is_some_and(|(start, rest)| {
        start.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'))
    })
}

struct Driver {
    worker: Rc<Worker>,
    /// The connection itself: its place, its peer, its deadline.
    front: Rc<Client>,
    wire: Wire,
    connection: h2::server::Connection<Wire, Bytes>,
    streams: Rc<Streams>,
    heads_max: usize,
    requests: u64,
    /// What the connection holds beside its requests.
    _held: Held,
    /// When the client was told to go.
    goodbye: Option<Instant>,
    waits: Waits,
}

/// What the connection's deadline stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    FirstRequest,
    /// For the next request.
    Request,
    /// For the client to read; bytes that it has taken so far.
    Reader(u64),
    /// For the client to go.
    End,
    /// For requests under way, which have deadlines of their own.
    Nothing,
}

impl Driver {
    /// Ready when the connection is over; whether all that was to be sent was sent.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.worker.clock.now();
        self.streams.set_driver(cx.waker());
        let over = loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(request, respond),
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(client = %self.front.peer_text, %error, "an HTTP/2 connection ended");
                    break true;
                }
                Poll::Ready(None) => break true,
                Poll::Pending if self.turns_away() || self.says_goodbye() => {}
                Poll::Pending => break false,
            }
        };
        match self.wire.poll_out(cx) {
            Poll::Ready(Err(_)) => return Poll::Ready(false),
            Poll::Ready(Ok(())) if over => return Poll::Ready(true),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        self.poll_deadline(cx).map(|()| false)
    }

    fn begin(&mut self, request: http::Request<RecvStream>, respond: SendResponse<Bytes>) {
        if self.goodbye.is_some_and(|since| since.elapsed() > GOODBYE) {
            // It was told, and had the time to hear it.
            let (parts, body) = request.into_parts();
            let carrier = H2Stream::accepted(body, respond, false);
            return self.refuse(carrier, &parts, "the connection is about to end");
        }
        self.requests += 1;
        let (parts, body) = request.into_parts();
        let limits = head_limits(&self.worker);
        let read = head::read(&self.worker, &parts, body.is_end_stream(), &limits);
        let bytes = |kit: &Kit| kit.head.headers.byte_len() + kit.head.target().len();
        let head_bytes = read.as_ref().map_or(0, |kit| bytes(kit));
        let grpc = parts.headers.get(http::header::CONTENT_TYPE);
        let grpc = grpc.is_some_and(|kind| is_grpc(kind.as_bytes()));
        let carrier = H2Stream::accepted(body, respond, grpc);
        let Some(place) = self.streams.enter(head_bytes, self.heads_max) else {
            return self.refuse(carrier, &parts, "the heads of the requests under way leave no room");
        };
        let client = self.front.for_stream(&self.worker.timers, carrier);
        tokio::task::spawn_local(stream::serve(self.worker.clone(), client, read, place));
    }

    /// Tells the client that nothing was done for a request, so that it asks again elsewhere; and whoever reads the log.
    fn refuse(&self, carrier: H2Stream, parts: &Parts, why: &'static str) {
        self.wire.forgive();
        carrier.reset(Reason::REFUSED_STREAM);
        let client = self.front.for_stream(&self.worker.timers, carrier);
        let read = head::glimpse(parts, &head_limits(&self.worker), true);
        crate::pipeline::reset(&self.worker, &client, &Reject::new(Refused::Overloaded, why), &read);
    }

    /// Ends the connection of a client that sends more than its requests are worth. Whether the library has to say so.
    fn turns_away(&mut self) -> bool {
        let Some(fault) = self.wire.fault().filter(|_| self.waits != Waits::End) else { return false };
        tracing::debug!(client = %self.front.peer_text, ?fault, "an HTTP/2 client was turned away");
        self.connection.abrupt_shutdown(match fault {
            Fault::NoSettings => Reason::PROTOCOL_ERROR,
            Fault::Chatter | Fault::Resets | Fault::Faulty => Reason::ENHANCE_YOUR_CALM,
        });
        self.wait(Waits::End, GOODBYE);
        true
    }

    /// Tells the client that no further requests are taken, when that is so. Whether the library has to say it.
    fn says_goodbye(&mut self) -> bool {
        if self.goodbye.is_some() {
            return false;
        }
        let max = self.worker.active.borrow().plan.limits.requests_per_connection;
        let told = match self.worker.phase.get() {
            Phase::Serving => !self.front.is_welcome() || (max > 0 && self.requests >= max),
            // A connection that came just now is there for a request.
            Phase::Closing => self.requests > 0,
            Phase::Draining => true,
        };
        if told {
            self.say_goodbye();
        }
        told
    }

    fn say_goodbye(&mut self) {
        self.goodbye = Some(self.worker.clock.now());
        self.connection.graceful_shutdown();
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.rearm();
            ready!(self.front.timer.poll(cx));
            match self.waits {
                // The client takes nothing, or does not go.
                Waits::Reader(_) | Waits::End => return Poll::Ready(()),
                Waits::Nothing => return Poll::Pending,
                Waits::FirstRequest | Waits::Request => {
                    self.say_goodbye();
                    // The library says it when it is asked again.
                    cx.waker().wake_by_ref();
                }
            }
        }
    }

    /// Sets the deadline anew when what the connection waits for is another.
    fn rearm(&mut self) {
        let active = self.worker.active.borrow().clone();
        let limits = &active.plan.limits;
        let (waits, after) = match () {
            () if self.waits == Waits::End => return,
            () if self.wire.is_stuck() => (Waits::Reader(self.wire.written()), limits.write_idle_timeout),
            () if self.streams.open() > 0 => (Waits::Nothing, NEVER),
            () if self.goodbye.is_some() => (Waits::End, GOODBYE),
            () if self.requests == 0 => (Waits::FirstRequest, limits.header_timeout),
            () => (Waits::Request, limits.keepalive_timeout),
        };
        if waits != self.waits {
            self.wait(waits, after);
        }
    }

    fn wait(&mut self, waits: Waits, after: Duration) {
        self.waits = waits;
        let now = self.worker.clock.recent();
        match waits {
            Waits::FirstRequest | Waits::Request => self.front.timer.arm_idle(now, after),
            Waits::Reader(_) | Waits::End | Waits::Nothing => self.front.timer.arm(now, after),
        }
    }
}
