//! `docs/benchmarks.md`, made from the samples alone: tables, and each bar with what was measured.

mod content;
mod growth;
mod http2;
mod identity;
mod operation;
mod tail;

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::tools::{CHECK, EXPLAIN, TEST, TESTS};
use super::{everything, results};
use crate::{say, tree};

const PAGE: &str = "docs/benchmarks.md";

const HEAD: &str = "# Benchmarks

Written by `./dev bench` from the samples in `bench/results/`; do not edit. How it is measured, and how to
repeat it, is in [bench/README.md](../bench/README.md). CPU is user and system time of the contestant alone;
ratios are taken within a round, and every figure is the median over the rounds. Throughput of a closed loop on
one shared core says little and is left out.
";

/// Writes the page.
pub(super) fn write() -> Result<()> {
    let mut page = HEAD.to_owned();
    for (case, title, section) in SECTIONS {
        writeln!(page, "\n## {title}\n")?;
        match results::read(case)? {
            None => writeln!(page, "Not measured yet: `./dev bench {case}`.")?,
            Some(record) => {
                let record = Record(record);
                page.push_str(&section(&record)?);
                page.push_str(&record.provenance()?);
            }
        }
    }
    fs::write(tree::root().join(PAGE), page).with_context(|| format!("writing {PAGE}"))?;
    say::line(format_args!("\n{PAGE} is written"));
    Ok(())
}

type Section = fn(&Record) -> Result<String>;

const SECTIONS: &[(&str, &str, Section)] = &[
    ("p1", "P1: plain proxying, 1 KB answers, 64 keep-alive connections", plain),
    ("p2", "P2: tokens, a limit per owner, metrics and an access log", identity::few_tokens),
    ("p3", "P3: a new token on every request", identity::many_tokens),
    ("p4", "P4: from 10 to 10,000 routes", routes),
    ("p5", "P5: memory", memory),
    ("p6", "P6: one answer of four parts of 256 B", content::four_parts),
    ("p7", "P7: a limit kept locally, leased from Redis, asked for in Redis", identity::stores),
    ("p8", "P8: bodies of 1 MiB", bodies),
    ("p9", "P9: TLS 1.3 with a certificate on P-256", tls),
    ("p10", "P10: from exec to the first answer, 100 routes", start),
    ("p11", "P11: a Lua script that sets a header of each request", content::script),
    ("cache", "Answers out of the cache, 1 KB", content::cache),
    ("merge", "A JSON document of 1 MiB, picked and merged", content::long_document),
    ("dying", "One target of four dies under load", content::dying),
    ("http2", "HTTP/2: plain proxying, 1 KB answers", http2::section),
    ("flood401", "A flood of bad tokens", identity::flood),
    ("operation", "Operation: reloads, hand-overs, drains, scrapes", operation::section),
    (
        "hs256",
        "A token of a shared secret, a limit and a log, beside nginx with Lua",
        identity::shared_secret,
    ),
    ("tail", "Latency at half load", tail::section),
    ("curves", "What grows with what", growth::curves),
    ("workers", "One worker and two", growth::workers),
    ("tools", "The command line", tools),
];

const ORDER: &[&str] = &["tollgate", "nginx", "haproxy", "envoy", "caddy"];

fn plain(record: &Record) -> Result<String> {
    let mut text =
        String::from("| | version | CPU µs per request | × nginx | failed | |\n|---|---|---|---|---|---|\n");
    let most =
        ORDER.iter().filter_map(|who| record.median(who, "1 KB", "us_per_request")).fold(0.0, f64::max);
    for who in ORDER {
        let Some(micros) = record.median(who, "1 KB", "us_per_request") else { continue };
        let ratio = record.ratio(who, "nginx", "1 KB", "us_per_request");
        let (version, failed) = (record.version(who), record.sum(who, "1 KB", "failed"));
        let plot = "█".repeat((micros / most * 40.0).round() as usize);
        writeln!(text, "| {who} | {version} | {micros:.1} | {} | {failed:.0} | `{plot}` |", times(ratio))?;
    }
    text.push_str(BARS);
    for (peer, bar) in [("nginx", 0.75), ("haproxy", 0.65), ("envoy", 0.25)] {
        let ratio = record.ratio("tollgate", peer, "1 KB", "us_per_request");
        bar_row(&mut text, &format!("at most {bar:.2} × {peer}"), ratio, |ratio| ratio <= bar, times)?;
    }
    Ok(text)
}

