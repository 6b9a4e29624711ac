//! Latency at half load: the 99th and 99.9th of a hundred and of a thousand, beside the peers.

use anyhow::Result;
use serde_json::json;

use super::Args;
use super::contestant::Site;
use super::load::{self, Load};
use super::open_loop;
use super::results::Results;
use crate::say;

/// As in tables.
pub(super) const WORK: &str = "1 KB, half load";

/// The same requests without anybody between: what the generator and the origin take by themselves.
pub(super) const ALONE: &str = "nobody between";

/// Seconds of the closed loop that finds what each of them can do at most.
const SEARCH_SECONDS: u64 = 2;

/// Rates are round figures.
const ROUND_TO: u64 = 100;

/// Half of what the slowest can do, for all of them.
pub(super) fn run(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    let contestants = site.start_all()?;
    let mut slowest = f64::INFINITY;
    for who in &contestants {
        load::send(site, who.port, &Load::get("/"), 1)?;
        let counted = load::send(site, who.port, &Load::get("/"), SEARCH_SECONDS)?;
        let rate = counted.requests / counted.seconds;
        say::line(format_args!("{:<14} {rate:8.0} requests/s at most", who.name));
        slowest = slowest.min(rate);
    }
    let rate = ((slowest / 2.0) as u64 / ROUND_TO * ROUND_TO).max(ROUND_TO);
    let all: Vec<(&str, u16)> = contestants
        .iter()
        .map(|who| (who.name.as_str(), who.port))
        .chain([(ALONE, site.origin_port())])
        .collect();
    for round in 1..=args.rounds {
        for (who, port) in &all {
            let found = open_loop::send(site, *port, rate, args.seconds)?;
            say::line(format_args!(
                "round {round}  {:<14} {rate} requests/s: p50 {:.0} µs, p99 {:.0}, p99.9 {:.0}, {} failed",
                who, found.p50, found.p99, found.p999, found.failed
            ));
            results.push(json!({
                "who": who, "work": WORK, "round": round, "rate": rate, "requests": found.requests,
                "failed": found.failed, "p50_us": found.p50, "p99_us": found.p99, "p999_us": found.p999,
                "max_us": found.most,
            }));
        }
    }
    Ok(())
}
