//! HTTP/2 connections to a target: each carries many exchanges at once, and a task of its own drives it.
//!
//! A session takes new streams until its peer says that it goes (GOAWAY), it was idle for too long, or it fell silent
//! under a request. What is on it then ends as it would have; the last one to let go of it closes it.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use tokio::sync::Notify;

use super::conn::Conn;
use super::upstreams::TargetLive;
use crate::io::{H2Stream, Stream, Wire};

/// Exchanges on one connection, where its peer would take more. Another connection is opened beyond them.
const STREAMS_MAX: usize = 100;

/// Bytes of one answer that may be here without the client having taken them.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;

/// Bytes of all answers on a connection: enough for each to fill its own window, so that clients who do not read
/// never hold up those who do.
const CONNECTION_WINDOW_BYTES: u32 = STREAMS_MAX as u32 * STREAM_WINDOW_BYTES;

/// What the library charges for DATA frames of less than 256 bytes that nobody has read yet: beyond it the connection
/// is closed. A dozen streams full of tiny messages are no attack.
const SMALL_FRAMES_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of one request's body that wait for the connection.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Bytes of an answer's head, as RFC 9113 section 6.5.2 counts them.
const HEADER_LIST_BYTES: u32 = 64 * 1024;

/// Streams that were given up are remembered for so long, and so many of them: what is still on its way is not taken
/// for an error of the peer.
const FORGET_AFTER: Duration = Duration::from_secs(5);
const GIVEN_UP_MAX: usize = 4 * STREAMS_MAX;

/// A session on which a stream was refused gets no new ones for so long, unless it answers one before: whoever refuses one often
/// refuses the next, and another connection may lead to somebody who does not.
const REST: Duration = Duration::from_secs(1);

/// With so many of them no further connection is made because of refusals: then it is not the connections, and those that are
/// there are used all the same.
const RESTING_MAX: usize = 2;

/// From the moment that nobody needs the connection any more to its end, whatever is still to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The sessions of one target on one worker.
#[derive(Default)]
pub(crate) struct Sessions {
    /// Those that take new streams, the eldest first: so that the younger ones become idle when less is to be done.
    all: RefCell<Vec<Rc<Session>>>,
    /// Somebody makes a connection: what it will carry is worth waiting for.
    opening: Cell<bool>,
    /// Sessions that end when what is on them does.
    leaving: Cell<usize>,
    /// Streams in use on all of them.
    streams: Cell<usize>,
    /// Whether the target chose HTTP/2 when it was asked last.
    chosen: Cell<Option<bool>>,
}

/// One HTTP/2 connection.
pub(crate) struct Session {
    /// Used by copies alone: a handle remembers the stream that filled the connection, and whoever asks it then whether it is ready
    /// takes the place of the task that is to be woken when that stream may send its body.
    send: SendRequest<Bytes>,
    /// Streams in use.
    streams: Cell<usize>,
    /// How many there may be; 0 until the peer has said its settings.
    max: Cell<usize>,
    /// It has carried an answer before.
    proven: Cell<bool>,
    idle_since: Cell<Instant>,
    /// A stream was refused: until when it rests.
    rests: Cell<Option<Instant>>,
    wire: Wire,
    /// It takes no new streams.
    leaves: Cell<bool>,
    /// The driver saw settings, or the end.
    changed: Notify,
    /// Nobody can use it any more.
    gone: Rc<Notify>,
    target: Weak<TargetLive>,
}

/// Why nothing can be sent on a connection that was made.
pub(crate) enum Unready {
    /// The peer left without a word.
    Left,
    /// It has something against the TLS handshake.
    Refused(rustls::Error),
    /// It speaks something else.
    NotHttp2,
}

/// A place for one exchange on a session, given back when dropped.
pub(crate) struct Lease {
    session: Rc<Session>,
    target: Rc<TargetLive>,
}

/// Somebody makes a connection, until this is dropped.
pub(crate) struct Opening<'a>(&'a TargetLive);

/// A place under `max_connections`, given back when the connection is closed.
struct Place(Rc<TargetLive>);

impl Sessions {
    /// Whether somebody makes a connection.
    pub(crate) fn is_opening(&self) -> bool {
        self.opening.get()
    }

    /// Whether the target chose HTTP/2 when it was asked last; none when it was not asked yet.
    pub(crate) fn chosen(&self) -> Option<bool> {
        self.chosen.get()
    }

    /// The target was asked what it speaks.
    pub(crate) fn chose(&self, http2: bool) {
        self.chosen.set(Some(http2));
    }

