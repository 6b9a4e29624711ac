//! How the gateway's own tokens are doing, for health and metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::TokenLive;
use crate::live::http::Fault;

/// How the token toward one upstream is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHealth {
    /// The upstream.
    pub upstream: Arc<str>,
    /// Whether requests can show one.
    pub status: TokenStatus,
    /// Until it ends; none where there is none, or nobody told.
    pub ends_in: Option<Duration>,
    /// Why the last fetch failed; none when it did not.
    pub last_error: Option<String>,
    /// Good and failed fetches since it is configured as it is.
    pub refreshes: (u64, u64),
}

/// Whether requests to an upstream can show a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenStatus {
    /// They can.
    Ok,
    /// They can, until the token of the time before the issuer failed ends.
    Stale,
    /// They cannot.
    Unavailable,
}

impl TokenStatus {
    /// As health shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            TokenStatus::Ok => "ok",
            TokenStatus::Stale => "stale",
            TokenStatus::Unavailable => "unavailable",
        }
    }
}

impl TokenHealth {
    /// `{ "status", "ends_in_s", "last_error" }`
    pub fn to_json(&self) -> Value {
        json!({
            "status": self.status.as_str(),
            "ends_in_s": self.ends_in.map(|time| time.as_secs()),
            "last_error": self.last_error,
        })
    }
}

impl TokenLive {
    /// How it is doing, for the upstream of that name.
    pub(crate) fn health(&self, upstream: &Arc<str>, now: Instant) -> TokenHealth {
        let token = self.current(now);
        let state = self.lock();
        TokenHealth {
            upstream: upstream.clone(),
            status: match (&token, &state.fault) {
                (None, _) => TokenStatus::Unavailable,
                (Some(_), Some(_)) => TokenStatus::Stale,
                (Some(_), None) => TokenStatus::Ok,
            },
            ends_in: token.and_then(|token| token.ends).map(|end| end.saturating_duration_since(now)),
            last_error: state.fault.as_ref().map(Fault::to_string),
            refreshes: (state.succeeded, state.failed),
        }
    }
}
