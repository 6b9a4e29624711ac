//! `./dev chaos`: the chaos suite for as long as one likes, and the soak with its plot.
//!
//! The suite itself is a test of the gateway, `crates/tollgate/tests/chaos`, and says what it does; here it is started with
//! other numbers than in `./dev test`.

mod plot;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::{run, say, tree};

/// Where the samples of the soak are kept, and the plot made of them.
const SAMPLES: &str = "bench/results/soak.csv";
const PLOT: &str = "docs/soak.svg";

/// What to run, and how long.
#[derive(clap::Args)]
pub struct Args {
    /// Repeats the sequence of events of an earlier run; another one each time when left out
    #[arg(long)]
    seed: Option<u64>,
    /// How long, in whole rounds of about half a minute
    #[arg(long, default_value_t = 0.0)]
    minutes: f64,
    /// Instead: so many minutes under load without outages, with what the gateway holds written down and drawn
    #[arg(long, value_name = "MINUTES", conflicts_with_all = ["seed", "minutes"])]
    soak: Option<f64>,
    /// Instead: only draw the samples of the last soak again
    #[arg(long, conflicts_with_all = ["seed", "minutes", "soak"])]
    plot: bool,
    /// Another gateway than the one that is built with the test, e.g. a release build
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// Runs it; false when an answer was wrong or an error had no explanation, or when memory grew.
pub fn run(args: &Args) -> Result<bool> {
    if args.plot {
        return draw().map(|()| true);
    }
    let mut command =
        run::cargo(&["test", "--quiet", "--locked", "--package", "tollgate", "--test", "chaos", "--"]);
    command.arg("--nocapture");
    if let Some(binary) = &args.binary {
        let binary = binary.canonicalize().with_context(|| format!("no gateway at {}", binary.display()))?;
        command.env("TOLLGATE_CHAOS_BINARY", binary);
    }
    match args.soak {
        Some(minutes) => soak(command, minutes),
        None => chaos(command, args),
    }
}

fn chaos(mut command: Command, args: &Args) -> Result<bool> {
    if !(0.0..=24.0 * 60.0).contains(&args.minutes) {
        bail!("minutes must be 0 to 1440");
    }
    // Only to be another one each time: nothing depends on its being hard to guess.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_millis() as u64);
    let seed = args.seed.unwrap_or(now % 1_000_000);
    say::step(format_args!("chaos, seed {seed}"));
    command.arg("errors_are_explained_and_no_answer_is_wrong");
    command.env("TOLLGATE_CHAOS_SEED", seed.to_string());
    command.env("TOLLGATE_CHAOS_MINUTES", args.minutes.to_string());
    run::succeeds(&mut command)
}

fn soak(mut command: Command, minutes: f64) -> Result<bool> {
    if !(0.1..=24.0 * 60.0).contains(&minutes) {
        bail!("a soak takes 0.1 to 1440 minutes");
    }
    say::step(format_args!("soak, {minutes} minutes"));
    command.arg("--ignored").arg("memory_and_descriptors_stay_flat");
    command.env("TOLLGATE_SOAK_MINUTES", minutes.to_string());
    command.env("TOLLGATE_SOAK_CSV", tree::root().join(SAMPLES));
    let flat = run::succeeds(&mut command)?;
    draw()?;
    Ok(flat)
}

fn draw() -> Result<()> {
    let text =
        fs::read_to_string(tree::root().join(SAMPLES)).with_context(|| format!("reading {SAMPLES}"))?;
    let samples = plot::read(&text)?;
    fs::write(tree::root().join(PLOT), plot::svg(&samples)).with_context(|| format!("writing {PLOT}"))?;
    say::line(format_args!("{PLOT} is drawn from {} samples in {SAMPLES}", samples.len()));
    Ok(())
}
