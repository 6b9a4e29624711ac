//! The header of a token (RFC 7515 §4), read once: an issuer's tokens differ in what they claim, hardly ever in this.

use std::rc::Rc;

use crate::algorithm::{Algorithm, Algorithms};
use crate::document::{Json, Object};
use crate::error::TokenError;

/// Headers that are remembered: the keys of a few issuers, old and new ones.
const MAX_HEADERS: usize = 8;
/// Longest header that is remembered, in bytes of base64url. Usual ones have less than 150.
const MAX_REMEMBERED_BYTES: usize = 512;

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

/// What a header says, as far as anybody here listens.
pub(crate) struct Header {
    algorithm: Result<Algorithm, TokenError>,
    /// Why no token with this header is accepted.
    refused: Option<&'static str>,
    key_id: Option<Box<str>>,
    typ: Option<Box<str>>,
}

impl Header {
    /// Fails only where no part of the token means anything.
    pub(crate) fn read(members: Object<'_>) -> Result<Self, TokenError> {
        let key_id = match members.get("kid") {
            None => None,
            Some(Json::String(id)) => Some(id.into()),
            Some(_) => return Err(TokenError::Malformed("the token's key id is not a string")),
        };
        let algorithm = match members.get("alg") {
            Some(Json::String(name)) => name.parse().map_err(|_| TokenError::Algorithm),
            _ => Err(TokenError::Malformed("the token names no signature algorithm")),
        };
        let refused = REFUSED.iter().find(|(name, _)| members.get(name).is_some()).map(|(_, why)| *why);
        let typ = members.get("typ").and_then(Json::as_str).map(Box::from);
        Ok(Self { algorithm, refused, key_id, typ })
    }

    /// The algorithm, if it is an allowed one and nothing else stands against the token.
    pub(crate) fn algorithm(&self, allowed: Algorithms) -> Result<Algorithm, TokenError> {
        let algorithm = self.algorithm?;
        if !allowed.contains(algorithm) {
            return Err(TokenError::Algorithm);
        }
        self.refused.map_or(Ok(algorithm), |why| Err(TokenError::Malformed(why)))
    }

    /// `kid`.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Whether `typ` is the expected media type.
    pub(crate) fn check_typ(&self, expected: &str) -> Result<(), TokenError> {
        if self.typ.as_deref().is_some_and(|typ| media_type(typ).eq_ignore_ascii_case(media_type(expected))) {
            return Ok(());
        }
        Err(TokenError::Malformed("the token is of another type"))
    }
}

/// A media type without the `application/` that may be left out when no other `/` follows (RFC 7515 §4.1.9).
fn media_type(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    match typ.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) && !rest.contains('/') => rest,
        _ => typ,
    }
}

/// Headers of good tokens, recognised by their very text. One worker's: neither `Send` nor shared.
///
/// What a header says follows from its text alone, so nothing here ever gets out of date.
#[derive(Default)]
pub struct Headers {
    entries: Vec<(Box<[u8]>, Rc<Header>)>,
    /// The next one to be replaced.
    next: usize,
}

impl Headers {
    /// What a header of this text says, if it is known.
    pub(crate) fn get(&self, text: &[u8]) -> Option<Rc<Header>> {
        self.entries.iter().find(|(known, _)| **known == *text).map(|(_, header)| Rc::clone(header))
    }

    /// Remembers a header. Only of a token that an issuer signed: else strangers would push out the good ones.
    pub(crate) fn put(&mut self, text: &[u8], header: &Rc<Header>) {
        if text.len() > MAX_REMEMBERED_BYTES || self.get(text).is_some() {
            return;
        }
        let entry = (text.into(), Rc::clone(header));
        match self.entries.get_mut(self.next) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
        self.next = (self.next + 1) % MAX_HEADERS;
    }
}

/// A count only: headers are parts of credentials.
impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Headers").field("len", &self.entries.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Rc<Header> {
        Rc::new(Header::read(crate::json::object(text.as_bytes()).unwrap().object()).unwrap())
    }

    /// Only the very text is known again, what is known is bounded, and the newest are kept.
    #[test]
    fn what_is_remembered() {
        let mut known = Headers::default();
        let texts: Vec<String> = (0..3 * MAX_HEADERS).map(|number| format!("header-{number:02}")).collect();
        for (number, text) in texts.iter().enumerate() {
            let read = header(&format!(r#"{{"alg":"RS256","kid":"{number}"}}"#));
            known.put(text.as_bytes(), &read);
            known.put(text.as_bytes(), &header("{}"));
            let found = known.get(text.as_bytes()).unwrap();
            assert_eq!(found.key_id(), Some(&*number.to_string()), "the first reading stays");
        }
        assert_eq!(known.entries.len(), MAX_HEADERS);
        let kept: Vec<bool> = texts.iter().map(|text| known.get(text.as_bytes()).is_some()).collect();
        assert_eq!(kept.iter().rposition(|kept| !kept), Some(2 * MAX_HEADERS - 1));
        assert!(
            known.get(b"header-2").is_none()
                && known.get(b"header-233").is_none()
                && known.get(b"").is_none()
        );
        known.put(&[b'x'; MAX_REMEMBERED_BYTES + 1], &header("{}"));
        assert!(known.get(&[b'x'; MAX_REMEMBERED_BYTES + 1]).is_none(), "too long to be kept");
        assert!(!format!("{known:?}").contains("header-"));
    }
}
