//! What happens to the system during its day, one thing after the other.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::day::Day;
use super::stack::{GATEWAYS, Stack};
use crate::replay::interrupt::{hold, wait_for};
use crate::say;

/// What all of it takes, with the time in between, where the machine is not too busy.
pub(super) const LEAST_SECONDS: u64 = 120;

/// Before the first event, and after each.
pub(super) const QUIET: Duration = Duration::from_secs(15);
const AFTER: Duration = Duration::from_secs(5);
/// How long the service and Redis are gone.
const SERVICE_GONE: Duration = Duration::from_secs(8);
const REDIS_GONE: Duration = Duration::from_secs(15);
/// A drain, a hand-over.
const END_LIMIT: Duration = Duration::from_secs(45);

/// A kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Edit,
    BadEdit,
    NewKey,
    Service,
    Redis,
    Handover,
    Drain,
}

impl What {
    pub(super) const ALL: [What; 7] =
        [What::Edit, What::BadEdit, What::NewKey, What::Service, What::Redis, What::Handover, What::Drain];

    /// As in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            What::Edit => "the configuration is edited",
            What::BadEdit => "an edit with an error, taken back",
            What::NewKey => "the issuer signs with a new key",
            What::Service => "the service `stock` is stopped, and started",
            What::Redis => "Redis is stopped, and started",
            What::Handover => "instance 1 hands over to a new process",
            What::Drain => "instance 2 drains and ends, and is started",
        }
    }
}

/// One event. Times are since the day began.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) what: What,
    pub(super) begun: Duration,
    /// When it was done to the system, or noticed by it; and in words what that was.
    pub(super) noticed: Option<(&'static str, Duration)>,
    /// When what was lost was brought back.
    pub(super) back: Option<Duration>,
    /// When all was as before, as both gateways say.
    pub(super) well: Duration,
    /// When the next one could begin.
    pub(super) over: Duration,
}

/// The most that each instance held, over all of its processes, in MiB.
pub(super) type Memory = [f64; 2];

/// What happened, and what was looked at meanwhile.
#[derive(Debug, Clone, Default)]
pub(super) struct Happened {
    pub(super) events: Vec<Event>,
    /// Before the first event.
    pub(super) quiet: (Duration, Duration),
    /// CPU seconds of both gateways in the quiet.
    pub(super) quiet_cpu_s: f64,
    pub(super) memory: Memory,
    /// How often an instance was back at Redis after it had lost it, that of the event not counted: an answer that came too late
    /// is a loss too.
    pub(super) redis_losses: usize,
}

/// All of them.
pub(super) fn all(day: &Day) -> Result<Happened> {
    let mut happened = Happened::default();
    let cpu = || Ok::<f64, anyhow::Error>(day.stack.cpu_seconds(0)? + day.stack.cpu_seconds(1)?);
    // Connections are opened and keys met.
    hold(Duration::from_secs(2))?;
    let (from, before) = (day.now(), cpu()?);
    hold(QUIET)?;
    happened.quiet = (from, day.now());
    happened.quiet_cpu_s = cpu()? - before;
    for what in What::ALL {
        // Processes that end take what they say of themselves along.
        happened.memory = memory(day, happened.memory)?;
        if what == What::Drain {
            // The next process begins its log anew.
            happened.redis_losses += day.stack.redis_returns(1)?;
        }
        let event = one(day, what)?;
        say::line(format_args!(
            "{:6.1} s  {}, all well after {:.1} s",
            event.begun.as_secs_f64(),
            what.name(),
            (event.well - event.begun).as_secs_f64()
        ));
        happened.events.push(event);
    }
    Ok(happened)
}

/// The most of what was seen before and what there is now.
pub(super) fn memory(day: &Day, before: Memory) -> Result<Memory> {
    let ([_, first, _], [_, second, _]) = (day.stack.memory(0)?, day.stack.memory(1)?);
    Ok([before[0].max(first), before[1].max(second)])
}

