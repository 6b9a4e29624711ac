//! What a screen shows: rates between two looks at a gateway, and how it is.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::numbers::{Buckets, Numbers, Sample, quantile};

/// One look at a gateway.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) numbers: Numbers,
    pub(super) health: Value,
    pub(super) ready: Value,
}

/// What is shown. Rates are per second, times in seconds; none where nothing came that would tell.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) version: String,
    /// `ready`, `draining`, `not ready`.
    pub(super) state: &'static str,
    pub(super) uptime_s: u64,
    pub(super) generation: u64,
    /// Whether the last configuration was refused.
    pub(super) reload_refused: bool,
    pub(super) requests: f64,
    pub(super) client_errors: f64,
    pub(super) server_errors: f64,
    pub(super) refused: f64,
    pub(super) in_flight: f64,
    pub(super) connections: f64,
    /// 50, 95 and 99 of a hundred requests take no longer.
    pub(super) latency: [Option<f64>; 3],
    /// The same of the time inside the gateway.
    pub(super) overhead: [Option<f64>; 3],
    /// Cores.
    pub(super) cpu: f64,
    pub(super) cpu_per_request: Option<f64>,
    pub(super) memory: f64,
    pub(super) files: (f64, f64),
    pub(super) routes: Vec<RouteRow>,
    pub(super) upstreams: Vec<UpstreamRow>,
    pub(super) reasons: Vec<ReasonRow>,
}

#[derive(Debug, Default)]
pub(super) struct RouteRow {
    pub(super) name: String,
    pub(super) requests: f64,
    pub(super) errors: f64,
    pub(super) refused: f64,
    pub(super) latency: [Option<f64>; 2],
}

/// An upstream, or one of its targets.
#[derive(Debug, Default)]
pub(super) struct UpstreamRow {
    pub(super) name: String,
    pub(super) is_target: bool,
    pub(super) well: bool,
    pub(super) state: String,
    pub(super) requests: f64,
    pub(super) failures: f64,
}

#[derive(Debug)]
pub(super) struct ReasonRow {
    pub(super) reason: String,
    pub(super) rate: f64,
    pub(super) total: f64,
}

/// By what routes are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Rate,
    Latency,
    Errors,
    Name,
}

impl View {
    /// What happened between two looks.
    pub(super) fn between(before: &Look, after: &Look, time: Duration, sort: Sort) -> View {
        let rates =
            Rates { before: &before.numbers, after: &after.numbers, seconds: time.as_secs_f64().max(1e-3) };
        let requests = rates.rate("tollgate_requests_total");
        let cpu = rates.rate("process_cpu_seconds_total");
        let now = &after.numbers;
        let number = |name: &str| now.get(name).unwrap_or_default();
        let health = &after.health;
        View {
            version: health["version"].as_str().unwrap_or("?").to_owned(),
            state: state(&after.ready),
            uptime_s: health["uptime_s"].as_u64().unwrap_or_default(),
            generation: health["generation"].as_u64().unwrap_or_default(),
            reload_refused: health["last_reload"]["ok"] == false,
            requests,
            client_errors: rates.of_class('4'),
            server_errors: rates.of_class('5'),
            refused: rates.rate("tollgate_rejected_total"),
            in_flight: number("tollgate_inflight_requests"),
            connections: now.sum("tollgate_connections"),
            latency: rates.quantiles("tollgate_request_duration_seconds"),
            overhead: rates.quantiles("tollgate_overhead_seconds"),
            cpu,
            cpu_per_request: (requests > 0.0).then(|| cpu / requests),
            memory: number("process_resident_memory_bytes"),
            files: (number("process_open_fds"), number("process_max_fds")),
            routes: routes(&rates, sort),
            upstreams: upstreams(&rates, health),
            reasons: reasons(&rates),
        }
    }

    /// Puts the routes into another order.
    pub(super) fn sort(&mut self, sort: Sort) {
        sort_routes(&mut self.routes, sort);
    }

