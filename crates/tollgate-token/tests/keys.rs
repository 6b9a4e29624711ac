//! Key sets from everywhere: which keys count, which are left out and why, and what a set shows of itself.

use serde_json::{Value, json};
use tollgate_token::mint::{Signer, public_jwks};
use tollgate_token::{
    Algorithm, Algorithms, JwksError, KeySet, MAX_KEY_TEXT_BYTES, MAX_KEYS, MAX_TRIES, PemError, SecretError,
    Token, TokenError, Unusable,
};

fn all() -> Algorithms {
    Algorithm::ALL.into_iter().collect()
}

fn payload(token: &str, keys: &KeySet) -> Result<Vec<u8>, TokenError> {
    Token::parse(token.as_bytes())?.verify_signature(keys, all()).map(<[u8]>::to_vec)
}

/// A good key with these members put over it: null takes one away.
fn changed(algorithm: Algorithm, change: Value) -> Value {
    let signer = Signer::generate(algorithm).unwrap();
    let mut jwk = signer.to_private_jwk().unwrap();
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => drop(jwk.as_object_mut().unwrap().shift_remove(name)),
            value => jwk[name] = value.clone(),
        }
    }
    jwk
}

#[test]
fn which_keys_count() {
    use Algorithm::*;
    let missing = Unusable::Malformed("a number of the key is missing");
    let not_base64 = Unusable::Malformed("a number of the key is not base64url");
    let length = Unusable::Malformed("a coordinate is not as long as its curve's field");
    let text = Unusable::Malformed("a member that must be a string is none");
    let bits_2047 = format!("f{}w", "n".repeat(340));
    let bits_8192 = format!("{}w", "n".repeat(1365));
    let bits_8200 = format!("{}E", "n".repeat(1366));
    let cases = [
        (ES256, json!({}), None),
        (ES256, json!({ "alg": null, "use": null, "kid": null }), None),
        (ES256, json!({ "x5c": ["MIIB"], "x5u": "https://evil.example/", "x5t": 7, "unknown": [] }), None),
        (ES256, json!({ "use": null, "key_ops": ["verify"] }), None),
        (ES256, json!({ "key_ops": ["sign", "verify"] }), None),
        (ES256, json!({ "key_ops": ["sign"] }), Some(Unusable::Purpose)),
        (ES256, json!({ "key_ops": [] }), Some(Unusable::Purpose)),
        (ES256, json!({ "key_ops": "verify" }), Some(Unusable::Purpose)),
        (ES256, json!({ "use": "enc" }), Some(Unusable::Purpose)),
        (ES256, json!({ "use": "SIG" }), Some(Unusable::Purpose)),
        (ES256, json!({ "use": 7 }), Some(Unusable::Purpose)),
        (ES256, json!({ "alg": "ES384" }), Some(Unusable::Algorithm)),
        (ES256, json!({ "alg": "HS256" }), Some(Unusable::Algorithm)),
        (ES256, json!({ "alg": "none" }), Some(Unusable::Algorithm)),
        (ES256, json!({ "alg": 7 }), Some(text)),
        (ES256, json!({ "kid": 7 }), Some(Unusable::Malformed("`kid` is not a string"))),
        (ES256, json!({ "kty": "ec" }), Some(Unusable::Type)),
        (ES256, json!({ "kty": null }), Some(Unusable::Malformed("no `kty`"))),
        (ES256, json!({ "crv": "secp256k1" }), Some(Unusable::Curve)),
        (ES256, json!({ "crv": null }), Some(Unusable::Malformed("no `crv`"))),
        (ES256, json!({ "crv": "P-384", "alg": null }), Some(length)),
        (ES256, json!({ "y": "A".repeat(43) }), Some(Unusable::Invalid)),
        (ES256, json!({ "x": "AAAA" }), Some(length)),
        (ES256, json!({ "x": null }), Some(missing)),
        (ES256, json!({ "x": "+".repeat(43) }), Some(not_base64)),
        (ES512, json!({}), None),
        (EdDSA, json!({}), None),
        (EdDSA, json!({ "crv": "X25519" }), Some(Unusable::Curve)),
        (EdDSA, json!({ "crv": "Ed448" }), Some(Unusable::Curve)),
        (EdDSA, json!({ "x": "AAAA" }), Some(Unusable::Malformed("`x` of an Ed25519 key is not 32 bytes"))),
        (RS256, json!({ "alg": "PS512" }), None),
        (RS256, json!({ "e": "AAEAAQ" }), None),
        (RS256, json!({ "e": "AQ" }), Some(Unusable::Invalid)),
        (RS256, json!({ "e": "AA" }), Some(Unusable::Invalid)),
        (RS256, json!({ "e": "BA" }), Some(Unusable::Invalid)),
        (RS256, json!({ "e": "AgAAAAE" }), Some(Unusable::Invalid)),
        (RS256, json!({ "e": "AAAAAAAAAAAAAAEAAQ" }), None),
        (RS256, json!({ "e": null }), Some(missing)),
        (RS256, json!({ "n": "" }), Some(Unusable::RsaSize)),
        (RS256, json!({ "n": bits_2047 }), Some(Unusable::RsaSize)),
        (RS256, json!({ "n": bits_8192 }), None),
        (RS256, json!({ "n": bits_8200 }), Some(Unusable::RsaSize)),
        (HS256, json!({}), None),
        (HS256, json!({ "k": "A".repeat(43) }), None),
        (HS256, json!({ "k": "A".repeat(42) }), Some(Unusable::SecretSize)),
        (HS256, json!({ "k": "A".repeat(41) }), Some(not_base64)),
        (HS512, json!({ "k": "A".repeat(84) }), Some(Unusable::SecretSize)),
        (HS512, json!({ "k": "A".repeat(86) }), None),
    ];
    for (algorithm, change, expect) in cases {
        let jwks = json!({ "keys": [changed(algorithm, change.clone())] });
        let (keys, skipped) = KeySet::from_jwks(jwks.to_string().as_bytes(), all()).unwrap();
        assert_eq!(skipped.first().map(|skipped| skipped.why), expect, "{algorithm} {change}");
        assert_eq!(keys.len(), usize::from(expect.is_none()), "{algorithm} {change}");
    }
}