fn one(day: &Day, what: What) -> Result<Event> {
    let begun = day.now();
    let mut event = Event { what, begun, noticed: None, back: None, well: begun, over: begun };
    match what {
        What::Edit => edit(day, &mut event)?,
        What::BadEdit => bad_edit(day, &mut event)?,
        What::NewKey => {
            day.mix.add_key(day.stack)?;
            event.noticed = Some(("in the set", day.now()));
        }
        What::Service => service(day, &mut event)?,
        What::Redis => redis(day, &mut event)?,
        What::Handover => {
            let old = day.stack.pid(GATEWAYS[0])?;
            day.stack.part(&["handover", GATEWAYS[0]])?;
            event.noticed = Some(("handed over", day.now()));
            wait_for("the end of the process before", END_LIMIT, || Ok(has_ended(old)))?;
        }
        What::Drain => {
            day.stack.part(&["stop", GATEWAYS[1]])?;
            event.noticed = Some(("ended", day.now()));
            hold(AFTER)?;
            day.stack.part(&["start", GATEWAYS[1]])?;
            event.back = Some(day.now());
        }
    }
    event.well = day.now();
    hold(AFTER)?;
    event.over = day.now();
    Ok(event)
}

fn edit(day: &Day, event: &mut Event) -> Result<()> {
    day.edition_is_written(2);
    day.stack.edit_served("edition: 1,", "edition: 2,")?;
    day.edition_is_served(2);
    event.noticed = Some(("served by both", day.now()));
    Ok(())
}

fn bad_edit(day: &Day, event: &mut Event) -> Result<()> {
    let rejected = |stack: &Stack| stack.both("tollgate_config_reloads_total", "result=\"rejected\"");
    let before = rejected(day.stack)?;
    day.stack.edit("rate: 100/m", "rate: a lot")?;
    day.stack.wait_both("the edit to be refused", |at, stack| {
        Ok(stack.metric(at, "tollgate_config_reloads_total", "result=\"rejected\"")? > before[at])
    })?;
    event.noticed = Some(("refused by both", day.now()));
    hold(AFTER)?;
    day.stack.edit("rate: a lot", "rate: 100/m")?;
    event.back = Some(day.now());
    Ok(())
}

fn service(day: &Day, event: &mut Event) -> Result<()> {
    let circuit = |at: usize, stack: &Stack| stack.metric(at, "tollgate_circuit_state", "upstream=\"stock\"");
    day.stack.part(&["stop", "stock"])?;
    day.stack.wait_both("the circuits to open", |at, stack| Ok(circuit(at, stack)? == 2.0))?;
    event.noticed = Some(("both circuits open", day.now()));
    hold(SERVICE_GONE)?;
    day.stack.part(&["start", "stock"])?;
    event.back = Some(day.now());
    day.stack.wait_both("the circuits to close", |at, stack| Ok(circuit(at, stack)? == 0.0))
}

fn redis(day: &Day, event: &mut Event) -> Result<()> {
    let up = |at: usize, stack: &Stack| stack.metric(at, "tollgate_redis_up", "");
    day.stack.part(&["stop", "redis"])?;
    day.stack.wait_both("the loss of Redis to be noticed", |at, stack| Ok(up(at, stack)? == 0.0))?;
    event.noticed = Some(("noticed by both", day.now()));
    hold(REDIS_GONE)?;
    day.stack.part(&["start", "redis"])?;
    event.back = Some(day.now());
    day.stack.wait_both("Redis to be used again", |at, stack| Ok(up(at, stack)? == 1.0))
}

/// A process that has ended and waits for its parent counts as gone.
fn has_ended(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.is_empty() || status.lines().any(|line| line.starts_with("State:\tZ"))
}

impl Event {
    /// For the samples; times after its begin are in milliseconds.
    pub(super) fn told(&self) -> Value {
        let since = |time: Duration| (time.saturating_sub(self.begun).as_secs_f64() * 1e4).round() / 10.0;
        json!({
            "at_s": (self.begun.as_secs_f64() * 10.0).round() / 10.0,
            "noticed": self.noticed.map(|(how, _)| how), "noticed_ms": self.noticed.map(|(_, time)| since(time)),
            "back_ms": self.back.map(since), "well_ms": since(self.well), "over_ms": since(self.over),
        })
    }
}
