//! The root value: everything one generation of the gateway needs to know.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tollgate_wire::Name;

use crate::cidr::CidrSet;
use crate::consumer::Consumers;
use crate::issuer::Issuer;
use crate::limit::{RateLimit, RateLimitHeaders};
use crate::limits::Limits;
use crate::listener::Listener;
use crate::notice::NoticeSource;
use crate::object_log::{ObjectLog, Sample};
use crate::redis::Redis;
use crate::route::Route;
use crate::table::RouteTable;
use crate::traces::Traces;
use crate::upstream::Upstream;

/// One generation of the gateway's configuration, compiled.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to accept clients. Never empty.
    pub listeners: Vec<Listener>,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: CidrSet,
    /// Request headers that carry the subject of a client's certificate, on any listener: a client's own copies are
    /// always removed.
    pub subject_headers: Vec<Name>,
    /// Who is asked for the addresses of names; empty: who the system says.
    pub name_servers: Vec<SocketAddr>,
    /// Bounds on what one client may cost.
    pub limits: Limits,
    /// Worker threads, at least 1 (`auto` is already resolved).
    pub workers: usize,
    /// How a drain proceeds.
    pub shutdown: Shutdown,
    /// Who is asked whether the machine is about to go; none: nobody.
    pub notice: Option<NoticeSource>,
    /// How often a configuration that came from a URL is asked for.
    pub reload_every: Duration,
    /// The admin side.
    pub admin: Admin,
    /// Where access records go.
    pub access_log: AccessLog,
    /// Where spans go; none: requests have no spans, and `traceparent` passes as it is.
    pub traces: Option<Box<Traces>>,
    /// Who signs tokens; an [`crate::issuer::IssuerId`] indexes here.
    pub issuers: Vec<Issuer>,
    /// Machine clients.
    pub consumers: Consumers,
    /// All rate limits, each once; a [`crate::limit::RateLimitId`] indexes here.
    pub rate_limits: Vec<RateLimit>,
    /// Which headers tell a client about its limits.
    pub rate_limit_headers: RateLimitHeaders,
    /// Where gateways share limits; present where a limit needs it.
    pub redis: Option<Redis>,
    /// All upstreams, named ones and those made from a URL in `to`; a [`crate::upstream::UpstreamId`] indexes here.
    pub upstreams: Vec<Upstream>,
    /// All routes in file order; a [`crate::route::RouteId`] indexes here.
    pub routes: Vec<Route>,
    /// The look-up over `routes`.
    pub table: RouteTable,
}

/// How a drain proceeds after SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    /// Time between failing readiness and ceasing to accept.
    pub delay: Duration,
    /// Time that requests in flight get after that.
    pub grace: Duration,
}

/// The admin side.
#[derive(Clone, PartialEq, Eq)]
pub struct Admin {
    /// Listening address.
    pub address: std::net::SocketAddr,
    /// Bearer token; always present when the address is not loopback.
    pub token: Option<Arc<str>>,
    /// Whether the configuration file may be read and written there; only ever with a token.
    pub allow_write: bool,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token is a secret: a plan may be printed, its secrets may not.
        let mut shown = f.debug_struct("Admin");
        shown.field("address", &self.address).field("token", &self.token.as_ref().map(|_| "***"));
        if self.allow_write {
            shown.field("allow_write", &true);
        }
        shown.finish()
    }
}

/// Where access records go and what they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// The sink.
    pub sink: LogSink,
    /// What happens when the bounded buffer is full.
    pub on_full: OnFull,
    /// Request headers that each record carries, by the operator's choice.
    pub headers: Vec<Name>,
    /// Whether records carry the query.
    pub log_query: bool,
    /// How many requests are logged.
    pub sample: Sample,
    /// Query parameters that hold a credential on some route: their values are masked.
    pub masked_query: Vec<Box<str>>,
    /// Headers and cookies that do.
    pub masked_headers: Vec<Name>,
}

/// A sink for access records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSink {
    /// Standard output.
    Stdout,
    /// A file, appended to; re-opened when it was moved away.
    File(PathBuf),
    /// An object store, by way of a spool on disk.
    ObjectStore(Box<ObjectLog>),
    /// No access log.
    Off,
}

/// What a worker does when the log buffer is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFull {
    /// Drop the record and count it.
    Drop,
    /// Wait for room.
    Block,
}
