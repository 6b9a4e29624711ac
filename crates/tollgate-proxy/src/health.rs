//! The gateway's health as the outside sees it, on the admin side and through the `health` action.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use serde_json::{Map, Value, json};
use tollgate_plan::upstream::{Target, Upstream, UpstreamId};
use tollgate_policy::Circuit;

use crate::control::Status;
use crate::gateway::Shared;
use crate::live::issuers::IssuerHealth;
use crate::live::shield::UpstreamShared;
use crate::live::tokens::{TokenHealth, TokenStatus};
use crate::observe::rfc3339;

/// The health of the gateway and its upstreams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthReport {
    /// What the data plane is doing.
    pub status: Status,
    /// The upstreams, in the order of the configuration; those that are made from a URL come behind the named ones, and have
    /// it for a name.
    pub upstreams: Vec<UpstreamHealth>,
}

/// The health of one upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamHealth {
    /// Its name.
    pub name: Arc<str>,
    /// Its targets, in the order of the configuration.
    pub targets: Vec<TargetHealth>,
    /// Its circuit breaker; none where none is configured.
    pub circuit: Option<Circuit>,
    /// The gateway's own token toward it; none where none is configured.
    pub token: Option<TokenStatus>,
}

/// The health of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetHealth {
    /// As configured; where hosts stand for a service that DNS knows, the URL of the host.
    pub url: Arc<str>,
    /// The target as configured, for labels of metrics.
    pub configured: Arc<str>,
    /// Whether requests are sent there.
    pub healthy: bool,
    /// Since when that is so.
    pub since: SystemTime,
}

impl TargetHealth {
    /// The targets of an upstream, in the order of the configuration. A service without hosts is one that is not
    /// healthy.
    pub(crate) fn of(upstream: &Upstream, live: &UpstreamShared) -> Vec<TargetHealth> {
        let of_place = |place: usize, target: &Target| -> Vec<TargetHealth> {
            let ours = live.targets.iter().enumerate().filter(|(at, _)| live.place(*at) == place);
            ours.map(|(_, shared)| {
                let (healthy, since) = shared.state();
                TargetHealth { url: shared.url.clone(), configured: target.url.clone(), healthy, since }
            })
            .collect()
        };
        let nobody = |target: &Target| TargetHealth {
            url: target.url.clone(),
            configured: target.url.clone(),
            healthy: false,
            since: live.unserved_since().unwrap_or_else(SystemTime::now),
        };
        let targets = upstream.targets.iter().enumerate();
        targets
            .flat_map(|(place, target)| match of_place(place, target) {
                none if none.is_empty() => vec![nobody(target)],
                some => some,
            })
            .collect()
    }
}

impl Shared {
    /// The health of the upstreams, of all or of these.
    pub(crate) fn health(&self, only: Option<&[UpstreamId]>) -> HealthReport {
        let (current, now) = (self.current(), Instant::now());
        let shown = current.plan.upstreams.iter().zip(current.upstreams.iter()).enumerate();
        let wanted = |at: usize| only.is_none_or(|only| only.contains(&UpstreamId(at as u32)));
        let upstreams = shown.filter(|(at, _)| wanted(*at)).map(|(_, (upstream, live))| UpstreamHealth {
            name: upstream.name.clone(),
            targets: TargetHealth::of(upstream, live),
            circuit: live.circuit(now),
            token: live.token.as_ref().map(|token| token.health(&live.name, now).status),
        });
        HealthReport { status: self.status(), upstreams: upstreams.collect() }
    }

    /// How each issuer is doing, in the order of the configuration.
    pub(crate) fn issuer_health(&self) -> Vec<IssuerHealth> {
        let (current, now) = (self.current(), Instant::now());
        let issuers = current.plan.issuers.iter().zip(current.issuers.iter());
        issuers.map(|(issuer, live)| IssuerHealth::of(issuer, live, now)).collect()
    }

    /// How the gateway's own tokens toward upstreams are doing, in the order of the configuration.
    pub(crate) fn token_health(&self) -> Vec<TokenHealth> {
        let (current, now) = (self.current(), Instant::now());
        let upstreams = current.upstreams.iter();
        upstreams.filter_map(|live| Some(live.token.as_ref()?.health(&live.name, now))).collect()
    }
}

