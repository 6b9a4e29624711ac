//! How the store of shared limits is doing, as all workers see it together.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Different faults of one outage that the operator is told; more add nothing.
const FAULTS_TOLD_MAX: usize = 8;

/// Written by the workers when something changes, read by the admin side.
#[derive(Default)]
pub(crate) struct StoreHealth(Mutex<Links>);

#[derive(Default)]
struct Links {
    /// Whether each link in use is up.
    links: BTreeMap<u64, bool>,
    /// The number of the next link.
    next: u64,
    /// Since when it is as it is.
    since: Option<SystemTime>,
    fault: Option<String>,
    /// Faults of this outage that the operator was told.
    told: Vec<String>,
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
    /// A link begins to be of interest; its number.
    pub(super) fn enter(&self) -> u64 {
        let mut links = self.lock();
        let was_up = links.are_up();
        let link = links.next;
        links.next += 1;
        links.links.insert(link, false);
        if was_up || links.since.is_none() {
            links.since = Some(SystemTime::now());
        }
        link
    }

    /// It is of interest no more.
    pub(super) fn leave(&self, link: u64) {
        let mut links = self.lock();
        let was_up = links.are_up();
        links.links.remove(&link);
        if links.links.is_empty() {
            *links = Links { next: links.next, ..Links::default() };
        } else {
            links.rise(was_up);
        }
    }

    pub(super) fn up(&self, link: u64) {
        let mut links = self.lock();
        let was_up = links.are_up();
        if let Some(up) = links.links.get_mut(&link) {
            *up = true;
            links.rise(was_up);
        }
    }

    pub(super) fn down(&self, link: u64, fault: &str) {
        let mut links = self.lock();
        let was_up = links.are_up();
        let Some(up) = links.links.get_mut(&link) else { return };
        *up = false;
        if was_up {
            links.since = Some(SystemTime::now());
        }
        links.fault = Some(fault.to_owned());
        // Once for each change: a store that is down for a night fills no log, and neither do workers that see
        // different things of it in turn.
        if links.told.len() < FAULTS_TOLD_MAX && links.told.iter().all(|told| told != fault) {
            links.told.push(fault.to_owned());
            tracing::warn!(fault, "Redis cannot be used; `redis.on_failure` decides until it comes back");
        }
    }

    /// None where no store is in use.
    pub(crate) fn report(&self) -> Option<StoreReport> {
        let links = self.lock();
        let since = links.since?;
        Some(StoreReport { up: links.are_up(), since, fault: links.fault.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Links> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Links {
    fn are_up(&self) -> bool {
        !self.links.is_empty() && self.links.values().all(|up| *up)
    }

    /// Notes and tells that everything is well now, when it was not before.
    fn rise(&mut self, was_up: bool) {
        if was_up || !self.are_up() {
            return;
        }
        self.since = Some(SystemTime::now());
        self.told.clear();
        match self.fault.take() {
            Some(_) => tracing::info!("Redis can be used again: limits are shared"),
            None => tracing::info!("connected to Redis"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(health: &StoreHealth) -> Option<(bool, Option<String>)> {
        health.report().map(|report| (report.up, report.fault))
    }

    #[test]
    fn it_is_up_when_every_link_in_use_is() {
        let health = StoreHealth::default();
        assert_eq!(seen(&health), None);
        let (a, b) = (health.enter(), health.enter());
        assert_eq!(seen(&health), Some((false, None)));
        health.up(a);
        assert_eq!(seen(&health), Some((false, None)));
        health.up(b);
        assert_eq!(seen(&health), Some((true, None)));
        health.down(b, "gone");
        assert_eq!(seen(&health), Some((false, Some("gone".to_owned()))));
        health.up(b);
        assert_eq!(seen(&health), Some((true, None)));
    }

    #[test]
    fn a_link_that_left_says_nothing_any_more() {
        let health = StoreHealth::default();
        let (old, new) = (health.enter(), health.enter());
        health.up(new);
        health.leave(old);
        assert_eq!(seen(&health), Some((true, None)), "only what is in use counts");
        health.down(old, "gone");
        assert_eq!(seen(&health), Some((true, None)));
        health.leave(old);
        health.leave(new);
        assert_eq!(seen(&health), None);
    }

    #[test]
    fn the_time_is_that_of_the_last_change() {
        let health = StoreHealth::default();
        let since = || health.report().map(|report| report.since);
        let link = health.enter();
        health.down(link, "one");
        let first = since();
        health.down(link, "two");
        assert_eq!(since(), first, "down is down");
        health.up(link);
        assert!(since() > first);
        let up = since();
        health.up(link);
        assert_eq!(since(), up);
    }
}
