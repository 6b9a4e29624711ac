//! Keeps requests away from a target that could not be reached a moment ago.
//!
//! A dead target answers nothing, so its load is always zero, and a balancer that looks for the least load would
//! send it everything. So a failed connect makes a target suspect for a while; the while doubles with every
//! failure in a row, and when it is over one request at a time tries again. A success clears it at once.

use std::time::{Duration, Instant};

use crate::Standing;

/// How long the first failure counts: a few connect times.
const HOLD_FIRST: Duration = Duration::from_millis(250);
/// How long a failure counts at most: a target that is back is in use again within 5 s.
const HOLD_MAX: Duration = Duration::from_secs(4);

/// What is remembered of a target's failed connects. A small value, to be kept in a `Cell`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Penalty {
    /// In a row; requests that fail together count as one.
    failures: u32,
    until: Option<Instant>,
    /// One request is trying whether the target is back.
    on_trial: bool,
}

impl Penalty {
    /// How the target stands at `now`: up or suspect.
    pub fn standing(&self, now: Instant) -> Standing {
        match self.until {
            Some(until) if now < until => Standing::Suspect,
            _ => Standing::Up,
        }
    }

    /// A request is about to be sent to the target. The first one after a penalty is a trial: until its outcome
    /// is known, or the same time is over again, the others stay away.
    pub fn chosen(&mut self, now: Instant) {
        if self.failures > 0 && self.standing(now) == Standing::Up {
            self.until = now.checked_add(self.hold());
            self.on_trial = true;
        }
    }

    /// The target could not be reached. Requests that were on their way when the penalty began add nothing to it.
    pub fn failed(&mut self, now: Instant) {
        if self.standing(now) == Standing::Up || self.on_trial {
            self.failures = self.failures.saturating_add(1);
            self.until = now.checked_add(self.hold());
            self.on_trial = false;
        }
    }

    /// The target was reached.
    pub fn succeeded(&mut self) {
        *self = Penalty::default();
    }

    fn hold(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(8);
        HOLD_FIRST.saturating_mul(1 << doublings).min(HOLD_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens at which millisecond, and until when (exclusive) the target is then suspect.
    enum Event {
        Failed,
        Chosen,
        Succeeded,
    }
    use Event::{Chosen, Failed, Succeeded};

    #[track_caller]
    fn check(events: &[(u64, Event)], suspect_until: u64) {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut penalty = Penalty::default();
        let mut last = 0;
        for (ms, event) in events {
            match event {
                Failed => penalty.failed(at(*ms)),
                Chosen => penalty.chosen(at(*ms)),
                Succeeded => penalty.succeeded(),
            }
            last = *ms;
        }
        for ms in [last, last + 1, suspect_until.saturating_sub(1), suspect_until, suspect_until + 60_000] {
            let expect = if (last..suspect_until).contains(&ms) { Standing::Suspect } else { Standing::Up };
            if ms >= last {
                assert_eq!(penalty.standing(at(ms)), expect, "at {ms} ms");
            }
        }
    }

    #[test]
    fn a_target_that_never_failed_is_up() {
        check(&[], 0);
        check(&[(0, Chosen), (5, Chosen), (9, Succeeded)], 0);
    }

    #[test]
    fn the_penalty_doubles_up_to_its_bound() {
        check(&[(0, Failed)], 250);
        check(&[(0, Failed), (250, Failed)], 750);
        check(&[(0, Failed), (250, Failed), (750, Failed)], 1750);
        let mut events: Vec<(u64, Event)> = (0..40).map(|n| (n * 10_000, Failed)).collect();
        events.push((400_000, Failed));
        check(&events, 404_000);
    }

    #[test]
    fn requests_that_fail_together_count_as_one() {
        check(&[(0, Failed), (1, Failed), (2, Failed), (249, Failed)], 250);
    }

    #[test]
    fn one_request_tries_again() {
        check(&[(0, Failed), (300, Chosen)], 550);
        check(&[(0, Failed), (300, Chosen), (310, Failed)], 810);
        check(&[(0, Failed), (300, Chosen), (310, Failed), (320, Failed)], 810);
        check(&[(0, Failed), (300, Chosen), (310, Succeeded)], 0);
        check(&[(0, Failed), (300, Chosen), (550, Chosen)], 800);
    }

    #[test]
    fn being_chosen_for_want_of_a_better_one_prolongs_nothing() {
        check(&[(0, Failed), (100, Chosen), (200, Chosen)], 250);
    }
}