impl HealthReport {
    /// `ok`, `degraded` when something is not whole, `down` when nothing can serve.
    pub fn verdict(&self) -> &'static str {
        let mut verdicts = self.upstreams.iter().map(UpstreamHealth::verdict);
        let first = verdicts.next().unwrap_or("ok");
        if verdicts.all(|verdict| verdict == first) { first } else { "degraded" }
    }

    /// `{ "status", "version", "uptime_s", "generation", "upstreams": { name: { "status", "targets" } } }`
    pub fn to_json(&self, version: &str) -> Value {
        let uptime = SystemTime::now().duration_since(self.status.started).unwrap_or_default();
        let upstreams: Map<String, Value> =
            self.upstreams.iter().map(|upstream| (upstream.name.to_string(), upstream.to_json())).collect();
        json!({
            "status": self.verdict(),
            "version": version,
            "uptime_s": uptime.as_secs(),
            "generation": self.status.generation,
            "upstreams": upstreams,
        })
    }
}

impl UpstreamHealth {
    /// `ok`, `degraded` or `down`: an upstream is down when nothing of it can serve, or nothing can be sent to it.
    pub fn verdict(&self) -> &'static str {
        let stale = self.token == Some(TokenStatus::Stale);
        match self.targets.iter().filter(|target| target.healthy).count() {
            0 => "down",
            _ if self.token == Some(TokenStatus::Unavailable) => "down",
            _ if self.circuit == Some(Circuit::Open) => "down",
            all if all == self.targets.len() && !stale && self.circuit != Some(Circuit::HalfOpen) => "ok",
            _ => "degraded",
        }
    }

    /// `{ "status", "targets": [{ "url", "healthy", "since" }] }`, `"circuit"` where there is a breaker, and `"token"`
    /// where the gateway shows one.
    pub fn to_json(&self) -> Value {
        let targets = self.targets.iter().map(
            |target| json!({ "url": *target.url, "healthy": target.healthy, "since": rfc3339(target.since) }),
        );
        let mut json = json!({ "status": self.verdict(), "targets": targets.collect::<Vec<_>>() });
        if let (Some(circuit), Some(members)) = (self.circuit, json.as_object_mut()) {
            members.insert("circuit".to_owned(), circuit.as_str().into());
        }
        if let (Some(token), Some(members)) = (self.token, json.as_object_mut()) {
            members.insert("token".to_owned(), token.as_str().into());
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn report(upstreams: &[&[bool]]) -> HealthReport {
        let target = |&healthy: &bool| TargetHealth {
            url: "http://10.0.0.5:3000".into(),
            configured: "http://10.0.0.5:3000".into(),
            healthy,
            since: UNIX_EPOCH + Duration::from_secs(1),
        };
        let upstream = |healthy: &&[bool]| UpstreamHealth {
            name: "orders".into(),
            targets: healthy.iter().map(target).collect(),
            circuit: None,
            token: None,
        };
        let status = Status { generation: 3, draining: false, ready: true, started: SystemTime::now() };
        HealthReport { status, upstreams: upstreams.iter().map(upstream).collect() }
    }

    #[test]
    fn verdicts() {
        for (upstreams, expect) in [
            (&[][..], "ok"),
            (&[&[true][..], &[true, true]], "ok"),
            (&[&[true][..], &[true, false]], "degraded"),
            (&[&[false][..], &[true]], "degraded"),
            (&[&[false][..], &[false, false]], "down"),
        ] {
            assert_eq!(report(upstreams).verdict(), expect, "{upstreams:?}");
        }
    }

    #[test]
    fn a_circuit_that_is_open_serves_nobody() {
        for (circuit, expect) in
            [(Circuit::Closed, "ok"), (Circuit::HalfOpen, "degraded"), (Circuit::Open, "down")]
        {
            let mut report = report(&[&[true, true]]);
            report.upstreams[0].circuit = Some(circuit);
            assert_eq!(report.verdict(), expect);
            assert_eq!(report.upstreams[0].to_json()["circuit"], circuit.as_str());
        }
    }

    #[test]
    fn an_upstream_without_its_token_serves_nobody() {
        for (token, expect) in
            [(TokenStatus::Ok, "ok"), (TokenStatus::Stale, "degraded"), (TokenStatus::Unavailable, "down")]
        {
            let mut report = report(&[&[true, true]]);
            report.upstreams[0].token = Some(token);
            assert_eq!(report.verdict(), expect);
            assert_eq!(report.upstreams[0].to_json()["token"], token.as_str());
        }
    }

    #[test]
    fn the_promised_shape() {
        let expect = json!({
            "status": "degraded", "version": "1.2.3", "uptime_s": 0, "generation": 3,
            "upstreams": { "orders": { "status": "degraded", "targets": [
                { "url": "http://10.0.0.5:3000", "healthy": true, "since": "1970-01-01T00:00:01.000Z" },
                { "url": "http://10.0.0.5:3000", "healthy": false, "since": "1970-01-01T00:00:01.000Z" },
            ] } },
        });
        assert_eq!(report(&[&[true, false]]).to_json("1.2.3"), expect);
    }
}
