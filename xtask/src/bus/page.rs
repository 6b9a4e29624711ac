//! `docs/bus.md`, made from the samples alone: the claim of the original beside what was measured here.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::SAMPLES;
use super::central::{ALL, ALONE, GONE, SILENT};
use super::slow::{HELD, LADDER, LATE_MS, NGINX, PROBE, RATE};
use crate::replay::samples;
use crate::replay::table::{Table, shown};
use crate::{say, tree};

const PAGE: &str = "docs/bus.md";

const HEAD: &str = "# A bus and its central, measured

Written by `./dev bus` from the samples in `bench/results/bus.json`; do not edit. What is measured is
[examples/bus](../examples/bus/README.md) as its one command starts it: three buses, each a gateway over four devices, a central that asks
them all, an issuer of tokens. The original is KrakenD [in the buses of a made-up
company](https://www.krakend.io/blog/krakend-on-raspberry/), for which its people give over 700 requests a second on a Raspberry Pi 2.

**No Raspberry Pi was at hand.** The gateway of one bus was given a share of one core of the machine that is named below, by a control
group; clients, devices and everything else share the rest of that machine, over its loopback, with other work going on beside them.
";

/// A core of a Core i3-3220 against one of a Raspberry Pi 2, both figures in seconds, from the page that `PI` names.
const PI_DOOM_S: f64 = 77.3;
const I3_DOOM_S: f64 = 6.9;
const PI_CORES: f64 = 4.0;

/// The whole record of a run.
struct Measured<'a>(&'a Value);

impl<'a> Measured<'a> {
    fn samples(&self) -> impl Iterator<Item = &'a Value> {
        self.0["samples"].as_array().map(Vec::as_slice).unwrap_or_default().iter()
    }

    /// The samples of one part, in the order of the run.
    fn of(&self, work: &str) -> impl Iterator<Item = &'a Value> {
        self.samples().filter(move |sample| sample["work"] == work)
    }

    fn first(&self, work: &str) -> Option<&'a Value> {
        self.of(work).next()
    }
}

fn show(sample: Option<&Value>, field: &str, unit: &str, digits: usize) -> String {
    shown(sample.and_then(|sample| sample[field].as_f64()), unit, digits)
}

/// Writes the page.
pub(super) fn write() -> Result<()> {
    let record =
        samples::read(SAMPLES).context("`./dev bus` measures, `--page` only makes the page again")?;
    fs::write(tree::root().join(PAGE), page(&record)).with_context(|| format!("writing {PAGE}"))?;
    say::line(format_args!("{PAGE} is written"));
    Ok(())
}

fn page(record: &Value) -> String {
    let measured = Measured(record);
    let parts = [
        claim(&measured),
        bus(&measured),
        search(&measured),
        pi(&measured),
        central(&measured),
        method(record),
    ];
    HEAD.to_owned() + &parts.concat()
}

fn claim(measured: &Measured) -> String {
    let mut table = Table::new(&["", "KrakenD, Raspberry Pi 2, 4 cores", "Tollgate"]);
    let mut row =
        |what: &str, theirs: &str, ours: String| table.row([what.to_owned(), theirs.to_owned(), ours]);
    let held = measured.first(HELD);
    let ours = match held {
        Some(held) => format!("held with {} of one core", show(Some(held), "share_percent", " %", 0)),
        None => "not held with any share that was tried".to_owned(),
    };
    row(&format!("{RATE} requests a second, several sources in one answer"), "over 700", ours);
    row(&format!("p95 at {RATE} a second, with that share"), "–", show(held, "p95_ms", " ms", 1));
    let most = measured.of(LADDER).find(|sample| sample["devices"] == NGINX && uses_its_share(sample));
    let share = show(most, "share_percent", " %", 0);
    row(&format!("as many as go with {share} of one core"), "–", show(most, "per_second", " a second", 0));
    row("CPU of one of these", "–", show(most, "us_per_request", " µs", 0));
    row("memory, the most it was", "–", show(measured.of(LADDER).last(), "most_mib", " MiB", 1));
    format!(
        "\n## Claim\n\n{}\nA request of ours: a token that is checked (eight take turns; whose signature was good is remembered), four parts of which one waits for another, \
         picked,\ndropped and wrapped into one answer, an access record. What the original asked for is not said, nor how large its answers were.\n",
        table.0
    )
}

