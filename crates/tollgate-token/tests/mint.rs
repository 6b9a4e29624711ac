//! Keys made, written, read again and used: every algorithm, there and back.

use serde_json::{Value, json};
use tollgate_token::mint::{MintError, Signer, public_jwks, sign_with_secret};
use tollgate_token::{Algorithm, Audience, Exp, Expectations, KeySet, TokenError, verify};

const NOW: i64 = 1_900_000_000;

fn expect(algorithm: Algorithm) -> Expectations {
    Expectations {
        issuer: None,
        audience: Audience::Any,
        algorithms: algorithm.into(),
        leeway_s: 0,
        exp: Exp::Required,
        typ: Some("JWT".into()),
    }
}

/// What verifies a signer's tokens: its public half, or the secret itself.
fn keys(signer: &Signer) -> KeySet {
    let jwks = match signer.algorithm().is_hmac() {
        true => json!({ "keys": [signer.to_private_jwk().unwrap()] }),
        false => public_jwks(&[signer]),
    };
    let (keys, skipped) = KeySet::from_jwks(jwks.to_string().as_bytes(), signer.algorithm().into()).unwrap();
    assert_eq!(skipped, []);
    keys
}

#[test]
fn there_and_back() {
    let claims = json!({ "sub": "u1", "exp": NOW + 1, "text": "äöü \u{1F98A}" });
    for algorithm in Algorithm::ALL {
        let signer = Signer::generate(algorithm).unwrap();
        let written = signer.to_private_jwk().unwrap();
        let again = Signer::from_jwk(&written).unwrap();
        assert_eq!((again.kid(), again.algorithm()), (signer.kid(), algorithm));
        assert_eq!(again.to_private_jwk().unwrap(), written, "{algorithm}");
        for (signer, keys) in [(&signer, keys(&again)), (&again, keys(&signer))] {
            assert_eq!(keys.ids().collect::<Vec<_>>(), [signer.kid()]);
            let token = signer.sign(&claims, Some(signer.kid())).unwrap();
            let read = verify(&token, &keys, &expect(algorithm), NOW).unwrap();
            assert_eq!(read.to_value(), claims, "{algorithm}");
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let changed = format!("{}.{signature}", signed.replacen("eyJ", "eyK", 1));
            assert!(verify(changed, &keys, &expect(algorithm), NOW).is_err());
        }
        let stranger = keys(&Signer::generate(algorithm).unwrap());
        let token = signer.sign(&claims, None).unwrap();
        let verdict = verify(&token, &stranger, &expect(algorithm), NOW);
        assert_eq!(verdict, Err(TokenError::Signature), "{algorithm}");
    }
}

/// RFC 7638 §3.1, over the members in its order; here for the Ed25519 key of RFC 8037 §A.1 to §A.3.
#[test]
fn a_name_is_a_thumbprint() {
    let jwk = json!({
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    assert_eq!(Signer::from_jwk(&jwk).unwrap().kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn secrets_stay_secret() {
    let [rsa, ec, secret] =
        [Algorithm::RS256, Algorithm::ES256, Algorithm::HS256].map(|a| Signer::generate(a).unwrap());
    let public = public_jwks(&[&rsa, &ec, &secret]);
    assert_eq!(public["keys"].as_array().unwrap().len(), 2, "a secret has no public half");
    for signer in [&rsa, &ec, &secret] {
        let private = signer.to_private_jwk().unwrap();
        for member in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            let Some(text) = private[member].as_str() else { continue };
            assert!(!public.to_string().contains(text), "{member}");
            assert!(!format!("{signer:?}").contains(text), "{member}");
        }
    }
}

/// The secret of an issuer's configuration signs what it checks; a public key signs nothing.
#[test]
fn a_verifying_secret_signs() {
    let (header, claims) = (br#"{"alg":"HS384","typ":"JWT"}"#, format!(r#"{{"exp":{}}}"#, NOW + 1));
    let secret = KeySet::from_secret(&[7; 48], Algorithm::HS384.into()).unwrap();
    let sign =
        |keys: &KeySet, algorithm| sign_with_secret(&keys.keys()[0], algorithm, header, claims.as_bytes());
    let token = sign(&secret, Algorithm::HS384).unwrap();
    assert!(verify(token, &secret, &expect(Algorithm::HS384), NOW).is_ok());
    let refused = Err(MintError::Key("the key is no secret for this algorithm"));
    assert_eq!(sign(&secret, Algorithm::HS256), refused);
    let public = keys(&Signer::generate(Algorithm::ES256).unwrap());
    assert_eq!(sign(&public, Algorithm::ES256), refused);
}

#[test]
fn what_is_no_signer() {
    let ec = Signer::generate(Algorithm::ES256).unwrap().to_private_jwk().unwrap();
    let rsa = Signer::generate(Algorithm::RS256).unwrap().to_private_jwk().unwrap();
    let other = Signer::generate(Algorithm::ES256).unwrap().to_private_jwk().unwrap();
    let with = |base: &Value, name: &str, value: Value| {
        let mut jwk = base.clone();
        jwk[name] = value;
        jwk
    };
    let missing = MintError::Key("a member of the private key is missing");
    let unfit = MintError::Key("the numbers of the private key do not fit together");
    let mixed = MintError::Key("`kty`, `crv` and `alg` do not fit together");
    let cases = [
        (with(&ec, "d", Value::Null), missing),
        (with(&ec, "d", "####".into()), MintError::Key("a number of the private key is not base64url")),
        (with(&ec, "d", other["d"].clone()), unfit),
        (with(&ec, "alg", "none".into()), MintError::Key("`alg` is not supported")),
        (with(&ec, "alg", Value::Null), missing),
        (with(&ec, "alg", "ES384".into()), mixed),
        (with(&ec, "alg", "RS256".into()), mixed),
        (with(&ec, "kid", 7.into()), missing),
        (with(&rsa, "p", rsa["q"].clone()), unfit),
        (with(&rsa, "alg", "HS256".into()), mixed),
        (
            json!({ "kty": "oct", "alg": "HS256", "k": "AAAA" }),
            MintError::Key("a secret has at least 32 bytes"),
        ),
        (json!({}), missing),
        (json!(7), missing),
    ];
    for (jwk, expect) in cases {
        assert_eq!(Signer::from_jwk(&jwk).map(|signer| signer.algorithm()), Err(expect), "{jwk}");
    }
    assert!(Signer::from_secret(Algorithm::RS256, &[0; 64]).is_err());
}
