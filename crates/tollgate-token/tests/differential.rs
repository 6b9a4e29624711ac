//! jsonwebtoken as an oracle: what is accepted here it accepts too, and what only it accepts is refused here for being
//! malformed, never for its signature, its time, its issuer or its audience.

use std::str::FromStr;
use std::sync::OnceLock;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Validation, decode};
use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_token::mint::{Signer, public_jwks};
use tollgate_token::{Algorithm, Algorithms, Audience, Exp, Expectations, KeySet, TokenError, verify};

/// Between the two ends of time that tokens here know, as the oracle's clock is, for it reads the real one.
const NOW: i64 = 1_900_000_000;
const PAST: i64 = 1_000_000_000;
const FUTURE: i64 = 4_000_000_000;

struct Issuer {
    signer: Signer,
    keys: KeySet,
    oracle: DecodingKey,
}

/// One for each algorithm that the oracle knows: all but ES512.
fn issuers() -> &'static [Issuer] {
    static ISSUERS: OnceLock<Vec<Issuer>> = OnceLock::new();
    ISSUERS.get_or_init(|| {
        let known = Algorithm::ALL.into_iter().filter(|algorithm| *algorithm != Algorithm::ES512);
        known.map(issuer).collect()
    })
}

fn issuer(algorithm: Algorithm) -> Issuer {
    let signer = Signer::generate(algorithm).unwrap();
    let jwk = match algorithm.is_hmac() {
        true => signer.to_private_jwk().unwrap(),
        false => public_jwks(&[&signer])["keys"][0].clone(),
    };
    let oracle: Jwk = serde_json::from_value(jwk.clone()).unwrap();
    let all: Algorithms = Algorithm::ALL.into_iter().collect();
    let (keys, _) = KeySet::from_jwks(json!({ "keys": [jwk] }).to_string().as_bytes(), all).unwrap();
    Issuer { signer, keys, oracle: DecodingKey::from_jwk(&oracle).unwrap() }
}

/// A token, whose it is, and by which key and algorithm it is checked.
#[derive(Clone, Debug)]
struct Case {
    signed_by: usize,
    checked_by: usize,
    header: String,
    claims: String,
    damage: Vec<Damage>,
}

#[derive(Clone, Debug)]
enum Damage {
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Truncate(prop::sample::Index),
}

fn case() -> impl Strategy<Value = Case> {
    let algorithms = 0..issuers().len();
    (
        algorithms.clone(),
        prop_oneof![4 => Just(None), 1 => algorithms.prop_map(Some)],
        header(),
        claims(),
        damage(),
    )
        .prop_map(|(signed_by, other, header, claims, damage)| {
            let checked_by = other.unwrap_or(signed_by);
            let name = issuers()[signed_by].signer.algorithm().as_str();
            Case { signed_by, checked_by, header: header.replace("ALG", name), claims, damage }
        })
}

