//! Connecting to Redis: one server or a cluster, in clear or over TLS, names by the gateway's own resolver.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClientBuilder;
use redis::io::AsyncDNSResolver;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, RedisFuture, RedisResult, TlsCertificates,
};
use tokio::task::JoinSet;
use tollgate_plan::redis::{Redis, RedisNode};

use super::batch::Connection;
use crate::live::dial;
use crate::upstream::{NameServers, look_up_once};

/// A connection that is ready to be used.
pub(super) async fn connect(settings: &Redis, servers: &NameServers) -> RedisResult<Connection> {
    if settings.nodes.iter().any(|node| node.tls) {
        // The library takes the process' default. Whoever set one before is right, too.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
    if settings.cluster {
        return cluster(settings, servers).await;
    }
    let first = settings.nodes.first();
    let node =
        first.ok_or_else(|| RedisError::from((ErrorKind::InvalidClientConfig, "no server is named")))?;
    one(settings, node, servers).await
}

async fn one(settings: &Redis, node: &RedisNode, servers: &NameServers) -> RedisResult<Connection> {
    let info = info(node)?;
    // Who waits has its own clock.
    let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    if node.tls {
        // TLS as toward everybody else: the library trusts no server that signed its own certificate.
        let stream = dial::connect(servers, &node.host, node.port).await?;
        stream.set_nodelay(true)?;
        let stream = dial::secure(stream, &node.host, settings.roots.as_ref()).await?;
        let (connection, driver) =
            MultiplexedConnection::new_with_config(info.redis_settings(), stream, config).await?;
        let mut task = JoinSet::new();
        task.spawn_local(driver);
        return Ok(Connection::One { connection, _task: Rc::new(task) });
    }
    let config = config.set_dns_resolver(Names(servers.clone()));
    let connection = Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await?;
    Ok(Connection::One { connection, _task: Rc::default() })
}

async fn cluster(settings: &Redis, servers: &NameServers) -> RedisResult<Connection> {
    let nodes = settings.nodes.iter().map(info).collect::<RedisResult<Vec<_>>>()?;
    let mut builder = ClusterClientBuilder::new(nodes).async_dns_resolver(Names(servers.clone()));
    if settings.nodes.iter().any(|node| node.tls) {
        builder = builder.certs(certificates(settings));
    }
    Ok(Connection::Cluster(builder.build()?.get_async_connection().await?))
}

fn info(node: &RedisNode) -> RedisResult<ConnectionInfo> {
    let (host, port) = (node.host.to_string(), node.port);
    let address = match node.tls {
        true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        false => ConnectionAddr::Tcp(host, port),
    };
    let mut login = RedisConnectionInfo::default().set_db(node.db).set_skip_set_lib_name();
    if let Some(user) = &node.user {
        login = login.set_username(user);
    }
    if let Some(password) = &node.password {
        login = login.set_password(password.expose());
    }
    let info = address.into_connection_info()?.set_redis_settings(login);
    Ok(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

/// The configured roots, as the library wants them: PEM (RFC 7468). None are the system's.
fn certificates(settings: &Redis) -> TlsCertificates {
    let root_cert = settings.roots.as_ref().map(|roots| {
        let mut pem = String::new();
        for root in roots.iter() {
            pem.push_str("-----BEGIN CERTIFICATE-----\n");
            let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, root);
            for line in text.as_bytes().chunks(64) {
                pem.push_str(&String::from_utf8_lossy(line));
                pem.push('\n');
            }
            pem.push_str("-----END CERTIFICATE-----\n");
        }
        pem.into_bytes()
    });
    TlsCertificates { client_tls: None, root_cert }
}

/// The gateway's resolver: the system's own is not there in a static binary.
struct Names(NameServers);

impl AsyncDNSResolver for Names {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        host: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        Box::pin(async move {
            let addresses = match host.parse::<IpAddr>() {
                Ok(address) => vec![address],
                Err(_) => look_up_once(&self.0, host).await.map_err(|error| {
                    RedisError::from((ErrorKind::Io, "the name has no address", error.to_string()))
                })?,
            };
            let addresses = addresses.into_iter().map(move |ip| SocketAddr::new(ip, port));
            Ok(Box::new(addresses) as Box<dyn Iterator<Item = SocketAddr> + Send + 'a>)
        })
    }
}
