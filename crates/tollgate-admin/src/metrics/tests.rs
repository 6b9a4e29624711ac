//! Both formats are read back by a strict parser, so that a scrape never meets a line it cannot read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tollgate_proxy::{
    CacheLabels, CopyLabels, IssuerStatus, LimitLabels, LogCounts, Pressure, RejectedLabels, RequestLabels,
    Shipped, SpanTotals, TargetHealth, TokenStatus, UpstreamConnections, UpstreamLabels,
};

use super::*;

const BUILD_OF_TEST: Build = Build { version: "1.2.3", commit: "abc" };
/// A label as an operator may write it into the configuration.
const NASTY: &str = "a\"b\\c\nd{},=";

#[derive(Debug, Default, PartialEq)]
struct Family {
    kind: String,
    help: String,
    /// Samples: name, labels, value.
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// Reads one of the two formats, refusing whatever its grammar does not have.
fn parse(text: &str, format: Format) -> BTreeMap<String, Family> {
    let body = match format {
        Format::OpenMetrics => text.strip_suffix("# EOF\n").expect("ends with EOF"),
        Format::Prometheus => text,
    };
    assert!(body.ends_with('\n'));
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("help");
            current = name.to_owned();
            let new = Family { help: help.to_owned(), ..Family::default() };
            assert!(families.insert(current.clone(), new).is_none(), "{name} stands twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("type");
            assert_eq!(name, current, "TYPE belongs to its HELP");
            families.get_mut(name).expect("begun").kind = kind.to_owned();
        } else {
            let (name, labels, value) = parse_sample(line);
            let family = families.get_mut(&current).expect("begun");
            let suffixes: &[&str] = match (family.kind.as_str(), format) {
                ("histogram", _) => &["_bucket", "_sum", "_count"],
                ("counter", Format::OpenMetrics) => &["_total"],
                _ => &[""],
            };
            let known = suffixes.iter().any(|suffix| name == format!("{current}{suffix}"));
            assert!(known, "{name} in family {current}");
            family.samples.push((name, labels, value));
        }
    }
    families
}

fn parse_sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).expect("value");
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").expect("label");
            let (value, after) = parse_quoted(after);
            assert!(labels.insert(label.to_owned(), value).is_none());
            if let Some(after) = after.strip_prefix(',') {
                rest = after;
            } else {
                rest = after.strip_prefix('}').expect("end of labels");
                break;
            }
        }
    }
    let value = rest.strip_prefix(' ').expect("space").parse().expect("number");
    (name.to_owned(), labels, value)
}

fn parse_quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => match chars.next().expect("escaped").1 {
                'n' => value.push('\n'),
                c @ ('\\' | '"') => value.push(c),
                other => panic!("unknown escape {other}"),
            },
            c => value.push(c),
        }
    }
    panic!("no closing quote")
}

