//! The central, which asks three buses at once: how often in a second, and how long it takes when one of them is cut off.

use std::time::Duration;

use anyhow::{Result, bail};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::ask::{fleet_is_whole, requests, third_is_gone, third_is_silent, wait_right};
use super::load::{Load, Outcome, Pace};
use super::slow::join;
use super::stack::{BUS_NAMES, CENTRAL, CENTRAL_NAME, Stack, Stopped};
use crate::replay::client::Answer;
use crate::replay::process::{cpu_seconds, load_average, mebibytes};
use crate::say;

/// Names of the parts, as in the samples.
pub(super) const ALL: &str = "all three buses";
pub(super) const ALONE: &str = "all three, one request at a time";
pub(super) const SILENT: &str = "bus 3 is silent";
pub(super) const GONE: &str = "bus 3 is gone";

/// One request at a time on each.
const CONNECTIONS: usize = 8;

/// Requests one after the other, where only their time is of interest.
const IN_TURN: u64 = 200;
/// Of those that wait for a silent bus, on each connection.
const SILENT_EACH: u64 = 2;

/// Everything that is measured of the central. Bus 3 does not come back.
pub(super) fn run(stack: &Stack, seconds: u64, samples: &mut Vec<Value>) -> Result<()> {
    let requests = requests(stack, "/fleet")?;
    let measure = |work: &str, connections: usize, pace: Pace, right: fn(&Answer) -> bool| {
        wait_right(work, CENTRAL, &requests, right)?;
        let before = cpu(stack)?;
        let outcome = Load { port: CENTRAL, requests: &requests, connections, pace, right }.send()?;
        sample(stack, work, connections, &outcome, before)
    };
    samples.push(measure(ALL, CONNECTIONS, Pace::Closed(Duration::from_secs(seconds)), fleet_is_whole)?);
    samples.push(measure(ALONE, 1, Pace::Each(IN_TURN), fleet_is_whole)?);
    {
        // It has its connections and its port, and says nothing.
        let _silent = Stopped::new(stack.pid(BUS_NAMES[2])?)?;
        samples.push(measure(SILENT, CONNECTIONS, Pace::Each(SILENT_EACH), third_is_silent)?);
    }
    wait_right("the fleet after a silence", CENTRAL, &requests, fleet_is_whole)?;
    stack.signal(BUS_NAMES[2], Signal::KILL)?;
    samples.push(measure(GONE, 1, Pace::Each(IN_TURN), third_is_gone)?);
    Ok(())
}

/// CPU seconds so far of the central, and of two buses, which are there until the end.
fn cpu(stack: &Stack) -> Result<(f64, f64)> {
    let of = |name: &str| cpu_seconds(stack.pid(name)?);
    Ok((of(CENTRAL_NAME)?, of(BUS_NAMES[0])? + of(BUS_NAMES[1])?))
}

fn sample(
    stack: &Stack,
    work: &str,
    connections: usize,
    outcome: &Outcome,
    before: (f64, f64),
) -> Result<Value> {
    if !outcome.is_right() {
        bail!("{work}: an answer is not as it has to be: {}", outcome.first.as_deref().unwrap_or("–"));
    }
    let after = cpu(stack)?;
    let each = |before: f64, after: f64| (after - before) / outcome.requests as f64 * 1e6;
    let (central, buses) = (each(before.0, after.0), each(before.1, after.1) / 2.0);
    say::line(format_args!(
        "{work}: {:.0}/s, p50 {:.2} ms, p95 {:.2} ms, most {:.2} ms; {central:.0} µs of CPU each in the central, {buses:.0} µs in a bus",
        outcome.per_second(),
        outcome.percentile_ms(50.0),
        outcome.percentile_ms(95.0),
        outcome.percentile_ms(100.0),
    ));
    let pid = stack.pid(CENTRAL_NAME)?;
    let mut sample = outcome.fields();
    let more = json!({
        "who": CENTRAL_NAME, "work": work, "connections": connections, "us_per_request": central, "us_in_a_bus": buses,
        "mib": mebibytes(pid, "VmRSS")?, "most_mib": mebibytes(pid, "VmHWM")?, "load_average": load_average(),
    });
    join(&mut sample, more);
    Ok(sample)
}
