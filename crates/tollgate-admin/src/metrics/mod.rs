//! `GET /metrics`: the table of all metrics, and how their values are collected.
//!
//! A metric exists by its line in the table: name, type, labels and help come from there, for both formats
//! and for the reference. Labels come from the configuration, never from a request.

mod process;
mod text;

use tollgate_proxy::{
    Circuit, Control, Histogram, IssuerHealth, MemoryReport, Snapshot, Status, TokenHealth, UpstreamHealth,
};

use crate::Build;
use crate::reload::Reloads;

pub(crate) use process::Process;
pub(crate) use text::Format;
use text::Writer;

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) labels: &'static [&'static str],
    pub(crate) help: &'static str,
}

macro_rules! metrics {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(const $id: Metric = Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*

        /// Every metric, in the order in which they are written.
        pub(crate) const METRICS: &[&Metric] = &[$(&$id,)*];
    };
}

metrics! {
    REQUESTS = Counter "tollgate_requests_total" ["route", "method", "status"]
        "Requests answered, by route (`none`: no route matched), method and status.";
    REQUEST_DURATION = Histogram "tollgate_request_duration_seconds" ["route"]
        "Time from the first byte of a request to the last byte of its answer.";
    OVERHEAD = Histogram "tollgate_overhead_seconds" ["route"]
        "Time inside the gateway: the request's time minus the upstream's.";
    REJECTED = Counter "tollgate_rejected_total" ["route", "reason"]
        "Requests that the gateway refused or ended by itself, by reason.";
    RATE_LIMITED = Counter "tollgate_rate_limited_total" ["route", "limit"]
        "Requests that a rate limit refused, by the limit's name, or else its rate and what it counts by.";
    MIRRORED = Counter "tollgate_mirrored_total" ["route", "result"]
        "Requests that the route's mirror was to have: `sent`, or why not (`too_many`, `too_long`, `incomplete`).";
    CACHE = Counter "tollgate_cache_total" ["route", "result"]
        "Answers of routes with a cache: `hit`, `collapsed` (asked for together with another), `stale`, `revalidated`, `miss`, `bypass`.";
    CACHE_BYTES = Gauge "tollgate_cache_bytes" ["route"]
        "Memory that the route's kept answers take.";
    SCRIPT_DURATION = Histogram "tollgate_script_duration_seconds" ["route"]
        "Time that a call of a route's script took.";
    INFLIGHT = Gauge "tollgate_inflight_requests" []
        "Requests being served.";
    CONNECTIONS = Gauge "tollgate_connections" ["listener"]
        "Open client connections.";
    TLS_HANDSHAKE_FAILURES = Counter "tollgate_tls_handshake_failures_total" ["listener"]
        "TLS handshakes of clients that came to nothing: versions, certificates, what is no TLS, or too late.";
    CONNECTIONS_REFUSED = Counter "tollgate_connections_refused_total" []
        "Client connections closed at accept because of `limits.connections`.";
    UPSTREAM_REQUESTS = Counter "tollgate_upstream_requests_total" ["upstream", "target", "outcome"]
        "Attempts at a target; the outcome is the class of the status, or the reason why there was none.";
    UPSTREAM_DURATION = Histogram "tollgate_upstream_duration_seconds" ["upstream"]
        "Time that an attempt at a target took.";
    RETRIES = Counter "tollgate_retries_total" ["upstream"]
        "Attempts after the first one of a request.";
    UPSTREAM_CONNECTIONS = Gauge "tollgate_upstream_connections" ["upstream", "state"]
        "Open connections to an upstream: `active` serves a request, `idle` waits to be used again.";
    TARGET_HEALTHY = Gauge "tollgate_target_healthy" ["upstream", "target"]
        "1 when requests are sent to the target, 0 when not.";
    CIRCUIT = Gauge "tollgate_circuit_state" ["upstream"]
        "The upstream's circuit breaker: 0 closed, 1 half open, 2 open. Not there where none is configured.";
    JWKS_AGE = Gauge "tollgate_jwks_age_seconds" ["issuer"]
        "Time since the issuer's keys were last fetched; absent before the first time.";
    JWKS_REFRESH = Counter "tollgate_jwks_refresh_total" ["issuer", "result"]
        "Fetches of the issuer's keys, `ok` or `failed`, since it is configured as it is.";
    TOKEN_ENDS = Gauge "tollgate_upstream_token_seconds" ["upstream"]
        "Time until the gateway's own token toward the upstream ends; absent where there is none, or no end.";
    TOKEN_REFRESH = Counter "tollgate_upstream_token_refresh_total" ["upstream", "result"]
        "Fetches of the gateway's own token toward the upstream, `ok` or `failed`, since it is configured as it is.";
    REDIS_UP = Gauge "tollgate_redis_up" []
        "Whether every worker can use Redis. Not there where none is configured.";
    LOG_RECORDS = Counter "tollgate_log_records_total" ["sink"]
        "Access records written.";
    LOG_DROPPED = Counter "tollgate_log_dropped_total" ["sink"]
        "Access records lost: the buffer or the spool was full, or the sink failed.";
    LOG_BATCHES = Counter "tollgate_log_batches_total" ["sink", "result"]
        "Objects sent to the object store, `ok`, and tries that `failed`: those are made again.";
    LOG_SPOOL = Gauge "tollgate_log_spool_bytes" []
        "Access records that wait for the object store, compressed. Not there without one.";
    TRACE_SPANS = Counter "tollgate_trace_spans_total" ["result"]
        "Spans that a collector took, `exported`, and that were lost, `dropped`. Not there without traces.";
    MEMORY_LIMIT = Gauge "tollgate_memory_limit_bytes" []
        "`limits.memory`. Not there without a cap.";
    MEMORY_HELD = Gauge "tollgate_memory_held_bytes" []
        "What is held for clients: connections, heads that come in parts, bodies in memory.";
    MEMORY_PRESSURE = Gauge "tollgate_memory_pressure" []
        "How near the process is to `limits.memory`: 0 there is room, 1 idle connections are closed, 2 requests are refused.";
    MEMORY_CLOSED = Counter "tollgate_memory_connections_closed_total" []
        "Client connections closed, or not accepted, because of `limits.memory`.";
    GENERATION = Gauge "tollgate_config_generation" []
        "The generation of the configuration that serves; counts up from 1 with each one applied.";
    RELOADS = Counter "tollgate_config_reloads_total" ["result"]
        "Reloads, `ok` or `rejected`; the start is none.";
    BUILD = Gauge "tollgate_build_info" ["version", "commit"]
        "Always 1; the labels say which build runs.";
    CPU = Counter "process_cpu_seconds_total" []
        "User and system CPU time of the process.";
    RESIDENT = Gauge "process_resident_memory_bytes" []
        "Memory in use, shared pages included.";
    VIRTUAL = Gauge "process_virtual_memory_bytes" []
        "Address space in use.";
    OPEN_FDS = Gauge "process_open_fds" []
        "Open file descriptors.";
    MAX_FDS = Gauge "process_max_fds" []
        "How many file descriptors may be open.";
    START_TIME = Gauge "process_start_time_seconds" []
        "When the process started, in seconds since 1970.";
}

