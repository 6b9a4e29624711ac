//! Waiting for a condition with a deadline, which is how every test here deals with time.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a condition may take before a test fails. Generous: it is only ever reached by a failure.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Lets at most `time` pass. For pacing (a dripping origin), never for hoping that something has happened.
pub fn pause(time: Duration) {
    let end = Instant::now() + time;
    while let Some(rest) = end.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
        std::thread::park_timeout(rest);
    }
}

/// Waits until `condition` holds; panics with `what` when it does not within [`PATIENCE`].
#[track_caller]
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    wait_some(what, PATIENCE, || condition().then_some(()));
}

/// Waits until `probe` gives a value; panics with `what` when it does not within `patience`.
#[track_caller]
pub fn wait_some<T>(what: &str, patience: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < end, "waited {patience:?} in vain for: {what}");
        pause(Duration::from_millis(5));
    }
}

/// Asserts that `condition` holds now and goes on holding for `time`: the only way to show that something does
/// not happen.
#[track_caller]
pub fn assert_holds(what: &str, time: Duration, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        assert!(condition(), "no longer holds: {what}");
        pause(Duration::from_millis(10));
    }
}

/// A gate that a test opens and an origin waits at. Clones share it.
#[derive(Clone, Default)]
pub struct Gate {
    state: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Lets everyone through, now and later.
    pub fn open(&self) {
        let (open, changed) = &*self.state;
        *open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Waits until the gate is open; `false` when nobody opened it in three times [`PATIENCE`].
    pub fn wait(&self) -> bool {
        let (open, changed) = &*self.state;
        let guard = open.lock().unwrap_or_else(PoisonError::into_inner);
        let result = changed.wait_timeout_while(guard, PATIENCE * 3, |open| !*open);
        *result.unwrap_or_else(PoisonError::into_inner).0
    }
}
