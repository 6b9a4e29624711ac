//! The JSON of `/readyz` and `/health`.

use std::time::SystemTime;

use serde_json::{Map, Value, json};
use tollgate_proxy::{Status, UpstreamHealth};

use crate::reload::LastReload;
use crate::time::rfc3339;

/// `/readyz`.
pub(crate) fn readiness(status: &Status, last: &LastReload) -> Value {
    json!({
        "ready": status.ready,
        "generation": status.generation,
        "last_reload": last_reload(last),
        "draining": status.draining,
    })
}

/// The last time a configuration was read.
pub(crate) fn last_reload(last: &LastReload) -> Value {
    json!({ "ok": last.ok, "at": rfc3339(last.at), "errors": last.errors })
}

/// `/health`, without what only the admin side knows.
pub(crate) fn health(status: &Status, upstreams: &[UpstreamHealth], version: &str) -> Value {
    let uptime = SystemTime::now().duration_since(status.started).unwrap_or_default();
    let shown: Map<String, Value> =
        upstreams.iter().map(|upstream| (upstream.name.to_string(), upstream_health(upstream))).collect();
    json!({
        "status": of_all(upstreams),
        "version": version,
        "uptime_s": uptime.as_secs(),
        "generation": status.generation,
        "upstreams": shown,
    })
}

fn upstream_health(upstream: &UpstreamHealth) -> Value {
    let targets: Vec<Value> = upstream
        .targets
        .iter()
        .map(
            |target| json!({ "url": *target.url, "healthy": target.healthy, "since": rfc3339(target.since) }),
        )
        .collect();
    json!({ "status": of_one(upstream), "targets": targets })
}

/// An upstream is down when nothing of it can serve.
pub(crate) fn of_one(upstream: &UpstreamHealth) -> &'static str {
    let healthy = upstream.targets.iter().filter(|target| target.healthy).count();
    match healthy {
        all if all == upstream.targets.len() => "ok",
        0 => "down",
        _ => "degraded",
    }
}

/// The gateway is down when every upstream is, and degraded when one is not whole.
fn of_all(upstreams: &[UpstreamHealth]) -> &'static str {
    let mut states = upstreams.iter().map(of_one);
    let first = states.next().unwrap_or("ok");
    if states.all(|state| state == first) { first } else { "degraded" }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use tollgate_proxy::TargetHealth;

    use super::*;

    fn upstream(healthy: &[bool]) -> UpstreamHealth {
        let target = |(index, healthy): (usize, &bool)| TargetHealth {
            url: format!("http://10.0.0.{index}").into(),
            healthy: *healthy,
            since: UNIX_EPOCH + Duration::from_secs(1),
        };
        UpstreamHealth { name: "orders".into(), targets: healthy.iter().enumerate().map(target).collect() }
    }

    #[test]
    fn the_state_of_the_whole_follows_from_its_parts() {
        for (parts, expect) in [
            (&[][..], "ok"),
            (&[&[true][..]], "ok"),
            (&[&[true, true], &[true]], "ok"),
            (&[&[true, false]], "degraded"),
            (&[&[true], &[false]], "degraded"),
            (&[&[false, true], &[false, true]], "degraded"),
            (&[&[false], &[false, false]], "down"),
        ] {
            let upstreams: Vec<_> = parts.iter().map(|healthy| upstream(healthy)).collect();
            assert_eq!(of_all(&upstreams), expect, "{parts:?}");
        }
    }

    #[test]
    fn health_has_the_promised_shape() {
        let status = Status { generation: 3, draining: false, ready: true, started: SystemTime::now() };
        let body = health(&status, &[upstream(&[true, false])], "1.2.3");
        let expect = json!({
            "status": "degraded", "version": "1.2.3", "uptime_s": 0, "generation": 3,
            "upstreams": { "orders": { "status": "degraded", "targets": [
                { "url": "http://10.0.0.0", "healthy": true, "since": "1970-01-01T00:00:01Z" },
                { "url": "http://10.0.0.1", "healthy": false, "since": "1970-01-01T00:00:01Z" },
            ] } },
        });
        assert_eq!(body, expect);
    }

    #[test]
    fn readiness_has_the_promised_shape() {
        let status = Status { generation: 2, draining: true, ready: false, started: SystemTime::now() };
        let last = LastReload { ok: false, at: UNIX_EPOCH, errors: vec![json!({ "code": "unknown_key" })] };
        let expect = json!({
            "ready": false, "generation": 2, "draining": true,
            "last_reload": {
                "ok": false, "at": "1970-01-01T00:00:00Z", "errors": [{ "code": "unknown_key" }],
            },
        });
        assert_eq!(readiness(&status, &last), expect);
    }
}
