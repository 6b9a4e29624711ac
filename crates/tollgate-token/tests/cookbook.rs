//! The JWS examples of RFC 7520 §4, RFC 8037 §A.4 and RFC 7797 §4.2, as compact tokens.
//!
//! Examples that only JSON serialization can carry are put together as compact tokens where they can be, and must be
//! refused where they cannot.

use serde_json::{Value, json};
use tollgate_token::{Algorithm, Algorithms, KeySet, Token, TokenError};

const NOT_THREE_PARTS: TokenError = TokenError::Malformed("the token is not three parts with dots between");
const UNKNOWN_EXTENSION: TokenError =
    TokenError::Malformed("the token demands an extension that is not supported");
const NOT_BASE64URL: TokenError = TokenError::Malformed("the token is not canonical base64url");

/// Verifies with the example's keys and the example's algorithm only.
fn check(section: &str, keys: &Value, algorithm: Algorithm, token: &str, expect: Result<&str, TokenError>) {
    let keys = if keys.is_array() { keys.clone() } else { json!([keys]) };
    let allowed = Algorithms::from(algorithm);
    let (keys, _) = KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes(), allowed).unwrap();
    let payload = Token::parse(token.as_bytes())
        .and_then(|token| token.verify_signature(&keys, allowed).map(<[u8]>::to_vec));
    assert_eq!(payload, expect.map(|text| text.as_bytes().to_vec()), "{section}");
}

fn example(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn compact() {
    let cases = [
        ("4.1", Algorithm::RS256, include_str!("data/cookbook/4_1.rsa_v15_signature.json")),
        ("4.2", Algorithm::PS384, include_str!("data/cookbook/4_2.rsa-pss_signature.json")),
        ("4.3", Algorithm::ES512, include_str!("data/cookbook/4_3.ecdsa_signature.json")),
        ("4.4", Algorithm::HS256, include_str!("data/cookbook/4_4.hmac-sha2_integrity_protection.json")),
        ("RFC 8037 A.4", Algorithm::EdDSA, include_str!("data/cookbook/rfc8037_ed25519.json")),
    ];
    for (section, algorithm, text) in cases {
        let example = example(text);
        let (keys, payload) = (&example["input"]["key"], example["input"]["payload"].as_str().unwrap());
        let token = example["output"]["compact"].as_str().unwrap();
        check(section, keys, algorithm, token, Ok(payload));
        let flat = example["output"]["json_flat"].to_string();
        assert!(Token::parse(flat.as_bytes()).is_err(), "{section}: JSON serialization");
        for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            check(section, keys, other, token, Err(TokenError::Algorithm));
        }
    }
}

#[test]
fn detached_content() {
    let example = example(include_str!("data/cookbook/4_5.signature_with_detached_content.json"));
    let keys = &example["input"]["key"];
    let (token, input) = (&example["output"]["compact"], &example["signing"]["sig-input"]);
    check("4.5", keys, Algorithm::HS256, token.as_str().unwrap(), Err(NOT_THREE_PARTS));
    let attached = format!("{}.{}", input.as_str().unwrap(), example["signing"]["sig"].as_str().unwrap());
    check("4.5", keys, Algorithm::HS256, &attached, Ok(example["input"]["payload"].as_str().unwrap()));
}

#[test]
fn header_members_that_are_not_protected() {
    let partly = example(include_str!("data/cookbook/4_6.protecting_specific_header_fields.json"));
    let not = example(include_str!("data/cookbook/4_7.protecting_content_only.json"));
    let payload = partly["input"]["payload"].as_str().unwrap();
    let token = |example: &Value| {
        format!(
            "{}.{}",
            example["signing"]["sig-input"].as_str().unwrap(),
            example["signing"]["sig"].as_str().unwrap()
        )
    };
    check("4.6", &partly["input"]["key"], Algorithm::HS256, &token(&partly), Ok(payload));
    check("4.7", &not["input"]["key"], Algorithm::HS256, &token(&not), Err(NOT_THREE_PARTS));
}

#[test]
fn multiple_signatures() {
    let example = example(include_str!("data/cookbook/4_8.multiple_signatures.json"));
    let payload = example["input"]["payload"].as_str().unwrap();
    let cases = [
        (Algorithm::RS256, Ok(payload)),
        (Algorithm::ES512, Err(NOT_THREE_PARTS)),
        (Algorithm::HS256, Ok(payload)),
    ];
    for (signing, (algorithm, expect)) in example["signing"].as_array().unwrap().iter().zip(cases) {
        let (input, signature) = (signing["sig-input"].as_str().unwrap(), signing["sig"].as_str().unwrap());
        check("4.8", &example["input"]["key"], algorithm, &format!("{input}.{signature}"), expect);
    }
}

#[test]
fn unencoded_payload() {
    let compact = example(include_str!("data/cookbook/rfc7797_compact.json"));
    let detached = example(include_str!("data/cookbook/rfc7797_4_2.json"));
    let (signing, key) = (&detached["signing"], &detached["input"]["key"]);
    let (header, signature) = (signing["protected_b64u"].as_str().unwrap(), signing["sig"].as_str().unwrap());
    check("7797", key, Algorithm::HS256, compact["output"]["compact"].as_str().unwrap(), Err(NOT_BASE64URL));
    check("7797 4.2", key, Algorithm::HS256, &format!("{header}.JC4wMg.{signature}"), Err(UNKNOWN_EXTENSION));
}
