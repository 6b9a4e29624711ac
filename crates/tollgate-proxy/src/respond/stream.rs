//! An upstream's answer on its way to the client.

use std::future::{Future, poll_fn};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tollgate_plan::Reason;
use tollgate_plan::reason::Blame;
use tollgate_wire::{BodyLength, name};

use super::reply::set_connection;
use crate::exchange::{Answer, Exchange, Next, Reject};
use crate::live::gate::Place;
use crate::pump::{Blocked, Download, Framing, Head};

/// Sends the answer. An error means that nothing of it was sent yet.
///
/// Not an `async fn`: that would keep room for the answer twice, as its argument and where it ends up, in the state of
/// every connection.
pub(crate) fn stream(
    exchange: &Exchange<'_>,
    mut answer: Answer,
    place: Option<Box<Place>>,
) -> impl Future<Output = Result<Next, Reject>> {
    let until_close = frame(exchange, &mut answer);
    let worker = exchange.worker;
    worker.date(&mut answer.head.headers, worker.clock.recent());
    // A body whose rest the upstream does not want cannot be told apart from the next request.
    let persistent = exchange.persistent() && !until_close && answer.upload.is_none();
    set_connection(&mut answer.head.headers, persistent, !exchange.modern());

    let framing = framing(exchange, &answer);
    if matches!(framing, Framing::Plain | Framing::Chunked { trailers: false }) {
        // Nothing is announced that does not come.
        answer.head.headers.remove(&name::TRAILER);
    }
    let download = Download::new(answer.source(), framing, answer.coder.take(), answer.store.take(), place)
        .on(&exchange.active, exchange.route);
    let underway = Underway { exchange, started: answer.started, status: answer.head.status, ended: false };
    let mut streaming = Streaming { exchange, download, answer, underway, armed: None };
    async move {
        let outcome = streaming.run().await;
        ended(streaming, outcome, persistent, until_close)
    }
}

/// What becomes of the connections when all is sent, or cannot be.
fn ended(
    streaming: Streaming<'_, '_>,
    outcome: Result<(), Stop>,
    persistent: bool,
    until_close: bool,
) -> Result<Next, Reject> {
    let Streaming { exchange, download, mut answer, mut underway, .. } = streaming;
    underway.ended = true;
    let seen = &exchange.seen;
    // An answer that waited for its client when its time was over says nothing about the target.
    let failed = match &outcome {
        Err(Stop::BeforeHead(reason) | Stop::Midway(reason))
            if reason.row().blame == Blame::Upstream && download.blocked() == Blocked::Upstream =>
        {
            Err(*reason)
        }
        _ => Ok(answer.head.status),
    };
    answer.ended(exchange, failed, outcome.is_ok() && download.ended_cleanly());
    let next = match outcome {
        Ok(()) if persistent => Next::Keep,
        Ok(()) => Next::Close,
        Err(Stop::BeforeHead(reason)) => {
            return Err(Reject::new(reason, "the service's answer is not valid HTTP"));
        }
        Err(Stop::Midway(reason)) => {
            seen.reason.set(Some(reason));
            if until_close {
                // Closing would look like the end of the body.
                exchange.client.io.reset_on_close();
            }
            Next::Abort
        }
    };
    exchange.worker.spare.keep_response(answer.head);
    Ok(next)
}

/// Puts the framing headers for the client. Whether the body runs to the end of the connection.
fn frame(exchange: &Exchange<'_>, answer: &mut Answer) -> bool {
    let headers = &mut answer.head.headers;
    match answer.body {
        BodyLength::Length(_) if answer.coder.is_some() && exchange.client.io.h2().is_none() => {
            headers.append(&name::TRANSFER_ENCODING, b"chunked");
            false
        }
        BodyLength::None | BodyLength::Length(_) => false,
        _ if exchange.client.io.h2().is_some() => false,
        BodyLength::Chunked | BodyLength::UntilClose => {
            headers.remove(&name::CONTENT_LENGTH);
            if exchange.modern() {
                headers.append(&name::TRANSFER_ENCODING, b"chunked");
            }
            !exchange.modern()
        }
    }
}

