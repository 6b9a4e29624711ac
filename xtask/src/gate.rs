//! Everything that gates a merge, in one run: a later step still runs when an earlier one failed, so that
//! one run tells all. The tests come last, so the runner's own summary ends the output.

use std::time::Instant;

use anyhow::Result;

use crate::{audit, console, generate, run, say};

/// A step's name, and the step: whether it passed.
type Step = (&'static str, fn() -> Result<bool>);

const STEPS: &[Step] = &[
    ("format", || run::succeeds(&mut run::cargo(&["fmt", "--all", "--check"]))),
    ("lints", lints),
    ("fuzz targets", fuzz_targets),
    ("generated pages", || generate::run(&generate::Args { check: true })),
    ("console", || console::run(&console::Args { check: true, pictures: false })),
    ("licences, bans, sources", licences),
    ("advisories", audit::run),
    ("documentation tests", || {
        run::succeeds(&mut run::cargo(&["test", "--quiet", "--workspace", "--doc", "--locked"]))
    }),
    ("tests", tests),
];

/// Runs all steps; false when any failed.
pub fn run() -> Result<bool> {
    let mut failed = Vec::new();
    for (name, step) in STEPS {
        say::step(name);
        let started = Instant::now();
        let passed = step().unwrap_or_else(|error| {
            say::line(format_args!("{error:#}"));
            false
        });
        // After the last step nothing is printed when all is well: the runner's summary is the last word.
        if *name != "tests" {
            say::line(format_args!(
                "{name}: {} in {:.0?}",
                if passed { "ok" } else { "FAILED" },
                started.elapsed()
            ));
        }
        if !passed {
            failed.push(*name);
        }
    }
    if !failed.is_empty() {
        say::line(format_args!("\nfailed: {}", failed.join("; ")));
    }
    Ok(failed.is_empty())
}

fn lints() -> Result<bool> {
    run::succeeds(&mut run::cargo(&[
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))
}

/// They are a workspace of their own, which nothing else would build. What was checked for the lints need not be checked
/// again for them: profiles and versions are the same, and so is the folder. That their seeds pass is a matter of the
/// tests.
fn fuzz_targets() -> Result<bool> {
    let manifest = ["--manifest-path", "fuzz/Cargo.toml"];
    let formatted = run::succeeds(run::cargo(&["fmt", "--check"]).args(manifest))?;
    let check = &mut run::cargo(&["check", "--quiet", "--locked", "--target-dir", "target"]);
    let compile = run::succeeds(check.args(manifest))?;
    Ok(formatted && compile)
}

/// cargo-deny reads `deny.toml`; `./dev` installs it.
fn licences() -> Result<bool> {
    let args =
        ["deny", "--log-level", "error", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"];
    run::succeeds(&mut run::cargo(&args))
}

fn tests() -> Result<bool> {
    if run::output(&mut run::cargo(&["nextest", "--version"])).is_ok() {
        return run::succeeds(&mut run::cargo(&["nextest", "run", "--workspace", "--locked"]));
    }
    say::line("no cargo-nextest: cargo's own runner is used");
    run::succeeds(&mut run::cargo(&["test", "--workspace", "--all-targets", "--locked", "--no-fail-fast"]))
}
