//! A token bucket as one would tell it to a child: a level that rises up to the brim, and tokens that are taken. Exact: it
//! counts in `period`ths of a token, so that a nanosecond adds `count`.

use std::num::NonZeroU64;

use tollgate_policy::limit::Quota;

pub(crate) const NS_PER_S: u64 = 1_000_000_000;

/// Tokens, seconds, burst.
pub(crate) fn quota((count, seconds, burst): (u64, u64, u64)) -> Quota {
    Quota::new(NonZeroU64::new(count).expect("a rate"), seconds * NS_PER_S, burst).expect("a quota")
}

#[derive(Debug, Clone)]
pub(crate) struct Level {
    count: i128,
    period_ns: i128,
    brim: i128,
    level: i128,
    at_ns: u64,
}

impl Level {
    /// Full, with room for `burst` tokens, whatever the quota's own burst.
    pub(crate) fn full(quota: &Quota, burst: u64, now_ns: u64) -> Level {
        let (count, period_ns) = (i128::from(quota.count()), i128::from(quota.period_ns()));
        let brim = i128::from(burst) * period_ns;
        Level { count, period_ns, brim, level: brim, at_ns: now_ns }
    }

    /// Takes a token, if there is one. A clock that steps back refills nothing.
    pub(crate) fn take(&mut self, now_ns: u64) -> bool {
        let allowed = self.at(now_ns) >= self.period_ns;
        if allowed {
            self.spend(now_ns);
        }
        allowed
    }

    /// Takes a token, even where there is none.
    pub(crate) fn spend(&mut self, now_ns: u64) {
        self.level = self.at(now_ns) - self.period_ns;
        self.at_ns = self.at_ns.max(now_ns);
    }

    /// Tokens come in from elsewhere, to the brim.
    pub(crate) fn add(&mut self, tokens: u64, now_ns: u64) {
        self.level = (self.at(now_ns) + i128::from(tokens).saturating_mul(self.period_ns)).min(self.brim);
        self.at_ns = self.at_ns.max(now_ns);
    }

    /// So many tokens more than the brim holds may pass from now on.
    pub(crate) fn lift(&mut self, tokens: u64) {
        self.level += i128::from(tokens) * self.period_ns;
        self.brim += i128::from(tokens) * self.period_ns;
    }

    /// Whole tokens.
    pub(crate) fn tokens(&self, now_ns: u64) -> u64 {
        (self.at(now_ns) / self.period_ns).max(0) as u64
    }

    /// Whether there was a token, also at a time before the last change, from which is counted back.
    pub(crate) fn had_one(&self, then_ns: u64) -> bool {
        let passed = i128::from(then_ns) - i128::from(self.at_ns);
        (self.level + passed * self.count).min(self.brim) >= self.period_ns
    }

    fn at(&self, now_ns: u64) -> i128 {
        let passed = i128::from(now_ns.max(self.at_ns) - self.at_ns);
        (self.level + passed * self.count).min(self.brim)
    }
}
