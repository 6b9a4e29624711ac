//! The TLS handshake of a client, on listeners that speak TLS.
//!
//! It counts toward `limits.header_timeout`. Handshakes that fail are counted and told at debug level only: whoever can
//! connect can make as many of them as they like.

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::CertificateError;
use tollgate_plan::Reason;
use tollgate_token::certificate::Certificate;

use super::connection::should_end;
use super::head::DRAIN_IDLE;
use crate::client::Secure;
use crate::exchange::Reject;
use crate::io::{HandshakeError, Socket, Stream, Tls};
use crate::live::listeners::ListenerLive;
use crate::live::memory::{Held, TLS_BYTES};
use crate::timer::Timer;
use crate::tls::ServerSide;
use crate::worker::Worker;

/// What came of it.
pub(super) struct Greeted {
    pub(super) io: Stream,
    /// None: the client speaks plain HTTP. It can be told so, and nothing else.
    pub(super) secure: Option<Rc<Secure>>,
}

/// Makes the handshake; none when there is nobody to serve.
pub(super) async fn greet(
    worker: &Worker,
    socket: Socket,
    side: &ServerSide,
    timer: &Timer,
    (listener, peer): (&ListenerLive, Option<IpAddr>),
) -> Option<Greeted> {
    let made = within(worker, timer, async {
        let mut first = [0u8];
        poll_fn(|cx| socket.poll_peek(cx, &mut first)).await.map_err(HandshakeError::Io)?;
        // A handshake begins with 22 (RFC 8446 section 5.1), a request with a letter of its method.
        if first.iter().all(u8::is_ascii_uppercase) {
            return Ok(Greeted { io: Stream::Socket(socket), secure: None });
        }
        let tls = Tls::accept(socket, side.config.clone(), worker.room.clone()).await?;
        if !is_current(&tls) {
            return Err(HandshakeError::Tls(CertificateError::Expired.into()));
        }
        let held = Held::of(&worker.memory, TLS_BYTES);
        let secure = Rc::new(Secure { version: tls.version(), subject: subject(side, &tls), _held: held });
        Ok(Greeted { io: Stream::Tls(Box::new(tls)), secure: Some(secure) })
    });
    let error = match made.await {
        Some(Ok(greeted)) => return Some(greeted),
        // Who leaves without a word was a check of the port, or thought better of it.
        Some(Err(HandshakeError::Io(_))) => return None,
        Some(Err(HandshakeError::Tls(error))) => error.to_string(),
        None if should_end(worker) => return None,
        None => "it took too long".to_owned(),
    };
    listener.handshake_failed();
    let peer = peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string());
    tracing::debug!(listener = %listener.name, peer, error, "a TLS handshake failed");
    None
}

/// What a client is told that speaks plain HTTP where TLS is spoken.
pub(super) fn misled() -> Reject {
    Reject::new(Reason::BadRequestLine, "plain HTTP was sent to a port that speaks TLS").closing()
}

/// Whether the time of the client's certificate, if it has one, is now. The library looks at that when it is shown; a
/// resumed session has it from the one before.
fn is_current(tls: &Tls) -> bool {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    tls.peer_certificate(Certificate::parse).is_none_or(|read| read.is_valid_at(now))
}

/// The subject of the client's certificate, where the upstream is to know it.
fn subject(side: &ServerSide, tls: &Tls) -> Option<(tollgate_wire::Name, Box<str>)> {
    let header = side.client_subject()?;
    let subject = tls.peer_certificate(|der| Certificate::parse(der).map(|read| read.subject))?;
    (!subject.is_empty()).then(|| (header.clone(), subject.into()))
}

/// Runs a future within `limits.header_timeout`; a drain leaves it less.
async fn within<F: Future>(worker: &Worker, timer: &Timer, future: F) -> Option<F::Output> {
    let started = worker.clock.now();
    timer.arm(started, worker.active.borrow().plan.limits.header_timeout);
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Poll::Ready(out) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(out));
        }
        if should_end(worker) {
            if worker.clock.now().saturating_duration_since(started) >= DRAIN_IDLE {
                return Poll::Ready(None);
            }
            timer.arm(started, DRAIN_IDLE);
        }
        timer.poll(cx).map(|()| None)
    })
    .await
}
