//! One attempt on one connection, as a state machine: request out, head of the answer in, both at once.

mod head;
mod stream;

use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use h2::client::ResponseFuture;
use tollgate_plan::Reason;
use tollgate_wire::{BodyLength, HeadProgress, HeaderBlock, ResponseHead};

use crate::exchange::{Answer, Exchange, Reject};
use crate::io::Gone;
use crate::live::conn::Conn;
use crate::live::sessions::Lease;
use crate::live::upstreams::InFlight;
use crate::pump::{Pending, Upload, UploadError, WaitsFor, Watch};

/// A client that waits for `100 Continue` gets it from the gateway when the upstream says nothing for so long
/// (RFC 9110 section 10.1.1: many services never send it).
const CONTINUE_AFTER: Duration = Duration::from_secs(1);

/// Why an attempt failed.
pub(super) enum Failure {
    /// The kept connection was dead before anything came back, or the target says that it did nothing for the request,
    /// and the request can be sent again.
    DeadOnReuse,
    /// The target did not take the TLS connection for made, and never saw the request.
    Tls(rustls::Error),
    /// The request is lost.
    Final(Reject),
}

pub(super) struct Attempt<'a, 'c> {
    exchange: &'a Exchange<'c>,
    conn: Rc<Conn>,
    started: Instant,
    timeout: Duration,
    begun: bool,
    /// The request's head, where there is no body to carry it along.
    out: Pending,
    upload: Option<Box<Upload>>,
    /// The upstream takes no more of the body; its answer may be there.
    cut: bool,
    /// What the timer stands for.
    armed: WaitsFor,
    /// Part of a head.
    input: Vec<u8>,
    progress: HeadProgress,
    head: Option<Box<ResponseHead>>,
    complete: bool,
    interims: u32,
    watch: Watch,
    /// Where the head of the answer comes from over HTTP/2.
    response: Option<Box<ResponseFuture>>,
    /// What had come from the target when the request went out there.
    received: u64,
    /// The request was sent before, and that did not count.
    again: bool,
}

impl<'a, 'c> Attempt<'a, 'c> {
    pub(super) fn new(
        exchange: &'a Exchange<'c>,
        conn: Rc<Conn>,
        upload: Option<Box<Upload>>,
        started: Instant,
        timeout: Duration,
    ) -> Attempt<'a, 'c> {
        Attempt {
            exchange,
            conn,
            started,
            timeout,
            begun: false,
            out: Pending::default(),
            upload,
            cut: false,
            armed: WaitsFor::Nothing,
            input: Vec::new(),
            progress: HeadProgress::default(),
            head: None,
            complete: false,
            interims: 0,
            watch: Watch::default(),
            response: None,
            received: 0,
            again: false,
        }
    }

    /// The same on a stream of an HTTP/2 connection: the head of the request is out, that of the answer comes there.
    pub(super) fn on_stream(self, response: ResponseFuture, again: bool) -> Attempt<'a, 'c> {
        let received = self.conn.lease().map_or(0, Lease::received);
        Attempt { response: Some(Box::new(response)), received, again, ..self }
    }

    pub(super) fn is_begun(&self) -> bool {
        self.begun
    }

    /// Writes the head, or gives it to the body to go along.
    pub(super) fn begin(&mut self, cx: &mut Context<'_>, head: impl FnOnce(&mut Vec<u8>)) {
        self.arm(self.waits_for());
        self.begun = true;
        let again = || self.conn.reused.get() && self.exchange.sent_method().is_idempotent();
        if let Some(upload) = &mut self.upload
            && (self.response.is_some() || again())
        {
            upload.keep_small(&self.exchange.worker.kept_bytes);
        }
        if self.response.is_some() {
            if let Some(upload) = &mut self.upload {
                upload.start(&self.conn.io, &[]);
            }
            return;
        }
        let worker = self.exchange.worker;
        let mut bytes = std::mem::take(&mut worker.scratch.borrow_mut().out);
        bytes.clear();
        head(&mut bytes);
        let written = match &mut self.upload {
            Some(upload) => {
                upload.start(&self.conn.io, &bytes);
                Ok(())
            }
            None => self.out.write_or_keep(&self.conn.io, cx, &bytes, &mut 0),
        };
        worker.scratch.borrow_mut().out = bytes;
        // Why nothing goes out, reading tells.
        self.cut = written.is_err();
    }