fn framing(exchange: &Exchange<'_>, answer: &Answer) -> Framing {
    let chunked =
        matches!(answer.body, BodyLength::Chunked | BodyLength::UntilClose) || answer.coder.is_some();
    if exchange.client.io.h2().is_some() {
        Framing::Frames
    } else if chunked && exchange.modern() {
        Framing::Chunked { trailers: exchange.kit.head.trailers_accepted() }
    } else {
        Framing::Plain
    }
}

enum Stop {
    /// The answer turned out to be wrong before anything of it was sent.
    BeforeHead(Reason),
    /// The answer cannot be finished.
    Midway(Reason),
}

struct Streaming<'a, 'c> {
    exchange: &'a Exchange<'c>,
    answer: Answer,
    download: Download,
    underway: Underway<'a, 'c>,
    /// What the timer stands for.
    armed: Option<Blocked>,
}

/// The attempt whose answer it is. One that is dropped before its end was cut by the gateway, which says nothing about the
/// target.
struct Underway<'a, 'c> {
    exchange: &'a Exchange<'c>,
    started: Instant,
    status: u16,
    ended: bool,
}

impl Drop for Underway<'_, '_> {
    fn drop(&mut self) {
        if !self.ended {
            self.exchange.attempt_ended(self.started, Ok(self.status));
        }
    }
}

impl Streaming<'_, '_> {
    async fn run(&mut self) -> Result<(), Stop> {
        let mut begun = false;
        poll_fn(|cx| {
            let polled = match std::mem::replace(&mut begun, true) {
                false => self.begin(cx),
                true => Ok(()),
            };
            let polled = match polled {
                Ok(()) => self.poll(cx).map_err(Stop::Midway),
                Err(stop) => Poll::Ready(Err(stop)),
            };
            // Also for the record of an answer that is cut.
            self.exchange.seen.bytes_out.set(self.download.payload);
            polled
        })
        .await
    }

    fn begin(&mut self, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (worker, client) = (self.exchange.worker, self.exchange.client);
        let rest = std::mem::take(&mut self.answer.rest);
        let head = &self.answer.head;
        self.exchange.seen.status.set(head.status);
        let head = Head { status: head.status, phrase: Some(head.reason()), headers: &head.headers };
        let started = self.download.start(worker, client, &rest, cx, &head);
        // Given back now: the rest of the body may take hours.
        worker.spare.keep_buffer(rest);
        started.map_err(|reason| match reason {
            Reason::ClientClosed => Stop::Midway(reason),
            reason => Stop::BeforeHead(reason),
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        let exchange = self.exchange;
        let (worker, client) = (exchange.worker, exchange.client);
        let mut moved = self.answer.poll_upload(worker, cx);
        let done = self.download.poll(worker, &self.answer.conn.io, &client.io, cx)?;
        if done.is_ready() {
            return Poll::Ready(Ok(()));
        }
        moved |= self.download.take_progress();
        let blocked = self.download.blocked();
        if moved || self.armed != Some(blocked) {
            self.armed = Some(blocked);
            exchange.arm(worker.clock.now(), self.patience(blocked));
            self.answer.watch.progress(worker);
        }
        if self.answer.watch.poll(worker, client, true, cx).is_ready() {
            return Poll::Ready(Err(Reason::ClientClosed));
        }
        // An answer that moves on arms the timer anew, time and again; the end of the whole does not wait for a pause.
        if exchange.is_overdue() {
            return Poll::Ready(Err(Reason::UpstreamTimeout));
        }
        client.timer.poll(cx).map(|()| {
            Err(match blocked {
                Blocked::Client => Reason::ClientClosed,
                Blocked::Upstream => Reason::UpstreamTimeout,
            })
        })
    }

    fn patience(&self, blocked: Blocked) -> Duration {
        let plan = &self.exchange.active.plan;
        let upstream =
            self.exchange.seen.upstream.get().and_then(|(id, _)| plan.upstreams.get(id.0 as usize));
        match blocked {
            Blocked::Client => plan.limits.write_idle_timeout,
            Blocked::Upstream => {
                upstream.map_or(plan.limits.write_idle_timeout, |upstream| upstream.idle_timeout)
            }
        }
    }
}
