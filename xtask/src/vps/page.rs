//! `docs/vps.md`, made from the samples alone: each claim of the original beside what was measured here.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::account::{DAY, EVENT, LIMIT};
use super::day::CLIENTS;
use super::mix::Kind;
use super::speed::{KNOWN, MEMORY, NEW, WITHOUT_SCRIPT};
use super::wrk::CONNECTIONS;
use super::{SAMPLES, events};
use crate::replay::samples;
use crate::replay::table::{Table, grouped, shown};
use crate::{say, tree};

const PAGE: &str = "docs/vps.md";

/// The original's figures.
const CLAIMED_PER_S: f64 = 6_000.0;
const CLAIMED_A_DAY: f64 = 500_000.0;
const CLAIMED_MB: f64 = 25.0;
const CLAIMED_IMAGE_MB: f64 = 15.0;
const MB_PER_MIB: f64 = 1.048_576;

const HEAD: &str = "# A small server, measured

Written by `./dev vps` from the samples in `bench/results/vps.json`; do not edit. What is measured is
[examples/vps](../examples/vps/README.md) as its one command starts it: two instances, tokens of three algorithms, limits shared in Redis, a
script in a sandbox, circuit breakers, three services, metrics and an access log. The original is a gateway in Rust (Tokio, Axum) on a 5-dollar
server that does the same, with the figures that its owner gives.

**No such server was at hand.** Everything here (clients, gateways, services, Redis) shares the one machine that is named below, a virtual
one with other work going on beside it, over its loopback. CPU per request is what can be compared, with care for the processor.
";

const CORE: &str = "
## One core

Instance 1 (`workers: 1`) has core 0 for itself, as far as the machine lets it; wrk, nginx and Redis share core 1. The busy route of the example:
a token is checked, the request counted for its owner (64 of them, a limit in Redis by leases), `stock.lua` sets a header and rewrites the JSON of the
answer, metrics count it and a record is written. Medians of the rounds, in parentheses the least and the most.
";

const CORE_REMARKS: &str = "
- Where core 0 is not busy, core 1 could not ask or answer faster. **What one core could serve** is then not measured but reckoned: a second
  divided by the CPU that a request took, the gateway's own, kernel included.
- Load average counts what waited for a processor, other work on the machine with it.
- A token that it has seen is looked up; with another one in each request (10,000, more than are remembered) each signature is checked, RS256 with
  2048 bits. The original says that it keeps keys, not that it keeps tokens: its figure is best put beside that row.
- The last column is the same route with the line `lua:` taken out, by an edit while it runs. In the others the body is read, decoded, changed and
  written again by the script.
";

/// The last run.
struct Run(Value);

impl Run {
    fn of<'a>(&'a self, work: &str) -> impl Iterator<Item = &'a Value> {
        self.0["samples"].as_array().into_iter().flatten().filter(move |sample| sample["work"] == work)
    }

    fn one(&self, work: &str) -> &Value {
        self.of(work).next().unwrap_or(&Value::Null)
    }

    /// Of the rounds of a work: median, least and most of a field.
    fn spread(&self, work: &str, field: &str) -> Option<[f64; 3]> {
        let mut values: Vec<f64> = self.of(work).filter_map(|sample| sample[field].as_f64()).collect();
        values.sort_by(f64::total_cmp);
        Some([*values.get(values.len() / 2)?, *values.first()?, *values.last()?])
    }
}

/// Writes the page.
pub(super) fn write() -> Result<()> {
    let record =
        samples::read(SAMPLES).context("`./dev vps` measures, `--page` only makes the page again")?;
    fs::write(tree::root().join(PAGE), page(record)).with_context(|| format!("writing {PAGE}"))?;
    say::line(format_args!("{PAGE} is written"));
    Ok(())
}

fn page(record: Value) -> String {
    let run = Run(record);
    [HEAD.to_owned(), claims(&run), one_core(&run), day(&run), around(&run), limits(&run), method(&run)]
        .concat()
}

