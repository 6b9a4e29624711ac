//! Where clients are accepted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// One listening address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The address; two listeners of a plan never share one.
    pub address: ListenAddress,
    /// The address as the configuration wrote it: the metric label `listener`.
    pub name: Arc<str>,
}

/// What a listener binds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// A TCP address. Port 0 is allowed and means "any free port" (tests).
    Tcp(SocketAddr),
    /// A unix socket path.
    Unix(PathBuf),
}
