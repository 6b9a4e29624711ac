//! Why a token is not accepted: one variant for each reason that a client is told.

use std::fmt;

/// Why a token is refused. Each is the token's fault, and each is a 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Not a token that anybody could check; the text says why and never quotes the token.
    Malformed(&'static str),
    /// Signed with an algorithm that the configuration does not name.
    Algorithm,
    /// The signature is not the key's.
    Signature,
    /// No key fits: neither by `kid` nor by type and `alg`. A newer key set may know it.
    KeyUnknown,
    /// `exp` is past, the leeway included.
    Expired,
    /// `nbf` is to come, the leeway included.
    NotYetValid,
    /// `iss` is another, or missing.
    Issuer,
    /// `aud` names none of ours, or is missing.
    Audience,
    /// The authorization server says that the token is not active (RFC 7662 §2.2).
    Inactive,
}

impl TokenError {
    /// Text for `error_description` (RFC 6750 §3): printable ASCII without `"` and `\`, and nothing that the
    /// token said.
    pub fn description(self) -> &'static str {
        match self {
            Self::Malformed(why) => why,
            Self::Algorithm => "the signature algorithm is not allowed",
            Self::Signature => "the signature does not verify",
            Self::KeyUnknown => "the signing key is not known",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::Issuer => "the token is of another issuer",
            Self::Audience => "the token is for another audience",
            Self::Inactive => "the token is not active",
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description())
    }
}

impl std::error::Error for TokenError {}
