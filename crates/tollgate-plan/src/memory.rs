//! How the memory that the process may use is shared out: fixed parts of `limits.memory`.

/// The least that `limits.memory` may be: below it the process itself leaves too little to share.
pub const CAP_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// What each consumer may have of a cap, in bytes for the whole process. The rest, a bit more than a fifth, is for the
/// program, the configuration, and what an allocator cannot give back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Connections, heads, bodies and answers under way.
    pub buffers: usize,
    /// Cached answers.
    pub cache: usize,
    /// Buckets of rate limits, those that are leased included.
    pub limits: usize,
    /// Credentials that were checked before.
    pub tokens: usize,
    /// Access records that wait to be written.
    pub log: usize,
    /// Machines in which scripts run.
    pub scripts: usize,
}

impl Shares {
    /// The parts of `cap` bytes.
    pub fn of(cap: u64) -> Shares {
        let cap = usize::try_from(cap).unwrap_or(usize::MAX);
        let percent = |part: usize| cap / 100 * part;
        Shares {
            buffers: percent(36),
            cache: percent(20),
            limits: percent(8),
            tokens: percent(3),
            log: percent(3),
            scripts: percent(8),
        }
    }

    /// What they come to together.
    pub fn sum(&self) -> usize {
        let Shares { buffers, cache, limits, tokens, log, scripts } = self;
        buffers + cache + limits + tokens + log + scripts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_is_left_for_everything_else() {
        for cap in [CAP_BYTES_MIN, 1 << 30, u64::MAX] {
            let sum = Shares::of(cap).sum() as u64;
            assert!(sum <= cap / 100 * 79 && sum >= cap / 100 * 77, "{cap}: {sum}");
        }
    }
}
