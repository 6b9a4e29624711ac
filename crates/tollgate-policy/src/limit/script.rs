//! The text that Redis runs for a shared limit, what it is told, and what it answers. No client: that is the data
//! plane's.
//!
//! One script for all that may be done to a bucket, so that limits with `sync: exact` and with `sync: leased` keep
//! the same thing under the same key. It is atomic, works on the server's clock, and lets a bucket expire as soon
//! as it is full. The server's clock stepping back costs at most one burst more.

use std::time::Duration;

use super::bucket::Decision;
use super::lease::lease_max;
use super::quota::{Quota, REFILL_MAX_NS, Span, duration_up, seconds_up};

/// The script, for Redis 5 or newer (it writes after it has asked for the time). One key, [`Ask::args`] as arguments, four integers as [`Reply::read`] takes them.
pub const BUCKET: &str = include_str!("bucket.lua");

/// How many of the largest leases a bucket lacks that is no longer nearly full: what comes back, what came back while it
/// was away, and as much time as it was away. A lease is a quarter of the burst at most, so this is less than a burst.
const NEARLY_LEASES: u64 = 3;

/// Tokens moved by one call at most: larger numbers would not stay exact in the script's arithmetic.
pub const MOVED_MAX: u32 = 1 << 20;

/// More than any burst takes to refill, and few enough microseconds for the script to add to the time of day.
const TIME_MAX_US: u64 = 1 << 50;
const _: () = assert!(TIME_MAX_US > REFILL_MAX_NS / 1_000);

/// What a bucket in Redis is asked for. Tokens beyond [`MOVED_MAX`] are not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// So many tokens, or none.
    Take(u32),
    /// So many tokens, or as many as there are.
    Lease(u32),
    /// Tokens of one earlier take or lease come back.
    GiveBack {
        /// How many.
        tokens: u32,
        /// [`Reply::now_us`] of the answer that gave them.
        taken_at_us: u64,
    },
}

/// What a bucket in Redis answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Tokens that were taken or came back.
    pub moved: u32,
    /// How long, from then on, until the bucket is full.
    pub missing: Span,
    /// The server's clock, in microseconds since the epoch.
    pub now_us: u64,
}

impl Ask {
    /// The script's arguments, in order.
    pub fn args(self, quota: &Quota) -> [u64; 12] {
        let (what, tokens, taken_at_us) = match self {
            Ask::Take(tokens) => (0, tokens, 0),
            Ask::Lease(tokens) => (1, tokens, 0),
            Ask::GiveBack { tokens, taken_at_us } => (2, tokens, taken_at_us),
        };
        let tokens = u64::from(tokens.min(MOVED_MAX));
        let [(cost, cost_part), (one, one_part), (burst, burst_part), (most, most_part)] =
            [tokens, 1, quota.burst(), NEARLY_LEASES * u64::from(lease_max(quota))]
                .map(|tokens| micros(quota, tokens));
        let parts = quota.count();
        [what, tokens, cost, cost_part, one, one_part, burst, burst_part, most, most_part, parts, taken_at_us]
    }
}

impl Reply {
    /// From the script's four integers. `None` for what the script never says.
    pub fn read(numbers: [i64; 4], quota: &Quota) -> Option<Reply> {
        let [moved, missing_us, part, now_us] = numbers.map(u64::try_from);
        let (missing_us, part) = (missing_us.ok()?, part.ok()?);
        if part >= quota.count() {
            return None;
        }
        // A thousand nanoseconds are a microsecond, and parts count per whole of either.
        let parts = part.checked_mul(1_000)?;
        let ns = missing_us.checked_mul(1_000)?.checked_add(parts / quota.count())?;
        let missing = Span { ns, part: parts % quota.count() }.min(quota.burst_span());
        Some(Reply { moved: u32::try_from(moved.ok()?).ok()?, missing, now_us: now_us.ok()? })
    }

