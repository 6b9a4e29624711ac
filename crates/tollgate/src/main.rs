//! The `tollgate` binary: command line, signals, exit codes. What it does is in `commands/`.

mod cli;
mod commands;

mod demo;
mod serve;
mod life;
mod reload;
mod proof;

mod handover;
mod interruption;
mod remote;
mod signals;
mod startup_pages;
mod systemd;

mod admin_side;
mod config_file;
mod log;
mod output;
mod secret_input;
mod source;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::try_parse() {
        Ok(cli) => commands::dispatch(cli.command),
        Err(said) => output::clap(&said),
    }
}
