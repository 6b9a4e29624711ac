//! Randomness that replays, and keys as clients have them: few that ask for much, many that ask for little.

/// SplitMix64 (Steele, Lea, Flood 2014) from a seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// Less than `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.roll()) * u128::from(bound)) >> 64) as u64
    }

    /// From 0 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn per_million(&mut self, share: u64) -> bool {
        self.below(1_000_000) < share
    }

    /// One of `0..keys`: key `k` with a probability of log(1 + 1/(k+1)) to the base `keys + 1`, which is Zipf's law with
    /// exponent 1 but for the first few.
    pub(crate) fn zipf(&mut self, keys: u32) -> u32 {
        let place = (self.unit() * f64::from(keys + 1).ln()).exp();
        (place as u32).clamp(1, keys) - 1
    }
}
