//! P4: what the number of routes costs, and reloading many of them.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::Args;
use super::contestant::{Contestant, Kind, Site};
use super::held::get_text;
use super::load::{Load, send};
use super::plain::{Turn, take};
use super::process::{hold, look_every};
use super::results::Results;
use crate::say;

const FEW: usize = 10;
const MANY: usize = 10_000;

/// Between two reloads under load.
const RELOAD_PAUSE: Duration = Duration::from_millis(500);

/// Between two looks whether a reload is done: each takes the gateway's own core for a while.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// CPU with few and with many routes, then reloads of many, idle and under load. The peers take no part.
pub(super) fn run(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    if site.gateway().is_none() {
        say::line("needs the gateway: left out");
        return Ok(());
    }
    let few = site.start(Kind::Tollgate, "few", site.origin_port(), FEW)?;
    let many = site.start(Kind::Tollgate, "many", site.origin_port(), MANY)?;
    let load = |count| Load { script: Some("routes.lua"), count, ..Load::get("/") };
    let turns = [
        Turn { who: &few, work: "10 routes", load: load(FEW) },
        Turn { who: &many, work: "10,000 routes", load: load(MANY) },
    ];
    take(site, args, &turns, results)?;
    drop(few);

    for round in 1..=args.rounds {
        let before = many.process.cpu_seconds()?;
        let millis = reload(&many, round)?;
        let cpu = (many.process.cpu_seconds()? - before) * 1e3;
        say::line(format_args!(
            "round {round}  reload of {MANY} routes, idle: {millis:.1} ms, CPU {cpu:.0} ms"
        ));
        results.push(
            json!({ "who": "many", "work": "reload, idle", "round": round, "ms": millis, "cpu_ms": cpu }),
        );
    }
    under_load(site, args, &many, results)
}

/// Reloads again and again while wrk sends; what failed is counted by wrk.
fn under_load(site: &Site, args: &Args, many: &Contestant, results: &mut Results) -> Result<()> {
    let load = Load { script: Some("routes.lua"), count: MANY, ..Load::get("/") };
    let (mut reloads, mut millis) = (0, Vec::new());
    let counted = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(site, many.port, &load, args.seconds));
        while !sender.is_finished() {
            reloads += 1;
            millis.push(reload(many, 1000 + reloads)?);
            hold(RELOAD_PAUSE)?;
        }
        sender.join().map_err(|_| anyhow::anyhow!("the load generator's thread failed"))?
    })?;
    say::line(format_args!(
        "{reloads} reloads under load: {:.0} requests, {:.0} failed",
        counted.requests, counted.failed
    ));
    results.push(json!({
        "who": "many", "work": "reload, under load", "round": 1, "reloads": reloads, "ms_each": millis,
        "requests": counted.requests, "failed": counted.failed,
    }));
    Ok(())
}

/// Adds a route, asks for a reload, and waits until the new generation answers; milliseconds.
fn reload(who: &Contestant, number: usize) -> Result<f64> {
    let before = generation(who)?;
    let text = fs::read_to_string(&who.config)?;
    let fresh = who.config.with_extension("new");
    fs::write(&fresh, format!("{text}  - {{ path: /added-{number}, to: origin }}\n"))?;
    fs::rename(&fresh, &who.config)?;
    let begun = Instant::now();
    who.process.signal(Signal::HUP)?;
    look_every(LOOK_EVERY, "the reload", Duration::from_secs(20), || {
        let now = generation(who)?;
        if now < before {
            bail!("the generation went back from {before} to {now}");
        }
        Ok(now > before)
    })?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

fn generation(who: &Contestant) -> Result<u64> {
    let ready: Value = serde_json::from_str(&get_text(who.admin, "/readyz")?)?;
    ready["generation"].as_u64().context("/readyz without a generation")
}
