//! How often and how many at once: rate limits and concurrency.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tollgate_token::ClaimPath;
use tollgate_wire::Name;

/// Index into [`crate::Plan::rate_limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RateLimitId(pub u32);

/// One token bucket for each value of `per`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// What makes it the same limit over reloads and gateways: its name or route and place, rate and key.
    pub identity: Arc<str>,
    /// For people: its `name`, or `100/s per ip`. The label in metrics, and in the answer's detail.
    pub label: Arc<str>,
    /// Its name in the RateLimit headers, an RFC 9651 string without quotes: its `name`, or what it counts by.
    pub policy: Arc<str>,
    /// Tokens that come back in `period`. At least 1.
    pub rate: u64,
    /// The time in which `rate` tokens come back.
    pub period: Duration,
    /// The most that may pass at once. At least 1.
    pub burst: u64,
    /// What it counts by.
    pub per: Per,
    /// Where it counts.
    pub store: Store,
}

/// What a limit counts by. A request that lacks it counts as one of its own, shared by all that lack it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Per {
    /// Everybody together.
    All,
    /// The client address; IPv6 by /64.
    Ip,
    /// Who was identified: the consumer, or issuer and `sub` of a token.
    Consumer,
    /// A parameter of the route's path.
    RouteParam(Box<str>),
    /// A request header's first value.
    Header(Name),
    /// A cookie.
    Cookie(Box<str>),
    /// A query parameter, decoded.
    Query(Box<str>),
    /// A claim of the verified token.
    Claim(ClaimPath),
}

impl Per {
    /// Whether it can only be known after the caller was identified.
    pub fn needs_identity(&self) -> bool {
        matches!(self, Per::Consumer | Per::Claim(_))
    }
}

impl fmt::Display for Per {
    /// As it is written in the configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Per::All => f.write_str("all"),
            Per::Ip => f.write_str("ip"),
            Per::Consumer => f.write_str("consumer"),
            Per::RouteParam(name) => write!(f, "route-param:{name}"),
            Per::Header(name) => write!(f, "header:{name}"),
            Per::Cookie(name) => write!(f, "cookie:{name}"),
            Per::Query(name) => write!(f, "query:{name}"),
            Per::Claim(path) => write!(f, "claim:{path}"),
        }
    }
}

/// Where a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// In this process.
    Local,
    /// In Redis, together with other gateways: tokens are taken in small leases ahead of use.
    Leased,
    /// In Redis, asked for every decision.
    Exact,
}

/// The limits of one route; each list in the order of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteLimits {
    /// Those that need no identity: before any cryptography.
    pub by_address: Vec<RateLimitId>,
    /// Those by consumer or claim.
    pub by_identity: Vec<RateLimitId>,
}

impl RouteLimits {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_address.is_empty() && self.by_identity.is_empty()
    }
}

/// How many requests of a route may be in flight in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// In flight. At least 1.
    pub max: usize,
    /// How many more may wait for their turn, first come, first served.
    pub queue: usize,
}

/// Which headers tell a client about its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RateLimitHeaders {
    /// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers).
    #[default]
    Standard,
    /// `X-RateLimit-Limit`, `-Remaining`, `-Reset`.
    Legacy,
    /// None.
    Off,
}
