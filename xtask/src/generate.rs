//! The pages in `docs/reference`, made from the code: configuration, schema, command line, metrics, reasons; and what
//! shells and `man` read, in `packaging`.
//!
//! They are committed, so that they can be read without building anything; the gate fails when one is stale.
//! What needs the gateway's crates is made by `xtask/examples/reference.rs`, in a process of its own.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};

use crate::{run, say, tree};

const FOLDER: &str = "docs/reference";

/// What to do with the pages.
#[derive(clap::Args)]
pub struct Args {
    /// Write nothing; fail when a page is stale
    #[arg(long)]
    pub check: bool,
}

/// Writes the pages, or says which are stale; false when one is.
pub fn run(args: &Args) -> Result<bool> {
    let mut current = true;
    for (name, text) in pages()? {
        // A page of the reference, or a path from the root.
        let name = if name.contains('/') { name } else { format!("{FOLDER}/{name}") };
        let path = tree::root().join(&name);
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            continue;
        }
        if args.check {
            say::line(format_args!("{name} is stale: run `cargo xtask gen`"));
            current = false;
        } else {
            fs::create_dir_all(path.parent().context("a page stands in a folder")?)?;
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
            say::line(format_args!("wrote {name}"));
        }
    }
    Ok(current)
}

/// Name and text of each page.
fn pages() -> Result<BTreeMap<String, String>> {
    let made = run::output(&mut run::cargo(&[
        "run",
        "--quiet",
        "--locked",
        "--package",
        "xtask",
        "--example",
        "reference",
    ]))?;
    let mut pages: BTreeMap<String, String> =
        serde_json::from_str(&made).context("what the example printed")?;
    pages.insert("cli.md".into(), command_line()?);
    Ok(pages)
}

/// The help of the binary and of each of its commands, as it prints it.
fn command_line() -> Result<String> {
    run::required(&mut run::cargo(&["build", "--quiet", "--locked", "--package", "tollgate"]))?;
    let help = help(&["--help"])?;
    let mut page =
        format!("# Command line\n\nMade from the code by `cargo xtask gen`.\n\n```\n{help}\n```\n");
    for command in commands(&help) {
        let help = self::help(&[command, "--help"])?;
        write!(page, "\n## tollgate {command}\n\n```\n{help}\n```\n")?;
        for part in commands(&help) {
            let help = self::help(&[command, part, "--help"])?;
            write!(page, "\n### tollgate {command} {part}\n\n```\n{help}\n```\n")?;
        }
    }
    Ok(page)
}

fn help(args: &[&str]) -> Result<String> {
    // The width of a terminal must not change the page.
    let text =
        run::output(run::command("target/debug/tollgate", args).env("COLUMNS", "100").env("NO_COLOR", "1"))?;
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    Ok(lines.join("\n"))
}

/// The names below "Commands:".
fn commands(help: &str) -> impl Iterator<Item = &str> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    listed.filter_map(|line| line.split_whitespace().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_from_the_help() {
        let help =
            "About\n\nCommands:\n  run    Run it\n         for long\n  check  Check it\n\nOptions:\n  -h\n";
        assert_eq!(commands(help).collect::<Vec<_>>(), ["run", "check"]);
    }
}
