//! When requests are due: in the shape of a month.

use std::time::Duration;

/// Days of the month, and how much of a weekday's traffic each has; the month begins on a Monday.
const DAYS: usize = 30;
const WEEK: [f64; 7] = [1.0, 1.0, 1.0, 1.0, 1.1, 1.3, 1.3];
/// How much of a day's traffic each hour has, from midnight: a house that sleeps, wakes, works and sits together.
const HOURS: [f64; 24] = [
    0.4, 0.3, 0.2, 0.2, 0.2, 0.3, 0.8, 1.3, 1.2, 1.0, 1.0, 1.1, 1.2, 1.0, 1.0, 1.1, 1.3, 1.6, 1.9, 2.0, 1.9,
    1.5, 0.9, 0.6,
];

/// That many requests in the shape of a month that takes `time`. Within an hour they come evenly.
pub(super) fn month(count: u64, time: Duration) -> Vec<Duration> {
    let hours = hours();
    let all: f64 = hours.iter().sum();
    let hour = time.div_f64(hours.len() as f64);
    let mut due = Vec::with_capacity(count as usize);
    let (mut before, mut begin) = (0.0, Duration::ZERO);
    for weight in hours {
        let (from, to) = (before / all * count as f64, (before + weight) / all * count as f64);
        for at in from.ceil() as u64..to.ceil() as u64 {
            due.push(begin + hour.mul_f64(((at as f64 - from) / (to - from)).clamp(0.0, 1.0)));
        }
        before += weight;
        begin += hour;
    }
    due.truncate(count as usize);
    due
}

/// How many times the mean the busiest hour is.
pub(super) fn busiest() -> f64 {
    let hours = hours();
    let mean = hours.iter().sum::<f64>() / hours.len() as f64;
    hours.into_iter().fold(0.0, f64::max) / mean
}

fn hours() -> Vec<f64> {
    (0..DAYS).flat_map(|day| HOURS.map(|hour| hour * WEEK[day % WEEK.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_has_all_its_requests_in_order_and_in_its_time() {
        for count in [1, 719, 200_000] {
            let time = Duration::from_secs(240);
            let due = month(count, time);
            assert_eq!(due.len() as u64, count);
            assert!(due.is_sorted(), "in order");
            assert!(due.last().is_some_and(|last| *last < time), "{:?}", due.last());
        }
    }

    #[test]
    fn nights_are_quiet_and_weekends_busy() {
        let day = Duration::from_secs(24);
        let due = month(300_000, day * DAYS as u32);
        let within = |from: Duration, to: Duration| due.iter().filter(|at| (from..to).contains(at)).count();
        let hour = |day: u64, hour: u64| {
            within(Duration::from_secs(day * 24 + hour), Duration::from_secs(day * 24 + hour + 1))
        };
        assert!(hour(0, 19) > hour(0, 3) * 9, "{} {}", hour(0, 19), hour(0, 3));
        assert!(hour(5, 19) > hour(0, 19), "a Saturday");
        let mean = 300_000.0 / (24.0 * DAYS as f64);
        let most = (0..DAYS as u64).map(|day| hour(day, 19)).max().unwrap_or_default() as f64;
        assert!((most / mean - busiest()).abs() < 0.02, "{most} {mean}");
    }
}