fn claims(run: &Run) -> String {
    let mut table = Table::new(&["claim", "Tollgate, here", ""]);
    let mut row = |claim: &str, ours: String, held: Option<bool>| {
        let held = match held {
            Some(true) => "held",
            Some(false) => "**missed**",
            None => "",
        };
        table.row([claim.to_owned(), ours, held.to_owned()]);
    };
    let core = |work: &str| {
        let measured = run.spread(work, "per_s").map(|of| of[0]);
        let could = run.spread(work, "us_per_request").map(|of| 1e6 / of[0]);
        let text = format!("{} measured, {} one core could", shown(measured, "", 0), shown(could, "", 0));
        (text, measured.map(|measured| measured >= CLAIMED_PER_S))
    };
    let (text, held) = core(NEW);
    row("over 6,000 requests a second on one core", format!("{text}; each with another RS256 token"), held);
    let (text, held) = core(KNOWN);
    row("the same", format!("{text}; with tokens that it has seen"), held);
    let most = most_mib(run);
    row(
        "25 MB under load",
        format!("{} MiB, the most that an instance held", shown(most, "", 1)),
        most.map(|most| most * MB_PER_MIB <= CLAIMED_MB),
    );
    let day = run.one(DAY);
    let number = |field: &str| day[field].as_f64();
    let fine =
        number("unexplained").zip(number("wrong")).map(|(unexplained, wrong)| unexplained + wrong == 0.0);
    row(
        "500,000 requests a day",
        format!(
            "{} in {} s; {} wrong answers, {} failed, {} of them without a cause",
            shown(number("requests"), "", 0),
            shown(number("seconds"), "", 0),
            shown(number("wrong"), "", 0),
            shown(number("failed"), "", 0),
            shown(number("unexplained"), "", 0)
        ),
        fine.filter(|_| number("requests") >= Some(CLAIMED_A_DAY)),
    );
    row(
        "four months without downtime",
        "not measured; what was broken and changed meanwhile is [below](#what-happened-meanwhile)".into(),
        None,
    );
    let mb = run.0["binary_mb"].as_f64();
    row(
        "an image of 15 MB",
        format!("the binary alone is {}; the image: [install.md](install.md)", shown(mb, " MB", 1)),
        mb.map(|mb| mb <= CLAIMED_IMAGE_MB),
    );
    format!("\n## Claims\n\n{}", table.0)
}

/// Over both parts of the run.
fn most_mib(run: &Run) -> Option<f64> {
    let day = run.one(DAY)["most_mib"].as_array().into_iter().flatten().filter_map(Value::as_f64);
    run.one(MEMORY)["most_mib"].as_f64().into_iter().chain(day).max_by(f64::total_cmp)
}

fn one_core(run: &Run) -> String {
    let works = [KNOWN, NEW, WITHOUT_SCRIPT];
    let mut table = Table::new(&["", KNOWN, NEW, WITHOUT_SCRIPT]);
    let spread = |work: &str, field: &str, by: f64, digits: usize| {
        run.spread(work, field).map_or("–".to_owned(), |of| {
            let [median, least, most] = of.map(|value| grouped(value * by, digits));
            format!("{median} ({least} to {most})")
        })
    };
    let mut row = |what: &str, of: &dyn Fn(&str) -> String| {
        table.row(std::iter::once(what.to_owned()).chain(works.map(of)));
    };
    row("requests a second, measured", &|work| spread(work, "per_s", 1.0, 0));
    row("CPU per request, µs", &|work| spread(work, "us_per_request", 1.0, 1));
    row("requests a second that one core could serve", &|work| {
        shown(run.spread(work, "us_per_request").map(|of| 1e6 / of[0]), "", 0)
    });
    row("core 0 busy with it, %", &|work| spread(work, "busy", 100.0, 0));
    row(&format!("p50 of {CONNECTIONS} connections at full load, ms"), &|work| {
        spread(work, "p50_us", 1e-3, 2)
    });
    row("p99, ms", &|work| spread(work, "p99_us", 1e-3, 2));
    row("failed", &|work| {
        shown(run.of(work).map(|sample| sample["failed"].as_f64()).sum::<Option<f64>>(), "", 0)
    });
    row("load average of the machine", &|work| spread(work, "load_average", 1.0, 1));
    let memory = run.one(MEMORY);
    let rejected: Vec<String> = memory["rejected"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|line| line.contains("route=\"stock\""))
        .map(|line| format!("`{line}`"))
        .collect();
    let rejected = match &rejected[..] {
        [] => String::new(),
        some => format!(" Its metrics say of what failed: {}.", some.join(", ")),
    };
    let mib = |field: &str| shown(memory[field].as_f64(), " MiB", 1);
    format!(
        "{CORE}\n{}{CORE_REMARKS}\nResident: {} just started, {} after all of it (of which {} are memory of its own, the rest pages of its binary), \
         {} at most.{rejected}\n",
        table.0,
        mib("started_mib"),
        mib("mib"),
        mib("own_mib"),
        mib("most_mib")
    )
}

