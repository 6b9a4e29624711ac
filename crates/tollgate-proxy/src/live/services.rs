//! What DNS says of the services that upstreams name: asked on the background thread, again when the TTL is over.
//!
//! A service that vanishes keeps its last hosts, with a warning: they are likelier right than none. One that was never
//! found is asked for again after a moment, for as long as the configuration names it.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::sleep;
use tollgate_plan::Plan;
use tollgate_plan::upstream::{Address, Upstream};

use super::expand::{Expanded, HOSTS_MAX, expand};
use super::lasting;
use crate::gateway::Shared;
use crate::upstream::{NameServers, ResolveError, Service, Services};

/// A shorter TTL would ask all the time.
const TTL_MIN: Duration = Duration::from_secs(1);
/// A longer one would hide a change for too long.
const TTL_MAX: Duration = Duration::from_secs(300);
/// After a failure nobody asks for so long; it doubles up to the longest, which is short enough that a server that is
/// back serves again within 5 s.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(4);
/// At most one warning about a name in this time.
const WARN_EVERY: Duration = Duration::from_secs(30);

/// Everything that is known of services. Reloads say which are wanted, the background thread finds out.
pub(crate) struct ServicesLive {
    known: Mutex<HashMap<Box<str>, Known>>,
    /// An answer came, of whatever kind.
    answered: Condvar,
    wanted: watch::Sender<Vec<Box<str>>>,
    /// Some hosts are others now.
    changed: Notify,
}

#[derive(Default)]
struct Known {
    /// Sorted, so that the order of an answer is no change.
    hosts: Vec<Service>,
    /// An answer came, of whatever kind.
    answered: bool,
}

impl Default for ServicesLive {
    fn default() -> Self {
        ServicesLive {
            known: Mutex::default(),
            answered: Condvar::new(),
            wanted: watch::channel(Vec::new()).0,
            changed: Notify::new(),
        }
    }
}

impl ServicesLive {
    /// Asks for the services of `plan` from now on. The hosts of others are forgotten by [`ServicesLive::forget`].
    pub(crate) fn want(&self, plan: &Plan) {
        let names = names(plan);
        let mut known = self.lock();
        for name in &names {
            known.entry(name.clone()).or_default();
        }
        drop(known);
        self.wanted.send_if_modified(|wanted| {
            let other = *wanted != names;
            *wanted = names;
            other
        });
    }

    /// Forgets the hosts of services that nobody wants any more.
    pub(crate) fn forget(&self) {
        let wanted = self.wanted.borrow();
        self.lock().retain(|name, _| wanted.contains(name));
    }

    /// Waits until every service had an answer, of whatever kind, but no longer than `within`: a start or a reload
    /// whose first requests were refused would be worse than a late one.
    pub(crate) fn wait(&self, within: Duration) {
        let unanswered = |known: &mut HashMap<Box<str>, Known>| known.values().any(|known| !known.answered);
        drop(self.answered.wait_timeout_while(self.lock(), within, unanswered));
    }

    /// Whether some service had no answer yet.
    pub(crate) fn is_waiting(&self) -> bool {
        self.lock().values().any(|known| !known.answered)
    }

    /// The upstream as it is served now; none where it is what is configured.
    pub(crate) fn expand(&self, upstream: &Upstream) -> Option<Expanded> {
        let known = self.lock();
        expand(upstream, |name| known.get(name).map(|known| known.hosts.as_slice()))
    }

    /// Resolves when the hosts of some service have changed.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes an answer over. How many hosts there were, when they are others now.
    fn found(&self, name: &str, mut hosts: Vec<Service>) -> Option<usize> {
        hosts.sort_by(|a, b| {
            (a.priority, &a.host, a.port, a.weight).cmp(&(b.priority, &b.host, b.port, b.weight))
        });
        let mut known = self.lock();
        let known = known.get_mut(name)?;
        known.answered = true;
        let before = (known.hosts != hosts).then_some(known.hosts.len());
        if before.is_some() {
            known.hosts = hosts;
            self.changed.notify_one();
        }
        self.answered.notify_all();
        before
    }

