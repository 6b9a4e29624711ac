//! A fresh connection to a target, within `connect_timeout`.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use rustix::net::{SocketAddrAny, SocketAddrUnix};
use tollgate_plan::Reason;
use tollgate_plan::upstream::{Address, Target, Upstream};
use tollgate_policy::Penalty;

use crate::exchange::Reject;
use crate::io::Stream;
use crate::live::conn::Conn;
use crate::live::upstreams::TargetLive;
use crate::timer::Timer;
use crate::worker::Worker;

/// While other workers hold all places, this often somebody looks whether one is free.
const PLACE_RETRY: Duration = Duration::from_millis(5);

/// A new connection, or one that becomes idle while the request waits for a place.
pub(super) async fn connect(
    worker: &Worker,
    upstream: &Upstream,
    target: &Target,
    live: &Rc<TargetLive>,
    timer: &Timer,
    fresh: bool,
) -> Result<Rc<Conn>, Reject> {
    let now = worker.clock.now();
    let mut penalty = live.penalty.get();
    penalty.chosen(now);
    live.penalty.set(penalty);
    timer.arm(now, upstream.connect_timeout);
    let place = |_| Reject::new(Reason::Overloaded, "too many connections to the service");
    let idle = within(timer, place_or_idle(worker, upstream, live, fresh)).await.map_err(place)?;
    if let Some(conn) = idle {
        return Ok(conn);
    }
    let late = |_| Reject::new(Reason::UpstreamConnect, "the service did not accept a connection in time");
    // The place is taken: whatever happens now, it must be given back.
    let slot = Slot(live);
    let io = within(timer, open(worker, target)).await.map_err(late).flatten();
    match io {
        Ok(io) => {
            std::mem::forget(slot);
            live.penalty.set(Penalty::default());
            Ok(Conn::new(io, live.clone(), now))
        }
        Err(reject) => {
            let mut penalty = live.penalty.get();
            penalty.failed(Instant::now());
            live.penalty.set(penalty);
            Err(reject)
        }
    }
}

/// A place under `max_connections`, given back unless a connection takes it over.
struct Slot<'a>(&'a TargetLive);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.closed();
    }
}

/// A place under `max_connections`, or a connection that became idle meanwhile.
async fn place_or_idle(
    worker: &Worker,
    upstream: &Upstream,
    live: &TargetLive,
    fresh: bool,
) -> Option<Rc<Conn>> {
    let max = upstream.pool.max_connections;
    if live.shared.enter(max) {
        return None;
    }
    let _wanted = live.shared.want();
    let turn = live.waiting.join();
    let mut retry = pin!(tokio::time::sleep(PLACE_RETRY));
    // Woken by a place or an idle connection of this worker, or by the clock for those of others.
    poll_fn(|cx| {
        ready!(turn.poll_first(cx));
        loop {
            if live.shared.enter(max) {
                return Poll::Ready(None);
            }
            match live.idle_connection(Instant::now()) {
                Some(conn) if !fresh => return Poll::Ready(Some(conn)),
                // It only has to make room.
                Some(conn) => drop(conn),
                None => {
                    // Idle connections of other workers hold places too.
                    worker.shared.ask_for_place(worker.index, &live.shared);
                    ready!(retry.as_mut().poll(cx));
                    retry.as_mut().reset(tokio::time::Instant::now() + PLACE_RETRY);
                }
            }
        }
    })
    .await
}

async fn open(worker: &Worker, target: &Target) -> Result<Stream, Reject> {
    let refused =
        |_: io::Error| Reject::new(Reason::UpstreamConnect, "the service does not accept connections");
    match &target.address {
        Address::Socket(address) => tcp(*address).await.map_err(refused),
        Address::Unix(path) => unix(path).await.map_err(refused),
        Address::Name { host, port } => {
            let addresses = worker.resolver.lookup(host).await;
            let addresses = addresses
                .map_err(|_| Reject::new(Reason::UpstreamDns, "the service's name has no address"))?;
            first_that_answers(&addresses, *port).await.map_err(refused)
        }
    }
}

async fn first_that_answers(addresses: &[IpAddr], port: u16) -> io::Result<Stream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for &ip in addresses {
        match tcp(SocketAddr::new(ip, port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn tcp(address: SocketAddr) -> io::Result<Stream> {
    Stream::connect(&SocketAddrAny::from(address)).await
}

async fn unix(path: &Path) -> io::Result<Stream> {
    Stream::connect(&SocketAddrUnix::new(path)?.into()).await
}

/// The timer came first.
pub(super) struct Late;

/// Runs a future until the timer's deadline.
async fn within<F: Future>(timer: &Timer, future: F) -> Result<F::Output, Late> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(out) => Poll::Ready(Ok(out)),
        Poll::Pending => timer.poll(cx).map(|()| Err(Late)),
    })
    .await
}
