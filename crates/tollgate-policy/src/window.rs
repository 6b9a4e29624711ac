//! Counts of the last moments: a ring of slices, each as long as the next.

use std::time::{Duration, Instant};

/// `N` slices of time with what was counted in each. An instant before the newest slice, from a clock that was read
/// earlier, counts in the newest.
#[derive(Debug, Clone)]
pub(crate) struct Window<T, const N: usize> {
    slice: Duration,
    /// Where the first slice began.
    origin: Option<Instant>,
    /// The slice that is counted in, from `origin` on.
    newest: u64,
    counts: [T; N],
}

impl<T: Copy + Default, const N: usize> Window<T, N> {
    /// Empty.
    pub(crate) fn new(slice: Duration) -> Self {
        Window {
            slice: slice.max(Duration::from_nanos(1)),
            origin: None,
            newest: 0,
            counts: [T::default(); N],
        }
    }

    /// Forgets what is too old at `now`.
    pub(crate) fn roll(&mut self, now: Instant) {
        let origin = *self.origin.get_or_insert(now);
        let slices = now.saturating_duration_since(origin).as_nanos() / self.slice.as_nanos();
        let slices = u64::try_from(slices).unwrap_or(u64::MAX);
        for passed in 1..=slices.saturating_sub(self.newest).min(N as u64) {
            let at = (self.newest + passed) % N as u64;
            if let Some(count) = self.counts.get_mut(at as usize) {
                *count = T::default();
            }
        }
        // After more than a whole ring everything is empty, wherever the newest slice stands.
        self.newest = self.newest.max(slices);
    }

    /// Counts in the newest slice. What is too old must have been forgotten.
    pub(crate) fn count(&mut self, change: impl FnOnce(&mut T)) {
        if let Some(count) = self.counts.get_mut((self.newest % N as u64) as usize) {
            change(count);
        }
    }

    /// The newest slices, the newest first.
    pub(crate) fn latest(&self, slices: usize) -> impl Iterator<Item = T> {
        let at = move |back: usize| (self.newest % N as u64 + N as u64 - back as u64) % N as u64;
        (0..slices.min(N)).filter_map(move |back| self.counts.get(at(back) as usize).copied())
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.counts = [T::default(); N];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is counted at which millisecond, in three slices of a second, and what they hold then.
    #[track_caller]
    fn check(counted: &[u64], at: u64, expect: [u32; 3]) {
        let start = Instant::now();
        let moment = |ms| start + Duration::from_millis(ms);
        let mut window: Window<u32, 3> = Window::new(Duration::from_secs(1));
        window.roll(start);
        for ms in counted {
            window.roll(moment(*ms));
            window.count(|count| *count += 1);
        }
        window.roll(moment(at));
        assert_eq!(window.latest(3).collect::<Vec<_>>(), expect, "{counted:?} at {at}");
    }

    #[test]
    fn what_is_old_is_forgotten() {
        check(&[], 0, [0, 0, 0]);
        check(&[0, 10, 999], 999, [3, 0, 0]);
        check(&[0, 10, 999, 1000], 1999, [1, 3, 0]);
        check(&[0, 1500, 2000], 2000, [1, 1, 1]);
        check(&[0, 1500, 2000], 3000, [0, 1, 1]);
        check(&[0, 1500, 2000], 5000, [0, 0, 0]);
        check(&[0, 1500, 2000], 86_400_000_000, [0, 0, 0]);
    }

    #[test]
    fn who_read_the_clock_earlier_counts_as_if_now() {
        check(&[2500, 1000], 2600, [2, 0, 0]);
        check(&[2500], 100, [1, 0, 0]);
    }
}
