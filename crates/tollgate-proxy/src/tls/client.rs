//! TLS to others: whom to trust, what to show.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tollgate_plan::tls::{ClientTls, Roots};

use super::named::is_named;
use super::{HTTP_1_1, chain, private_key, provider, store};

/// What the targets of an upstream are spoken to with. Shared by all workers, and its sessions with it.
pub(crate) struct ClientSide {
    pub(super) settings: Arc<ClientTls>,
    pub(crate) config: Arc<ClientConfig>,
}

impl ClientSide {
    pub(super) fn new(settings: &Arc<ClientTls>) -> Result<Arc<ClientSide>, Error> {
        let builder =
            ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let judge: Arc<dyn ServerCertVerifier> = match settings.verify {
            true => judge(settings.roots.as_ref())?,
            false => Arc::new(Anybody(provider())),
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(judge);
        let mut config = match &settings.identity {
            Some(identity) => builder.with_client_auth_cert(chain(identity), private_key(identity))?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(Arc::new(ClientSide { settings: settings.clone(), config: Arc::new(config) }))
    }
}

/// The system's certificates, which are read when somebody needs them first. An image from scratch has none: then those
/// that came with the gateway.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Arc::new(roots)
    };
    ROOTS.get_or_init(read).clone()
}

/// Trusts these, the system's where there are none, shows nothing, and asks for no protocol.
pub(crate) fn trusting(roots: Option<&Roots>) -> Result<Arc<ClientConfig>, Error> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(judge(roots)?);
    Ok(Arc::new(builder.with_no_client_auth()))
}

/// Who says whether a server is who it should be: by these certificates, or by the system's.
fn judge(roots: Option<&Roots>) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    Ok(match roots {
        None => verifier(system_roots())?,
        Some(roots) => {
            Arc::new(Own { authorities: verifier(store(roots)?.into())?, certificates: roots.clone() })
        }
    })
}

fn verifier(roots: Arc<RootCertStore>) -> Result<Arc<WebPkiServerVerifier>, Error> {
    let builder = WebPkiServerVerifier::builder_with_provider(roots, provider());
    builder.build().map_err(|error| Error::General(error.to_string()))
}

/// Takes what the configured authorities vouch for, and their certificates themselves: a service with a certificate
/// that it signed itself is trusted by naming that one.
#[derive(Debug)]
struct Own {
    authorities: Arc<WebPkiServerVerifier>,
    certificates: Roots,
}

impl Own {
    fn is_named(&self, certificate: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> bool {
        let fits = || verify_server_name(&ParsedCertificate::try_from(certificate)?, name);
        is_named(&self.certificates, certificate, now) && fits().is_ok()
    }
}

impl ServerCertVerifier for Own {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.is_named(certificate, name, now) {
            return Ok(ServerCertVerified::assertion());
        }
        self.authorities.verify_server_cert(certificate, intermediates, name, ocsp_response, now)
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

/// Takes anybody's certificate: what `insecure_skip_verify` asks for. That its owner is there is made sure of.
struct Anybody(Arc<CryptoProvider>);

impl fmt::Debug for Anybody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Anybody")
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
