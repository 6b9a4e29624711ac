//! `docs/closet.md`, made from the samples alone: each claim of the original beside what was measured here.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::mix::KINDS;
use super::phases::{A_MONTH, AT_PEAK, FILES, MONTH, PEAK, RINGS, STARTED, WEBSOCKETS};
use super::wide::WIDE;
use super::{EMULATED, NATIVE, SAMPLES, panels, shape};
use crate::replay::samples;
use crate::replay::table::{Table, shown};
use crate::{say, tree};

const PAGE: &str = "docs/closet.md";

const HEAD: &str = "# A closet, measured

Written by `./dev closet` from the samples in `bench/results/closet.json`; do not edit. What is measured is
[examples/closet](../examples/closet/README.md) as its one command starts it: signed and opaque tokens, API keys, limits, a cache,
WebSockets, two instances of a service, an access log, and Prometheus scraping it. The original is a Kong gateway on a Raspberry
Pi 4, with the figures that its owner gives.

**No Raspberry Pi was at hand.** Everything here (client, gateway, services, Prometheus) shares the one machine that is named below,
over its loopback, with other work going on beside it. Its processor is not that of a Pi: what can be compared is memory, and with care the order of
magnitude of the rest.
";

/// What a closet may take, in MB (of 1,000,000 bytes); of the binary for the machine of the run.
const MEMORY_BAR_MB: f64 = 25.0;
const MB_PER_MIB: f64 = 1.048_576;

const REMARKS: &str = "\
- The original does not say what its services take of the 27 ms, nor of how many cores its percentages are. The services here answer from
  memory, so that p95 is nearly all gateway, kernel and client. Time is counted from when a request was due, not from when it was sent.
- 723 Mbit/s are about what a Pi's network carries; here is none, but the loopback, and the readers and nginx share the processor.
- At the peak the gateway sleeps between requests, and one takes more CPU than at the higher rates of the month. The last row is CPU per
  request of the compressed month, times 2,000,000.
";

const QEMU_REMARK: &str = "\
- qemu translates every instruction: its CPU and latency say nothing of a Pi, and its memory holds qemu's own (the emulator and the code that
  it translated). It shows that the binary for a Pi does all of this, with the right answers.
";

const METHOD: &str = "\
The client is part of `./dev closet`: 16 kept connections, requests sent when they are due, each answer compared with what it has to be. CPU
and memory are those of the gateway's process in `/proc` (`VmRSS`, `VmHWM`). `./dev closet --page` makes this page again.
";

/// Of what was measured of one binary.
struct Measured<'a> {
    record: &'a Value,
    who: &'a str,
    /// As in the heads of columns.
    name: &'a str,
}

impl Measured<'_> {
    fn sample(&self, work: &str) -> Option<&Value> {
        let samples = self.record["samples"].as_array()?;
        samples.iter().find(|sample| sample["who"] == self.who && sample["work"] == work)
    }

    fn number(&self, work: &str, field: &str) -> Option<f64> {
        self.sample(work)?[field].as_f64()
    }

    /// CPU seconds in each second.
    fn cpu_percent(&self, work: &str) -> Option<f64> {
        Some(self.number(work, "cpu_s")? / self.number(work, "seconds")? * 100.0)
    }

    fn show(&self, work: &str, field: &str, unit: &str, digits: usize) -> String {
        shown(self.number(work, field), unit, digits)
    }
}

/// Writes the page.
pub(super) fn write() -> Result<()> {
    let record =
        samples::read(SAMPLES).context("`./dev closet` measures, `--page` only makes the page again")?;
    let all = [(NATIVE, "x86-64"), (EMULATED, "aarch64 under qemu")];
    let measured = all.into_iter().map(|(who, name)| Measured { record: &record, who, name });
    let measured: Vec<Measured> = measured.filter(|measured| measured.sample(STARTED).is_some()).collect();
    let mut page = HEAD.to_owned();
    page.push_str(&claims(&measured));
    page.push_str(&requests(&measured));
    page.push_str(&others(&measured));
    page.push_str(&dashboard(&record));
    page.push_str(&method(&record));
    fs::write(tree::root().join(PAGE), page).with_context(|| format!("writing {PAGE}"))?;
    say::line(format_args!("{PAGE} is written"));
    Ok(())
}

