//! How the store of shared limits is doing, as all workers see it together.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Written by the workers when something changes, read by the admin side.
#[derive(Default)]
pub(crate) struct StoreHealth(Mutex<Links>);

#[derive(Default)]
struct Links {
    /// By worker.
    links: BTreeMap<usize, LinkState>,
    /// Since when it is as it is.
    since: Option<SystemTime>,
    fault: Option<String>,
}

struct LinkState {
    up: bool,
    /// Stores that this worker has: two for a moment when the configuration names another one.
    stores: usize,
}

/// How the store is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreReport {
    /// Whether every worker can use it.
    pub up: bool,
    /// Since when that is so.
    pub since: SystemTime,
    /// What was wrong last, while it is down.
    pub fault: Option<String>,
}

impl StoreHealth {
    /// A worker begins to use a store.
    pub(crate) fn enter(&self, worker: usize) {
        let mut links = self.lock();
        links.links.entry(worker).or_insert(LinkState { up: false, stores: 0 }).stores += 1;
        links.since.get_or_insert_with(SystemTime::now);
    }

    /// A worker uses it no more.
    pub(crate) fn leave(&self, worker: usize) {
        let mut links = self.lock();
        if let Some(link) = links.links.get_mut(&worker) {
            link.stores = link.stores.saturating_sub(1);
            if link.stores == 0 {
                links.links.remove(&worker);
            }
        }
        if links.links.is_empty() {
            *links = Links::default();
        }
    }

    pub(crate) fn up(&self, worker: usize) {
        let mut links = self.lock();
        let before = links.up();
        if let Some(link) = links.links.get_mut(&worker) {
            link.up = true;
        }
        if links.up() && !before {
            links.since = Some(SystemTime::now());
            let fault = links.fault.take();
            drop(links);
            match fault {
                Some(_) => tracing::info!("Redis can be used again: limits are shared"),
                None => tracing::info!("connected to Redis"),
            }
        }
    }

    pub(crate) fn down(&self, worker: usize, fault: &str) {
        let mut links = self.lock();
        let before = links.up();
        if let Some(link) = links.links.get_mut(&worker) {
            link.up = false;
        }
        // Once for each change: a store that is down for a night fills no log.
        let news = links.fault.as_deref() != Some(fault);
        if before {
            links.since = Some(SystemTime::now());
        }
        if news {
            links.fault = Some(fault.to_owned());
            drop(links);
            tracing::warn!(fault, "Redis cannot be used; `redis.on_failure` decides until it comes back");
        }
    }

    /// None where no store is in use.
    pub(crate) fn report(&self) -> Option<StoreReport> {
        let links = self.lock();
        let since = links.since?;
        Some(StoreReport { up: links.up(), since, fault: links.fault.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Links> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Links {
    fn up(&self) -> bool {
        !self.links.is_empty() && self.links.values().all(|link| link.up)
    }
}
