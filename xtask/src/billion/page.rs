//! `docs/billion.md`, made from the results alone: what its own people say of such a system beside what was measured.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::RESULTS;
use super::zones::ZONES;
use crate::{say, tree};

const PAGE: &str = "docs/billion.md";

const HEAD: &str = "# A billion requests: what was measured

Written by `./dev billion` from `bench/results/billion.json`; do not edit. The system is
[examples/billion](../examples/billion/README.md): HAProxy (TCP mode, PROXY protocol version 2) before three gateways in three network
namespaces, RS256 tokens, limits in Redis, access records in batches to an S3 endpoint, a notice of interruption for each zone. One
machine is all of it at once, the clients included. There is no network between machines in these figures.

Clients know every answer: zone, path, owner of the token and address of the client stand in the body; every hundredth request has no
token, another hundredth one with a changed signature, and a tenth reaches for a limit that allows less. **Nothing is tried twice** by the clients; a quarter of the requests
comes on a connection of its own, the others on kept ones. HAProxy tries again only what it could not connect.
";

/// A month's billion may have so many failures at 99.99%.
const FAILURES_A_MONTH: f64 = 100_000.0;

/// Writes the page.
pub(super) fn write() -> Result<()> {
    let text =
        fs::read_to_string(tree::root().join(RESULTS)).with_context(|| format!("reading {RESULTS}"))?;
    let page = page(&serde_json::from_str(&text).with_context(|| format!("reading {RESULTS}"))?)?;
    fs::write(tree::root().join(PAGE), page).with_context(|| format!("writing {PAGE}"))?;
    say::line(format_args!("{PAGE} is written"));
    Ok(())
}

fn page(results: &Value) -> Result<String> {
    let mut page = HEAD.to_owned();
    claims(&mut page, results)?;
    events(&mut page, results)?;
    latency(&mut page, results)?;
    memory(&mut page, results)?;
    limit(&mut page, &results["limit"])?;
    records(&mut page, &results["records"])?;
    let machine = &results["machine"];
    writeln!(
        page,
        "\n{}, `{}{}`, as root, on {} ({} cores), Linux {}, {}. {}, {}, Redis {}; `{}` answers as S3, which checks no signatures.",
        text(&results["date"]),
        if results["scheduling"] == "real time" { "chrt --rr 1 " } else { "" },
        text(&results["command"]),
        text(&machine["processor"]),
        machine["cores"],
        text(&machine["kernel"]),
        text(&machine["system"]),
        text(&results["versions"]["haproxy"]).split(" - ").next().unwrap_or_default(),
        text(&results["versions"]["nginx"]).replace("nginx version: ", ""),
        text(&results["versions"]["redis"]).rsplit('=').next().unwrap_or_default(),
        text(&results["versions"]["store"]),
    )?;
    writeln!(page, "The gateway is {}.", text(&results["versions"]["tollgate"]))?;
    Ok(page)
}

fn claims(page: &mut String, results: &Value) -> Result<()> {
    let (requests, crowd) = (&results["requests"], &results["memory"]["crowd"]["gateways"]);
    let (known, fresh) = (&results["in_gateway"]["known token"], &results["in_gateway"]["new token"]);
    let largest = ZONES.iter().map(|zone| number(&crowd[zone]["resident_kib"])).fold(0.0, f64::max) / 1024.0;
    let at_once = ZONES.iter().map(|zone| number(&crowd[zone]["at_once"])).fold(f64::MAX, f64::min);
    let verdict = |holds: bool| if holds { "held" } else { "**missed**" };
    page.push_str("\n## The original's claims\n\n| claim | measured here | |\n|---|---|---|\n");
    writeln!(
        page,
        "| under 5 ms for JWT validation and rate limiting | the whole request in the gateway, the service included: {} ms at the 99th \
         percentile with a token that is known, {} ms with one that no gateway has seen; {} and {} of them under 5 ms | {} |",
        known["p99_ms"],
        fresh["p99_ms"],
        percent(&known["under_5_ms"], 2),
        percent(&fresh["under_5_ms"], 2),
        verdict(number(&known["p99_ms"]).max(number(&fresh["p99_ms"])) < 5.0)
    )?;
    writeln!(
        page,
        "| under 128 MB with thousands of concurrent requests | {largest:.1} MiB resident in the largest gateway, at least {at_once:.0} \
         requests in flight in each | {} |",
        verdict(largest * 1.048576 < 128.0 && at_once >= 1_000.0)
    )?;
    for (what, names) in [
        (
            "machines taken back with a notice, Redis lost, the store lost",
            &["spot notice", "Redis lost", "object store hangs"][..],
        ),
        (
            "all of it, `kill -9` and silent zones too",
            &["kill -9", "network cut", "spot notice", "Redis lost", "object store hangs"],
        ),
    ] {
        let of = || happened(results).filter(|event| names.iter().any(|name| event["name"] == *name));
        let sum = |name: &str| of().map(|event| number(&event[name])).sum::<f64>();
        let availability = 1.0 - sum("failed") / sum("requests").max(1.0);
        writeln!(
            page,
            "| 99.99% uptime: {what} | {:.4}%: {:.0} of {:.0} requests around {} events failed | {} |",
            availability * 100.0,
            sum("failed"),
            sum("requests"),
            of().count(),
            verdict(availability >= 0.9999)
        )?;
    }
    writeln!(
        page,
        "| $0.00004 per thousand requests | not measured here: [cost.md](cost.md) reckons it | |\n\n\
         {} requests in {:.0} s, of which {} were answered 401 and {} 429, as they had to be; {} answers were wrong, {} requests failed. Something happens \
         every {:.0} seconds: what a month may have of it is [below](#what-failed-by-event).",
        requests["all"],
        number(&requests["seconds"]),
        requests["refused with 401"],
        requests["refused with 429"],
        requests["wrong"],
        requests["failed"],
        number(&requests["seconds"]) / happened(results).count().max(1) as f64
    )?;
    Ok(())
}

