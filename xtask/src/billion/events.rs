//! What happens to the system while it is asked, one thing after the other.

use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;

use super::load::Load;
use super::zones::{ZONES, Zones};
use super::{Args, hold};
use crate::say;

/// A kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A gateway dies.
    Kill,
    /// A zone hears that it will be taken away: its gateway drains and ends.
    Notice,
    /// A zone's network is gone.
    Cut,
    /// Redis is gone, and comes back empty.
    Redis,
    /// The object store takes connections and answers nothing.
    Store,
}

impl What {
    /// As in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            What::Kill => "kill -9",
            What::Notice => "spot notice",
            What::Cut => "network cut",
            What::Redis => "Redis lost",
            What::Store => "object store hangs",
        }
    }
}

/// One event. Times are since the load began.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) what: What,
    pub(super) zone: Option<&'static str>,
    pub(super) begun: Duration,
    /// When it was done to the system: the signal sent, the link down.
    pub(super) done: Duration,
    /// When the balancer had taken the gateway out, or, of a drain, given it nothing new; and what it said then.
    pub(super) noticed: Option<(Duration, &'static str)>,
    /// When a drained gateway had ended.
    pub(super) ended: Option<Duration>,
    /// When what was lost was brought back.
    pub(super) back: Duration,
    /// When the next event could begin.
    pub(super) over: Duration,
}

/// How the load went on: quiet first, then the events.
#[derive(Debug, Clone, Default)]
pub(super) struct Happened {
    /// The quiet that is measured.
    pub(super) quiet: (Duration, Duration),
    pub(super) events: Vec<Event>,
    /// CPU seconds of the three gateways during the quiet, and the share of the machine's time that was idle.
    pub(super) gateways_cpu_seconds: f64,
    pub(super) idle_share: f64,
}

/// All rounds: each thing once a round, each time in another zone.
pub(super) fn all(zones: &Zones, load: &Load, args: &Args) -> Result<Happened> {
    let mut happened = Happened::default();
    quiet(zones, load, args, &mut happened)?;
    let lasts = Duration::from_secs(args.seconds);
    for round in 0..args.rounds {
        let zone = |at: usize| ZONES[(round + at) % ZONES.len()];
        for (what, zone) in [
            (What::Kill, Some(zone(0))),
            (What::Notice, Some(zone(1))),
            (What::Cut, Some(zone(2))),
            (What::Redis, None),
            (What::Store, None),
        ] {
            let event = one(zones, load, what, zone, lasts)?;
            say::line(format_args!(
                "{:6.1} s  {}{}, back after {:.1} s",
                event.begun.as_secs_f64(),
                what.name(),
                zone.map(|zone| format!(" in zone {zone}")).unwrap_or_default(),
                (event.back - event.begun).as_secs_f64()
            ));
            happened.events.push(event);
        }
    }
    Ok(happened)
}

/// Nothing happens. The first seconds, in which connections are opened and keys met, are not measured.
fn quiet(zones: &Zones, load: &Load, args: &Args, happened: &mut Happened) -> Result<()> {
    hold(zones, Duration::from_secs(2))?;
    let cpu = || ZONES.iter().map(|zone| zones.cpu_seconds(zone)).sum::<Result<f64>>();
    let (from, cpu_before, machine_before) = (load.now(), cpu()?, machine()?);
    hold(zones, Duration::from_secs(args.quiet))?;
    happened.quiet = (from, load.now());
    happened.gateways_cpu_seconds = cpu()? - cpu_before;
    let (idle, all) = machine()?;
    happened.idle_share = (idle - machine_before.0) / (all - machine_before.1).max(1.0);
    Ok(())
}

/// Idle ticks of the machine, and all of them: the first line of `/proc/stat` (proc(5)).
fn machine() -> Result<(f64, f64)> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let fields: Vec<f64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|field| field.parse().ok())
        .collect();
    Ok((fields.iter().skip(3).take(2).sum(), fields.iter().sum()))
}

fn one(zones: &Zones, load: &Load, what: What, zone: Option<&'static str>, lasts: Duration) -> Result<Event> {
    let at = zone.unwrap_or_default();
    let begun = load.now();
    let mut event =
        Event { what, zone, begun, done: begun, noticed: None, ended: None, back: begun, over: begun };
    match what {
        What::Kill => {
            zones.signal(at, Signal::KILL)?;
            event.done = load.now();
            let said = zones.wait_balancer(at, &["DOWN"])?;
            event.noticed = Some((load.now(), said));
            hold(zones, lasts)?;
            zones.script(&["gateway", at])?;
        }
        What::Notice => {
            zones.script(&["notice", at])?;
            event.done = load.now();
            let said = zones.wait_balancer(at, &["NOLB", "DRAIN", "DOWN"])?;
            event.noticed = Some((load.now(), said));
            let pid = zones.pid(at)?;
            zones.wait_until("the end of a drain", Duration::from_secs(40), || Ok(Zones::has_ended(pid)))?;
            event.ended = Some(load.now());
            hold(zones, lasts)?;
            zones.script(&["gateway", at])?;
        }
        What::Cut => {
            zones.script(&["cut", at])?;
            event.done = load.now();
            let said = zones.wait_balancer(at, &["DOWN"])?;
            event.noticed = Some((load.now(), said));
            hold(zones, lasts)?;
            zones.script(&["join", at])?;
        }
        What::Redis => {
            zones.script(&["redis", "stop"])?;
            event.done = load.now();
            hold(zones, lasts)?;
            zones.script(&["redis", "start"])?;
        }
        What::Store => {
            zones.signal("store", Signal::STOP)?;
            event.done = load.now();
            hold(zones, lasts)?;
            zones.signal("store", Signal::CONT)?;
        }
    }
    event.back = load.now();
    zones.balancer_is_well()?;
    hold(zones, lasts)?;
    event.over = load.now();
    Ok(event)
}
