//! P1: plain proxying. Also the turns that other cases take: rounds of load with CPU accounted.

use std::fs::File;

use anyhow::Result;
use serde_json::{Value, json};

use super::Args;
use super::contestant::{Contestant, Site};
use super::load::{Load, send};
use super::results::Results;
use crate::say;

/// 1 KB answers over 64 keep-alive connections.
pub(super) fn run(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    let contestants = site.start_all()?;
    let turns: Vec<Turn> =
        contestants.iter().map(|who| Turn { who, work: "1 KB", load: Load::get("/") }).collect();
    take(site, args, &turns, results)
}

/// One contestant's work in each round.
pub(super) struct Turn<'a> {
    /// Who.
    pub(super) who: &'a Contestant,
    /// As in tables.
    pub(super) work: &'static str,
    /// What is sent.
    pub(super) load: Load,
}

/// Lets everyone warm up, then measures in rounds; one sample for each turn of each round.
pub(super) fn take(site: &Site, args: &Args, turns: &[Turn<'_>], results: &mut Results) -> Result<()> {
    for turn in turns {
        send(site, turn.who.port, &turn.load, 1)?;
    }
    for round in 1..=args.rounds {
        for turn in turns {
            results.push(sample(site, args, turn, round)?);
        }
    }
    Ok(())
}

/// One turn of one round.
pub(super) fn sample(site: &Site, args: &Args, turn: &Turn<'_>, round: usize) -> Result<Value> {
    let before = turn.who.process.cpu_seconds()?;
    let counted = send(site, turn.who.port, &turn.load, args.seconds)?;
    let cpu = turn.who.process.cpu_seconds()? - before;
    let micros = cpu * 1e6 / counted.requests.max(1.0);
    say::line(format_args!(
        "round {round}  {:<14} {:<14} {micros:8.2} µs/request  {:8.0} requests/s  {:.0} failed",
        turn.who.name,
        turn.work,
        counted.requests / counted.seconds,
        counted.failed,
    ));
    if let Some(log) = &turn.who.log {
        // It is opened for appending, so that it goes on from the start.
        File::options().write(true).open(log)?.set_len(0)?;
    }
    Ok(json!({
        "who": turn.who.name, "work": turn.work, "round": round,
        "requests": counted.requests, "seconds": counted.seconds, "failed": counted.failed,
        "cpu_seconds": cpu, "us_per_request": micros, "p50_us": counted.p50_us, "p99_us": counted.p99_us,
    }))
}
