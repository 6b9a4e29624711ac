//! Names to addresses, remembered per worker for as long as DNS says, and the places of services.
//!
//! One question at a time for a name, however many requests wait for it. Shortly before an answer expires the
//! next request that uses it has it asked again in the background. When a name that was known cannot be resolved
//! any more, its old addresses stay in use: they are likelier right than none.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

mod each;
mod servers;
mod system;

pub(crate) use servers::NameServers;
use system::System;

/// Names that a worker remembers. They come from the configuration; those of old ones leave when room is needed.
const NAMES_MAX: usize = 1024;

/// How long answers and failures count.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// A shorter TTL would ask on every connect.
    ttl_min: Duration,
    /// A longer one would hide a change for too long.
    ttl_max: Duration,
    /// After a failure nobody asks again for so long.
    failure: Duration,
    /// A request that could use an expired answer waits no longer than this for a new one.
    stale_wait: Duration,
    /// Expired answers are used no longer than this; RFC 8767 section 5 advises one to three days.
    stale_max: Duration,
    /// At most one warning about a name in this time.
    warn_every: Duration,
}

const BOUNDS: Bounds = Bounds {
    ttl_min: Duration::from_secs(1),
    ttl_max: Duration::from_secs(300),
    failure: Duration::from_secs(1),
    stale_wait: Duration::from_millis(250),
    stale_max: Duration::from_secs(24 * 3600),
    warn_every: Duration::from_secs(30),
};

/// Why a name has no address now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ResolveError {
    /// Not a name that DNS can be asked for.
    BadName,
    /// DNS says that there is no such name, or no address of it.
    NoAddress,
    /// DNS says that there is no such service.
    NoService,
    /// DNS did not answer, or not in a usable way.
    Failed(Arc<str>),
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResolveError::BadName => f.write_str("not a DNS name"),
            ResolveError::NoAddress => f.write_str("the name has no address"),
            ResolveError::NoService => f.write_str("the name has no SRV records"),
            ResolveError::Failed(why) => write!(f, "DNS failed: {why}"),
        }
    }
}

impl std::error::Error for ResolveError {}

/// Addresses, and for how long they are right.
type Outcome = Result<(Vec<IpAddr>, Duration), ResolveError>;

/// One place of a service, as an SRV record names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// The lower is tried first.
    pub(crate) priority: u16,
    /// Share among those of the same priority.
    pub(crate) weight: u16,
    /// Lower-case host name.
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
}

/// Asks once and remembers nothing: for who connects seldom, and may be on any thread of a tokio runtime.
pub(crate) async fn look_up_once(servers: &NameServers, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
    let question = System::new(servers.clone()).question(host);
    question.await.map(|(addresses, _)| addresses)
}

/// Asks where a service is, again and again: for who remembers the answers.
pub(crate) struct Services(System);

impl Services {
    pub(crate) fn new(servers: &NameServers) -> Services {
        Services(System::new(servers.clone()))
    }

    /// The places of the service, never none, and for how long the answer is right.
    pub(crate) async fn ask(&mut self, name: &str) -> Result<(Vec<Service>, Duration), ResolveError> {
        self.0.services(name).await
    }
}

/// A worker's resolver.
pub(crate) struct Resolver {
    names: RefCell<HashMap<Box<str>, Entry>>,
    system: RefCell<System>,
    shared: NameServers,
    bounds: Bounds,
}

/// What is known of one name.
struct Entry {
    used: Instant,
    answer: Option<Answer>,
    flight: Option<Flight>,
    /// The last failure, and until when it counts.
    failed: Option<(ResolveError, Instant)>,
}

#[derive(Clone)]
struct Answer {
    addresses: Arc<[IpAddr]>,
    /// From here on it is asked again in the background.
    refresh: Instant,
    expires: Instant,
}

/// A question on its way, in a task of its own: a request that gives up does not cancel it for the others.
struct Flight {
    started: Instant,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// What a request does that needs a name.
enum Next {
    Done(Result<Arc<[IpAddr]>, ResolveError>),
    Wait { outcome: watch::Receiver<Option<Outcome>>, until: Option<Instant> },
}

impl Resolver {
    /// A resolver that asks those servers, and `/etc/hosts` first. Reads nothing yet.
    pub(crate) fn new(servers: &NameServers) -> Resolver {
        Resolver { shared: servers.clone(), ..Resolver::with(System::new(servers.clone()), BOUNDS) }
    }

    fn with(system: System, bounds: Bounds) -> Resolver {
        let shared = NameServers::default();
        Resolver { names: RefCell::default(), system: RefCell::new(system), shared, bounds }
    }

    /// The addresses of a lower-case name, IPv4 and IPv6 in turn; never empty. Runs on any tokio runtime.
    pub(crate) async fn lookup(&self, host: &str) -> Result<Arc<[IpAddr]>, ResolveError> {
        if let Some(addresses) = known_to_all(host) {
            return Ok(addresses);
        }
        let (mut outcome, until) = match self.next(host) {
            Next::Done(result) => return result,
            Next::Wait { outcome, until } => (outcome, until),
        };
        // An error means that the task is gone without an outcome; the entry shows that, too.
        let landed = outcome.wait_for(Option::is_some);
        match until {
            Some(until) => drop(timeout_at(until, landed).await),
            None => drop(landed.await),
        }
        self.settled(host)
    }

