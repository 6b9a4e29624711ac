//! P5: resident memory, each figure of a process that was started for it.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::json;

use super::Args;
use super::contestant::{Contestant, Kind, Site};
use super::everything::{self, Everything};
use super::held::{HoldingOrigin, answers, idle, in_flight, websockets};
use super::load::{Load, send};
use super::process::{Running, free_port, hold};
use super::results::Results;
use super::tls;
use crate::{say, tree};

const IDLE_CONNECTIONS: usize = 10_000;
const IN_FLIGHT: usize = 5_000;
const WEBSOCKETS: usize = 1_000;

/// Memory hardly varies between runs, so more rounds than these show nothing new.
const MAX_ROUNDS: usize = 3;

/// A process settles for this long before it is looked at.
const SETTLE: Duration = Duration::from_millis(500);

/// Every state of every contestant, and the gateway idle with the example configuration.
pub(super) fn run(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    for round in 1..=args.rounds.min(MAX_ROUNDS) {
        if site.gateway().is_some() {
            let bytes = example(site, args)?;
            push(results, round, "tollgate", "example configuration, idle", bytes, 0);
            tunnels(site, round, results)?;
            let bytes = tls::idle(site, IDLE_CONNECTIONS, SETTLE)?;
            push(results, round, "tollgate", "10,000 idle TLS connections", bytes, 0);
            with_everything(site, args, round, results)?;
        }
        for kind in site.kinds() {
            let who = site.start(kind, kind.name(), site.origin_port(), 1)?;
            hold(SETTLE)?;
            push(results, round, &who.name, "started, idle", who.process.resident_bytes()?, 0);
            busy(site, args, round, &who, results)?;
            drop(who);

            let who = site.start(kind, kind.name(), site.origin_port(), 1)?;
            let open = idle(who.port, IDLE_CONNECTIONS)?;
            hold(SETTLE)?;
            push(results, round, &who.name, "10,000 idle connections", who.process.resident_bytes()?, 0);
            drop((open, who));

            waiting(site, kind, round, results)?;
        }
    }
    Ok(())
}

fn busy(site: &Site, args: &Args, round: usize, who: &Contestant, results: &mut Results) -> Result<()> {
    let counted = send(site, who.port, &Load::get("/"), args.seconds)?;
    push(
        results,
        round,
        &who.name,
        "after load on 64 connections",
        who.process.resident_bytes()?,
        counted.failed as usize,
    );
    Ok(())
}

/// Requests that all wait for the origin at once, and must all be answered afterwards.
fn waiting(site: &Site, kind: Kind, round: usize, results: &mut Results) -> Result<()> {
    let origin = HoldingOrigin::start()?;
    let who = site.start(kind, kind.name(), origin.port, 1)?;
    let mut open = in_flight(who.port, &origin, IN_FLIGHT)?;
    hold(SETTLE)?;
    let bytes = who.process.resident_bytes()?;
    origin.release()?;
    let answered = answers(&mut open);
    push(results, round, &who.name, "5,000 requests in flight", bytes, IN_FLIGHT - answered);
    Ok(())
}

/// WebSockets through which nothing moves any more. The peers would need another configuration for them.
fn tunnels(site: &Site, round: usize, results: &mut Results) -> Result<()> {
    let origin = HoldingOrigin::start()?;
    let who = site.start(Kind::Tollgate, Kind::Tollgate.name(), origin.port, 1)?;
    let open = websockets(who.port, WEBSOCKETS)?;
    hold(SETTLE)?;
    push(results, round, &who.name, "1,000 idle WebSockets", who.process.resident_bytes()?, 0);
    drop(open);
    Ok(())
}

/// The gateway with everything on: started, loaded, and a process of its own with idle connections.
fn with_everything(site: &Site, args: &Args, round: usize, results: &mut Results) -> Result<()> {
    let all = Everything::make(site)?;
    let who = all.start(site)?;
    hold(SETTLE)?;
    push(results, round, "tollgate", everything::STARTED, who.process.resident_bytes()?, 0);
    let failed = all.load(site, who.port, args.seconds)?;
    push(results, round, "tollgate", everything::LOADED, who.process.resident_bytes()?, failed as usize);
    drop(who);
    let who = all.start(site)?;
    let open = all.idle(who.port, IDLE_CONNECTIONS)?;
    hold(SETTLE)?;
    push(results, round, "tollgate", everything::IDLE, who.process.resident_bytes()?, 0);
    drop((open, who));
    Ok(())
}

/// The gateway with the configuration that the README begins with.
fn example(site: &Site, args: &Args) -> Result<u64> {
    let Some(binary) = site.gateway() else { bail!("the gateway does not take part") };
    let (port, admin) = (free_port()?, free_port()?);
    let config = tree::root().join("examples/first/tollgate.yaml");
    let variables = [format!("TOLLGATE_PORT={port}"), format!("TOLLGATE_ADMIN_PORT={admin}")];
    let (binary, config) = (binary.to_string_lossy(), config.to_string_lossy());
    let command = ["env", &variables[0], &variables[1], &binary, "run", "-c", &config];
    let mut process = Running::start("example", args.core, &command, site.dir())?;
    process.listens_on(port, site.dir())?;
    hold(SETTLE)?;
    process.resident_bytes()
}

fn push(results: &mut Results, round: usize, who: &str, work: &str, bytes: u64, failed: usize) {
    let mib = bytes as f64 / 1048576.0;
    say::line(format_args!("round {round}  {who:<10} {work:<30} {mib:8.2} MiB  {failed} failed"));
    results.push(json!({ "who": who, "work": work, "round": round, "resident_bytes": bytes, "mib": mib, "failed": failed }));
}
