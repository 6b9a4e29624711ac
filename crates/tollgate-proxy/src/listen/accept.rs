//! Accepting on one socket of one worker, and ceasing to without resetting anyone.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use super::bind::Listening;
use super::connection::{self, Accepted, Carrier};
use crate::live::listeners::ListenerLive;
use crate::worker::Worker;

/// After an accept error that waiting may cure (no descriptors left), this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A closing listener is done when nobody came for this long: handshakes that had begun are over by then.
const QUIET: Duration = Duration::from_millis(30);

/// An accept loop that can be told to end.
pub(crate) struct Accepting {
    pub(crate) live: Arc<ListenerLive>,
    pub(crate) stop: watch::Sender<bool>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Accepts until told to stop; then takes whoever is already in the queue, and closes the socket.
pub(crate) async fn accept(
    worker: Rc<Worker>,
    listening: Listening,
    live: Arc<ListenerLive>,
    mut stop: watch::Receiver<bool>,
) {
    let socket = match into_runtime(listening) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(listener = %live.name, %error, "cannot accept"),
    };
    loop {
        tokio::select! {
            // A sender that is gone means the worker ends.
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = socket.accept() => admit(&worker, &live, accepted).await,
        }
    }
    socket.refuse_new();
    while let Ok(accepted) = tokio::time::timeout(QUIET, socket.accept()).await {
        admit(&worker, &live, accepted).await;
    }
}

async fn admit(
    worker: &Rc<Worker>,
    live: &Arc<ListenerLive>,
    accepted: io::Result<(Carrier, Option<IpAddr>)>,
) {
    let (carrier, peer) = match accepted {
        Ok(accepted) => accepted,
        // The client was faster away than we were there.
        Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => return,
        Err(error) => {
            tracing::warn!(listener = %live.name, %error, "cannot accept a connection");
            return tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    };
    let limit = worker.active.borrow().plan.limits.connections;
    let counts = &worker.shared.counts;
    if !counts.enter(limit) {
        // Dropping the stream closes it; the excess is counted.
        return;
    }
    live.enter();
    let accepted = Accepted { carrier, peer, listener: live.clone() };
    let chosen = counts.assign(worker.index);
    if chosen == worker.index {
        connection::spawn(worker, accepted);
    } else {
        worker.shared.hand_over(chosen, accepted);
    }
}

fn into_runtime(listening: Listening) -> io::Result<Socket> {
    Ok(match listening {
        Listening::Tcp(listener) => Socket::Tcp(TcpListener::from_std(listener)?),
        Listening::Unix(listener) => Socket::Unix(UnixListener::from_std(listener)?),
    })
}

impl Socket {
    async fn accept(&self) -> io::Result<(Carrier, Option<IpAddr>)> {
        match self {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Carrier::Tcp(stream), Some(peer.ip())))
            }
            Socket::Unix(listener) => Ok((Carrier::Unix(listener.accept().await?.0), None)),
        }
    }

    /// Closing a listening socket resets the connections in its queue, and one may complete its handshake
    /// between the last accept and the close. So the kernel first drops new SYNs: those clients ask again a
    /// second later and find the address closed, or somebody else there; those in the queue are served.
    fn refuse_new(&self) {
        const TCP_FLAGS_OFFSET: u32 = 13;
        const SYN_AND_ACK: u32 = 0x12;
        const SYN: u32 = 0x02;
        // Classic BPF on the segment: A = flags & (SYN|ACK); drop when A == SYN.
        let program = [
            SockFilter::new(0x30, 0, 0, TCP_FLAGS_OFFSET), // ldb [13]
            SockFilter::new(0x54, 0, 0, SYN_AND_ACK),      // and #0x12
            SockFilter::new(0x15, 0, 1, SYN),              // jeq #SYN, next, over
            SockFilter::new(0x06, 0, 0, 0),                // ret drop
            SockFilter::new(0x06, 0, 0, u32::MAX),         // ret keep
        ];
        if let Socket::Tcp(listener) = self
            && let Err(error) = SockRef::from(listener).attach_filter(&program)
        {
            tracing::debug!(%error, "no filter on a closing listener; a connection may be reset");
        }
    }
}
