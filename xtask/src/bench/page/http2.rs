//! The table of HTTP/2.

use std::fmt::Write;

use anyhow::Result;

use super::super::http2::WORK;
use super::{BARS, ORDER, Record, bar_row, times};

pub(super) fn section(record: &Record) -> Result<String> {
    let mut text = String::from(
        "By h2load, 8 connections with 8 requests under way on each, in clear.\n\n\
         | | CPU µs per request | requests per CPU second | failed |\n|---|---|---|---|\n",
    );
    for who in ORDER {
        let Some(micros) = record.median(who, WORK, "us_per_request") else { continue };
        let failed = record.sum(who, WORK, "failed");
        writeln!(text, "| {who} | {micros:.1} | {:.0} | {failed:.0} |", 1e6 / micros)?;
    }
    text.push_str(BARS);
    let ratio = record.ratio("nginx", "tollgate", WORK, "us_per_request");
    bar_row(
        &mut text,
        "at least 1.00 × the requests per CPU second of nginx",
        ratio,
        |ratio| ratio >= 1.0,
        times,
    )?;
    Ok(text)
}
