//! The dashboard and the alert rules that come with the gateway name only metrics that there are, with labels that
//! these have.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Kind, METRICS, Metric};

/// Labels that are on everything that Prometheus scraped.
const OF_THE_SCRAPE: &[&str] = &["job", "instance", "le"];

fn packaged(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(packaged(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Names of metrics in a query, each with the matchers and labels that stand right behind it.
fn metrics_in(query: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(start) = ["tollgate_", "process_"].iter().filter_map(|prefix| rest.find(prefix)).min() {
        rest = &rest[start..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let matchers =
            after.strip_prefix('{').and_then(|inside| inside.split_once('}')).map_or("", |(m, _)| m);
        found.push((name, matchers));
        rest = after;
    }
    found
}

/// The metric of a sample, whose name may have an ending.
fn metric(sample: &str) -> Option<&'static Metric> {
    METRICS.iter().copied().find(|metric| match metric.kind {
        Kind::Histogram => {
            let ending = sample.strip_prefix(metric.name);
            matches!(ending, Some("_bucket" | "_sum" | "_count"))
        }
        Kind::Counter | Kind::Gauge => metric.name == sample,
    })
}

/// Checks one query: every metric is there, every matcher names a label of its metric, and what is grouped by is a
/// label of some metric in it.
fn check(place: &str, query: &str) {
    let mut labels: BTreeSet<&str> = OF_THE_SCRAPE.iter().copied().collect();
    for (name, matchers) in metrics_in(query) {
        let metric = metric(name).unwrap_or_else(|| panic!("{place}: there is no metric {name}\n{query}"));
        for matcher in matchers.split(',').filter(|matcher| !matcher.is_empty()) {
            let label = matcher.split(['=', '!']).next().unwrap_or_default().trim();
            let known = metric.labels.contains(&label) || OF_THE_SCRAPE.contains(&label);
            assert!(known, "{place}: {name} has no label {label}\n{query}");
        }
        labels.extend(metric.labels);
    }
    for grouped in query.split(" by (").skip(1) {
        let list = grouped.split(')').next().unwrap_or_default();
        for label in list.split(',').map(str::trim) {
            assert!(labels.contains(label), "{place}: nothing here has the label {label}\n{query}");
        }
    }
}

/// Every text under a key, wherever it stands.
fn texts<'v>(value: &'v Value, key: &str, out: &mut Vec<&'v str>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| match value.as_str() {
            Some(text) if name == key => out.push(text),
            _ => texts(value, key, out),
        }),
        Value::Array(items) => items.iter().for_each(|item| texts(item, key, out)),
        _ => {}
    }
}

#[test]
fn the_dashboard_names_only_metrics_that_there_are() {
    let dashboard: Value =
        serde_json::from_str(&read("grafana/dashboard.json")).expect("the dashboard is JSON");
    let mut queries = Vec::new();
    texts(&dashboard, "expr", &mut queries);
    assert!(queries.len() > 30, "{}", queries.len());
    queries.iter().for_each(|query| check("dashboard.json", query));
    let mut variables = Vec::new();
    texts(&dashboard["templating"], "query", &mut variables);
    for variable in variables.iter().filter(|text| text.starts_with("label_values(")) {
        check("dashboard.json", variable);
    }
}

#[test]
fn the_dashboard_shows_every_metric_but_those_of_the_build() {
    let shown = read("grafana/dashboard.json") + &read("prometheus/alerts.yaml");
    let hidden = [
        "tollgate_build_info",
        "process_virtual_memory_bytes",
        "process_start_time_seconds",
        "tollgate_upstream_token_seconds",
        "tollgate_upstream_token_refresh_total",
        "tollgate_jwks_refresh_total",
        "tollgate_cache_bytes",
    ];
    for metric in METRICS.iter().filter(|metric| !hidden.contains(&metric.name)) {
        assert!(shown.contains(metric.name), "nobody would see {}", metric.name);
    }
}

#[test]
fn the_alerts_name_only_metrics_that_there_are() {
    let rules = read("prometheus/alerts.yaml");
    let alerts = rules.lines().filter(|line| line.trim_start().starts_with("- alert:")).count();
    assert!(alerts > 10, "{alerts}");
    // A query may stand on the lines behind its key, as far as these are deeper than the rule's own keys.
    let mut queries: Vec<String> = Vec::new();
    let mut open = false;
    for line in rules.lines() {
        if let Some(query) = line.strip_prefix("        expr:") {
            queries.push(query.trim().trim_start_matches('|').to_owned());
            open = true;
        } else if let (true, Some(more), Some(query)) =
            (open, line.strip_prefix("          "), queries.last_mut())
        {
            query.push_str(more);
            query.push(' ');
        } else {
            open = false;
        }
    }
    assert_eq!(queries.len(), alerts, "each alert has a query");
    queries.iter().for_each(|query| check("alerts.yaml", query));
    // What descriptions recommend to ask has to work too.
    for part in rules.split('`').skip(1).step_by(2).filter(|part| part.contains("tollgate_")) {
        check("alerts.yaml", part);
    }
}

#[test]
fn prometheus_reads_the_alerts_where_it_is_installed() {
    let file = packaged("prometheus/alerts.yaml");
    match Command::new("promtool").args(["check", "rules"]).arg(&file).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
        }
        Err(error) => {
            // Not part of the build's own tools; the checks above need none.
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("promtool is left out: {error}\n"),
            );
        }
    }
}

#[test]
fn the_check_itself_finds_what_is_wrong() {
    for wrong in [
        "rate(tollgate_request_total[5m])",
        "tollgate_request_duration_seconds",
        "sum by (route) (tollgate_inflight_requests)",
        "tollgate_connections{route=\"x\"}",
    ] {
        assert!(std::panic::catch_unwind(|| check("test", wrong)).is_err(), "{wrong}");
    }
    check(
        "test",
        "sum by (route, le) (rate(tollgate_request_duration_seconds_bucket{job=\"x\",route!=\"y\"}[5m]))",
    );
}
