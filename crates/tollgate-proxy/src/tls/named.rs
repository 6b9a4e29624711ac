//! Certificates that are trusted because the configuration names them, not because an authority vouches for them.
//!
//! Somebody with a certificate that signed itself (`openssl req -x509`, which marks it as an authority's) is trusted by
//! naming that one, and webpki refuses an authority's certificate as anybody's own. Nobody comes in who could not
//! before: who has the key of a certificate that is named may also sign others with it, with whatever name.

use rustls::pki_types::{CertificateDer, UnixTime};
use tollgate_plan::tls::Roots;
use tollgate_token::certificate::Certificate;

/// Whether `certificate` is one of `roots`, byte for byte, and in its time. That its owner is there, and for whom it is,
/// is not looked at.
pub(super) fn is_named(roots: &Roots, certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
    let known = roots.iter().any(|own| **own == **certificate);
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    known && Certificate::parse(certificate).is_some_and(|said| said.is_valid_at(now))
}