#[test]
fn one_bad_key_costs_only_itself() {
    let good = Signer::generate(Algorithm::ES256).unwrap();
    let mut set = public_jwks(&[&good]);
    let keys = set["keys"].as_array_mut().unwrap();
    keys.insert(0, json!({ "kid": "old", "kty": "DSA" }));
    keys.extend([json!(7), json!([]), json!({ "kty": "oct", "k": "A".repeat(43), "kid": "s" })]);
    let (keys, skipped) = KeySet::from_jwks(set.to_string().as_bytes(), Algorithm::ES256.into()).unwrap();
    assert_eq!(keys.ids().collect::<Vec<_>>(), [good.kid()]);
    let skipped: Vec<_> = skipped.iter().map(|s| (s.index, s.id.as_deref(), s.why)).collect();
    let no_object = Unusable::Malformed("not a JSON object");
    let expect = [
        (0, Some("old"), Unusable::Type),
        (2, None, no_object),
        (3, None, no_object),
        (4, Some("s"), Unusable::NotConfigured),
    ];
    assert_eq!(skipped, expect);
    let token = good.sign(&json!({}), Some(good.kid())).unwrap();
    assert!(payload(&token, &keys).is_ok());
}

#[test]
fn what_is_no_key_set() {
    let many = |n: usize| json!({ "keys": vec![json!({}); n] }).to_string();
    let cases = [
        (r#"{"keys":[]}"#.to_owned(), Ok(0)),
        (r#"{"keys":[],"more":1}"#.to_owned(), Ok(0)),
        (many(MAX_KEYS), Ok(MAX_KEYS)),
        (many(MAX_KEYS + 1), Err(JwksError::TooManyKeys)),
        (String::new(), Err(JwksError::NotJson)),
        ("<html>".to_owned(), Err(JwksError::NotJson)),
        ("[]".to_owned(), Err(JwksError::NotJson)),
        (r#"{"keys":[],"keys":[]}"#.to_owned(), Err(JwksError::NotJson)),
        (r#"{"keys":[{"kty":"EC","kty":"RSA"}]}"#.to_owned(), Err(JwksError::NotJson)),
        ("{}".to_owned(), Err(JwksError::NoKeys)),
        (r#"{"keys":{}}"#.to_owned(), Err(JwksError::NoKeys)),
        (r#"{"keys":null}"#.to_owned(), Err(JwksError::NoKeys)),
        (format!(r#"{{"keys":[]}}{}"#, " ".repeat(MAX_KEY_TEXT_BYTES)), Err(JwksError::TooLong)),
    ];
    for (text, expect) in cases {
        let read = KeySet::from_jwks(text.as_bytes(), all()).map(|(keys, skipped)| {
            assert!(keys.is_empty());
            skipped.len()
        });
        assert_eq!(read, expect, "{}", text.get(..60).unwrap_or(&text));
    }
}

/// Without a name at most four keys are tried: the price of a stranger's token is bounded.
#[test]
fn few_keys_are_tried() {
    let signers: Vec<_> = (0..=MAX_TRIES).map(|_| Signer::generate(Algorithm::ES256).unwrap()).collect();
    let set = public_jwks(&signers.iter().collect::<Vec<_>>()).to_string();
    let (keys, _) = KeySet::from_jwks(set.as_bytes(), all()).unwrap();
    for (place, signer) in signers.iter().enumerate() {
        let named = signer.sign(&json!({}), Some(signer.kid())).unwrap();
        assert!(payload(&named, &keys).is_ok());
        let nameless = signer.sign(&json!({}), None).unwrap();
        let expect = if place < MAX_TRIES { Ok(b"{}".to_vec()) } else { Err(TokenError::Signature) };
        assert_eq!(payload(&nameless, &keys), expect, "{place}");
    }
}

/// The same name in a set twice, as while a key is being replaced, and a key without a name.
#[test]
fn names_choose() {
    let [a, b, c] = [(); 3].map(|()| Signer::generate(Algorithm::ES256).unwrap());
    let mut set = public_jwks(&[&a, &b, &c]);
    for (place, kid) in [json!("k"), json!("k"), Value::Null].into_iter().enumerate() {
        match kid {
            Value::Null => drop(set["keys"][place].as_object_mut().unwrap().shift_remove("kid")),
            kid => set["keys"][place]["kid"] = kid,
        }
    }
    let (keys, _) = KeySet::from_jwks(set.to_string().as_bytes(), all()).unwrap();
    let cases = [
        (&a, Some("k"), Ok(())),
        (&b, Some("k"), Ok(())),
        (&c, Some("k"), Err(TokenError::Signature)),
        (&c, Some("other"), Err(TokenError::KeyUnknown)),
        (&c, None, Ok(())),
        (&a, None, Ok(())),
    ];
    for (signer, kid, expect) in cases {
        let token = signer.sign(&json!({}), kid).unwrap();
        assert_eq!(payload(&token, &keys).map(|_| ()), expect, "{kid:?}");
    }
    let (empty, _) = KeySet::from_jwks(br#"{"keys":[]}"#, all()).unwrap();
    assert_eq!(payload(&a.sign(&json!({}), None).unwrap(), &empty), Err(TokenError::KeyUnknown));
}

/// What OpenSSL writes, and tokens that OpenSSL signed.
#[test]
fn pem_files() {
    let cases: Value = serde_json::from_str(include_str!("data/pem/cases.json")).unwrap();
    for case in cases["good"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap();
        let keys = KeySet::from_pem(text("pem").as_bytes(), all()).unwrap();
        assert_eq!(payload(text("token"), &keys), Ok(br#"{"sub":"openssl"}"#.to_vec()), "{}", case["name"]);
        let algorithm: Algorithm = text("algorithm").parse().unwrap();
        let others = Algorithm::ALL
            .into_iter()
            .filter(|other| *other != algorithm && !(other.as_str().ends_with(&algorithm.as_str()[1..])));
        let narrow = KeySet::from_pem(text("pem").as_bytes(), others.clone().collect());
        let unknown = narrow.map(|keys| {
            Token::parse(text("token").as_bytes()).unwrap().verify_signature(&keys, all()).map(<[u8]>::to_vec)
        });
        assert!(
            matches!(
                unknown,
                Ok(Err(TokenError::KeyUnknown)) | Err(PemError::Unusable(Unusable::NotConfigured))
            ),
            "{}: {unknown:?}",
            case["name"]
        );
    }
    let bad = ["X25519", "secp256k1", "RSA of 1024 bits", "RSASSA-PSS"];
    let why = [Unusable::Type, Unusable::Curve, Unusable::RsaSize, Unusable::Type];
    for (case, (name, why)) in cases["bad"].as_array().unwrap().iter().zip(bad.into_iter().zip(why)) {
        assert_eq!(case["name"], name);
        let read = KeySet::from_pem(case["pem"].as_str().unwrap().as_bytes(), all());
        assert_eq!(read.map(|keys| keys.len()), Err(PemError::Unusable(why)), "{name}");
    }
}

#[test]
fn what_is_no_pem_file() {
    let block = |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
    let ed25519 = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    let cases = [
        (block("PUBLIC KEY", ed25519), Ok(1)),
        (block("PUBLIC KEY", ed25519).replace('\n', "\r\n"), Ok(1)),
        (block("PUBLIC KEY", ed25519).repeat(MAX_KEYS), Ok(MAX_KEYS)),
        (block("PUBLIC KEY", ed25519).repeat(MAX_KEYS + 1), Err(PemError::TooManyKeys)),
        (String::new(), Err(PemError::NoKeys)),
        (ed25519.to_owned(), Err(PemError::NoKeys)),
        ("\u{0}\u{1}".to_owned(), Err(PemError::NoKeys)),
        (block("PRIVATE KEY", "c2VjcmV0"), Err(PemError::PrivateKey)),
        (block("RSA PRIVATE KEY", "c2VjcmV0"), Err(PemError::PrivateKey)),
        (block("ENCRYPTED PRIVATE KEY", "c2VjcmV0"), Err(PemError::PrivateKey)),
        (block("PUBLIC KEY", ed25519) + &block("EC PRIVATE KEY", "c2VjcmV0"), Err(PemError::PrivateKey)),
        (block("OPENSSH PRIVATE KEY", "c2VjcmV0"), Err(PemError::PrivateKey)),
        (block("CERTIFICATE REQUEST", ed25519), Err(PemError::Label)),
        (block("PUBLIC KEY", ""), Err(PemError::Malformed)),
        (block("PUBLIC KEY", "####"), Err(PemError::Malformed)),
        (block("PUBLIC KEY", "MAA="), Err(PemError::Malformed)),
        (block("CERTIFICATE", ed25519), Err(PemError::Malformed)),
        (block("RSA PUBLIC KEY", ed25519), Err(PemError::Malformed)),
        (block("PUBLIC KEY", ed25519).replace("END PUBLIC", "END RSA PUBLIC"), Err(PemError::Malformed)),
        (block("PUBLIC KEY", ed25519).replace("-----END", ""), Err(PemError::Malformed)),
        (" ".repeat(MAX_KEY_TEXT_BYTES + 1), Err(PemError::TooLong)),
    ];
    for (text, expect) in cases {
        let read = KeySet::from_pem(text.as_bytes(), all()).map(|keys| keys.len());
        assert_eq!(read, expect, "{}", text.get(..80).unwrap_or(&text));
        let shown = read.map_or_else(|error| error.to_string(), |_| String::new());
        assert!(!shown.contains("c2Vj"), "{shown}");
    }
    // Damaged anywhere, it may be another key, but never a panic.
    let whole = KeySet::from_pem(block("PUBLIC KEY", ed25519).as_bytes(), all());
    assert!(whole.is_ok());
    for cut in 0..ed25519.len() {
        let _ = KeySet::from_pem(block("PUBLIC KEY", &ed25519[..cut]).as_bytes(), all());
        let _ = KeySet::from_pem(block("CERTIFICATE", &ed25519[cut..]).as_bytes(), all());
    }
}

#[test]
fn secrets() {
    let cases = [
        (31, all(), Err(SecretError::TooShort)),
        (0, all(), Err(SecretError::TooShort)),
        (32, all(), Ok(1)),
        (500, Algorithm::HS512.into(), Ok(1)),
        (32, Algorithm::RS256.into(), Err(SecretError::NoHmac)),
        (32, Algorithms::NONE, Err(SecretError::NoHmac)),
    ];
    for (length, algorithms, expect) in cases {
        let read = KeySet::from_secret(&vec![7; length], algorithms).map(|keys| keys.len());
        assert_eq!(read, expect, "{length} {algorithms:?}");
    }
    let keys = KeySet::from_secret(&[7; 32], Algorithm::HS256.into()).unwrap();
    let signer = Signer::from_secret(Algorithm::HS256, &[7; 32]).unwrap();
    for kid in [None, Some("any name"), Some(signer.kid())] {
        assert!(payload(&signer.sign(&json!({}), kid).unwrap(), &keys).is_ok(), "{kid:?}");
    }
    let other = Signer::from_secret(Algorithm::HS256, &[8; 32]).unwrap();
    assert_eq!(payload(&other.sign(&json!({}), None).unwrap(), &keys), Err(TokenError::Signature));
    let shown = format!("{keys:?} {signer:?}");
    assert!(!shown.contains("7, 7") && !shown.contains("0707"), "{shown}");
}
