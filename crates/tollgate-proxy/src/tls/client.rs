//! TLS to others: whom to trust, what to show.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tollgate_plan::tls::ClientTls;

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
        let builder = match &settings.roots {
            _ if !settings.verify => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider())))
            }
            Some(roots) => builder.with_webpki_verifier(verifier(store(roots)?.into())?),
            None => builder.with_webpki_verifier(verifier(system_roots())?),
        };
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
pub(crate) fn system_roots() -> Arc<RootCertStore> {
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

/// Trusts these, shows nothing, and asks for no protocol.
pub(crate) fn trusting(roots: Arc<RootCertStore>) -> Result<Arc<ClientConfig>, Error> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_webpki_verifier(verifier(roots)?).with_no_client_auth()))
}

fn verifier(roots: Arc<RootCertStore>) -> Result<Arc<WebPkiServerVerifier>, Error> {
    let builder = WebPkiServerVerifier::builder_with_provider(roots, provider());
    builder.build().map_err(|error| Error::General(error.to_string()))
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
