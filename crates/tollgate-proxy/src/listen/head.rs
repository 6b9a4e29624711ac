//! Waiting for a request head, within its limits, without holding a buffer while nothing comes.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tollgate_plan::Reason;
use tollgate_wire::{HeadError, HeadLimits, HeadProgress, Parsed, parse_request};

use super::connection::should_end;
use super::{glimpse, http2};
use crate::client::Client;
use crate::exchange::{Glimpse, Reject};
use crate::live::memory::Held;
use crate::worker::{Kit, Worker};

/// During a drain a connection that was busy a moment ago may have a request on its way: it is given this long.
pub(super) const DRAIN_IDLE: Duration = Duration::from_millis(500);

/// What an idle connection comes to.
pub(super) enum Arrival {
    Request(Box<Kit>),
    /// With what was read of it.
    Refused(Reject, Box<Glimpse>),
    /// It speaks HTTP/2; what was read of it is unread.
    Http2,
    /// Nothing more to serve and nobody to tell.
    Closed,
}

/// Waits for the next request's head.
pub(super) async fn arrive(worker: &Worker, client: &Client) -> Arrival {
    let started = worker.clock.recent();
    let mut waiting = Waiting {
        limits: None,
        progress: HeadProgress::default(),
        kit: None,
        begun: false,
        held: Held::default(),
    };
    if should_end(worker) {
        client.timer.arm(started, DRAIN_IDLE);
    } else {
        client.timer.arm_idle(started, first_wait(worker, client));
    }
    poll_fn(|cx| waiting.poll(worker, client, cx, started)).await
}

/// How long the first byte may take.
fn first_wait(worker: &Worker, client: &Client) -> Duration {
    let active = worker.active.borrow();
    let limits = &active.plan.limits;
    if client.served.get() == 0 { limits.header_timeout } else { limits.keepalive_timeout }
}

pub(crate) fn head_limits(worker: &Worker) -> HeadLimits {
    worker.active.borrow().plan.limits.head()
}

struct Waiting {
    /// Taken from the plan when the first byte comes: an idle connection outlives plans.
    limits: Option<HeadLimits>,
    progress: HeadProgress,
    kit: Option<Box<Kit>>,
    /// Part of a head is there.
    begun: bool,
    /// What is kept of it.
    held: Held,
}

impl Waiting {
    fn poll(
        &mut self,
        worker: &Worker,
        client: &Client,
        cx: &mut Context<'_>,
        started: Instant,
    ) -> Poll<Arrival> {
        // The rest of the previous read may hold a whole request (pipelining).
        if !self.begun && !client.unread.is_empty() {
            match self.parse_unread(worker, client) {
                Some(arrival) => return Poll::Ready(arrival),
                None => self.begin(worker, client),
            }
        }
        loop {
            match self.read(worker, client, cx) {
                Poll::Ready(Some(arrival)) => return Poll::Ready(arrival),
                Poll::Ready(None) => self.begin(worker, client),
                Poll::Pending => break,
            }
            if !self.keep(worker, client) {
                return Poll::Ready(self.refuse(client, Reject::out_of_memory()));
            }
        }
        self.poll_deadline(worker, client, cx, started)
    }

    /// Reads once; `None` when the head is not complete yet.
    fn read(&mut self, worker: &Worker, client: &Client, cx: &mut Context<'_>) -> Poll<Option<Arrival>> {
        let mut scratch = worker.scratch.borrow_mut();
        let read = match ready!(client.io.poll_read(cx, &mut scratch.read)) {
            Ok(0) | Err(_) => return Poll::Ready(Some(Arrival::Closed)),
            Ok(read) => read,
        };
        worker.clock.now();
        let bytes = scratch.read.get(..read).unwrap_or_default();
        if !client.unread.is_empty() {
            client.unread.push(bytes);
            return Poll::Ready(self.parse_unread(worker, client));
        }
        // The usual case: the whole head in one read, parsed where it lies.
        let (used, arrival) = self.parse(worker, client, bytes);
        client.unread.push(bytes.get(used..).unwrap_or_default());
        Poll::Ready(arrival)
    }

    fn parse_unread(&mut self, worker: &Worker, client: &Client) -> Option<Arrival> {
        client.unread.consume(|bytes| self.parse(worker, client, bytes))
    }

