//! Spans of requests and of attempts, by the semantic conventions of OpenTelemetry for HTTP (1.x), on their way to the
//! collector.
//!
//! A worker encodes a span when a request or an attempt ends, into a buffer of its own, and hands the buffer over when it is
//! full or when the tick comes. It never waits: what the exporter has no room for is counted as dropped.

mod message;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tollgate_plan::{Plan, Reason};
use tollgate_wire::{Method, Version, name};

pub(crate) use self::message::request;
use self::message::{Kind, Span};
use super::record::Record;
use crate::exchange::Exchange;

/// A buffer this full is handed over.
const BATCH_BYTES: usize = 32 * 1024;

/// What a text of a client may have in a span; a longer one is cut.
pub(super) const TEXT_BYTES_MAX: usize = 1024;

/// Spans of one worker, each encoded as a field of `ScopeSpans`.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) spans: u64,
}

/// What became of spans since the start of the process.
#[derive(Debug, Default)]
pub(crate) struct SpanCounts {
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl SpanCounts {
    pub(crate) fn export(&self, spans: u64) {
        self.exported.fetch_add(spans, Ordering::Relaxed);
    }

    pub(crate) fn lose(&self, spans: u64) {
        self.dropped.fetch_add(spans, Ordering::Relaxed);
    }

    /// Those that a collector took, and those that were lost.
    pub(crate) fn get(&self) -> (u64, u64) {
        (self.exported.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }
}

/// One worker's end of the traces. Dropping it hands over what is left.
pub(crate) struct WorkerSpans {
    sender: mpsc::Sender<Batch>,
    counts: Arc<SpanCounts>,
    batch: Batch,
}

impl WorkerSpans {
    pub(crate) fn new(sender: mpsc::Sender<Batch>, counts: Arc<SpanCounts>) -> WorkerSpans {
        WorkerSpans { sender, counts, batch: Batch::default() }
    }

    /// To be called some 100 ms after a request.
    pub(crate) fn tick(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if batch.spans > 0
            && let Err(refused) = self.sender.try_send(batch)
        {
            self.counts.lose(refused.into_inner().spans);
        }
    }

    fn push(&mut self, span: &Span<'_>) {
        span.write(&mut self.batch.bytes);
        self.batch.spans += 1;
        if self.batch.bytes.len() >= BATCH_BYTES {
            self.tick();
        }
    }
}

impl Drop for WorkerSpans {
    fn drop(&mut self) {
        self.tick();
    }
}

/// The span of a request, made of its record.
pub(super) fn server(exchange: &Exchange<'_>, record: &Record<'_>) {
    let Some(trace) = exchange.trace.as_deref().filter(|trace| trace.is_sampled()) else { return };
    let plan = &exchange.active.plan;
    let pattern = record.route.and_then(|id| plan.routes.get(id.0 as usize)).map(|route| &*route.pattern);
    let failed = record.status >= 500;
    let started = nanos(record.started);
    let mut span = Span::of(trace, trace.span, trace.parent, Kind::Server);
    span.times(started, started.saturating_add(record.duration.as_nanos() as u64));
    span.name(method(record.method), pattern);
    describe_method(&mut span, record.method);
    span.text("url.scheme", exchange.facts.scheme);
    span.text("url.path", record.path);
    span.optional("http.route", pattern);
    span.optional("server.address", Some(record.host).filter(|host| !host.is_empty()));
    let client = record.client.map(|address| address.to_canonical().to_string());
    span.optional("client.address", client.as_deref());
    span.text("network.protocol.version", protocol(record.version));
    let agent = record.headers.and_then(|headers| headers.get(&name::USER_AGENT));
    span.optional("user_agent.original", agent.map(String::from_utf8_lossy).as_deref());
    span.number("http.response.status_code", record.status.into());
    if failed {
        span.fail(&error_type(record.reason, record.status));
    }
    span.optional("tollgate.route", route_name(plan, record));
    span.optional("tollgate.reason", record.reason.map(Reason::code));
    span.text("tollgate.request_id", record.id);
    push(exchange, &span);
}

/// The span of an attempt on a target that has just ended: with a status, or for a reason.
pub(crate) fn attempt(exchange: &Exchange<'_>, started: Instant, outcome: Result<u16, Reason>) {
    let Some(trace) = exchange.trace.as_deref().filter(|trace| trace.is_sampled()) else { return };
    let (worker, attempt) = (exchange.worker, trace.current());
    let seen = exchange.seen.upstream.get();
    let upstream = seen.and_then(|(id, _)| exchange.active.plan.upstreams.get(id.0 as usize));
    let sent = exchange.sent_method();
    let mut span = Span::of(trace, attempt.span, Some(trace.span), Kind::Client);
    span.times(nanos(worker.clock.wall(started)), nanos(worker.clock.wall(worker.clock.recent())));
    span.name(method(Some(sent)), None);
    describe_method(&mut span, Some(sent));
    span.text("url.full", &attempt.url);
    let (address, port) = authority(&attempt.url);
    span.optional("server.address", address);
    span.optional_number("server.port", port);
    span.optional("tollgate.upstream", upstream.map(|upstream| &*upstream.name));
    let resent = exchange.seen.attempts.get().saturating_sub(1);
    span.optional_number("http.request.resend_count", (resent > 0).then_some(resent.into()));
    match outcome {
        Ok(status) => {
            span.number("http.response.status_code", status.into());
            if status >= 400 {
                span.fail(&error_type(None, status));
            }
        }
        Err(reason) => span.fail(reason.code()),
    }
    push(exchange, &span);
}

fn push(exchange: &Exchange<'_>, span: &Span<'_>) {
    // During a panic a span is better lost than fatal.
    if let Ok(mut spans) = exchange.worker.spans.try_borrow_mut() {
        spans.push(span);
        exchange.worker.logged.notify_one();
    }
}

fn nanos(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// A method in the name of a span: one that a client made up would give each span a name of its own.
fn method(method: Option<&Method>) -> &str {
    match method {
        Some(Method::Extension(_)) | None => "HTTP",
        Some(known) => known.as_str(),
    }
}

fn describe_method(span: &mut Span<'_>, method: Option<&Method>) {
    match method {
        Some(other @ Method::Extension(_)) => {
            span.text("http.request.method", "_OTHER");
            span.text("http.request.method_original", other.as_str());
        }
        Some(known) => span.text("http.request.method", known.as_str()),
        None => {}
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
        Version::Http2 => "2",
    }
}

fn error_type(reason: Option<Reason>, status: u16) -> String {
    reason.map_or_else(|| status.to_string(), |reason| reason.code().to_owned())
}

fn route_name<'a>(plan: &'a Plan, record: &Record<'_>) -> Option<&'a str> {
    record.route.and_then(|id| plan.routes.get(id.0 as usize)).map(|route| &*route.name)
}

/// Host and port of a target's URL; neither of a unix socket.
fn authority(url: &str) -> (Option<&str>, Option<u64>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (None, None) };
    let authority = rest.split('/').next().unwrap_or_default();
    let usual = if scheme == "https" { 443 } else { 80 };
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (Some(host), port.parse().ok()),
        _ => (Some(authority), Some(usual)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_target_is() {
        for (url, expect) in [
            ("http://10.0.0.5:3000/a/b:c", (Some("10.0.0.5"), Some(3000))),
            ("https://api.example.com/a", (Some("api.example.com"), Some(443))),
            ("h2c://api/", (Some("api"), Some(80))),
            ("http://[::1]:80/", (Some("[::1]"), Some(80))),
            ("http://[::1]/", (Some("[::1]"), Some(80))),
            ("unix:/run/x.sock/a", (None, None)),
            ("", (None, None)),
        ] {
            assert_eq!(authority(url), expect, "{url}");
        }
    }

    #[test]
    fn what_the_exporter_has_no_room_for_is_counted() {
        let (sender, mut received) = mpsc::channel(1);
        let counts = Arc::<SpanCounts>::default();
        let mut spans = WorkerSpans::new(sender, counts.clone());
        for _ in 0..3 {
            spans.batch = Batch { bytes: vec![1], spans: 5 };
            spans.tick();
            spans.tick();
        }
        assert_eq!(counts.get(), (0, 10));
        assert_eq!(received.try_recv().unwrap().spans, 5);
    }
}
