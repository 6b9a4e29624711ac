//! One accepted connection: its stream, and the bytes that were read but belong to nobody yet.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tollgate_plan::Plan;
use tollgate_wire::{EntryRef, HeaderBlock, Name};

use crate::io::{H2Stream, Stream};
use crate::live::Counts;
use crate::live::listeners::ListenerLive;
use crate::live::memory::Held;
use crate::pump::{Head, Pending};
use crate::timer::{Timer, Timers};
use crate::worker::Worker;

/// A client's connection.
pub(crate) struct Client {
    pub(crate) io: Stream,
    /// The deadline of whatever the connection waits for.
    pub(crate) timer: Timer,
    /// The peer's address; none on a unix socket.
    pub(crate) peer: Option<IpAddr>,
    /// The same as text: every request says it.
    pub(crate) peer_text: Rc<str>,
    /// Read and not yet consumed: the rest of a read that held more than one thing. Empty when idle.
    pub(crate) unread: Unread,
    /// What the socket did not take yet of interim answers: it goes out before any other byte.
    pub(crate) owed: RefCell<Pending>,
    /// When the first byte of a head came that did not come whole; whoever begins with it takes it.
    pub(crate) begun: Cell<Option<Instant>>,
    /// Requests served.
    pub(crate) served: Cell<u64>,
    /// What is known from the TLS handshake; none in clear text. Streams of one connection share it.
    pub(crate) secure: Option<Rc<Secure>>,
    /// Counts the connection in the worker and the process until it is dropped; none where there is none.
    pub(crate) _place: Option<Place>,
}

/// What a TLS handshake told of a client.
pub(crate) struct Secure {
    /// `TLSv1.2` or `TLSv1.3`.
    pub(crate) version: &'static str,
    /// The subject of the client's certificate, and the header that tells the upstream, where it is to be told.
    pub(crate) subject: Option<(Name, Box<str>)>,
    /// What TLS holds of the connection.
    pub(crate) _held: Held,
}

impl Client {
    /// The client's side of a request that the gateway makes by itself; `body` is what it would have sent.
    pub(crate) fn nobody(timers: &Rc<Timers>, body: Vec<u8>) -> Rc<Client> {
        Rc::new(Client {
            io: Stream::Nobody,
            timer: timers.timer(),
            peer: None,
            peer_text: Rc::default(),
            unread: Unread { bytes: RefCell::new(body) },
            owed: RefCell::default(),
            begun: Cell::default(),
            served: Cell::new(0),
            secure: None,
            _place: None,
        })
    }

    /// The same client where it waits for nothing: the upstream is told of it what it was told before.
    pub(crate) fn absent(&self, timers: &Rc<Timers>) -> Rc<Client> {
        self.behind(Stream::Nobody, timers)
    }

    /// The client's side of a request that nobody sent, as if it came from there.
    pub(crate) fn imagined(timers: &Rc<Timers>, peer: IpAddr, secure: bool, body: Vec<u8>) -> Rc<Client> {
        let tls = || Rc::new(Secure { version: "TLSv1.3", subject: None, _held: Held::default() });
        Rc::new(Client {
            io: Stream::Nobody,
            timer: timers.timer(),
            peer: Some(peer),
            peer_text: peer.to_string().into(),
            unread: Unread { bytes: RefCell::new(body) },
            owed: RefCell::default(),
            begun: Cell::default(),
            served: Cell::new(0),
            secure: secure.then(tls),
            _place: None,
        })
    }

    /// Takes a connection that speaks HTTP/2 apart: its carrier, what was read of it, and all the rest.
    pub(crate) fn split(self) -> (Stream, Vec<u8>, Rc<Client>) {
        let (io, unread) = (self.io, self.unread.bytes.into_inner());
        (io, unread, Rc::new(Client { io: Stream::Nobody, unread: Unread::default(), ..self }))
    }

    /// The same client, for one request over a stream of its connection.
    pub(crate) fn for_stream(&self, timers: &Rc<Timers>, stream: H2Stream) -> Rc<Client> {
        self.behind(Stream::H2(Box::new(stream)), timers)
    }

    fn behind(&self, io: Stream, timers: &Rc<Timers>) -> Rc<Client> {
        Rc::new(Client {
            io,
            timer: timers.timer(),
            peer: self.peer,
            peer_text: self.peer_text.clone(),
            unread: Unread::default(),
            owed: RefCell::default(),
            begun: Cell::default(),
            served: Cell::new(0),
            secure: self.secure.clone(),
            _place: None,
        })
    }

    /// Whether it may speak HTTP/2 where it came in.
    pub(crate) fn may_speak_http2(&self) -> bool {
        self._place.as_ref().is_some_and(|place| place.listener().speaks_http2())
    }

    /// The subject of its certificate, and the header that tells the upstream, where it is to be told.
    pub(crate) fn subject(&self) -> Option<&(Name, Box<str>)> {
        self.secure.as_ref()?.subject.as_ref()
    }

