//! Whether a request is tried again, and when.
//!
//! Retries help against a target that fails and hurt an upstream that is overloaded. So only a share of the requests
//! of the last moments may be retries, as in Finagle's `RetryBudget`, and they come at random times: Brooker,
//! "Exponential Backoff And Jitter" (2015).

use std::time::{Duration, Instant};

use tollgate_plan::resilience::Retry;

use crate::window::Window;

/// Seconds over which requests and retries are counted.
const WINDOW_S: usize = 10;

/// Retries a second that are allowed however few requests there are.
const PER_SECOND_MIN: u64 = 3;

/// Doubling ends here, unless the first backoff is already longer.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How many requests there were, and how many were retries. One for each upstream.
///
/// In no 10 s are there more retries than a share of the requests of those seconds, or 30, whichever is more.
#[derive(Debug, Clone)]
pub struct Budget {
    /// One slice more than the window: retries are counted over at least 10 s, requests over at most that.
    window: Window<Tally, { WINDOW_S + 1 }>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    requests: u32,
    retries: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { window: Window::new(Duration::from_secs(1)) }
    }
}

impl Budget {
    /// A request began.
    pub fn request(&mut self, now: Instant) {
        self.window.roll(now);
        self.window.count(|tally| tally.requests = tally.requests.saturating_add(1));
    }

    /// Takes one retry; false when there is none left.
    pub fn withdraw(&mut self, rules: &Retry, now: Instant) -> bool {
        self.window.roll(now);
        let requests: u64 = self.window.latest(WINDOW_S).map(|tally| u64::from(tally.requests)).sum();
        let retries: u64 = self.window.latest(WINDOW_S + 1).map(|tally| u64::from(tally.retries)).sum();
        let share = requests.saturating_mul(u64::from(rules.budget_percent)) / 100;
        let allowed = retries < share.max(PER_SECOND_MIN * WINDOW_S as u64);
        if allowed {
            self.window.count(|tally| tally.retries = tally.retries.saturating_add(1));
        }
        allowed
    }
}

/// Why an attempt was no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No connection: nothing was sent.
    Connect,
    /// The connection ended before the head of an answer.
    Reset,
    /// No head of an answer in time.
    Timeout,
    /// The answer is not HTTP.
    Protocol,
    /// An answer with this status.
    Status(u16),
}

/// An attempt, as far as it matters for another one.
#[derive(Debug, Clone, Copy)]
pub struct Attempted {
    /// Why it was no good.
    pub fault: Fault,
    /// The configuration lets requests with this method be sent twice.
    pub repeatable: bool,
    /// The body, if there is one, can be sent again.
    pub replayable: bool,
}

/// Whether another attempt is wanted and does no harm.
pub fn worth_retrying(rules: &Retry, attempted: Attempted) -> bool {
    let on = &rules.on;
    let wanted = match attempted.fault {
        Fault::Connect => on.connect,
        Fault::Reset => on.reset,
        Fault::Timeout => on.timeout,
        Fault::Protocol => on.protocol,
        Fault::Status(status) => on.statuses.contains(status),
    };
    let nothing_sent = attempted.fault == Fault::Connect;
    wanted && attempted.replayable && (attempted.repeatable || nothing_sent)
}

/// How long to wait before the `nth` retry, counting from 1: from half of the doubled time to all of it.
pub fn backoff(base: Duration, nth: u32, random: u64) -> Duration {
    let doubled = base.saturating_mul(1 << nth.saturating_sub(1).min(16));
    let longest = doubled.min(BACKOFF_MAX.max(base));
    let half = longest / 2;
    // 32 bits of randomness are more than a timer can tell apart.
    half + half.mul_f64((random >> 32) as f64 / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use tollgate_plan::resilience::{RetryMethods, RetryOn, StatusSet};

    use super::*;

    fn rules(budget_percent: u32) -> Retry {
        Retry {
            attempts: 1,
            on: RetryOn {
                connect: true,
                reset: true,
                statuses: StatusSet::range(502, 504),
                ..RetryOn::default()
            },
            methods: RetryMethods::Idempotent,
            budget_percent,
            backoff: Duration::from_millis(25),
        }
    }

    #[test]
    fn only_what_is_wanted_and_safe() {
        use Fault::{Connect, Protocol, Reset, Status, Timeout};
        for (fault, repeatable, replayable, expect) in [
            (Connect, true, true, true),
            (Connect, false, true, true),
            (Connect, true, false, false),
            (Reset, true, true, true),
            (Reset, false, true, false),
            (Reset, true, false, false),
            (Status(503), true, true, true),
            (Status(503), false, true, false),
            (Status(500), true, true, false),
            (Status(200), true, true, false),
            (Timeout, true, true, false),
            (Protocol, true, true, false),
        ] {
            let attempted = Attempted { fault, repeatable, replayable };
            assert_eq!(worth_retrying(&rules(20), attempted), expect, "{attempted:?}");
        }
        let every = RetryOn { timeout: true, protocol: true, ..RetryOn::default() };
        let every = Retry { on: every, ..rules(20) };
        for (fault, expect) in [(Timeout, true), (Protocol, true), (Connect, false), (Reset, false)] {
            let attempted = Attempted { fault, repeatable: true, replayable: true };
            assert_eq!(worth_retrying(&every, attempted), expect, "{fault:?}");
        }
    }

    /// Seconds in each of which so many requests begin and as many as possible are tried again; how many that is.
    #[track_caller]
    fn check(budget_percent: u32, seconds: &[(u32, u64)]) {
        let (rules, start) = (rules(budget_percent), Instant::now());
        let mut budget = Budget::default();
        budget.request(start);
        for (second, (requests, expect)) in seconds.iter().enumerate() {
            let now = start + Duration::from_secs(second as u64);
            (0..*requests).for_each(|_| budget.request(now));
            let retries = (0..*requests + 100).filter(|_| budget.withdraw(&rules, now)).count() as u64;
            assert_eq!(retries, *expect, "in second {second}");
        }
    }

    #[test]
    fn a_share_of_the_last_ten_seconds() {
        check(20, &[(999, 200), (0, 0), (500, 100)]);
        check(100, &[(999, 1000), (1000, 1000)]);
        // The requests of the first second leave a second before its retries do.
        check(
            20,
            &[(999, 200), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (1000, 0)],
        );
    }

    #[test]
    fn at_least_three_a_second() {
        check(20, &[(1, 30), (1, 0)]);
        check(0, &[(1000, 30)]);
        let mut seconds = vec![(0, 0); 22];
        (seconds[0], seconds[11]) = ((0, 30), (0, 30));
        check(20, &seconds);
    }

    #[test]
    fn the_backoff_doubles_and_is_spread() {
        let ms = Duration::from_millis;
        for (base, nth, low, high) in [
            (25, 1, 12_500, 25_000),
            (25, 2, 25_000, 50_000),
            (25, 3, 50_000, 100_000),
            (25, 60, 500_000, 1_000_000),
            (5000, 3, 2_500_000, 5_000_000),
            (0, 3, 0, 0),
        ] {
            let span = [0, u64::MAX].map(|random| backoff(ms(base), nth, random).as_micros());
            assert_eq!(span, [low, high], "{base} ms, {nth}");
        }
    }
}
