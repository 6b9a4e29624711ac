//! How much a limit allows, with every number checked once.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

/// Tokens a rate may count per period.
pub const RATE_COUNT_MAX: u64 = 1_000_000_000;
/// The longest period of a rate: a day, the largest unit there is.
pub const PERIOD_MAX_NS: u64 = 86_400 * NS_PER_S;
/// Tokens a bucket may hold.
pub const BURST_MAX: u64 = 1_000_000_000;
/// How long an empty bucket may take to be full: about ten years, so that moments stay far from overflow.
pub const REFILL_MAX_NS: u64 = 3_650 * 86_400 * NS_PER_S;
/// Instances a limit may be shared among.
pub const INSTANCES_MAX: u32 = 1_000;

pub(super) const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_US: u64 = 1_000;

/// A time that is exact for its quota: whole nanoseconds, and a rest counted in parts of which a nanosecond has as
/// many as the rate has tokens. So a third of a second is no rounded number, and nothing drifts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span {
    /// Whole nanoseconds.
    pub ns: u64,
    /// Less than the quota's count.
    pub part: u64,
}

/// What a limit allows: a rate that refills continuously, and the most that may pass at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    count: NonZeroU64,
    period_ns: u64,
    burst: u64,
    /// The time of one token.
    token_ns: u64,
    token_part: u64,
    /// The time of a whole burst.
    burst_ns: u64,
    burst_part: u64,
}

/// Why a quota cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaError {
    /// More than [`RATE_COUNT_MAX`].
    Count,
    /// Not whole microseconds, none, or more than [`PERIOD_MAX_NS`].
    Period,
    /// None, or more than [`BURST_MAX`].
    Burst,
    /// The burst takes longer to refill than [`REFILL_MAX_NS`].
    Refill,
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QuotaError::Count => write!(f, "a rate counts {RATE_COUNT_MAX} at most"),
            QuotaError::Period => f.write_str("a rate's period is whole microseconds, and a day at most"),
            QuotaError::Burst => write!(f, "a burst is at least 1 and at most {BURST_MAX}"),
            QuotaError::Refill => f.write_str("at this rate the burst takes over ten years to refill"),
        }
    }
}

impl std::error::Error for QuotaError {}

impl Quota {
    /// `count` tokens per `period_ns` nanoseconds, `burst` at once.
    pub fn new(count: NonZeroU64, period_ns: u64, burst: u64) -> Result<Quota, QuotaError> {
        if count.get() > RATE_COUNT_MAX {
            return Err(QuotaError::Count);
        }
        if period_ns == 0 || period_ns > PERIOD_MAX_NS || !period_ns.is_multiple_of(NS_PER_US) {
            return Err(QuotaError::Period);
        }
        if burst == 0 || burst > BURST_MAX {
            return Err(QuotaError::Burst);
        }
        if u128::from(burst) * u128::from(period_ns) > u128::from(REFILL_MAX_NS) * u128::from(count.get()) {
            return Err(QuotaError::Refill);
        }
        Ok(Quota::unchecked(count, period_ns, burst))
    }

    /// The share of one instance among several, for when they cannot reach what they share: rate and burst are
    /// divided, and a burst of at least one is left.
    pub fn share(&self, instances: NonZeroU32) -> Quota {
        let instances = u64::from(instances.get().min(INSTANCES_MAX));
        Quota::unchecked(self.count, self.period_ns * instances, (self.burst / instances).max(1))
    }

    /// Tokens that pass per period.
    pub fn count(&self) -> u64 {
        self.count.get()
    }

    /// The period, in nanoseconds.
    pub fn period_ns(&self) -> u64 {
        self.period_ns
    }

    /// Tokens that may pass at once: `q` of `RateLimit-Policy`.
    pub fn burst(&self) -> u64 {
        self.burst
    }

    /// Seconds, rounded up, to refill a whole burst: `w` of `RateLimit-Policy`.
    pub fn refill_s(&self) -> u64 {
        seconds_up(self.burst_span())
    }

    /// The time of `n` tokens. Saturates far beyond any burst.
    pub(super) fn cost(&self, n: u64) -> Span {
        if n == 1 {
            return Span { ns: self.token_ns, part: self.token_part };
        }
        let exact = u128::from(n) * u128::from(self.period_ns);
        let count = u128::from(self.count.get());
        Span { ns: u64::try_from(exact / count).unwrap_or(u64::MAX), part: (exact % count) as u64 }
    }

