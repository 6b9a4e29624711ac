//! The table of latency at half load.

use std::fmt::Write as _;

use anyhow::Result;

use super::super::tail::{ALONE, WORK};
use super::{BARS, ORDER, Record, bar_row, times};

pub(super) fn section(record: &Record) -> Result<String> {
    let rate = record.median("tollgate", WORK, "rate").unwrap_or_default();
    let mut text = format!(
        "An open loop of {rate:.0} requests a second, half of what the slowest of them can do: each request is due at its time, and its \
         latency counts from then, so that nobody is spared what came while it stalled. Generator and origin share a core; the last \
         line is theirs alone. Milliseconds; medians over the rounds.\n\n\
         | | p50 | p99 | p99.9 | failed |\n|---|---|---|---|---|\n"
    );
    for who in ORDER.iter().copied().chain([ALONE]) {
        let field = |name| record.median(who, WORK, name).map(|micros| format!("{:.2}", micros / 1e3));
        let (Some(p50), Some(p99), Some(p999)) = (field("p50_us"), field("p99_us"), field("p999_us")) else {
            continue;
        };
        writeln!(text, "| {who} | {p50} | {p99} | {p999} | {:.0} |", record.sum(who, WORK, "failed"))?;
    }
    text.push_str(BARS);
    for (name, field) in [("p99", "p99_us"), ("p99.9", "p999_us")] {
        let ratio = record.ratio("tollgate", "haproxy", WORK, field);
        bar_row(&mut text, &format!("{name}: at most HAProxy's"), ratio, |ratio| ratio <= 1.0, times)?;
    }
    Ok(text)
}