fn bus(measured: &Measured) -> String {
    let heads = [
        "of one core",
        "devices",
        "requests a second",
        "p50",
        "p95",
        "p99",
        "CPU of one",
        "CPU used",
        "resident",
        "load average",
    ];
    let mut table = Table::new(&heads);
    for sample in measured.of(LADDER) {
        let show = |field, unit, digits| show(Some(sample), field, unit, digits);
        let share = sample["share_percent"].as_u64();
        table.row([
            share.map_or("no quota".to_owned(), |share| format!("{share} %")),
            sample["devices"].as_str().unwrap_or("–").to_owned(),
            show("per_second", "", 0),
            show("p50_ms", " ms", 2),
            show("p95_ms", " ms", 2),
            show("p99_ms", " ms", 2),
            show("us_per_request", " µs", 0),
            show("cpu_percent", " %", 0),
            show("mib", " MiB", 1),
            show("load_average", "", 1),
        ]);
    }
    format!(
        "\n## One bus\n\n`/bus` of bus 1, by 16 clients who each ask again as soon as they have their answer: their times are those of a queue of 16. Every answer \
         was\nlooked at: status, `X-Tollgate-Completed`, members of all four devices, and that what the route takes out is not there.\n\n{}\n\
         - Devices of the example are gateways whose script answers, on the same two cores as clients, gateway and whatever else runs. nginx in their place, with the \
         same\n  answers, wants less of them. {}\n\
         - \"CPU used\" is of one core, and counts what the kernel did for the process. The gateway has a thread for each of the two cores; without a quota \
         it\n  may use both. The load average counts clients and devices, too.\n",
        table.0,
        limited(measured)
    )
}

/// Whether it used what it was given, or nearly; what has no quota does not.
fn uses_its_share(sample: &Value) -> bool {
    let fields = sample["share_percent"].as_f64().zip(sample["cpu_percent"].as_f64());
    fields.is_some_and(|(share, used)| used >= share * 0.9)
}

/// Whether the quota was what limited it.
fn limited(measured: &Measured) -> String {
    let short: Vec<String> = measured
        .of(LADDER)
        .filter_map(|sample| {
            let (share, devices) = (sample["share_percent"].as_f64()?, sample["devices"].as_str()?);
            (!uses_its_share(sample)).then(|| format!("{share:.0} % with {devices}"))
        })
        .collect();
    if short.is_empty() {
        return "The gateway used its whole share each time.".to_owned();
    }
    format!(
        "The gateway did not use its whole share, so that something else was the limit, at {}.",
        short.join(", ")
    )
}

fn search(measured: &Measured) -> String {
    let mut table = Table::new(&[
        "of one core",
        "for",
        "sent",
        "wrong or missing",
        "p50",
        "p95",
        "p99",
        "CPU used",
        "held",
    ]);
    for sample in measured.samples().filter(|sample| sample["work"] == PROBE || sample["work"] == HELD) {
        let show = |field, unit, digits| show(Some(sample), field, unit, digits);
        let bad =
            sample["wrong"].as_f64().zip(sample["failed"].as_f64()).map(|(wrong, failed)| wrong + failed);
        table.row([
            show("share_percent", " %", 0),
            show("seconds", " s", 1),
            show("requests", "", 0),
            shown(bad, "", 0),
            show("p50_ms", " ms", 1),
            show("p95_ms", " ms", 1),
            show("p99_ms", " ms", 1),
            show("cpu_percent", " %", 0),
            if sample["held"] == true { "yes" } else { "no" }.to_owned(),
        ]);
    }
    format!(
        "\n## {RATE} a second\n\n{RATE} requests a second, evenly, whatever became of those before; times count from when each was due. Held means: all are right, and p95 is \
         not\nabove {LATE_MS:.0} ms. Where the share is too small the queue grows, and a run ends when a request is a second late. The least share was looked for \
         by\nhalving, in the order of this table; then what was found was tried for longer, with one percent more where it did\nnot hold.\n\n{}",
        table.0
    )
}

fn pi(measured: &Measured) -> String {
    let ratio = PI_DOOM_S / I3_DOOM_S;
    let text = match measured.first(HELD).and_then(|held| held["share_percent"].as_f64()) {
        Some(share) => format!(
            "With all {PI_CORES:.0} of its cores for the gateway and nothing\nbut CPU in its way a Pi 2 would hold the rate if one core here did no more than {:.0} times what one of them does \
             ({PI_CORES:.0} cores / {share:.0} %).\n",
            PI_CORES / (share / 100.0)
        ),
        None => String::new(),
    };
    format!(
        "\n## What a quota says of a Pi 2\n\nA quota takes time away and nothing else: caches, memory and instructions are those of the machine here, and a Pi 2 is a machine of 32 bits.\n\
         What one of its cores does beside one of these was not measured, and is not assumed. {text}For an idea of the size: [one \
         comparison](http://jwhitham.org/2015/04/relative-speed-of-raspberry-pi-pi-2-and.html) of 2015 had the same integer program (Doom) take\n{PI_DOOM_S} s on a \
         core of a Pi 2 and {I3_DOOM_S} s on one of a Core i3-3220 of 2012, {ratio:.1} times as long. That i3 is not this machine either.\n"
    )
}