fn claims(measured: &[Measured]) -> String {
    let names: Vec<String> = measured.iter().map(|measured| format!("Tollgate, {}", measured.name)).collect();
    let heads = ["", "Kong, Raspberry Pi 4"].into_iter().chain(names.iter().map(String::as_str));
    let mut table = Table::new(&heads.collect::<Vec<_>>());
    let mut row = |what: &str, theirs: &str, of: &dyn Fn(&Measured) -> String| {
        table.row([what.to_owned(), theirs.to_owned()].into_iter().chain(measured.iter().map(of)));
    };
    row("memory, the most it was", "1.2 GB", &|m| m.show(A_MONTH, "most_mib", " MiB", 1));
    row(&format!("p95 at {PEAK} requests a second"), "27 ms", &|m| m.show(AT_PEAK, "p95_ms", " ms", 2));
    row(&format!("CPU at {PEAK} requests a second"), "18 to 22 %", &|m| {
        shown(m.cpu_percent(AT_PEAK), " % of one core", 1)
    });
    row("throughput of large files", "723 Mbit/s", &|m| m.show(FILES, "mbit_s", " Mbit/s", 0));
    row("CPU for a month's 2,000,000 requests", "–", &|m| {
        let cpu = m.number(A_MONTH, "us_per_request").map(|us| us * MONTH as f64 / 1e6);
        shown(cpu, " s of one core", 0)
    });
    let remark = if measured.len() > 1 { QEMU_REMARK } else { "" };
    format!("\n## Claims\n\n{}\n{}{REMARKS}{remark}", table.0, bar(measured))
}

/// What memory was to be, and whether it is.
fn bar(measured: &[Measured]) -> String {
    let native = measured.iter().find(|measured| measured.who == NATIVE);
    match native.and_then(|measured| measured.number(A_MONTH, "most_mib")) {
        Some(most) if most * MB_PER_MIB <= MEMORY_BAR_MB => {
            format!("- The bar for memory is {MEMORY_BAR_MB} MB: held.\n")
        }
        Some(_) => format!("- The bar for memory is {MEMORY_BAR_MB} MB: **missed**.\n"),
        None => String::new(),
    }
}

fn requests(measured: &[Measured]) -> String {
    let mut text = format!(
        "\n## Requests\n\nThe peak is {PEAK} requests a second, evenly. The month is 30 days of 24 hours, quiet at night and busy in the evening, with\n\
         weekends of 1.3 times a weekday; its busiest hour is {:.1} times its mean. It is compressed, so that its rates are far above the real\nones.\n\n",
        shape::busiest()
    );
    let parts: Vec<(&Measured, &str)> =
        measured.iter().flat_map(|measured| [AT_PEAK, A_MONTH].map(|work| (measured, work))).collect();
    let heads: Vec<String> =
        parts.iter().map(|(measured, work)| format!("{work}, {}", measured.name)).collect();
    let heads = std::iter::once("").chain(heads.iter().map(String::as_str));
    let mut table = Table::new(&heads.collect::<Vec<_>>());
    let mut row = |what: &str, of: &dyn Fn(&Measured, &str) -> String| {
        let cells = parts.iter().map(|(measured, work)| of(measured, work));
        table.row(std::iter::once(what.to_owned()).chain(cells));
    };
    row("requests", &|m, work| m.show(work, "requests", "", 0));
    row("one of so many of a real month's", &|m, work| match work {
        A_MONTH => m.show(work, "share", "", 0),
        _ => "–".into(),
    });
    row("seconds", &|m, work| m.show(work, "seconds", "", 0));
    row("wrong answers", &|m, work| m.show(work, "wrong", "", 0));
    row("without an answer", &|m, work| m.show(work, "failed", "", 0));
    for (percent, field) in [("p50", "p50_ms"), ("p95", "p95_ms"), ("p99", "p99_ms")] {
        row(&format!("{percent}, from when it was due"), &|m, work| m.show(work, field, " ms", 2));
    }
    row("p95, from when it was sent", &|m, work| m.show(work, "p95_sent_ms", " ms", 2));
    row("CPU per request", &|m, work| m.show(work, "us_per_request", " µs", 0));
    row("CPU", &|m, work| shown(m.cpu_percent(work), " % of one core", 1));
    row("load average of the machine after it", &|m, work| m.show(work, "load_average", "", 1));
    row("resident after it", &|m, work| m.show(work, "mib", " MiB", 1));
    let mut kinds = Table::new(&["kind", "share", "must be answered with"]);
    for (kind, share, status, holds) in KINDS {
        let holds = String::from_utf8_lossy(holds);
        kinds.row([kind.to_owned(), share.to_string(), format!("{status}, and `{holds}` in the body")]);
    }
    text.push_str(&table.0);
    text.push_str("\nOf a hundred requests, in no order and always the same:\n\n");
    text.push_str(&kinds.0);
    text
}

