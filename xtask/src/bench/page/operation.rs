//! The tables of operation: what failed, what grew, what watching costs.

use std::fmt::Write;

use anyhow::Result;

use super::super::operation::{ALONE, FOLLOWED, LOGGED, SCRAPED, WAYS};
use super::{BARS, Record, bar_row, times};

const WORKS: [&str; 3] = ["reloads", "hand-overs", "drains behind HAProxy"];
const IN_A_ROW: &str = "reloads in a row, kept";

pub(super) fn section(record: &Record) -> Result<String> {
    let mut text = String::from(
        "wrk over 64 connections, kept or closed after each request; its socket errors, timeouts and statuses of 400 and over \
         count as failed. Behind HAProxy (TCP mode, asking `/readyz` ten times a second, `shutdown.delay: 500ms`) there are two \
         gateways that end and come back in turn.\n\n| | connections | times | requests | failed |\n|---|---|---|---|---|\n",
    );
    let rows = WORKS.iter().flat_map(|work| WAYS.iter().map(move |way| format!("{work}, {way}")));
    for name in rows.chain([IN_A_ROW.to_owned()]) {
        let sum = |field| record.sum("tollgate", &name, field);
        let (work, way) = name.rsplit_once(", ").unwrap_or((&name, ""));
        writeln!(
            text,
            "| {work} | {way} | {:.0} | {:.0} | {:.0} |",
            sum("count"),
            sum("requests"),
            sum("failed")
        )?;
    }
    let own = |field| record.median("tollgate", IN_A_ROW, field).unwrap_or_default();
    writeln!(
        text,
        "\nMemory of its own before and after the reloads in a row: {:.0} and {:.0} KiB; descriptors: {:.0} and {:.0}.\n",
        own("own_kib_before"),
        own("own_kib_after"),
        own("descriptors_before"),
        own("descriptors_after"),
    )?;
    text.push_str("| watched | p50 | p99 | CPU µs per request |\n|---|---|---|---|\n");
    for (who, work) in [("watched", ALONE), ("watched", SCRAPED), ("logs", LOGGED), ("logs", FOLLOWED)] {
        let figure = |field| record.median(who, work, field).unwrap_or_default();
        writeln!(
            text,
            "| {work} | {:.0} µs | {:.0} µs | {:.1} |",
            figure("p50_us"),
            figure("p99_us"),
            figure("us_per_request")
        )?;
    }
    text.push_str(BARS);
    for work in WORKS {
        let failed = WAYS.iter().map(|way| record.sum("tollgate", &format!("{work}, {way}"), "failed")).sum();
        bar_row(
            &mut text,
            &format!("{work}: no failed request"),
            Some(failed),
            |failed: f64| failed == 0.0,
            |failed| failed.map_or("–".into(), |failed| format!("{failed:.0}")),
        )?;
    }
    let p99 = record.ratio_between(("watched", SCRAPED), ("watched", ALONE), "p99_us");
    bar_row(&mut text, "p99 with scrapes: at most 1.10 × without", p99, |ratio| ratio <= 1.1, times)?;
    Ok(text)
}
