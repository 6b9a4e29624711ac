//! A fresh connection to a target, within `connect_timeout`.

use std::fmt::Display;
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
use crate::io::{Stream, Tls};
use crate::live::conn::Conn;
use crate::live::sessions::{Lease, Unready};
use crate::live::upstreams::TargetLive;
use crate::timer::Timer;
use crate::tls::{HTTP_1_1, HTTP_2, server_name};
use crate::worker::Worker;

/// While other workers hold all places, this often somebody looks whether one is free.
const PLACE_RETRY: Duration = Duration::from_millis(5);

/// An attempt at one address of a name has so long before the next address has its turn (RFC 8305 section 8).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Addresses of one name that are tried for one connection; they may all be tried at once.
const ADDRESSES_MAX: usize = 16;

/// What an exchange goes over.
pub(super) enum Link {
    /// A connection of its own.
    Whole(Rc<Conn>),
    /// A stream, on a connection that speaks HTTP/2.
    Stream(Lease),
}

/// What the request needs of the connection, and how long it waits for one.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) patience: Duration,
    /// Kept connections turned out dead.
    pub(super) fresh: bool,
    /// It can be HTTP/2.
    pub(super) http2: bool,
}

impl TargetLive {
    /// A connection that was used last, or a place on one that many use.
    pub(super) fn kept(self: &Rc<Self>, target: &Target, now: Instant, wanted: Wanted) -> Option<Link> {
        if !wanted.fresh
            && let Some(conn) = self.idle_connection(now)
        {
            return Some(Link::Whole(conn));
        }
        // A session that died is none any more: its stream is as good as a fresh one.
        may_be_http2(target, self, wanted).then(|| self.stream().map(Link::Stream))?
    }
}

/// Whether a connection to the target may turn out to carry more than this request.
fn may_be_http2(target: &Target, live: &TargetLive, wanted: Wanted) -> bool {
    wanted.http2 && (target.http2 || (target.tls.is_some() && live.sessions.chosen() != Some(false)))
}

/// A new connection, or one that becomes idle while the request waits for a place; for HTTP/2, a stream.
pub(super) async fn connect(
    worker: &Worker,
    upstream: &Upstream,
    target: &Target,
    live: &Rc<TargetLive>,
    timer: &Timer,
    wanted: Wanted,
) -> Result<Link, Reject> {
    let now = worker.clock.now();
    let mut penalty = live.penalty.get();
    penalty.chosen(now);
    live.penalty.set(penalty);
    timer.arm(now, wanted.patience);
    let waited = within(timer, place_or_kept(worker, upstream, target, live, wanted)).await;
    if let Some(link) = waited.map_err(|Late| no_place(live))? {
        return Ok(link);
    }
    // The place is taken: whatever happens now, it must be given back.
    let slot = Slot(live);
    // One connection may be enough for all who want one now.
    let opening = may_be_http2(target, live, wanted).then(|| live.opening());
    let made = match open(worker, target, timer, now + wanted.patience).await {
        Ok(io) => match secure(worker, io, target, live, timer, wanted).await {
            Ok(made) => {
                std::mem::forget(slot);
                begin(made, live, timer, now).await
            }
            Err(reject) => Err(reject),
        },
        Err(reject) => Err(reject),
    };
    drop(opening);
    let mut penalty = live.penalty.get();
    match made {
        Ok(_) => penalty = Penalty::default(),
        Err(_) => penalty.failed(Instant::now()),
    }
    live.penalty.set(penalty);
    made
}

/// A connection that is ready for HTTP.
struct Made {
    io: Stream,
    http2: bool,
    /// The target's era when it was decided whom to trust.
    era: u64,
}

/// Makes the TLS handshake, where the target is reached over TLS.
async fn secure(
    worker: &Worker,
    io: Stream,
    target: &Target,
    live: &TargetLive,
    timer: &Timer,
    wanted: Wanted,
) -> Result<Made, Reject> {
    let era = live.era();
    if target.tls.is_none() {
        return Ok(Made { io, http2: target.http2, era });
    }
    let (Stream::Socket(socket), Some((name, side))) = (io, live.tls()) else {
        return Err(Reject::internal("a target over TLS, and no TLS"));
    };
    let failed = |detail| Reject::new(Reason::UpstreamTls, detail);
    let name = server_name(&name)
        .ok_or_else(|| failed("the service has no name that a certificate could be for"))?;
    let protocols =
        if wanted.http2 { vec![HTTP_2.to_vec(), HTTP_1_1.to_vec()] } else { vec![HTTP_1_1.to_vec()] };
    let handshake = Tls::connect(socket, side.config.clone(), name, protocols, worker.room.clone());
    match within(timer, handshake).await {
        Ok(Ok(tls)) => {
            let http2 = tls.is_alpn(HTTP_2);
            if wanted.http2 {
                live.sessions.chose(http2);
            }
            Ok(Made { io: Stream::Tls(Box::new(tls)), http2: target.http2 || http2, era })
        }
        Ok(Err(error)) => Err(tls_failed(live, &error)),
        Err(Late) => Err(failed("the TLS handshake with the service took too long")),
    }
}

