//! P10: from exec to the first answer through the contestant.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use super::Args;
use super::contestant::{Kind, Site};
use super::held::get;
use super::process::{Running, free_port, wait_for};
use super::results::Results;
use crate::say;

const ROUTES: usize = 100;

/// A start is short, so it is repeated more often than a round of load.
const STARTS_PER_ROUND: usize = 4;

/// Starts every contestant again and again.
pub(super) fn run(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    for round in 1..=args.rounds * STARTS_PER_ROUND {
        for kind in site.kinds() {
            let millis = start_once(site, args, kind)?;
            say::line(format_args!("start {round:2}  {:<10} {millis:8.1} ms", kind.name()));
            results.push(json!({ "who": kind.name(), "work": "first answer", "round": round, "ms": millis }));
        }
    }
    Ok(())
}

fn start_once(site: &Site, args: &Args, kind: Kind) -> Result<f64> {
    let (port, admin) = (free_port()?, free_port()?);
    let config = site.config(kind, kind.name(), port, admin, site.origin_port(), ROUTES)?;
    let command = site.command(kind, &config)?;
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let begun = Instant::now();
    let _process = Running::start(kind.name(), args.core, &command, site.dir())?;
    wait_for("the first answer", Duration::from_secs(10), || {
        Ok(get(port, "/service-7/items/42").is_ok_and(|status| status == 200))
    })?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}
