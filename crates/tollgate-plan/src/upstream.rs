//! Services behind the gateway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tollgate_wire::Name;

use crate::credentials::ClientCredentials;
use crate::resilience::{CircuitBreaker, HealthCheck, Outlier, Retry, StatusSet};
use crate::tls::ClientTls;

/// Index into [`crate::Plan::upstreams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamId(pub u32);

/// One service: interchangeable targets and how to use them.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Unique name: as configured, or the URL for an upstream made from a URL in `to`.
    pub name: Arc<str>,
    /// Whether it stands under `upstreams:` (and so shows in `/health`), or was made from a URL.
    pub named: bool,
    /// Never empty; weights are at least 1.
    pub targets: Vec<Target>,
    /// How a target is chosen.
    pub balance: Balance,
    /// What the Host header says.
    pub host: HostMode,
    /// To an established connection, name look-up included.
    pub connect_timeout: Duration,
    /// From the request sent to the response head.
    pub timeout: Duration,
    /// Between bytes of a response body.
    pub idle_timeout: Duration,
    /// Connection reuse.
    pub pool: Pool,
    /// How TLS is spoken to those targets that are reached so.
    pub tls: Arc<ClientTls>,
    /// Trying again; none: never, but on a kept connection that turned out dead.
    pub retry: Option<Retry>,
    /// Asking targets how they are.
    pub health_check: Option<HealthCheck>,
    /// Leaving out single targets that fail.
    pub outlier: Option<Outlier>,
    /// Sparing the upstream when it fails as a whole.
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Answers that count as failures.
    pub failure_status: StatusSet,
    /// A token of the gateway's own that requests carry in the place of the client's `Authorization`.
    pub credentials: Option<Arc<ClientCredentials>>,
    /// Redirects to the upstream itself that the gateway follows for one request; 0: they pass to the client.
    pub follow_redirects: u32,
}

/// One address that serves the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As configured: the label in metrics and `/health`. Never shown to clients.
    pub url: Arc<str>,
    /// Where to connect.
    pub address: Address,
    /// Authority for the Host header: host, and the port unless it is the scheme's own. `localhost` for unix sockets.
    pub authority: Box<str>,
    /// Prefix of every path that is sent: empty, or `/v1` without a slash at the end.
    pub prefix: Box<str>,
    /// At least 1.
    pub weight: u32,
    /// The name or address that its certificate must be for; none: clear text.
    pub tls: Option<Box<str>>,
    /// HTTP/2 is spoken from the first byte on, without asking (RFC 9113 section 3.3). With `tls` the handshake asks.
    pub http2: bool,
}

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A literal address.
    Socket(SocketAddr),
    /// A name, resolved with its TTL.
    Name {
        /// Lower-case host name.
        host: Box<str>,
        /// Port.
        port: u16,
    },
    /// A service that DNS knows (RFC 2782): its SRV records name the hosts and ports that stand in its place, with
    /// their TTL.
    Service {
        /// Lower-case name, such as `_api._tcp.internal`.
        name: Box<str>,
    },
    /// A unix socket.
    Unix(PathBuf),
}

/// How a target is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Balance {
    /// Two random choices, the one with fewer requests in flight per weight.
    LeastRequests,
    /// Smooth weighted round robin, per worker.
    RoundRobin,
    /// Weighted random.
    Random,
    /// Consistent hash of one property of the request.
    Hash(HashKey),
}

/// What is hashed. A request without it hashes the empty string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// A request header's first value.
    Header(Name),
    /// The client address.
    Ip,
    /// A cookie's value.
    Cookie(Box<str>),
    /// The path in normal form.
    Path,
}

/// What the Host header to the upstream says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostMode {
    /// The target's own authority.
    Upstream,
    /// What the client sent.
    Preserve,
    /// A fixed name.
    Fixed(Box<str>),
}

/// Connection reuse, per target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Idle connections that each worker keeps.
    pub max_idle_per_worker: usize,
    /// How long an idle connection is kept.
    pub idle: Duration,
    /// Open connections of the process; over it a request waits up to `connect_timeout`.
    pub max_connections: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Pool { max_idle_per_worker: 64, idle: Duration::from_secs(60), max_connections: 1024 }
    }
}