/// The target and the gateway came to no TLS connection. The log says why.
pub(super) fn tls_failed(live: &TargetLive, error: &dyn Display) -> Reject {
    if let Some(failures) = live.shared.tls_failures.note(Instant::now()) {
        tracing::warn!(target = &*live.shared.url, %error, failures, "TLS to a target failed");
    }
    Reject::new(Reason::UpstreamTls, "the service's TLS cannot be used")
}

/// Takes a connection whose place is taken into use.
async fn begin(
    Made { io, http2, era }: Made,
    live: &Rc<TargetLive>,
    timer: &Timer,
    now: Instant,
) -> Result<Link, Reject> {
    if !http2 {
        return Ok(Link::Whole(Conn::new(io, live.clone(), era, now)));
    }
    let unready = |detail| Reject::new(Reason::UpstreamConnect, detail);
    match within(timer, live.begin_session(io, era)).await {
        Ok(Ok(lease)) => Ok(Link::Stream(lease)),
        Ok(Err(Unready::Left)) => Err(unready("the service closed the connection")),
        Ok(Err(Unready::Refused(error))) => Err(tls_failed(live, &error)),
        Ok(Err(Unready::NotHttp2)) => {
            Err(Reject::new(Reason::UpstreamProtocol, "the service does not speak HTTP/2"))
        }
        Err(Late) => Err(unready("the service did not begin to speak HTTP/2 in time")),
    }
}

fn no_place(live: &TargetLive) -> Reject {
    if live.sessions.is_opening() {
        return Reject::new(Reason::UpstreamConnect, "the service did not accept a connection in time");
    }
    Reject::new(Reason::Overloaded, "too many connections to the service")
}

/// A place under `max_connections`, given back unless a connection takes it over.
struct Slot<'a>(&'a TargetLive);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.closed();
    }
}

/// A place under `max_connections`, or a connection or a stream that became free meanwhile.
async fn place_or_kept(
    worker: &Worker,
    upstream: &Upstream,
    target: &Target,
    live: &Rc<TargetLive>,
    wanted: Wanted,
) -> Option<Link> {
    let max = upstream.pool.max_connections;
    if !may_be_http2(target, live, wanted) && live.shared.enter(max) {
        return None;
    }
    let mut wants_place = None;
    let turn = live.waiting.join();
    let mut retry = pin!(tokio::time::sleep(PLACE_RETRY));
    // Woken by a place, an idle connection or a stream of this worker, or by the clock for those of others.
    poll_fn(|cx| {
        ready!(turn.poll_first(cx));
        loop {
            if may_be_http2(target, live, wanted) {
                if let Some(lease) = live.stream() {
                    return Poll::Ready(Some(Link::Stream(lease)));
                }
                if live.sessions.is_opening() {
                    return Poll::Pending;
                }
            }
            if live.shared.enter(max) {
                return Poll::Ready(None);
            }
            if let Some(lease) = live.stream_of_any().filter(|_| may_be_http2(target, live, wanted)) {
                return Poll::Ready(Some(Link::Stream(lease)));
            }
            wants_place.get_or_insert_with(|| live.shared.want());
            match live.idle_connection(Instant::now()) {
                Some(conn) if !wanted.fresh => return Poll::Ready(Some(Link::Whole(conn))),
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
        // Its hosts stand in its place wherever a target is chosen.
        Address::Service { .. } => return Err(Reject::internal("a service is no target")),
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
    opened.map_err(|Late| refused("the service did not accept a connection in time"))?.map_err(|error| {
        match error.kind() {
            // It was accepted first: a refusal is another error.
            io::ErrorKind::ConnectionReset => {
                Reject::new(Reason::UpstreamReset, "the service reset the connection")
            }
            _ => refused("the service does not accept connections"),
        }
    })
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
