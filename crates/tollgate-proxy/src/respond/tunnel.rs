//! A WebSocket: the upstream's switch on its way to the client, and then whatever the two have to say to each other.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use tollgate_plan::Reason;
use tollgate_plan::route::Route;
use tollgate_wire::{name, write_response_head};

use crate::exchange::{Answer, Exchange, Next};
use crate::pump::{Ended, Patience, Side, Tunnel};

/// Passes the switch on, and bytes until one side is gone or both are done.
pub(crate) async fn tunnel(exchange: &mut Exchange<'_>, mut answer: Answer) -> Next {
    let bytes_in = Rc::default();
    exchange.seen.bytes_in = Some(Rc::clone(&bytes_in));
    let exchange = &*exchange;
    let (worker, client) = (exchange.worker, exchange.client);
    // The target has done what it was asked for; what comes of the talk says nothing about it.
    let now = worker.clock.now();
    exchange.attempt_ended(answer.started, Ok(answer.head.status));
    if let Some(trial) = answer.trial.take() {
        trial.ended(false, now);
    }
    let headers = &mut answer.head.headers;
    headers.set(&name::CONNECTION, b"Upgrade");
    headers.set(&name::UPGRADE, b"websocket");

    let Answer { head, rest, conn, _in_flight, .. } = answer;
    exchange.seen.status.set(head.status);
    let mut first = Some((head, rest));
    let mut tunnel = Tunnel::new(patience(exchange), now);
    let ended = poll_fn(|cx| {
        if let Some((head, rest)) = first.take() {
            tunnel.begin(worker, client, &conn.io, &rest, cx, |out| {
                write_response_head(out, head.status, Some(head.reason()), &head.headers);
            });
            // Given back now: the tunnel may stand for days.
            worker.spare.keep_response(head);
            worker.spare.keep_buffer(rest);
        }
        let ended = tunnel.poll(worker, client, &conn.io, cx);
        // Also for the record of a tunnel that is cut.
        bytes_in.set(tunnel.bytes_in());
        exchange.seen.bytes_out.set(tunnel.bytes_out());
        ended
    })
    .await;
    // The talk is the two sides' time, not the gateway's.
    let talk = worker.clock.now().saturating_duration_since(now);
    let seen = &exchange.seen;
    seen.upstream_time.set(Some(seen.upstream_time.get().unwrap_or_default() + talk));
    seen.reason.set(reason(ended));
    match ended {
        Ended::Stalled(Side::Client) | Ended::Broken(Side::Client) => Next::Abort,
        // What is on its way to the client still arrives.
        Ended::Orderly | Ended::Idle | Ended::Stalled(Side::Upstream) | Ended::Broken(Side::Upstream) => {
            Next::Close
        }
    }
}

fn patience(exchange: &Exchange<'_>) -> Patience {
    let stalled = exchange.active.plan.limits.write_idle_timeout;
    // Every answer of an upstream has a route.
    let own = |route: &Route| Duration::from_millis(route.tunnel_idle_ms);
    Patience { idle: exchange.matched().map_or(stalled, own), stalled }
}

/// What the record says of the end.
fn reason(ended: Ended) -> Option<Reason> {
    match ended {
        Ended::Orderly => None,
        // Neither side has failed: both had nothing to say.
        Ended::Idle => Some(Reason::RequestTimeout),
        Ended::Stalled(Side::Client) | Ended::Broken(Side::Client) => Some(Reason::ClientClosed),
        Ended::Stalled(Side::Upstream) => Some(Reason::UpstreamTimeout),
        Ended::Broken(Side::Upstream) => Some(Reason::UpstreamReset),
    }
}