fn others(measured: &[Measured]) -> String {
    let heads = std::iter::once("").chain(measured.iter().map(|measured| measured.name));
    let mut table = Table::new(&heads.collect::<Vec<_>>());
    let mut row = |what: &str, of: &dyn Fn(&Measured) -> String| {
        table.row(std::iter::once(what.to_owned()).chain(measured.iter().map(of)));
    };
    row("resident, just started", &|m| m.show(STARTED, "mib", " MiB", 1));
    row(&format!("{RINGS}: let through"), &|m| {
        let of = |field| m.number(RINGS, field);
        match (of("passed"), of("least"), of("most")) {
            (Some(passed), Some(least), Some(most)) => {
                format!("{passed:.0}; {least:.0} to {most:.0} are right")
            }
            _ => "–".into(),
        }
    });
    row(WEBSOCKETS, &|m| match (m.number(WEBSOCKETS, "alive"), m.number(WEBSOCKETS, "opened")) {
        (Some(alive), Some(opened)) => format!("{alive:.0} of {opened:.0} at the end"),
        _ => "–".into(),
    });
    row(&format!("{FILES}, CPU"), &|m| shown(m.cpu_percent(FILES), " % of one core", 0));
    format!("\n## Beside them\n\n{}", table.0)
}

fn dashboard(record: &Value) -> String {
    let of = |who: &str| -> Vec<&Value> {
        let samples = record["samples"].as_array().map(Vec::as_slice).unwrap_or_default();
        samples.iter().filter(|sample| sample["who"] == who && sample["work"] == panels::PANEL).collect()
    };
    let with_data = |panels: &[&Value]| {
        let count =
            panels.iter().filter(|sample| sample["points"].as_u64().is_some_and(|points| points > 0)).count();
        format!("{count} of {}", panels.len())
    };
    let (lean, wide) = (of(NATIVE), of(WIDE));
    let mut table = Table::new(&["panel", "expression", "points, example", "points, everything on"]);
    for sample in &lean {
        let expression = sample["expression"].as_str().unwrap_or_default();
        let other = wide.iter().find(|other| other["expression"] == sample["expression"]);
        table.row([
            sample["title"].as_str().unwrap_or_default().to_owned(),
            format!("`{}`", brief(expression).replace('|', "\\|")),
            sample["points"].to_string(),
            other.map_or("–".into(), |other| other["points"].to_string()),
        ]);
    }
    let inside = |quantile: &str| {
        let fits = |sample: &&&Value| {
            let expression = sample["expression"].as_str().unwrap_or_default();
            expression.contains("overhead") && expression.contains(&format!("quantile({quantile},"))
        };
        let last = lean.iter().find(fits).and_then(|sample| sample["last"].as_f64());
        shown(last.map(|seconds| seconds * 1000.0), " ms", 2)
    };
    format!(
        "\n## Dashboard\n\nGrafana is in no Debian package, so the dashboard was not looked at. Each of its expressions was asked of the Prometheus of the \
         run, for its\nwhole time: {} gave points for the example as it stands. What gave none measures what the example does not use, or what should\n\
         not be. With Redis, a mirror, a script, records to an object store, traces, TLS and a target that is down added, {} did.\n\n{}\n\
         What Prometheus says at the end of the month of the time inside the gateway: p50 {}, p95 {}. Below 0.05 ms, where the first bucket of the\n\
         histogram ends, it can only guess.\n",
        with_data(&lean),
        with_data(&wide),
        table.0,
        inside("0.5"),
        inside("0.95")
    )
}

/// Without the matchers that every expression has.
fn brief(expression: &str) -> String {
    let matchers = ["job=~\"$job\"", "instance=~\"$instance\"", "route=~\"$route\""];
    let mut text = expression.to_owned();
    for matcher in matchers {
        text =
            text.replace(&format!("{matcher},"), "").replace(&format!(",{matcher}"), "").replace(matcher, "");
    }
    text.replace("{}", "")
}

fn method(record: &Value) -> String {
    let word = |name: &str| record[name].as_str().unwrap_or("–");
    let machine = |name: &str| record["machine"][name].as_str().unwrap_or("–");
    let version = |name: &str| record["versions"][name].as_str();
    let emulated = &record[EMULATED];
    let emulated = match emulated["version"].as_str() {
        Some(version) => format!(
            "Under `qemu-aarch64-static`: {version}, by `{}` on {}.",
            emulated["command"].as_str().unwrap_or("–"),
            emulated["date"].as_str().unwrap_or("–")
        ),
        None => "There was no binary for aarch64 at the time of this run: `./dev closet --aarch64 PATH` measures one under qemu beside it."
            .to_owned(),
    };
    format!(
        "\n## How\n\n`{}` on {}. Tollgate {}, Prometheus {}, on {} ({} cores, {}), Linux {}, {}.\n{emulated}\n\n{METHOD}",
        word("command"),
        word("date"),
        version("tollgate").unwrap_or("–"),
        version("prometheus").unwrap_or("–"),
        machine("processor"),
        record["machine"]["cores"],
        machine("memory"),
        machine("kernel"),
        machine("system"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_are_left_out() {
        assert_eq!(
            brief("rate(x{job=~\"$job\",instance=~\"$instance\",result=\"bad\"}[1m])"),
            "rate(x{result=\"bad\"}[1m])"
        );
        assert_eq!(brief("x{job=~\"$job\",instance=~\"$instance\"}"), "x");
    }
}
