//! One client connection from accept to close.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::head::{self, Arrival};
use super::{handshake, http2, proxy_header};
use crate::client::{Client, Place, Unread};
use crate::exchange::{Glimpse, Next};
use crate::io::Stream;
use crate::timer::Timer;
use crate::tls::HTTP_2;
use crate::worker::{Phase, Worker};

/// After the last answer, what the client still sends is read away for this long at most: closing with unread
/// bytes would reset the connection, and the client could lose the answer (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(2);

/// And this much of it at most.
const LINGER_BYTES: usize = 1024 * 1024;

/// A connection that was accepted, perhaps by another worker: it is in no runtime yet.
pub(crate) struct Accepted {
    pub(crate) fd: OwnedFd,
    /// Who connected; none on a unix socket.
    pub(crate) peer: Option<IpAddr>,
    pub(crate) place: Place,
}

/// Serves the connection on this worker, in a task of its own. It is already counted.
pub(crate) fn spawn(worker: &Rc<Worker>, accepted: Accepted) {
    tokio::task::spawn_local(serve(worker.clone(), accepted));
}

/// Serves the connection to its end.
pub(crate) async fn serve(worker: Rc<Worker>, accepted: Accepted) {
    worker.clock.now();
    let Accepted { fd, mut peer, place } = accepted;
    let Ok(mut io) = Stream::new(fd) else { return };
    let timer = worker.timers.timer();
    if let Stream::Socket(socket) = &io
        && place.listener().requires_proxy_header()
    {
        // Boxed: what serves a connection need not carry the room for what is read once, or never.
        let source = Box::pin(proxy_header::source(&worker, socket, &timer, place.listener(), peer)).await;
        let Some(source) = source else { return };
        peer = source;
    }
    let mut secure = None;
    let mut misled = false;
    if let Some(side) = place.listener().tls()
        && let Stream::Socket(socket) = io
    {
        let about = (place.listener(), peer);
        let Some(greeted) = Box::pin(handshake::greet(&worker, socket, &side, &timer, about)).await else {
            return;
        };
        misled = greeted.secure.is_none();
        (io, secure) = (greeted.io, greeted.secure);
    }
    let client = Rc::new(Client {
        io,
        timer,
        peer,
        peer_text: peer.map(|ip| ip.to_string()).unwrap_or_default().into(),
        unread: Unread::default(),
        owed: RefCell::default(),
        begun: Cell::default(),
        served: Cell::new(0),
        secure,
        _place: Some(place),
    });
    if misled {
        Box::pin(crate::pipeline::refuse(&worker, &client, handshake::misled(), Glimpse::default())).await;
        return linger(&worker, &client.io, &client.timer).await;
    }
    if client.io.is_alpn(HTTP_2) {
        return serve_http2(worker, client).await;
    }
    loop {
        let next = match head::arrive(&worker, &client).await {
            Arrival::Request(kit) => {
                client.served.set(client.served.get() + 1);
                crate::pipeline::serve(&worker, &client, kit).await
            }
            Arrival::Refused(reject, read) => {
                Box::pin(crate::pipeline::refuse(&worker, &client, reject, *read)).await
            }
            Arrival::Http2 => return serve_http2(worker, client).await,
            Arrival::Closed => return client.io.part(),
        };
        match next {
            // What its last answer said was decided before the listener's terms changed.
            Next::Keep if client.is_welcome() => {}
            Next::Keep | Next::Close => return linger(&worker, &client.io, &client.timer).await,
            Next::Abort => return,
        }
    }
}

async fn serve_http2(worker: Rc<Worker>, client: Rc<Client>) {
    // Before the first request nobody else has it.
    if let Some(client) = Rc::into_inner(client) {
        Box::pin(http2::serve(worker, client)).await;
    }
}

/// Ends our direction, then reads away what the client still sends.
pub(super) async fn linger(worker: &Worker, io: &Stream, timer: &Timer) {
    if io.end().is_err() {
        return;
    }
    let mut left = LINGER_BYTES;
    timer.arm(worker.clock.now(), LINGER);
    poll_fn(|cx| {
        if timer.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut scratch = worker.scratch.borrow_mut();
        loop {
            match io.poll_read(cx, &mut scratch.read) {
                Poll::Ready(Ok(read)) if read > 0 && read < left => left -= read,
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

/// Whether an idle connection should end because of the shutdown.
pub(super) fn should_end(worker: &Worker) -> bool {
    worker.phase.get() == Phase::Draining
}