    /// Sessions that carry nothing, and those that carry something.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let all = self.all.borrow();
        let idle = all.iter().filter(|session| session.streams.get() == 0).count();
        (idle, all.len() - idle + self.leaving.get())
    }

    /// Streams in use.
    pub(crate) fn streams(&self) -> usize {
        self.streams.get()
    }

    /// Lets go of the sessions that `out` names; those that carry something end with it.
    pub(crate) fn release(&self, mut out: impl FnMut(&Session) -> bool) {
        let mut gone = Vec::new();
        self.all.borrow_mut().retain(|session| {
            let goes = out(session);
            if goes {
                gone.push(session.clone());
            }
            !goes
        });
        for session in &gone {
            session.leaves.set(true);
            if session.streams.get() > 0 {
                self.leaving.set(self.leaving.get() + 1);
            }
        }
    }

    /// Makes room for another worker: by a session that carries nothing, or else by the one that carries least, when
    /// none is about to end anyway.
    pub(crate) fn give_way(&self) {
        let least = self.all.borrow().iter().map(|session| session.streams.get()).min();
        let Some(least) = least.filter(|least| *least == 0 || self.leaving.get() == 0) else { return };
        let mut found = false;
        self.release(|session| {
            !found && session.streams.get() == least && {
                found = true;
                found
            }
        });
    }
}

impl TargetLive {
    /// A place on a session that has one.
    pub(crate) fn stream(self: &Rc<Self>) -> Option<Lease> {
        let (mut dead, mut resting) = (false, 0);
        let found = self.sessions.all.borrow().iter().find_map(|session| {
            let open = session.is_open();
            dead |= !open;
            let rests = open && session.rests();
            resting += usize::from(rests);
            (open && !rests && session.has_room()).then(|| session.clone())
        });
        if dead {
            self.sessions.release(|session| !session.is_open());
        }
        match found {
            Some(session) => Some(self.lease(session)),
            None if resting >= RESTING_MAX => self.stream_of_any(),
            None => None,
        }
    }

    /// A place on a session that has one, be it that it rests: for want of another connection.
    pub(crate) fn stream_of_any(self: &Rc<Self>) -> Option<Lease> {
        let all = self.sessions.all.borrow();
        let usable = all.iter().filter(|session| session.has_room() && session.is_open());
        let found = usable.min_by_key(|session| session.rests.get()).cloned();
        drop(all);
        found.map(|session| self.lease(session))
    }

    fn lease(self: &Rc<Self>, session: Rc<Session>) -> Lease {
        session.streams.set(session.streams.get() + 1);
        self.sessions.streams.set(self.sessions.streams.get() + 1);
        Lease { session, target: self.clone() }
    }

    /// Whoever asks for a stream meanwhile waits for this connection.
    pub(crate) fn opening(&self) -> Opening<'_> {
        self.sessions.opening.set(true);
        Opening(self)
    }

    /// Speaks HTTP/2 on a connection whose place is taken and that was made in this era of the target: ready when the
    /// peer has said its settings.
    ///
    /// An error gives the place back.
    pub(crate) async fn begin_session(self: &Rc<Self>, io: Stream, era: u64) -> Result<Lease, Unready> {
        let place = Place(self.clone());
        let wire = Wire::new(io, Vec::new());
        let (send, connection) = builder().handshake(wire.clone()).await.map_err(|_| Unready::NotHttp2)?;
        let session = Rc::new(Session {
            send,
            streams: Cell::new(0),
            max: Cell::new(0),
            proven: Cell::new(false),
            idle_since: Cell::new(Instant::now()),
            rests: Cell::new(None),
            wire: wire.clone(),
            leaves: Cell::new(false),
            changed: Notify::new(),
            gone: Rc::default(),
            target: Rc::downgrade(self),
        });
        let lease = self.lease(session.clone());
        let gone = session.gone.clone();
        tokio::task::spawn_local(drive(connection, wire, Rc::downgrade(&session), gone, place));
        session.changed.notified().await;
        if session.max.get() == 0 {
            return Err(session.error());
        }
        if era == self.era() {
            self.sessions.all.borrow_mut().push(session);
        } else {
            // The settings of TLS changed meanwhile: it serves who made it, and nobody else.
            session.leaves.set(true);
            self.sessions.leaving.set(self.sessions.leaving.get() + 1);
        }
        Ok(lease)
    }
}

