//! Authorities and certificates, made for each test.

use std::path::Path;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    PKCS_RSA_SHA256,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;

/// Who vouches for certificates.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(crate) struct Issued {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        Authority { issuer: CertifiedIssuer::self_signed(params, key).expect("an authority") }
    }

    /// A certificate for these names.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.sign(params(names), KeyPair::generate().expect("a key"))
    }

    /// The same with an RSA key.
    pub(crate) fn issue_rsa(&self, names: &[&str]) -> Issued {
        self.sign(params(names), KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key"))
    }

    /// A client's certificate.
    pub(crate) fn client(&self, organization: &str, name: &str) -> Issued {
        let mut params = params(&[]);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, organization);
        params.distinguished_name.push(DnType::CommonName, name);
        self.sign(params, KeyPair::generate().expect("a key"))
    }

    /// The same, good until then.
    pub(crate) fn client_until(&self, name: &str, end: SystemTime) -> Issued {
        let mut params = params(&[]);
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = end.into();
        self.sign(params, KeyPair::generate().expect("a key"))
    }

    pub(crate) fn pem(&self) -> String {
        pem("CERTIFICATE", self.issuer.der())
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    fn sign(&self, params: CertificateParams, key: KeyPair) -> Issued {
        issued(params.signed_by(&key, &self.issuer).expect("a certificate"), &key)
    }
}

/// A certificate that vouches for itself.
pub(crate) fn self_signed(names: &[&str]) -> Issued {
    let key = KeyPair::generate().expect("a key");
    let mut params = params(names);
    // As `openssl req -x509` makes them.
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    issued(params.self_signed(&key).expect("a certificate"), &key)
}

/// A client's certificate that vouches for itself, good until then.
pub(crate) fn self_signed_client(name: &str, end: Option<SystemTime>) -> Issued {
    let key = KeyPair::generate().expect("a key");
    let mut params = params(&[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(end) = end {
        params.not_after = end.into();
    }
    issued(params.self_signed(&key).expect("a certificate"), &key)
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).expect("names")
}

/// RFC 7468.
fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn issued(certificate: rcgen::Certificate, key: &KeyPair) -> Issued {
    Issued {
        certificate: certificate.der().clone(),
        key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        certificate_pem: pem("CERTIFICATE", certificate.der()),
        key_pem: pem("PRIVATE KEY", &key.serialize_der()),
    }
}

/// A directory for the files of a configuration.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Files {
        Files(tempfile::tempdir().expect("a directory"))
    }

    /// Writes `NAME.pem` and `NAME.key`.
    pub(crate) fn put(&self, name: &str, issued: &Issued) {
        self.text(&format!("{name}.pem"), &issued.certificate_pem);
        self.text(&format!("{name}.key"), &issued.key_pem);
    }

    /// Writes a file by rename.
    pub(crate) fn text(&self, name: &str, text: &str) {
        let fresh = self.path().join(format!(".{name}.new"));
        std::fs::write(&fresh, text).expect("a file can be written");
        std::fs::rename(&fresh, self.path().join(name)).expect("a file can be moved");
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn display(&self) -> String {
        self.path().display().to_string()
    }
}
