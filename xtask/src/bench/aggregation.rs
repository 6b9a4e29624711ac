//! P6 and a long document: what it costs to make one answer of several.

use std::io::Write;
use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::json;

use super::Args;
use super::contestant::{Contestant, Kind, Site};
use super::held::{connect, get_text, read_answer};
use super::load::Load;
use super::paced::PacedOrigin;
use super::plain::{Turn, take};
use super::results::Results;
use crate::say;

/// As in tables.
pub(super) const PLAIN: &str = "plain proxying";
pub(super) const FOUR: &str = "4 parts";
pub(super) const LONG: &str = "1 MiB of JSON";
pub(super) const SLOWEST: &str = "slowest part alone";

/// The part that takes longest; the milliseconds stand in the paths of `tollgate-aggregate.yaml`.
const SLOWEST_PART: &str = "/parts/20";

/// Requests of a round, one after the other, whose median counts.
const IN_TURN: usize = 100;

/// P6: four parts of 256 B beside plain proxying in CPU, then their latency beside that of the slowest part.
pub(super) fn four_parts(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    if site.gateway().is_none() {
        say::line("needs the gateway: left out");
        return Ok(());
    }
    let plain = site.start(Kind::Tollgate, "tollgate", site.origin_port(), 1)?;
    let four = aggregate(site, "aggregate", site.origin_port())?;
    let merged: serde_json::Value = serde_json::from_str(&get_text(four.port, "/")?)?;
    if merged.as_object().map(serde_json::Map::len) != Some(4) {
        bail!("this is not four parts in one: {merged}");
    }
    let turns = [
        Turn { who: &plain, work: PLAIN, load: Load::get("/") },
        Turn { who: &four, work: FOUR, load: Load::get("/") },
    ];
    take(site, args, &turns, results)?;
    latency(site, args, results)
}

/// A document of 1 MiB, of which each element of its list keeps two members, merged with a small one.
pub(super) fn long_document(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    if site.gateway().is_none() {
        say::line("needs the gateway: left out");
        return Ok(());
    }
    let who = site.start_gateway("merge", "tollgate-merge.yaml", &[])?;
    let merged: serde_json::Value = serde_json::from_str(&get_text(who.port, "/")?)?;
    let (first, other) = (&merged["items"][0], &merged["owner"]["name"]);
    if *first != json!({ "id": 0, "name": "name of 0" }) || *other != json!("Ann") {
        bail!("this is not the document picked and merged: {first}, {other}");
    }
    let load = Load { connections: 4, ..Load::get("/") };
    take(site, args, &[Turn { who: &who, work: LONG, load }], results)
}

/// One request after the other: the aggregate of parts that take 5 to 20 ms, and the slowest of them without a gateway.
fn latency(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    let origin = PacedOrigin::start()?;
    let who = aggregate(site, "paced", origin.port)?;
    for round in 1..=args.rounds {
        for (name, work, port, path) in
            [("origin", SLOWEST, origin.port, SLOWEST_PART), ("aggregate", FOUR, who.port, "/")]
        {
            let millis = median_millis(port, path)?;
            say::line(format_args!("round {round}  {work:<20} {millis:8.2} ms"));
            results.push(json!({ "who": name, "work": work, "round": round, "ms": millis }));
        }
    }
    Ok(())
}

fn median_millis(port: u16, path: &str) -> Result<f64> {
    let mut stream = connect(port)?;
    stream.set_nodelay(true)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench.example\r\n\r\n");
    let mut millis = Vec::with_capacity(IN_TURN);
    for _ in 0..IN_TURN {
        let begun = Instant::now();
        stream.write_all(request.as_bytes())?;
        let status = read_answer(&mut stream)?;
        if status != 200 {
            bail!("{path}: {status}");
        }
        millis.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    millis.sort_by(f64::total_cmp);
    Ok(millis[IN_TURN / 2])
}

fn aggregate(site: &Site, name: &str, parts: u16) -> Result<Contestant> {
    site.start_gateway(name, "tollgate-aggregate.yaml", &[("PARTS", &parts.to_string())])
}