    /// What the answer to [`Ask::Take`] of one token says to the request.
    pub fn decision(&self, quota: &Quota) -> Decision {
        let allowed = self.moved > 0;
        let left = quota.sub(quota.burst_span(), self.missing);
        let wait = if allowed { Span::default() } else { quota.sub(quota.cost(1), left) };
        Decision {
            allowed,
            remaining: quota.tokens(left),
            reset_s: seconds_up(self.missing),
            retry_after: if allowed { Duration::ZERO } else { duration_up(wait) },
        }
    }
}

/// The time of tokens in whole microseconds and parts of one; of more than any burst, [`TIME_MAX_US`].
fn micros(quota: &Quota, tokens: u64) -> (u64, u64) {
    let exact = u128::from(tokens) * u128::from(quota.period_ns() / 1_000);
    let count = u128::from(quota.count());
    (u64::try_from(exact / count).map_or(TIME_MAX_US, |us| us.min(TIME_MAX_US)), (exact % count) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::bucket::tests::quota;

    #[test]
    fn times_are_whole_microseconds_and_parts() {
        // A third of a second, in thirds of a microsecond; a lease is one token, and three are what is nearly full.
        let limit = quota(3, 1, 4);
        let third = [333_333, 1];
        let burst = [1_333_333, 1];
        let nearly = [1_000_000, 0];
        let of = |what, tokens, cost: [u64; 2], taken| {
            [&[what, tokens], &cost[..], &third, &burst, &nearly, &[3, taken]].concat()
        };
        assert_eq!(Ask::Take(1).args(&limit).to_vec(), of(0, 1, third, 0));
        assert_eq!(Ask::Lease(2).args(&limit).to_vec(), of(1, 2, [666_666, 2], 0));
        assert_eq!(
            Ask::GiveBack { tokens: 3, taken_at_us: 7 }.args(&limit).to_vec(),
            of(2, 3, [1_000_000, 0], 7)
        );
    }

    #[test]
    fn nothing_is_too_large_for_the_scripts_arithmetic() {
        for (count, period_s, burst) in
            [(1_000_000_000, 1, 1_000_000_000), (999_999_937, 86_400, 1_000_000_000), (1, 86_400, 3_650)]
        {
            let args = Ask::Lease(u32::MAX).args(&quota(count, period_s, burst));
            let [_, tokens, .., parts, _] = args;
            assert!(args.iter().all(|arg| *arg <= TIME_MAX_US), "{args:?}");
            assert!(tokens * parts < 1 << 51, "what the script multiplies");
        }
    }

    /// The four integers of an answer; whether one may pass, how many are left, and nanoseconds to wait.
    #[track_caller]
    fn check(numbers: [i64; 4], expect: Option<(bool, u64, u64)>) {
        let limit = quota(3, 1, 4);
        let decision = Reply::read(numbers, &limit).map(|reply| reply.decision(&limit));
        let seen = decision.map(|it| (it.allowed, it.remaining, it.retry_after.as_nanos() as u64));
        assert_eq!(seen, expect, "{numbers:?}");
    }

    #[test]
    fn answers_are_read_to_the_part() {
        check([1, 333_333, 1, 9], Some((true, 3, 0)));
        check([1, 333_333, 2, 9], Some((true, 2, 0)));
        check([0, 1_333_333, 1, 9], Some((false, 0, 333_333_334)));
        check([0, 1_000_000, 1, 9], Some((false, 0, 334)));
        // More than a burst is missing for nobody.
        check([0, 9_000_000_000, 0, 9], Some((false, 0, 333_333_334)));
    }

    #[test]
    fn what_the_script_never_says_is_no_answer() {
        for numbers in [[-1, 0, 0, 9], [1, -1, 0, 9], [1, 0, 3, 9], [1, i64::MAX, 0, 9], [i64::MAX, 0, 0, 9]]
        {
            check(numbers, None);
        }
    }
}