/// Everything that one scrape shows, at one moment.
pub(crate) struct Scrape {
    pub(crate) status: Status,
    pub(crate) snapshot: Snapshot,
    pub(crate) health: Vec<UpstreamHealth>,
    pub(crate) issuers: Vec<IssuerHealth>,
    pub(crate) tokens: Vec<TokenHealth>,
    /// Whether every worker can use Redis; none where none is configured.
    pub(crate) redis: Option<bool>,
    /// Reloads applied and rejected.
    pub(crate) reloads: (u64, u64),
    pub(crate) memory: MemoryReport,
    pub(crate) process: Option<Process>,
}

impl Scrape {
    pub(crate) async fn take(control: &Control, reloads: &Reloads) -> Scrape {
        Scrape {
            snapshot: control.snapshot().await,
            status: control.status(),
            health: control.health().upstreams,
            issuers: control.issuers(),
            tokens: control.tokens(),
            redis: control.store().map(|store| store.up),
            reloads: reloads.counts(),
            memory: control.memory(),
            process: Process::read(),
        }
    }

    /// The whole answer in one of the two formats.
    pub(crate) fn render(&self, format: Format, build: &Build) -> String {
        let mut out = Writer::new(format);
        self.write_requests(&mut out);
        self.write_upstreams(&mut out);
        self.write_issuers(&mut out);
        self.write_tokens(&mut out);
        self.write_redis(&mut out);
        self.write_memory(&mut out);
        self.write_gateway(&mut out, build);
        if let Some(process) = &self.process {
            write_process(&mut out, process);
        }
        out.finish()
    }

