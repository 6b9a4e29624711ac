//! Everything known about an exchange when it ends. Counters and the access log both read this and nothing else.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use tollgate_plan::Reason;
use tollgate_plan::route::RouteId;
use tollgate_plan::upstream::UpstreamId;
use tollgate_wire::{HeaderBlock, Method, Version};

use crate::trace::TraceId;

use crate::exchange::Cached;

/// One finished exchange, also one that ended badly. Indexes refer to the plan that the request met.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    /// When the first byte of the head came.
    pub(crate) started: SystemTime,
    /// The request id, as it stands in `X-Request-Id`.
    pub(crate) id: &'a str,
    pub(crate) client: Option<IpAddr>,
    /// `None` when the request line could not be read.
    pub(crate) method: Option<&'a Method>,
    /// Empty when the request had none.
    pub(crate) host: &'a str,
    /// Without the query.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a [u8]>,
    /// `None` when no route matched.
    pub(crate) route: Option<RouteId>,
    /// What the client got, or would have got had it stayed.
    pub(crate) status: u16,
    /// Why the gateway answered, or ended the exchange, by itself.
    pub(crate) reason: Option<Reason>,
    /// Who called, where that is known.
    pub(crate) consumer: Option<&'a str>,
    /// Body bytes received from the client.
    pub(crate) bytes_in: u64,
    /// Body bytes sent to the client.
    pub(crate) bytes_out: u64,
    /// From the first byte of the head to the last byte sent.
    pub(crate) duration: Duration,
    pub(crate) upstream: Option<UpstreamId>,
    /// URL of the target; of the host, where one stands for a service that DNS knows.
    pub(crate) target: Option<&'a str>,
    /// Spent on the upstream, all attempts together.
    pub(crate) upstream_time: Option<Duration>,
    pub(crate) attempts: u32,
    /// Parts of an aggregate that failed, each with its reason.
    pub(crate) parts_failed: &'a [String],
    /// What the cache had to do with it; none on routes without one.
    pub(crate) cache: Option<Cached>,
    /// The client's protocol version.
    pub(crate) version: Version,
    /// The request's headers as the client sent them.
    pub(crate) headers: Option<&'a HeaderBlock>,
    /// Generation of the plan that the request met.
    pub(crate) generation: u64,
    /// TLS version of the client connection; `None` in clear text.
    pub(crate) tls: Option<&'a str>,
    /// The trace it belongs to, where there are traces.
    pub(crate) trace: Option<TraceId>,
}