impl Session {
    /// Whether it takes new streams, but for their number.
    fn is_open(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        !self.leaves.get() && !matches!(self.send.clone().poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// Whether it takes one stream more.
    fn has_room(&self) -> bool {
        self.streams.get() < self.max.get()
    }

    /// Whether it refused a stream a moment ago.
    fn rests(&self) -> bool {
        let rests = self.rests.get().is_some_and(|until| Instant::now() < until);
        if !rests {
            self.rests.set(None);
        }
        rests
    }

    /// Whether it carries nothing, and has not for so long.
    pub(crate) fn is_idle(&self, now: Instant, keep: Duration) -> bool {
        self.streams.get() == 0 && now.saturating_duration_since(self.idle_since.get()) >= keep
    }

    fn error(&self) -> Unready {
        let mut cx = Context::from_waker(Waker::noop());
        if let Some(refusal) = self.wire.io().refusal() {
            return Unready::Refused(refusal);
        }
        match self.send.clone().poll_ready(&mut cx) {
            Poll::Ready(Err(error)) if !error.is_io() => Unready::NotHttp2,
            _ => Unready::Left,
        }
    }

    /// Takes note of how many streams the peer permits.
    fn permits(&self, streams: usize) {
        let before = self.max.replace(streams.min(STREAMS_MAX));
        if before == 0 && streams > 0 {
            self.changed.notify_one();
        }
        if before < self.max.get()
            && let Some(target) = self.target.upgrade()
        {
            target.waiting.wake_first();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.gone.notify_one();
    }
}

impl Lease {
    /// Whether the session has carried an answer before, so that its loss may have nothing to do with the request.
    pub(crate) fn is_proven(&self) -> bool {
        self.session.proven.get()
    }

    /// Why the peer never took the connection for made.
    pub(crate) fn refusal(&self) -> Option<rustls::Error> {
        if self.is_proven() { None } else { self.session.wire.io().refusal() }
    }

    /// An answer came.
    pub(crate) fn prove(&self) {
        self.session.proven.set(true);
        self.session.rests.set(None);
    }

    /// Bytes that came from the peer, on whatever stream.
    pub(crate) fn received(&self) -> u64 {
        self.session.wire.received()
    }

    /// Nothing came from the peer since `received`: it may be gone without a word. Nobody else is sent there.
    pub(crate) fn suspect(&self, received: u64) {
        if self.received() == received {
            self.target.sessions.release(|session| std::ptr::eq(session, &*self.session));
        }
    }

    /// The stream was refused: others had better take another connection.
    pub(crate) fn rest(&self) {
        self.session.rests.set(Some(Instant::now() + REST));
    }

    /// Sends the head of a request; `end` says that there is no body.
    pub(crate) fn send(
        self,
        request: http::Request<()>,
        end: bool,
        now: Instant,
    ) -> Result<(ResponseFuture, Rc<Conn>), h2::Error> {
        let sent = self.session.send.clone().send_request(request, end);
        let (response, body) = sent?;
        Ok((response, Conn::on_stream(Stream::H2(Box::new(H2Stream::asked(body, end))), self, now)))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (session, target) = (&self.session, &self.target);
        session.streams.set(session.streams.get().saturating_sub(1));
        target.sessions.streams.set(target.sessions.streams.get().saturating_sub(1));
        if session.streams.get() == 0 {
            session.idle_since.set(Instant::now());
            if session.leaves.get() {
                target.sessions.leaving.set(target.sessions.leaving.get().saturating_sub(1));
            }
            target.became_idle(session);
        }
        target.waiting.wake_first();
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.sessions.opening.set(false);
        self.0.waiting.wake_first();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.closed();
    }
}

/// Drives the connection to its end. It goes on until nobody holds the session and every stream is over.
async fn drive(
    connection: Connection<Wire, Bytes>,
    wire: Wire,
    session: Weak<Session>,
    gone: Rc<Notify>,
    place: Place,
) {
    let mut connection = Box::pin(connection);
    let over = poll_fn(|cx| {
        let polled = connection.as_mut().poll(cx);
        // What the connection cannot get rid of is its end, which it will meet itself.
        let _ = wire.poll_out(cx);
        if let Some(session) = session.upgrade() {
            match &polled {
                Poll::Pending => session.permits(connection.max_concurrent_send_streams()),
                Poll::Ready(_) => session.changed.notify_one(),
            }
        }
        polled
    });
    let last_words = async {
        gone.notified().await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    let (mut over, mut last_words) = (pin!(over), pin!(last_words));
    poll_fn(|cx| match over.as_mut().poll(cx) {
        // The streams know what became of them.
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => last_words.as_mut().poll(cx),
    })
    .await;
    let target = &place.0;
    target.sessions.release(|one| std::ptr::eq(one, session.as_ptr()));
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        // Nothing is sent before the peer has said how much it takes.
        .initial_max_send_streams(0)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .data_frame_budget(SMALL_FRAMES_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_header_list_size(HEADER_LIST_BYTES)
        .max_concurrent_reset_streams(GIVEN_UP_MAX)
        .reset_stream_duration(FORGET_AFTER);
    builder
}
