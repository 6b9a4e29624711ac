//! The wall clock as text: RFC 3339 for access records, IMF-fixdate (RFC 9110 section 5.6.7) for `Date`.
//!
//! Each worker keeps the text of the current second, because a calendar costs more than a copy.

use std::time::{SystemTime, UNIX_EPOCH};

use tollgate_wire::civil_from_days;

/// The last second of the year 9999: what comes after has no four-digit year and is written as this.
const SECONDS_MAX: u64 = 253_402_300_799;

/// IMF-fixdate, kept for a second. Times before 1970 are written as 1970.
pub(crate) struct HttpDate {
    second: u64,
    text: [u8; 29],
}

impl HttpDate {
    pub(crate) fn new() -> HttpDate {
        HttpDate { second: 0, text: *b"Thu, 01 Jan 1970 00:00:00 GMT" }
    }

    /// As in `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub(crate) fn at(&mut self, now: SystemTime) -> &[u8; 29] {
        let (second, _) = since_1970(now);
        if second != self.second {
            self.second = second;
            self.render();
        }
        &self.text
    }

    fn render(&mut self) {
        let moment = Moment::of(self.second);
        let [w1, w2, w3] = moment.weekday();
        let [n1, n2, n3] = moment.month_name();
        let Moment { year: [y1, y2, y3, y4], day: [d1, d2], time: [h1, h2, m1, m2, s1, s2], .. } = moment;
        self.text = [
            w1, w2, w3, b',', b' ', d1, d2, b' ', n1, n2, n3, b' ', y1, y2, y3, y4, b' ', h1, h2, b':', m1,
            m2, b':', s1, s2, b' ', b'G', b'M', b'T',
        ];
    }
}

/// RFC 3339 in UTC, kept for a second. Times before 1970 are written as 1970.
pub(super) struct LogTime {
    second: u64,
    text: [u8; 19],
}

impl LogTime {
    pub(super) fn new() -> LogTime {
        LogTime { second: 0, text: *b"1970-01-01T00:00:00" }
    }

    /// Appends milliseconds too, as in `1994-11-06T08:49:37.123Z`.
    pub(super) fn write(&mut self, time: SystemTime, out: &mut Vec<u8>) {
        let (second, millis) = since_1970(time);
        if second != self.second {
            self.second = second;
            self.render();
        }
        out.extend_from_slice(&self.text);
        let [a, b, c] = three_digits(millis);
        out.extend_from_slice(&[b'.', a, b, c, b'Z']);
    }

    fn render(&mut self) {
        let Moment {
            year: [y1, y2, y3, y4],
            month: [n1, n2],
            day: [d1, d2],
            time: [h1, h2, m1, m2, s1, s2],
            ..
        } = Moment::of(self.second);
        self.text = [y1, y2, y3, y4, b'-', n1, n2, b'-', d1, d2, b'T', h1, h2, b':', m1, m2, b':', s1, s2];
    }
}

/// A moment as in `1994-11-06T08:49:37.123Z` (RFC 3339, UTC).
pub fn rfc3339(at: SystemTime) -> String {
    let mut out = Vec::new();
    LogTime::new().write(at, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// A second since 1970 as digits of the calendar.
struct Moment {
    year: [u8; 4],
    month: [u8; 2],
    day: [u8; 2],
    /// Hour, minute, second.
    time: [u8; 6],
    days: u64,
    month_number: u64,
}

impl Moment {
    fn of(second: u64) -> Moment {
        let days = second / 86_400;
        let (year, month_number, day) = civil_from_days(days);
        let [y1, y2] = two_digits(year / 100);
        let [y3, y4] = two_digits(year % 100);
        let [h1, h2] = two_digits(second / 3_600 % 24);
        let [m1, m2] = two_digits(second / 60 % 60);
        let [s1, s2] = two_digits(second % 60);
        Moment {
            year: [y1, y2, y3, y4],
            month: two_digits(month_number),
            day: two_digits(day),
            time: [h1, h2, m1, m2, s1, s2],
            days,
            month_number,
        }
    }

    fn weekday(&self) -> [u8; 3] {
        match self.days % 7 {
            0 => *b"Thu",
            1 => *b"Fri",
            2 => *b"Sat",
            3 => *b"Sun",
            4 => *b"Mon",
            5 => *b"Tue",
            _ => *b"Wed",
        }
    }

    fn month_name(&self) -> [u8; 3] {
        match self.month_number {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(millis: u64, rfc3339: &str, imf: &str) {
        let time = UNIX_EPOCH + Duration::from_millis(millis);
        let mut line = Vec::new();
        LogTime::new().write(time, &mut line);
        assert_eq!(String::from_utf8(line).unwrap(), rfc3339);
        assert_eq!(std::str::from_utf8(HttpDate::new().at(time)).unwrap(), imf);
    }

    #[test]
    fn known_moments() {
        check(0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT");
        check(999, "1970-01-01T00:00:00.999Z", "Thu, 01 Jan 1970 00:00:00 GMT");
        check(784_111_777_005, "1994-11-06T08:49:37.005Z", "Sun, 06 Nov 1994 08:49:37 GMT");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z", "Tue, 29 Feb 2000 00:00:00 GMT");
        check(1_798_761_599_040, "2026-12-31T23:59:59.040Z", "Thu, 31 Dec 2026 23:59:59 GMT");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000Z", "Mon, 01 Mar 2100 00:00:00 GMT");
        check(SECONDS_MAX * 1000, "9999-12-31T23:59:59.000Z", "Fri, 31 Dec 9999 23:59:59 GMT");
        check(SECONDS_MAX * 1000 + 2_000, "9999-12-31T23:59:59.000Z", "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn a_clock_before_1970_is_written_as_1970() {
        let before = UNIX_EPOCH - Duration::from_secs(5);
        assert_eq!(HttpDate::new().at(before), b"Thu, 01 Jan 1970 00:00:00 GMT");
        let mut line = Vec::new();
        LogTime::new().write(before, &mut line);
        assert_eq!(line, b"1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn every_day_agrees_with_another_implementation() {
        let (mut date, mut time) = (HttpDate::new(), LogTime::new());
        for day in 0..80_000_u64 {
            let moment = UNIX_EPOCH + Duration::from_secs(day * 86_400 + day % 86_400);
            let imf = date.at(moment);
            assert_eq!(std::str::from_utf8(imf).unwrap(), httpdate::fmt_http_date(moment));
            let mut line = Vec::new();
            time.write(moment, &mut line);
            // Both write year, day and time of day in the same digits.
            assert_eq!((&line[..4], &line[8..10], &line[11..19]), (&imf[12..16], &imf[5..7], &imf[17..25]));
        }
    }
}