fn routes(record: &Record) -> Result<String> {
    let mut text = String::from("| work | figure |\n|---|---|\n");
    let few = record.median("few", "10 routes", "us_per_request");
    let many = record.median("many", "10,000 routes", "us_per_request");
    // The rounds pair the two, so that noise of the machine meets both.
    let pairs = record.rounds("few", "10 routes", "us_per_request").into_iter();
    let pairs = pairs.zip(record.rounds("many", "10,000 routes", "us_per_request"));
    let more = median(pairs.map(|((_, few), (_, many))| many / few).collect());
    let idle = record.median("many", "reload, idle", "ms");
    let failed = record.rounds("many", "reload, under load", "failed").first().map(|(_, failed)| *failed);
    let reloads = record.sum("many", "reload, under load", "reloads");
    let micros =
        |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.1} µs per request"));
    writeln!(text, "| CPU with 10 routes | {} |", micros(few))?;
    writeln!(text, "| CPU with 10,000 routes | {} |", micros(many))?;
    writeln!(text, "| reload of 10,000 routes, idle: signal to new generation seen | {} |", millis(idle))?;
    let cpu = record.median("many", "reload, idle", "cpu_ms");
    writeln!(text, "| CPU of that reload, to 10 ms | {} |", millis(cpu))?;
    writeln!(text, "| reloads under load | {reloads:.0}, {} requests failed |", failed.unwrap_or_default())?;
    text.push_str(BARS);
    bar_row(&mut text, "at most 1.03 × the CPU of 10 routes", more, |more| more <= 1.03, times)?;
    bar_row(&mut text, "reload under 100 ms, idle", idle, |idle| idle < 100.0, millis)?;
    bar_row(
        &mut text,
        "no failed request under load",
        failed,
        |failed| failed == 0.0,
        |n| n.map_or("–".into(), |n| format!("{n:.0}")),
    )?;
    Ok(text)
}

fn memory(record: &Record) -> Result<String> {
    let works = [
        "started, idle",
        "after load on 64 connections",
        "10,000 idle connections",
        "5,000 requests in flight",
    ];
    let mut text = format!("Resident MiB.\n\n| | {} |\n|---|---|---|---|---|\n", works.join(" | "));
    for who in ORDER.iter().filter(|who| record.median(who, works[0], "mib").is_some()) {
        let cells: Vec<String> = works.iter().map(|work| mib(record.median(who, work, "mib"))).collect();
        writeln!(text, "| {who} | {} |", cells.join(" | "))?;
    }
    text.push_str(BARS);
    let bars = [
        ("example configuration, idle", 10.0),
        (works[2], 40.0),
        (works[3], 128.0),
        ("10,000 idle TLS connections", 120.0),
        ("1,000 idle WebSockets", 16.0),
    ];
    for (work, bar) in bars {
        let measured = record.median("tollgate", work, "mib");
        bar_row(&mut text, &format!("{work}: at most {bar:.0} MiB"), measured, |mib| mib <= bar, mib)?;
    }
    let unanswered = record.sum("tollgate", works[3], "failed");
    bar_row(
        &mut text,
        "every request in flight was answered",
        Some(unanswered),
        |n| n == 0.0,
        |n| n.map_or("–".into(), |n| format!("{n:.0} were not")),
    )?;
    with_everything(&mut text, record)?;
    Ok(text)
}

/// What no bar is about: the gateway with no part of it left out.
fn with_everything(text: &mut String, record: &Record) -> Result<()> {
    let works = [everything::STARTED, everything::LOADED, everything::IDLE];
    if record.median("tollgate", works[0], "mib").is_none() {
        return Ok(());
    }
    text.push_str(
        "\nWith everything on (`bench/peers/tollgate-everything.yaml`: tokens and a limit for each owner on every route, a \
         script, a cache, an aggregate through a template, checks of bodies, health checks, access records to an object \
         store, a span for every request, a memory cap):\n\n| | MiB |\n|---|---|\n",
    );
    for work in works {
        let work_alone = work.trim_start_matches("everything on, ");
        writeln!(text, "| {work_alone} | {} |", mib(record.median("tollgate", work, "mib")))?;
    }
    Ok(())
}

