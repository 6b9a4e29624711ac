//! A line of the operator's log that comes at most once a second, with the number of times that it stands for.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time between two lines.
const EVERY: Duration = Duration::from_secs(1);

/// Counts what happens often and says when a line about it is due. Shared by the workers; used only when something
/// fails.
#[derive(Default)]
pub(crate) struct Seldom(Mutex<State>);

#[derive(Default)]
struct State {
    /// When the last line was written.
    told: Option<Instant>,
    /// How often it happened since.
    count: u64,
}

impl Seldom {
    /// It happened once more. Gives the number that a line should tell, when one is due.
    pub(crate) fn note(&self, now: Instant) -> Option<u64> {
        self.due(now, 1, EVERY)
    }

    /// The number that no line told, when it has not happened for a while.
    pub(crate) fn rest(&self, now: Instant) -> Option<u64> {
        // While it goes on, `note` tells it, with what went wrong.
        self.due(now, 0, 2 * EVERY)
    }

    fn due(&self, now: Instant, more: u64, every: Duration) -> Option<u64> {
        // A count cannot be left half changed.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.count = state.count.saturating_add(more);
        let early = state.told.is_some_and(|told| now.saturating_duration_since(told) < every);
        if early || state.count == 0 {
            return None;
        }
        state.told = Some(now);
        Some(std::mem::take(&mut state.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_second_tells_all_that_happened() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        assert_eq!(seldom.rest(at(0)), None, "nothing happened");
        for (ms, told) in [(0, Some(1)), (50, None), (999, None), (1_000, Some(3)), (1_500, None)] {
            assert_eq!(seldom.note(at(ms)), told, "{ms} ms");
        }
        for (ms, told) in [(2_500, None), (3_000, Some(1)), (9_000, None)] {
            assert_eq!(seldom.rest(at(ms)), told, "{ms} ms");
        }
        assert_eq!(seldom.note(at(9_001)), Some(1), "the first of a new series is told at once");
    }
}
