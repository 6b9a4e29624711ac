//! The head of an answer over HTTP/2: it comes as one, and what goes wrong has a code.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tollgate_plan::Reason;
use tollgate_wire::{BodyLength, HeadError, Method, ResponseHead, Version, name};

use super::head::protocol;
use super::{Attempt, Failure};
use crate::exchange::Reject;
use crate::pump::Upload;
use crate::upstream::translate;

impl Attempt<'_, '_> {
    /// Ready(Ok) means that something came; `complete` says whether it was all.
    pub(super) fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Some(response) = &mut self.response else { return Poll::Pending };
        if let Poll::Ready(Some(Ok(interim))) = response.poll_informational(cx) {
            return Poll::Ready(self.take_interim(&interim));
        }
        let answer = match ready!(Pin::new(&mut **response).poll(cx)) {
            Ok(answer) => answer,
            Err(error) => return Poll::Ready(Err(self.failed(&error))),
        };
        self.exchange.worker.clock.now();
        let (parts, body) = answer.into_parts();
        let ended = body.is_end_stream();
        let http1 = self.exchange.kit.head.version != Version::Http2;
        let read = self.read_head(|text, method, head| {
            translate::response(&parts, ended, method, text, head)?;
            if http1 && head.body == BodyLength::Length(0) && !head.headers.contains(&name::CONTENT_LENGTH) {
                // The end of the stream said so; the client has no streams.
                head.headers.append(&name::CONTENT_LENGTH, b"0");
            }
            Ok(())
        });
        if let Some(stream) = self.conn.io.h2() {
            stream.receive(body);
        }
        if let Some(lease) = self.conn.lease() {
            lease.prove();
        }
        self.complete = true;
        Poll::Ready(read)
    }

    fn take_interim(&mut self, interim: &http::Response<()>) -> Result<(), Failure> {
        let (status, headers) = (interim.status(), interim.headers());
        self.read_head(|text, method, head| translate::interim(status, headers, method, text, head))?;
        self.interim_answer(status.as_u16())
    }

    fn read_head(
        &mut self,
        read: impl FnOnce(&mut Vec<u8>, &Method, &mut ResponseHead) -> Result<(), HeadError>,
    ) -> Result<(), Failure> {
        let worker = self.exchange.worker;
        let head = self.head.get_or_insert_with(|| worker.spare.response());
        let mut text = std::mem::take(&mut worker.scratch.borrow_mut().out);
        let outcome = read(&mut text, self.exchange.sent_method(), head);
        worker.scratch.borrow_mut().out = text;
        outcome.map_err(|_| protocol())
    }

    /// The stream ended without an answer.
    fn failed(&self, error: &h2::Error) -> Failure {
        if is_refused(error) {
            if let Some(lease) = self.conn.lease().filter(|_| error.is_reset()) {
                lease.rest();
            }
            return Failure::refused(self.upload.as_deref(), self.again);
        }
        if error.is_library() {
            return protocol();
        }
        // A reset or the end of the connection; what came before it counts as it does in HTTP/1.
        if error.is_reset() {
            return Failure::Final(Reject::new(Reason::UpstreamReset, "the service reset the request"));
        }
        self.lost()
    }
}

impl Failure {
    /// Nothing was done for the request, whatever its method: it can be sent again, once.
    pub(in crate::upstream) fn refused(upload: Option<&Upload>, again: bool) -> Failure {
        if !again && upload.is_none_or(Upload::can_restart) {
            return Failure::DeadOnReuse;
        }
        Failure::Final(Reject::new(Reason::UpstreamReset, "the service refused the request"))
    }
}

/// Whether the peer says that it has done nothing for the request: it reset the stream with that code, or went with
/// the number of an earlier one (RFC 9113 sections 6.8 and 8.7). Streams that it still answers do not see its going.
fn is_refused(error: &h2::Error) -> bool {
    let code = error.is_reset() && error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    code || (error.is_go_away() && error.is_remote())
}