fn bodies(record: &Record) -> Result<String> {
    let works = ["1 MiB answers", "1 MiB uploads"];
    let mut text = String::from(
        "MiB per CPU second.\n\n| | answers | × nginx | uploads | × nginx |\n|---|---|---|---|---|\n",
    );
    // A body is 1 MiB, so the inverse of CPU per request is MiB per CPU.
    let speed = |who: &str, work: &str| record.median(who, work, "us_per_request").map(|micros| 1e6 / micros);
    let ratio = |who: &str, work: &str| record.ratio("nginx", who, work, "us_per_request");
    for who in ORDER.iter().filter(|who| speed(who, works[0]).is_some()) {
        let cells: Vec<String> = works
            .iter()
            .map(|work| {
                format!(
                    "{} | {}",
                    speed(who, work).map_or("–".into(), |mib| format!("{mib:.0}")),
                    times(ratio(who, work))
                )
            })
            .collect();
        writeln!(text, "| {who} | {} |", cells.join(" | "))?;
    }
    text.push_str(BARS);
    for work in works {
        bar_row(
            &mut text,
            &format!("{work}: at least 1.00 × nginx"),
            ratio("tollgate", work),
            |ratio| ratio >= 1.0,
            times,
        )?;
    }
    Ok(text)
}

fn tls(record: &Record) -> Result<String> {
    let works = ["handshakes", "requests"];
    let mut text = String::from(
        "Per CPU second: full handshakes, each with its connection and one request that is answered at once; and proxied \
         requests for 1 KB over 64 kept connections. wrk is the client of both.\n\n\
         | | handshakes | × nginx | requests | × nginx |\n|---|---|---|---|---|\n",
    );
    let speed = |who: &str, work: &str| record.median(who, work, "us_per_request").map(|micros| 1e6 / micros);
    let ratio = |who: &str, work: &str| record.ratio("nginx", who, work, "us_per_request");
    for who in ORDER.iter().filter(|who| speed(who, works[0]).is_some()) {
        let cell = |work: &&str| {
            let speed = speed(who, work).map_or("–".into(), |speed| format!("{speed:.0}"));
            format!("{speed} | {}", times(ratio(who, work)))
        };
        writeln!(text, "| {who} | {} |", works.iter().map(cell).collect::<Vec<_>>().join(" | "))?;
    }
    text.push_str(BARS);
    for work in works {
        let bar = format!("{work}: at least 1.00 × nginx");
        bar_row(&mut text, &bar, ratio("tollgate", work), |ratio| ratio >= 1.0, times)?;
    }
    Ok(text)
}

fn start(record: &Record) -> Result<String> {
    let mut text = String::from("| | ms |\n|---|---|\n");
    for who in ORDER {
        if let Some(ms) = record.median(who, "first answer", "ms") {
            writeln!(text, "| {who} | {ms:.1} |")?;
        }
    }
    text.push_str("\nThe peers start with one route that takes every path.\n");
    text.push_str(BARS);
    bar_row(
        &mut text,
        "under 50 ms",
        record.median("tollgate", "first answer", "ms"),
        |ms| ms < 50.0,
        millis,
    )?;
    Ok(text)
}

fn tools(record: &Record) -> Result<String> {
    let mut text =
        String::from("From start to end of the command; its output goes nowhere.\n\n| | ms |\n|---|---|\n");
    let ms = |work| record.median("tollgate", work, "ms");
    for work in [CHECK, EXPLAIN, TEST] {
        writeln!(text, "| {work} | {} |", millis(ms(work)))?;
    }
    text.push_str(BARS);
    for work in [CHECK, EXPLAIN] {
        bar_row(&mut text, &format!("{work}: under 300 ms"), ms(work), |ms| ms < 300.0, millis)?;
    }
    let speed = ms(TEST).map(|ms| TESTS as f64 * 1e3 / ms);
    let show = |speed: Option<f64>| speed.map_or("–".into(), |speed| format!("{speed:.0} a second"));
    bar_row(&mut text, "at least 300 tests a second", speed, |speed| speed >= 300.0, show)?;
    Ok(text)
}

