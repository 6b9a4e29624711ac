//! One verification key, parsed once for each algorithm that it may be used with.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};

use crate::algorithm::{Algorithm, Algorithms};
use crate::roca;

/// Shortest RSA modulus that counts, in bits (RFC 7518 §3.3).
pub const MIN_RSA_BITS: usize = 2048;
/// Longest RSA modulus that counts, in bits: checking costs with its square.
pub const MAX_RSA_BITS: usize = 8192;
/// Shortest secret for HS*, in bytes.
pub const MIN_SECRET_BYTES: usize = 32;

/// A key that verifies signatures.
#[derive(Clone)]
pub struct Key {
    id: Option<Box<str>>,
    uses: Box<[(Algorithm, Verifier)]>,
}

#[derive(Clone)]
enum Verifier {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

/// What a key consists of, as bytes from a JWK or a PEM file. Numbers are big-endian.
pub(crate) enum Material {
    /// Modulus and public exponent.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// A point in SEC 1 form.
    Ec { curve: Curve, point: Vec<u8> },
    /// An Ed25519 public key.
    Ed25519(Vec<u8>),
    /// A secret.
    Secret(Vec<u8>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

/// Why a key is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Not a JWK at all, or a member that its type needs is missing or of the wrong form.
    Malformed(&'static str),
    /// A `kty` that is not supported.
    Type,
    /// A `crv` that is not supported.
    Curve,
    /// An `alg` that is not supported, or that is of another type of key.
    Algorithm,
    /// `use` or `key_ops` says that it does not verify signatures.
    Purpose,
    /// An RSA modulus under [`MIN_RSA_BITS`] or over [`MAX_RSA_BITS`].
    RsaSize,
    /// A secret under [`MIN_SECRET_BYTES`].
    SecretSize,
    /// The numbers are no key: a point off the curve, an even modulus.
    Invalid,
    /// An RSA key of a generator whose keys can be factored (ROCA, CVE-2017-15361).
    WeakRsa,
    /// Fine, but no algorithm that the configuration names can use it.
    NotConfigured,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => f.write_str(why),
            Self::Type => f.write_str("a key type that is not supported"),
            Self::Curve => f.write_str("a curve that is not supported"),
            Self::Algorithm => f.write_str("`alg` is not supported, or does not fit the type of the key"),
            Self::Purpose => f.write_str("not for verifying signatures, says `use` or `key_ops`"),
            Self::RsaSize => write!(f, "an RSA key outside of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits"),
            Self::SecretSize => write!(f, "a secret shorter than {MIN_SECRET_BYTES} bytes"),
            Self::Invalid => f.write_str("its numbers are not a key"),
            Self::WeakRsa => f.write_str("an RSA key of a generator whose keys can be factored (ROCA)"),
            Self::NotConfigured => f.write_str("none of the configured algorithms can use it"),
        }
    }
}

impl std::error::Error for Unusable {}

impl Key {
    /// Parses the key for those of `algorithms` that its type fits.
    pub(crate) fn new(
        id: Option<Box<str>>,
        material: &Material,
        algorithms: Algorithms,
    ) -> Result<Self, Unusable> {
        material.check()?;
        let fitting = algorithms.iter().filter(|algorithm| material.fits(*algorithm));
        let uses: Box<[_]> = fitting
            .map(|algorithm| Ok((algorithm, material.verifier(algorithm)?)))
            .collect::<Result<_, Unusable>>()?;
        if uses.is_empty() { Err(Unusable::NotConfigured) } else { Ok(Self { id, uses }) }
    }

    /// `kid`.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The configured algorithms that may be used with it.
    pub fn algorithms(&self) -> Algorithms {
        self.uses.iter().map(|(algorithm, _)| *algorithm).collect()
    }

    /// The signature of a secret over these bytes. `None`: no secret for this algorithm.
    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        self.uses.iter().find(|(own, _)| *own == algorithm).and_then(|(_, verifier)| match verifier {
            Verifier::Public(_) => None,
            Verifier::Secret(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
        })
    }

