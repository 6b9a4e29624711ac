//! The pages in `docs/reference`, made from the code: configuration, schema, command line, metrics, reasons.
//!
//! They are committed, so that they can be read without building anything; the gate fails when one is stale.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};
use tollgate_plan::Reason;

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
    let folder = tree::root().join(FOLDER);
    fs::create_dir_all(&folder)?;
    let mut current = true;
    for (name, text) in pages()? {
        let path = folder.join(name);
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            continue;
        }
        if args.check {
            say::line(format_args!("{FOLDER}/{name} is stale: run `cargo xtask gen`"));
            current = false;
        } else {
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
            say::line(format_args!("wrote {FOLDER}/{name}"));
        }
    }
    Ok(current)
}

fn pages() -> Result<[(&'static str, String); 5]> {
    let mut schema = serde_json::to_string_pretty(&tollgate_config::schema())?;
    schema.push('\n');
    Ok([
        ("configuration.md", tollgate_config::reference_markdown()),
        ("tollgate.schema.json", schema),
        ("cli.md", command_line()?),
        ("metrics.md", format!("{METRICS}{}", tollgate_admin::metrics_reference())),
        ("reasons.md", reasons()?),
    ])
}

const METRICS: &str = "# Metrics

Made from the code by `cargo xtask gen`. Served on `admin.address` under `/metrics`, as Prometheus text, or as
OpenMetrics when `Accept` asks for it. Times are in seconds. Labels come from the configuration, never from requests.

";

const REASONS: &str = "# Reasons

Made from the code by `cargo xtask gen`. Why the gateway answers by itself: `code` in the answer, `reason` in the access
record and in `tollgate_rejected_total`. What to do about each is in [troubleshooting](../troubleshooting.md).

| code | status | blame | may a retry help |
|---|---|---|---|
";

fn reasons() -> Result<String> {
    let mut page = REASONS.to_owned();
    for reason in Reason::ALL {
        let row = reason.row();
        let blame = format!("{:?}", row.blame).to_lowercase();
        let retry = if row.retry { "yes" } else { "" };
        writeln!(page, "| `{}` | {} | {blame} | {retry} |", row.code, row.status)?;
    }
    Ok(page)
}

/// The help of the binary and of each of its commands, as it prints it.
fn command_line() -> Result<String> {
    run::required(&mut run::cargo(&["build", "--quiet", "--locked", "--package", "tollgate"]))?;
    let help = help(&["--help"])?;
    let mut page =
        format!("# Command line\n\nMade from the code by `cargo xtask gen`.\n\n```\n{help}\n```\n");
    for command in commands(&help) {
        write!(page, "\n## tollgate {command}\n\n```\n{}\n```\n", self::help(&[command, "--help"])?)?;
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

    #[test]
    fn every_reason_is_explained() {
        let page = fs::read_to_string(tree::root().join("docs/troubleshooting.md")).expect("the page");
        let mut headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
        let mut codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        headings.sort_unstable();
        codes.sort_unstable();
        assert_eq!(headings, codes);
    }
}