/// What happened, without the time in which nothing did.
fn happened(results: &Value) -> impl Iterator<Item = &Value> {
    results["events"].as_array().into_iter().flatten().filter(|event| event["name"] != "nothing")
}

fn events(page: &mut String, results: &Value) -> Result<()> {
    page.push_str(
        "\n## What failed, by event\n\nUnder way: requests that were sent and not answered when it happened, to that zone or not known \
         where. Noticed: until HAProxy gave the gateway nothing new (a drain) or ended its connections (the others).\n\n\
         | event | zone | requests around it | under way | failed | how | noticed after | HAProxy said | without cause |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for event in results["events"].as_array().into_iter().flatten() {
        let kinds = event["failures"]["kinds"].as_object().into_iter().flatten();
        let kinds: Vec<String> = kinds.map(|(how, count)| format!("{count} {how}")).collect();
        let noticed = event["noticed_ms"].as_f64().map_or("–".into(), |millis| format!("{millis:.0} ms"));
        writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {noticed} | {} | {} |",
            text(&event["name"]),
            event["zone"].as_str().unwrap_or("–"),
            event["requests"],
            event["under_way"].as_u64().map_or("–".into(), |count| count.to_string()),
            event["failed"],
            if kinds.is_empty() { "–".into() } else { kinds.join(", ") },
            event["balancer_said"].as_str().unwrap_or("–"),
            event["unexplained"],
        )?;
    }
    page.push_str(
        "\n`kill -9` takes with it what the process has in hand. A zone that is cut off is silent: until HAProxy has asked three times \
         in vain, what goes there waits, and is then ended; what could not even connect within a fifth of a second has gone elsewhere by then. \
         Drains, Redis and the object store cost no request. What a client may repeat (these are GET: RFC 9110 section \
         9.2.2) is counted as failed all the same.\n",
    );
    let worst = |name: &str| {
        let of = happened(results).filter(|event| event["name"] == name);
        of.map(|event| number(&event["failed"])).fold(0.0, f64::max)
    };
    let rate = number(&results["latency"]["requests"]) / number(&results["latency"]["seconds"]).max(1.0);
    let (kill, cut) = (worst("kill -9"), worst("network cut"));
    writeln!(
        page,
        "\nBoth costs grow with the rate, here {rate:.0} requests a second. A billion requests a month are 381 a second, and 99.99% of them leave \
         {FAILURES_A_MONTH:.0} to fail. At the worst figures of this run ({kill:.0} for a kill, {cut:.0} for a cut) that is {} kills or {} cuts a \
         month.",
        times(kill),
        times(cut),
    )?;
    Ok(())
}

/// How often something that costs so many requests may happen in a month.
fn times(cost: f64) -> String {
    if cost == 0.0 { "any number of".into() } else { format!("{:.0}", FAILURES_A_MONTH / cost) }
}

