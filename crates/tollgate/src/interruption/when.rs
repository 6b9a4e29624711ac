//! Times as the metadata services write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `Sat, 31 Jan 2026 12:00:00 GMT` (RFC 9110 section 5.6.7).
pub(super) fn http_date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

/// `2026-01-31T12:00:00Z`, with or without parts of a second (RFC 3339), in UTC.
pub(super) fn rfc3339(text: &str) -> Option<SystemTime> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let time = time.split('.').next()?;
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let sane = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    sane.then(|| UNIX_EPOCH + Duration::from_secs(seconds))
}

fn numbers(text: &str, by: char) -> Option<[u64; 3]> {
    let mut parts = text.split(by).map(|part| {
        let digits = (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten()
    });
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, which begins its years in March here, so that the day that
/// some have more is their last one.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) =
        if month <= 2 { (year.saturating_sub(1), month + 9) } else { (year, month.saturating_sub(3)) };
    let leap = year / 4 - year / 100 + year / 400;
    (year * 365 + leap + (month * 153 + 2) / 5 + day.max(1) - 1).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, expect) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T23:59:59Z", Some(951_868_799)),
            ("2017-09-18T08:22:00Z", Some(1_505_722_920)),
            ("2026-01-31T12:00:00Z", Some(1_769_860_800)),
            ("2026-01-31T12:00:00.123456Z", Some(1_769_860_800)),
            ("2024-12-31T00:00:00Z", Some(1_735_603_200)),
            ("2026-01-31T12:00:00+01:00", None),
            ("2026-13-31T12:00:00Z", None),
            ("2026-01-31T24:00:00Z", None),
            ("2026-01-31 12:00:00Z", None),
            ("0000-00-00T00:00:00Z", None),
            ("2026-01T12:00:00Z", None),
            ("-1-01-31T12:00:00Z", None),
            ("soon", None),
            ("", None),
        ] {
            let seen = rfc3339(text).map(|at| at.duration_since(UNIX_EPOCH).expect("after 1970").as_secs());
            assert_eq!(seen, expect, "{text}");
        }
    }
}
