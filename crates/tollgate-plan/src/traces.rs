//! Traces: which requests have spans, and where those go.

use std::time::Duration;

use crate::issuer::{HttpUrl, Reach};
use crate::secret::Secret;

/// `traces:`, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// Where spans are sent: OTLP over HTTP, path included.
    pub url: HttpUrl,
    /// How the URL is reached.
    pub reach: Reach,
    /// What is sent along, such as a key of the collector.
    pub headers: Vec<(Box<str>, Secret)>,
    /// How many of the traces that begin here are sent, in percent.
    pub sample_percent: u8,
    /// Whose `traceparent` is continued.
    pub follow: Follow,
    /// `service.name` of the spans.
    pub service: Box<str>,
    /// The longest that an export may take.
    pub timeout: Duration,
}

/// Whose `traceparent` is continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Everybody's.
    Anyone,
    /// That of peers in `trusted_proxies`.
    TrustedProxies,
    /// Nobody's: each request begins a trace.
    Nobody,
}
