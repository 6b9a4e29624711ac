//! Traces: spans of requests, and where they go.

use std::path::PathBuf;

use super::issuer::ServiceUrl;
use crate::shape::{Dict, EditedHeader, Percent, Seconds};

block! {
    /// Spans of requests, sent by OTLP over HTTP in its binary form. With this block every request has a server span, and a client span
    /// for each attempt on a target, and `traceparent` toward upstreams names that span (W3C Trace Context). Without it
    /// `traceparent` and `tracestate` pass as they came.
    "traces" Traces {
        /// The collector, as in `http://127.0.0.1:4318`. Without a path it is `/v1/traces`.
        endpoint: ServiceUrl, required;
        /// How many of the traces that begin here are sent. A trace that a caller began is sent when its caller says so.
        sample: Percent<0> = Percent(100);
        /// Whose `traceparent` is continued: `anyone`, `trusted_proxies` (only that of peers in the list of this name), or
        /// `nobody` (every request begins a trace).
        follow: Follow = Follow::Anyone;
        /// `service.name` of the spans.
        service: String = "tollgate".to_owned();
        /// Headers that are sent to the collector, such as its key.
        headers: Dict<EditedHeader, String>;
        /// Certificates in PEM that are trusted for the collector, instead of the system's.
        ca: PathBuf;
        /// Whether the collector may be plain http on another machine.
        allow_http: bool = false;
        /// The longest that one export may take; then it is tried again.
        timeout: Seconds<10, 60_000> = Seconds::of(5);
    }
}

choice! {
    /// Whose `traceparent` is continued.
    Follow {
        /// Everybody's.
        "anyone" => Anyone,
        /// That of peers in `trusted_proxies`.
        "trusted_proxies" => TrustedProxies,
        /// Nobody's.
        "nobody" => Nobody,
    }
}
