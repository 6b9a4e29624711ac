//! The command line of the repository's tasks: `cargo xtask …`, mostly called by `./dev`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::{
    audit, bench, billion, bus, chaos, closet, console, coverage, docs, fuzz, gate, generate, package, say,
    scale, tidy, tree, vps,
};

#[derive(Parser)]
#[command(name = "xtask", about = "The repository's own tasks")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that gates a merge
    Test,
    /// Rules of the house that no compiler knows
    Tidy,
    /// Make the pages in docs/reference
    Gen(generate::Args),
    /// Bundle the console, and try it in a browser
    Console(console::Args),
    /// Make the documentation as a site
    Docs(docs::Args),
    /// Known advisories against what is linked, read offline
    Audit,
    /// Measure beside nginx, HAProxy and Envoy
    Bench(bench::Args),
    /// Break examples/billion under load, and count what its clients see
    Billion(billion::Args),
    /// Reloads, hand-overs and outages under load, by a seed; and the soak
    Chaos(chaos::Args),
    /// A thousand gateways and one Redis, simulated; writes the figures and plots of docs/scale.md
    Scale(scale::Args),
    /// Measure examples/closet beside what is said of a gateway on a Raspberry Pi
    Closet(closet::Args),
    /// Measure examples/bus on a slow processor, beside what is said of a gateway on a Raspberry Pi 2
    Bus(bus::Args),
    /// Measure examples/vps beside what is said of a gateway on a small server
    Vps(vps::Args),
    /// Which lines the tests of a crate run
    Coverage(coverage::Args),
    /// Run the fuzz targets for a while
    Fuzz(fuzz::Args),
    /// Build the static binary and pack it
    Package(package::Args),
}

fn main() -> ExitCode {
    match run(Args::parse().task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say::line(format_args!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs one task; false when its answer is no.
fn run(task: Task) -> Result<bool> {
    match task {
        Task::Test => gate::run(),
        Task::Tidy => {
            let findings = tidy::check(&tree::Tree::read(&tree::root())?);
            findings.iter().for_each(say::line);
            say::line(format_args!("{} findings", findings.len()));
            Ok(findings.is_empty())
        }
        Task::Gen(args) => generate::run(&args),
        Task::Console(args) => console::run(&args),
        Task::Docs(args) => docs::run(&args),
        Task::Audit => audit::run(),
        Task::Bench(args) => bench::run(&args).map(|()| true),
        Task::Billion(args) => billion::run(&args),
        Task::Chaos(args) => chaos::run(&args),
        Task::Scale(args) => scale::run(&args),
        Task::Closet(args) => closet::run(&args).map(|()| true),
        Task::Bus(args) => bus::run(&args).map(|()| true),
        Task::Vps(args) => vps::run(&args),
        Task::Coverage(args) => coverage::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Package(args) => package::run(&args).map(|()| true),
    }
}
