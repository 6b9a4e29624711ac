//! `./dev closet`: what a gateway in a closet is said to do, measured on `examples/closet` as its one command starts it.
//!
//! The samples go to `bench/results/closet.json`, and `docs/closet.md` is made from them alone. Everything listens on the
//! loopback, and each part of the run has an end.

mod mix;
mod page;
mod panels;
mod phases;
mod replay;
mod shape;
mod stack;
mod websocket;
mod wide;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bench::machine;
use crate::replay::{binary, interrupt, samples};
use crate::say;

use phases::Plan;
use stack::Stack;

/// The raw samples of the last run.
const SAMPLES: &str = "bench/results/closet.json";

/// What the binary for the machine of the run is called in the samples, and the one for aarch64.
const NATIVE: &str = "native";
const EMULATED: &str = "aarch64 under qemu";

/// What runs a binary for aarch64 here.
const QEMU: &str = "qemu-aarch64-static";

/// What to measure, and how long.
#[derive(clap::Args, Clone)]
pub struct Args {
    /// The gateway's binary; built when left out
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// A binary for aarch64, run under qemu-aarch64-static after the other one
    #[arg(long)]
    aarch64: Option<PathBuf>,
    /// Measures that one alone, and keeps what is on record of the other
    #[arg(long, requires = "aarch64")]
    keep: bool,
    /// Seconds at 83 requests a second
    #[arg(long, default_value_t = 60)]
    peak_seconds: u64,
    /// Seconds into which a month is compressed
    #[arg(long, default_value_t = 240)]
    month_seconds: u64,
    /// One of so many of the month's 2,000,000 requests is sent
    #[arg(long, default_value_t = 10)]
    share: u64,
    /// Only make the page again from the samples
    #[arg(long)]
    page: bool,
}

/// Measures, writes the samples, and makes the page.
pub fn run(args: &Args) -> Result<()> {
    if args.page {
        return page::write();
    }
    for (name, value, most) in
        [("--peak-seconds", args.peak_seconds, 600), ("--month-seconds", args.month_seconds, 600)]
    {
        if !(5..=most).contains(&value) {
            bail!("{name} is 5 to {most}");
        }
    }
    if !(5..=10_000).contains(&args.share) {
        bail!(
            "--share is 5 to 10000: the limits of the example are for a fifth of the month in so short a time at most"
        );
    }
    interrupt::watch()?;
    let folder = TempDir::with_prefix("tollgate-closet-")?;
    let native = binary::gateway(args.gateway.as_deref())?;
    let mut record =
        if args.keep { samples::read(SAMPLES)? } else { native_record(args, &native, folder.path())? };
    if let Some(binary) = &args.aarch64 {
        let emulated = under_qemu(binary, folder.path())?;
        let mut samples = Vec::new();
        measure(EMULATED, &emulated, &native, folder.path(), args, &mut samples)?;
        record[EMULATED] = json!({ "version": binary::version(&emulated), "date": machine::date(), "command": command(args) });
        let kept = record["samples"].as_array().cloned().unwrap_or_default();
        let kept = kept.into_iter().filter(|sample| sample["who"] != EMULATED);
        record["samples"] = kept.chain(samples).collect();
    }
    samples::write(SAMPLES, record)?;
    page::write()
}

/// Everything that is measured of one binary; `native` makes the tokens.
fn measure(
    who: &str,
    binary: &Path,
    native: &Path,
    folder: &Path,
    args: &Args,
    samples: &mut Vec<Value>,
) -> Result<()> {
    let emulated = who == EMULATED;
    say::step(format_args!("examples/closet, {who}"));
    let stack =
        Stack::start(binary, native, &folder.join(if emulated { "aarch64" } else { "native" }), None)?;
    let plan = Plan {
        who,
        peak_s: args.peak_seconds,
        month_s: args.month_seconds,
        // An emulated processor is some ten times as slow: a month with fewer requests, in the same time.
        share: if emulated { args.share * 5 } else { args.share },
    };
    phases::run(&stack, &plan, samples)?;
    if !emulated {
        panels::ask(&stack, who, samples)?;
    }
    Ok(())
}

/// A program that is the binary under qemu, since the example starts one word.
fn under_qemu(binary: &Path, folder: &Path) -> Result<PathBuf> {
    let binary = binary.canonicalize().with_context(|| format!("no gateway at {}", binary.display()))?;
    let path = folder.join("tollgate-aarch64");
    fs::write(&path, format!("#!/bin/sh\nexec {QEMU} '{}' \"$@\"\n", binary.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

fn prometheus() -> Result<String> {
    let mut command = std::process::Command::new("prometheus");
    let output = command.arg("--version").output().context("starting prometheus")?;
    // Which of the two it writes to differs between its versions.
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    Ok(text.split_whitespace().nth(2).unwrap_or_default().to_owned())
}

/// What is on record after the part of the binary for the machine of the run.
fn native_record(args: &Args, native: &Path, folder: &Path) -> Result<Value> {
    let mut samples = Vec::new();
    measure(NATIVE, native, native, folder, args, &mut samples)?;
    wide::measure(native, folder, &mut samples)?;
    Ok(json!({
        "case": "closet", "date": machine::date(), "command": command(args), "machine": machine::describe(),
        "versions": { "tollgate": binary::version(native), "prometheus": prometheus()? }, "samples": samples,
    }))
}

/// The words that measure so.
fn command(args: &Args) -> String {
    let more = match (&args.aarch64, args.keep) {
        (None, _) => "",
        (Some(_), false) => " --aarch64 PATH",
        (Some(_), true) => " --aarch64 PATH --keep",
    };
    let (peak, month, share) = (args.peak_seconds, args.month_seconds, args.share);
    format!("./dev closet --peak-seconds {peak} --month-seconds {month} --share {share}{more}")
}
