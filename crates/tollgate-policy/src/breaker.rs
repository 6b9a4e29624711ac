//! Spares an upstream that fails as a whole, and its clients the wait.
//!
//! Closed, everything passes and outcomes are counted; too large a share of failures opens it. Open, nothing passes
//! for a while. Half open, exactly so many attempts may try: when they all succeed it closes, when one fails it is
//! open again. An attempt that ends without saying anything about the upstream gives its place back.
//! Nygard, "Release It!" (2007), chapter "Stability Patterns".

use std::time::{Duration, Instant};

use tollgate_plan::resilience::CircuitBreaker as Rules;

use crate::window::Window;

/// Slices of the window. What is older than the window leaves slice by slice.
const SLICES: usize = 10;

/// A breaker, one for each upstream.
#[derive(Debug, Clone)]
pub struct Breaker {
    rules: Rules,
    state: State,
    /// Counts up with every change of state: an outcome counts only in the state in which its attempt began.
    epoch: u64,
    window: Window<Tally, SLICES>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { let_through: u32, succeeded: u32 },
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    succeeded: u32,
    failed: u32,
}

/// The state of a breaker, as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    /// Everything passes.
    Closed,
    /// Some may try.
    HalfOpen,
    /// Nothing passes.
    Open,
}

impl Circuit {
    /// `closed`, `half_open` or `open`.
    pub fn as_str(self) -> &'static str {
        match self {
            Circuit::Closed => "closed",
            Circuit::HalfOpen => "half_open",
            Circuit::Open => "open",
        }
    }
}

/// Leave to make one attempt, to be given back with its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    epoch: u64,
}

/// How an attempt ended, as far as the upstream is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The upstream answered.
    Success,
    /// It did not, or with a status that counts as a failure.
    Failure,
    /// It answered well, and then broke off. Counts as a failure instead of the success that it was taken for.
    BrokenOff,
    /// Nobody knows: the client left, or the attempt was not made.
    Unknown,
}

impl Breaker {
    /// Closed, and nothing is known.
    pub fn new(rules: Rules) -> Breaker {
        let window = Window::new(rules.window / SLICES as u32);
        Breaker { rules, state: State::Closed, epoch: 0, window }
    }

    /// What it goes by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// How it stands at `now`.
    pub fn circuit(&self, now: Instant) -> Circuit {
        match self.state {
            State::Closed => Circuit::Closed,
            State::Open { until } if now < until => Circuit::Open,
            State::Open { .. } | State::HalfOpen { .. } => Circuit::HalfOpen,
        }
    }

    /// Leave to make an attempt; or the time after which asking again makes sense.
    pub fn admit(&mut self, now: Instant) -> Result<Ticket, Duration> {
        if let State::Open { until } = self.state {
            if now < until {
                return Err(until.saturating_duration_since(now));
            }
            self.change(State::HalfOpen { let_through: 0, succeeded: 0 });
        }
        if let State::HalfOpen { let_through, .. } = &mut self.state {
            if *let_through >= self.rules.half_open_requests {
                return Err(Duration::ZERO);
            }
            *let_through += 1;
        }
        Ok(Ticket { epoch: self.epoch })
    }

    /// Takes the outcome of an attempt. [`Ending::BrokenOff`] may follow [`Ending::Success`] with the same ticket.
    pub fn settle(&mut self, ticket: Ticket, ending: Ending, now: Instant) {
        if ticket.epoch != self.epoch {
            return;
        }
        match &mut self.state {
            State::Closed => self.settle_closed(ending, now),
            State::Open { .. } => {}
            State::HalfOpen { let_through, succeeded } => match ending {
                Ending::Unknown => *let_through = let_through.saturating_sub(1),
                Ending::Failure | Ending::BrokenOff => self.open(now),
                Ending::Success => {
                    *succeeded += 1;
                    if *succeeded >= self.rules.half_open_requests {
                        self.change(State::Closed);
                    }
                }
            },
        }
    }

    fn settle_closed(&mut self, ending: Ending, now: Instant) {
        self.window.roll(now);
        self.window.count(|tally| match ending {
            Ending::Success => tally.succeeded = tally.succeeded.saturating_add(1),
            Ending::Failure => tally.failed = tally.failed.saturating_add(1),
            Ending::BrokenOff => {
                // Its success may stand in an older slice, and stays there: a failure too much, not too few.
                tally.succeeded = tally.succeeded.saturating_sub(1);
                tally.failed = tally.failed.saturating_add(1);
            }
            Ending::Unknown => {}
        });
        if matches!(ending, Ending::Failure | Ending::BrokenOff) && self.is_too_much() {
            self.open(now);
        }
    }

