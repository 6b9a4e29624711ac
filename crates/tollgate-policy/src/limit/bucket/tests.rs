use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::limit::quota::NS_PER_S;

pub(in crate::limit) fn quota(count: u64, period_s: u64, burst: u64) -> Quota {
    Quota::new(NonZeroU64::new(count).unwrap(), period_s * NS_PER_S, burst).unwrap()
}

/// A bucket as one would tell it to a child: a level that rises, up to the brim, and whole tokens that are taken.
/// Levels are in `period`ths of a token, so that a nanosecond adds `count`.
#[derive(Clone)]
pub(in crate::limit) struct Model {
    quota: Quota,
    level: i128,
    at_ns: u64,
}

impl Model {
    pub(in crate::limit) fn new(quota: Quota) -> Model {
        Model { quota, level: i128::from(quota.burst()) * i128::from(quota.period_ns()), at_ns: 0 }
    }

    /// One token comes back at the moment it was taken.
    pub(in crate::limit) fn give_back(&mut self) {
        self.level += i128::from(self.quota.period_ns());
    }

    /// Decides, and takes what it allows.
    pub(in crate::limit) fn take(&mut self, now_ns: u64, n: u64) -> Decision {
        let (period, count) = (i128::from(self.quota.period_ns()), i128::from(self.quota.count()));
        let brim = i128::from(self.quota.burst()) * period;
        let now_ns = now_ns.max(self.at_ns);
        let level = (self.level + i128::from(now_ns - self.at_ns) * count).min(brim);
        let cost = i128::from(n) * period;
        let allowed = cost <= level;
        let level = level - if allowed { cost } else { 0 };
        if allowed {
            (self.level, self.at_ns) = (level, now_ns);
        }
        let up = |parts: i128, per: i128| u64::try_from((parts + per - 1) / per).unwrap();
        let wait = if cost > brim { brim - level } else { cost - level };
        Decision {
            allowed,
            remaining: u64::try_from(level / period).unwrap(),
            reset_s: up(brim - level, count * i128::from(NS_PER_S)),
            retry_after: if allowed { Duration::ZERO } else { Duration::from_nanos(up(wait, count)) },
        }
    }
}

/// Milliseconds, tokens, and whether they can be had.
#[track_caller]
fn check(quota: Quota, takes: &[(u64, u64, bool)]) {
    let mut bucket = Bucket::default();
    for (at, (ms, n, allowed)) in takes.iter().enumerate() {
        let decision = bucket.take(1_000_000_000 + ms * 1_000_000, &quota, *n);
        assert_eq!(decision.allowed, *allowed, "take {at}: {decision:?}");
    }
}

#[test]
fn a_burst_passes_at_once_and_no_more_also_after_idling() {
    let takes = [(0, 3, true), (0, 1, false), (99, 1, false), (100, 1, true), (100, 1, false)];
    check(quota(10, 1, 3), &takes);
    check(quota(10, 1, 3), &[(0, 3, true), (86_400_000, 3, true), (86_400_000, 1, false)]);
}

#[test]
fn more_than_a_burst_never_passes() {
    check(quota(10, 1, 3), &[(0, 4, false), (1_000_000, 4, false), (1_000_000, 3, true)]);
}

#[test]
fn a_clock_that_steps_back_refills_nothing() {
    check(quota(10, 1, 1), &[(500, 1, true), (0, 1, false), (599, 1, false), (600, 1, true)]);
    // It does not empty a full bucket either.
    check(quota(10, 1, 2), &[(500, 1, true), (0, 1, true), (0, 1, false)]);
}

#[test]
fn a_smaller_burst_holds_at_once_and_waits_no_longer_than_itself() {
    let mut bucket = Bucket::default();
    assert!(bucket.take(0, &quota(10, 1, 100), 100).allowed);
    let refused = bucket.take(0, &quota(10, 1, 5), 1);
    assert_eq!((refused.allowed, refused.reset_s), (false, 1));
    assert!(bucket.take(NS_PER_S / 10, &quota(10, 1, 5), 1).allowed);
}

#[test]
fn thirds_and_sevenths_do_not_drift_over_days() {
    for (count, period_s) in [(3, 1), (7, 60), (11, 3_600), (13, 86_400), (999_999_937, 86_400)] {
        let quota = quota(count, period_s, 2);
        let mut bucket = Bucket::default();
        let mut passed = 0u128;
        // Often enough that the bucket is never full, at odd moments.
        let step = quota.period_ns() / count * 3 / 4 + 1;
        for turn in 0..200_000u64 {
            let now_ns = turn * step;
            passed += u128::from(bucket.take(now_ns, &quota, 1).allowed);
            let refilled = u128::from(now_ns) * u128::from(count) / u128::from(quota.period_ns());
            assert!(passed <= 2 + refilled, "{count} per {period_s} s: {passed} by {now_ns} ns");
        }
        let end = 200_000 * step;
        while bucket.take(end, &quota, 1).allowed {
            passed += 1;
        }
        assert_eq!(passed, 2 + u128::from(end) * u128::from(count) / u128::from(quota.period_ns()));
    }
}

#[test]
fn a_token_that_comes_back_is_as_if_never_taken() {
    let quota = quota(1, 1, 3);
    let mut bucket = Bucket::default();
    assert_eq!(bucket.take(0, &quota, 1).remaining, 2);
    bucket.give_back(&quota, 1, 0);
    assert!(bucket.is_full(0));
    bucket.give_back(&quota, 1, 0);
    assert_eq!(bucket.take(0, &quota, 3).remaining, 0, "never over a burst");
    assert!(!bucket.take(0, &quota, 1).allowed);
}

