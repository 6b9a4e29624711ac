//! Runs each fuzz target for a while, starting from the seeds in the repository.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::{run, say, tree};

/// What to fuzz, and for how long.
#[derive(clap::Args)]
pub struct Args {
    /// One target; all of them when left out
    target: Option<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = 150)]
    seconds: u32,
}

/// False when a target found something; its input is left in fuzz/artifacts.
pub fn run(args: &Args) -> Result<bool> {
    let root = tree::root();
    let all = targets()?;
    let chosen = match &args.target {
        None => all,
        Some(name) if all.contains(name) => vec![name.clone()],
        Some(name) => bail!("no fuzz target `{name}`: there are {}", all.join(", ")),
    };
    let mut clean = true;
    for target in &chosen {
        say::step(format_args!("{target}, {} s", args.seconds));
        let corpus = format!("fuzz/corpus/{target}");
        fs::create_dir_all(root.join(&corpus)).with_context(|| corpus.clone())?;
        let seeds = format!("fuzz/seeds/{target}");
        let time = format!("-max_total_time={}", args.seconds);
        let mut words = vec!["fuzz", "run", target.as_str(), corpus.as_str()];
        if root.join(&seeds).is_dir() {
            words.push(&seeds);
        }
        words.extend(["--", &time, "-timeout=10", "-rss_limit_mb=2048"]);
        // The sanitizer's flags are unstable; this lets a stable toolchain take them.
        clean &= run::succeeds(run::cargo(&words).env("RUSTC_BOOTSTRAP", "1"))?;
    }
    Ok(clean)
}

fn targets() -> Result<Vec<String>> {
    let list = run::output(run::cargo(&["fuzz", "list"]).env("RUSTC_BOOTSTRAP", "1"))?;
    Ok(list.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect())
}