    fn write_requests(&self, out: &mut Writer) {
        let seen = &self.snapshot;
        out.family(&REQUESTS);
        for (labels, count) in &seen.requests {
            out.sample(&[&labels.route, labels.method, &labels.status_label()], count);
        }
        histograms(out, &REQUEST_DURATION, &seen.request_duration);
        histograms(out, &OVERHEAD, &seen.overhead);
        out.family(&REJECTED);
        for (labels, count) in &seen.rejected {
            out.sample(&[&labels.route, labels.reason], count);
        }
        out.family(&RATE_LIMITED);
        for (labels, count) in &seen.rate_limited {
            out.sample(&[&labels.route, &labels.limit], count);
        }
        out.family(&MIRRORED);
        for (labels, count) in &seen.mirrored {
            out.sample(&[&labels.route, labels.result], count);
        }
        out.family(&CACHE);
        for (labels, count) in &seen.cached {
            out.sample(&[&labels.route, labels.result], count);
        }
        out.family(&CACHE_BYTES);
        for (route, bytes) in &seen.cache_bytes {
            out.sample(&[route], bytes);
        }
        histograms(out, &SCRIPT_DURATION, &seen.script_duration);
        out.family(&INFLIGHT).sample(&[], seen.inflight_requests);
        out.family(&CONNECTIONS);
        for (listener, open) in &seen.connections {
            out.sample(&[listener], open);
        }
        out.family(&TLS_HANDSHAKE_FAILURES);
        for (listener, failures) in &seen.tls_handshake_failures {
            out.sample(&[listener], failures);
        }
        out.family(&CONNECTIONS_REFUSED).sample(&[], seen.connections_refused);
    }

    fn write_upstreams(&self, out: &mut Writer) {
        let seen = &self.snapshot;
        out.family(&UPSTREAM_REQUESTS);
        for (labels, count) in &seen.upstream_requests {
            out.sample(&[&labels.upstream, &labels.target, labels.outcome], count);
        }
        histograms(out, &UPSTREAM_DURATION, &seen.upstream_duration);
        out.family(&RETRIES);
        for (upstream, count) in &seen.retries {
            out.sample(&[upstream], count);
        }
        out.family(&UPSTREAM_CONNECTIONS);
        for (upstream, open) in &seen.upstream_connections {
            out.sample(&[upstream, "active"], open.active).sample(&[upstream, "idle"], open.idle);
        }
        out.family(&TARGET_HEALTHY);
        for upstream in &self.health {
            // Hosts that stand for a service are no labels: DNS could make as many as it likes.
            for target in upstream.targets.chunk_by(|a, b| a.configured == b.configured) {
                let healthy = target.iter().any(|host| host.healthy);
                let label = target.first().map_or("", |host| &host.configured);
                out.sample(&[&upstream.name, label], u8::from(healthy));
            }
        }
        out.family(&CIRCUIT);
        for upstream in &self.health {
            if let Some(circuit) = upstream.circuit {
                out.sample(&[&upstream.name], circuit_level(circuit));
            }
        }
    }

    fn write_issuers(&self, out: &mut Writer) {
        out.family(&JWKS_AGE);
        for issuer in &self.issuers {
            if let Some(age) = issuer.age {
                out.sample(&[&issuer.name], age.as_secs_f64());
            }
        }
        out.family(&JWKS_REFRESH);
        for issuer in &self.issuers {
            if let Some((ok, failed)) = issuer.refreshes {
                out.sample(&[&issuer.name, "ok"], ok).sample(&[&issuer.name, "failed"], failed);
            }
        }
    }

