//! Prints what is made from the gateway's own crates, as one JSON object of file names and texts: pages of
//! `docs/reference`, and under their path from the root what shells and `man` read. `cargo xtask gen` writes them.

// The command line as the binary declares it; the binary is no library that could be asked.
#[path = "../../crates/tollgate/src/cli.rs"]
#[allow(dead_code, unused_imports)]
mod cli;

use std::fmt::Write as _;
use std::io::Write as _;

use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::{Map, Value, json};
use tollgate_plan::Reason;

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

fn main() -> std::io::Result<()> {
    let mut pages = json!({
        "configuration.md": tollgate_config::reference_markdown(),
        "tollgate.schema.json": format!("{:#}\n", tollgate_config::schema()),
        "metrics.md": format!("{METRICS}{}", tollgate_admin::metrics_reference()),
        "reasons.md": reasons(),
    });
    if let Value::Object(pages) = &mut pages {
        completions(pages);
        manual(pages)?;
    }
    write!(std::io::stdout(), "{pages}")
}

/// What `tollgate completions` prints.
fn completions(pages: &mut Map<String, Value>) {
    let shells = [(Shell::Bash, "tollgate.bash"), (Shell::Zsh, "_tollgate"), (Shell::Fish, "tollgate.fish")];
    for (shell, name) in shells {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut cli::Cli::command(), "tollgate", &mut text);
        pages.insert(format!("packaging/completions/{name}"), String::from_utf8_lossy(&text).into());
    }
}

/// A page for the whole, and one for each command.
fn manual(pages: &mut Map<String, Value>) -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    clap_mangen::generate_to(cli::Cli::command(), folder.path())?;
    for entry in std::fs::read_dir(folder.path())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        pages.insert(format!("packaging/man/{name}"), std::fs::read_to_string(&path)?.into());
    }
    Ok(())
}

fn reasons() -> String {
    let mut page = REASONS.to_owned();
    for reason in Reason::ALL {
        let row = reason.row();
        let blame = format!("{:?}", row.blame).to_lowercase();
        let retry = if row.retry { "yes" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| `{}` | {} | {blame} | {retry} |", row.code, row.status);
    }
    page
}
