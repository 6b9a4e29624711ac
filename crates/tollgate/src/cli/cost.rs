//! The arguments of `cost`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::JsonArg;

pub(super) const EXAMPLES: &str = "Examples:
  tollgate cost
  tollgate cost --requests 2M --zones 1 --bytes-out 40000
  tollgate cost --from 127.0.0.1:9900 --utilisation 50 --redis
  tollgate cost --show-prices > prices.json && tollgate cost --prices prices.json";

/// What a month's requests are made of, and what they run on.
#[derive(Debug, Args)]
pub(crate) struct CostArgs {
    /// Requests in a month of 730 hours: a whole number, or one with k, M or G (thousand, million, thousand million).
    #[arg(long, value_name = "COUNT", default_value = "1G", value_parser = count)]
    pub(crate) requests: u64,
    /// The busiest second, as a multiple of the mean.
    #[arg(long, value_name = "FACTOR", default_value = "3", value_parser = |text: &str| number(text, 1.0, 1000.0))]
    pub(crate) peak: f64,
    /// CPU of one request in microseconds. Left out: as last measured with a token, a limit, metrics and a log.
    #[arg(long, value_name = "MICROSECONDS", conflicts_with_all = ["measured", "from"])]
    #[arg(value_parser = |text: &str| number(text, 0.1, 1e6))]
    pub(crate) cpu_us: Option<f64>,
    /// Take the CPU from a file of measurements in the form of bench/results.
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub(crate) measured: Option<PathBuf>,
    /// Which samples of that file: by the work, or by who did it.
    #[arg(long, value_name = "NAME", requires = "measured")]
    pub(crate) work: Option<String>,
    /// Take the CPU from a running gateway: all of its CPU time by all requests since its start (token:
    /// TOLLGATE_ADMIN_TOKEN).
    #[arg(long, value_name = "ADMIN", value_parser = super::explain::admin)]
    pub(crate) from: Option<SocketAddr>,
    /// Bytes of one request, head included.
    #[arg(long, value_name = "BYTES", default_value = "700", value_parser = |text: &str| number(text, 0.0, 1e12))]
    pub(crate) bytes_in: f64,
    /// Bytes of one answer, head included.
    #[arg(long, value_name = "BYTES", default_value = "1200", value_parser = |text: &str| number(text, 0.0, 1e12))]
    pub(crate) bytes_out: f64,
    /// How much of a machine's CPU the busiest second may take, in percent.
    #[arg(long, value_name = "PERCENT", default_value = "60", value_parser = |text: &str| number(text, 1.0, 100.0))]
    pub(crate) utilisation: f64,
    /// Zones; with two or more, the others carry the busiest second when one is gone.
    #[arg(long, value_name = "COUNT", default_value = "3", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) zones: u8,
    /// Add a machine for Redis, for limits that all gateways share.
    #[arg(long)]
    pub(crate) redis: bool,
    /// Bytes of one access record in the object store, compressed; 0: no records are kept.
    #[arg(long, value_name = "BYTES", default_value = "60", value_parser = |text: &str| number(text, 0.0, 1e6))]
    pub(crate) record_bytes: f64,
    /// How long records are kept, in days.
    #[arg(long, value_name = "DAYS", default_value = "30", value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub(crate) keep_days: u16,
    /// The class of storage that records go to.
    #[arg(long, value_name = "CLASS", default_value = "standard")]
    pub(crate) storage: StorageClass,
    /// Prices of your own, in the form that --show-prices prints.
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
    /// Print the prices and end.
    #[arg(long, conflicts_with = "json")]
    pub(crate) show_prices: bool,
    #[command(flatten)]
    pub(crate) output: JsonArg,
}

impl CostArgs {
    /// Whether records go to the cold class.
    pub(crate) fn cold(&self) -> bool {
        self.storage == StorageClass::Cold
    }
}

/// How an object store keeps records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StorageClass {
    /// Read at any time, at no price a byte.
    Standard,
    /// Cheaper to keep, dearer to write and to read, paid for 90 days at least.
    Cold,
}

/// The most requests a month: more than anybody answers, and exact as a floating-point number.
const REQUESTS_MAX: u64 = 1_000_000_000_000_000;

/// `2500`, `500k`, `2M`, `1G`.
fn count(text: &str) -> Result<u64, String> {
    let (digits, scale) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1_000),
        Some(b'M') => (&text[..text.len() - 1], 1_000_000),
        Some(b'G') => (&text[..text.len() - 1], 1_000_000_000),
        _ => (text, 1),
    };
    let number: Option<u64> =
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    number
        .and_then(|number| number.checked_mul(scale))
        .filter(|number| (1..=REQUESTS_MAX).contains(number))
        .ok_or_else(|| "write a whole number from 1 to 1000000G, as in 2500, 500k, 2M, 1G".to_owned())
}

/// A number within bounds.
fn number(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("write a number from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        for (text, expect) in [("1", 1), ("500k", 500_000), ("2M", 2_000_000), ("1G", 1_000_000_000)] {
            assert_eq!(count(text), Ok(expect), "{text}");
        }
        assert_eq!(count("1000000G"), Ok(REQUESTS_MAX));
        for bad in ["", "0", "k", "-1", "+1", "1.5M", "1m", "1T", "1000001G", "99999999999999999999"] {
            assert!(count(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(number("26.5", 0.1, 100.0), Ok(26.5));
        for bad in ["", "x", "NaN", "inf", "-1", "0", "100.1"] {
            assert!(number(bad, 0.1, 100.0).is_err(), "{bad}");
        }
    }
}
