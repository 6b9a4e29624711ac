//! One bus under a quota of CPU time: what it answers with a share of one core, and the least share that holds the
//! original's rate.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::ask::{bus_is_whole, requests, wait_right};
use super::devices::Nginx;
use super::load::{Load, Outcome, Pace};
use super::quota::{Group, LEAST_PERCENT};
use super::stack::{BUS_1, BUS_NAMES, Stack};
use crate::replay::process::{cpu_seconds, load_average, mebibytes};
use crate::say;

/// What the original is said to answer in a second.
pub(super) const RATE: u64 = 700;

/// Shares of one core, in percent.
const SHARES: [u64; 4] = [100, 50, 25, 10];

/// Names of the parts, as in the samples.
pub(super) const LADDER: &str = "as much as goes";
pub(super) const PROBE: &str = "is the rate held";
pub(super) const HELD: &str = "the rate, held";

/// Who answers as devices.
pub(super) const LUA: &str = "gateways with a script";
pub(super) const NGINX: &str = "nginx";

/// One request at a time on each. At a rate there are more, so that one is free when a request is due.
const CONNECTIONS: usize = 16;
const CONNECTIONS_AT_RATE: usize = 32;

/// Not recorded, before each part.
const WARM: Duration = Duration::from_millis(500);

/// The rate is held where every answer is right, and the 95th of a hundred, counted from when it was due, not later
/// than this. Below what the rate takes, requests wait longer and longer.
pub(super) const LATE_MS: f64 = 100.0;

/// The rate is tried so long with each share of a search, which looks no higher than this.
const PROBE_TIME: Duration = Duration::from_secs(4);
const MOST_PERCENT: u64 = 60;
/// What the search found is tried for longer; where it does not hold, one percent more is, so many times.
const MORE: u64 = 4;

/// Everything that is measured of bus 1; how its processor is made slow, in words.
pub(super) fn run(stack: &Stack, dir: &Path, seconds: u64, samples: &mut Vec<Value>) -> Result<String> {
    let bus = Bus { pid: stack.pid(BUS_NAMES[0])?, requests: requests(stack, "/bus")? };
    wait_right("bus 1", BUS_1, &bus.requests, bus_is_whole)?;
    let time = Duration::from_secs(seconds);
    let group = Group::around(bus.pid)?;
    samples.push(bus.ladder(&group, LUA, None, time)?);
    samples.push(bus.ladder(&group, LUA, Some(SHARES[0]), time)?);
    group.allow(None)?;
    let _nginx = Nginx::instead(stack, dir)?;
    wait_right("bus 1 with nginx", BUS_1, &bus.requests, bus_is_whole)?;
    for share in std::iter::once(None).chain(SHARES.map(Some)) {
        samples.push(bus.ladder(&group, NGINX, share, time)?);
    }
    let found = bus.search(&group, samples)?;
    bus.confirm(&group, found, time, samples)?;
    Ok(group.words())
}

/// The gateway under the quota.
struct Bus {
    pid: u32,
    requests: Vec<Vec<u8>>,
}

impl Bus {
    /// Sends as much as comes back.
    fn ladder(&self, group: &Group, devices: &str, share: Option<u64>, time: Duration) -> Result<Value> {
        let pace = Pace::Closed(time);
        let (outcome, sample) = self.part(group, LADDER, devices, share, CONNECTIONS, pace)?;
        if outcome.wrong + outcome.failed > 0 {
            bail!("an answer of bus 1 is not as it has to be: {}", outcome.first.unwrap_or_default());
        }
        Ok(sample)
    }

    /// The least share with which the rate is held, by halving.
    fn search(&self, group: &Group, samples: &mut Vec<Value>) -> Result<u64> {
        let (mut below, mut enough) = (LEAST_PERCENT - 1, MOST_PERCENT);
        while enough - below > 1 {
            let share = below.midpoint(enough);
            let pace = Pace::Open(RATE, PROBE_TIME);
            let (outcome, sample) = self.part(group, PROBE, NGINX, Some(share), CONNECTIONS_AT_RATE, pace)?;
            samples.push(sample);
            if is_held(&outcome) { enough = share } else { below = share }
        }
        Ok(enough)
    }

    /// Tries what was found for longer.
    fn confirm(&self, group: &Group, found: u64, time: Duration, samples: &mut Vec<Value>) -> Result<()> {
        for share in found..=found + MORE {
            let pace = Pace::Open(RATE, time);
            let (outcome, sample) = self.part(group, HELD, NGINX, Some(share), CONNECTIONS_AT_RATE, pace)?;
            if is_held(&outcome) {
                samples.push(sample);
                return Ok(());
            }
            // It counts as a probe that failed.
            let mut sample = sample;
            sample["work"] = PROBE.into();
            samples.push(sample);
        }
        say::line(format_args!("{RATE} requests a second are not held with {} % of one core", found + MORE));
        Ok(())
    }

    /// One part of the run, and what the gateway took for it.
    fn part(
        &self,
        group: &Group,
        work: &str,
        devices: &str,
        share: Option<u64>,
        connections: usize,
        pace: Pace,
    ) -> Result<(Outcome, Value)> {
        let load =
            |pace| Load { port: BUS_1, requests: &self.requests, connections, pace, right: bus_is_whole };
        group.allow(None)?;
        load(Pace::Closed(WARM)).send()?;
        group.allow(share)?;
        let (cpu, withheld) = (cpu_seconds(self.pid)?, group.throttled_s()?);
        let outcome = load(pace).send()?;
        let (cpu, withheld) = (cpu_seconds(self.pid)? - cpu, group.throttled_s()? - withheld);
        let mut sample = outcome.fields();
        let more = json!({
            "who": BUS_NAMES[0], "work": work, "devices": devices, "share_percent": share, "held": is_held(&outcome),
            "cpu_s": cpu, "us_per_request": cpu / outcome.requests.max(1) as f64 * 1e6,
            "cpu_percent": cpu / outcome.seconds * 100.0, "withheld_s": withheld,
            "mib": mebibytes(self.pid, "VmRSS")?, "most_mib": mebibytes(self.pid, "VmHWM")?,
            "load_average": load_average(),
        });
        join(&mut sample, more);
        say::line(format_args!(
            "{work}, {}, {devices}: {:.0}/s, p50 {:.2} ms, p95 {:.2} ms, {:.0} µs of CPU each, {:.0} % of one core{}",
            share.map_or("no quota".to_owned(), |share| format!("{share} % of one core")),
            outcome.per_second(),
            outcome.percentile_ms(50.0),
            outcome.percentile_ms(95.0),
            cpu / outcome.requests.max(1) as f64 * 1e6,
            cpu / outcome.seconds * 100.0,
            if work == LADDER || is_held(&outcome) { "" } else { ", not held" },
        ));
        Ok((outcome, sample))
    }
}

/// Puts the fields of one object behind those of another.
pub(super) fn join(sample: &mut Value, more: Value) {
    if let (Some(sample), Value::Object(more)) = (sample.as_object_mut(), more) {
        sample.extend(more);
    }
}

fn is_held(outcome: &Outcome) -> bool {
    outcome.is_right() && outcome.percentile_ms(95.0) <= LATE_MS
}
