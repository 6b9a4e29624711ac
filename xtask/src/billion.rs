//! `./dev billion`: the system of `examples/billion` under load, while its parts fail one after the other.
//!
//! The example's own scripts set up namespaces, servers and gateways and let things happen to them; here are the clients, who
//! know every answer, the sequence of events, and the accounts: requests, records, latency, memory. Needs root.

mod ask;
mod connection;
mod load;
mod zones;

mod account;
mod crowd;
mod events;
mod records;

mod page;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::bench::machine;
use crate::{run, say, tree};
use account::Account;
use ask::Asks;
use load::Load;
use zones::{ZONES, Zones};

/// What was measured, and the page that is made of it.
const RESULTS: &str = "bench/results/billion.json";

/// Owners of tokens in the load.
const OWNERS: usize = 64;
/// Tokens that no gateway has seen; each is sent once.
const FRESH: usize = 600;

/// How much, and how long.
#[derive(clap::Args)]
pub struct Args {
    /// Requests a second
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// Seconds of quiet before the first event
    #[arg(long, default_value_t = 30)]
    quiet: u64,
    /// Seconds that an outage lasts, and seconds after it
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// How often each thing happens, each time in another zone
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Requests at once in each gateway, for the figure of memory; each takes two descriptors of the balancer
    #[arg(long, default_value_t = 3_200)]
    crowd: usize,
    /// The gateway's binary; built when left out
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// Only make the page again from the last results
    #[arg(long)]
    page: bool,
}

/// Runs it; false when an answer was wrong, a failure had no event to explain it, or a record is missing.
pub fn run(args: &Args) -> Result<bool> {
    if args.page {
        return page::write().map(|()| true);
    }
    if !(100..=20_000).contains(&args.rate)
        || !(1..=3_600).contains(&args.quiet)
        || !(2..=600).contains(&args.seconds)
    {
        bail!("rate must be 100 to 20000, quiet 1 to 3600 and seconds 2 to 600");
    }
    if args.rounds > 100 || args.crowd > 5_000 {
        bail!("rounds must be at most 100 and crowd at most 5000");
    }
    let gateway = gateway(args)?;
    say::step(format_args!("three zones, {} requests a second", args.rate));
    let before = load_average()?;
    let zones = Zones::up(gateway)?;
    let asks = Asks::new(&zones, OWNERS, FRESH)?;
    let memory_idle = memory(&zones)?;

    let load = Load::new(asks, args.rate);
    let happened = load.under(|| events::all(&zones, &load, args))?;
    let memory_loaded = memory(&zones)?;
    let crowd = crowd::run(&zones, &load, args.crowd)?;
    zones.balancer_is_well()?;
    let dropped: f64 =
        ZONES.iter().map(|zone| zones.metric(zone, "tollgate_log_dropped_total")).sum::<Result<_>>()?;

    say::step("every gateway drains, and the records are read back");
    for zone in ZONES {
        zones.script(&["drain", zone])?;
    }
    let kept = records::read(&zones)?;
    let account = Account::new(load.outcomes(), happened);
    let records = records::compare(&kept, &account, &crowd, dropped as u64);
    let results = json!({
        "case": "billion",
        "date": machine::date(),
        "command": format!("./dev billion --rate {} --quiet {} --seconds {} --rounds {} --crowd {}",
            args.rate, args.quiet, args.seconds, args.rounds, args.crowd),
        "machine": machine::describe(),
        "load_average_before": before,
        "scheduling": scheduling()?,
        "versions": zones.versions(),
        "requests": account.totals(),
        "latency": account.latencies(),
        "in_gateway": records::in_gateway(&kept, &account),
        "shares": account.shares(),
        "events": account.events(),
        "limit": account.limit(),
        "records": records,
        "memory": { "idle": memory_idle, "after load": memory_loaded, "crowd": crowd.measured },
    });
    let path = tree::root().join(RESULTS);
    fs::write(&path, serde_json::to_string_pretty(&results)? + "\n").context(RESULTS)?;
    page::write()?;
    let complaints = complaints(&results);
    complaints.iter().for_each(say::line);
    say::line(format_args!("{} complaints", complaints.len()));
    Ok(complaints.is_empty())
}

fn gateway(args: &Args) -> Result<PathBuf> {
    let path = match &args.gateway {
        Some(path) => path.clone(),
        None => {
            run::required(&mut run::cargo(&["build", "--release", "--locked", "--package", "tollgate"]))?;
            tree::target().join("release/tollgate")
        }
    };
    path.canonicalize().with_context(|| format!("no gateway at {}", path.display()))
}

/// How many tasks wanted a processor within the last minute, ours not among them: who else is at work here.
fn load_average() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    text.split(' ').next().and_then(|number| number.parse().ok()).context("what the kernel says of its load")
}

/// How the kernel schedules this process and so all that it starts (sched(7)): the 41st field of its `stat`.
pub(crate) fn scheduling() -> Result<&'static str> {
    let text = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = text.rsplit_once(") ").context("what the kernel says of this process")?;
    Ok(match fields.split(' ').nth(38) {
        Some("0") => "normal",
        Some("1" | "2") => "real time",
        _ => "other",
    })
}

/// What each gateway holds.
fn memory(zones: &Zones) -> Result<Value> {
    let each = ZONES.iter().map(|zone| Ok(((*zone).to_owned(), zones.memory(zone)?)));
    Ok(Value::Object(each.collect::<Result<_>>()?))
}

/// What must not be.
fn complaints(results: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let count = |place: &Value, name: &str| place[name].as_u64().unwrap_or(u64::MAX);
    let mut none = |what: String, count: u64| {
        if count > 0 {
            found.push(format!("{what}: {count}"));
        }
    };
    none("wrong answers".into(), count(&results["requests"], "wrong"));
    for event in results["events"].as_array().into_iter().flatten() {
        let unexplained = count(event, "unexplained");
        none(
            format!("failures that nothing explains, {} in zone {}", event["name"], event["zone"]),
            unexplained,
        );
    }
    let records = &results["records"];
    none("records of answers that are missing without a kill".into(), count(records, "missing_unexplained"));
    none("records that gateways say they dropped".into(), count(records, "dropped"));
    let crowd = &results["memory"]["crowd"];
    none("requests of the crowd that were not answered".into(), count(crowd, "failed"));
    found
}

/// A pause that ends early when the run is interrupted.
fn hold(zones: &Zones, time: Duration) -> Result<()> {
    zones.wait_until("the time to pass", time + Duration::from_secs(5), {
        let end = std::time::Instant::now() + time;
        move || Ok(std::time::Instant::now() >= end)
    })
}