    /// The time of a whole burst.
    pub(super) fn burst_span(&self) -> Span {
        Span { ns: self.burst_ns, part: self.burst_part }
    }

    /// How many whole tokens a time is worth.
    pub(super) fn tokens(&self, span: Span) -> u64 {
        let count = self.count.get();
        match span.ns.checked_mul(count).and_then(|parts| parts.checked_add(span.part)) {
            Some(parts) => parts / self.period_ns,
            None => {
                let parts = u128::from(span.ns) * u128::from(count) + u128::from(span.part);
                u64::try_from(parts / u128::from(self.period_ns)).unwrap_or(u64::MAX)
            }
        }
    }

    pub(super) fn add(&self, a: Span, b: Span) -> Span {
        let part = a.part + b.part;
        let carry = u64::from(part >= self.count.get());
        Span { ns: a.ns.saturating_add(b.ns).saturating_add(carry), part: part - carry * self.count.get() }
    }

    /// `a` without `b`; nothing when `b` is more.
    pub(super) fn sub(&self, a: Span, b: Span) -> Span {
        if a <= b {
            return Span::default();
        }
        let borrow = u64::from(a.part < b.part);
        Span { ns: a.ns - b.ns - borrow, part: a.part + borrow * self.count.get() - b.part }
    }

    fn unchecked(count: NonZeroU64, period_ns: u64, burst: u64) -> Quota {
        let token = (period_ns / count, period_ns % count);
        let mut quota = Quota {
            count,
            period_ns,
            burst,
            token_ns: token.0,
            token_part: token.1,
            burst_ns: 0,
            burst_part: 0,
        };
        let all = quota.cost(burst);
        (quota.burst_ns, quota.burst_part) = (all.ns, all.part);
        quota
    }
}

/// Whole seconds, rounded up.
pub(super) fn seconds_up(span: Span) -> u64 {
    nanoseconds_up(span).div_ceil(NS_PER_S)
}

/// Rounded up to nanoseconds.
pub(super) fn duration_up(span: Span) -> Duration {
    Duration::from_nanos(nanoseconds_up(span))
}

pub(super) fn nanoseconds_up(span: Span) -> u64 {
    span.ns.saturating_add(u64::from(span.part > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(count: u64, period_ns: u64, burst: u64, expect: Result<u64, QuotaError>) {
        let count = NonZeroU64::new(count).unwrap();
        assert_eq!(Quota::new(count, period_ns, burst).map(|quota| quota.refill_s()), expect);
    }

    #[test]
    fn numbers_are_bounded() {
        const DAY: u64 = PERIOD_MAX_NS;
        check(100, NS_PER_S, 200, Ok(2));
        check(100, NS_PER_S, 1, Ok(1));
        check(3, NS_PER_S, 4, Ok(2));
        check(RATE_COUNT_MAX, DAY, BURST_MAX, Ok(86_400));
        check(1, DAY, 3_650, Ok(3_650 * 86_400));
        check(1, DAY, 3_651, Err(QuotaError::Refill));
        check(RATE_COUNT_MAX + 1, DAY, 1, Err(QuotaError::Count));
        check(1, 0, 1, Err(QuotaError::Period));
        check(1, DAY + 1_000, 1, Err(QuotaError::Period));
        check(1, NS_PER_S + 1, 1, Err(QuotaError::Period));
        check(1, NS_PER_S, 0, Err(QuotaError::Burst));
        check(RATE_COUNT_MAX, NS_PER_S, BURST_MAX + 1, Err(QuotaError::Burst));
    }

    #[test]
    fn shares_add_up_to_the_whole() {
        let whole = Quota::new(NonZeroU64::new(100).unwrap(), NS_PER_S, 200).unwrap();
        let share = |instances| whole.share(NonZeroU32::new(instances).unwrap());
        assert_eq!(share(1), whole);
        assert_eq!((share(3).burst(), share(3).cost(100)), (66, whole.cost(300)));
        assert_eq!((share(500).burst(), share(500).cost(1)), (1, whole.cost(500)));
        assert_eq!(share(u32::MAX), share(INSTANCES_MAX));
    }
}