fn central(measured: &Measured) -> String {
    let parts = [ALL, ALONE, SILENT, GONE];
    let heads = [
        "",
        "clients",
        "requests",
        "a second",
        "p50",
        "p95",
        "most",
        "CPU, central",
        "CPU, a bus",
        "resident, central",
    ];
    let mut table = Table::new(&heads);
    for work in parts {
        let sample = measured.first(work);
        let show = |field, unit, digits| show(sample, field, unit, digits);
        // The kernel counts CPU in hundredths of a second: of a few requests that says nothing.
        let many = sample.is_some_and(|sample| sample["requests"].as_u64() > Some(1000));
        let cpu = |field| if many { show(field, " µs", 0) } else { "–".to_owned() };
        table.row([
            work.to_owned(),
            show("connections", "", 0),
            show("requests", "", 0),
            show("per_second", "", 0),
            show("p50_ms", " ms", 2),
            show("p95_ms", " ms", 2),
            show("most_ms", " ms", 2),
            cpu("us_per_request"),
            cpu("us_in_a_bus"),
            show("mib", " MiB", 1),
        ]);
    }
    format!(
        "\n## The central\n\n`/fleet` asks three buses at once, each of which asks its four devices: one request is three at buses and twelve at devices, all on this \
         one machine\nand without any quota. Every answer was parsed: each bus with its driver and its seats, or the error that it has to have.\n\n{}\n\
         - A bus that is gone (its process killed) refuses the connection: `upstream_connect`, and the others are told as they are.\n\
         - A bus that is silent (its process stopped; in a tunnel) holds the answer up until the `timeout` of `central.yaml`, 2 s: `upstream_timeout`. Where packets \
         get\n  lost, a new connection is given up after `connect_timeout`, 500 ms; that was not measured.\n\
         - Both have `X-Tollgate-Completed: false` and `X-Tollgate-Failed: buses;…`. CPU is that of one request.\n",
        table.0
    )
}

fn method(record: &Value) -> String {
    let word = |name: &str| record[name].as_str().unwrap_or("–");
    let machine = |name: &str| record["machine"][name].as_str().unwrap_or("–");
    let version = |name: &str| record["versions"][name].as_str().unwrap_or("–");
    format!(
        "\n## How\n\n`{}`, as root, on {}. Tollgate {}, {}, on {} ({} cores, {}), Linux {}, {}.\n\n\
         The slow processor: {}, around the gateway of bus 1 alone.\n\
         The client is part of `./dev bus`: connections that stay, each answer compared with what it has to be. CPU and memory are those of the process in\n\
         `/proc` (`VmRSS`, `VmHWM`); `withheld_s` of the samples is from `cpu.stat` of the group, its two cores together. `./dev bus --page` makes this page again.\n",
        word("command"),
        word("date"),
        version("tollgate"),
        version("nginx"),
        machine("processor"),
        record["machine"]["cores"],
        machine("memory"),
        machine("kernel"),
        machine("system"),
        word("emulation"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::slow::LUA;
    use super::*;

    fn record() -> Value {
        let rung = |devices: &str, share: Value, used: f64| {
            json!({
                "work": LADDER, "devices": devices, "share_percent": share, "per_second": 4321.4, "p50_ms": 3.7, "p95_ms": 6.0,
                "p99_ms": 9.0, "us_per_request": 231.0, "cpu_percent": used, "withheld_s": 4.0, "seconds": 8.0, "mib": 12.0,
                "most_mib": 13.5, "load_average": 2.0,
            })
        };
        json!({
            "command": "./dev bus --seconds 8", "date": "2026-11-22", "emulation": "cgroup version 9",
            "samples": [
                { "work": ALL, "per_second": 500.0, "connections": 8 },
                rung(LUA, json!(100), 60.0), rung(NGINX, Value::Null, 120.0), rung(NGINX, json!(100), 99.0), rung(NGINX, json!(10), 10.0),
                { "work": PROBE, "share_percent": 32, "held": true, "wrong": 0, "failed": 0 },
                { "work": PROBE, "share_percent": 18, "held": false, "wrong": 1, "failed": 2 },
                { "work": HELD, "share_percent": 20, "held": true, "p95_ms": 40.0, "wrong": 0, "failed": 0 },
            ],
        })
    }

    #[test]
    fn the_page_says_what_the_samples_say() {
        let text = page(&record());
        for wanted in [
            "| 700 requests a second, several sources in one answer | over 700 | held with 20 % of one core |",
            "| as many as go with 100 % of one core | – | 4,321 a second |",
            "| no quota | nginx | 4,321 | 3.70 ms |",
            "| 9.00 ms | 231 µs | 120 % | 12.0 MiB |",
            "not use its whole share, so that something else was the limit, at 100 % with gateways with a script.",
            "| 18 % | – | – | 3 |",
            "no more than 20 times what one of them does (4 cores / 20 %)",
            "11.2 times as long",
            "| all three buses | 8 | – | 500 |",
            "cgroup version 9",
        ] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_claimed() {
        let mut record = record();
        if let Some(samples) = record["samples"].as_array_mut() {
            samples.retain(|sample| sample["work"] != HELD);
        }
        let text = page(&record);
        assert!(text.contains("| over 700 | not held with any share that was tried |"), "{text}");
        assert!(!text.contains("would hold the rate"), "{text}");
    }
}
