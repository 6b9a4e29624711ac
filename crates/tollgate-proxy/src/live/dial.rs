//! Connections of the gateway's own, to where it sends records and to Redis: names by its resolver, TLS as toward everybody else.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tollgate_logship::{Dial, Stream};
use tollgate_plan::tls::Roots;

use crate::tls::trusting;
use crate::upstream::{NameServers, look_up_once};

/// Makes connections on whatever thread asks.
#[derive(Clone)]
pub(crate) struct Dialer(NameServers);

/// A way to reach the store of an access log, for commands that run beside the gateway.
pub fn dialer() -> Arc<dyn Dial> {
    Arc::new(Dialer(NameServers::default()))
}

impl Dialer {
    pub(crate) fn new(servers: &NameServers) -> Dialer {
        Dialer(servers.clone())
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialer")
    }
}

#[async_trait::async_trait]
impl Dial for Dialer {
    async fn dial(&self, host: &str, port: u16, tls: bool) -> io::Result<Box<dyn Stream>> {
        let stream = connect(&self.0, host, port).await?;
        // Some MiB in one direction, and the last segment should not wait for an acknowledgement.
        stream.set_nodelay(true)?;
        if !tls {
            return Ok(Box::new(stream));
        }
        Ok(Box::new(secure(stream, host, None).await?))
    }
}

/// TLS over a connection to a host, which is judged by these certificates, or by the system's.
pub(super) async fn secure(
    stream: TcpStream,
    host: &str,
    roots: Option<&Roots>,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let config = trusting(roots).map_err(io::Error::other)?;
    TlsConnector::from(config).connect(name, stream).await
}

/// A connection to one of the addresses that a host has.
pub(super) async fn connect(servers: &NameServers, host: &str, port: u16) -> io::Result<TcpStream> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return TcpStream::connect(SocketAddr::new(ip, port)).await;
    }
    let addresses = look_up_once(servers, host).await.map_err(io::Error::other)?;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for ip in addresses {
        match TcpStream::connect(SocketAddr::new(ip, port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