    /// How many bytes were used, and what came of them.
    fn parse(&mut self, worker: &Worker, client: &Client, bytes: &[u8]) -> (usize, Option<Arrival>) {
        if is_empty_line(bytes) {
            // No head yet, and nothing is set aside for one.
            return (0, None);
        }
        let kit = self.kit.get_or_insert_with(|| worker.spare.kit());
        let limits = self.limits.get_or_insert_with(|| head_limits(worker));
        match parse_request(bytes, &mut self.progress, limits, &mut kit.head) {
            Ok(Parsed::Complete(used)) => (used, self.kit.take().map(Arrival::Request)),
            Ok(Parsed::Partial) => (0, None),
            // How HTTP/2 begins is no request of HTTP/1.
            Err(_) if client.served.get() == 0 && http2::begins(bytes) && client.may_speak_http2() => {
                (0, Some(Arrival::Http2))
            }
            Err(error) => {
                let read = glimpse::of_refused(bytes, limits, &kit.head, error);
                (bytes.len(), Some(Arrival::Refused(refuse(error), Box::new(read))))
            }
        }
    }

    /// Refuses a head that did not come to its end.
    fn refuse(&self, client: &Client, reject: Reject) -> Arrival {
        let limits = self.limits.unwrap_or_default();
        let read = client.unread.look(|bytes| glimpse::of_bytes(bytes, &limits));
        Arrival::Refused(reject.closing(), Box::new(read))
    }

    /// From its first byte on the head has `header_timeout`.
    fn begin(&mut self, worker: &Worker, client: &Client) {
        if !self.begun && !client.unread.all(is_empty_line) {
            self.begun = true;
            client.begun.set(Some(worker.clock.recent()));
            let timeout = worker.active.borrow().plan.limits.header_timeout;
            client.timer.arm(worker.clock.recent(), timeout);
        }
    }

    /// Counts the part of a head that is there; false when memory has no room for it.
    fn keep(&mut self, worker: &Worker, client: &Client) -> bool {
        self.held.count_for(&worker.memory);
        self.held.hold(client.unread.look(<[u8]>::len))
    }

    fn poll_deadline(
        &mut self,
        worker: &Worker,
        client: &Client,
        cx: &mut Context<'_>,
        started: Instant,
    ) -> Poll<Arrival> {
        if self.begun {
            ready!(client.timer.poll(cx));
            let late = Reject::new(Reason::RequestTimeout, "the request head took too long");
            return Poll::Ready(self.refuse(client, late));
        }
        if !client.is_welcome() {
            return Poll::Ready(Arrival::Closed);
        }
        // A connection that was idle for a while has nothing on its way when the drain begins.
        if should_end(worker) && worker.clock.now().saturating_duration_since(started) >= DRAIN_IDLE {
            return Poll::Ready(Arrival::Closed);
        }
        if should_end(worker) {
            client.timer.arm(started, DRAIN_IDLE);
        }
        client.timer.poll(cx).map(|()| Arrival::Closed)
    }
}

/// Whether the bytes are an empty line, or the beginning of one. In front of a head it is not part of it (RFC 9112
/// section 2.2): clients of old send one behind a body, and the connection is as idle as before.
fn is_empty_line(bytes: &[u8]) -> bool {
    b"\r\n".starts_with(bytes)
}

/// The reason for which the head is refused. After a framing error nothing on the connection can be trusted.
pub(crate) fn refuse(error: HeadError) -> Reject {
    use tollgate_wire::Offence;
    let reason = match error.offence() {
        Offence::RequestLine => Reason::BadRequestLine,
        Offence::Header => Reason::BadHeader,
        Offence::Path => Reason::BadPath,
        Offence::Framing => Reason::BadFraming,
        Offence::Host => Reason::BadHost,
        Offence::UriTooLong => Reason::UriTooLong,
        Offence::HeadersTooLarge => Reason::HeadersTooLarge,
        Offence::Version => Reason::VersionNotSupported,
        Offence::Method => Reason::MethodNotImplemented,
        Offence::Expectation => Reason::ExpectationFailed,
    };
    Reject::new(reason, error.to_string()).closing()
}