fn header() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => Just(r#"{"alg":"ALG"}"#),
        4 => Just(r#"{"typ":"JWT","alg":"ALG"}"#),
        1 => Just(r#"{"alg":"ALG","x":[1,{"y":null}]}"#),
        1 => Just(r#"{"alg":"none"}"#),
        1 => Just(r#"{"alg":"HS256"}"#),
        1 => Just(r#"{"alg":"RS256"}"#),
        1 => Just(r#"{"alg":"alg"}"#),
        1 => Just(r#"{"alg":"ALG","alg":"ALG"}"#),
        1 => Just(r#"{"alg":"ALG","crit":["x"]}"#),
        1 => Just(r#"{"alg":"ALG","kid":7}"#),
        1 => Just(r#"{"typ":"JWT"}"#),
    ]
    .prop_map(str::to_owned)
}

/// Members from lists of good and bad values; each may be missing.
fn claims() -> impl Strategy<Value = String> {
    let member = |name: &'static str, values: &'static [&'static str]| {
        prop_oneof![1 => Just(None), 6 => prop::sample::select(values).prop_map(Some)]
            .prop_map(move |value| value.map(|value| format!(r#""{name}":{value}"#)))
    };
    let times = (
        member(
            "exp",
            &[
                "4000000000",
                "4000000000",
                "4000000000.5",
                "4e9",
                "1000000000",
                "0",
                "-1",
                "\"4000000000\"",
                "null",
                "true",
                "1e400",
            ],
        ),
        member("nbf", &["1000000000", "1000000000.25", "0", "-1", "4000000000", "\"0\"", "null", "[]"]),
        member("iat", &["1000000000", "4000000000", "-1.5"]),
    );
    let names = (
        member("iss", &[r#""issuer""#, r#""issuer""#, r#""Issuer""#, r#""""#, "7", r#"["issuer"]"#, "null"]),
        member(
            "aud",
            &[r#""a""#, r#"["x","b"]"#, r#"["x"]"#, "[]", r#""x""#, "7", r#"{"a":1}"#, r#"["a",7]"#],
        ),
        member("sub", &[r#""u1""#, r#""u\u0031""#, "7"]),
        prop_oneof![9 => Just(None), 1 => Just(Some(r#""sub":"twice""#.to_owned()))],
    );
    (times, names).prop_map(|((exp, nbf, iat), (iss, aud, sub, twice))| {
        let members = [exp, nbf, iat, iss, aud, sub, twice];
        format!("{{{}}}", members.into_iter().flatten().collect::<Vec<_>>().join(","))
    })
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let byte = prop::sample::select(&b"ABab01-_.=+/ \0"[..]);
    let place = any::<prop::sample::Index>;
    let one = prop_oneof![
        (place(), byte.clone()).prop_map(|(place, byte)| Damage::Replace(place, byte)),
        (place(), byte).prop_map(|(place, byte)| Damage::Insert(place, byte)),
        place().prop_map(Damage::Remove),
        place().prop_map(Damage::Truncate),
    ];
    prop_oneof![4 => Just(Vec::new()), 1 => prop::collection::vec(one, 1..3)]
}

fn token(case: &Case) -> Vec<u8> {
    let signer = &issuers()[case.signed_by].signer;
    let mut token = signer.sign_raw(case.header.as_bytes(), case.claims.as_bytes()).unwrap().into_bytes();
    for damage in &case.damage {
        match damage {
            Damage::Replace(place, byte) => {
                let place = place.index(token.len());
                token[place] = *byte;
            }
            Damage::Insert(place, byte) => token.insert(place.index(token.len()), *byte),
            Damage::Remove(place) => drop(token.remove(place.index(token.len()))),
            Damage::Truncate(place) => token.truncate(place.index(token.len()).max(1)),
        }
    }
    token
}

/// The oracle's verdict, at the real time.
fn oracle(token: &[u8], issuer: &Issuer) -> Result<Value, String> {
    let algorithm = jsonwebtoken::Algorithm::from_str(issuer.signer.algorithm().as_str()).unwrap();
    let mut validation = Validation::new(algorithm);
    validation.leeway = 30;
    validation.validate_nbf = true;
    validation.set_audience(&["a", "b"]);
    validation.set_issuer(&["issuer"]);
    validation.set_required_spec_claims(&["exp", "aud", "iss"]);
    let read = decode::<Value>(token, &issuer.oracle, &validation);
    read.map(|token| token.claims).map_err(|error| error.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn agrees(case in case()) {
        let token = token(&case);
        let issuer = &issuers()[case.checked_by];
        let expect = Expectations {
            issuer: Some("issuer".into()),
            audience: Audience::AnyOf(vec!["a".into(), "b".into()]),
            algorithms: issuer.signer.algorithm().into(),
            leeway_s: 30,
            exp: Exp::Required,
            typ: None,
        };
        let text = token.escape_ascii();
        match (verify(&token, &issuer.keys, &expect, NOW), oracle(&token, issuer)) {
            // The oracle takes times from 1970 on; RFC 7519 §2 says "a JSON numeric value".
            (Ok(ours), Err(_)) if ours.to_value()["nbf"].as_f64().is_some_and(|nbf| nbf < 0.0) => {}
            (Ok(ours), theirs) => prop_assert_eq!(Ok(ours.to_value()), theirs, "{}", text),
            (Err(TokenError::Malformed(_)), _) | (Err(_), Err(_)) => {}
            // The oracle takes a list of issuers; RFC 7519 §4.1.1 knows one.
            (Err(TokenError::Issuer), Ok(theirs)) if theirs["iss"].is_array() => {}
            (Err(ours), Ok(_)) => prop_assert!(false, "only the oracle accepts, here {ours:?}: {text}"),
        }
    }
}

/// The cases above do reach both verdicts.
#[test]
fn a_plain_token_passes_both() {
    assert!((PAST..FUTURE).contains(&NOW));
    for issuer in issuers() {
        let claims = json!({ "exp": FUTURE, "nbf": PAST, "iss": "issuer", "aud": ["b"] });
        let token = issuer.signer.sign(&claims, None).unwrap();
        assert_eq!(oracle(token.as_bytes(), issuer), Ok(claims));
        let late = json!({ "exp": PAST, "iss": "issuer", "aud": ["b"] });
        assert!(oracle(issuer.signer.sign(&late, None).unwrap().as_bytes(), issuer).is_err());
    }
}
