//! Tokens that come back to Redis, beside a bucket that remembers every take: taking a take out of its history says what
//! would be there, had it never been.

use tollgate_policy::limit::Quota;
use tollgate_policy::limit::lease::lease_max;
use tollgate_policy::limit::script::{Ask, Reply};

use crate::dice::Dice;
use crate::level::quota;
use crate::seeds;
use crate::store::Kept;

const SEEDS: u64 = 400;
const STEPS: u32 = 250;
/// Tokens, seconds, burst.
const LIMITS: [(u64, u64, u64); 6] =
    [(100, 1, 200), (1_000, 1, 1_000), (20, 1, 40), (5, 1, 10), (1_000, 60, 100), (3, 1, 4)];

#[test]
fn never_more_comes_back_than_would_be_there() {
    let (mut returned, mut lost, mut under_siege) = (0, 0, (0, 0));
    let all = seeds::each(SEEDS, |seed| {
        let (back, gone) = run(seed);
        returned += back;
        lost += gone;
        if seed % 2 == 1 {
            under_siege = (under_siege.0 + back, under_siege.1 + gone);
        }
    });
    if all {
        assert!(returned > 10_000 && lost > 500, "{returned} came back, {lost} did not");
        // Of a bucket that is always empty nothing overflows.
        let (back, gone) = under_siege;
        assert!(gone * 20 < back, "under siege {back} came back, {gone} did not");
    }
}

struct Take {
    at_us: u64,
    tokens: u64,
}

/// How many tokens came back, and how many of those that were to did not.
fn run(seed: u64) -> (u64, u64) {
    let mut dice = Dice::new(seed);
    let quota = quota(LIMITS[(seed / 2) as usize % LIMITS.len()]);
    let (token_us, lease) = (quota.period_ns() / quota.count() / 1_000, u64::from(lease_max(&quota)));
    // With odd seeds somebody takes whatever is there, all the time, and leases are what else is asked for.
    let siege = seed % 2 == 1;
    let (mut kept, mut now_us) = (Kept::default(), 1_000_000_000);
    let (mut taken, mut out): (Vec<Take>, Vec<Take>) = (Vec::new(), Vec::new());
    let (mut returned, mut lost) = (0, 0);
    for step in 0..STEPS {
        now_us += match dice.below(if siege { 3 } else { 40 }) {
            0 => dice.below(4 * lease * token_us / 5 + 2),
            1 => dice.below(token_us + 2),
            _ => dice.below(token_us / 3 + 2),
        };
        let late = out.iter().position(|take| now_us > take.at_us + lease * token_us);
        let some = (!out.is_empty() && dice.percent(30)).then(|| dice.below(out.len() as u64) as usize);
        if let Some(at) = late.or(some) {
            let Take { at_us, tokens } = out.swap_remove(at);
            let before = lacks(&kept.answer(Ask::Take(0), &quota, now_us), &quota);
            let ask = Ask::GiveBack { tokens: tokens as u32, taken_at_us: at_us };
            let after = lacks(&kept.answer(ask, &quota, now_us), &quota);
            let expect = would_lack(&taken, &quota, now_us);
            assert!(
                after >= expect,
                "seed {seed}, step {step}: {} tokens too many",
                (expect - after) / per_token(&quota)
            );
            let back = ((before - after) / per_token(&quota)) as u64;
            returned += back;
            lost += tokens - back;
        } else {
            let asked = 1 + dice.below(lease) as u32;
            let Reply { moved, now_us: at_us, .. } = kept.answer(Ask::Lease(asked), &quota, now_us);
            if moved > 0 {
                let take = |tokens: u32| Take { at_us, tokens: tokens.into() };
                // Some is used, some comes back.
                let used = dice.below(u64::from(moved) + 1) as u32;
                taken.push(take(used));
                if moved > used {
                    out.push(take(moved - used));
                }
            }
        }
        if siege {
            let Reply { moved, .. } = kept.answer(Ask::Lease(u32::MAX), &quota, now_us);
            taken.push(Take { at_us: now_us, tokens: moved.into() });
        }
    }
    (returned, lost)
}

/// What a bucket lacks in which only those were taken that are used or out: in parts, of which a nanosecond has as many as
/// the rate has tokens. What is out counts as never taken, which is more than was promised for those that came back before.
fn would_lack(taken: &[Take], quota: &Quota, now_us: u64) -> i128 {
    let (mut lack, mut at_us) = (0i128, 0);
    let refill = |from_us: u64, to_us: u64| i128::from(to_us - from_us) * 1_000 * i128::from(quota.count());
    for take in taken {
        lack = (lack - refill(at_us, take.at_us)).max(0) + i128::from(take.tokens) * per_token(quota);
        at_us = take.at_us;
    }
    (lack - refill(at_us, now_us)).max(0)
}

fn lacks(reply: &Reply, quota: &Quota) -> i128 {
    i128::from(reply.missing.ns) * i128::from(quota.count()) + i128::from(reply.missing.part)
}

fn per_token(quota: &Quota) -> i128 {
    i128::from(quota.period_ns())
}
