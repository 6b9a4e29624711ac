//! Where clients are accepted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::tls::ServerTls;

/// One listening address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The address; two listeners of a plan never share one.
    pub address: ListenAddress,
    /// The address as the configuration wrote it: the metric label `listener`.
    pub name: Arc<str>,
    /// Permissions of the file of a unix socket; none leaves them to the umask of the process.
    pub mode: Option<u32>,
    /// Whether a balancer in front says who connected.
    pub proxy_protocol: ProxyProtocol,
    /// Whether HTTP/2 is spoken: asked for in the TLS handshake, or by how a connection in clear text begins.
    pub http2: bool,
    /// TLS on this address; none: clear text.
    pub tls: Option<Arc<ServerTls>>,
}

/// Whether a balancer in front says who connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyProtocol {
    /// No: the peer of a connection is the client.
    #[default]
    Off,
    /// Each connection begins with a PROXY header, of version 1 or 2, or is closed.
    Require,
}

/// What a listener binds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// A TCP address. Port 0 is allowed and means "any free port" (tests).
    Tcp(SocketAddr),
    /// A unix socket path.
    Unix(PathBuf),
}
