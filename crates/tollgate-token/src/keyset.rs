//! The keys of one issuer: from a JWK set, a PEM file or a secret.

use std::fmt;

use crate::algorithm::{Algorithm, Algorithms};
use crate::document::Json;
use crate::error::TokenError;
use crate::json;
use crate::jwk;
use crate::key::{Key, Material, Unusable};
use crate::pem::{self, PemError};

/// Most keys of a set.
pub const MAX_KEYS: usize = 100;
/// Longest JWK set or PEM file, in bytes.
pub const MAX_KEY_TEXT_BYTES: usize = 1024 * 1024;
/// Most keys that are tried for one token: each try is a signature check that a stranger asks for.
pub const MAX_TRIES: usize = 4;

/// The keys of one issuer, in the order in which they stood.
#[derive(Clone)]
pub struct KeySet {
    keys: Box<[Key]>,
    naming: Naming,
}

/// Whether keys have names that a token can choose by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// A JWK set: a token's `kid` chooses.
    ById,
    /// A file or a secret: its keys have no names, so a token's `kid` says nothing here.
    Unnamed,
}

/// A key of a set that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its place in `keys`, from 0.
    pub index: usize,
    /// Its `kid`, when it has one.
    pub id: Option<Box<str>>,
    /// Why.
    pub why: Unusable,
}

/// Why a text is not a JWK set. The keys that were in use stay in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwksError {
    /// Over [`MAX_KEY_TEXT_BYTES`].
    TooLong,
    /// Not JSON, a member twice, or nested too deep.
    NotJson,
    /// No list `keys`.
    NoKeys,
    /// Over [`MAX_KEYS`].
    TooManyKeys,
}

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "longer than {MAX_KEY_TEXT_BYTES} bytes"),
            Self::NotJson => f.write_str("not a JSON object, or one with a member twice"),
            Self::NoKeys => f.write_str("no list `keys`"),
            Self::TooManyKeys => write!(f, "more than {MAX_KEYS} keys"),
        }
    }
}

impl std::error::Error for JwksError {}

/// Why a secret cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// Under [`crate::MIN_SECRET_BYTES`].
    TooShort,
    /// No HS* among the algorithms.
    NoHmac,
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => Unusable::SecretSize.fmt(f),
            Self::NoHmac => f.write_str("a secret is for HS256, HS384 and HS512, and none of them is named"),
        }
    }
}

impl std::error::Error for SecretError {}

impl KeySet {
    /// Reads a JWK set (RFC 7517 §5). Keys that cannot be used are left out, each with the reason; a set without a
    /// key that can be used is a set all the same.
    pub fn from_jwks(text: &[u8], allowed: Algorithms) -> Result<(Self, Vec<Skipped>), JwksError> {
        if text.len() > MAX_KEY_TEXT_BYTES {
            return Err(JwksError::TooLong);
        }
        let set = json::object(text).ok_or(JwksError::NotJson)?;
        let entries = set.object().get("keys").and_then(Json::as_list).ok_or(JwksError::NoKeys)?;
        if entries.iter().count() > MAX_KEYS {
            return Err(JwksError::TooManyKeys);
        }
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for (index, entry) in entries.iter().enumerate() {
            let members = entry.as_object();
            match jwk::key(members, allowed) {
                Ok(key) => keys.push(key),
                Err(why) => {
                    let id = members.and_then(|members| members.get("kid")?.as_str()).map(Box::from);
                    skipped.push(Skipped { index, id, why });
                }
            }
        }
        Ok((Self { keys: keys.into(), naming: Naming::ById }, skipped))
    }

    /// Reads PEM blocks: `PUBLIC KEY`, `RSA PUBLIC KEY`, `CERTIFICATE` (its key only: dates and signature of a
    /// certificate are not looked at). Each must be usable.
    pub fn from_pem(text: &[u8], allowed: Algorithms) -> Result<Self, PemError> {
        let keys = pem::keys(text)?.into_iter().map(|material| Key::new(None, &material, allowed));
        let keys = keys.collect::<Result<_, _>>().map_err(PemError::Unusable)?;
        Ok(Self { keys, naming: Naming::Unnamed })
    }

    /// One secret, for HS*.
    pub fn from_secret(secret: &[u8], allowed: Algorithms) -> Result<Self, SecretError> {
        match Key::new(None, &Material::Secret(secret.to_vec()), allowed) {
            Ok(key) => Ok(Self { keys: [key].into(), naming: Naming::Unnamed }),
            Err(Unusable::SecretSize) => Err(SecretError::TooShort),
            Err(_) => Err(SecretError::NoHmac),
        }
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none can.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The names of the keys that have one.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(Key::id)
    }

    /// The keys.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Whether one of the keys that fit made the signature over these exact bytes.
    pub(crate) fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), TokenError> {
        let named = |key: &&Key| id.is_none() || self.naming == Naming::Unnamed || key.id() == id;
        let mut verdicts = self
            .keys
            .iter()
            .filter(named)
            .filter_map(|key| key.verify(algorithm, message, signature))
            .take(MAX_TRIES)
            .peekable();
        if verdicts.peek().is_none() {
            return Err(TokenError::KeyUnknown);
        }
        if verdicts.any(|good| good) { Ok(()) } else { Err(TokenError::Signature) }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.keys).finish()
    }
}
