//! `./dev vps`: what a gateway on a small server is said to do, measured on `examples/vps` as its one command starts it.
//!
//! First one instance on one core as fast as it goes, then a day's requests at both while parts of the system come and go. The
//! samples go to `bench/results/vps.json`, and `docs/vps.md` is made from them alone. Everything listens on the loopback, and each
//! part of the run has an end.

mod mix;
mod stack;

mod speed;
mod wrk;

mod account;
mod day;
mod events;

mod page;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bench::machine;
use crate::replay::{binary, interrupt, samples};
use crate::{billion, run, say};

/// The raw samples of the last run.
const SAMPLES: &str = "bench/results/vps.json";

/// How much, and how long.
#[derive(clap::Args, Clone)]
pub struct Args {
    /// The gateway's binary; built when left out
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// Seconds of load in each turn on one core
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Rounds, in each of which every work has its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Requests of the day
    #[arg(long, default_value_t = 500_000)]
    requests: u64,
    /// Seconds into which the day is compressed
    #[arg(long, default_value_t = 230)]
    day_seconds: u64,
    /// Only make the page again from the samples
    #[arg(long)]
    page: bool,
}

/// Measures, writes the samples, and makes the page; false when an answer was wrong or a failure has no event to explain it.
pub fn run(args: &Args) -> Result<bool> {
    if args.page {
        return page::write().map(|()| true);
    }
    if !(1..=60).contains(&args.seconds) || !(1..=50).contains(&args.rounds) {
        bail!("--seconds is 1 to 60 and --rounds 1 to 50");
    }
    if !(events::LEAST_SECONDS..=600).contains(&args.day_seconds)
        || !(1_000..=2_000_000).contains(&args.requests)
    {
        bail!("--day-seconds is {} to 600 and --requests 1000 to 2000000", events::LEAST_SECONDS);
    }
    interrupt::watch()?;
    let gateway = binary::gateway(args.gateway.as_deref())?;
    run::required(&mut run::cargo(&["build", "--locked", "--package", "xtask", "--example", "tokens"]))?;
    let folder = TempDir::with_prefix("tollgate-vps-")?;
    let mut samples = Vec::new();
    speed::measure(&gateway, &folder.path().join("core"), args, &mut samples)?;
    let complaints = day::measure(&gateway, &folder.path().join("day"), args, &mut samples)?;
    samples::write(SAMPLES, record(args, &gateway, samples)?)?;
    page::write()?;
    complaints.iter().for_each(say::line);
    say::line(format_args!("{} complaints", complaints.len()));
    Ok(complaints.is_empty())
}

fn record(args: &Args, gateway: &Path, samples: Vec<Value>) -> Result<Value> {
    let redis = run::output(&mut run::command("redis-server", &["--version"])).unwrap_or_default();
    let redis = redis.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("–").to_owned();
    let Args { seconds, rounds, requests, day_seconds, .. } = args;
    Ok(json!({
        "case": "vps", "date": machine::date(), "machine": machine::describe(),
        "command": format!("./dev vps --seconds {seconds} --rounds {rounds} --requests {requests} --day-seconds {day_seconds}"),
        "versions": { "tollgate": binary::version(gateway), "redis": redis },
        "scheduling": billion::scheduling()?,
        "binary_mb": fs::metadata(gateway).map_or(0.0, |meta| meta.len() as f64 / 1e6),
        "samples": samples,
    }))
}
