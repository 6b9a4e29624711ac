//! An upstream's answer on its way to the client.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use tollgate_plan::Reason;
use tollgate_plan::reason::Blame;
use tollgate_wire::{BodyLength, name, write_response_head};

use super::reply::set_connection;
use crate::exchange::{Answer, Exchange, Next, Reject};
use crate::pump::{Blocked, Download, Framing, UploadError};

/// Sends the answer. An error means that nothing of it was sent yet.
pub(crate) async fn stream(exchange: &Exchange<'_>, mut answer: Answer) -> Result<Next, Reject> {
    let seen = &exchange.seen;
    let until_close = frame(exchange, &mut answer);
    // A body whose rest the upstream does not want cannot be told apart from the next request.
    let persistent = exchange.persistent() && !until_close && answer.upload.is_none();
    set_connection(&mut answer.head.headers, persistent, !exchange.modern());

    let framing = framing(exchange, &answer);
    let download = Download::new(answer.body, framing);
    let mut streaming = Streaming { exchange, download, answer, armed: None };
    let outcome = streaming.run().await;
    let Streaming { download, mut answer, .. } = streaming;
    seen.bytes_out.set(download.payload);
    let failed = match &outcome {
        Err(Stop::BeforeHead(reason) | Stop::Midway(reason)) if reason.row().blame == Blame::Upstream => {
            Err(*reason)
        }
        _ => Ok(answer.head.status),
    };
    exchange.attempt_ended(answer.started, failed);
    if let Some(trial) = answer.trial.take() {
        trial.ended(failed.is_err(), exchange.worker.clock.recent());
    }
    let next = match outcome {
        Ok(()) => {
            let uploaded = answer.upload.as_ref().is_none_or(|upload| upload.is_done());
            if answer.reusable && uploaded && !answer.cut && download.ended_cleanly() {
                answer.conn.release(exchange.worker.clock.recent());
            }
            if persistent { Next::Keep } else { Next::Close }
        }
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
        BodyLength::None | BodyLength::Length(_) => false,
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
    let chunked = matches!(answer.body, BodyLength::Chunked | BodyLength::UntilClose);
    if chunked && exchange.modern() {
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
    /// What the timer stands for.
    armed: Option<Blocked>,
}

impl Streaming<'_, '_> {
    async fn run(&mut self) -> Result<(), Stop> {
        let mut begun = false;
        poll_fn(|cx| {
            if !std::mem::replace(&mut begun, true) {
                self.begin(cx)?;
            }
            self.poll(cx).map_err(Stop::Midway)
        })
        .await
    }

    fn begin(&mut self, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (worker, client) = (self.exchange.worker, self.exchange.client);
        let rest = std::mem::take(&mut self.answer.rest);
        let head = &self.answer.head;
        self.exchange.seen.status.set(head.status);
        let started = self.download.start(worker, client, &rest, cx, |out| {
            write_response_head(out, head.status, Some(head.reason()), &head.headers);
        });
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
        let mut moved = self.poll_upload(cx)?;
        let done = self.download.poll(worker, &self.answer.conn.io, &client.io, cx)?;
        if done.is_ready() {
            return Poll::Ready(Ok(()));
        }
        moved |= self.download.take_progress();
        let blocked = self.download.blocked();
        if moved || self.armed != Some(blocked) {
            self.armed = Some(blocked);
            client.timer.arm(worker.clock.now(), self.patience(blocked));
            self.answer.watch.progress(worker);
        }
        if self.answer.watch.poll(worker, client, true, cx).is_ready() {
            return Poll::Ready(Err(Reason::ClientClosed));
        }
        client.timer.poll(cx).map(|()| {
            Err(match blocked {
                Blocked::Client => Reason::ClientClosed,
                Blocked::Upstream => Reason::UpstreamTimeout,
            })
        })
    }

    /// The request's body goes on while the answer comes; its failure does not end the answer.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<bool, Reason> {
        let answer = &mut self.answer;
        let Some(upload) = answer.upload.as_mut().filter(|upload| !answer.cut && !upload.is_done()) else {
            return Ok(false);
        };
        match upload.poll(self.exchange.worker, &answer.conn.io, cx) {
            Poll::Ready(Err(error)) => {
                answer.cut = true;
                if !matches!(error, UploadError::UpstreamClosed) {
                    // The upstream may wait for the rest before it ends its answer; its end tells that none comes.
                    // A connection on which that fails is broken, and the answer ends all the same.
                    let _ = answer.conn.io.end();
                }
            }
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        Ok(upload.take_progress())
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