    /// For machines: `{"requests_per_second", "latency_s": {"p50", "p95", "p99"}, "routes", "upstreams", "reasons", …}`.
    pub(super) fn to_json(&self) -> Value {
        let percentiles = |[p50, p95, p99]: [Option<f64>; 3]| json!({ "p50": p50, "p95": p95, "p99": p99 });
        let routes = self.routes.iter().map(|row| {
            json!({
                "name": row.name, "requests_per_second": row.requests, "server_errors_per_second": row.errors,
                "refused_per_second": row.refused, "latency_s": { "p50": row.latency[0], "p99": row.latency[1] },
            })
        });
        let upstreams = self.upstreams.iter().map(|row| {
            json!({
                "name": row.name, "target": row.is_target, "ok": row.well, "state": row.state,
                "requests_per_second": row.requests, "failures_per_second": row.failures,
            })
        });
        let reasons = self
            .reasons
            .iter()
            .map(|row| json!({ "reason": row.reason, "per_second": row.rate, "total": row.total }));
        json!({
            "version": self.version, "state": self.state, "uptime_s": self.uptime_s, "generation": self.generation,
            "reload_refused": self.reload_refused,
            "requests_per_second": self.requests, "client_errors_per_second": self.client_errors,
            "server_errors_per_second": self.server_errors, "refused_per_second": self.refused,
            "in_flight": self.in_flight, "connections": self.connections,
            "latency_s": percentiles(self.latency), "overhead_s": percentiles(self.overhead),
            "cpu_cores": self.cpu, "cpu_per_request_s": self.cpu_per_request, "memory_bytes": self.memory,
            "open_files": self.files.0, "max_files": self.files.1,
            "routes": routes.collect::<Vec<_>>(), "upstreams": upstreams.collect::<Vec<_>>(),
            "reasons": reasons.collect::<Vec<_>>(),
        })
    }
}

/// Two looks, and the time between them.
struct Rates<'n> {
    before: &'n Numbers,
    after: &'n Numbers,
    seconds: f64,
}

impl Rates<'_> {
    fn rate(&self, name: &str) -> f64 {
        self.of(self.before.sum(name), self.after.sum(name))
    }

    /// Of answers whose status begins so.
    fn of_class(&self, class: char) -> f64 {
        let fits = |sample: &Sample| sample.label("status").starts_with(class);
        self.by("tollgate_requests_total", "status", fits)
            .iter()
            .map(|(_, rate, _)| rate)
            .fold(0.0, std::ops::Add::add)
    }

    /// Rate and total for each value of a label, of those samples that fit; ordered by the value.
    fn by(&self, name: &str, label: &str, fits: impl Fn(&Sample) -> bool) -> Vec<(String, f64, f64)> {
        let before = self.before.by(name, label, &fits);
        let rate = |value: &str, now: f64| self.of(before.get(value).copied().unwrap_or_default(), now);
        let after = self.after.by(name, label, &fits).into_iter();
        after.map(|(value, now)| (value.clone(), rate(&value, now), now)).collect()
    }

    /// Over all routes.
    fn quantiles(&self, name: &str) -> [Option<f64>; 3] {
        let (before, after) = (self.before.buckets(name, ""), self.after.buckets(name, ""));
        quantiles(before.get(""), after.get(""), [0.5, 0.95, 0.99])
    }

    /// A counter that got less began anew.
    fn of(&self, before: f64, after: f64) -> f64 {
        let more = if after < before { after } else { after - before };
        more / self.seconds
    }
}

fn quantiles<const N: usize>(
    before: Option<&Buckets>,
    after: Option<&Buckets>,
    shares: [f64; N],
) -> [Option<f64>; N] {
    let none = Buckets::new();
    shares.map(|share| quantile(before.unwrap_or(&none), after?, share))
}

fn state(ready: &Value) -> &'static str {
    match (ready["draining"] == true, ready["ready"] == true) {
        (true, _) => "draining",
        (_, true) => "ready",
        _ => "not ready",
    }
}

fn routes(rates: &Rates<'_>, sort: Sort) -> Vec<RouteRow> {
    let of = |list: Vec<(String, f64, f64)>| -> BTreeMap<String, f64> {
        list.into_iter().map(|(name, rate, _)| (name, rate)).collect()
    };
    let failed = |sample: &Sample| sample.label("status").starts_with('5');
    let errors = of(rates.by("tollgate_requests_total", "route", failed));
    let refused = of(rates.by("tollgate_rejected_total", "route", |_| true));
    let took = "tollgate_request_duration_seconds";
    let (before, after) = (rates.before.buckets(took, "route"), rates.after.buckets(took, "route"));
    let find = |list: &BTreeMap<String, f64>, name: &str| list.get(name).copied().unwrap_or_default();
    let all = rates.by("tollgate_requests_total", "route", |_| true).into_iter();
    let mut rows: Vec<RouteRow> = all
        .map(|(name, requests, _)| RouteRow {
            requests,
            errors: find(&errors, &name),
            refused: find(&refused, &name),
            latency: quantiles(before.get(&name), after.get(&name), [0.5, 0.99]),
            name,
        })
        .collect();
    sort_routes(&mut rows, sort);
    rows
}