    fn write_tokens(&self, out: &mut Writer) {
        out.family(&TOKEN_ENDS);
        for token in &self.tokens {
            if let Some(time) = token.ends_in {
                out.sample(&[&token.upstream], time.as_secs_f64());
            }
        }
        out.family(&TOKEN_REFRESH);
        for token in &self.tokens {
            let (ok, failed) = token.refreshes;
            out.sample(&[&token.upstream, "ok"], ok).sample(&[&token.upstream, "failed"], failed);
        }
    }

    fn write_redis(&self, out: &mut Writer) {
        out.family(&REDIS_UP);
        if let Some(up) = self.redis {
            out.sample(&[], u8::from(up));
        }
    }

    fn write_memory(&self, out: &mut Writer) {
        let MemoryReport { cap, held, pressure, closed, .. } = &self.memory;
        out.family(&MEMORY_LIMIT);
        if let Some(cap) = cap {
            out.sample(&[], cap);
        }
        out.family(&MEMORY_HELD).sample(&[], held);
        out.family(&MEMORY_PRESSURE).sample(&[], *pressure as u8);
        out.family(&MEMORY_CLOSED).sample(&[], closed);
    }

    fn write_gateway(&self, out: &mut Writer, build: &Build) {
        out.family(&LOG_RECORDS);
        for (sink, counts) in &self.snapshot.logs {
            out.sample(&[sink], counts.records);
        }
        out.family(&LOG_DROPPED);
        for (sink, counts) in &self.snapshot.logs {
            out.sample(&[sink], counts.dropped);
        }
        out.family(&LOG_BATCHES);
        if let Some(shipped) = &self.snapshot.shipped {
            out.sample(&["object_store", "ok"], shipped.batches);
            out.sample(&["object_store", "failed"], shipped.failures);
        }
        out.family(&LOG_SPOOL);
        if let Some(shipped) = &self.snapshot.shipped {
            out.sample(&[], shipped.waiting_bytes);
        }
        out.family(&TRACE_SPANS);
        if let Some(spans) = &self.snapshot.spans {
            out.sample(&["exported"], spans.exported).sample(&["dropped"], spans.dropped);
        }
        out.family(&GENERATION).sample(&[], self.status.generation);
        let (ok, rejected) = self.reloads;
        out.family(&RELOADS).sample(&["ok"], ok).sample(&["rejected"], rejected);
        out.family(&BUILD).sample(&[build.version, build.commit], 1);
    }
}

fn circuit_level(circuit: Circuit) -> u8 {
    match circuit {
        Circuit::Closed => 0,
        Circuit::HalfOpen => 1,
        Circuit::Open => 2,
    }
}

fn histograms<'a>(
    out: &mut Writer,
    metric: &'static Metric,
    rows: impl IntoIterator<Item = (&'a std::sync::Arc<str>, &'a Histogram)>,
) {
    out.family(metric);
    for (label, histogram) in rows {
        out.histogram(&[label], histogram);
    }
}

fn write_process(out: &mut Writer, process: &Process) {
    out.family(&CPU).sample(&[], process.cpu_seconds);
    out.family(&RESIDENT).sample(&[], process.resident_bytes);
    out.family(&VIRTUAL).sample(&[], process.virtual_bytes);
    out.family(&OPEN_FDS).sample(&[], process.open_fds);
    if let Some(max) = process.max_fds {
        out.family(&MAX_FDS).sample(&[], max);
    }
    out.family(&START_TIME).sample(&[], process.start_seconds);
}

/// The list of all metrics as a Markdown table: name, type, labels, meaning.
pub fn metrics_reference() -> String {
    let mut out = String::from("| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for metric in METRICS {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "-".to_owned() } else { labels.join(" ") };
        out.push_str(&format!(
            "| `{}` | {} | {labels} | {} |\n",
            metric.name,
            metric.kind.as_str(),
            metric.help
        ));
    }
    out
}

#[cfg(test)]
mod packaged;
#[cfg(test)]
mod tests;
