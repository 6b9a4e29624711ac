//! `/api/v1/config` and `/api/v1/check`: the configuration that runs, without its secrets, and what another one would
//! change of it.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tollgate_config::{Diagnostic, SourceMap, check_posted, difference, posture, redacted};
use tollgate_plan::Plan;
use tollgate_plan::listener::{Listener, ProxyProtocol};
use tollgate_plan::plan::{LogSink, OnFull};
use tollgate_plan::tls::TlsVersion;

/// Warnings that something of a text is not known here: what is expanded and what stands in files; included files.
const WITHHELD: [&str; 2] = ["not_looked_at", "bad_include"];

/// The texts of the configuration that runs. Written by whoever applies one; cheap to clone.
#[derive(Debug, Clone)]
pub struct Running {
    current: Arc<Mutex<(u64, Arc<SourceMap>)>>,
    /// Held by who checks another one.
    turn: Arc<Semaphore>,
}

impl Default for Running {
    fn default() -> Running {
        Running { current: Arc::default(), turn: Arc::new(Semaphore::new(1)) }
    }
}

impl Running {
    /// A configuration was applied as this generation.
    pub fn applied(&self, generation: u64, sources: SourceMap) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = (generation, Arc::new(sources));
    }

    /// The turn to check another one; none while somebody else does.
    pub(crate) fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.turn.clone().try_acquire_owned().ok()
    }

    /// The texts, and the generation that they are.
    pub fn current(&self) -> (u64, Arc<SourceMap>) {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// `{"generation", "files": [{"file", "config"}], "effective"}`.
pub(crate) fn config(running: &Running, plan: &Plan) -> Value {
    let (generation, sources) = running.current();
    json!({ "generation": generation, "files": redacted(&sources), "effective": effective(plan) })
}

/// `{"ok", "diagnostics", "posture", "diff"}`; no posture and no difference where it cannot be known.
pub(crate) fn check(text: &str, running: &Running, plan: &Plan) -> Value {
    let (_, sources) = running.current();
    let posted = check_posted(text, &sources);
    let diagnostics: Vec<Value> = posted.diagnostics.iter().map(Diagnostic::to_json).collect();
    let rows = posted.plan.as_ref().map(posture).unwrap_or_default();
    let complete = !posted.diagnostics.iter().any(|one| WITHHELD.contains(&one.code));
    let new = posted.plan.as_ref();
    let diff = new.map(|new| difference((&sources, plan), (&posted.sources, new), complete));
    json!({ "ok": posted.ok, "diagnostics": diagnostics, "posture": rows, "diff": diff })
}

/// What concerns the process as a whole, defaults filled in.
fn effective(plan: &Plan) -> Value {
    let limits = &plan.limits;
    let seconds = |duration: std::time::Duration| duration.as_secs_f64();
    let sink = match &plan.access_log.sink {
        LogSink::Off => "off",
        LogSink::Stdout => "stdout",
        LogSink::File(_) => "file",
        LogSink::ObjectStore(_) => "object_store",
    };
    json!({
        "listeners": plan.listeners.iter().map(listener).collect::<Vec<_>>(),
        "workers": plan.workers,
        "limits": {
            "connections": limits.connections, "header_bytes": limits.header_bytes,
            "header_count": limits.header_count, "uri_bytes": limits.uri_bytes, "body": limits.body,
            "header_timeout_s": seconds(limits.header_timeout),
            "body_idle_timeout_s": seconds(limits.body_idle_timeout),
            "write_idle_timeout_s": seconds(limits.write_idle_timeout),
            "keepalive_timeout_s": seconds(limits.keepalive_timeout),
            "requests_per_connection": limits.requests_per_connection, "http2_streams": limits.http2_streams,
            "memory": limits.memory.unwrap_or(0),
        },
        "shutdown": { "delay_s": seconds(plan.shutdown.delay), "grace_s": seconds(plan.shutdown.grace) },
        "admin": {
            "address": plan.admin.address.to_string(), "token": plan.admin.token.is_some(),
            "allow_write": plan.admin.allow_write,
        },
        "access_log": {
            "sink": sink,
            "on_full": match plan.access_log.on_full { OnFull::Drop => "drop", OnFull::Block => "block" },
            "log_query": plan.access_log.log_query,
        },
        "redis": plan.redis.is_some(),
        "routes": plan.routes.len(),
        "upstreams": plan.upstreams.len(),
        "issuers": plan.issuers.len(),
    })
}

/// One address. `null` is what does not concern it: no unix socket, clear text.
fn listener(listener: &Listener) -> Value {
    let tls = listener.tls.as_deref();
    json!({
        "address": &*listener.name,
        "mode": listener.mode.map(|mode| format!("{mode:o}")),
        "http2": listener.http2,
        "proxy_protocol": match listener.proxy_protocol {
            ProxyProtocol::Off => "off",
            ProxyProtocol::Require => "require",
        },
        "tls": tls.is_some(),
        "certificates": tls.map(|tls| tls.certificates.len()),
        "min_version": tls.map(|tls| match tls.min_version { TlsVersion::V12 => "1.2", TlsVersion::V13 => "1.3" }),
        "client_ca": tls.map(|tls| tls.client_ca.is_some()),
        "client_subject_header": tls.and_then(|tls| tls.client_subject.as_ref()).map(|name| name.as_str()),
    })
}
