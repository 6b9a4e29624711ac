//! The console: bundled by esbuild, and tried in a browser.
//!
//! What it is made with comes from the Node registry, pinned by `console/package-lock.json`, and only at this point:
//! building the gateway needs none of it.

use std::fs;

use anyhow::{Context, Result};

use crate::{run, say, tree};

/// What is tried, the quickest first.
const TESTS: [&str; 3] = ["tests/text.test.js", "tests/designer.test.js", "tests/console.test.js"];

/// What to do with the console.
#[derive(clap::Args)]
pub struct Args {
    /// Write nothing; fail when `console/dist` is stale, and click through every view in Chromium
    #[arg(long)]
    pub check: bool,
    /// Click through every view and keep the pictures of docs/console
    #[arg(long, conflicts_with = "check")]
    pub pictures: bool,
}

/// Bundles it; false when it is stale, too large, or does not stand the test.
pub fn run(args: &Args) -> Result<bool> {
    installed()?;
    if args.check {
        let current = run::succeeds(node(&["build.js", "--check"]).current_dir(folder()))?;
        return Ok(tried(false)? && current);
    }
    let built = run::succeeds(node(&["build.js"]).current_dir(folder()))?;
    Ok(built && (!args.pictures || tried(true)?))
}

/// The tests need the gateway's binary, node, npm and chromium, which `./dev` installs.
fn tried(pictures: bool) -> Result<bool> {
    run::required(&mut run::cargo(&["build", "--quiet", "--locked", "--package", "tollgate"]))?;
    let mut test = node(&["--test", "--test-reporter=spec"]);
    // By name: versions of Node differ in what a folder means.
    test.args(TESTS).current_dir(folder()).env("TOLLGATE", tree::target().join("debug/tollgate"));
    if pictures {
        test.env("PICTURES", tree::root().join("docs/console"));
    }
    run::succeeds(&mut test)
}

/// Installs what the lock names, unless that is what is there.
fn installed() -> Result<()> {
    let lock = fs::read(folder().join("package-lock.json")).context("the lock of the console's packages")?;
    let mark = folder().join("node_modules/.lock");
    if fs::read(&mark).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    say::line("installing the console's packages");
    // Scripts of packages are not run: none is needed.
    let mut install = run::command("npm", &["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    run::required(install.current_dir(folder()))?;
    fs::write(&mark, lock).context("noting what was installed")
}

fn node(args: &[&str]) -> std::process::Command {
    run::command("node", args)
}

fn folder() -> std::path::PathBuf {
    tree::root().join("console")
}