fn scrape() -> Scrape {
    let mut snapshot = Snapshot::default();
    let route: std::sync::Arc<str> = NASTY.into();
    snapshot.requests.insert(RequestLabels { route: route.clone(), method: "GET", status: 200 }, 7);
    snapshot.requests.insert(RequestLabels { route: "none".into(), method: "other", status: 0 }, 1);
    snapshot.rejected.insert(RejectedLabels { route: "none".into(), reason: "route_not_found" }, 2);
    snapshot.rate_limited.insert(LimitLabels { route: "none".into(), limit: "100/s per ip".into() }, 14);
    snapshot.request_duration.insert(route.clone(), Histogram::new());
    snapshot.overhead.insert(route, Histogram::new());
    let labels = UpstreamLabels { upstream: "u".into(), target: "http://t".into(), outcome: "2xx" };
    snapshot.upstream_requests.insert(labels, 3);
    snapshot.upstream_duration.insert("u".into(), Histogram::new());
    snapshot.retries.insert("u".into(), 1);
    snapshot.mirrored.insert(CopyLabels { route: "none".into(), result: "sent" }, 16);
    snapshot.cached.insert(CacheLabels { route: "none".into(), result: "hit" }, 17);
    snapshot.cache_bytes.insert("none".into(), 18);
    snapshot.script_duration.insert(NASTY.into(), Histogram::new());
    snapshot.inflight_requests = 4;
    snapshot.connections.insert("0.0.0.0:8080".into(), 5);
    snapshot.tls_handshake_failures.insert("0.0.0.0:8080".into(), 15);
    snapshot.connections_refused = 6;
    snapshot.upstream_connections.insert("u".into(), UpstreamConnections { idle: 8, active: 9 });
    snapshot.logs.insert("stdout", LogCounts { records: 10, dropped: 11 });
    snapshot.shipped = Some(Shipped { batches: 21, failures: 22, waiting_bytes: 23 });
    snapshot.spans = Some(SpanTotals { exported: 24, dropped: 25 });
    let target = TargetHealth {
        url: "http://t".into(),
        configured: "http://t".into(),
        healthy: false,
        since: UNIX_EPOCH,
    };
    let issuer = IssuerHealth {
        name: "main".into(),
        status: IssuerStatus::Stale,
        keys: Some(2),
        age: Some(Duration::from_millis(1500)),
        last_error: Some("answered 500 instead of 200".into()),
        refreshes: Some((3, 4)),
    };
    let token = TokenHealth {
        upstream: "u".into(),
        status: TokenStatus::Ok,
        ends_in: Some(Duration::from_millis(2500)),
        last_error: None,
        refreshes: (17, 18),
    };
    Scrape {
        issuers: vec![issuer],
        tokens: vec![token],
        redis: Some(true),
        status: Status { generation: 12, draining: false, ready: true, started: SystemTime::now() },
        snapshot,
        health: vec![UpstreamHealth {
            name: "u".into(),
            targets: vec![target],
            circuit: Some(Circuit::HalfOpen),
            token: Some(TokenStatus::Ok),
        }],
        reloads: (13, 0),
        memory: MemoryReport {
            cap: Some(17),
            resident: None,
            held: 18,
            buffers: None,
            pressure: Pressure::Tight,
            closed: 19,
        },
        process: Process::read(),
    }
}

#[test]
fn every_metric_of_the_table_is_written_with_its_type_labels_and_help() {
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let families = parse(&scrape().render(format, &BUILD_OF_TEST), format);
        assert_eq!(families.len(), METRICS.len());
        for metric in METRICS {
            let counter = format == Format::OpenMetrics && metric.kind == Kind::Counter;
            let name = if counter { metric.name.strip_suffix("_total").unwrap() } else { metric.name };
            let family = families.get(name).unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!(family.kind, metric.kind.as_str(), "{name}");
            assert!(!family.samples.is_empty(), "{name} has no sample");
            let expect: BTreeSet<&str> = metric.labels.iter().copied().collect();
            for (sample, labels, _) in &family.samples {
                let names: BTreeSet<&str> =
                    labels.keys().map(String::as_str).filter(|label| *label != "le").collect();
                assert_eq!(names, expect, "{sample}");
                assert_eq!(labels.contains_key("le"), sample.ends_with("_bucket"), "{sample}");
            }
        }
    }
}

#[test]
fn names_follow_the_conventions() {
    let mut names = BTreeSet::new();
    for metric in METRICS {
        assert!(names.insert(metric.name), "{} stands twice", metric.name);
        assert!(
            metric.name.starts_with("tollgate_") || metric.name.starts_with("process_"),
            "{}",
            metric.name
        );
        assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
        assert!(metric.help.ends_with('.') && !metric.help.contains(['\n', '|']), "{}", metric.name);
    }
}

