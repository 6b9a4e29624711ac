//! What a second worker costs: CPU per request with one and with two, on the same two cores.

use std::fs;

use anyhow::{Result, bail};

use super::Args;
use super::contestant::{Contestant, Kind, Site};
use super::load::Load;
use super::plain::{Turn, take};
use super::process::free_port;
use super::results::Results;
use crate::say;

/// As in tables.
pub(super) const ONE: &str = "1 worker";
pub(super) const TWO: &str = "2 workers";

/// The load keeps its core, which the second worker shares: throughput would say nothing, and is not looked at.
pub(super) fn run(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    if site.gateway().is_none() {
        say::line("needs the gateway: left out");
        return Ok(());
    }
    let (one, two) = (start(site, "one", 1)?, start(site, "two", 2)?);
    let turns = [
        Turn { who: &one, work: ONE, load: Load::get("/") },
        Turn { who: &two, work: TWO, load: Load::get("/") },
    ];
    take(site, args, &turns, results)
}

fn start(site: &Site, name: &str, workers: usize) -> Result<Contestant> {
    let (port, admin) = (free_port()?, free_port()?);
    let config = site.config(Kind::Tollgate, name, port, admin, site.origin_port(), 1)?;
    let text = fs::read_to_string(&config)?;
    if !text.contains("workers: 1\n") {
        bail!("{} has no `workers: 1` any more", config.display());
    }
    fs::write(&config, text.replace("workers: 1\n", &format!("workers: {workers}\n")))?;
    site.run_on(&[site.core, site.load_core], Kind::Tollgate, name, (port, admin), config)
}
