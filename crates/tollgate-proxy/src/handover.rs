//! Listening sockets that go from process to process, and the question whether all workers live.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tollgate_plan::listener::ListenAddress;

use crate::gateway::Shared;
use crate::live::listeners::ListenerLive;
use crate::run::Order;

/// Workers have so long to give their sockets: one that is stuck keeps the process from being replaced, not from
/// serving.
const SHARE_WITHIN: Duration = Duration::from_secs(5);

/// A listening address with its sockets, on the way from one process to another.
#[derive(Debug)]
pub struct Held {
    /// The address as the configuration says it.
    pub address: ListenAddress,
    /// At least one. With several, each has a queue of its own.
    pub sockets: Vec<OwnedFd>,
    /// They belong to somebody who keeps them, a supervisor: when this process ends they stay as they are.
    pub lent: bool,
}

/// The sockets of all listeners, as copies of their descriptors.
pub(crate) async fn listening(shared: &Shared) -> io::Result<Vec<Held>> {
    let _turn = shared.applying.lock().await;
    let until = Instant::now() + SHARE_WITHIN;
    let mut held: Vec<Held> = Vec::new();
    for inbox in shared.inboxes() {
        let (answer, received) = oneshot::channel();
        let asked = async {
            inbox.send(Order::Share(answer)).await.ok()?;
            received.await.ok()
        };
        let stuck = || io::Error::new(io::ErrorKind::TimedOut, "a worker does not give its sockets");
        let given = timeout_at(until, asked).await.ok().flatten().ok_or_else(stuck)?;
        for (live, socket) in given? {
            add(&mut held, &live, socket);
        }
    }
    Ok(held)
}

fn add(held: &mut Vec<Held>, live: &Arc<ListenerLive>, socket: OwnedFd) {
    match held.iter_mut().find(|held| held.address == live.address) {
        Some(known) => known.sockets.push(socket),
        None => {
            let (address, lent) = (live.address.clone(), live.is_lent());
            held.push(Held { address, sockets: vec![socket], lent });
        }
    }
}

/// Whether every worker takes orders within that time.
pub(crate) async fn answers(shared: &Shared, within: Duration) -> bool {
    let until = Instant::now() + within;
    let mut waiting = Vec::new();
    for inbox in shared.inboxes() {
        let (answer, received) = oneshot::channel();
        if !matches!(timeout_at(until, inbox.send(Order::Ping(answer))).await, Ok(Ok(()))) {
            return false;
        }
        waiting.push(received);
    }
    for received in waiting {
        if !matches!(timeout_at(until, received).await, Ok(Ok(()))) {
            return false;
        }
    }
    true
}