    fn is_too_much(&self) -> bool {
        let sum = self.window.latest(SLICES).fold((0, 0), |(all, failed), tally| {
            (all + u64::from(tally.succeeded) + u64::from(tally.failed), failed + u64::from(tally.failed))
        });
        let (all, failed) = sum;
        all >= u64::from(self.rules.min_requests)
            && failed * 100 >= all * u64::from(self.rules.failure_percent)
    }

    fn open(&mut self, now: Instant) {
        // Without a representable end it would never close again; durations are bounded where they are read.
        let until = now.checked_add(self.rules.open).unwrap_or(now);
        self.change(State::Open { until });
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.epoch += 1;
        self.window.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        failure_percent: 50,
        min_requests: 4,
        window: Duration::from_secs(10),
        open: Duration::from_secs(5),
        half_open_requests: 2,
    };

    /// Letters, each a tenth of a second after the one before: `+` an attempt that succeeds, `-` one that fails, `?`
    /// one whose client leaves, `b` one that breaks off, `(` one that begins, `)` `]` the success and the failure of
    /// the eldest that began, `.` a second that passes, `_` five of them. What each shows: `c` closed, `o` open, `h`
    /// half open, `x` refused.
    #[track_caller]
    fn check(events: &str, expect: &str) {
        let mut breaker = Breaker::new(RULES);
        let mut now = Instant::now();
        let mut begun = std::collections::VecDeque::new();
        let got: String = events
            .chars()
            .map(|event| {
                now += Duration::from_millis(match event {
                    '.' => 1000,
                    '_' => 5000,
                    _ => 100,
                });
                let endings: &[Ending] = match event {
                    '+' => &[Ending::Success],
                    '-' => &[Ending::Failure],
                    '?' => &[Ending::Unknown],
                    'b' => &[Ending::Success, Ending::BrokenOff],
                    _ => &[],
                };
                match event {
                    '.' | '_' => {}
                    ')' => breaker.settle(begun.pop_front().expect("one began"), Ending::Success, now),
                    ']' => breaker.settle(begun.pop_front().expect("one began"), Ending::Failure, now),
                    _ => {
                        let Ok(ticket) = breaker.admit(now) else { return 'x' };
                        endings.iter().for_each(|ending| breaker.settle(ticket, *ending, now));
                        if event == '(' {
                            begun.push_back(ticket);
                        }
                    }
                }
                match breaker.circuit(now) {
                    Circuit::Closed => 'c',
                    Circuit::HalfOpen => 'h',
                    Circuit::Open => 'o',
                }
            })
            .collect();
        assert_eq!(got, expect, "{events}");
    }

    #[test]
    fn too_large_a_share_of_failures_opens_it() {
        check("++++++", "cccccc");
        check("---", "ccc");
        check("----", "ccco");
        check("++--", "ccco");
        check("+++--+-", "ccccccc");
        check("+++--+--", "ccccccco");
        check("????----", "ccccccco");
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        check("---..........-", "cccccccccccccc");
        check("---......-", "ccccccccco");
        check("++++++..........----", "ccccccccccccccccccco");
    }

    #[test]
    fn open_lets_nothing_through_until_its_time_is_over() {
        check("----+-+....+", "cccoxxxoooox");
        check("----_", "cccoh");
    }

    #[test]
    fn half_open_lets_exactly_its_attempts_through() {
        check("----_((((", "cccohhhxx");
        check("----_(())", "cccohhhhc");
        check("----_(()(", "cccohhhhx");
        check("----_((?", "cccohhhx");
        check("----_?(((", "cccohhhhx");
        check("----_++", "cccohhc");
        check("----_-", "cccoho");
        check("----_b", "cccoho");
        check("----_+-_++", "cccohhohhc");
    }

    #[test]
    fn what_began_before_a_change_says_nothing_after_it() {
        // Two begin while it is closed and end while it is half open.
        check("((----_))", "cccccohhh");
        check("((----_]]((", "cccccohhhhh");
        // One begins half open and fails when the other has already reopened it.
        check("----_((].]_", "cccohhhoooh");
    }

    #[test]
    fn an_answer_that_breaks_off_is_a_failure() {
        check("bbbb", "ccco");
        check("+++b", "cccc");
    }

    #[test]
    fn after_closing_it_counts_anew() {
        check("----_++---", "cccohhcccc");
        check("----_++----", "cccohhcccco");
    }
}
