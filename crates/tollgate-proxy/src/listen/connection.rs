//! One client connection from accept to close.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::head::{self, Arrival};
use super::proxy_header;
use crate::client::{Client, Place, Unread};
use crate::exchange::Next;
use crate::io::Stream;
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
    let Ok(io) = Stream::new(fd) else { return };
    let timer = worker.timers.timer();
    if let Stream::Socket(socket) = &io
        && place.listener().requires_proxy_header()
    {
        // Boxed: what serves a connection need not carry the room for what is read once, or never.
        let source = Box::pin(proxy_header::source(&worker, socket, &timer, place.listener(), peer)).await;
        let Some(source) = source else { return };
        peer = source;
    }
    let client = Rc::new(Client {
        io,
        timer,
        peer,
        peer_text: peer.map(|ip| ip.to_string()).unwrap_or_default().into(),
        unread: Unread::default(),
        owed: RefCell::default(),
        served: Cell::new(0),
        _place: Some(place),
    });
    loop {
        let next = match head::arrive(&worker, &client).await {
            Arrival::Request(kit) => {
                client.served.set(client.served.get() + 1);
                crate::pipeline::serve(&worker, &client, kit).await
            }
            Arrival::Refused(reject) => Box::pin(crate::pipeline::refuse(&worker, &client, reject)).await,
            Arrival::Closed => return,
        };
        match next {
            Next::Keep => {}
            Next::Close => return linger(&worker, &client).await,
            Next::Abort => return,
        }
    }
}

/// Ends our direction, then reads away what the client still sends.
async fn linger(worker: &Worker, client: &Client) {
    if client.io.end().is_err() {
        return;
    }
    let mut left = LINGER_BYTES;
    client.timer.arm(worker.clock.now(), LINGER);
    poll_fn(|cx| {
        if client.timer.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut scratch = worker.scratch.borrow_mut();
        loop {
            match client.io.poll_read(cx, &mut scratch.read) {
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
