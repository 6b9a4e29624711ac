//! Thousands of requests at once: each gateway's memory while all of them wait for the service.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use super::connection::Connection;
use super::hold;
use super::load::Load;
use super::zones::{ZONES, Zones};
use crate::say;

/// Sockets of the client, beside those that any program has.
const DESCRIPTORS_SPARE: u64 = 256;

/// How fast they are opened.
const CONNECTIONS_PER_SECOND: u64 = 3_000;

/// The service answers forty of them a second in each zone.
const PATIENCE: Duration = Duration::from_secs(200);

/// What was measured.
pub(super) struct Crowd {
    pub(super) measured: Value,
    /// Requests of it that were answered with 200: what the records must tell.
    pub(super) answered: u64,
}

/// Sends so many requests through the balancer for each gateway, looks at the memory while they wait, and reads every answer.
pub(super) fn run(zones: &Zones, load: &Load, each: usize) -> Result<Crowd> {
    if each == 0 {
        return Ok(Crowd { measured: Value::Null, answered: 0 });
    }
    let count = each * ZONES.len();
    say::step(format_args!("{count} requests at once"));
    descriptors(count as u64 + DESCRIPTORS_SPARE)?;
    let mut open = Vec::with_capacity(count);
    let mut failed: BTreeMap<String, usize> = BTreeMap::new();
    let mut fail = |how: String| *failed.entry(how).or_default() += 1;
    let begun = Instant::now();
    for number in 0..count {
        // Evenly spaced: what is measured is how much there is at once, not how fast it may come.
        let due = Duration::from_millis(number as u64 * 1_000 / CONNECTIONS_PER_SECOND);
        hold(zones, due.saturating_sub(begun.elapsed()))?;
        let sent = Connection::open_with(PATIENCE).and_then(|mut connection| {
            connection.send(&load.asks.slow(number))?;
            Ok(connection)
        });
        match sent {
            Ok(connection) => open.push(connection),
            Err(fault) => fail(fault.to_owned()),
        }
    }
    let mut gateways = serde_json::Map::new();
    for zone in ZONES {
        let at_once = zones.metric(zone, "tollgate_inflight_requests")?;
        let mut held = zones.memory(zone)?;
        held["at_once"] = json!(at_once as u64);
        held["closed_connections"] =
            json!(zones.metric(zone, "tollgate_memory_connections_closed_total")? as u64);
        say::line(format_args!("zone {zone}: {at_once} requests in flight, {held}"));
        gateways.insert(zone.to_owned(), held);
    }
    let mut answered = 0;
    for mut connection in open {
        match connection.answer() {
            Ok(answer) if answer.status == 200 && answer.body.starts_with(br#"{"zone":""#) => answered += 1,
            Ok(answer) => fail(format!("{} {}", answer.status, answer.code())),
            Err(fault) => fail(fault.to_owned()),
        }
    }
    let measured = json!({ "requests": count, "failed": failed.values().sum::<usize>(), "how": failed, "gateways": gateways });
    Ok(Crowd { measured, answered })
}

/// Raises the limit of open descriptors.
fn descriptors(wanted: u64) -> Result<()> {
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|limit| limit >= wanted) {
        return Ok(());
    }
    let maximum = now.maximum.map(|limit| limit.max(wanted));
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
        .context("raising the limit of descriptors")?;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < wanted => bail!("{limit} descriptors are too few for {wanted} connections"),
        _ => Ok(()),
    }
}
