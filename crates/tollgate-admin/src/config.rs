//! `/api/v1/config` and `/api/v1/check`: the configuration that runs, without its secrets, and what another one would
//! change of it.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tollgate_config::{Diagnostic, SourceMap, check_posted, difference, posture, redacted};
use tollgate_plan::Plan;
use tollgate_plan::plan::{LogSink, OnFull};

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
    pub(crate) fn current(&self) -> (u64, Arc<SourceMap>) {
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
    let diff = posted.plan.as_ref().map(|new| difference((&sources, plan), (&posted.sources, new)));
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
        "listeners": plan.listeners.iter().map(|one| json!({
            "address": &*one.name, "tls": one.tls.is_some(), "http2": one.http2,
        })).collect::<Vec<_>>(),
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
        "admin": { "address": plan.admin.address.to_string(), "token": plan.admin.token.is_some() },
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