    /// Whether the signature over these exact bytes is this key's by this algorithm. `None`: not a key for it.
    pub(crate) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Option<bool> {
        let (_, verifier) = self.uses.iter().find(|(own, _)| *own == algorithm)?;
        Some(match verifier {
            Verifier::Public(key) => key.verify_sig(message, signature).is_ok(),
            Verifier::Secret(key) => hmac::verify(key, message, signature).is_ok(),
        })
    }
}

/// Only the name and what it is for: secrets among keys are secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("algorithms", &self.algorithms()).finish()
    }
}

impl Material {
    /// Whether the type of the key is the type that the algorithm needs.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::*;
        match self {
            Self::Rsa { .. } => matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
            Self::Ec { curve, .. } => curve.algorithm() == algorithm,
            Self::Ed25519(_) => algorithm == EdDSA,
            Self::Secret(_) => algorithm.is_hmac(),
        }
    }

    /// Sizes, and what the library would notice only when a signature comes.
    fn check(&self) -> Result<(), Unusable> {
        match self {
            Self::Rsa { n, e } => {
                let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
                if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
                    return Err(Unusable::RsaSize);
                }
                let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
                // 33 bits is what the library takes; 1 would make every signature its own message.
                let exponent = e.iter().fold(0u64, |value, byte| value.wrapping_shl(8) | u64::from(*byte));
                let small = e.len() <= 5 && (3..1 << 33).contains(&exponent);
                if !(odd(n) && odd(e) && small) {
                    return Err(Unusable::Invalid);
                }
                if roca::suspect(n) { Err(Unusable::WeakRsa) } else { Ok(()) }
            }
            Self::Secret(secret) if secret.len() < MIN_SECRET_BYTES => Err(Unusable::SecretSize),
            Self::Ec { .. } | Self::Ed25519(_) | Self::Secret(_) => Ok(()),
        }
    }

    fn verifier(&self, algorithm: Algorithm) -> Result<Verifier, Unusable> {
        let public = match (self, public_parameters(algorithm)) {
            (Self::Secret(secret), Parameters::Hmac(hash)) => {
                return Ok(Verifier::Secret(Box::new(hmac::Key::new(hash, secret))));
            }
            (Self::Rsa { n, e }, Parameters::Rsa(parameters)) => {
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters)
            }
            (Self::Ec { point: bytes, .. } | Self::Ed25519(bytes), Parameters::Other(parameters)) => {
                ParsedPublicKey::new(parameters, bytes)
            }
            _ => return Err(Unusable::Algorithm),
        };
        public.map(Verifier::Public).map_err(|_| Unusable::Invalid)
    }
}

impl Curve {
    /// The one algorithm for this curve (RFC 7518 §3.4).
    pub(crate) fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::ES256,
            Self::P384 => Algorithm::ES384,
            Self::P521 => Algorithm::ES512,
        }
    }

    /// Length of a coordinate.
    pub(crate) fn field_bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// `crv` (RFC 7518 §6.2.1.1).
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }
}

enum Parameters {
    Rsa(&'static RsaParameters),
    Other(&'static dyn VerificationAlgorithm),
    Hmac(hmac::Algorithm),
}

fn public_parameters(algorithm: Algorithm) -> Parameters {
    match algorithm {
        Algorithm::RS256 => Parameters::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Parameters::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Parameters::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Parameters::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Parameters::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Parameters::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => Parameters::Other(&signature::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Parameters::Other(&signature::ECDSA_P384_SHA384_FIXED),
        Algorithm::ES512 => Parameters::Other(&signature::ECDSA_P521_SHA512_FIXED),
        Algorithm::EdDSA => Parameters::Other(&signature::ED25519),
        Algorithm::HS256 => Parameters::Hmac(hmac::HMAC_SHA256),
        Algorithm::HS384 => Parameters::Hmac(hmac::HMAC_SHA384),
        Algorithm::HS512 => Parameters::Hmac(hmac::HMAC_SHA512),
    }
}
