//! Every expression of the Grafana dashboard, asked of the Prometheus that scraped the run.

use std::fmt::Write;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::stack::{PROMETHEUS, Stack};
use crate::replay::client;
use crate::{say, tree};

const DASHBOARD: &str = "packaging/grafana/dashboard.json";

/// How the samples are called.
pub(super) const PANEL: &str = "panel";

/// How far back is asked, and how often in that time; Grafana's `$__rate_interval` is four scrapes at least.
const BACK_S: u64 = 900;
const STEP_S: u64 = 15;
const RATE_INTERVAL: &str = "1m";

/// Asks for each expression over the time of the run; a sample says how many series and points came.
pub(super) fn ask(stack: &Stack, who: &str, samples: &mut Vec<Value>) -> Result<()> {
    let text = fs::read_to_string(tree::root().join(DASHBOARD)).context(DASHBOARD)?;
    let dashboard: Value = serde_json::from_str(&text).context(DASHBOARD)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let (mut asked, mut with_data) = (0, 0);
    for (title, expression) in expressions(&dashboard["panels"]) {
        let path = format!(
            "/api/v1/query_range?query={}&start={}&end={now}&step={STEP_S}",
            encoded(&filled(&expression)),
            now - BACK_S
        );
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        let answer = client::whole(stack.port(PROMETHEUS), &request)
            .with_context(|| format!("Prometheus does not take `{expression}`"))?;
        let answer: Value = serde_json::from_str(&answer).context("what Prometheus says")?;
        let series = answer["data"]["result"].as_array().context("Prometheus gives no series")?;
        let points: Vec<&Value> =
            series.iter().filter_map(|one| one["values"].as_array()).flatten().collect();
        asked += 1;
        with_data += usize::from(!points.is_empty());
        samples.push(json!({
            "who": who, "work": PANEL, "round": 1, "title": title, "expression": expression,
            "series": series.len(), "points": points.len(), "last": last(series),
        }));
    }
    if asked == 0 {
        bail!("{DASHBOARD} has no expressions");
    }
    say::line(format_args!("dashboard: {with_data} of {asked} expressions have data"));
    Ok(())
}

/// The last value, where there is one series and it is a number.
fn last(series: &[Value]) -> Option<f64> {
    let [one] = series else { return None };
    one["values"].as_array()?.iter().rev().find_map(|pair| {
        let value: f64 = pair[1].as_str()?.parse().ok()?;
        value.is_finite().then_some(value)
    })
}

/// Title and expression of each target, also of panels in rows.
fn expressions(panels: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for panel in panels.as_array().into_iter().flatten() {
        let title = panel["title"].as_str().unwrap_or_default();
        for target in panel["targets"].as_array().into_iter().flatten() {
            if let Some(expression) = target["expr"].as_str() {
                found.push((title.to_owned(), expression.to_owned()));
            }
        }
        found.extend(expressions(&panel["panels"]));
    }
    found
}

/// With the dashboard's variables as they are when everything is chosen.
fn filled(expression: &str) -> String {
    let all = ["$job", "$instance", "$route"]
        .iter()
        .fold(expression.to_owned(), |text, name| text.replace(name, ".*"));
    all.replace("$__rate_interval", RATE_INTERVAL)
}

/// For a query (RFC 3986 section 2).
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(byte as char);
        } else {
            // Writing to a text does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_found_also_in_rows_and_their_variables_filled() {
        let panels = json!([
            { "title": "A", "targets": [{ "expr": "up{job=~\"$job\"}" }] },
            { "title": "row", "panels": [{ "title": "B", "targets": [{ "expr": "rate(x[$__rate_interval])" }] }] },
        ]);
        let found = expressions(&panels);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].0.as_str(), filled(&found[0].1).as_str()), ("A", "up{job=~\".*\"}"));
        assert_eq!((found[1].0.as_str(), filled(&found[1].1).as_str()), ("B", "rate(x[1m])"));
        assert_eq!(encoded("a{b=\"c\"}"), "a%7Bb%3D%22c%22%7D");
    }
}
