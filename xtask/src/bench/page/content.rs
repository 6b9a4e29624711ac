//! The sections of what is done to answers: P6, P11, the cache, long documents; and that of a target that dies.

use std::fmt::Write;

use anyhow::Result;

use super::super::{aggregation, dying, stages};
use super::{BARS, Record, bar_row, median, times};

const US: &str = "us_per_request";

pub(super) fn four_parts(record: &Record) -> Result<String> {
    let mut text = String::from(
        "Four parts of one upstream, asked at once, each under a name of its own; 64 keep-alive connections. The \
         latency is that of one request after the other, over parts that take 5, 10, 15 and 20 ms.\n\n",
    );
    let works = [("tollgate", aggregation::PLAIN), ("aggregate", aggregation::FOUR)];
    let ratio = beside_plain(&mut text, record, works)?;
    let [slowest, whole] = [("origin", aggregation::SLOWEST), ("aggregate", aggregation::FOUR)]
        .map(|(who, work)| record.rounds(who, work, "ms"));
    let more = slowest.iter().zip(&whole).map(|((_, slowest), (_, whole))| whole - slowest);
    let more = median(more.collect());
    text.push_str(BARS);
    bar_row(&mut text, "at most 4.50 × plain proxying", ratio, |ratio| ratio <= 4.5, times)?;
    let bar = "at most 1 ms more than the slowest part, at the median";
    bar_row(&mut text, bar, more, |more| more <= 1.0, millis)?;
    Ok(text)
}

pub(super) fn script(record: &Record) -> Result<String> {
    let mut text = String::from("1 KB answers, 64 keep-alive connections.\n\n");
    let works = [("tollgate", stages::PLAIN), ("lua", stages::SCRIPT)];
    let ratio = beside_plain(&mut text, record, works)?;
    text.push_str(BARS);
    bar_row(&mut text, "at most 1.30 × plain proxying", ratio, |ratio| ratio <= 1.3, times)?;
    Ok(text)
}

pub(super) fn cache(record: &Record) -> Result<String> {
    let mut text = String::from("One address that is stored, 64 keep-alive connections.\n\n");
    let works = [("tollgate", stages::PLAIN), ("cache", stages::HIT)];
    let ratio = beside_plain(&mut text, record, works)?;
    text.push_str(BARS);
    bar_row(&mut text, "at most 0.60 × plain proxying", ratio, |ratio| ratio <= 0.6, times)?;
    Ok(text)
}

pub(super) fn long_document(record: &Record) -> Result<String> {
    let mut text = String::from(
        "A list of 4,096 documents of 256 B, of which two members each are kept, merged deep with a small document; 4 \
         connections.\n\n",
    );
    let cpu = record.median("merge", aggregation::LONG, US).map(|micros| micros / 1e3);
    writeln!(
        text,
        "CPU per request: {}, {:.0} failed.",
        millis(cpu),
        failed(record, "merge", aggregation::LONG)
    )?;
    text.push_str(BARS);
    bar_row(&mut text, "at most 10 ms of CPU", cpu, |cpu| cpu <= 10.0, millis)?;
    Ok(text)
}

pub(super) fn dying(record: &Record) -> Result<String> {
    let mut text = String::from(
        "GET over 64 connections to four targets that take 10 ms each; in the middle of each round one of them ends, \
         with every connection to it. Sums over all rounds.\n\n\
         | | requests | in its hands when it died | failed |\n|---|---|---|---|\n",
    );
    for (work, _) in dying::RETRIES {
        let [requests, held, failed] =
            ["requests", "in_hands", "failed"].map(|field| record.sum("tollgate", work, field));
        writeln!(text, "| {work} | {requests:.0} | {held:.0} | {failed:.0} |")?;
    }
    text.push_str(BARS);
    let [without, with] = dying::RETRIES.map(|(work, _)| work);
    let rounds = |work, field| record.rounds("tollgate", work, field).into_iter().map(|(_, value)| value);
    // In the worst round: how many more failed than were in its hands.
    let pairs = rounds(without, "failed").zip(rounds(without, "in_hands"));
    let more = pairs.map(|(failed, held)| (failed - held).max(0.0));
    let more = more.reduce(f64::max);
    let show = |count: Option<f64>| count.map_or("–".into(), |count| format!("{count:.0}"));
    let bar = "without retry: in no round more than were in its hands";
    bar_row(&mut text, bar, more, |more| more <= 0.0, show)?;
    let failed = rounds(with, "failed").reduce(f64::max);
    bar_row(&mut text, "with retry none fails", failed, |failed| failed == 0.0, show)?;
    Ok(text)
}

/// A table of plain proxying and other work; the ratio between the two.
fn beside_plain(text: &mut String, record: &Record, works: [(&str, &str); 2]) -> Result<Option<f64>> {
    text.push_str("| work | CPU µs per request | × plain proxying | failed |\n|---|---|---|---|\n");
    let [plain, other] = works;
    for (who, work) in works {
        let micros = record.median(who, work, US).map_or("–".into(), |micros| format!("{micros:.1}"));
        let ratio = record.ratio_between((who, work), plain, US);
        writeln!(text, "| {work} | {micros} | {} | {:.0} |", times(ratio), failed(record, who, work))?;
    }
    Ok(record.ratio_between(other, plain, US))
}

fn failed(record: &Record, who: &str, work: &str) -> f64 {
    record.sum(who, work, "failed")
}

fn millis(value: Option<f64>) -> String {
    value.map_or("–".into(), |value| format!("{value:.2} ms"))
}
