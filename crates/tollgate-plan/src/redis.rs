//! The Redis in which gateways share limits.

use std::sync::Arc;
use std::time::Duration;

use crate::secret::Secret;

/// How Redis is reached, and what happens without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// One server, or the first nodes of a cluster. Never empty.
    pub nodes: Vec<RedisNode>,
    /// Whether `url` was a list: a Redis Cluster.
    pub cluster: bool,
    /// Certificates in DER that are trusted instead of the system's, for `rediss://`.
    pub roots: Option<Arc<[Box<[u8]>]>>,
    /// The longest that a request waits for Redis.
    pub timeout: Duration,
    /// What decides while Redis is gone.
    pub on_failure: OnFailure,
    /// How many gateways share the limits. At least 1.
    pub instances: u32,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisNode {
    /// `rediss://`.
    pub tls: bool,
    /// Name or address; IPv6 without brackets.
    pub host: Box<str>,
    /// Port.
    pub port: u16,
    /// ACL user.
    pub user: Option<Box<str>>,
    /// Password.
    pub password: Option<Secret>,
    /// Database number.
    pub db: i64,
}

/// What decides while Redis is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Each gateway enforces its share of the limit.
    Local,
    /// Everything passes.
    Allow,
    /// Nothing passes: 503 `limit_store_unavailable`.
    Deny,
}
