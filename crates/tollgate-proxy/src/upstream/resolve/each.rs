//! DNS servers, asked one after the other.
//!
//! Each by itself: asked for several at once, the library waits for all of them before it asks over TCP what one of them
//! had to truncate, and then has no time left; and it takes the failure of one for that of all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A server that has not answered after this long does not hold up the next one, and may still answer first.
const NEXT_AFTER: Duration = Duration::from_millis(250);

/// The servers of one configuration.
#[derive(Clone)]
pub(super) struct Each {
    servers: Arc<[Server]>,
    /// Who answered last is asked first.
    first: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Server {
    at: usize,
    resolver: TokioResolver,
    /// That a name is not there is its last word, and nobody else is asked.
    trusted: bool,
}

impl Each {
    pub(super) fn new(config: ResolverConfig, options: &ResolverOpts) -> Result<Each, NetError> {
        let (domain, search, servers) = config.into_parts();
        let server = |(at, server): (usize, NameServerConfig)| {
            let trusted = server.trust_negative_responses;
            let config = ResolverConfig::from_parts(domain.clone(), search.clone(), vec![server]);
            let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            *builder.options_mut() = options.clone();
            builder.build().map(|resolver| Server { at, resolver, trusted })
        };
        let servers: Result<Vec<Server>, NetError> = servers.into_iter().enumerate().map(server).collect();
        Ok(Each { servers: servers?.into(), first: Arc::default() })
    }

    /// The first answer of any of them. The next one is asked when one fails, or takes its time.
    pub(super) async fn ask(&self, name: Name, kind: RecordType) -> Result<Lookup, NetError> {
        if let [only] = &*self.servers {
            return only.resolver.lookup(name, kind).await;
        }
        let (count, first) = (self.servers.len(), self.first.load(Relaxed));
        let mut turn = (first..first + count).filter_map(|at| self.servers.get(at % count));
        let mut asked = JoinSet::new();
        let mut failure = NetError::NoConnections;
        loop {
            let next = turn.next();
            if let Some(server) = next {
                let (server, name) = (server.clone(), name.clone());
                asked.spawn(async move { (server.resolver.lookup(name, kind).await, server) });
            }
            let ended = match next {
                Some(_) => timeout(NEXT_AFTER, asked.join_next()).await,
                None => Ok(asked.join_next().await),
            };
            match ended {
                // It may still come; the next one has its turn beside it.
                Err(_) => {}
                Ok(None) => return Err(failure),
                Ok(Some(Ok((answer, server)))) => match answer {
                    Err(error) if !(error.is_no_records_found() && server.trusted) => {
                        // What none of them knows is not there, whatever became of the others.
                        if !failure.is_no_records_found() {
                            failure = error;
                        }
                    }
                    answer => {
                        self.first.store(server.at, Relaxed);
                        return answer;
                    }
                },
                Ok(Some(Err(ended))) => failure = NetError::Io(Arc::new(ended.into())),
            }
        }
    }
}