    /// Whether a line is one that tells of certificates, on whatever listener: no client says it of itself.
    pub(crate) fn owns(&self, plan: &Plan, entry: EntryRef<'_>) -> bool {
        // A connection from before a reload may have another name for it.
        let own = self.subject().map(|(name, _)| name);
        plan.subject_headers.iter().chain(own).any(|name| entry.spells(name))
    }

    /// When the request that is here now began: with the first byte of its head.
    pub(crate) fn began(&self, worker: &Worker) -> Instant {
        self.begun.take().unwrap_or_else(|| worker.clock.recent())
    }

    /// Whether the listener would let it in as it did. One request may still be under way when that ends.
    pub(crate) fn is_welcome(&self) -> bool {
        self._place.as_ref().is_none_or(Place::holds)
    }

    /// Tells the client something in front of the answer (1xx). What the connection does not take is owed.
    pub(crate) fn inform(&self, status: u16, headers: &HeaderBlock) {
        match self.io.h2() {
            // A stream on which that fails is broken, which everybody else will notice.
            Some(h2) => drop(h2.inform(status, headers)),
            None => {
                let mut out = Vec::new();
                Head { status, phrase: None, headers }.write(&mut out);
                self.owed.borrow_mut().keep(&out);
            }
        }
    }

    /// Writes what is owed; ready when that is nothing.
    pub(crate) fn poll_owed(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.owed.borrow_mut().poll_flush(&self.io, cx, &mut 0)
    }
}

/// Bytes that were read and not yet consumed.
#[derive(Default)]
pub(crate) struct Unread {
    bytes: RefCell<Vec<u8>>,
}

impl Unread {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.borrow().is_empty()
    }

    /// Whether all of it is of some kind.
    pub(crate) fn all(&self, is_of_a_kind: impl FnOnce(&[u8]) -> bool) -> bool {
        is_of_a_kind(&self.bytes.borrow())
    }

    /// Looks at all of it.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        look(&self.bytes.borrow())
    }

    /// Adds what came after what is there.
    pub(crate) fn push(&self, more: &[u8]) {
        if !more.is_empty() {
            self.bytes.borrow_mut().extend_from_slice(more);
        }
    }

    /// Looks at all of it, then drops what was used. Storage is given back when nothing is left, so that an
    /// idle connection holds none.
    pub(crate) fn consume<T>(&self, look: impl FnOnce(&[u8]) -> (usize, T)) -> T {
        let mut bytes = self.bytes.borrow_mut();
        let (used, out) = look(&bytes);
        if used >= bytes.len() {
            *bytes = Vec::new();
        } else {
            bytes.drain(..used);
        }
        out
    }
}

/// A connection's place in the counts, from accept on; given back when dropped.
pub(crate) struct Place {
    listener: Arc<ListenerLive>,
    /// On what terms of the listener it came in.
    terms: u64,
    counts: Arc<Counts>,
    /// Who serves it.
    pub(crate) worker: usize,
}

impl Place {
    /// A place for a connection that `worker` accepted, on the worker that should serve it; none when `limit` are
    /// taken.
    pub(crate) fn take(
        counts: &Arc<Counts>,
        listener: &Arc<ListenerLive>,
        limit: usize,
        worker: usize,
    ) -> Option<Place> {
        if !counts.enter(limit) {
            return None;
        }
        listener.enter();
        let worker = counts.assign(worker);
        let terms = listener.terms();
        Some(Place { listener: listener.clone(), terms, counts: counts.clone(), worker })
    }

    /// Where the connection came in.
    pub(crate) fn listener(&self) -> &ListenerLive {
        &self.listener
    }

    /// Whether the terms on which it came in still hold.
    fn holds(&self) -> bool {
        self.listener.holds(self.terms)
    }

    /// Another worker serves it.
    pub(crate) fn move_to(&mut self, worker: usize) {
        self.counts.shift(self.worker, worker);
        self.worker = worker;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counts.leave(self.worker);
        self.listener.leave();
    }
}

#[cfg(test)]
mod tests {
    use tollgate_plan::listener::ListenAddress;

    use super::*;

    #[test]
    fn a_place_is_given_back_by_whoever_has_it() {
        let counts = Arc::new(Counts::new(2));
        let listener = ListenerLive::new(ListenAddress::Unix("/s".into()), "s".into());
        let take = || Place::take(&counts, &listener, 4, 0);
        let mut places: Vec<Place> = std::iter::from_fn(take).collect();
        assert_eq!(places.iter().map(|place| place.worker).collect::<Vec<_>>(), [0, 0, 1, 0]);
        assert_eq!((counts.open(), listener.open()), (4, 4), "one more was refused");
        // The worker that should serve it takes none: then it counts here, and the next one is handed over again.
        places[2].move_to(0);
        drop(places.remove(0));
        assert_eq!(take().map(|place| place.worker), Some(1));
        places.clear();
        assert_eq!((counts.open(), listener.open()), (0, 0));
    }
}
