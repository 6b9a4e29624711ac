//! A request's body in memory, for those who must see all of it before it goes on: schemas, scripts, aggregations.
//!
//! Behind this, the body is as if a client had sent it in one piece with its length in front: it is forwarded, sent again
//! and copied like any other.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tollgate_plan::Reason;
use tollgate_wire::{BodyDecoder, BodyLength, ChunkLimits, HeaderBlock, Step, name};

use crate::client::Client;
use crate::exchange::{Exchange, Reject, RequestBody};

/// Reads the client's body to its end, within its bound. Trailers are dropped.
pub(crate) async fn request_body(exchange: &mut Exchange<'_>) -> Result<(), Reject> {
    let Some(body) = exchange.body.take_if(|body| body.here.is_none()) else { return Ok(()) };
    // Whatever happens now, what is left of it stands between this request and the next.
    exchange.body_read = false;
    // Boxed: few requests are read to their end first, and every one would carry the room.
    let mut reading = Box::new(Reading { body, payload: Vec::new(), held: 0 });
    if reading.body.expects_continue && !has_begun(exchange.client).await {
        exchange.client.inform(100, &HeaderBlock::default());
    }
    exchange.arm(exchange.worker.clock.recent(), exchange.active.plan.limits.body_idle_timeout);
    poll_fn(|cx| reading.poll(exchange, cx)).await?;
    exchange.body_read = true;
    let max = reading.body.max;
    set_request_body(exchange, reading.payload);
    if let Some(body) = &mut exchange.body {
        body.max = max;
    }
    Ok(())
}

/// Looks at a body that was read; the empty one where there is none.
pub(crate) fn with_request_body<T>(exchange: &Exchange<'_>, look: impl FnOnce(&[u8]) -> T) -> T {
    match exchange.body.as_ref().and_then(|body| body.here.as_ref()) {
        Some(client) => client.unread.look(look),
        None => look(&[]),
    }
}

/// Puts another body in the place of the one that was read.
pub(crate) fn set_request_body(exchange: &mut Exchange<'_>, payload: Vec<u8>) {
    let head = &mut exchange.kit.head;
    let length = payload.len() as u64;
    head.expect_continue = false;
    head.headers.remove(&name::EXPECT);
    head.headers.remove(&name::TRAILER);
    head.body = if length == 0 { BodyLength::None } else { BodyLength::Length(length) };
    // GET without a body stays without a length; what had a body says that it is empty now.
    if length > 0 || head.headers.contains(&name::CONTENT_LENGTH) {
        head.headers.set(&name::CONTENT_LENGTH, itoa::Buffer::new().format(length).as_bytes());
    }
    exchange.body = (length > 0).then(|| {
        Box::new(RequestBody {
            decoder: BodyDecoder::new(BodyLength::Length(length), &ChunkLimits::default()),
            length: BodyLength::Length(length),
            max: u64::MAX,
            expects_continue: false,
            copy: None,
            here: Some(Client::nobody(&exchange.worker.timers, payload)),
            edited: Vec::new(),
        })
    });
    exchange.seen.bytes_in.get_or_insert_with(Rc::default);
}

/// Whether the client began to send its body without waiting for permission.
async fn has_begun(client: &Client) -> bool {
    let Some(h2) = client.io.h2() else { return !client.unread.is_empty() };
    poll_fn(|cx| Poll::Ready(h2.poll_readable(cx).is_ready())).await
}

/// A body on its way into memory.
struct Reading {
    body: Box<RequestBody>,
    payload: Vec<u8>,
    /// What the exchange was told to hold for it.
    held: usize,
}

impl Reading {
    /// Ready when all of it is there.
    fn poll(&mut self, exchange: &Exchange<'_>, cx: &mut Context<'_>) -> Poll<Result<(), Reject>> {
        let (worker, client) = (exchange.worker, exchange.client);
        if let Poll::Ready(Err(_)) = client.poll_owed(cx) {
            return Poll::Ready(Err(client_closed()));
        }
        loop {
            if client.unread.consume(|bytes| self.take(exchange, bytes))? {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = worker.scratch.borrow_mut().take_read();
            let got = client.io.poll_read(cx, &mut buffer);
            if let Poll::Ready(Ok(read)) = got {
                client.unread.push(buffer.get(..read).unwrap_or_default());
            }
            worker.scratch.borrow_mut().read = buffer;
            match got {
                Poll::Ready(Ok(0)) if client.io.h2().is_some() && self.is_framed() => {
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(client_closed())),
                Poll::Ready(Ok(_)) => {
                    exchange.arm(worker.clock.now(), exchange.active.plan.limits.body_idle_timeout);
                }
                Poll::Pending => {
                    ready!(client.timer.poll(cx));
                    let late = Reject::new(Reason::RequestTimeout, "the request body made no progress");
                    return Poll::Ready(Err(late.closing()));
                }
            }
        }
    }

    /// On HTTP/2 the stream knows where the body ends.
    fn is_framed(&self) -> bool {
        self.body.decoder.finish_at_eof().is_ok()
    }

    /// Room grows as it does everywhere, but not beyond the length that was announced.
    fn keep(&mut self, bytes: &[u8]) {
        let needed = self.payload.len() + bytes.len();
        if needed > self.payload.capacity() {
            let announced = match self.body.length {
                BodyLength::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
                _ => usize::MAX,
            };
            let room = needed.max((self.payload.capacity() * 2).min(announced));
            self.payload.reserve_exact(room - self.payload.len());
        }
        self.payload.extend_from_slice(bytes);
    }

    /// How much was used, and whether that was the end.
    fn take(&mut self, exchange: &Exchange<'_>, bytes: &[u8]) -> (usize, Result<bool, Reject>) {
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            match self.body.decoder.step(rest) {
                Err(error) => {
                    return (bytes.len(), Err(Reject::malformed_body(error)));
                }
                Ok(Step::More { consumed }) => return (used + consumed, Ok(false)),
                Ok(Step::End { consumed }) => return (used + consumed, Ok(true)),
                Ok(Step::Data { start, end, consumed }) => {
                    self.keep(rest.get(start..end).unwrap_or_default());
                    used += consumed;
                    let more = self.payload.capacity() - self.held;
                    if more > 0 {
                        self.held += more;
                        if let Err(reject) = exchange.hold(more) {
                            return (bytes.len(), Err(reject.closing()));
                        }
                    }
                    if let Some(received) = &exchange.seen.bytes_in {
                        received.set(self.payload.len() as u64);
                    }
                    if self.payload.len() as u64 > self.body.max {
                        return (bytes.len(), Err(Reject::body_too_large(self.body.max).closing()));
                    }
                }
            }
        }
    }
}

fn client_closed() -> Reject {
    Reject::new(Reason::ClientClosed, "the client closed the connection")
}