    /// Ready when the head of the answer is there.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            self.poll_out(cx)?;
            match self.poll_head(cx) {
                Poll::Ready(Ok(())) if self.complete => return Poll::Ready(Ok(())),
                // An interim answer may have permitted the body.
                Poll::Ready(Ok(())) => continue,
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                Poll::Pending => {}
            }
            if self.poll_client(cx).is_ready() {
                return Poll::Ready(Err(Failure::Final(client_closed())));
            }
            if self.exchange.is_overdue() {
                return Poll::Ready(Err(Failure::Final(self.overdue())));
            }
            ready!(self.exchange.client.timer.poll(cx));
            self.expired()?;
        }
    }

    /// Ready when the client is gone.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.exchange.client.poll_owed(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            _ if self.waits_for() == WaitsFor::Nothing => self.poll_watch(cx),
            _ => Poll::Pending,
        }
    }

    /// Moves the request on, and the deadline with it.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let Some(upload) = self.upload.as_mut().filter(|upload| !self.cut && !upload.is_done()) else {
            if let Poll::Ready(Err(_)) = self.out.poll_flush(&self.conn.io, cx, &mut 0) {
                // The answer may have come all the same; reading tells.
                self.out = Pending::default();
                self.cut = true;
            }
            return Ok(());
        };
        match upload.poll(self.exchange.worker, &self.conn.io, cx) {
            Poll::Ready(Err(UploadError::UpstreamClosed)) => self.cut = true,
            Poll::Ready(Err(error)) => return Err(Failure::Final(refuse(&error, upload.max()))),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        let moved = upload.take_progress();
        let waits_for = self.waits_for();
        if moved || waits_for != self.armed {
            self.arm(waits_for);
        }
        Ok(())
    }

    fn waits_for(&self) -> WaitsFor {
        match &self.upload {
            Some(upload) if !self.cut => upload.waits_for(),
            _ => WaitsFor::Nothing,
        }
    }

    fn arm(&mut self, waits_for: WaitsFor) {
        self.armed = waits_for;
        let after = match waits_for {
            WaitsFor::Client => self.exchange.active.plan.limits.body_idle_timeout,
            WaitsFor::Permission => CONTINUE_AFTER.min(self.timeout),
            WaitsFor::Upstream | WaitsFor::Nothing => self.timeout,
        };
        let now =
            if self.begun { self.exchange.worker.clock.now() } else { self.exchange.worker.clock.recent() };
        self.exchange.arm(now, after);
    }

    /// The deadline has come.
    fn expired(&mut self) -> Result<(), Failure> {
        match self.armed {
            // The end of the whole came first; the next look at it says so.
            _ if self.exchange.is_overdue() => Ok(()),
            WaitsFor::Permission => {
                if let Some(upload) = &mut self.upload {
                    upload.permit();
                }
                self.exchange.client.inform(100, &HeaderBlock::new());
                self.arm(self.waits_for());
                Ok(())
            }
            WaitsFor::Client => {
                let late = Reject::new(Reason::RequestTimeout, "the request body made no progress");
                Err(Failure::Final(late.closing()))
            }
            WaitsFor::Upstream | WaitsFor::Nothing => {
                if let Some(lease) = self.conn.lease() {
                    lease.suspect(self.received);
                }
                Err(Failure::Final(Reject::new(
                    Reason::UpstreamTimeout,
                    "the service did not answer in time",
                )))
            }
        }
    }

    /// The time for the whole is over. Who still has not sent its request is to blame for that itself.
    fn overdue(&self) -> Reject {
        match self.armed {
            WaitsFor::Client => {
                Reject::new(Reason::RequestTimeout, "the request body took too long").closing()
            }
            WaitsFor::Permission | WaitsFor::Upstream | WaitsFor::Nothing => Reject::overdue(),
        }
    }

    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let exchange = self.exchange;
        if !exchange.modern() {
            // HTTP/1.0 has no interim answers to ask with: its half-close is taken at its word.
            return match exchange.client.io.poll_gone(cx) {
                Poll::Ready(Gone::Broken) => Poll::Ready(()),
                Poll::Ready(Gone::End) | Poll::Pending => Poll::Pending,
            };
        }
        if !exchange.client.owed.borrow().is_empty() {
            return Poll::Pending;
        }
        self.watch.poll(exchange.worker, exchange.client, false, cx)
    }

    pub(super) fn into_upload(self) -> Option<Box<Upload>> {
        self.upload
    }

    /// Whether a connection of HTTP/1 can carry another exchange behind this one. What is left of the request's head would
    /// stand in front of the next one; after a switch there is none.
    fn leaves_conn_clean(&self, head: &ResponseHead) -> bool {
        let ends = head.status != 101 && head.body != BodyLength::UntilClose;
        ends && head.persistent && self.out.is_empty()
    }

    pub(super) fn into_answer(mut self, in_flight: InFlight) -> Option<Answer> {
        let head = self.head.take()?;
        Some(Answer {
            body: head.body,
            reusable: self.response.is_some() || self.leaves_conn_clean(&head),
            head,
            rest: self.input,
            conn: self.conn,
            upload: self.upload.filter(|upload| !upload.is_done() || upload.can_restart()),
            cut: self.cut,
            watch: self.watch,
            started: self.started,
            _in_flight: in_flight,
            trial: None,
            coder: None,
            store: None,
        })
    }
}

pub(super) fn client_closed() -> Reject {
    Reject::new(Reason::ClientClosed, "the client closed the connection")
}

fn refuse(error: &UploadError, max: u64) -> Reject {
    match error {
        UploadError::ClientGone => client_closed(),
        UploadError::Malformed(error) => Reject::malformed_body(*error),
        UploadError::TooLarge => Reject::body_too_large(max).closing(),
        UploadError::UpstreamClosed => {
            Reject::new(Reason::UpstreamReset, "the service stopped reading the request")
        }
    }
}
