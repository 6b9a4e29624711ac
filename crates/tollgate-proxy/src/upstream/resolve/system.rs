//! Asks as the machine is set up: `/etc/hosts` first, then the servers of the configuration, or else those of
//! `/etc/resolv.conf`.

use std::fs;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hickory_resolver::Hosts;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use tokio::time::timeout;

use super::each::Each;
use super::servers::NameServers;
use super::{Outcome, ResolveError, Service};

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// A question has an answer, or none, after this long.
const QUESTION_MAX: Duration = Duration::from_secs(5);
/// One server is waited for no longer than this, whatever `resolv.conf` allows: a second one should have its turn
/// before the request that waits has to give up.
const SERVER_MAX: Duration = Duration::from_secs(2);
/// With the addresses of one family there, the other ones are waited for no longer (RFC 8305 section 3).
const OTHER_FAMILY: Duration = Duration::from_millis(50);
/// A line of `/etc/hosts` has no TTL; an edit shows within this time.
const HOSTS_TTL: Duration = Duration::from_secs(5);

/// Where questions go.
pub(super) struct System {
    source: Source,
    loaded: Option<Loaded>,
}

enum Source {
    /// The machine: the servers that the configuration names, and the two files, as they were when they were read.
    Machine { servers: NameServers, known: Option<(Arc<[SocketAddr]>, Stamps)> },
    /// Given once.
    #[cfg(test)]
    Fixed(ResolverConfig, Arc<Hosts>),
}

#[derive(Clone)]
struct Loaded {
    /// The error is kept, so that every question says why there is no answer.
    servers: Result<Each, ResolveError>,
    hosts: Arc<Hosts>,
}

type Stamps = [Option<(SystemTime, u64)>; 2];

impl System {
    pub(super) fn new(servers: NameServers) -> System {
        System { source: Source::Machine { servers, known: None }, loaded: None }
    }

    #[cfg(test)]
    pub(super) fn fixed(config: ResolverConfig, hosts: Hosts) -> System {
        System { source: Source::Fixed(config, Arc::new(hosts)), loaded: None }
    }

    /// A question about one name, to be awaited on a tokio runtime.
    pub(super) fn question(&mut self, host: &str) -> impl Future<Output = Outcome> + Send + use<> {
        // Not `from_utf8`, which refuses the underscores of container names; the host is ASCII already.
        let name = Name::from_ascii(host);
        let loaded = self.loaded();
        async move {
            let Ok(name) = name else { return Err(ResolveError::BadName) };
            if let Some(addresses) = in_hosts(&loaded.hosts, &name) {
                return Ok((addresses, HOSTS_TTL));
            }
            let servers = loaded.servers?;
            let late = |_| Err(ResolveError::Failed("no answer in time".into()));
            timeout(QUESTION_MAX, ask(&servers, name)).await.unwrap_or_else(late)
        }
    }

    /// A question about the places of a service (RFC 2782), to be awaited on a tokio runtime.
    pub(super) fn services(
        &mut self,
        name: &str,
    ) -> impl Future<Output = Result<(Vec<Service>, Duration), ResolveError>> + Send + use<> {
        let name = Name::from_ascii(name);
        let loaded = self.loaded();
        async move {
            let Ok(name) = name else { return Err(ResolveError::BadName) };
            let servers = loaded.servers?;
            let late = |_| Err(ResolveError::Failed("no answer in time".into()));
            timeout(QUESTION_MAX, ask_services(&servers, name)).await.unwrap_or_else(late)
        }
    }

    /// The files are looked at before every question, which there are few of, and read again when they changed.
    fn loaded(&mut self) -> Loaded {
        match &mut self.source {
            Source::Machine { servers, known } => {
                let now = (servers.get(), stamps());
                if let Some(loaded) = self.loaded.as_ref().filter(|_| known.as_ref() == Some(&now)) {
                    return loaded.clone();
                }
                let (config, options) = match now.0.iter().as_slice() {
                    [] => from_system(),
                    servers => (asking(servers), ResolverOpts::default()),
                };
                *known = Some(now);
                let hosts = Hosts::from_system().unwrap_or_default();
                self.loaded.insert(Loaded { servers: build(config, options), hosts: Arc::new(hosts) }).clone()
            }
            #[cfg(test)]
            Source::Fixed(config, hosts) => {
                let fresh = || Loaded {
                    servers: build(config.clone(), ResolverOpts::default()),
                    hosts: hosts.clone(),
                };
                self.loaded.get_or_insert_with(fresh).clone()
            }
        }
    }
}

fn from_system() -> (ResolverConfig, ResolverOpts) {
    read_system_conf().unwrap_or_else(|error| {
        tracing::debug!(%error, "no name server in {RESOLV_CONF}; asking the one of this machine");
        // As resolv.conf(5) says.
        let local = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
        (ResolverConfig::from_parts(None, Vec::new(), vec![local]), ResolverOpts::default())
    })
}

/// These servers, and no search domains: the configuration means the names that it writes.
fn asking(servers: &[SocketAddr]) -> ResolverConfig {
    let server = |address: &SocketAddr| {
        let mut server = NameServerConfig::udp_and_tcp(address.ip());
        server.connections.iter_mut().for_each(|connection| connection.port = address.port());
        server
    };
    ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(server).collect())
}

