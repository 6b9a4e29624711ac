//! Turning what a request came to into bytes. The only place where an error becomes a response.

use std::cell::Cell;
use std::future::Future;

use tollgate_plan::Reason;

use super::grpc;
use super::problem::problem;
use super::reply::{ONE_WRITE_BYTES, Shape, discard, send};
use super::stream::stream;
use super::tunnel::tunnel;
use crate::client::Client;
use crate::exchange::{Exchange, Next, Outcome, Reject, Reply};
use crate::worker::{Active, Worker};

/// Answers the client. Says what becomes of its connection.
///
/// Not an `async fn`, which would keep room for the outcome twice in the state of every connection.
pub(crate) fn finish(
    exchange: &mut Exchange<'_>,
    mut outcome: Result<Outcome<'_>, Reject>,
) -> impl Future<Output = Next> {
    if let Ok(outcome) = &mut outcome {
        exchange.carry_to(outcome.headers());
    }
    // What a service says takes the place until all of it has come.
    let place = match &outcome {
        Ok(Outcome::Answer(upstream)) if upstream.head.status != 101 => exchange.place.take(),
        _ => None,
    };
    async move {
        let next = match outcome {
            Ok(Outcome::Reply(reply)) => answer(exchange, reply, false).await,
            // Only a switch that was asked for and is one gets so far. Boxed: few requests come to this.
            Ok(Outcome::Answer(upstream)) if upstream.head.status == 101 => {
                Box::pin(tunnel(exchange, upstream)).await
            }
            Ok(Outcome::Answer(upstream)) => match stream(exchange, upstream, place).await {
                Ok(next) => next,
                // Boxed: few answers turn out to be none.
                Err(reject) => Box::pin(reject_with(exchange, reject)).await,
            },
            // Boxed: the other requests need not carry the room.
            Err(reject) => Box::pin(reject_with(exchange, reject)).await,
        };
        exchange.seen.finished.set(true);
        next
    }
}

/// The answer that a client would get who is only thought of, and why where it is a refusal. Where a service would be
/// asked, what the route adds to its answer.
pub(crate) fn explain<'a>(
    exchange: &Exchange<'_>,
    outcome: Result<Outcome<'a>, Reject>,
) -> (Option<Reject>, Option<Reply<'a>>) {
    let (reject, mut reply) = match outcome {
        Ok(Outcome::Reply(reply)) => (None, reply),
        // No service was asked.
        Ok(Outcome::Answer(_)) => return (None, None),
        Err(reject) => {
            let reply = refusal(exchange.client, &reject, exchange.facts.id.as_str());
            (Some(reject), reply)
        }
    };
    exchange.carry_to(&mut reply.headers);
    (reject, Some(reply))
}

async fn reject_with(exchange: &mut Exchange<'_>, reject: Reject) -> Next {
    let seen = &exchange.seen;
    seen.reason.set(Some(reject.reason));
    seen.status.set(reject.status);
    if reject.reason == Reason::ClientClosed {
        return Next::Abort;
    }
    let mut reply = refusal(exchange.client, &reject, exchange.facts.id.as_str());
    exchange.carry_to(&mut reply.headers);
    answer(exchange, reply, reject.close).await
}

async fn answer(exchange: &mut Exchange<'_>, reply: Reply<'_>, close: bool) -> Next {
    // What is left of the request's body would be taken for the next request.
    let read = match &mut exchange.body {
        Some(body) if body.here.is_none() => discard(exchange.client, body),
        _ => exchange.body_read,
    };
    let shape = Shape {
        bodiless: exchange.is_head(),
        persistent: read && !close && exchange.persistent(),
        old: !exchange.modern(),
        write_idle: exchange.active.plan.limits.write_idle_timeout,
    };
    exchange.seen.status.set(reply.status);
    if reply.body.len() <= ONE_WRITE_BYTES {
        // Nobody works for it any more, and hardly anything is held.
        exchange.place = None;
    }
    let next = send(exchange.worker, exchange.client, reply, shape, &exchange.seen.bytes_out).await;
    if next == Next::Abort {
        exchange.seen.reason.set(Some(Reason::ClientClosed));
    }
    next
}

/// Answers something that is not even a request; the connection ends with it.
pub(crate) async fn refuse(
    worker: &Worker,
    client: &Client,
    active: &Active,
    reject: &Reject,
    id: &str,
) -> (Next, u64) {
    let shape = Shape {
        bodiless: false,
        persistent: false,
        old: false,
        write_idle: active.plan.limits.write_idle_timeout,
    };
    let bytes_out = Cell::new(0);
    let next = send(worker, client, refusal(client, reject, id), shape, &bytes_out).await;
    (next, bytes_out.get())
}

/// What a refusal says to this client.
fn refusal(client: &Client, reject: &Reject, id: &str) -> Reply<'static> {
    match client.io.h2() {
        Some(h2) if h2.is_grpc() => grpc::refusal(reject),
        _ => problem(reject, id),
    }
}
