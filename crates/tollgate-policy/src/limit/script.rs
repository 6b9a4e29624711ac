//! The text that Redis runs for a shared limit, what it is told, and what it answers. No client: that is the data
//! plane's.
//!
//! One script for all that may be done to a bucket, so that limits with `sync: exact` and with `sync: leased` keep
//! the same thing under the same key. It is atomic, works on the server's clock, and lets a bucket expire as soon
//! as it is full. The server's clock stepping back costs at most one burst more.

use std::time::Duration;

use super::bucket::Decision;
use super::lease::lease_max;
use super::quota::{Quota, Span, duration_up, seconds_up};

/// The script. One key, [`Ask::args`] as arguments, four integers as [`Reply::read`] takes them.
pub const BUCKET: &str = include_str!("bucket.lua");

/// Tokens moved by one call at most: larger numbers would not stay exact in the script's arithmetic.
pub const MOVED_MAX: u32 = 1 << 20;

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
            [tokens, 1, quota.burst(), u64::from(lease_max(quota))].map(|tokens| micros(quota, tokens));
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

/// The time of tokens in whole microseconds and parts of one.
fn micros(quota: &Quota, tokens: u64) -> (u64, u64) {
    let exact = u128::from(tokens) * u128::from(quota.period_ns() / 1_000);
    let count = u128::from(quota.count());
    (u64::try_from(exact / count).unwrap_or(u64::MAX), (exact % count) as u64)
}