fn sort_routes(rows: &mut [RouteRow], sort: Sort) {
    let by = |key: fn(&RouteRow) -> f64| {
        move |one: &RouteRow, other: &RouteRow| {
            key(other).total_cmp(&key(one)).then_with(|| one.name.cmp(&other.name))
        }
    };
    match sort {
        Sort::Rate => rows.sort_by(by(|row| row.requests)),
        Sort::Latency => rows.sort_by(by(|row| row.latency[1].unwrap_or(-1.0))),
        Sort::Errors => rows.sort_by(by(|row| row.errors)),
        Sort::Name => rows.sort_by(|one, other| one.name.cmp(&other.name)),
    }
}

fn upstreams(rates: &Rates<'_>, health: &Value) -> Vec<UpstreamRow> {
    let counts = |upstream: &str, failed: bool| {
        // What is no class of a status is why there was none.
        let fails = |outcome: &str| !matches!(outcome, "1xx" | "2xx" | "3xx" | "4xx");
        let fits = |sample: &Sample| {
            sample.label("upstream") == upstream && (!failed || fails(sample.label("outcome")))
        };
        rates.by("tollgate_upstream_requests_total", "target", fits)
    };
    let mut rows = Vec::new();
    for (name, upstream) in health["upstreams"].as_object().into_iter().flatten() {
        let (all, failed) = (counts(name, false), counts(name, true));
        let sum =
            |list: &[(String, f64, f64)]| list.iter().map(|(_, rate, _)| rate).fold(0.0, std::ops::Add::add);
        let find = |list: &[(String, f64, f64)], url: &str| {
            list.iter().find(|(target, ..)| target == url).map_or(0.0, |(_, rate, _)| *rate)
        };
        let status = upstream["status"].as_str().unwrap_or("?");
        let state = match upstream["circuit"].as_str() {
            Some(circuit) if circuit != "closed" => format!("circuit {circuit}"),
            _ => status.to_owned(),
        };
        rows.push(UpstreamRow {
            name: name.clone(),
            is_target: false,
            well: status == "ok",
            state,
            requests: sum(&all),
            failures: sum(&failed),
        });
        for target in upstream["targets"].as_array().into_iter().flatten() {
            let url = target["url"].as_str().unwrap_or("?");
            let well = target["healthy"] == true;
            // The time of the day, out of `2026-01-01T12:34:56.789Z`.
            let since = target["since"].as_str().and_then(|text| text.get(11..16)).unwrap_or("?");
            rows.push(UpstreamRow {
                name: url.to_owned(),
                is_target: true,
                well,
                state: if well { "ok".to_owned() } else { format!("out since {since}Z") },
                requests: find(&all, url),
                failures: find(&failed, url),
            });
        }
    }
    rows
}

fn reasons(rates: &Rates<'_>) -> Vec<ReasonRow> {
    let all = rates.by("tollgate_rejected_total", "reason", |_| true).into_iter();
    let mut rows: Vec<ReasonRow> = all
        .filter(|(_, _, total)| *total > 0.0)
        .map(|(reason, rate, total)| ReasonRow { reason, rate, total })
        .collect();
    rows.sort_by(|one, other| {
        other
            .rate
            .total_cmp(&one.rate)
            .then(other.total.total_cmp(&one.total))
            .then(one.reason.cmp(&other.reason))
    });
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_zero_and_not_less() {
        let health = json!({ "upstreams": { "u": { "status": "ok", "targets": [] } } });
        let look = || Look { health: health.clone(), ..Look::default() };
        let view = View::between(&look(), &look(), Duration::from_secs(1), Sort::Rate);
        let told = view.to_json();
        assert_eq!(told["upstreams"][0]["failures_per_second"].to_string(), "0.0");
        assert!(!told.to_string().contains("-0"), "{told}");
    }
}