fn latency(page: &mut String, results: &Value) -> Result<()> {
    let (latency, in_gateway) = (&results["latency"], &results["in_gateway"]);
    writeln!(
        page,
        "\n## Latency\n\n{} requests in {:.0} s while nothing happened. In the gateway: `duration_ms` of the access records, from the first byte of \
         the head to the last of the answer, with what the service takes: more than token and limits. For clients: through HAProxy, \
         gateway and service, until the last byte. The machine was idle for {} of the time (load average before the run, of other work: {}{}); the \
         three gateways used {:.0} µs of CPU for each request.\n",
        latency["requests"],
        number(&latency["seconds"]),
        percent(&latency["machine_idle"], 0),
        results["load_average_before"],
        if results["scheduling"] == "real time" {
            "; everything of the run had real-time priority over it"
        } else {
            ""
        },
        number(&latency["gateways_cpu_us_per_request"]),
    )?;
    page.push_str("| milliseconds | requests | p50 | p99 | p99.9 | most |\n|---|---|---|---|---|---|\n");
    for (where_, place, names) in [
        ("in the gateway", in_gateway, &["known token", "new token", "no token", "forged token"][..]),
        (
            "for clients",
            latency,
            &["known token, kept connection", "known token, new connection", "new token, kept connection"],
        ),
    ] {
        for name in names {
            let of = &place[name];
            writeln!(
                page,
                "| {where_}: {name} | {} | {} | {} | {} | {} |",
                of["count"], of["p50_ms"], of["p99_ms"], of["p999_ms"], of["most_ms"]
            )?;
        }
    }
    Ok(())
}

fn memory(page: &mut String, results: &Value) -> Result<()> {
    let crowd = &results["memory"]["crowd"];
    writeln!(
        page,
        "\n## Memory\n\n{} requests at once through HAProxy, a third for each gateway, each with a token, each waiting for the service; \
         afterwards {} of them were without their answer. `VmRSS` in MiB, in parentheses `Pss`, in which what gateways share \
         is counted once. `limits.memory` is 128 MiB.\n\n| zone | started | after the load | requests in flight | with them |\n|---|---|---|---|---|",
        crowd["requests"], crowd["failed"]
    )?;
    let held = |place: &Value| {
        let mib = |name: &str| number(&place[name]) / 1024.0;
        format!("{:.1} ({:.1})", mib("resident_kib"), mib("proportional_kib"))
    };
    for zone in ZONES {
        let memory = &results["memory"];
        writeln!(
            page,
            "| {zone} | {} | {} | {} | {} |",
            held(&memory["idle"][zone]),
            held(&memory["after load"][zone]),
            crowd["gateways"][zone]["at_once"],
            held(&crowd["gateways"][zone])
        )?;
    }
    Ok(())
}

fn limit(page: &mut String, limit: &Value) -> Result<()> {
    writeln!(
        page,
        "\n## A limit over three zones\n\nOne owner of tokens asks more than the {} a second that `reports` allows, on connections that HAProxy \
         deals to all gateways. When Redis goes, each begins with a full bucket of its own; when it comes back it is empty, which is full \
         buckets too: up to {} more may pass, each time once.\n\n\
         | | seconds | asked per second | passed per second |\n|---|---|---|---|",
        limit["allowed_per_second"], limit["allowed_per_second"]
    )?;
    for when in ["while nothing happens", "while Redis is gone", "after it came back"] {
        let of = &limit[when];
        writeln!(
            page,
            "| {when} | {:.0} | {:.1} | {:.1} |",
            number(&of["seconds"]),
            number(&of["asked_per_second"]),
            number(&of["passed_per_second"])
        )?;
    }
    Ok(())
}

fn records(page: &mut String, records: &Value) -> Result<()> {
    page.push_str(
        "\n## Access records\n\nAfter the last event every gateway is drained, and `tollgate logs` reads the bucket. Every answer that a client \
         got is looked for by its number.\n\n| | |\n|---|---|\n",
    );
    for (what, name) in [
        ("answers", "answered"),
        ("of them with a record", "with_a_record"),
        ("lost to a `kill -9`: not yet in the spool", "lost_to_kills"),
        ("missing without such a cause", "missing_unexplained"),
        ("records that a gateway says it dropped", "dropped"),
        ("requests with two records", "twice"),
        ("records of requests whose client got no answer", "without_an_answer"),
        ("answers of the requests at once, and their records", "crowd_answered"),
    ] {
        match name {
            "crowd_answered" => {
                writeln!(page, "| {what} | {}, {} |", records[name], records["crowd_with_a_record"])?
            }
            _ => writeln!(page, "| {what} | {} |", records[name])?,
        }
    }
    writeln!(
        page,
        "\nThe oldest record that one of {} kills took was of an answer {} ms before it: records are handed to the spool ten times a second \
         ([logs.md](logs.md#what-is-lost-and-when)). What is in the spool is sent by the gateway that comes after, also when the store \
         did not answer meanwhile.",
        records["kills"], records["oldest_lost_ms"]
    )?;
    Ok(())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn percent(value: &Value, digits: usize) -> String {
    format!("{:.digits$}%", number(value) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page that is committed is what the results that are committed say.
    #[test]
    fn the_page_is_of_the_results() {
        let read = |path: &str| fs::read_to_string(tree::root().join(path)).expect(path);
        let made = page(&serde_json::from_str(&read(RESULTS)).expect("JSON")).expect("a page");
        assert!(made == read(PAGE), "`./dev billion --page` makes it again");
    }
}
