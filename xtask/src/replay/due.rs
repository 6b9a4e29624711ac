//! When requests are due, and how late their answers are.

use std::time::Duration;

/// So many a second, for so long.
pub(crate) fn even(rate: u64, time: Duration) -> Vec<Duration> {
    let count = rate * time.as_secs();
    (0..count).map(|at| time.mul_f64(at as f64 / count as f64)).collect()
}

/// What is over an hour counts as an hour and some minutes.
pub(crate) fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_is_even() {
        let due = even(4, Duration::from_secs(2));
        assert_eq!(due.len(), 8);
        assert_eq!(due[1] - due[0], Duration::from_millis(250));
    }
}
