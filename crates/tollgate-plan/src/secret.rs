//! Text that may be used but never shown, and the headers that carry it.

use std::fmt;
use std::sync::Arc;

/// Headers whose whole value is a credential, or leads to one, in lower case: no log holds them, and no configuration
/// makes a log hold them.
pub const CREDENTIAL_HEADERS: [&str; 15] = [
    "authorization",
    "proxy-authorization",
    "www-authenticate",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api-key",
    "apikey",
    "x-auth-token",
    "x-access-token",
    "x-csrf-token",
    "x-amz-security-token",
    "x-goog-api-key",
    "x-goog-iap-jwt-assertion",
    "x-vault-token",
];

/// A password, a client secret, a literal credential. Its `Debug` is `***`: a plan may be printed, its secrets may not.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Arc<str>);

impl Secret {
    /// The text itself, for the one who needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