const BARS: &str = "\n| bar | measured | |\n|---|---|---|\n";

fn bar_row(
    text: &mut String,
    bar: &str,
    measured: Option<f64>,
    held: impl Fn(f64) -> bool,
    show: impl Fn(Option<f64>) -> String,
) -> Result<()> {
    let verdict = match measured {
        None => "not measured",
        Some(value) if held(value) => "held",
        Some(_) => "**missed**",
    };
    writeln!(text, "| {bar} | {} | {verdict} |", show(measured))?;
    Ok(())
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or("–".into(), |ratio| format!("{ratio:.2} ×"))
}

fn millis(value: Option<f64>) -> String {
    value.map_or("–".into(), |value| format!("{value:.0} ms"))
}

fn mib(value: Option<f64>) -> String {
    value.map_or("–".into(), |value| format!("{value:.1}"))
}

/// One case as it was written by a run.
struct Record(Value);

impl Record {
    /// Round and value, in order of rounds.
    fn rounds(&self, who: &str, work: &str, field: &str) -> Vec<(u64, f64)> {
        let samples = self.0["samples"].as_array().map(Vec::as_slice).unwrap_or_default();
        let own = samples.iter().filter(|sample| sample["who"] == who && sample["work"] == work);
        own.filter_map(|sample| Some((sample["round"].as_u64()?, sample[field].as_f64()?))).collect()
    }

    fn median(&self, who: &str, work: &str, field: &str) -> Option<f64> {
        median(self.rounds(who, work, field).into_iter().map(|(_, value)| value).collect())
    }

    /// The median of the rounds' ratios of one contestant to another.
    fn ratio(&self, who: &str, to: &str, work: &str, field: &str) -> Option<f64> {
        self.ratio_between((who, work), (to, work), field)
    }

    /// The same for contestants that do different work.
    fn ratio_between(&self, own: (&str, &str), other: (&str, &str), field: &str) -> Option<f64> {
        let others = self.rounds(other.0, other.1, field);
        let own = self.rounds(own.0, own.1, field).into_iter();
        let ratios = own.filter_map(|(round, value)| {
            let (_, other) = others.iter().find(|(of, _)| *of == round)?;
            (*other > 0.0).then_some(value / other)
        });
        median(ratios.collect())
    }

    fn sum(&self, who: &str, work: &str, field: &str) -> f64 {
        self.rounds(who, work, field).iter().map(|(_, value)| value).sum()
    }

    fn version(&self, who: &str) -> &str {
        self.0["versions"][who].as_str().unwrap_or("–")
    }

    fn provenance(&self) -> Result<String> {
        let word = |name: &str| self.0[name].as_str().unwrap_or("–");
        let machine = |name: &str| self.0["machine"][name].as_str().unwrap_or("–");
        let mut text = String::new();
        writeln!(
            text,
            "\n{}, `{}`, on {} ({} cores, {}), Linux {}, {}.",
            word("date"),
            word("command"),
            machine("processor"),
            self.0["machine"]["cores"],
            machine("memory"),
            machine("kernel"),
            machine("system"),
        )?;
        Ok(text)
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    match values.len() % 2 {
        1 => Some(upper),
        _ => Some((upper + values[values.len() / 2 - 1]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let sample = |who: &str, round: u64, value: f64| json!({ "who": who, "work": "w", "round": round, "x": value });
        // The machine is twice as slow in the second round, for both.
        let samples = [
            sample("a", 1, 1.0),
            sample("b", 1, 2.0),
            sample("a", 2, 2.0),
            sample("b", 2, 4.0),
            sample("a", 3, 9.0),
        ];
        let record = Record(json!({ "samples": samples }));
        assert_eq!(record.ratio("a", "b", "w", "x"), Some(0.5));
        assert_eq!(record.median("a", "w", "x"), Some(2.0));
        assert_eq!(record.median("b", "w", "x"), Some(3.0));
        assert_eq!(record.ratio("a", "c", "w", "x"), None);
    }
}
