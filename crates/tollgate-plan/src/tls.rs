//! What TLS needs of the configuration: certificates with their keys, whom to trust, which versions.
//!
//! Certificates are DER (X.690), as they stand in the files. That they fit their keys was made sure of by whoever
//! made the plan; the data plane makes its own values from them.

use std::fmt;
use std::sync::Arc;

use tollgate_wire::Name;

/// Certificates in DER that are trusted, instead of the system's. Never an empty list.
pub type Roots = Arc<[Box<[u8]>]>;

/// TLS for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// Never empty; the first one is for clients that name no host, or one that no certificate has.
    pub certificates: Vec<Identity>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// Whose client certificates are accepted. Given: a client without one is refused.
    pub client_ca: Option<Roots>,
    /// The request header that carries the subject of the client's certificate (RFC 4514).
    pub client_subject: Option<Name>,
}

/// TLS to targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// Who vouches for the targets; none: the system's certificates.
    pub roots: Option<Roots>,
    /// What targets are shown when they ask for a certificate.
    pub identity: Option<Identity>,
    /// Whether the target's certificate is looked at. Without that, whoever stands between can answer.
    pub verify: bool,
}

impl Default for ClientTls {
    fn default() -> Self {
        ClientTls { roots: None, identity: None, verify: true }
    }
}

/// A certificate, and the key to prove that it is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Our own certificate first, then those of the authorities between it and one that others trust.
    pub chain: Arc<[Box<[u8]>]>,
    /// The private key of the first one.
    pub key: PrivateKey,
    /// DNS names of the certificate in lower case, wildcards included: for which clients it is chosen.
    pub names: Arc<[Box<str>]>,
}

/// A private key in DER. Its `Debug` is `***`: a plan may be printed, its secrets may not.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey {
    /// What the DER says.
    pub format: KeyFormat,
    der: Arc<[u8]>,
}

/// How a private key is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFormat {
    /// PKCS #1, RSA keys only (RFC 8017).
    Pkcs1,
    /// SEC 1, EC keys only (RFC 5915).
    Sec1,
    /// PKCS #8 (RFC 5958).
    Pkcs8,
}

impl PrivateKey {
    /// A key whose DER is of that format.
    pub fn new(format: KeyFormat, der: &[u8]) -> PrivateKey {
        PrivateKey { format, der: der.into() }
    }

    /// The key itself, for the one who needs it.
    pub fn expose(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A version of TLS. Older ones are not spoken at all (RFC 8996).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V12,
    /// TLS 1.3 (RFC 8446).
    V13,
}
