//! How many connections there are, in the process and on each worker.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::observe::Seldom;

/// Connection counts. Written by every worker at accept and close, never per request.
pub(crate) struct Counts {
    open: AtomicUsize,
    workers: Box<[AtomicUsize]>,
    /// Connections closed at accept because of `limits.connections`.
    pub(crate) refused: AtomicU64,
    /// Connections that could not be accepted, for the operator's log: it may be every worker's trouble at once.
    pub(crate) accept_errors: Seldom,
}

/// A worker may have this many connections more than the least loaded one before it hands a fresh one over;
/// moving one costs two registrations and a wake-up on another core.
const HANDOVER_SLACK: usize = 1;

impl Counts {
    pub(crate) fn new(workers: usize) -> Counts {
        Counts {
            open: AtomicUsize::new(0),
            workers: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
            refused: AtomicU64::new(0),
            accept_errors: Seldom::default(),
        }
    }

    /// Takes a place in the process; false when `limit` are taken.
    pub(crate) fn enter(&self, limit: usize) -> bool {
        if self.open.fetch_add(1, Relaxed) < limit {
            return true;
        }
        self.open.fetch_sub(1, Relaxed);
        self.refused.fetch_add(1, Relaxed);
        false
    }

    /// Decides which worker serves a connection that `worker` accepted, and counts it there.
    pub(crate) fn assign(&self, worker: usize) -> usize {
        let load = |at: usize| self.workers.get(at).map_or(usize::MAX, |n| n.load(Relaxed));
        let mine = load(worker);
        let least = (0..self.workers.len()).min_by_key(|&at| load(at)).unwrap_or(worker);
        let chosen = if mine > load(least) + HANDOVER_SLACK + mine / 8 { least } else { worker };
        if let Some(count) = self.workers.get(chosen) {
            count.fetch_add(1, Relaxed);
        }
        chosen
    }

    /// A connection goes to another worker.
    pub(crate) fn shift(&self, from: usize, to: usize) {
        if let (Some(from), Some(to)) = (self.workers.get(from), self.workers.get(to)) {
            from.fetch_sub(1, Relaxed);
            to.fetch_add(1, Relaxed);
        }
    }

    /// A connection of `worker` is closed.
    pub(crate) fn leave(&self, worker: usize) {
        self.open.fetch_sub(1, Relaxed);
        if let Some(count) = self.workers.get(worker) {
            count.fetch_sub(1, Relaxed);
        }
    }

    /// Open connections of the process.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overloaded_worker_hands_over_and_an_even_one_keeps() {
        let counts = Counts::new(2);
        let chosen: Vec<usize> = (0..6).map(|_| counts.assign(0)).collect();
        assert_eq!(chosen, [0, 0, 1, 0, 1, 0], "at most {HANDOVER_SLACK} more than the least loaded");
    }

    #[test]
    fn the_limit_is_exact_and_counts_what_it_refused() {
        let counts = Counts::new(1);
        assert!(counts.enter(2) && counts.enter(2) && !counts.enter(2));
        counts.leave(counts.assign(0));
        assert!(counts.enter(2));
        assert_eq!((counts.open(), counts.refused.load(Relaxed)), (2, 1));
    }
}
