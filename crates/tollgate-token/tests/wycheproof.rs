//! Project Wycheproof's JOSE vectors: nothing invalid is accepted, nothing valid refused.
//!
//! Every algorithm is allowed, which is more than any configuration should: what is refused here is refused always.

use serde_json::{Value, json};
use tollgate_token::{Algorithm, Algorithms, KeySet, Token};

/// Where this crate judges otherwise: file, case, verdict here, and why.
const OTHERWISE: [(&str, u64, bool, &str); 17] = [
    ("signature", 259, false, EMPTY),
    ("signature", 264, false, EMPTY),
    ("signature", 268, false, EMPTY),
    ("signature", 272, false, EMPTY),
    ("signature", 320, false, EMPTY),
    ("signature", 325, false, EMPTY),
    ("signature", 346, false, BOUND),
    ("signature", 347, false, BOUND),
    ("signature", 350, false, BOUND),
    ("signature", 351, false, BOUND),
    ("signature", 367, true, REPAIRED),
    ("signature", 370, true, REPAIRED),
    ("signature", 372, false, ALPHABET),
    ("signature", 373, false, ALPHABET),
    ("key", 1, true, MIXED),
    ("crypto", 47, true, MIXED),
    ("key", 4, true, SAME_NAME),
];

const EMPTY: &str = "an empty payload is no JWT";
const BOUND: &str =
    "the vector's key says `alg: PS256` or `ES521`, the token PS384 or ES512; RFC 7520's own key says none";
const REPAIRED: &str = "the same text, byte for byte, as the valid case 357: its bad padding was lost";
const ALPHABET: &str = "`?` is no base64url (RFC 7515 §2)";
const MIXED: &str =
    "marked ambiguous: secrets beside public keys count because this test names HS256; see `only_named`";
const SAME_NAME: &str =
    "marked ambiguous: of two keys of a name the second is no base64url, and the first signed";

fn check(file: &str, text: &str, expect_cases: usize) {
    let vectors: Value = serde_json::from_str(text).unwrap();
    let allowed: Algorithms = Algorithm::ALL.into_iter().collect();
    let (mut cases, mut wrong) = (0, Vec::new());
    for group in vectors["testGroups"].as_array().unwrap() {
        let (keys, skipped) = KeySet::from_jwks(key_set(group).as_bytes(), allowed).unwrap();
        for test in group["tests"].as_array().unwrap() {
            let token = test.get("jws").or(test.get("jwe")).unwrap();
            let token = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
            let verdict = Token::parse(token.as_bytes())
                .and_then(|token| token.verify_signature(&keys, allowed).map(<[u8]>::to_vec));
            // An encrypted token that is valid is still no signed one.
            let valid = test["result"] == "valid" && test.get("jws").is_some();
            let id = test["tcId"].as_u64().unwrap();
            let otherwise = OTHERWISE.iter().find(|(name, case, ..)| (*name, *case) == (file, id));
            let accept = otherwise.map_or(valid, |(_, _, accept, _)| *accept);
            cases += 1;
            if verdict.is_ok() != accept || otherwise.is_some_and(|(_, _, accept, _)| *accept == valid) {
                wrong.push(format!("{file} {id} {}: {verdict:?} {skipped:?}", test["comment"]));
            }
        }
    }
    assert_eq!(wrong, [] as [String; 0]);
    assert_eq!(cases, expect_cases, "cases in {file}");
}

fn key_set(group: &Value) -> String {
    let keys = group.get("public").unwrap_or(&group["private"]);
    if keys.get("keys").is_some() { keys.to_string() } else { json!({ "keys": [keys] }).to_string() }
}

const SIGNATURE: &str = include_str!("data/wycheproof/json_web_signature_test.json");
const KEY: &str = include_str!("data/wycheproof/json_web_key_test.json");
const CRYPTO: &str = include_str!("data/wycheproof/json_web_crypto_test.json");

#[test]
fn json_web_signature() {
    check("signature", SIGNATURE, 401);
}

#[test]
fn json_web_key() {
    check("key", KEY, 26);
}

#[test]
fn json_web_crypto() {
    check("crypto", CRYPTO, 83);
}

/// A secret in a key set is no key where the configuration names no HS*.
#[test]
fn only_named() {
    for text in [SIGNATURE, KEY, CRYPTO] {
        let vectors: Value = serde_json::from_str(text).unwrap();
        let named: Algorithms = Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_hmac()).collect();
        for group in vectors["testGroups"].as_array().unwrap() {
            let (keys, _) = KeySet::from_jwks(key_set(group).as_bytes(), named).unwrap();
            assert!(keys.keys().iter().all(|key| !key.algorithms().has_hmac()));
            for token in group["tests"].as_array().unwrap().iter().filter_map(|test| test["jws"].as_str()) {
                if token.starts_with("eyJhbGciOiJIUz") {
                    let verdict = Token::parse(token.as_bytes())
                        .and_then(|token| token.verify_signature(&keys, named).map(<[u8]>::to_vec));
                    assert!(verdict.is_err(), "{token}");
                }
            }
        }
    }
}
