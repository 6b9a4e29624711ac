//! What holds for any bytes at all, wherever this crate takes bytes. Used by the fuzz target, and by the tests here on
//! its seeds and on mutations of them.

#![allow(dead_code, reason = "each fuzz target uses its part")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tollgate_token::mint::Signer;
use tollgate_token::{
    Algorithm, Algorithms, Audience, Claims, Exp, Expectations, Headers, KeySet, MAX_KEYS, Token, TokenError,
    introspection, verify,
};

const NOW: i64 = 1_900_000_000;
/// Known to nobody who makes input: a token that verifies with it was signed here.
const SECRET: [u8; 32] = *b"a secret that nobody will guess.";
const GOOD_HEADER: &[u8] = br#"{"alg":"HS256"}"#;
const GOOD_CLAIMS: &[u8] = br#"{"exp":2000000000}"#;

/// The bytes as everything: a token, its header, its claims, a key set, a file of keys, an introspection answer.
pub(crate) fn any_bytes(bytes: &[u8]) {
    token(bytes);
    header(bytes);
    claims(bytes);
    keys(bytes);
}

fn expect() -> Expectations {
    Expectations {
        issuer: None,
        audience: Audience::Any,
        algorithms: Algorithm::ALL.into_iter().collect(),
        leeway_s: 30,
        exp: Exp::Optional,
        typ: None,
    }
}

fn check_signed(header: &[u8], payload: &[u8]) -> Result<Claims, TokenError> {
    let signer = Signer::from_secret(Algorithm::HS256, &SECRET).unwrap();
    let keys = KeySet::from_secret(&SECRET, Algorithm::HS256.into()).unwrap();
    verify(signer.sign_raw(header, payload).unwrap(), &keys, &expect(), NOW)
}

/// A token that is taken apart is the only text for its parts, and nobody forges its signature.
fn token(bytes: &[u8]) {
    let mut known = Headers::default();
    let Ok(token) = Token::parse(bytes) else { return };
    token.remember_header(&mut known);
    assert_eq!(Token::parse_known(bytes, &known).unwrap().key_id(), token.key_id());
    for part in bytes.split(|byte| *byte == b'.') {
        let again = URL_SAFE_NO_PAD.encode(URL_SAFE_NO_PAD.decode(part).unwrap());
        assert_eq!(again.as_bytes(), part);
    }
    let keys = KeySet::from_secret(&SECRET, Algorithm::HS256.into()).unwrap();
    assert!(token.verify(&keys, &expect(), NOW).is_err());
    let _ = (token.key_id(), token.unverified_issuer(), format!("{token:?}"));
}

/// Whatever a header says beside it, it said the algorithm.
fn header(bytes: &[u8]) {
    if check_signed(bytes, GOOD_CLAIMS).is_ok() {
        let header: Value = serde_json::from_slice(bytes).unwrap();
        assert_eq!(header["alg"], "HS256");
        for member in ["crit", "b64", "zip", "jwk", "jku", "x5u", "x5c"] {
            assert!(header.get(member).is_none(), "{member}");
        }
    }
}

/// Claims that are accepted are what any other reader reads, and hold now.
fn claims(bytes: &[u8]) {
    let signed = check_signed(GOOD_HEADER, bytes);
    if let Ok(claims) = &signed {
        let value: Value = serde_json::from_slice(bytes).unwrap();
        assert_eq!(claims.to_value(), value);
        for (name, member) in value.as_object().unwrap() {
            assert!(claims.object().get(name).is_some_and(|claim| claim == *member));
        }
        assert!(claims.exp().is_none_or(|exp| exp > NOW - 30));
        assert!(claims.size_bytes() >= value.as_object().unwrap().len());
        assert!(claims.scopes().all(|scope| !scope.is_empty() && !scope.contains(' ')));
    }
    // An answer of an introspection endpoint is the same, but for `active`.
    let answer = introspection::Answer::read(bytes);
    if let Some(Ok(claims)) = answer.ok().map(|answer| answer.claims(&expect(), NOW)) {
        assert_eq!(claims.to_value()["active"], true);
        assert_eq!(signed.as_ref(), Ok(&claims));
    }
}

/// A set never holds more than it may, and reads the same twice.
fn keys(bytes: &[u8]) {
    let all: Algorithms = Algorithm::ALL.into_iter().collect();
    if let Ok((keys, skipped)) = KeySet::from_jwks(bytes, all) {
        assert!(keys.len() + skipped.len() <= MAX_KEYS);
        let (again, _) = KeySet::from_jwks(bytes, all).unwrap();
        assert_eq!(format!("{keys:?}"), format!("{again:?}"));
        let hmac = keys.keys().iter().filter(|key| key.algorithms().has_hmac()).count();
        let named = all.iter().filter(|algorithm| !algorithm.is_hmac()).collect();
        assert_eq!(KeySet::from_jwks(bytes, named).unwrap().0.len(), keys.len() - hmac);
    }
    if let Ok(keys) = KeySet::from_pem(bytes, all) {
        assert!(!keys.is_empty() && keys.len() <= MAX_KEYS);
        assert!(keys.keys().iter().all(|key| key.id().is_none() && !key.algorithms().has_hmac()));
    }
}

/// The bytes as a key set alone: a fuzzer goes deeper with one reader. Whether it holds a key.
pub(crate) fn jwks(bytes: &[u8]) -> bool {
    keys(bytes);
    let all: Algorithms = Algorithm::ALL.into_iter().collect();
    let Ok((set, skipped)) = KeySet::from_jwks(bytes, all) else { return false };
    // A key that was not taken says so once, and of private members nothing is told.
    let told = format!("{set:?} {skipped:?}");
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        let written = value.get("keys").and_then(Value::as_array).map_or(0, Vec::len);
        assert!(set.len() + skipped.len() <= written.min(MAX_KEYS), "{told}");
        for key in value.get("keys").and_then(Value::as_array).into_iter().flatten() {
            for secret in ["d", "p", "q", "k"].iter().filter_map(|name| key.get(name)?.as_str()) {
                // Shorter ones may stand in any text.
                assert!(secret.len() < 12 || !told.contains(secret), "{told}");
            }
        }
    }
    // Whatever the keys are, nobody signs with them here.
    let token =
        Signer::from_secret(Algorithm::HS256, &SECRET).unwrap().sign_raw(GOOD_HEADER, GOOD_CLAIMS).unwrap();
    assert!(verify(&token, &set, &expect(), NOW).is_err(), "{told}");
    !set.is_empty()
}
