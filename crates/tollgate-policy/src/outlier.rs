//! Leaves out targets that fail one request after the other.
//!
//! A target is left out for a fixed time and then starts anew. So many may be out at the same time, and the last one
//! in use never is: a target that fails is better than none.

use std::time::Instant;

use tollgate_plan::resilience::Outlier as Rules;

/// What is remembered of one target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outlier {
    /// Failures since the last success.
    failures: u32,
    until: Option<Instant>,
}

impl Outlier {
    fn is_ejected(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

/// The targets of one upstream, in its order.
#[derive(Debug, Clone, Default)]
pub struct Outliers {
    targets: Box<[Outlier]>,
}

impl Outliers {
    /// With what is remembered of each target.
    pub fn new(targets: impl Iterator<Item = Outlier>) -> Outliers {
        Outliers { targets: targets.collect() }
    }

    /// What is remembered of a target.
    pub fn target(&self, at: usize) -> Outlier {
        self.targets.get(at).copied().unwrap_or_default()
    }

    /// Whether a target is left out at `now`.
    pub fn is_ejected(&self, at: usize, now: Instant) -> bool {
        self.target(at).is_ejected(now)
    }

    /// A request to the target went well.
    pub fn succeeded(&mut self, at: usize) {
        if let Some(target) = self.targets.get_mut(at) {
            target.failures = 0;
        }
    }

    /// The target starts anew: somebody who knows better says that it is well.
    pub fn pardon(&mut self, at: usize) {
        if let Some(target) = self.targets.get_mut(at) {
            *target = Outlier::default();
        }
    }

    /// A request to the target failed. Gives the end of its ejection when that begins now.
    ///
    /// `usable` says whether a target could serve if it is not ejected: one that is unhealthy does not count as the
    /// one that is left. Failures of requests that were on their way when the target was ejected change nothing.
    pub fn failed(
        &mut self,
        at: usize,
        now: Instant,
        rules: &Rules,
        usable: impl Fn(usize) -> bool,
    ) -> Option<Instant> {
        let ejected = self.targets.iter().filter(|target| target.is_ejected(now)).count();
        let room = (self.targets.len() as u64 * u64::from(rules.max_ejected_percent) / 100) as usize;
        let stays =
            |(other, target): (usize, &Outlier)| other != at && !target.is_ejected(now) && usable(other);
        let another = self.targets.iter().enumerate().any(stays);
        let target = self.targets.get_mut(at).filter(|target| !target.is_ejected(now))?;
        target.failures = target.failures.saturating_add(1);
        if target.failures < rules.consecutive_failures || ejected >= room || !another {
            return None;
        }
        let until = now.checked_add(rules.eject)?;
        *target = Outlier { failures: 0, until: Some(until) };
        Some(until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Events such as `a-`, a failure of the first target, and `b+`, a success of the second, one second apart; who
    /// is ejected after the last of them. `.` lets ten seconds pass, `!` makes a target unhealthy, `^` pardons it. Three
    /// failures are too many, and last ten seconds.
    #[track_caller]
    fn check(targets: usize, max_ejected_percent: u32, events: &str, expect: &str) {
        let eject = Duration::from_secs(10);
        let rules = Rules { consecutive_failures: 3, eject, max_ejected_percent };
        let mut outliers = Outliers::new((0..targets).map(|_| Outlier::default()));
        let mut unhealthy = vec![false; targets];
        let mut now = Instant::now();
        for event in events.split_whitespace() {
            now += Duration::from_secs(if event == "." { 10 } else { 1 });
            let at = usize::from(event.as_bytes()[0].wrapping_sub(b'a'));
            match event.as_bytes().get(1) {
                Some(b'-') => drop(outliers.failed(at, now, &rules, |at| !unhealthy[at])),
                Some(b'+') => outliers.succeeded(at),
                Some(b'!') => unhealthy[at] = true,
                Some(b'^') => outliers.pardon(at),
                _ => {}
            }
        }
        let ejected = (0..targets).filter(|at| outliers.is_ejected(*at, now));
        let got: String = ejected.map(|at| char::from(b'a' + at as u8)).collect();
        assert_eq!(got, expect, "{events}");
    }

    #[test]
    fn failures_in_a_row_eject_for_a_time() {
        check(2, 50, "a- a-", "");
        check(2, 50, "a- a- a-", "a");
        check(2, 50, "a- a- a+ a- a-", "");
        check(2, 50, "a- b+ a- b+ a-", "a");
        check(2, 50, "a- a- a- .", "");
        check(2, 50, "a- a- a- . a- a-", "");
        check(2, 50, "a- a- a- . a- a- a-", "a");
    }

    #[test]
    fn what_was_on_its_way_prolongs_nothing_and_shortens_nothing() {
        check(2, 50, "a- a- a- a- a- a- a- a- a- a- a- a-", "a");
        check(2, 50, "a- a- a- a- a- a- a- a- a- a- a- a- a-", "");
        check(2, 50, "a- a- a- a+", "a");
    }

    #[test]
    fn no_more_than_a_share_rounded_down() {
        check(2, 50, "a- a- a- b- b- b-", "a");
        check(3, 50, "a- a- a- b- b- b-", "a");
        check(4, 50, "a- a- a- b- b- b- c- c- c-", "ab");
        check(5, 50, "a- a- a- b- b- b- c- c- c-", "ab");
        check(3, 33, "a- a- a-", "");
        check(3, 34, "a- a- a-", "a");
        check(4, 0, "a- a- a-", "");
        check(4, 50, "a- a- a- b- b- b- c- c- c- .", "");
    }

    #[test]
    fn who_is_refused_for_want_of_room_goes_when_there_is_some() {
        check(2, 50, "a- a- a- b- b- b- b- b- b- b- b- b- b- b-", "b");
    }

    #[test]
    fn who_is_pardoned_starts_anew_and_makes_room() {
        check(2, 50, "a- a- a- a^", "");
        check(2, 50, "a- a- a- a^ a- a-", "");
        check(2, 50, "a- a- a- a^ a- a- a-", "a");
        check(2, 50, "a- a- a- a^ b- b- b-", "b");
    }

    #[test]
    fn the_last_one_stays() {
        check(1, 100, "a- a- a- a-", "");
        check(2, 100, "a- a- a- b- b- b-", "a");
        check(3, 100, "a- a- a- b- b- b- c- c- c-", "ab");
        check(2, 50, "b! a- a- a-", "");
        check(3, 100, "b! a- a- a-", "a");
        check(3, 100, "b! c! a- a- a-", "");
    }

    #[test]
    fn an_index_of_nothing_does_nothing() {
        let rules =
            Rules { consecutive_failures: 1, eject: Duration::from_secs(1), max_ejected_percent: 100 };
        let mut outliers = Outliers::new([Outlier::default(); 2].into_iter());
        assert_eq!(outliers.failed(2, Instant::now(), &rules, |_| true), None);
        outliers.succeeded(2);
    }
}
