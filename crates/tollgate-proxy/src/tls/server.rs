//! TLS for clients: certificates by the host that they name, versions, client certificates, tickets.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme, SupportedProtocolVersion,
};
use tollgate_plan::tls::{Roots, ServerTls, TlsVersion};
use tollgate_wire::Name;

use super::named::is_named;
use super::{HTTP_1_0, HTTP_1_1, HTTP_2, chain, private_key, provider, store};

/// Versions of TLS, the newest first.
const FROM_12: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
const FROM_13: &[&SupportedProtocolVersion] = &[&TLS13];

/// What the clients of a listener are served with. Shared by all workers: a session that began on one is resumed on
/// another.
pub(crate) struct ServerSide {
    settings: Arc<ServerTls>,
    /// Whether HTTP/2 is offered.
    http2: bool,
    pub(crate) config: Arc<ServerConfig>,
    tickets: Arc<dyn ProducesTickets>,
}

impl ServerSide {
    /// The side for these settings: the old one where nothing changed, and with its keys of tickets where the new
    /// configuration would accept the same clients.
    pub(super) fn of(
        settings: &Arc<ServerTls>,
        http2: bool,
        old: Option<&Arc<ServerSide>>,
    ) -> Result<Arc<ServerSide>, Error> {
        if let Some(old) = old.filter(|old| old.settings == *settings && old.http2 == http2) {
            return Ok(old.clone());
        }
        // A resumed session shows no certificate again: who was accepted by another authority must not come in so.
        let known = old.filter(|old| old.settings.client_ca == settings.client_ca);
        let tickets = match known {
            Some(old) => old.tickets.clone(),
            // Its keys are renewed every few hours, and only kept in memory.
            None => Ticketer::new()?,
        };
        let mut config = config(settings)?;
        config.ticketer = tickets.clone();
        let offered: &[&[u8]] = if http2 { &[HTTP_2, HTTP_1_1, HTTP_1_0] } else { &[HTTP_1_1, HTTP_1_0] };
        config.alpn_protocols = offered.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(ServerSide { settings: settings.clone(), http2, config: Arc::new(config), tickets }))
    }

    /// Whether both accept the same clients, and tell upstreams of them in the same way.
    pub(crate) fn knows_clients_like(&self, other: &ServerSide) -> bool {
        let (own, others) = (&self.settings, &other.settings);
        own.client_ca == others.client_ca && own.client_subject == others.client_subject
    }

    /// The header that tells the upstream of the client's certificate.
    pub(crate) fn client_subject(&self) -> Option<&Name> {
        self.settings.client_subject.as_ref()
    }
}

fn config(settings: &ServerTls) -> Result<ServerConfig, Error> {
    let versions = match settings.min_version {
        TlsVersion::V12 => FROM_12,
        TlsVersion::V13 => FROM_13,
    };
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions)?;
    let builder = match &settings.client_ca {
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(store(roots)?.into(), provider());
            let authorities = verifier.build().map_err(|error| Error::General(error.to_string()))?;
            builder.with_client_cert_verifier(Arc::new(Known { authorities, certificates: roots.clone() }))
        }
        None => builder.with_no_client_auth(),
    };
    Ok(builder.with_cert_resolver(Arc::new(ByName::new(settings)?)))
}

/// Lets in whom the configured authorities vouch for, and who shows one of their certificates itself: a client that
/// signed its own is let in by naming that one, and nobody else is with it.
#[derive(Debug)]
struct Known {
    authorities: Arc<dyn ClientCertVerifier>,
    certificates: Roots,
}

impl ClientCertVerifier for Known {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.authorities.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if is_named(&self.certificates, certificate, now) {
            return Ok(ClientCertVerified::assertion());
        }
        self.authorities.verify_client_cert(certificate, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// The certificates of a listener, by name.
#[derive(Debug, Default)]
struct ByName {
    exact: HashMap<Box<str>, Certificates>,
    /// By what follows `*.`.
    wildcard: HashMap<Box<str>, Certificates>,
    /// For clients that name no host, or one that no certificate has.
    default: Certificates,
}

/// Certificates for the same name, with keys of several kinds perhaps, as the configuration orders them.
type Certificates = Vec<Arc<CertifiedKey>>;

impl ByName {
    fn new(settings: &ServerTls) -> Result<ByName, Error> {
        let mut by_name = ByName::default();
        let first = settings.certificates.first();
        for identity in &settings.certificates {
            let key = provider().key_provider.load_private_key(private_key(identity))?;
            let certified = Arc::new(CertifiedKey::new(chain(identity), key));
            for name in identity.names.iter() {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut by_name.wildcard, parent),
                    None => (&mut by_name.exact, &**name),
                };
                map.entry(name.into()).or_default().push(certified.clone());
            }
            // One for the same hosts, with another kind of key, serves as well as the first one.
            if first.is_some_and(|first| first.names == identity.names) {
                by_name.default.push(certified);
            }
        }
        Ok(by_name)
    }

    fn find(&self, host: &str) -> Option<&Certificates> {
        let lower = host.to_ascii_lowercase();
        let parent = || lower.split_once('.').map(|(_, parent)| parent);
        self.exact.get(lower.as_str()).or_else(|| self.wildcard.get(parent()?))
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let usable = |certificates: &Certificates| {
            let found = certificates.iter().find(|one| one.key.choose_scheme(schemes).is_some());
            found.or(certificates.first()).cloned()
        };
        let named = hello.server_name().and_then(|host| self.find(host));
        usable(named.unwrap_or(&self.default))
    }
}
