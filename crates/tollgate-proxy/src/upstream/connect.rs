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
use tokio::task::JoinSet;
use tokio::time::timeout;
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

/// An attempt at one address of a name has so long before the next address has its turn (RFC 8305 section 8).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Addresses of one name that are tried for one connection; they may all be tried at once.
const ADDRESSES_MAX: usize = 16;

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
    // The place is taken: whatever happens now, it must be given back.
    let slot = Slot(live);
    match open(worker, target, timer, now + upstream.connect_timeout).await {
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

async fn open(worker: &Worker, target: &Target, timer: &Timer, until: Instant) -> Result<Stream, Reject> {
    let opened = match &target.address {
        Address::Socket(address) => within(timer, tcp(*address)).await,
        Address::Unix(path) => within(timer, unix(path)).await,
        Address::Name { host, port } => {
            let looked_up = within(timer, worker.resolver.lookup(host)).await;
            let unknown = |detail| Reject::new(Reason::UpstreamDns, detail);
            let addresses = looked_up
                .map_err(|Late| unknown("the service's name was not resolved in time"))?
                .map_err(|_| unknown("the service's name has no address"))?;
            within(timer, first_that_answers(&addresses, *port, until)).await
        }
    };
    let refused = |detail| Reject::new(Reason::UpstreamConnect, detail);
    opened
        .map_err(|Late| refused("the service did not accept a connection in time"))?
        .map_err(|_| refused("the service does not accept connections"))
}

/// Tries the addresses of a name in turn: the next one begins when one has failed, or took its share of the time
/// (RFC 8305 section 5). The first connection wins; the other attempts are dropped.
async fn first_that_answers(addresses: &[IpAddr], port: u16, until: Instant) -> io::Result<Stream> {
    let addresses = addresses.get(..ADDRESSES_MAX).unwrap_or(addresses);
    if let &[only] = addresses {
        return tcp(SocketAddr::new(only, port)).await;
    }
    let left = until.saturating_duration_since(Instant::now());
    // With many addresses and little time the delay is shorter, so that the last one has its turn, too.
    let delay = ATTEMPT_DELAY.min(left / addresses.len().max(1) as u32);
    let mut attempts = JoinSet::new();
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for &ip in addresses {
        attempts.spawn_local(tcp(SocketAddr::new(ip, port)));
        // While it has not ended, the next one begins beside it.
        let Ok(Some(ended)) = timeout(delay, attempts.join_next()).await else { continue };
        match ended.map_err(io::Error::from).flatten() {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    while let Some(ended) = attempts.join_next().await {
        match ended.map_err(io::Error::from).flatten() {
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