#[test]
fn values_arrive() {
    let text = scrape().render(Format::Prometheus, &BUILD_OF_TEST);
    for line in [
        "tollgate_requests_total{route=\"a\\\"b\\\\c\\nd{},=\",method=\"GET\",status=\"200\"} 7",
        "tollgate_requests_total{route=\"none\",method=\"other\",status=\"other\"} 1",
        "tollgate_rejected_total{route=\"none\",reason=\"route_not_found\"} 2",
        "tollgate_rate_limited_total{route=\"none\",limit=\"100/s per ip\"} 14",
        "tollgate_upstream_requests_total{upstream=\"u\",target=\"http://t\",outcome=\"2xx\"} 3",
        "tollgate_retries_total{upstream=\"u\"} 1",
        "tollgate_jwks_age_seconds{issuer=\"main\"} 1.5",
        "tollgate_jwks_refresh_total{issuer=\"main\",result=\"failed\"} 4",
        "tollgate_upstream_token_seconds{upstream=\"u\"} 2.5",
        "tollgate_upstream_token_refresh_total{upstream=\"u\",result=\"failed\"} 18",
        "tollgate_inflight_requests 4",
        "tollgate_connections{listener=\"0.0.0.0:8080\"} 5",
        "tollgate_connections_refused_total 6",
        "tollgate_upstream_connections{upstream=\"u\",state=\"idle\"} 8",
        "tollgate_upstream_connections{upstream=\"u\",state=\"active\"} 9",
        "tollgate_target_healthy{upstream=\"u\",target=\"http://t\"} 0",
        "tollgate_circuit_state{upstream=\"u\"} 1",
        "tollgate_log_records_total{sink=\"stdout\"} 10",
        "tollgate_log_dropped_total{sink=\"stdout\"} 11",
        "tollgate_log_batches_total{sink=\"object_store\",result=\"ok\"} 21",
        "tollgate_log_batches_total{sink=\"object_store\",result=\"failed\"} 22",
        "tollgate_log_spool_bytes 23",
        "tollgate_trace_spans_total{result=\"exported\"} 24",
        "tollgate_trace_spans_total{result=\"dropped\"} 25",
        "tollgate_config_generation 12",
        "tollgate_config_reloads_total{result=\"ok\"} 13",
        "tollgate_config_reloads_total{result=\"rejected\"} 0",
        "tollgate_memory_limit_bytes 17",
        "tollgate_memory_held_bytes 18",
        "tollgate_memory_pressure 1",
        "tollgate_memory_connections_closed_total 19",
        "tollgate_build_info{version=\"1.2.3\",commit=\"abc\"} 1",
    ] {
        assert!(text.lines().any(|written| written == line), "no line {line}\n{text}");
    }
}

#[test]
fn a_label_survives_the_way_through_a_parser() {
    let families = parse(&scrape().render(Format::OpenMetrics, &BUILD_OF_TEST), Format::OpenMetrics);
    let routes: Vec<&str> =
        families["tollgate_requests"].samples.iter().map(|(_, labels, _)| labels["route"].as_str()).collect();
    assert!(routes.contains(&NASTY), "{routes:?}");
}

#[test]
fn a_histogram_has_ascending_buckets_that_begin_at_50_microseconds() {
    let families = parse(&scrape().render(Format::Prometheus, &BUILD_OF_TEST), Format::Prometheus);
    let samples = &families["tollgate_request_duration_seconds"].samples;
    let bounds: Vec<f64> = samples
        .iter()
        .filter_map(|(_, labels, _)| labels.get("le"))
        .map(|bound| if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() })
        .collect();
    assert_eq!(bounds.first(), Some(&Duration::from_micros(50).as_secs_f64()));
    assert_eq!(bounds.last(), Some(&f64::INFINITY));
    assert!(bounds.is_sorted());
}

#[test]
fn the_reference_names_every_metric() {
    let reference = metrics_reference();
    for metric in METRICS {
        assert!(
            reference.contains(&format!("| `{}` | {} |", metric.name, metric.kind.as_str())),
            "{}",
            metric.name
        );
    }
}