fn stamps() -> Stamps {
    [RESOLV_CONF, HOSTS].map(|path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn build(config: ResolverConfig, mut options: ResolverOpts) -> Result<Each, ResolveError> {
    options.timeout = options.timeout.min(SERVER_MAX);
    // Answers are remembered by the caller, who also knows the old ones; two memories would add up their TTLs.
    options.cache_size = 0;
    // Looked up here: the library would still ask DNS for the family that the file does not have.
    options.use_hosts_file = ResolveHosts::Never;
    Each::new(config, &options).map_err(|error| ResolveError::Failed(error.to_string().into()))
}

fn in_hosts(hosts: &Hosts, name: &Name) -> Option<Vec<IpAddr>> {
    let of = |family| hosts.lookup_static_host(&Query::query(name.clone(), family));
    let (v4, v6) = (of(RecordType::A), of(RecordType::AAAA));
    let addresses =
        in_turn(&v4.iter().flat_map(addresses).collect::<Vec<_>>(), v6.iter().flat_map(addresses));
    (!addresses.is_empty()).then_some(addresses)
}

/// Both families at once. What one of them has is enough; the other one may come a little later.
async fn ask(servers: &Each, name: Name) -> Outcome {
    let mut v4 = pin!(servers.ask(name.clone(), RecordType::A));
    let mut v6 = pin!(servers.ask(name, RecordType::AAAA));
    let (v4, v6) = tokio::select! {
        first = &mut v4 => {
            let second = second(has_addresses(&first), v6).await;
            (Some(first), second)
        }
        first = &mut v6 => {
            let second = second(has_addresses(&first), v4).await;
            (second, Some(first))
        }
    };
    let (v4, v6) = (v4.unwrap_or_else(late), v6.unwrap_or_else(late));
    let now = Instant::now();
    let lookups = || [&v4, &v6].into_iter().flatten().filter(|lookup| addresses(lookup).next().is_some());
    let ttl = lookups().map(|lookup| lookup.valid_until().saturating_duration_since(now)).min();
    let of = |lookup: &Result<Lookup, NetError>| lookup.iter().flat_map(addresses).collect::<Vec<_>>();
    match ttl {
        Some(ttl) => Ok((in_turn(&of(&v4), of(&v6).into_iter()), ttl)),
        None => Err(error(v4, v6)),
    }
}

/// The records that name a place; one that says that the service is not there names none (RFC 2782: a target of `.`).
async fn ask_services(servers: &Each, name: Name) -> Result<(Vec<Service>, Duration), ResolveError> {
    let lookup = match servers.ask(name, RecordType::SRV).await {
        Ok(lookup) => lookup,
        Err(error) if error.is_no_records_found() => return Err(ResolveError::NoService),
        Err(error) => return Err(ResolveError::Failed(error.to_string().into())),
    };
    let services = lookup.answers().iter().filter_map(|record| match &record.data {
        RData::SRV(srv) if !srv.target.is_root() && srv.port != 0 => Some(Service {
            priority: srv.priority,
            weight: srv.weight,
            host: srv.target.to_ascii().trim_end_matches('.').to_ascii_lowercase().into(),
            port: srv.port,
        }),
        _ => None,
    });
    let services: Vec<Service> = services.collect();
    match services.is_empty() {
        true => Err(ResolveError::NoService),
        false => Ok((services, lookup.valid_until().saturating_duration_since(Instant::now()))),
    }
}

async fn second(
    has_addresses: bool,
    lookup: impl Future<Output = Result<Lookup, NetError>>,
) -> Option<Result<Lookup, NetError>> {
    match has_addresses {
        true => timeout(OTHER_FAMILY, lookup).await.ok(),
        false => Some(lookup.await),
    }
}

fn late() -> Result<Lookup, NetError> {
    Err(NetError::Timeout)
}

fn has_addresses(lookup: &Result<Lookup, NetError>) -> bool {
    lookup.iter().flat_map(addresses).next().is_some()
}

/// The addresses among the records; aliases stand there, too.
fn addresses(lookup: &Lookup) -> impl Iterator<Item = IpAddr> {
    lookup.answers().iter().filter_map(|record| record.data.ip_addr())
}

/// DNS says "none" only when it says so for both families.
fn error(v4: Result<Lookup, NetError>, v6: Result<Lookup, NetError>) -> ResolveError {
    let failures = [v4, v6].into_iter().filter_map(Result::err);
    match failures.filter(|error| !error.is_no_records_found()).last() {
        Some(error) => ResolveError::Failed(error.to_string().into()),
        None => ResolveError::NoAddress,
    }
}

/// IPv4 and IPv6 in turn, so that a family that does not work costs one attempt, not all of them.
fn in_turn(v4: &[IpAddr], v6: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut v4 = v4.iter().copied();
    let mut v6 = v6.fuse();
    let mut all = Vec::new();
    loop {
        let (four, six) = (v4.next(), v6.next());
        if four.is_none() && six.is_none() {
            return all;
        }
        all.extend(four.into_iter().chain(six));
    }
}
