//! Redis, as far as the bucket script asks of it: `bucket.lua` line by line in Rust, told what the gateway tells it and
//! answering what it answers. `script.rs` holds it against the script itself.

use tollgate_policy::limit::Quota;
use tollgate_policy::limit::script::{Ask, Reply};

/// Microseconds, and a rest in parts of one.
type Time = (u64, u64);

/// What stands in Redis for one key. All zero: nothing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kept {
    full: Time,
    latest: u64,
    brimful: u64,
    returns: u64,
}

impl Kept {
    /// Runs the script with these arguments at this time.
    pub(crate) fn run(&mut self, args: [u64; 12], now: u64) -> [i64; 4] {
        let [what, n, cost, cost_part, one, one_part, burst, burst_part, most, most_part, parts, taken] =
            args;
        let sum = Sum { parts };
        let (cost, token) = ((cost, cost_part), (one, one_part));
        let (burst, margin) = ((burst, burst_part), (most, most_part));
        let Kept { full, mut latest, mut brimful, mut returns } = *self;
        let full = (full.0, full.1.min(parts - 1));
        let mut missing = sum.without(full, (now, 0));
        if missing == (0, 0) {
            (latest, brimful, returns) = (0, 0, 0);
        }
        let excess = burst < missing;
        if excess {
            missing = burst;
        }
        let mut moved = 0;
        if what == 2 {
            let mut back = cost;
            if latest > taken {
                returns = returns.max(now) + cost.0 + 1;
                if returns - taken > margin.0 {
                    brimful = latest;
                }
                if brimful > taken {
                    back = sum.without(back, (brimful - taken, 0));
                }
            }
            missing = sum.without(missing, back);
            moved = n;
        } else {
            let mut after = sum.plus(missing, cost);
            if burst >= after {
                moved = n;
            } else if what == 1 {
                moved = sum.fitting(sum.without(burst, missing), token, n);
                after = sum.plus(missing, sum.times(token, moved));
            }
            if moved > 0 {
                if missing < margin {
                    brimful = now;
                }
                latest = now;
                missing = after;
            }
        }
        if moved > 0 || excess {
            *self = Kept { full: sum.plus((now, 0), missing), latest, brimful, returns };
        }
        [moved, missing.0, missing.1, now].map(|number| number as i64)
    }

    /// The same from a question to an answer.
    pub(crate) fn answer(&mut self, ask: Ask, quota: &Quota, now_us: u64) -> Reply {
        Reply::read(self.run(ask.args(quota), now_us), quota).expect("the script answers what can be read")
    }

    /// Microseconds until it is full.
    pub(crate) fn missing_us(&self, now_us: u64) -> u64 {
        self.full.0.saturating_sub(now_us)
    }
}

/// Arithmetic in which a microsecond has so many parts.
struct Sum {
    parts: u64,
}

impl Sum {
    fn plus(&self, a: Time, b: Time) -> Time {
        let part = a.1 + b.1;
        if part >= self.parts { (a.0 + b.0 + 1, part - self.parts) } else { (a.0 + b.0, part) }
    }

    fn without(&self, a: Time, b: Time) -> Time {
        match a {
            _ if a <= b => (0, 0),
            _ if a.1 < b.1 => (a.0 - b.0 - 1, a.1 + self.parts - b.1),
            _ => (a.0 - b.0, a.1 - b.1),
        }
    }

    fn times(&self, token: Time, count: u64) -> Time {
        let part = count * token.1;
        (count * token.0 + part / self.parts, part % self.parts)
    }

    /// How many tokens, fewer than `n`, fit into a time.
    fn fitting(&self, room: Time, token: Time, n: u64) -> u64 {
        let parts = |time: Time| u128::from(time.0) * u128::from(self.parts) + u128::from(time.1);
        let most = parts(room) / parts(token).max(1);
        u64::try_from(most).unwrap_or(u64::MAX).min(n.saturating_sub(1))
    }
}
