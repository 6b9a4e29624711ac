//! The wall clock as text: RFC 3339 for access records, IMF-fixdate (RFC 9110 section 5.6.7) for `Date`.
//!
//! Each worker keeps the text of the current second, because a calendar costs more than a copy.

use std::time::{SystemTime, UNIX_EPOCH};

/// The last second of the year 9999: what comes after has no four-digit year and is written as this.
const SECONDS_MAX: u64 = 253_402_300_799;

/// The text of one second, kept until another one is asked for. Times before 1970 are written as 1970.
pub(crate) struct DateCache {
    second: u64,
    rfc3339: [u8; 19],
    imf: [u8; 29],
}

impl DateCache {
    pub(crate) fn new() -> DateCache {
        let mut cache = DateCache { second: 0, rfc3339: *b"0000-00-00T00:00:00", imf: [b' '; 29] };
        cache.render(0);
        cache
    }

    /// IMF-fixdate, as in `Date: Sun, 06 Nov 1994 08:49:37 GMT`.
    pub(crate) fn http_date(&mut self, now: SystemTime) -> &[u8; 29] {
        let (second, _) = since_1970(now);
        self.render_if_other(second);
        &self.imf
    }

    /// Appends UTC with milliseconds, as in `1994-11-06T08:49:37.123Z`.
    pub(crate) fn write_rfc3339(&mut self, now: SystemTime, out: &mut Vec<u8>) {
        let (second, millis) = since_1970(now);
        self.render_if_other(second);
        out.extend_from_slice(&self.rfc3339);
        let [a, b, c] = three_digits(millis);
        out.extend_from_slice(&[b'.', a, b, c, b'Z']);
    }

    fn render_if_other(&mut self, second: u64) {
        if second != self.second {
            self.render(second);
        }
    }

    fn render(&mut self, second: u64) {
        self.second = second;
        let days = second / 86_400;
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (second / 3_600 % 24, second / 60 % 60, second % 60);

        let [y1, y2] = two_digits(year / 100);
        let [y3, y4] = two_digits(year % 100);
        let [mo1, mo2] = two_digits(month);
        let [d1, d2] = two_digits(day);
        let [h1, h2] = two_digits(hour);
        let [mi1, mi2] = two_digits(minute);
        let [s1, s2] = two_digits(second);
        self.rfc3339 =
            [y1, y2, y3, y4, b'-', mo1, mo2, b'-', d1, d2, b'T', h1, h2, b':', mi1, mi2, b':', s1, s2];
        let [w1, w2, w3] = weekday(days);
        let [n1, n2, n3] = month_name(month);
        self.imf = [
            w1, w2, w3, b',', b' ', d1, d2, b' ', n1, n2, n3, b' ', y1, y2, y3, y4, b' ', h1, h2, b':', mi1,
            mi2, b':', s1, s2, b' ', b'G', b'M', b'T',
        ];
    }
}

/// Three decimal digits of a number below 1000.
pub(super) fn three_digits(number: u32) -> [u8; 3] {
    let digit = |n: u32| b'0' + (n % 10) as u8;
    [digit(number / 100), digit(number / 10), digit(number)]
}

fn two_digits(number: u64) -> [u8; 2] {
    [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]
}

/// Seconds and milliseconds of the second.
fn since_1970(time: SystemTime) -> (u64, u32) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_secs().min(SECONDS_MAX), since.subsec_millis())
}

/// Year, month (1-12), day (1-31) of a day since 1970. Howard Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`, for days that are not negative.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn weekday(days: u64) -> [u8; 3] {
    match days % 7 {
        0 => *b"Thu",
        1 => *b"Fri",
        2 => *b"Sat",
        3 => *b"Sun",
        4 => *b"Mon",
        5 => *b"Tue",
        _ => *b"Wed",
    }
}

fn month_name(month: u64) -> [u8; 3] {
    match month {
        1 => *b"Jan",
        2 => *b"Feb",
        3 => *b"Mar",
        4 => *b"Apr",
        5 => *b"May",
        6 => *b"Jun",
        7 => *b"Jul",
        8 => *b"Aug",
        9 => *b"Sep",
        10 => *b"Oct",
        11 => *b"Nov",
        _ => *b"Dec",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(cache: &mut DateCache, millis: u64, rfc3339: &str, imf: &str) {
        let time = UNIX_EPOCH + Duration::from_millis(millis);
        let mut line = Vec::new();
        cache.write_rfc3339(time, &mut line);
        assert_eq!(String::from_utf8(line).unwrap(), rfc3339);
        assert_eq!(std::str::from_utf8(cache.http_date(time)).unwrap(), imf);
    }

    #[test]
    fn known_moments() {
        let cache = &mut DateCache::new();
        check(cache, 0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT");
        check(cache, 999, "1970-01-01T00:00:00.999Z", "Thu, 01 Jan 1970 00:00:00 GMT");
        check(cache, 784_111_777_005, "1994-11-06T08:49:37.005Z", "Sun, 06 Nov 1994 08:49:37 GMT");
        check(cache, 951_782_400_000, "2000-02-29T00:00:00.000Z", "Tue, 29 Feb 2000 00:00:00 GMT");
        check(cache, 1_798_761_599_040, "2026-12-31T23:59:59.040Z", "Thu, 31 Dec 2026 23:59:59 GMT");
        check(cache, 4_107_542_400_000, "2100-03-01T00:00:00.000Z", "Mon, 01 Mar 2100 00:00:00 GMT");
        check(cache, SECONDS_MAX * 1000, "9999-12-31T23:59:59.000Z", "Fri, 31 Dec 9999 23:59:59 GMT");
        check(cache, SECONDS_MAX * 1000 + 2_000, "9999-12-31T23:59:59.000Z", "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn a_clock_before_1970_is_written_as_1970() {
        let mut cache = DateCache::new();
        assert_eq!(cache.http_date(UNIX_EPOCH - Duration::from_secs(5)), b"Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn every_day_agrees_with_another_implementation() {
        let mut cache = DateCache::new();
        for day in 0..80_000_u64 {
            let time = UNIX_EPOCH + Duration::from_secs(day * 86_400 + day % 86_400);
            let expected = httpdate::fmt_http_date(time);
            assert_eq!(std::str::from_utf8(cache.http_date(time)).unwrap(), expected);
        }
    }
}
