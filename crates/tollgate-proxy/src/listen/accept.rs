//! Accepting on one socket of one worker, and ceasing to without resetting anyone.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, acceptfrom_with, sockopt};
use socket2::{SockFilter, SockRef};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::connection::{self, Accepted};
use crate::client::Place;
use crate::io::register;
use crate::live::listeners::ListenerLive;
use crate::live::memory::Pressure;
use crate::worker::Worker;

/// After an accept error that waiting may cure (no descriptors left), this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A closing listener is done when nobody came for this long: the handshakes that had begun are over by then, also
/// those of clients on the other side of the world.
pub(crate) const QUIET: Duration = Duration::from_millis(300);

/// An accept loop that can be told to end.
pub(crate) struct Accepting {
    pub(crate) live: Arc<ListenerLive>,
    socket: Rc<AsyncFd<OwnedFd>>,
    stop: watch::Sender<bool>,
}

impl Accepting {
    /// Begins to accept on a listening socket.
    pub(crate) fn start(
        worker: &Rc<Worker>,
        listening: OwnedFd,
        live: Arc<ListenerLive>,
    ) -> Option<Accepting> {
        let socket = match register(listening) {
            Ok(socket) => Rc::new(socket),
            Err(error) => {
                tracing::error!(listener = %live.name, %error, "cannot accept");
                return None;
            }
        };
        let (stop, stopped) = watch::channel(false);
        tokio::task::spawn_local(accept(worker.clone(), socket.clone(), live.clone(), stopped));
        Some(Accepting { live, socket, stop })
    }

    /// Tells it to end. Who is in the queue is still served, or left to those who have the socket too.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// The socket once more, for another process.
    pub(crate) fn share(&self) -> io::Result<OwnedFd> {
        self.socket.get_ref().try_clone()
    }
}

/// Accepts until told to stop; then takes whoever is already in the queue, and closes the socket.
async fn accept(
    worker: Rc<Worker>,
    socket: Rc<AsyncFd<OwnedFd>>,
    live: Arc<ListenerLive>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            // A sender that is gone means the worker ends.
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = next(&socket) => admit(&worker, &live, accepted).await,
        }
    }
    if live.is_lent() {
        // Others go on accepting on the same socket: nobody in its queue is lost, and nobody new may be refused.
        return;
    }
    refuse_new(&socket);
    while let Ok(accepted) = tokio::time::timeout(QUIET, next(&socket)).await {
        admit(&worker, &live, accepted).await;
    }
}

async fn admit(
    worker: &Rc<Worker>,
    live: &Arc<ListenerLive>,
    accepted: io::Result<(OwnedFd, Option<IpAddr>)>,
) {
    let (fd, peer) = match accepted {
        Ok(accepted) => accepted,
        // The client was faster away than we were there.
        Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => return,
        Err(error) => {
            if let Some(failures) = worker.shared.counts.accept_errors.note(Instant::now()) {
                tracing::warn!(listener = %live.name, %error, failures, "cannot accept connections");
            }
            return tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    };
    if worker.memory.pressure() == Pressure::Full {
        worker.memory.count_closed(1);
        return;
    }
    let limit = worker.active.borrow().plan.limits.connections;
    let Some(place) = Place::take(&worker.shared.counts, live, limit, worker.index) else {
        // Dropping the descriptor closes it; the excess is counted.
        return;
    };
    let accepted = Accepted { fd, peer, place };
    if accepted.place.worker == worker.index {
        connection::spawn(worker, accepted);
    } else if let Some(mut back) = worker.shared.hand_over(accepted) {
        back.place.move_to(worker.index);
        connection::spawn(worker, back);
    }
}

async fn next(socket: &AsyncFd<OwnedFd>) -> io::Result<(OwnedFd, Option<IpAddr>)> {
    let accept = |fd: &OwnedFd| Ok(acceptfrom_with(fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?);
    let (fd, peer) = socket.async_io(Interest::READABLE, accept).await?;
    let peer = peer.and_then(|address| SocketAddr::try_from(address).ok());
    Ok((fd, peer.map(|peer| peer.ip())))
}

/// Closing a listening socket resets the connections in its queue, and one may complete its handshake
/// between the last accept and the close. So the kernel first drops new SYNs: those clients ask again a
/// second later and find the address closed, or somebody else there; those in the queue are served.
fn refuse_new(socket: &AsyncFd<OwnedFd>) {
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
    let is_tcp = sockopt::socket_domain(socket).is_ok_and(|domain| domain != AddressFamily::UNIX);
    if is_tcp && let Err(error) = SockRef::from(socket).attach_filter(&program) {
        tracing::debug!(%error, "no filter on a closing listener; a connection may be reset");
    }
}
