//! What TLS is spoken with: made from a plan before it is applied, kept while the configuration keeps its settings.

mod client;
mod named;
mod server;

use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer, ServerName,
};
use rustls::{Error, RootCertStore};
use tollgate_plan::Plan;
use tollgate_plan::listener::ListenAddress;
use tollgate_plan::tls::{Identity, KeyFormat};
use tollgate_plan::upstream::Upstream;

pub(crate) use client::{ClientSide, trusting};
pub(crate) use server::ServerSide;

use crate::control::ApplyError;

/// Versions of HTTP in the negotiation of protocols (RFC 7301 section 6, RFC 9113 section 3.1).
pub(crate) const HTTP_2: &[u8] = b"h2";
pub(crate) const HTTP_1_1: &[u8] = b"http/1.1";
const HTTP_1_0: &[u8] = b"http/1.0";

/// Both sides of a plan.
#[derive(Default)]
pub(crate) struct Sides {
    listeners: Vec<(ListenAddress, Arc<ServerSide>)>,
    upstreams: Vec<Arc<ClientSide>>,
}

impl Sides {
    /// Makes what `plan` needs, from what is there where the settings are the same.
    pub(crate) fn of(plan: &Plan, old: &Sides) -> Result<Sides, ApplyError> {
        let mut sides = Sides::default();
        for listener in &plan.listeners {
            let Some(settings) = &listener.tls else { continue };
            let failed = |source| ApplyError::Tls { place: listener.name.clone(), source };
            let side =
                ServerSide::of(settings, listener.http2, old.listener(&listener.address)).map_err(failed)?;
            sides.listeners.push((listener.address.clone(), side));
        }
        for upstream in plan.upstreams.iter().filter(|upstream| speaks_tls(upstream)) {
            let failed = |source| ApplyError::Tls { place: upstream.name.clone(), source };
            for name in upstream.targets.iter().filter_map(|target| target.tls.as_deref()) {
                server_name(name).ok_or_else(|| failed(Error::General(format!("{name} is no host"))))?;
            }
            if sides.upstream(upstream).is_none() {
                let side = match old.upstream(upstream) {
                    Some(known) => known.clone(),
                    None => ClientSide::new(&upstream.tls).map_err(failed)?,
                };
                sides.upstreams.push(side);
            }
        }
        Ok(sides)
    }

    /// What clients of a listener are served with; none: clear text.
    pub(crate) fn listener(&self, address: &ListenAddress) -> Option<&Arc<ServerSide>> {
        self.listeners.iter().find(|(known, _)| known == address).map(|(_, side)| side)
    }

    /// What the targets of an upstream are spoken to with, where any is over TLS.
    pub(crate) fn upstream(&self, upstream: &Upstream) -> Option<&Arc<ClientSide>> {
        if !speaks_tls(upstream) {
            return None;
        }
        self.upstreams.iter().find(|side| side.settings == upstream.tls)
    }
}

fn speaks_tls(upstream: &Upstream) -> bool {
    upstream.targets.iter().any(|target| target.tls.is_some())
}

/// A name or an address that a certificate can be for.
pub(crate) fn server_name(name: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(name.to_owned()).ok()
}

/// The cryptography. Named wherever it is needed: a process default that somebody forgot to install, or installed
/// twice, would panic.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())).clone()
}

fn store(roots: &[Box<[u8]>]) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for der in roots {
        store.add(CertificateDer::from(der.to_vec()))?;
    }
    Ok(store)
}

fn chain(identity: &Identity) -> Vec<CertificateDer<'static>> {
    identity.chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect()
}

fn private_key(identity: &Identity) -> PrivateKeyDer<'static> {
    let der = identity.key.expose().to_vec();
    match identity.key.format {
        KeyFormat::Pkcs1 => PrivatePkcs1KeyDer::from(der).into(),
        KeyFormat::Sec1 => PrivateSec1KeyDer::from(der).into(),
        KeyFormat::Pkcs8 => PrivatePkcs8KeyDer::from(der).into(),
    }
}
