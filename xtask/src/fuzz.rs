//! Runs fuzz targets for a while, starting from the seeds in the repository, and says what each came to.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{run, say, tree};

/// Bytes of an input that a fuzzer makes: the limits of the targets are reached with less.
const INPUT_BYTES_MAX: u32 = 4096;

/// Bytes of a file that becomes a seed, so that all seeds together stay small.
const SEED_BYTES_MAX: u32 = 1024;

/// What to fuzz, and for how long.
#[derive(clap::Args)]
pub struct Args {
    /// These targets; all of them when left out
    targets: Vec<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = 150)]
    seconds: u32,
    /// Take what was found to reach more code into the seeds, as far as it is short
    #[arg(long)]
    keep: bool,
    /// With the address sanitizer: for changes of code that is not Rust, at about half the speed
    #[arg(long)]
    address: bool,
}

/// What a target came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    executions: u64,
    per_second: u64,
    /// Edges of the program that some input reached.
    edges: u64,
    /// Inputs in the corpus.
    corpus: u64,
    clean: bool,
}

/// False when a target found something; its input is left in fuzz/artifacts.
pub fn run(args: &Args) -> Result<bool> {
    let all = targets()?;
    if let Some(unknown) = args.targets.iter().find(|name| !all.contains(name)) {
        bail!("no fuzz target `{unknown}`: there are {}", all.join(", "));
    }
    let chosen = if args.targets.is_empty() { &all } else { &args.targets };
    let mut outcomes = Vec::new();
    for target in chosen {
        say::step(format_args!("{target}, {} s", args.seconds));
        outcomes.push(fuzz(target, args)?);
        if args.keep {
            keep(target, args)?;
        }
    }
    say::line(format_args!(
        "\n{:<16} {:>12} {:>9} {:>9} {:>8}",
        "target", "executions", "a second", "edges", "corpus"
    ));
    for (target, Outcome { executions, per_second, edges, corpus, clean }) in chosen.iter().zip(&outcomes) {
        let found = if *clean { "" } else { "  FOUND: see fuzz/artifacts" };
        say::line(format_args!(
            "{target:<16} {executions:>12} {per_second:>9} {edges:>9} {corpus:>8}{found}"
        ));
    }
    Ok(outcomes.iter().all(|outcome| outcome.clean))
}

fn fuzz(target: &str, args: &Args) -> Result<Outcome> {
    let [corpus, seeds] = folders(target)?;
    let time = format!("-max_total_time={}", args.seconds);
    let length = format!("-max_len={INPUT_BYTES_MAX}");
    let dictionary = format!("fuzz/dictionaries/{target}.dict");
    let words = format!("-dict={dictionary}");
    let sanitizer = sanitizer(args);
    let mut command = cargo_fuzz(&["run", sanitizer, target, &corpus, &seeds, "--", &time, &length]);
    command.args(["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"]);
    if tree::root().join(&dictionary).is_file() {
        command.arg(&words);
    }
    let mut child = command.stderr(Stdio::piped()).spawn().context("starting cargo fuzz")?;
    let mut outcome = Outcome::default();
    for line in child.stderr.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        // What the fuzzer prints of an input need not be text.
        let Ok(line) = line else { continue };
        say::line(format_args!("{line}"));
        outcome.read(&line);
    }
    outcome.clean = child.wait()?.success();
    Ok(outcome)
}

impl Outcome {
    /// `stat::number_of_executed_units: 7`, or `#7 DONE cov: 1 ft: 2 corp: 3/4b …`.
    fn read(&mut self, line: &str) {
        let number =
            |text: &str| text.trim().split(['/', ' ', '\t']).next().and_then(|text| text.parse().ok());
        let behind = |word: &str| line.split_once(word).and_then(|(_, rest)| number(rest));
        if let Some(executions) = behind("stat::number_of_executed_units:") {
            self.executions = executions;
        } else if let Some(per_second) = behind("stat::average_exec_per_sec:") {
            self.per_second = per_second;
        } else if line.starts_with('#') {
            self.edges = behind(" cov:").unwrap_or(self.edges);
            self.corpus = behind(" corp:").unwrap_or(self.corpus);
        }
    }
}

/// Copies to the seeds what reaches code that none of them does.
fn keep(target: &str, args: &Args) -> Result<()> {
    let [corpus, seeds] = folders(target)?;
    let length = format!("-max_len={SEED_BYTES_MAX}");
    let words = ["run", sanitizer(args), target, &seeds, &corpus, "--", "-set_cover_merge=1", &length];
    run::required(&mut cargo_fuzz(&words))
}

/// The targets are Rust without `unsafe`: what the sanitizer finds would be in what they link.
fn sanitizer(args: &Args) -> &'static str {
    if args.address { "--sanitizer=address" } else { "--sanitizer=none" }
}

/// Of what was found here, and of what is committed.
fn folders(target: &str) -> Result<[String; 2]> {
    let folders = ["corpus", "seeds"].map(|kind| format!("fuzz/{kind}/{target}"));
    for folder in &folders {
        fs::create_dir_all(tree::root().join(folder)).with_context(|| folder.clone())?;
    }
    Ok(folders)
}

fn targets() -> Result<Vec<String>> {
    let list = run::output(&mut cargo_fuzz(&["list"]))?;
    Ok(list.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect())
}

fn cargo_fuzz(words: &[&str]) -> Command {
    let mut command = run::cargo(&["fuzz"]);
    command.args(words);
    // The sanitizer's flags are unstable; this lets a stable toolchain take them.
    command.env("RUSTC_BOOTSTRAP", "1");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_fuzzer_prints_is_read() {
        let mut outcome = Outcome::default();
        for line in [
            "INFO: seed corpus: files: 7 min: 1b max: 2b total: 3b rss: 40Mb",
            "#8\tINITED cov: 100 ft: 200 corp: 5/40b exec/s: 0 rss: 41Mb",
            "#4096\tDONE   cov: 120 ft: 250 corp: 9/60b lim: 4096 exec/s: 2048 rss: 50Mb",
            "stat::number_of_executed_units: 4096",
            "stat::average_exec_per_sec:     2048",
        ] {
            outcome.read(line);
        }
        let expected = Outcome { executions: 4096, per_second: 2048, edges: 120, corpus: 9, clean: false };
        assert_eq!(outcome, expected);
    }
}
