//! What all who resolve names share: whom they ask, and what was answered last.
//!
//! Each worker remembers answers by itself and asks nobody for them. One that has no answer yet takes another's, so that
//! a name that vanishes keeps its addresses for all of them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Answer, NAMES_MAX};

/// A handle on the DNS servers of the configuration, and on the last answers.
#[derive(Clone, Default)]
pub(crate) struct NameServers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Reloads write them; every question from then on goes to the new ones.
    servers: Mutex<Arc<[SocketAddr]>>,
    last: Mutex<HashMap<Box<str>, Last>>,
}

struct Last {
    answer: Answer,
    /// When the operator was last told that it is old.
    warned: Option<Instant>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl NameServers {
    /// These from now on; with none, those of the system.
    pub(crate) fn set(&self, servers: &[SocketAddr]) {
        let mut known = lock(&self.0.servers);
        if **known != *servers {
            *known = servers.into();
        }
    }

    pub(super) fn get(&self) -> Arc<[SocketAddr]> {
        lock(&self.0.servers).clone()
    }

    /// Remembers an answer for those who have none.
    pub(super) fn learned(&self, host: &str, answer: &Answer) {
        let mut last = lock(&self.0.last);
        if !last.contains_key(host) && last.len() >= NAMES_MAX {
            let eldest =
                last.iter().min_by_key(|(_, last)| last.answer.expires).map(|(name, _)| name.clone());
            eldest.and_then(|name| last.remove(&name));
        }
        // A name that comes and goes is no reason for more warnings.
        let warned = last.get(host).and_then(|last| last.warned);
        last.insert(host.into(), Last { answer: answer.clone(), warned });
    }

    /// The last answer that anybody got.
    pub(super) fn last(&self, host: &str) -> Option<Answer> {
        lock(&self.0.last).get(host).map(|last| last.answer.clone())
    }

    /// Whether the operator is to be told now that the last answer is old, which everybody finds out.
    pub(super) fn warns(&self, host: &str, now: Instant, every: Duration) -> bool {
        let mut last = lock(&self.0.last);
        let Some(last) = last.get_mut(host) else { return true };
        let due = last.warned.is_none_or(|warned| now >= warned + every);
        if due {
            last.warned = Some(now);
        }
        due
    }
}
