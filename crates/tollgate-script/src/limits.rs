//! What one call of a script may use, and the account of what it has used.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::failure::Cause;

/// What one call may use. Past one of them the call fails, whatever the script does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that the call may add to the memory of its machine.
    pub memory_bytes: usize,
    /// Time on the wall.
    pub time: Duration,
    /// Function calls, turns of loops and steps of pattern matching.
    pub steps: u64,
}

impl Default for Limits {
    /// `lua_limits: { memory: 8MiB, time: 20ms }`. The steps take some 20 ms on a slow machine when each does little.
    fn default() -> Limits {
        Limits { memory_bytes: 8 << 20, time: Duration::from_millis(20), steps: 1_000_000 }
    }
}

/// Bytes that one machine may hold between calls, for requests that wait for their response: over it no request
/// begins, so that the others can end.
pub const MAX_MACHINE_BYTES: usize = 64 << 20;

/// The clock is read once in so many steps: reading it costs about as much as a step.
const STEPS_PER_LOOK: u64 = 8;

/// The clock is read once in so many bytes that the gateway's own functions worked on.
const BYTES_PER_LOOK: usize = 16 << 10;

/// The account of the call that is running.
pub(crate) struct Budget {
    steps: Cell<u64>,
    bytes: Cell<usize>,
    deadline: Cell<Option<Instant>>,
    over: Cell<Option<Cause>>,
}

impl Budget {
    /// No call is running: the machine itself may do what it needs.
    pub(crate) fn idle() -> Budget {
        Budget {
            steps: Cell::new(u64::MAX),
            bytes: Cell::new(0),
            deadline: Cell::new(None),
            over: Cell::new(None),
        }
    }

    /// Begins a call.
    pub(crate) fn begin(&self, limits: &Limits) {
        self.steps.set(limits.steps);
        self.bytes.set(0);
        self.deadline.set(Instant::now().checked_add(limits.time));
        self.over.set(None);
    }

    /// Ends the call, and says which limit it passed.
    pub(crate) fn end(&self) -> Option<Cause> {
        self.steps.set(u64::MAX);
        self.deadline.set(None);
        self.over.take()
    }

    /// Which limit the call has passed.
    pub(crate) fn over(&self) -> Option<Cause> {
        self.over.get()
    }

    /// From here on every step fails, so that no `pcall` holds the call up.
    pub(crate) fn exhaust(&self, cause: Cause) {
        if self.over.get().is_none() {
            self.over.set(Some(cause));
        }
        // The next step looks.
        self.steps.set(0);
    }

    /// One step of the script.
    #[inline]
    pub(crate) fn step(&self) -> Result<(), Cause> {
        let left = self.steps.get();
        if !left.is_multiple_of(STEPS_PER_LOOK) {
            self.steps.set(left - 1);
            return Ok(());
        }
        self.look(left)
    }

    /// The gateway's own functions worked on so many bytes.
    pub(crate) fn work(&self, bytes: usize) -> Result<(), Cause> {
        let sum = self.bytes.get().saturating_add(bytes);
        if sum < BYTES_PER_LOOK {
            self.bytes.set(sum);
            return Ok(());
        }
        self.bytes.set(0);
        self.check_time()
    }

    #[cold]
    fn look(&self, left: u64) -> Result<(), Cause> {
        match left.checked_sub(1) {
            Some(left) => self.steps.set(left),
            None => self.exhaust(Cause::Steps),
        }
        self.check_time()
    }

    fn check_time(&self) -> Result<(), Cause> {
        if self.over.get().is_none() && self.deadline.get().is_some_and(|deadline| Instant::now() >= deadline)
        {
            self.exhaust(Cause::Time);
        }
        self.over.get().map_or(Ok(()), Err)
    }
}
