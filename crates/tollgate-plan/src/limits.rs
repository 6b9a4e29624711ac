//! Bounds on what one client may cost. Every bound has a default; there is no "unlimited" but by a written 0.

use std::time::Duration;

use tollgate_wire::HeadLimits;

/// The `limits` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Open client connections of the process; the excess is closed at accept.
    pub connections: usize,
    /// Bytes of a head, request line included.
    pub header_bytes: usize,
    /// Header lines of a head.
    pub header_count: usize,
    /// Bytes of the request target.
    pub uri_bytes: usize,
    /// Bytes of a request body unless the route says otherwise.
    pub body: u64,
    /// From the first byte (or the connect) to the complete head.
    pub header_timeout: Duration,
    /// No progress on a request body.
    pub body_idle_timeout: Duration,
    /// No progress writing to the client.
    pub write_idle_timeout: Duration,
    /// Idle time between two requests of a connection.
    pub keepalive_timeout: Duration,
    /// Requests served on one connection; 0 means any number.
    pub requests_per_connection: u64,
    /// Requests that one HTTP/2 connection may have under way at once.
    pub http2_streams: u32,
    /// Bytes that the process may use, shared out by [`crate::memory::Shares`]; none: no cap.
    pub memory: Option<u64>,
}

impl Limits {
    /// Bounds on a head, and on what stands behind a body.
    pub fn head(&self) -> HeadLimits {
        HeadLimits {
            header_bytes: self.header_bytes,
            header_count: self.header_count,
            uri_bytes: self.uri_bytes,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 20_000,
            header_bytes: 32 * 1024,
            header_count: 100,
            uri_bytes: 8 * 1024,
            body: 10 * 1024 * 1024,
            header_timeout: Duration::from_secs(10),
            body_idle_timeout: Duration::from_secs(30),
            write_idle_timeout: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(75),
            requests_per_connection: 0,
            http2_streams: 128,
            memory: None,
        }
    }
}
