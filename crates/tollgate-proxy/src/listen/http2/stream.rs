//! One request over HTTP/2: a task of its own, which runs the same pipeline as any other request.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use h2::Reason;

use super::head::Refusal;
use crate::client::Client;
use crate::exchange::{Glimpse, Next};
use crate::io::{Stream, Wire};
use crate::worker::{Kit, Worker};

/// A request that was under way for so long and is then taken back was no haste: it held one of the connection's places
/// as others do that are answered. Clients give up on slow services, and may do so often.
const HELD: Duration = Duration::from_millis(50);

/// So long, and so much of a body, is read away behind an answer that came before the end of the body.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// What the requests of one connection have in common.
pub(super) struct Streams {
    wire: Wire,
    /// Requests under way.
    open: Cell<usize>,
    /// Bytes of their heads.
    head_bytes: Cell<usize>,
    /// Who drives the connection; woken when a request ends.
    driver: RefCell<Option<Waker>>,
}

/// One of them. Dropping it says that it is over.
pub(super) struct Place {
    streams: Rc<Streams>,
    head_bytes: usize,
}

impl Streams {
    pub(super) fn new(wire: Wire) -> Rc<Streams> {
        Rc::new(Streams { wire, open: Cell::new(0), head_bytes: Cell::new(0), driver: RefCell::default() })
    }

    pub(super) fn open(&self) -> usize {
        self.open.get()
    }

    pub(super) fn set_driver(&self, waker: &Waker) {
        let mut driver = self.driver.borrow_mut();
        if !driver.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *driver = Some(waker.clone());
        }
    }

    /// A place for a request with a head of so many bytes; none when the heads of those under way leave no room.
    pub(super) fn enter(self: &Rc<Self>, head_bytes: usize, max: usize) -> Option<Place> {
        let sum = self.head_bytes.get() + head_bytes;
        if sum > max {
            return None;
        }
        self.head_bytes.set(sum);
        self.open.set(self.open.get() + 1);
        Some(Place { streams: self.clone(), head_bytes })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let streams = &self.streams;
        streams.head_bytes.set(streams.head_bytes.get() - self.head_bytes);
        streams.open.set(streams.open.get() - 1);
        if let Some(driver) = &*streams.driver.borrow() {
            driver.wake_by_ref();
        }
    }
}

/// Serves the request to its end.
pub(super) async fn serve(
    worker: Rc<Worker>,
    client: Rc<Client>,
    request: Result<Box<Kit>, Box<(Refusal, Glimpse)>>,
    place: Place,
) {
    let started = worker.clock.recent();
    let next = match request {
        Ok(kit) => serve_while_there(&worker, &client, kit).await,
        Err(refused) => match *refused {
            (Refusal::Answer(reject), read) => {
                Some(Box::pin(crate::pipeline::refuse(&worker, &client, reject, read)).await)
            }
            (Refusal::Reset(reject), read) => {
                crate::pipeline::reset(&worker, &client, &reject, &read);
                if let Some(h2) = client.io.h2() {
                    h2.reset(Reason::PROTOCOL_ERROR);
                }
                None
            }
        },
    };
    let finished = matches!(next, Some(Next::Keep | Next::Close));
    if finished || worker.clock.now().saturating_duration_since(started) >= HELD {
        place.streams.wire.finished();
    }
    if let Some(Next::Abort) = next {
        // Nothing may look as if it was complete.
        client.io.reset_on_close();
    } else if finished {
        linger(&worker, &client.io).await;
    }
}

/// Reads away what the client still sends of its body, behind the answer. Dropping the stream resets it, which says that no more
/// is wanted (RFC 9113 section 8.1); but there are clients that lose the answer with a reset that comes together with it.
async fn linger(worker: &Worker, io: &Stream) {
    let is_over = || io.h2().is_none_or(|h2| h2.is_broken() || h2.is_read());
    if is_over() {
        return;
    }
    let timer = worker.timers.timer();
    timer.arm(worker.clock.now(), LINGER);
    let mut left = LINGER_BYTES;
    poll_fn(|cx| {
        if timer.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut scratch = worker.scratch.borrow_mut();
        // What is not read stays with the client: its window is shut then.
        while left > 0 {
            match io.poll_read(cx, &mut scratch.read) {
                Poll::Ready(Ok(read)) if read > 0 => left = left.saturating_sub(read),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        io.poll_gone(cx).map(drop)
    })
    .await;
}

/// Runs the pipeline until the request is served, or its stream is gone: whatever it waits for, nobody wants it then.
async fn serve_while_there(worker: &Rc<Worker>, client: &Rc<Client>, kit: Box<Kit>) -> Option<Next> {
    let mut serving = pin!(crate::pipeline::serve(worker, client, kit));
    poll_fn(|cx| match serving.as_mut().poll(cx) {
        Poll::Ready(next) => Poll::Ready(Some(next)),
        Poll::Pending => client.io.poll_gone(cx).map(|_| None),
    })
    .await
}
