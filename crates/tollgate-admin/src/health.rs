//! The JSON of `/readyz`, and what `/health` says of issuers and reloads.

use serde_json::{Map, Value, json};
use tollgate_plan::redis::OnFailure;
use tollgate_proxy::{IssuerHealth, Status, StoreReport, TokenHealth, rfc3339};

use crate::reload::LastReload;

/// `/readyz`.
pub(crate) fn readiness(status: &Status, last: &LastReload) -> Value {
    json!({
        "ready": status.ready,
        "generation": status.generation,
        "last_reload": last_reload(last),
        "draining": status.draining,
    })
}

/// `{ name: { "status", "keys", "age_s", "last_error" } }`
pub(crate) fn issuers(issuers: &[IssuerHealth]) -> Value {
    issuers.iter().map(|issuer| (issuer.name.to_string(), issuer.to_json())).collect::<Map<_, _>>().into()
}

/// `{ upstream: { "status", "ends_in_s", "last_error" } }`, of the upstreams that are shown a token of the gateway's own.
pub(crate) fn tokens(tokens: &[TokenHealth]) -> Value {
    tokens.iter().map(|token| (token.upstream.to_string(), token.to_json())).collect::<Map<_, _>>().into()
}

/// `{ "status", "since", "on_failure", "last_error" }`; null where no Redis is configured.
pub(crate) fn redis(report: Option<StoreReport>, on_failure: Option<OnFailure>) -> Value {
    let (Some(report), Some(on_failure)) = (report, on_failure) else { return Value::Null };
    let on_failure = match on_failure {
        OnFailure::Local => "local",
        OnFailure::Allow => "allow",
        OnFailure::Deny => "deny",
    };
    json!({
        "status": if report.up { "ok" } else { "down" },
        "since": rfc3339(report.since),
        "on_failure": on_failure,
        "last_error": report.fault,
    })
}

/// The last time a configuration was read.
pub(crate) fn last_reload(last: &LastReload) -> Value {
    json!({ "ok": last.ok, "at": rfc3339(last.at), "errors": last.errors })
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn readiness_has_the_promised_shape() {
        let status = Status { generation: 2, draining: true, ready: false, started: SystemTime::now() };
        let last = LastReload { ok: false, at: UNIX_EPOCH, errors: vec![json!({ "code": "unknown_key" })] };
        let expect = json!({
            "ready": false, "generation": 2, "draining": true,
            "last_reload": {
                "ok": false, "at": "1970-01-01T00:00:00.000Z", "errors": [{ "code": "unknown_key" }],
            },
        });
        assert_eq!(readiness(&status, &last), expect);
    }
}
