//! The sections of what it costs to know who calls and to count: P2, P3, P7 and the flood of bad tokens.

use std::fmt::Write;

use anyhow::Result;

use super::super::identity::SECRET;
use super::{BARS, Record, bar_row, median, mib, times};

const US: &str = "us_per_request";
const PLAIN: &str = "plain proxying";
const KNOWN: &str = "token, limit, log";

pub(super) fn few_tokens(record: &Record) -> Result<String> {
    let mut text = String::from(
        "RS256 tokens of 64 owners, a limit for each owner, metrics, an access log as JSON in a file; 1 KB answers, 64 \
         keep-alive connections.\n\n| | work | CPU µs per request | × nginx | failed |\n|---|---|---|---|---|\n",
    );
    for (who, work) in [("tollgate", PLAIN), ("identity", KNOWN), ("nginx", PLAIN)] {
        let ratio = record.ratio_between((who, work), ("nginx", PLAIN), US);
        let name = if who == "nginx" { who } else { "tollgate" };
        let (micros, failed) = (record.median(who, work, US), record.sum(who, work, "failed"));
        writeln!(text, "| {name} | {work} | {} | {} | {failed:.0} |", micros_of(micros), times(ratio))?;
    }
    text.push_str(BARS);
    let to_nginx = record.ratio_between(("identity", KNOWN), ("nginx", PLAIN), US);
    bar_row(&mut text, "at most 1.00 × nginx's bare `proxy_pass`", to_nginx, |ratio| ratio <= 1.0, times)?;
    let to_own = record.ratio_between(("identity", KNOWN), ("tollgate", PLAIN), US);
    bar_row(&mut text, "at most 1.30 × our own plain proxying", to_own, |ratio| ratio <= 1.3, times)?;
    let resident = record.median("identity", "resident", "mib");
    bar_row(&mut text, "resident after it: at most 25 MiB", resident, |own| own <= 25.0, mib)?;
    Ok(text)
}

pub(super) fn many_tokens(record: &Record) -> Result<String> {
    let mut text = String::from("| work | CPU µs |\n|---|---|\n");
    let works = [("few", KNOWN, US), ("many", "new tokens", US), ("aws-lc", "signature check", "us")];
    let names =
        ["a request whose token is known", "a request with a new token", "one RS256 signature check alone"];
    for ((who, work, field), name) in works.into_iter().zip(names) {
        writeln!(text, "| {name} | {} |", micros_of(record.median(who, work, field)))?;
    }
    text.push_str(BARS);
    // Within each round: what a new token costs more, as a multiple of one check.
    let [known, new, check] = works.map(|(who, work, field)| record.rounds(who, work, field));
    let more = new.iter().zip(&known).zip(&check).filter(|(_, (_, check))| *check > 0.0);
    let more = median(more.map(|(((_, new), (_, known)), (_, check))| (new - known) / check).collect());
    bar_row(&mut text, "at most 1.10 × a signature check more than P2", more, |more| more <= 1.1, times)?;
    Ok(text)
}

pub(super) fn stores(record: &Record) -> Result<String> {
    let mut text = String::from(
        "One limit per address that is never reached; 1 KB answers, 64 keep-alive connections, one gateway.\n\n\
         | kept | CPU µs per request | × local | calls of Redis per request | median ms |\n|---|---|---|---|---|\n",
    );
    let work = "one limit";
    for who in ["local", "leased", "exact"] {
        let (micros, ratio) = (record.median(who, work, US), record.ratio(who, "local", work, US));
        let calls =
            record.median(who, work, "calls_per_request").map_or("–".into(), |calls| format!("{calls:.4}"));
        let p50 =
            record.median(who, work, "p50_us").map_or("–".into(), |micros| format!("{:.2}", micros / 1e3));
        writeln!(text, "| {who} | {} | {} | {calls} | {p50} |", micros_of(micros), times(ratio))?;
    }
    text.push_str(BARS);
    let ratio = record.ratio("leased", "local", work, US);
    bar_row(&mut text, "leased: at most 1.10 × the CPU of local", ratio, |ratio| ratio <= 1.1, times)?;
    let calls = |who: &str| record.median(who, work, "calls_per_request");
    let show = |calls: Option<f64>| calls.map_or("–".into(), |calls| format!("{calls:.4}"));
    bar_row(
        &mut text,
        "leased: at most 0.1 calls of Redis per request",
        calls("leased"),
        |n| n <= 0.1,
        show,
    )?;
    bar_row(&mut text, "exact: one call of Redis per request", calls("exact"), |n| n <= 1.01, show)?;
    Ok(text)
}

pub(super) fn flood(record: &Record) -> Result<String> {
    let mut text = String::from(
        "The configuration of P2, its access log included; every request is refused with 401.\n\n\
         | token | CPU µs per refused request | × plain proxying |\n|---|---|---|\n",
    );
    let plain = ("tollgate", PLAIN);
    writeln!(
        text,
        "| none, plain proxying | {} | {} |",
        micros_of(record.median(plain.0, PLAIN, US)),
        times(Some(1.0))
    )?;
    for (work, name) in [
        ("garbage", "garbage in three parts"),
        ("unknown key", "of a key that is not known"),
        ("forged", "forged: a known `kid`, another signature"),
    ] {
        let ratio = record.ratio_between(("identity", work), plain, US);
        writeln!(text, "| {name} | {} | {} |", micros_of(record.median("identity", work, US)), times(ratio))?;
    }
    text.push_str(
        "\nA forged signature has to be checked, which is what it costs; a limit per address comes before that check.\n",
    );
    text.push_str(BARS);
    let ratio = record.ratio_between(("identity", "garbage"), plain, US);
    bar_row(&mut text, "garbage: at most the CPU of plain proxying", ratio, |ratio| ratio <= 1.0, times)?;
    Ok(text)
}

fn micros_of(value: Option<f64>) -> String {
    value.map_or("–".into(), |value| format!("{value:.1}"))
}

pub(super) fn shared_secret(record: &Record) -> Result<String> {
    let mut text = String::from(
        "HS256 tokens of 64 owners, 10,000 of them in turn, so that each is checked anew; a limit for each owner, a log record as JSON. nginx \
         does the same in Lua, as gateways built on it do.\n\n\
         | | work | CPU µs per request | failed |\n|---|---|---|---|\n",
    );
    for (who, work) in [("tollgate", PLAIN), ("hs256", SECRET), ("nginx-lua", SECRET)] {
        let Some(micros) = record.median(who, work, "us_per_request") else { continue };
        let name = if who == "hs256" { "tollgate" } else { who };
        writeln!(text, "| {name} | {work} | {micros:.1} | {:.0} |", record.sum(who, work, "failed"))?;
    }
    let ratio = record.ratio_between(("hs256", SECRET), ("nginx-lua", SECRET), "us_per_request");
    writeln!(text, "\nBeside nginx with Lua, median of the rounds: {}.", times(ratio))?;
    Ok(text)
}
