//! What all workers know of a target. It lives as long as the configuration names it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tollgate_plan::resilience::HealthCheck;
use tollgate_policy::Health;

use crate::observe::Seldom;

/// One target of one upstream.
pub(crate) struct TargetShared {
    /// As configured.
    pub(crate) url: Arc<str>,
    /// Open connections of the process to it, idle ones included.
    open: AtomicUsize,
    /// Requests, on any worker, that wait for a place because `pool.max_connections` are open.
    wanted: AtomicUsize,
    /// What checks say, for those who choose; written with `story`.
    unhealthy: AtomicBool,
    /// The end of its ejection, in nanoseconds since `born`; 0 when it was never ejected. Written with `story`.
    ejected_until_ns: AtomicU64,
    /// Its ejection ended before its time, and those who count failures have not been told.
    pub(super) pardoned: AtomicBool,
    /// It failed since its last success, so that a success has something to say.
    pub(crate) failing: AtomicBool,
    /// TLS handshakes with it that failed, for the operator's log.
    pub(crate) tls_failures: Seldom,
    born: Instant,
    story: Mutex<Story>,
}

/// What became of a target, and when. Written by checks and by who ejects, read by who reports.
struct Story {
    /// Somebody checks it. A check that was on its way when that ended is not heard any more.
    checked: bool,
    health: Health,
    /// Since when its checks say what they say.
    since: SystemTime,
    /// From when to when it is, or was, ejected.
    ejected: Option<(SystemTime, SystemTime)>,
}

impl TargetShared {
    pub(crate) fn new(url: Arc<str>, since: SystemTime) -> TargetShared {
        TargetShared {
            url,
            open: AtomicUsize::new(0),
            wanted: AtomicUsize::new(0),
            unhealthy: AtomicBool::new(false),
            ejected_until_ns: AtomicU64::new(0),
            pardoned: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            tls_failures: Seldom::default(),
            born: Instant::now(),
            story: Mutex::new(Story { checked: false, health: Health::default(), since, ejected: None }),
        }
    }

    /// Takes one of `max` connections; false when all are taken.
    pub(crate) fn enter(&self, max: usize) -> bool {
        self.open.fetch_update(Relaxed, Relaxed, |open| (open < max).then_some(open + 1)).is_ok()
    }

    /// Somebody waits for a place, until the guard is dropped.
    pub(crate) fn want(self: &Arc<Self>) -> Wanted {
        self.wanted.fetch_add(1, Relaxed);
        Wanted(self.clone())
    }

    /// Whether somebody waits for a place.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Relaxed) > 0
    }

    /// A connection is closed.
    pub(crate) fn leave(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    /// Whether its checks say that it cannot serve.
    pub(crate) fn is_unhealthy(&self) -> bool {
        self.unhealthy.load(Relaxed)
    }

    /// Whether it is left out because it failed too often.
    pub(crate) fn is_ejected(&self, now: Instant) -> bool {
        let until_ns = self.ejected_until_ns.load(Relaxed);
        until_ns > 0 && self.nanos(now) < until_ns
    }

    /// Takes the outcome of a check; whether it changed anything.
    ///
    /// A target that its checks found unhealthy and now find well is not left out any longer for what it failed before.
    pub(crate) fn checked(&self, good: bool, rules: &HealthCheck) -> bool {
        let mut story = self.story();
        let changed = story.checked && story.health.observed(good, rules);
        if changed {
            story.since = SystemTime::now();
            self.unhealthy.store(!good, Relaxed);
        }
        if changed && good {
            self.end_ejection(&mut story);
        }
        changed
    }

    /// It gets no requests until `until`.
    pub(super) fn eject(&self, now: Instant, until: Instant) {
        let (mut story, wall) = (self.story(), SystemTime::now());
        story.ejected = Some((wall, wall + until.saturating_duration_since(now)));
        self.ejected_until_ns.store(self.nanos(until), Relaxed);
    }

    /// Whether somebody checks it from now on. Without checks it is healthy.
    pub(super) fn set_checked(&self, checked: bool) {
        let mut story = self.story();
        story.checked = checked;
        if checked {
            return;
        }
        if !story.health.is_healthy() {
            story.since = SystemTime::now();
        }
        story.health = Health::default();
        self.unhealthy.store(false, Relaxed);
    }

    /// Nobody ejects it any more.
    pub(super) fn forget_failures(&self) {
        self.end_ejection(&mut self.story());
    }

    fn end_ejection(&self, story: &mut Story) {
        if let Some((_, until)) = &mut story.ejected {
            *until = SystemTime::now().min(*until);
        }
        if self.ejected_until_ns.swap(0, Relaxed) > 0 {
            self.pardoned.store(true, Relaxed);
        }
    }

    /// Whether requests are sent there, and since when that is so.
    pub(crate) fn state(&self) -> (bool, SystemTime) {
        let (story, now) = (self.story(), SystemTime::now());
        match story.ejected {
            _ if !story.health.is_healthy() => (false, story.since),
            Some((from, until)) if now < until => (false, from),
            Some((_, until)) => (true, story.since.max(until)),
            None => (true, story.since),
        }
    }

    fn nanos(&self, at: Instant) -> u64 {
        // 64 bits of nanoseconds are five centuries.
        at.saturating_duration_since(self.born).max(Duration::from_nanos(1)).as_nanos() as u64
    }

    fn story(&self) -> MutexGuard<'_, Story> {
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody waits for a place.
pub(crate) struct Wanted(Arc<TargetShared>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.wanted.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tollgate_plan::resilience::Probe;

    use super::*;

    #[test]
    fn what_is_told_of_a_target() {
        let born = SystemTime::now() - Duration::from_secs(60);
        let target = TargetShared::new("http://a".into(), born);
        let second = Duration::from_secs(1);
        let rules = HealthCheck {
            probe: Probe::Tcp,
            every: second,
            timeout: second,
            healthy_after: 1,
            unhealthy_after: 2,
        };
        let now = Instant::now();
        assert_eq!(target.state(), (true, born));
        target.set_checked(true);
        assert!(!target.checked(false, &rules) && target.checked(false, &rules));
        assert!(target.is_unhealthy() && target.state().1 > born);
        assert!(target.checked(true, &rules) && !target.is_unhealthy() && target.state().0);

        target.eject(now, now + second);
        assert!(target.is_ejected(now) && !target.is_ejected(now + second));
        assert!(!target.state().0 && !target.is_unhealthy(), "ejected is not unhealthy, and told the same");
        target.forget_failures();
        assert!(!target.is_ejected(now) && target.state().0);
        target.checked(false, &rules);
        target.checked(false, &rules);
        target.set_checked(false);
        assert!(!target.is_unhealthy() && target.state().0);
        target.checked(false, &rules);
        assert!(!target.checked(false, &rules) && !target.is_unhealthy(), "a late check is not heard");
    }
}