fn day(run: &Run) -> String {
    let day = run.one(DAY);
    let number = |field: &str| day[field].as_f64();
    let rate = number("requests").zip(number("seconds")).map(|(requests, seconds)| requests / seconds);
    let mut text = format!(
        "\n## A day\n\n{} requests, a day of the original's, in {} s: {} a second, evenly, by {CLIENTS} clients on kept connections, half of which begin \
         at either instance.\nEach answer is compared with what it has to be. Nothing is sent twice; who is refused a connection goes to the other instance.\n\n",
        shown(number("requests"), "", 0),
        shown(number("seconds"), "", 0),
        shown(rate, "", 0)
    );
    let mut table = Table::new(&["", "all of it", "before anything happened"]);
    let mut row = |what: &str, from: &str, field: &str| {
        let of = |part: &str| shown(day[part][from][field].as_f64(), " ms", 2);
        table.row([what.to_owned(), of("all"), of("quiet")]);
    };
    row("p50, from when it was due", "due", "p50_ms");
    row("p95, from when it was due", "due", "p95_ms");
    row("p99, from when it was due", "due", "p99_ms");
    row("p50, from when it was sent", "sent", "p50_ms");
    row("p95, from when it was sent", "sent", "p95_ms");
    row("p99, from when it was sent", "sent", "p99_ms");
    row("the longest, from when it was sent", "sent", "most_ms");
    text.push_str(&table.0);
    let most = |at: usize| shown(day["most_mib"][at].as_f64(), " MiB", 1);
    text.push_str(&format!(
        "\nBoth instances together took {} of CPU for each request in the {} s before anything happened. Resident at most: {} in instance 1, {} in instance 2. Load average \
         of the machine: {} before it, {} after it.\n\nOf a hundred requests, in no order and always the same:\n\n",
        shown(number("quiet_us_per_request"), " µs", 0),
        shown(number("quiet_seconds"), "", 0),
        most(0),
        most(1),
        shown(number("load_average_before"), "", 1),
        shown(number("load_average"), "", 1)
    ));
    let mut kinds = Table::new(&["kind", "share", "sent", "must be answered with"]);
    for kind in Kind::ALL {
        let (name, share) = kind.name_and_share();
        let (status, body) = kind.demand();
        let sent = shown(day["kinds"][name].as_f64(), "", 0);
        kinds.row([name.to_owned(), share.to_string(), sent, format!("{status}, {body}")]);
    }
    text.push_str(&kinds.0);
    text.push_str(
        "\nAll of them say who they are in headers that only the gateway may set; no answer showed them to be believed, or it would be wrong.\n",
    );
    text
}

const AROUND: &str = "
## What happened meanwhile

A request belongs to the event in whose time it ended. Only the service that is stopped may make requests fail: those that need it, with 502
until the circuits are open, 503 `circuit_open` until they are closed again, and `degraded` in health. Every other failure, and any at another
event, has no cause here and is a fault.

";

fn around(run: &Run) -> String {
    let mut table = Table::new(&[
        "event",
        "at",
        "noticed",
        "back after",
        "all well after",
        "requests",
        "failed",
        "how",
        "without a cause",
        "wrong",
    ]);
    for event in run.of(EVENT) {
        let ms = |field: &str| event[field].as_f64().map(|ms| ms / 1e3);
        let count = |field: &str| shown(event[field].as_f64(), "", 0);
        let noticed = match (event["noticed"].as_str(), ms("noticed_ms")) {
            (Some(how), after) => format!("{how} after {}", shown(after, " s", 2)),
            _ => "–".to_owned(),
        };
        let how = event["how"].as_object().into_iter().flatten();
        let how: Vec<String> = how.map(|(how, count)| format!("{count} times {how}")).collect();
        table.row([
            event["name"].as_str().unwrap_or("–").to_owned(),
            shown(event["at_s"].as_f64(), " s", 0),
            noticed,
            shown(ms("back_ms"), " s", 1),
            shown(ms("well_ms"), " s", 1),
            count("requests"),
            count("failed"),
            if how.is_empty() { "–".to_owned() } else { how.join(", ") },
            count("unexplained"),
            count("wrong"),
        ]);
    }
    format!(
        "{AROUND}{}\n\
         - After the edit answers say its edition: one that was asked for after both instances served it, and said the one before, would be wrong.\n\
         - While Redis is gone each instance enforces its half of the shared limits; nobody but those who ask too often is refused.\n\
         - In a hand-over the new process of the same binary gets the listening sockets, and the one before finishes what it has. A drain is \
         SIGTERM: who asks then is told so by `Connection: close`, and goes to the other instance.\n",
        table.0
    )
}

