//! Prints the pages of `docs/reference` that are made from the gateway's own crates, as one JSON object of
//! file names and texts. `cargo xtask gen` writes them.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::json;
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
    let pages = json!({
        "configuration.md": tollgate_config::reference_markdown(),
        "tollgate.schema.json": format!("{:#}\n", tollgate_config::schema()),
        "metrics.md": format!("{METRICS}{}", tollgate_admin::metrics_reference()),
        "reasons.md": reasons(),
    });
    write!(std::io::stdout(), "{pages}")
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
