//! Writing an answer that the gateway makes itself.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use tollgate_wire::{BodyDecoder, HeaderBlock, Step, name};

use crate::client::Client;
use crate::exchange::{Next, Reply, RequestBody};
use crate::io::{Ends, H2Stream};
use crate::pump::Head;
use crate::worker::Worker;

/// A body that is longer is not copied behind its head: a client that reads slowly would hold the copy.
pub(super) const ONE_WRITE_BYTES: usize = 64 * 1024;

/// What the request allows for the answer.
pub(crate) struct Shape {
    /// The answer to HEAD has the headers without the body.
    pub(crate) bodiless: bool,
    /// The connection may serve another request.
    pub(crate) persistent: bool,
    /// The client closes unless told otherwise (HTTP/1.0).
    pub(crate) old: bool,
    /// No progress for so long ends the connection.
    pub(crate) write_idle: Duration,
}

/// Writes the answer. Says what becomes of the connection; `bytes_out` is how many bytes of body went out, also while they do.
pub(crate) async fn send(
    worker: &Worker,
    client: &Client,
    mut reply: Reply<'_>,
    shape: Shape,
    bytes_out: &Cell<u64>,
) -> Next {
    // What was to be sent in its place does not count.
    bytes_out.set(0);
    // 204 and 304 have no body.
    let bodiless = shape.bodiless || matches!(reply.status, 204 | 304);
    let now = worker.clock.now();
    complete(worker, client, &mut reply, &shape, now);
    let headers = &reply.headers;
    let mut out = worker.spare.buffer();
    let head = Head { status: reply.status, phrase: None, headers };
    let body: &[u8] = if bodiless { &[] } else { &reply.body };
    match client.io.h2() {
        None => {
            out.extend_from_slice(client.owed.take().unwritten());
            head.write(&mut out);
        }
        Some(h2) if head.send(h2, Ends::After(body.len() as u64)).is_err() => return Next::Abort,
        Some(_) => {}
    }
    let mut left_of_head = out.len() as u64;
    // A stream takes the body from where it is, and a connection a long one. A short one goes in one write with the head.
    let (mut rest, mut then): (&[u8], &[u8]) = match client.io.h2() {
        Some(_) => (body, &[]),
        None if body.len() > ONE_WRITE_BYTES => (&out, body),
        None => {
            out.extend_from_slice(body);
            (&out, &[])
        }
    };
    client.timer.arm(now, shape.write_idle);
    let sent = poll_fn(|cx| {
        while !rest.is_empty() {
            match client.io.poll_write(cx, rest) {
                Poll::Ready(Ok(written)) => {
                    rest = rest.get(written..).unwrap_or_default();
                    let of_body = (written as u64).saturating_sub(left_of_head);
                    left_of_head = left_of_head.saturating_sub(written as u64);
                    bytes_out.set(bytes_out.get() + of_body);
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(())),
                Poll::Pending => break,
            }
            if rest.is_empty() {
                rest = std::mem::take(&mut then);
            }
            if !rest.is_empty() {
                client.timer.arm(worker.clock.now(), shape.write_idle);
            }
        }
        if rest.is_empty() {
            return Poll::Ready(Ok(()));
        }
        client.timer.poll(cx).map(Err)
    })
    .await;
    worker.spare.keep_buffer(out);
    match sent {
        Err(()) => Next::Abort,
        Ok(()) if shape.persistent => Next::Keep,
        Ok(()) => Next::Close,
    }
}

/// Puts the headers that every answer has.
fn complete(worker: &Worker, client: &Client, reply: &mut Reply<'_>, shape: &Shape, now: Instant) {
    let headers = &mut reply.headers;
    // A call of gRPC has no length: it would be taken for something that the service says. Nor has 204 (RFC 9110
    // section 8.6).
    let call = client.io.h2().is_some_and(H2Stream::is_grpc);
    if !matches!(reply.status, 204 | 304) && !call {
        headers.set(&name::CONTENT_LENGTH, itoa::Buffer::new().format(reply.body.len()).as_bytes());
    }
    // Whatever came behind the body that this one is made of did not stay.
    headers.remove(&name::TRAILER);
    worker.date(headers, now);
    set_connection(headers, shape.persistent, shape.old);
}

/// Says whether the connection goes on, where the client does not take it for granted.
pub(super) fn set_connection(headers: &mut HeaderBlock, persistent: bool, old: bool) {
    match (persistent, old) {
        (false, _) => headers.set(&name::CONNECTION, b"close"),
        (true, true) => headers.set(&name::CONNECTION, b"keep-alive"),
        (true, false) => {}
    }
}

/// Reads the rest of a body that nobody wants, as far as it is already here. Whether that was all of it: only
/// then can the next request be told apart from it.
pub(crate) fn discard(client: &Client, body: &mut RequestBody) -> bool {
    client.unread.consume(|bytes| skip(&mut body.decoder, bytes))
}

fn skip(decoder: &mut BodyDecoder, bytes: &[u8]) -> (usize, bool) {
    let mut used = 0;
    while let Some(rest) = bytes.get(used..) {
        match decoder.step(rest) {
            Ok(Step::Data { consumed, .. }) => used += consumed,
            Ok(Step::End { consumed }) => return (used + consumed, true),
            Ok(Step::More { consumed }) => return (used + consumed, false),
            Err(_) => break,
        }
    }
    (bytes.len(), false)
}
