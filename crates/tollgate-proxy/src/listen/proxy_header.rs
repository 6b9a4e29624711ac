//! The PROXY protocol in front of a connection, on listeners that require it: who connected to the balancer.
//!
//! Nothing but the header is taken off the socket: what follows belongs to TLS or HTTP. The header is never looked
//! for elsewhere, since whoever may connect directly could name any address.

use std::future::poll_fn;
use std::net::IpAddr;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tollgate_wire::{PROXY_HEADER_BYTES_MAX, ProxyHeader, ProxyHeaderError, parse_proxy_header};

use super::connection::should_end;
use super::head::DRAIN_IDLE;
use crate::io::Socket;
use crate::live::listeners::ListenerLive;
use crate::timer::Timer;
use crate::worker::Worker;

/// Why there is no header.
enum Fault {
    Bad(ProxyHeaderError),
    /// It did not come within `limits.header_timeout`.
    Late,
    /// The peer left in the middle of it.
    Ended,
    /// Nobody needs to know: the peer left without a word, as a health check does, or the gateway is draining.
    Idle,
}

/// Who connected, where the listener requires that the balancer says it: `peer` itself, when the balancer speaks for
/// itself or does not know. None when there is no header; the operator's log then says so.
pub(super) async fn source(
    worker: &Worker,
    socket: &Socket,
    timer: &Timer,
    listener: &ListenerLive,
    peer: Option<IpAddr>,
) -> Option<Option<IpAddr>> {
    match read(worker, socket, timer).await {
        Ok(source) => Some(source.or(peer)),
        Err(fault) => {
            tell(listener, peer, &fault);
            None
        }
    }
}

async fn read(worker: &Worker, socket: &Socket, timer: &Timer) -> Result<Option<IpAddr>, Fault> {
    let started = worker.clock.now();
    timer.arm(started, worker.active.borrow().plan.limits.header_timeout);
    // What came of a header that comes in parts.
    let mut begun = Vec::new();
    poll_fn(|cx| {
        loop {
            match look(worker, socket, &mut begun, cx) {
                Poll::Ready(Ok(Some(header))) => return Poll::Ready(Ok(header.source)),
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
                Poll::Pending => break,
            }
        }
        if should_end(worker) {
            if worker.clock.now().saturating_duration_since(started) >= DRAIN_IDLE {
                return Poll::Ready(Err(Fault::Idle));
            }
            timer.arm(started, DRAIN_IDLE);
        }
        timer.poll(cx).map(|()| Err(if should_end(worker) { Fault::Idle } else { Fault::Late }))
    })
    .await
}

/// Looks at what is there, and takes off what belongs to the header; `None` when that was not all of it.
fn look(
    worker: &Worker,
    socket: &Socket,
    begun: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<ProxyHeader>, Fault>> {
    let mut scratch = worker.scratch.borrow_mut();
    let buffer = scratch.read.get_mut(..PROXY_HEADER_BYTES_MAX).unwrap_or_default();
    let there = match ready!(socket.poll_peek(cx, buffer)) {
        Ok(there) if there > 0 => there,
        _ if begun.is_empty() => return Poll::Ready(Err(Fault::Idle)),
        _ => return Poll::Ready(Err(Fault::Ended)),
    };
    let known = begun.len();
    begun.extend_from_slice(buffer.get(..there).unwrap_or_default());
    let parsed = match parse_proxy_header(begun) {
        Ok(parsed) => parsed,
        Err(error) => return Poll::Ready(Err(Fault::Bad(error))),
    };
    // An incomplete header is all that came so far.
    let used = parsed.map_or(there, |header| header.bytes.saturating_sub(known));
    let taken = socket.take(buffer.get_mut(..used).unwrap_or_default());
    Poll::Ready(taken.map(|()| parsed).map_err(|_| Fault::Ended))
}

fn tell(listener: &ListenerLive, peer: Option<IpAddr>, fault: &Fault) {
    let error = match fault {
        Fault::Bad(error) => error.to_string(),
        Fault::Late => "nothing came in time".to_owned(),
        Fault::Ended => "the connection ended in the middle of it".to_owned(),
        Fault::Idle => return,
    };
    let Some(connections) = listener.without_header.note(Instant::now()) else { return };
    let peer = peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string());
    tracing::warn!(
        listener = %listener.name, peer, connections, error,
        "a connection without a PROXY header was closed: this listener has `proxy_protocol: require`, so the load \
         balancer in front has to send the header (HAProxy: `send-proxy-v2`), and clients cannot connect directly"
    );
}
