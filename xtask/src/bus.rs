//! `./dev bus`: what is said of a gateway in a bus, measured on `examples/bus` as its one command starts it.
//!
//! The samples go to `bench/results/bus.json`, and `docs/bus.md` is made from them alone. The gateway of bus 1 is given a
//! share of one core by a control group; everything else has the machine. Each part of the run has an end.

mod page;

mod central;
mod slow;

mod ask;
mod devices;
mod load;
mod quota;
mod stack;

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::json;
use tempfile::TempDir;

use crate::bench::machine;
use crate::replay::binary::{gateway, version};
use crate::replay::{interrupt, samples};
use crate::{run, say};

use stack::Stack;

/// The raw samples of the last run.
const SAMPLES: &str = "bench/results/bus.json";

/// What to measure, and how long.
#[derive(clap::Args, Clone)]
pub struct Args {
    /// The gateway's binary; built when left out
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// Seconds of each part under load
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Only make the page again from the samples
    #[arg(long)]
    page: bool,
}

/// Measures, writes the samples, and makes the page.
pub fn run(args: &Args) -> Result<()> {
    if args.page {
        return page::write();
    }
    if !(2..=15).contains(&args.seconds) {
        bail!("--seconds is 2 to 15");
    }
    interrupt::watch()?;
    let binary = gateway(args.gateway.as_deref())?;
    let folder = TempDir::with_prefix("tollgate-bus-")?;
    say::step("examples/bus");
    let stack = Stack::start(&binary, folder.path())?;
    let mut found = Vec::new();
    // The central first, while every bus has its devices.
    central::run(&stack, args.seconds, &mut found)?;
    let emulation = slow::run(&stack, folder.path(), args.seconds, &mut found)?;
    let nginx = run::output(&mut run::command("sh", &["-c", "nginx -v 2>&1"]))?;
    let record = json!({
        "case": "bus", "date": machine::date(), "command": format!("./dev bus --seconds {}", args.seconds),
        "machine": machine::describe(), "emulation": emulation,
        "versions": { "tollgate": version(&binary), "nginx": nginx.trim().trim_start_matches("nginx version: ") },
        "samples": found,
    });
    samples::write(SAMPLES, record)?;
    page::write()
}
