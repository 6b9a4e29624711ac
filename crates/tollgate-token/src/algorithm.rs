//! The signature algorithms there are, and a set of them: what the configuration allows.
//!
//! The set always comes from the configuration. Nothing here reads a token.

use std::fmt;
use std::str::FromStr;

/// A JWS algorithm (RFC 7518 §3.1, RFC 8037 §3.1). `none` is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256, salt as long as the hash.
    PS256,
    /// RSASSA-PSS with SHA-384, salt as long as the hash.
    PS384,
    /// RSASSA-PSS with SHA-512, salt as long as the hash.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// ECDSA on P-521 with SHA-512.
    ES512,
    /// Ed25519; Ed448 is not supported.
    EdDSA,
    /// HMAC with SHA-256.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
}

impl Algorithm {
    /// Every algorithm, in the order of RFC 7518 with EdDSA before the secrets.
    pub const ALL: [Self; 13] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::EdDSA,
        Self::HS256,
        Self::HS384,
        Self::HS512,
    ];

    /// The name in `alg`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
        }
    }

    /// Whether the key is a secret that both sides know.
    pub fn is_hmac(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }

    /// Length of the hash below it; of EdDSA's too, though it needs no name for it.
    pub(crate) fn hash_bytes(self) -> usize {
        match self {
            Self::RS256 | Self::PS256 | Self::ES256 | Self::HS256 => 32,
            Self::RS384 | Self::PS384 | Self::ES384 | Self::HS384 => 48,
            Self::RS512 | Self::PS512 | Self::ES512 | Self::EdDSA | Self::HS512 => 64,
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Exact case: `rs256` is no algorithm.
impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name).ok_or(UnknownAlgorithm)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that no supported algorithm has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAlgorithm;

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a supported signature algorithm")
    }
}

impl std::error::Error for UnknownAlgorithm {}

/// A set of algorithms.
#[derive(Clone, Copy, Default)]
pub struct Algorithms {
    bits: u16,
    /// What it was made of first; two sets with the same members are the same all the same.
    first: Option<Algorithm>,
}

impl Algorithms {
    /// The set without a member: nothing verifies.
    pub const NONE: Self = Self { bits: 0, first: None };

    /// Whether the set holds it.
    pub fn contains(self, algorithm: Algorithm) -> bool {
        self.bits & algorithm.bit() != 0
    }

    /// Whether the set holds nothing.
    pub fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// Whether an HS* is in the set.
    pub fn has_hmac(self) -> bool {
        self.iter().any(Algorithm::is_hmac)
    }

    /// The one that it was made of first.
    pub fn first(self) -> Option<Algorithm> {
        self.first
    }

    /// The members, in the order of [`Algorithm::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.into_iter().filter(move |algorithm| self.contains(*algorithm))
    }
}

impl FromIterator<Algorithm> for Algorithms {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(members: I) -> Self {
        members.into_iter().fold(Self::NONE, |set, algorithm| Self {
            bits: set.bits | algorithm.bit(),
            first: set.first.or(Some(algorithm)),
        })
    }
}

impl From<Algorithm> for Algorithms {
    fn from(only: Algorithm) -> Self {
        Self { bits: only.bit(), first: Some(only) }
    }
}

impl PartialEq for Algorithms {
    fn eq(&self, other: &Self) -> bool {
        self.bits == other.bits
    }
}

impl Eq for Algorithms {}

impl fmt::Debug for Algorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact_and_none_is_none_of_them() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
            assert_eq!(algorithm.as_str().to_lowercase().parse::<Algorithm>(), Err(UnknownAlgorithm));
        }
        for name in ["", "none", "None", "NONE", "nOnE", " RS256", "RS256 ", "RS1", "HS1", "ES256K", "EDDSA"]
        {
            assert_eq!(name.parse::<Algorithm>(), Err(UnknownAlgorithm), "{name:?}");
        }
    }

    #[test]
    fn a_set_holds_what_it_was_made_of() {
        let set: Algorithms = [Algorithm::ES256, Algorithm::RS256, Algorithm::ES256].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Algorithm::RS256, Algorithm::ES256]);
        let turned: Algorithms = [Algorithm::RS256, Algorithm::ES256].into_iter().collect();
        assert_eq!((set.first(), turned.first()), (Some(Algorithm::ES256), Some(Algorithm::RS256)));
        assert!(set == turned, "the order makes no difference but for who signs");
        assert!(!set.has_hmac() && !set.is_empty() && Algorithms::NONE.is_empty());
        assert!(Algorithms::from(Algorithm::HS512).has_hmac());
    }
}