    fn next(&self, host: &str) -> Next {
        let now = Instant::now();
        let mut names = self.names.borrow_mut();
        let entry = entry(&mut names, host, now);
        entry.land(host, now, self);
        if entry.answer.is_none() {
            entry.answer = self.shared.last(host);
        }
        let failing = entry.failed.as_ref().is_some_and(|(_, until)| now < *until);
        if let Some(answer) = entry.answer.as_ref().filter(|answer| now < answer.expires) {
            let addresses = answer.addresses.clone();
            if now >= answer.refresh && entry.flight.is_none() && !failing {
                entry.flight = Some(self.ask(host, now));
            }
            return Next::Done(Ok(addresses));
        }
        if failing {
            return Next::Done(entry.expired_or_error(host, now, self));
        }
        let flight = entry.flight.get_or_insert_with(|| self.ask(host, now));
        let until = flight.started + self.bounds.stale_wait;
        let has_stale =
            entry.answer.as_ref().is_some_and(|answer| now < answer.expires + self.bounds.stale_max);
        if has_stale && now >= until {
            return Next::Done(entry.expired_or_error(host, now, self));
        }
        let outcome = flight.outcome.clone();
        Next::Wait { outcome, until: has_stale.then_some(until) }
    }

    /// After a wait: the new answer, or the best there is.
    fn settled(&self, host: &str) -> Result<Arc<[IpAddr]>, ResolveError> {
        let now = Instant::now();
        let mut names = self.names.borrow_mut();
        let entry = entry(&mut names, host, now);
        entry.land(host, now, self);
        match &entry.answer {
            Some(answer) if now < answer.expires => Ok(answer.addresses.clone()),
            _ => entry.expired_or_error(host, now, self),
        }
    }

    fn ask(&self, host: &str, now: Instant) -> Flight {
        let (land, outcome) = watch::channel(None);
        let question = self.system.borrow_mut().question(host);
        tokio::spawn(async move {
            // Nobody may be left to hear it: the entry was dropped.
            let _ = land.send(Some(question.await));
        });
        Flight { started: now, outcome }
    }
}

impl Entry {
    /// Takes over the outcome of a question that was answered meanwhile.
    fn land(&mut self, host: &str, now: Instant, resolver: &Resolver) {
        let Resolver { shared, bounds, .. } = resolver;
        let Some(flight) = &self.flight else { return };
        let outcome = match &*flight.outcome.borrow() {
            Some(outcome) => outcome.clone(),
            None if flight.outcome.has_changed().is_err() => Err(ResolveError::Failed("no outcome".into())),
            None => return,
        };
        self.flight = None;
        match outcome {
            Ok((addresses, ttl)) => {
                let ttl = ttl.clamp(bounds.ttl_min, bounds.ttl_max);
                let (refresh, expires) = (now + ttl.mul_f32(0.8), now + ttl);
                let answer = Answer { addresses: addresses.into(), refresh, expires };
                shared.learned(host, &answer);
                self.answer = Some(answer);
                self.failed = None;
            }
            Err(error) => self.failed = Some((error, now + bounds.failure)),
        }
    }

    /// The answer there was, with a warning, or the reason why there is none.
    fn expired_or_error(
        &mut self,
        host: &str,
        now: Instant,
        Resolver { shared, bounds, .. }: &Resolver,
    ) -> Result<Arc<[IpAddr]>, ResolveError> {
        let failed = self.failed.as_ref().map(|(error, _)| error.clone());
        let error = failed.unwrap_or_else(|| ResolveError::Failed("no answer yet".into()));
        let Some(answer) = self.answer.as_ref().filter(|answer| now < answer.expires + bounds.stale_max)
        else {
            return Err(error);
        };
        if shared.warns(host, now, bounds.warn_every) {
            let expired_s = now.saturating_duration_since(answer.expires).as_secs();
            tracing::warn!(host, %error, expired_s, "cannot resolve a name again; its old addresses stay in use");
        }
        Ok(answer.addresses.clone())
    }
}

/// The entry of a name, fresh if there was none. Makes room when there are too many.
fn entry<'a>(names: &'a mut HashMap<Box<str>, Entry>, host: &str, now: Instant) -> &'a mut Entry {
    if !names.contains_key(host) && names.len() >= NAMES_MAX {
        let eldest = names.iter().min_by_key(|(_, entry)| entry.used).map(|(name, _)| name.clone());
        eldest.and_then(|name| names.remove(&name));
    }
    let fresh = || Entry { used: now, answer: None, flight: None, failed: None };
    let entry = names.entry(host.into()).or_insert_with(fresh);
    entry.used = now;
    entry
}

/// Literal addresses, and `localhost` with every name below it (RFC 6761 section 6.3), which must not depend on
/// any file or server.
fn known_to_all(host: &str) -> Option<Arc<[IpAddr]>> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host == "localhost" || host.ends_with(".localhost") {
        return Some([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].into());
    }
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    literal.parse().ok().map(|ip: IpAddr| Arc::from([ip]))
}

#[cfg(test)]
mod tests;
