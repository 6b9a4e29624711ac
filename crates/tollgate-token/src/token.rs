//! A signed token in its compact form (RFC 7515 §3.1, RFC 7519): taken apart, then verified.

use serde_json::{Map, Value};

use crate::algorithm::{Algorithm, Algorithms};
use crate::base64url;
use crate::claims::Claims;
use crate::error::TokenError;
use crate::expect::Expectations;
use crate::json;
use crate::keyset::KeySet;
use crate::standing;

/// Longest token, in bytes. A request head is not longer anyway by default.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Header members that would let the token choose its key, change what is signed, or ask for what nobody here
/// understands. `crit` says that an extension must be understood (RFC 7515 §4.1.11), and no extension is.
const REFUSED: [(&str, &str); 7] = [
    ("crit", "the token demands an extension that is not supported"),
    ("b64", "the token demands an extension that is not supported"),
    ("zip", "the token is compressed"),
    ("jwk", "the token brings its own key"),
    ("jku", "the token brings its own key"),
    ("x5u", "the token brings its own key"),
    ("x5c", "the token brings its own key"),
];

/// A token taken apart. Nothing in it is to be believed yet.
pub struct Token<'a> {
    signed: &'a [u8],
    /// Payload and signature, one after the other.
    decoded: Vec<u8>,
    payload_len: usize,
    header: Map<String, Value>,
}

/// Takes apart, checks the signature, then the claims. `now_unix_s`: seconds since 1970.
pub fn verify(
    token: impl AsRef<[u8]>,
    keys: &KeySet,
    expect: &Expectations,
    now_unix_s: i64,
) -> Result<Claims, TokenError> {
    Token::parse(token.as_ref())?.verify(keys, expect, now_unix_s)
}

impl<'a> Token<'a> {
    /// Takes a token apart: three parts in canonical base64url, the first a JSON object without a member twice.
    /// Costs no cryptography.
    pub fn parse(token: &'a [u8]) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed("the token is too long"));
        }
        let [header, payload, signature] = split(token)?;
        let signed = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        let mut decoded = Vec::with_capacity(token.len());
        base64url::decode_into(header, &mut decoded).ok_or(NOT_BASE64URL)?;
        let header = json::object(&decoded)
            .ok_or(TokenError::Malformed("the token's header is not a proper JSON object"))?;
        if header.get("kid").is_some_and(|id| !id.is_string()) {
            return Err(TokenError::Malformed("the token's key id is not a string"));
        }
        decoded.clear();
        base64url::decode_into(payload, &mut decoded).ok_or(NOT_BASE64URL)?;
        let payload_len = decoded.len();
        base64url::decode_into(signature, &mut decoded).ok_or(NOT_BASE64URL)?;
        Ok(Self { signed, decoded, payload_len, header })
    }

    /// The whole check, in this order: algorithm, refused header members, `typ`, key, signature, claims.
    pub fn verify(
        &self,
        keys: &KeySet,
        expect: &Expectations,
        now_unix_s: i64,
    ) -> Result<Claims, TokenError> {
        let algorithm = self.algorithm(expect.algorithms)?;
        if let Some(typ) = &expect.typ {
            self.check_typ(typ)?;
        }
        self.check_signature(keys, algorithm)?;
        standing::accept(self.payload(), expect, now_unix_s)
    }

    /// What is signed, once a key of the set made the signature: RFC 7515 alone, whatever the payload is.
    pub fn verify_signature(&self, keys: &KeySet, allowed: Algorithms) -> Result<&[u8], TokenError> {
        let algorithm = self.algorithm(allowed)?;
        self.check_signature(keys, algorithm)?;
        Ok(self.payload())
    }

    /// `iss` as the token says; none where it says none. Good for one thing: choosing among a route's issuers whose
    /// keys to try. Then the claim is checked like all others.
    pub fn unverified_issuer(&self) -> Result<Option<String>, TokenError> {
        let mut claims = json::object(self.payload()).ok_or(standing::NOT_CLAIMS)?;
        Ok(claims.remove("iss").and_then(|issuer| match issuer {
            Value::String(issuer) => Some(issuer),
            _ => None,
        }))
    }

    /// `kid` as the token says. A name to look up among an issuer's keys, and nothing else.
    pub fn key_id(&self) -> Option<&str> {
        self.header.get("kid")?.as_str()
    }

    fn payload(&self) -> &[u8] {
        self.decoded.get(..self.payload_len).unwrap_or_default()
    }

    fn algorithm(&self, allowed: Algorithms) -> Result<Algorithm, TokenError> {
        let name = match self.header.get("alg") {
            Some(Value::String(name)) => name,
            _ => return Err(TokenError::Malformed("the token names no signature algorithm")),
        };
        let algorithm = name.parse().map_err(|_| TokenError::Algorithm)?;
        if !allowed.contains(algorithm) {
            return Err(TokenError::Algorithm);
        }
        match REFUSED.iter().find(|(name, _)| self.header.contains_key(*name)) {
            Some((_, why)) => Err(TokenError::Malformed(why)),
            None => Ok(algorithm),
        }
    }

    fn check_signature(&self, keys: &KeySet, algorithm: Algorithm) -> Result<(), TokenError> {
        let signature = self.decoded.get(self.payload_len..).unwrap_or_default();
        if signature.is_empty() {
            return Err(TokenError::Malformed("the token has no signature"));
        }
        keys.verify(self.key_id(), algorithm, self.signed, signature)
    }

    fn check_typ(&self, expected: &str) -> Result<(), TokenError> {
        let typ = self.header.get("typ").and_then(Value::as_str);
        if typ.is_some_and(|typ| media_type(typ).eq_ignore_ascii_case(media_type(expected))) {
            return Ok(());
        }
        Err(TokenError::Malformed("the token is of another type"))
    }
}

/// Header member names, and nothing of what is signed.
impl std::fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("bytes", &self.signed.len()).finish_non_exhaustive()
    }
}

const NOT_THREE: TokenError = TokenError::Malformed("the token is not three parts with dots between");
const NOT_BASE64URL: TokenError = TokenError::Malformed("the token is not canonical base64url");

/// Header, payload, signature. The signature may be empty here, so that `alg: none` is told from a stump.
fn split(token: &[u8]) -> Result<[&[u8]; 3], TokenError> {
    let mut dots = memchr::memchr_iter(b'.', token);
    let (first, second, third) = (dots.next(), dots.next(), dots.next());
    let (Some(first), Some(second), None) = (first, second, third) else { return Err(NOT_THREE) };
    let part = |from: usize, to: usize| token.get(from..to).unwrap_or_default();
    let (header, payload) = (part(0, first), part(first + 1, second));
    if header.is_empty() || payload.is_empty() {
        return Err(NOT_THREE);
    }
    Ok([header, payload, part(second + 1, token.len())])
}

/// A media type without the `application/` that may be left out when no other `/` follows (RFC 7515 §4.1.9).
fn media_type(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    match typ.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) && !rest.contains('/') => rest,
        _ => typ,
    }
}