fn limits(run: &Run) -> String {
    let mut table = Table::new(&["", "asked", "passed", "may pass at most"]);
    for limit in run.of(LIMIT) {
        let count = |field: &str| shown(limit[field].as_f64(), "", 0);
        let kind = limit["kind"].as_str().unwrap_or("–").to_owned();
        table.row([kind, count("asked"), count("passed"), count("most")]);
    }
    let losses = run.of(LIMIT).find_map(|limit| limit["redis_losses"].as_u64()).unwrap_or_default();
    let losses = match losses {
        0 => String::new(),
        some => format!(
            " {some} times an instance lost Redis beside that, since an answer came too late on this machine: each time what had come back of its half may pass."
        ),
    };
    format!(
        "\n## Limits that are reached\n\nThe shared one is 100 a minute for one owner, over both instances. A full bucket at first, both halves when Redis \
         goes, a full one when it comes back\nempty, and a half in each of the two processes that come after others, until they have reached Redis, are the 400 that pass \
         beside it.{losses}\nThe other one is 10 a second for one address, 20 at once, in each instance, and begins anew in each new process.\n\n{}",
        table.0
    )
}

fn method(run: &Run) -> String {
    let Run(record) = run;
    let word = |place: &Value| place.as_str().unwrap_or("–").to_owned();
    let machine = &record["machine"];
    format!(
        "\n## How\n\n`{}` on {}. Tollgate {}, Redis {}, on {} ({} cores, {}), Linux {}, {}.{}\n\n\
         CPU and memory are those of the gateway's processes in `/proc` (`stat`; `VmHWM` for the most). The part on one core is asked by wrk, {CONNECTIONS} connections \
         with one request under way on each; the day by a client in `./dev vps` that sends requests when they are due. Events begin after {} s at least, and one does not begin before the one before it is \
         over. `./dev vps --page` makes this page again.\n",
        word(&record["command"]),
        word(&record["date"]),
        word(&record["versions"]["tollgate"]),
        word(&record["versions"]["redis"]),
        word(&machine["processor"]),
        machine["cores"],
        word(&machine["memory"]),
        word(&machine["kernel"]),
        word(&machine["system"]),
        priority(record),
        events::QUIET.as_secs(),
    )
}

/// Whether the run came before other work.
fn priority(record: &Value) -> &'static str {
    match record["scheduling"].as_str() {
        Some("real time") => {
            " Everything of the run, clients and services too, had real-time priority over the other work on the machine (`chrt -r 1 ./dev vps`)."
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The page that is committed is what the samples that are committed say.
    #[test]
    fn the_page_is_of_the_samples() {
        let read = |path: &str| fs::read_to_string(tree::root().join(path)).expect(path);
        let made = page(serde_json::from_str(&read(SAMPLES)).expect("JSON"));
        assert!(made == read(PAGE), "`./dev vps --page` makes it again");
    }

    #[test]
    fn a_claim_that_does_not_hold_is_told() {
        let said = |us: f64, per_s: f64, mib: f64, unexplained: u64| {
            let run = Run(json!({ "samples": [
                { "work": NEW, "us_per_request": us, "per_s": per_s },
                { "work": NEW, "us_per_request": us, "per_s": per_s + 500.0 },
                { "work": NEW, "us_per_request": us, "per_s": per_s - 500.0 },
                { "work": MEMORY, "most_mib": 1.0 },
                { "work": DAY, "requests": 500_000, "seconds": 2.0, "wrong": 0, "failed": 3, "unexplained": unexplained, "most_mib": [mib, 2.0] },
            ] }));
            claims(&run)
        };
        let good = said(50.0, 6_100.0, 23.0, 0);
        assert!(
            good.contains("| 6,100 measured, 20,000 one core could; each with another RS256 token | held |"),
            "{good}"
        );
        assert!(good.contains("| 23.0 MiB, the most that an instance held | held |"), "{good}");
        assert!(good.contains("0 wrong answers, 3 failed, 0 of them without a cause | held |"), "{good}");
        assert!(!good.contains("missed"), "{good}");
        assert!(said(50.0, 5_900.0, 23.0, 0).contains("another RS256 token | **missed** |"));
        assert!(said(50.0, 6_100.0, 24.0, 0).contains("held | **missed** |"));
        assert!(said(50.0, 6_100.0, 23.0, 1).contains("1 of them without a cause | **missed** |"));
    }
}
