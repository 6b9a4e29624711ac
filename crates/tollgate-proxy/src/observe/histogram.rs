//! A latency histogram with fixed bounds: plain integers, so that a worker pays a compare and two additions.

use std::time::Duration;

/// Durations sorted into fixed buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; Histogram::BUCKETS],
    // 64 bits of nanoseconds are 584 years, which 5,000 requests in flight add up in six weeks.
    sum_nanos: u128,
}

impl Histogram {
    /// Upper bounds of the buckets in nanoseconds, inclusive, ascending: 50 µs to 10 s. What is longer falls into one more bucket.
    pub const BOUNDS_NANOS: [u64; 17] = [
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        25_000_000,
        50_000_000,
        100_000_000,
        250_000_000,
        500_000_000,
        1_000_000_000,
        2_500_000_000,
        5_000_000_000,
        10_000_000_000,
    ];

    /// The same bounds as Prometheus writes them: `le`, in seconds.
    pub const BOUNDS_SECONDS: [&str; 17] = [
        "0.00005", "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1",
        "0.25", "0.5", "1", "2.5", "5", "10",
    ];

    /// Buckets, the one without an upper bound included.
    pub const BUCKETS: usize = 18;

    /// An empty histogram.
    pub const fn new() -> Histogram {
        Histogram { counts: [0; Histogram::BUCKETS], sum_nanos: 0 }
    }

    /// Sorts one duration in.
    pub(crate) fn observe(&mut self, duration: Duration) {
        let nanos = nanos(duration);
        if let Some(count) = self.counts.get_mut(bucket(nanos)) {
            *count += 1;
        }
        self.sum_nanos += u128::from(nanos);
    }

    /// Adds another histogram, bucket by bucket.
    pub fn add(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
        self.sum_nanos += other.sum_nanos;
    }

    /// Each `le` in seconds (`+Inf` last) with the number of durations that are not above it.
    pub fn cumulative(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let bounds = Self::BOUNDS_SECONDS.into_iter().chain(["+Inf"]);
        bounds.zip(self.counts.iter()).scan(0, |below, (bound, count)| {
            *below += count;
            Some((bound, *below))
        })
    }

    /// How many durations were sorted in.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all durations, in nanoseconds.
    pub fn sum_nanos(&self) -> u128 {
        self.sum_nanos
    }

    /// The sum of all durations, in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_nanos as f64 / 1e9
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram::new()
    }
}

/// A histogram of up to 255 durations, in a fifth of the space.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SmallHistogram {
    counts: [u8; Histogram::BUCKETS],
    sum_nanos: u64,
}

impl SmallHistogram {
    /// Sorts one duration in. `false` when it is full, and nothing was changed.
    pub(crate) fn observe(&mut self, duration: Duration) -> bool {
        let nanos = nanos(duration);
        let Some(count) = self.counts.get_mut(bucket(nanos)) else { return false };
        let (Some(more), Some(sum)) = (count.checked_add(1), self.sum_nanos.checked_add(nanos)) else {
            return false;
        };
        *count = more;
        self.sum_nanos = sum;
        true
    }

    /// Adds everything to a histogram.
    pub(crate) fn add_to(&self, histogram: &mut Histogram) {
        for (whole, count) in histogram.counts.iter_mut().zip(self.counts) {
            *whole += u64::from(count);
        }
        histogram.sum_nanos += u128::from(self.sum_nanos);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn bucket(nanos: u64) -> usize {
    let bounds = Histogram::BOUNDS_NANOS;
    bounds.iter().position(|bound| nanos <= *bound).unwrap_or(Histogram::BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_whose_bound_is_not_below_it() {
        for (index, bound) in Histogram::BOUNDS_NANOS.into_iter().enumerate() {
            for (nanos, bucket) in [(bound - 1, index), (bound, index), (bound + 1, index + 1)] {
                let mut histogram = Histogram::new();
                histogram.observe(Duration::from_nanos(nanos));
                let mut expected = [0; Histogram::BUCKETS];
                expected[bucket] = 1;
                assert_eq!(histogram.counts, expected, "{nanos} ns");
                assert_eq!(histogram.sum_nanos(), u128::from(nanos));
            }
        }
    }

    #[test]
    fn zero_and_the_longest_duration_have_a_bucket() {
        let mut histogram = Histogram::new();
        histogram.observe(Duration::ZERO);
        histogram.observe(Duration::MAX);
        histogram.observe(Duration::MAX);
        assert_eq!(histogram.counts[0], 1);
        assert_eq!(histogram.counts[Histogram::BUCKETS - 1], 2);
        assert_eq!(
            histogram.sum_nanos(),
            2 * u128::from(u64::MAX),
            "the sum is clamped per duration and never wraps"
        );
    }

    #[test]
    fn a_small_histogram_takes_what_fits_and_nothing_else() {
        for (duration, fits) in
            [(Duration::from_micros(70), 255), (Duration::from_secs(20), 255), (Duration::MAX, 1)]
        {
            let mut small = SmallHistogram::default();
            let mut expected = Histogram::new();
            for _ in 0..fits {
                assert!(small.observe(duration), "{duration:?}");
                expected.observe(duration);
            }
            assert!(!small.observe(duration), "{duration:?}");
            let mut whole = Histogram::new();
            small.add_to(&mut whole);
            assert_eq!(whole, expected, "{duration:?}");
        }
    }

    #[test]
    fn bounds_as_text_and_as_nanoseconds_are_the_same() {
        for (text, nanos) in Histogram::BOUNDS_SECONDS.into_iter().zip(Histogram::BOUNDS_NANOS) {
            let seconds: f64 = text.parse().unwrap();
            assert_eq!((seconds * 1e9).round() as u64, nanos, "{text}");
        }
        assert!(Histogram::BOUNDS_NANOS.is_sorted());
    }

    #[test]
    fn cumulative_counts_end_with_the_total() {
        let mut histogram = Histogram::new();
        for millis in [0, 1, 1, 30, 20_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let mut twice = histogram.clone();
        twice.add(&histogram);
        let rows: Vec<_> = twice.cumulative().collect();
        assert_eq!(rows.len(), Histogram::BUCKETS);
        assert_eq!(rows.first(), Some(&("0.00005", 2)));
        assert!(rows.contains(&("0.001", 6)));
        assert!(rows.contains(&("0.05", 8)));
        assert!(rows.contains(&("10", 8)));
        assert_eq!(rows.last(), Some(&("+Inf", 10)));
        assert_eq!(twice.count(), 10);
        assert_eq!(twice.sum_seconds(), 40.064);
    }
}
