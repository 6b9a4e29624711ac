//! How issuers are doing, for health and metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tollgate_plan::issuer::{Issuer, TokenCheck};

use super::IssuerLive;

/// How one issuer is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerHealth {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Whether its tokens can be checked.
    pub status: IssuerStatus,
    /// How many keys it has; none where it is asked, or before the first fetch.
    pub keys: Option<usize>,
    /// Since the last good answer to a fetch of keys; none where keys are not fetched, or never were.
    pub age: Option<Duration>,
    /// Why the last question to it failed; none when it did not.
    pub last_error: Option<String>,
    /// Good and failed fetches of keys since it is configured as it is; none where keys are not fetched.
    pub refreshes: Option<(u64, u64)>,
}

/// Whether the tokens of an issuer can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuerStatus {
    /// They can.
    Ok,
    /// They can, with the keys of the time before the issuer was down.
    Stale,
    /// They cannot.
    Unavailable,
}

impl IssuerStatus {
    /// As health shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            IssuerStatus::Ok => "ok",
            IssuerStatus::Stale => "stale",
            IssuerStatus::Unavailable => "unavailable",
        }
    }
}

impl IssuerHealth {
    /// `{ "status", "keys", "age_s", "last_error" }`
    pub fn to_json(&self) -> Value {
        json!({
            "status": self.status.as_str(),
            "keys": self.keys,
            "age_s": self.age.map(|age| age.as_secs()),
            "last_error": self.last_error,
        })
    }

    pub(crate) fn of(issuer: &Issuer, live: &IssuerLive, now: Instant) -> IssuerHealth {
        let mut health = IssuerHealth {
            name: issuer.name.clone(),
            status: IssuerStatus::Ok,
            keys: None,
            age: None,
            last_error: None,
            refreshes: None,
        };
        match live {
            IssuerLive::Fixed => {
                if let TokenCheck::Fixed(keys) = &issuer.check {
                    health.keys = Some(keys.len());
                }
            }
            IssuerLive::Keys(live) => {
                let report = live.report(now);
                health.status = match (report.keys, &report.fault) {
                    (None, _) => IssuerStatus::Unavailable,
                    (Some(_), Some(_)) => IssuerStatus::Stale,
                    (Some(_), None) => IssuerStatus::Ok,
                };
                (health.keys, health.age, health.last_error) = (report.keys, report.age, report.fault);
                health.refreshes = Some((report.succeeded, report.failed));
            }
            IssuerLive::Introspection(live) => {
                health.last_error = live.fault();
                if health.last_error.is_some() {
                    health.status = IssuerStatus::Unavailable;
                }
            }
        }
        health
    }
}
