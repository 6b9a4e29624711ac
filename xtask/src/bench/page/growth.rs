//! How costs grow: plots of CPU over what grows, and the table of one worker and two.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};

use super::super::curves::{OF_BODIES, OF_HEADERS, OF_ROUTES, OF_UPSTREAMS};
use super::super::workers::{ONE, TWO};
use super::{Record, median, times};
use crate::plot::{COLOURS, Line, Panel, svg};
use crate::tree;

/// Beside the page.
const PLOT: &str = "benchmarks-curves.svg";

/// From here on a body's cost is told for each MiB of it.
const LONG: u64 = 64 << 10;

pub(super) fn curves(record: &Record) -> Result<String> {
    let log = |title: &str, x: &str, lines| Panel { title: title.into(), x: x.into(), log: true, lines };
    let ours = |work| vec![line(record, "tollgate", work, |_| true, |_, micros| micros)];
    let both = |work, at: fn(u64) -> bool, value: fn(u64, f64) -> f64| {
        vec![line(record, "tollgate", work, at, value), line(record, "nginx", work, at, value)]
    };
    let panels = [
        log("CPU µs per request", "routes", ours(OF_ROUTES)),
        log("CPU µs per request", "upstreams, each with a route", ours(OF_UPSTREAMS)),
        log(
            "CPU µs per request",
            "headers of the request, 20 bytes each",
            both(OF_HEADERS, |_| true, |_, micros| micros),
        ),
        log(
            "CPU µs per request",
            "bytes of the answer",
            both(OF_BODIES, |bytes| bytes <= LONG, |_, micros| micros),
        ),
        log(
            "CPU µs per MiB",
            "bytes of the answer",
            both(OF_BODIES, |bytes| bytes >= LONG, |bytes, micros| micros * (1 << 20) as f64 / bytes as f64),
        ),
    ];
    fs::write(tree::root().join("docs").join(PLOT), svg(&panels))
        .with_context(|| format!("writing {PLOT}"))?;
    let mut text = format!(
        "![CPU over routes, upstreams, headers and bodies]({PLOT})\n\nMedians. Each route, upstream or header is met in turn.\n\n\
         | what grows | CPU µs per request |\n|---|---|\n"
    );
    for (who, work) in [
        ("tollgate", OF_ROUTES),
        ("tollgate", OF_UPSTREAMS),
        ("tollgate", OF_HEADERS),
        ("nginx", OF_HEADERS),
        ("tollgate", OF_BODIES),
        ("nginx", OF_BODIES),
    ] {
        let cells: Vec<String> =
            points(record, who, work).into_iter().map(|(at, micros)| format!("{at}: {micros:.1}")).collect();
        writeln!(text, "| {who}, {work} | {} |", cells.join(", "))?;
    }
    Ok(text)
}

pub(super) fn workers(record: &Record) -> Result<String> {
    let mut text = String::from(
        "Both on the same two cores, one of which the load and the origin share: the figure is what a worker more costs each \
         request, and says nothing of throughput.\n\n| | CPU µs per request |\n|---|---|\n",
    );
    for (who, work) in [("one", ONE), ("two", TWO)] {
        let micros = record.median(who, work, "us_per_request");
        writeln!(text, "| {work} | {} |", micros.map_or("–".into(), |micros| format!("{micros:.1}")))?;
    }
    let ratio = record.ratio_between(("two", TWO), ("one", ONE), "us_per_request");
    writeln!(text, "\nTwo beside one, median of the rounds: {}.", times(ratio))?;
    Ok(text)
}

fn line(
    record: &Record,
    who: &'static str,
    work: &str,
    at: impl Fn(u64) -> bool,
    value: impl Fn(u64, f64) -> f64,
) -> Line {
    let points = points(record, who, work).into_iter().filter(|(place, _)| at(*place));
    let points = points.map(|(place, micros)| (place as f64, value(place, micros))).collect();
    Line { name: who, colour: if who == "tollgate" { COLOURS[0] } else { COLOURS[1] }, points }
}

/// Medians over the rounds, by place.
fn points(record: &Record, who: &str, work: &str) -> Vec<(u64, f64)> {
    let mut places: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    let samples = record.0["samples"].as_array().map(Vec::as_slice).unwrap_or_default();
    for sample in samples.iter().filter(|sample| sample["who"] == who && sample["work"] == work) {
        if let (Some(at), Some(micros)) = (sample["at"].as_u64(), sample["us_per_request"].as_f64()) {
            places.entry(at).or_default().push(micros);
        }
    }
    places.into_iter().filter_map(|(at, values)| Some((at, median(values)?))).collect()
}
