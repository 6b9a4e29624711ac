//! Writing an answer that the gateway makes itself.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

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

/// Writes the answer. Says what becomes of the connection, and how many bytes of body went out.
pub(crate) async fn send(
    worker: &Worker,
    client: &Client,
    mut reply: Reply<'_>,
    shape: Shape,
) -> (Next, u64) {
    let headers = &mut reply.headers;
    // 204 and 304 have no body, and 204 no length either (RFC 9110 section 8.6).
    let bodiless = shape.bodiless || matches!(reply.status, 204 | 304);
    // A call of gRPC has no length: it would be taken for something that the service says.
    let call = client.io.h2().is_some_and(H2Stream::is_grpc);
    if !matches!(reply.status, 204 | 304) && !call {
        headers.set(&name::CONTENT_LENGTH, itoa::Buffer::new().format(reply.body.len()).as_bytes());
    }
    // Whatever came behind the body that this one is made of did not stay.
    headers.remove(&name::TRAILER);
    let now = worker.clock.now();
    worker.date(headers, now);
    set_connection(headers, shape.persistent, shape.old);
    let mut out = worker.spare.buffer();
    let head = Head { status: reply.status, phrase: None, headers };
    let body: &[u8] = if bodiless { &[] } else { &reply.body };
    match client.io.h2() {
        None => {
            out.extend_from_slice(client.owed.take().unwritten());
            head.write(&mut out);
        }
        Some(h2) if head.send(h2, Ends::After(body.len() as u64)).is_err() => return (Next::Abort, 0),
        Some(_) => {}
    }
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
                Poll::Ready(Ok(written)) => rest = rest.get(written..).unwrap_or_default(),
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
        Err(()) => (Next::Abort, 0),
        Ok(()) => {
            let body = if bodiless { 0 } else { reply.body.len() as u64 };
            (if shape.persistent { Next::Keep } else { Next::Close }, body)
        }
    }
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
