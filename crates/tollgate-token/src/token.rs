//! A signed token in its compact form (RFC 7515 §3.1, RFC 7519): taken apart, then verified.

use std::rc::Rc;

use crate::algorithm::{Algorithm, Algorithms};
use crate::base64url;
use crate::claims::Claims;
use crate::document::Json;
use crate::error::TokenError;
use crate::expect::Expectations;
use crate::header::{Header, Headers};
use crate::json;
use crate::keyset::KeySet;
use crate::standing;

/// Longest token, in bytes. A request head is not longer anyway by default.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// A token taken apart. Nothing in it is to be believed yet.
pub struct Token<'a> {
    signed: &'a [u8],
    /// The header as it stands there, and what it says.
    header_text: &'a [u8],
    header: Rc<Header>,
    /// Payload and signature, one after the other.
    decoded: Vec<u8>,
    payload_len: usize,
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
        Self::parse_known(token, &Headers::default())
    }

    /// The same, for whoever has met most headers before: a known one is not read again.
    pub fn parse_known(token: &'a [u8], known: &Headers) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed("the token is too long"));
        }
        let [header_text, payload, signature] = split(token)?;
        let signed = token.get(..header_text.len() + 1 + payload.len()).unwrap_or_default();
        let mut decoded = Vec::with_capacity(token.len());
        let header = match known.get(header_text) {
            Some(header) => header,
            None => Rc::new(read_header(header_text, &mut decoded)?),
        };
        decoded.clear();
        base64url::decode_into(payload, &mut decoded).ok_or(NOT_BASE64URL)?;
        let payload_len = decoded.len();
        base64url::decode_into(signature, &mut decoded).ok_or(NOT_BASE64URL)?;
        Ok(Self { signed, header_text, header, decoded, payload_len })
    }

    /// The whole check, in this order: algorithm, refused header members, `typ`, key, signature, claims.
    pub fn verify(
        &self,
        keys: &KeySet,
        expect: &Expectations,
        now_unix_s: i64,
    ) -> Result<Claims, TokenError> {
        let algorithm = self.header.algorithm(expect.algorithms)?;
        if let Some(typ) = &expect.typ {
            self.header.check_typ(typ)?;
        }
        self.check_signature(keys, algorithm)?;
        standing::accept(self.payload(), expect, now_unix_s)
    }

    /// What the token would say if its signature were good: the rest of the check, for those who explain what would become
    /// of it and have no keys. Nobody may be let in by it.
    pub fn assume_signed(&self, expect: &Expectations, now_unix_s: i64) -> Result<Claims, TokenError> {
        self.header.algorithm(expect.algorithms)?;
        if let Some(typ) = &expect.typ {
            self.header.check_typ(typ)?;
        }
        standing::accept(self.payload(), expect, now_unix_s)
    }

    /// What is signed, once a key of the set made the signature: RFC 7515 alone, whatever the payload is.
    pub fn verify_signature(&self, keys: &KeySet, allowed: Algorithms) -> Result<&[u8], TokenError> {
        let algorithm = self.header.algorithm(allowed)?;
        self.check_signature(keys, algorithm)?;
        Ok(self.payload())
    }

    /// Remembers the header for the tokens to come. For whoever has verified this one.
    pub fn remember_header(&self, known: &mut Headers) {
        known.put(self.header_text, &self.header);
    }

    /// `iss` as the token says; none where it says none. Good for one thing: choosing among a route's issuers whose
    /// keys to try. Then the claim is checked like all others.
    pub fn unverified_issuer(&self) -> Result<Option<String>, TokenError> {
        let claims = json::object(self.payload()).ok_or(standing::NOT_CLAIMS)?;
        Ok(claims.object().get("iss").and_then(Json::as_str).map(str::to_owned))
    }

    /// `kid` as the token says. A name to look up among an issuer's keys, and nothing else.
    pub fn key_id(&self) -> Option<&str> {
        self.header.key_id()
    }

    fn payload(&self) -> &[u8] {
        self.decoded.get(..self.payload_len).unwrap_or_default()
    }

    fn check_signature(&self, keys: &KeySet, algorithm: Algorithm) -> Result<(), TokenError> {
        let signature = self.decoded.get(self.payload_len..).unwrap_or_default();
        if signature.is_empty() {
            return Err(TokenError::Malformed("the token has no signature"));
        }
        keys.verify(self.key_id(), algorithm, self.signed, signature)
    }
}

/// Its length, and nothing of what is in it.
impl std::fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("bytes", &self.signed.len()).finish_non_exhaustive()
    }
}

const NOT_THREE: TokenError = TokenError::Malformed("the token is not three parts with dots between");
const NOT_BASE64URL: TokenError = TokenError::Malformed("the token is not canonical base64url");

fn read_header(text: &[u8], decoded: &mut Vec<u8>) -> Result<Header, TokenError> {
    base64url::decode_into(text, decoded).ok_or(NOT_BASE64URL)?;
    let members = json::object(decoded)
        .ok_or(TokenError::Malformed("the token's header is not a proper JSON object"))?;
    Header::read(members.object())
}

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
