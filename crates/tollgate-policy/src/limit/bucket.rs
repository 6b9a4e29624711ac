//! One token bucket.

use std::time::Duration;

use super::quota::{Quota, Span, duration_up, nanoseconds_up, seconds_up};

/// What a limit says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// May it pass?
    pub allowed: bool,
    /// Whole tokens left afterwards.
    pub remaining: u64,
    /// Seconds, rounded up, until the bucket is full again.
    pub reset_s: u64,
    /// How long until what was asked for can pass; zero when it did. For more than a burst, which can never pass,
    /// until the bucket is full.
    pub retry_after: Duration,
}

/// A bucket of tokens, by the moment when it is full again (GCRA's theoretical arrival time). Default: full.
///
/// A moment earlier than one it has seen counts as the latest it has seen: a clock that steps back refills nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    full_at: Span,
    /// The last moment at which tokens were taken.
    latest_ns: u64,
    /// The last moment at which tokens were taken while less than one was missing: a token that comes back from
    /// before it would have overflowed in between.
    brimful_ns: u64,
}

impl Bucket {
    /// A bucket that at `now_ns` lacks `missing` of being full.
    pub fn lacking(missing: Span, now_ns: u64) -> Bucket {
        let mut bucket = Bucket { brimful_ns: now_ns, ..Bucket::default() };
        bucket.lack(now_ns, missing);
        bucket
    }

    /// Takes `n` tokens, all or none.
    pub fn take(&mut self, now_ns: u64, quota: &Quota, n: u64) -> Decision {
        let now_ns = now_ns.max(self.latest_ns);
        let missing = self.missing(now_ns, quota);
        let after = quota.add(missing, quota.cost(n));
        if n > quota.burst() || after > quota.burst_span() {
            if missing == quota.burst_span() {
                // The burst may have become smaller: what is missing is no more than that, from now on.
                self.lack(now_ns, missing);
            }
            return refusal(missing, quota, n);
        }
        if missing < quota.cost(1) {
            self.brimful_ns = now_ns;
        }
        self.lack(now_ns, after);
        let left = quota.sub(quota.burst_span(), after);
        Decision {
            allowed: true,
            remaining: quota.tokens(left),
            reset_s: seconds_up(after),
            retry_after: Duration::ZERO,
        }
    }

    /// What [`take`](Bucket::take) of one token would meet; `remaining` and `reset_s` are as they stand.
    pub fn peek(&self, now_ns: u64, quota: &Quota) -> Decision {
        let missing = self.missing(now_ns.max(self.latest_ns), quota);
        let refusal = refusal(missing, quota, 1);
        Decision { allowed: refusal.remaining > 0, ..refusal }
    }

    /// Undoes a take of `n` tokens at `taken_at_ns`: the bucket is as if they had never been taken.
    ///
    /// Where others took in between while the bucket was so full that the tokens would have overflowed, how many
    /// would have is not known any more: then fewer come back, never more.
    pub fn give_back(&mut self, quota: &Quota, n: u64, taken_at_ns: u64) {
        let overtaken = self.latest_ns > taken_at_ns;
        let mut back = quota.cost(n);
        if self.brimful_ns > taken_at_ns || (n > 1 && overtaken) {
            back = quota.sub(back, Span { ns: self.latest_ns.saturating_sub(taken_at_ns), part: 0 });
        }
        if overtaken {
            // Without these tokens those who took in between met a fuller bucket than they thought.
            self.brimful_ns = self.latest_ns;
        }
        self.full_at = quota.sub(self.full_at, back);
    }

    /// Says the bucket nothing more than a new one would?
    pub fn is_full(&self, now_ns: u64) -> bool {
        self.full_at_ns() <= now_ns
    }

    /// The first whole nanosecond at which it is full.
    pub(super) fn full_at_ns(&self) -> u64 {
        nanoseconds_up(self.full_at)
    }

    fn lack(&mut self, now_ns: u64, missing: Span) {
        self.latest_ns = now_ns;
        self.full_at = Span { ns: now_ns.saturating_add(missing.ns), part: missing.part };
    }

    /// The time until it is full. After a change to a smaller burst it lacks that at most.
    fn missing(&self, now_ns: u64, quota: &Quota) -> Span {
        quota.sub(self.full_at, Span { ns: now_ns, part: 0 }).min(quota.burst_span())
    }
}

fn refusal(missing: Span, quota: &Quota, n: u64) -> Decision {
    let left = quota.sub(quota.burst_span(), missing);
    let wait = match n > quota.burst() {
        true => missing,
        false => quota.sub(quota.cost(n), left),
    };
    Decision {
        allowed: false,
        remaining: quota.tokens(left),
        reset_s: seconds_up(missing),
        retry_after: duration_up(wait),
    }
}

#[cfg(test)]
pub(super) mod tests;