#[test]
fn a_token_that_would_have_overflowed_meanwhile_does_not_come_back() {
    let quota = quota(1, 1, 3);
    let mut bucket = Bucket::default();
    let mut at = |tenths: u64, n| bucket.take(tenths * NS_PER_S / 10, &quota, n).allowed;
    assert!(at(0, 1));
    // Half of the token is refilled; without having taken it, that half would have run over.
    assert!(at(5, 2));
    bucket.give_back(&quota, 1, 0);
    let mut at = |tenths: u64, n| bucket.take(tenths * NS_PER_S / 10, &quota, n).allowed;
    assert!(at(5, 1));
    assert!(!at(14, 1));
    assert!(at(15, 1));
}

#[test]
fn looking_takes_nothing() {
    let quota = quota(1, 1, 2);
    let mut bucket = Bucket::default();
    let seen = |bucket: &Bucket| {
        let peek = bucket.peek(0, &quota);
        (peek.allowed, peek.remaining, peek.reset_s, peek.retry_after.as_millis())
    };
    assert_eq!(seen(&bucket), (true, 2, 0, 0));
    bucket.take(0, &quota, 1);
    assert_eq!(seen(&bucket), (true, 1, 1, 0));
    bucket.take(0, &quota, 1);
    assert_eq!(seen(&bucket), (false, 0, 2, 1000));
}

fn quotas() -> impl Strategy<Value = Quota> {
    let period = prop_oneof![Just(1_000), Just(NS_PER_S), Just(60 * NS_PER_S), Just(86_400 * NS_PER_S)];
    let count = prop_oneof![1..20u64, 1..=super::super::RATE_COUNT_MAX];
    let burst = prop_oneof![1..5u64, 1..1_000u64];
    (count, period, burst, 1..4u32).prop_filter_map("too long to refill", |(count, period, burst, share)| {
        let quota = Quota::new(NonZeroU64::new(count)?, period, burst).ok()?;
        Some(quota.share(NonZeroU32::new(share)?))
    })
}

/// A step of time in hundredths of a token, backwards too, and tokens to take; or what is given back of what is out.
#[derive(Debug, Clone)]
enum Step {
    Take(i64, u64),
    GiveBack(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let time = prop_oneof![4 => 0..200i64, 1 => -500..0i64, 1 => Just(0), 1 => 0..1_000_000i64];
    let take = (time, prop_oneof![4 => Just(1u64), 1 => 1..6u64]).prop_map(|(time, n)| Step::Take(time, n));
    prop::collection::vec(prop_oneof![4 => take, 1 => (0..100usize).prop_map(Step::GiveBack)], 1..80)
}

/// Steps on the clock, as moments.
fn moved(now_ns: u64, hundredths: i64, quota: &Quota) -> u64 {
    let token_ns = i128::from(quota.cost(1).ns.max(1));
    let moved = i128::from(now_ns) + i128::from(hundredths) * token_ns / 100;
    u64::try_from(moved.max(0)).unwrap().min(u64::MAX / 4)
}

proptest! {
    #[test]
    fn a_bucket_decides_like_the_plain_model(quota in quotas(), steps in steps()) {
        let (mut bucket, mut model, mut now_ns) = (Bucket::default(), Model::new(quota), 0);
        for step in steps {
            let Step::Take(time, n) = step else { continue };
            now_ns = moved(now_ns, time, &quota);
            prop_assert_eq!(bucket.take(now_ns, &quota, n), model.take(now_ns, n));
        }
    }

    #[test]
    fn giving_back_never_lets_more_pass(quota in quotas(), steps in steps()) {
        let (mut bucket, mut now_ns) = (Bucket::default(), 0);
        let mut out: Vec<(u64, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Take(time, n) => {
                    now_ns = moved(now_ns, time, &quota).max(now_ns);
                    if bucket.take(now_ns, &quota, n).allowed {
                        out.push((now_ns, n));
                    }
                }
                Step::GiveBack(which) if !out.is_empty() => {
                    let (at, n) = out.remove(which % out.len());
                    bucket.give_back(&quota, n, at);
                }
                Step::GiveBack(_) => {}
            }
            // What passed in the end must have been there for a bucket that saw nothing else.
            let mut model = Model::new(quota);
            for (at, n) in &out {
                prop_assert!(model.take(*at, *n).allowed, "{} tokens at {}", n, at);
            }
            let (left, most) = (bucket.peek(now_ns, &quota).remaining, model.take(now_ns, 0).remaining);
            prop_assert!(left <= most, "{left} left where there are {most}");
        }
    }

    #[test]
    fn giving_back_at_once_is_exact(quota in quotas(), steps in steps()) {
        let (mut bucket, mut model, mut now_ns) = (Bucket::default(), Model::new(quota), 0);
        for step in steps {
            let Step::Take(time, n) = step else { continue };
            now_ns = moved(now_ns, time, &quota).max(now_ns);
            if bucket.take(now_ns, &quota, n).allowed && n.is_multiple_of(2) {
                bucket.give_back(&quota, n, now_ns);
                model.take(now_ns, 0);
            } else {
                model.take(now_ns, n);
            }
            let (seen, expect) = (bucket.peek(now_ns, &quota), model.take(now_ns, 0));
            prop_assert_eq!((seen.remaining, seen.reset_s), (expect.remaining, expect.reset_s));
        }
    }
}
