//! Durations and sizes as people write them. Strict: a number, a unit, nothing else; 0 needs no unit.

use std::time::Duration;

/// Ten years: more is a slip, and instants never overflow below it.
pub(crate) const LONGEST: Duration = Duration::from_secs(3650 * 24 * 3600);

const TIME_UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// Why a text is no quantity, as a hint for its writer.
pub(crate) type Advice = String;

/// `250ms`, `5s`, `2m`, `1h`, `7d` or `0`.
pub(crate) fn duration(text: &str) -> Result<Duration, Advice> {
    let milliseconds = quantity(text, TIME_UNITS, "5s")?;
    let duration = Duration::from_millis(milliseconds);
    if duration > LONGEST { Err("the longest duration is 3650d".to_owned()) } else { Ok(duration) }
}

/// `512B`, `64KiB`, `10MiB`, `1GiB`, `64KB`, `10MB`, `1GB` or `0`; in bytes.
pub(crate) fn size(text: &str) -> Result<u64, Advice> {
    quantity(text, SIZE_UNITS, "64KiB")
}

/// `20%`; whole numbers up to 100.
pub(crate) fn percent(text: &str) -> Result<u32, Advice> {
    let digits = text.len() - text.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    match (number, unit) {
        ("", _) => Err("write a whole number and `%`, such as `50%`".to_owned()),
        (_, "") => Err(format!("write `{number}%`")),
        (_, "%") => {
            number.parse().ok().filter(|percent| *percent <= 100).ok_or("100% is all there is".to_owned())
        }
        _ if unit.starts_with('.') => Err("write a whole number of percent".to_owned()),
        _ => Err("write a whole number and `%`, such as `50%`".to_owned()),
    }
}

/// The shortest text that [`duration`] reads back.
pub(crate) fn show_duration(duration: Duration) -> String {
    show(duration.as_millis().try_into().unwrap_or(u64::MAX), TIME_UNITS, "s")
}

/// The shortest text that [`size`] reads back, in binary units.
pub(crate) fn show_size(bytes: u64) -> String {
    show(bytes, &SIZE_UNITS[..4], "B")
}

fn quantity(text: &str, units: &[(&str, u64)], example: &str) -> Result<u64, Advice> {
    if text == "0" {
        return Ok(0);
    }
    let digits = text.len() - text.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let names = || units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    if number.is_empty() {
        return Err(format!("write a whole number and a unit, such as `{example}`"));
    }
    let Some((_, scale)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(match unit {
            "" => format!("add a unit: {}", names()),
            _ if unit.starts_with('.') => format!("write a whole number and a smaller unit: {}", names()),
            _ => match units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim())) {
                Some((name, _)) => format!("write `{number}{name}`"),
                None => format!("the units are {}", names()),
            },
        });
    };
    let number: Option<u64> = number.parse().ok();
    number.and_then(|number| number.checked_mul(*scale)).ok_or_else(|| "the number is too large".to_owned())
}

fn show(amount: u64, units: &[(&str, u64)], zero: &str) -> String {
    if amount == 0 {
        return format!("0{zero}");
    }
    let fits =
        units.iter().filter(|(_, scale)| amount.is_multiple_of(*scale)).max_by_key(|(_, scale)| *scale);
    fits.map_or_else(|| amount.to_string(), |(name, scale)| format!("{}{name}", amount / scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expect) in [
            ("0", 0),
            ("0s", 0),
            ("250ms", 250),
            ("5s", 5_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(expect)), "{text}");
        }
        for (text, hint) in [
            ("5", "add a unit: ms, s, m, h, d"),
            ("", "write a whole number and a unit, such as `5s`"),
            ("s", "write a whole number and a unit, such as `5s`"),
            ("-5s", "write a whole number and a unit, such as `5s`"),
            ("5S", "write `5s`"),
            ("5 s", "write `5s`"),
            ("5sec", "the units are ms, s, m, h, d"),
            ("1m30s", "the units are ms, s, m, h, d"),
            ("1.5s", "write a whole number and a smaller unit: ms, s, m, h, d"),
            ("4000d", "the longest duration is 3650d"),
            ("99999999999999999999s", "the number is too large"),
            ("18446744073709551615d", "the number is too large"),
        ] {
            assert_eq!(duration(text).unwrap_err(), hint, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expect) in [
            ("0", 0),
            ("512B", 512),
            ("64KiB", 65_536),
            ("10MiB", 10_485_760),
            ("1GiB", 1 << 30),
            ("64KB", 64_000),
            ("10MB", 10_000_000),
            ("2GB", 2_000_000_000),
        ] {
            assert_eq!(size(text), Ok(expect), "{text}");
        }
        for (text, hint) in [
            ("1024", "add a unit: B, KiB, MiB, GiB, KB, MB, GB"),
            ("64kib", "write `64KiB`"),
            ("64kb", "write `64KB`"),
            ("10M", "the units are B, KiB, MiB, GiB, KB, MB, GB"),
            ("99999999999GiB", "the number is too large"),
        ] {
            assert_eq!(size(text).unwrap_err(), hint, "{text}");
        }
    }

    #[test]
    fn percentages() {
        for (text, expect) in [("0%", 0), ("50%", 50), ("100%", 100)] {
            assert_eq!(percent(text), Ok(expect), "{text}");
        }
        for (text, hint) in [
            ("50", "write `50%`"),
            ("%", "write a whole number and `%`, such as `50%`"),
            ("0.5", "write a whole number of percent"),
            ("12.5%", "write a whole number of percent"),
            ("50 %", "write a whole number and `%`, such as `50%`"),
            ("101%", "100% is all there is"),
            ("99999999999%", "100% is all there is"),
        ] {
            assert_eq!(percent(text).unwrap_err(), hint, "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for milliseconds in [0, 1, 250, 1_000, 1_500, 60_000, 90_000, 3_600_000, 86_400_000] {
            let time = Duration::from_millis(milliseconds);
            assert_eq!(duration(&show_duration(time)), Ok(time));
        }
        for bytes in [0, 1, 512, 1024, 1536, 10 << 20, 1 << 30, 1_000_001] {
            assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }
        assert_eq!(
            (show_duration(Duration::from_secs(75)), show_size(32 << 10)),
            ("75s".into(), "32KiB".into())
        );
    }
}
