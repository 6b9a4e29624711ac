//! Commands of others, run in the repository's root with their output passed through.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{say, tree};

/// A command in the root, from words.
pub fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(tree::root());
    command
}

/// The cargo that started this task, so that a toolchain chosen by `cargo +name` stays chosen.
pub fn cargo(args: &[&str]) -> Command {
    command(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()), args)
}

/// Whether it succeeded. It prints what it runs.
pub fn succeeds(command: &mut Command) -> Result<bool> {
    say::line(format_args!("$ {}", shown(command)));
    let status = command.status().with_context(|| format!("starting {}", shown(command)))?;
    Ok(status.success())
}

/// Runs it; a failure is an error.
pub fn required(command: &mut Command) -> Result<()> {
    if !succeeds(command)? {
        bail!("{} failed", shown(command));
    }
    Ok(())
}

/// Its standard output; a failure is an error.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("starting {}", shown(command)))?;
    if !output.status.success() {
        bail!("{} failed: {}", shown(command), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    let name = words[0].rsplit('/').next().unwrap_or_default();
    format!("{name} {}", words[1..].join(" "))
}
