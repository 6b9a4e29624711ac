//! Finds what lives of a new plan's upstreams among that of the old one: by name of the upstream and URL of the target.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;
use tollgate_plan::Plan;
use tollgate_plan::resilience::Probe;
use tollgate_plan::upstream::{HostMode, Upstream};

use super::checks::Checked;
use super::services::ServicesLive;
use super::shield::UpstreamShared;
use super::tokens::TokenRegistry;
use crate::tls::Sides;

/// The upstreams of a plan, indexed by `UpstreamId`.
pub(crate) type Upstreams = Vec<Arc<UpstreamShared>>;

/// Everything that lives now. Reloads write it; the background thread follows what is to be checked.
pub(crate) struct UpstreamRegistry {
    known: Mutex<HashMap<Arc<str>, Arc<UpstreamShared>>>,
    checked: watch::Sender<Vec<Arc<Checked>>>,
    /// What DNS says of the services among the targets.
    pub(crate) services: Arc<ServicesLive>,
    /// The gateway's own tokens toward upstreams.
    pub(crate) tokens: TokenRegistry,
}

impl Default for UpstreamRegistry {
    fn default() -> Self {
        UpstreamRegistry {
            known: Mutex::default(),
            checked: watch::channel(Vec::new()).0,
            services: Arc::default(),
            tokens: TokenRegistry::default(),
        }
    }
}

impl UpstreamRegistry {
    /// The upstreams of `plan`; what it does not name any more is forgotten here.
    pub(crate) fn reconcile(&self, plan: &Plan, sides: &Sides, now: SystemTime) -> Upstreams {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = self.tokens.reconcile(&plan.upstreams);
        let upstreams: Upstreams = plan
            .upstreams
            .iter()
            .zip(tokens)
            .map(|(upstream, token)| {
                let tls = sides.upstream(upstream).cloned();
                let expanded = self.services.expand(upstream);
                let old = known.get(&upstream.name);
                Arc::new(UpstreamShared::new(upstream, expanded, (tls, token), old, now))
            })
            .collect();
        *known = upstreams.iter().map(|live| (live.name.clone(), live.clone())).collect();
        let mut checked: Vec<Arc<Checked>> = Vec::new();
        {
            let old = self.checked.borrow();
            for (upstream, live) in plan.upstreams.iter().zip(&upstreams) {
                for fresh in to_check(upstream, live) {
                    let same = old.iter().find(|known| known.is(&fresh));
                    checked.push(same.cloned().unwrap_or_else(|| Arc::new(fresh)));
                }
            }
        }
        self.checked.send_replace(checked);
        upstreams
    }

    /// For the background thread.
    pub(crate) fn checked(&self) -> watch::Receiver<Vec<Arc<Checked>>> {
        self.checked.subscribe()
    }
}

fn to_check<'a>(upstream: &'a Upstream, live: &'a UpstreamShared) -> impl Iterator<Item = Checked> + 'a {
    let targets = live.served(upstream).targets.iter().zip(&live.targets);
    upstream.health_check.iter().flat_map(move |rules| {
        targets.clone().map(move |(target, shared)| Checked {
            upstream: upstream.name.clone(),
            target: shared.clone(),
            address: target.address.clone(),
            host: match &upstream.host {
                HostMode::Fixed(name) => name.clone(),
                // There is no client whose Host could be preserved.
                HostMode::Upstream | HostMode::Preserve => target.authority.clone(),
            },
            prefix: target.prefix.clone(),
            http2: target.http2,
            tls: target.tls.clone().zip(live.tls.clone()),
            token: live.token.clone().filter(|_| matches!(rules.probe, Probe::Http { .. })),
            rules: rules.clone(),
        })
    })
}

#[cfg(test)]
mod tests;