    /// There was no answer. How many hosts stay in use.
    fn failed(&self, name: &str) -> usize {
        let mut known = self.lock();
        let Some(known) = known.get_mut(name) else { return 0 };
        known.answered = true;
        self.answered.notify_all();
        known.hosts.len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn names(plan: &Plan) -> Vec<Box<str>> {
    let targets = plan.upstreams.iter().flat_map(|upstream| &upstream.targets);
    let mut names: Vec<Box<str>> = targets
        .filter_map(|target| match &target.address {
            Address::Service { name } => Some(name.clone()),
            _ => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Runs for the life of the process, on one worker: sends requests to other hosts when there are any.
pub(crate) async fn follow(shared: Arc<Shared>) {
    loop {
        shared.services().changed().await;
        shared.retarget().await;
    }
}

/// Asks for what is wanted, until nobody can want it any more.
pub(crate) async fn attend(services: Arc<ServicesLive>, servers: NameServers) {
    let mut wanted = services.wanted.subscribe();
    let mut asking: HashMap<Box<str>, AbortHandle> = HashMap::new();
    loop {
        let names = wanted.borrow_and_update().clone();
        asking.retain(|name, task| {
            let stays = names.contains(name);
            if !stays {
                task.abort();
            }
            stays
        });
        for name in names {
            asking.entry(name).or_insert_with_key(|name| {
                let (live, servers, name) = (services.clone(), servers.clone(), name.clone());
                lasting::spawn("service", move || {
                    keep_asking(live.clone(), Services::new(&servers), name.clone())
                })
            });
        }
        if wanted.changed().await.is_err() {
            return;
        }
    }
}

async fn keep_asking(live: Arc<ServicesLive>, mut services: Services, name: Box<str>) {
    let mut retry = RETRY_FIRST;
    let mut warned: Option<Instant> = None;
    loop {
        match services.ask(&name).await {
            Ok((hosts, ttl)) => {
                (retry, warned) = (RETRY_FIRST, None);
                tell_found(&live, &name, hosts);
                sleep(ttl.clamp(TTL_MIN, TTL_MAX)).await;
            }
            Err(error) => {
                let hosts = live.failed(&name);
                if warned.is_none_or(|warned| warned.elapsed() >= WARN_EVERY) {
                    warned = Some(Instant::now());
                    tell_failed(&name, hosts, &error);
                }
                sleep(retry).await;
                retry = (retry * 2).min(RETRY_MAX);
            }
        }
    }
}

fn tell_found(live: &ServicesLive, name: &str, hosts: Vec<Service>) {
    let now = hosts.len();
    let Some(before) = live.found(name, hosts) else { return };
    tracing::info!(service = name, before, now, "a service is served by other hosts");
    if now > HOSTS_MAX {
        tracing::warn!(
            service = name,
            hosts = now,
            used = HOSTS_MAX,
            "a service has more hosts than are used"
        );
    }
}

fn tell_failed(service: &str, hosts: usize, error: &ResolveError) {
    if hosts > 0 {
        tracing::warn!(service, hosts, %error, "cannot resolve a service again; its old hosts stay in use");
    } else {
        tracing::warn!(service, %error, "cannot resolve a service; requests to it are refused until that works");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(host: &str) -> Service {
        Service { priority: 0, weight: 1, host: host.into(), port: 80 }
    }

    #[test]
    fn only_other_hosts_are_a_change_and_old_ones_stay() {
        let live = ServicesLive::default();
        live.lock().insert("svc".into(), Known::default());
        assert!(live.is_waiting());
        assert_eq!(live.failed("svc"), 0);
        assert!(!live.is_waiting(), "a failure is an answer");
        assert_eq!(live.found("svc", vec![service("b"), service("a")]), Some(0));
        assert_eq!(live.found("svc", vec![service("a"), service("b")]), None, "the order means nothing");
        assert_eq!(live.failed("svc"), 2);
        assert_eq!(live.found("svc", vec![service("a")]), Some(2));
        assert_eq!(live.found("gone", vec![service("a")]), None);
        live.forget();
        assert_eq!(live.found("svc", vec![service("c")]), None, "nobody wants it");
    }
}
