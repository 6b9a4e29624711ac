//! What is done with an upstream's answer whoever reads it: the rest of the request goes out meanwhile, and its end
//! is told to those who count.

use std::task::{Context, Poll};

use tollgate_plan::Reason;
use tollgate_wire::BodyLength;

use crate::exchange::{Answer, Exchange};
use crate::pump::UploadError;
use crate::worker::Worker;

impl Answer {
    /// How the end of the body is found. On HTTP/2 the stream knows it, and compares it with the length that was
    /// announced; trailers may follow even so. Where the head was all, the client's is to be all too: libraries of gRPC
    /// take an answer of trailers alone for broken that ends with a frame of data.
    pub(crate) fn source(&self) -> BodyLength {
        match (self.body, self.conn.io.h2()) {
            (BodyLength::Length(0), Some(stream)) if stream.is_read() => BodyLength::Length(0),
            (BodyLength::None, _) => BodyLength::None,
            (_, Some(_)) => BodyLength::UntilClose,
            (length, None) => length,
        }
    }

    /// Moves the request's body on while the answer comes; its failure does not end the answer. Whether bytes moved.
    pub(crate) fn poll_upload(&mut self, worker: &Worker, cx: &mut Context<'_>) -> bool {
        let Some(upload) = self.upload.as_mut().filter(|upload| !self.cut && !upload.is_done()) else {
            return false;
        };
        match upload.poll(worker, &self.conn.io, cx) {
            Poll::Ready(Err(error)) => {
                self.cut = true;
                if !matches!(error, UploadError::UpstreamClosed) {
                    // The upstream may wait for the rest before it ends its answer: an end tells that none comes.
                    self.conn.cut_short();
                }
            }
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        upload.take_progress()
    }

    /// The answer is over: with its status, or for a reason of which the upstream is to blame. Its connection serves
    /// again when nothing but this exchange was on it: `clean` says that the answer was read exactly to its end.
    pub(crate) fn ended(&mut self, exchange: &Exchange<'_>, outcome: Result<u16, Reason>, clean: bool) {
        exchange.attempt_ended(self.started, outcome);
        let now = exchange.worker.clock.recent();
        if let Some(trial) = self.trial.take() {
            trial.ended(outcome.is_err(), now);
        }
        let uploaded = self.upload.as_ref().is_none_or(|upload| upload.is_done());
        if clean && self.reusable && uploaded && !self.cut {
            self.conn.clone().release(now);
        }
    }
}
