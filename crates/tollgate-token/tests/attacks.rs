//! Forged, damaged and malicious tokens, each with the refusal that it must get.

use std::borrow::Cow;
use std::sync::OnceLock;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tollgate_token::TokenError::{self, *};
use tollgate_token::mint::{Signer, public_jwks};
use tollgate_token::{
    Algorithm, Algorithms, Audience, Exp, Expectations, KeySet, MAX_TOKEN_BYTES, Token, verify,
};

const NOW: i64 = 1_900_000_000;

const PARTS: TokenError = Malformed("the token is not three parts with dots between");
const BASE64: TokenError = Malformed("the token is not canonical base64url");
const HEADER: TokenError = Malformed("the token's header is not a proper JSON object");
const CLAIMS: TokenError = Malformed("the token's claims are not a proper JSON object");
const OWN_KEY: TokenError = Malformed("the token brings its own key");
const EXTENSION: TokenError = Malformed("the token demands an extension that is not supported");
const NO_ALG: TokenError = Malformed("the token names no signature algorithm");
const KID: TokenError = Malformed("the token's key id is not a string");
const EXP: TokenError = Malformed("the token's expiry is not a number");
const NO_EXP: TokenError = Malformed("the token has no expiry");
const NBF: TokenError = Malformed("the token's start is not a number");
const IAT: TokenError = Malformed("the token's time of issue is not a number");
const AUD: TokenError = Malformed("the token's audience is not a string or a list of strings");
const UNSIGNED: TokenError = Malformed("the token has no signature");
const TOO_LONG: TokenError = Malformed("the token is too long");

/// An issuer with an RSA key and an EC key, and what is expected of it.
struct World {
    rsa: Signer,
    ec: Signer,
    keys: KeySet,
    expect: Expectations,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let (rsa, ec) =
            (Signer::generate(Algorithm::RS256).unwrap(), Signer::generate(Algorithm::ES256).unwrap());
        let algorithms: Algorithms = [Algorithm::RS256, Algorithm::ES256].into_iter().collect();
        let jwks = public_jwks(&[&rsa, &ec]).to_string();
        let (keys, skipped) = KeySet::from_jwks(jwks.as_bytes(), algorithms).unwrap();
        assert_eq!((keys.len(), skipped.len()), (2, 0));
        let expect = Expectations {
            issuer: Some("https://id.example.com/".into()),
            audience: Audience::AnyOf(vec!["orders-api".into(), "billing".into()]),
            algorithms,
            leeway_s: 30,
            exp: Exp::Required,
            typ: None,
        };
        World { rsa, ec, keys, expect }
    })
}

fn claims() -> Value {
    json!({ "iss": "https://id.example.com/", "aud": "orders-api", "sub": "u1", "exp": NOW + 600 })
}

#[track_caller]
fn check(name: &str, token: impl AsRef<[u8]>, expect: Result<(), TokenError>) {
    let world = world();
    let verdict = verify(token.as_ref(), &world.keys, &world.expect, NOW);
    assert_eq!(verdict.map(|claims| assert_eq!(claims.sub().as_deref(), Some("u1"))), expect, "{name}");
}

/// Signed by the EC key, with this header.
fn with_header(header: &str) -> String {
    world().ec.sign_raw(header.as_bytes(), claims().to_string().as_bytes()).unwrap()
}

/// Signed by the EC key, with these claims.
fn with_claims(claims: &str) -> String {
    world().ec.sign_raw(br#"{"alg":"ES256"}"#, claims.as_bytes()).unwrap()
}

fn good() -> String {
    world().ec.sign(&claims(), Some(world().ec.kid())).unwrap()
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn good_tokens_pass() {
    let world = world();
    check("EC, by name", good(), Ok(()));
    check("RSA, by name", world.rsa.sign(&claims(), Some(world.rsa.kid())).unwrap(), Ok(()));
    check("EC, no name", world.ec.sign(&claims(), None).unwrap(), Ok(()));
    check("RSA, no name", world.rsa.sign(&claims(), None).unwrap(), Ok(()));
    check("unknown header members", with_header(r#"{"alg":"ES256","x5t":"abc","cty":{},"typ":7}"#), Ok(()));
    check("white space in the header", with_header(r#"{ "typ" : "at+jwt", "alg" : "ES256" }"#), Ok(()));
}

#[test]
fn the_algorithm_is_ours_to_choose() {
    for none in ["none", "None", "NONE", "nOnE", "none ", " none", "n\\u006fne", ""] {
        let header = b64(format!(r#"{{"alg":"{none}"}}"#));
        let payload = b64(claims().to_string());
        check(none, format!("{header}.{payload}."), Err(Algorithm));
        check(none, format!("{header}.{payload}.AAAA"), Err(Algorithm));
        check(none, format!("{header}.{payload}"), Err(PARTS));
        check(none, with_header(&format!(r#"{{"alg":"{none}"}}"#)), Err(Algorithm));
    }
    let others = [
        "es256",
        "ES256 ",
        " ES256",
        "ES256K",
        "ES384",
        "HS256",
        "PS256",
        "EdDSA",
        "RS256\\u0000",
        "ES256\\n",
    ];
    for other in others {
        check(other, with_header(&format!(r#"{{"alg":"{other}"}}"#)), Err(Algorithm));
    }
    check("another type of key", with_header(r#"{"alg":"RS256"}"#), Err(Signature));
    let named = format!(r#"{{"alg":"RS256","kid":"{}"}}"#, world().ec.kid());
    check("another type of key, by name", with_header(&named), Err(KeyUnknown));
    for wrong in [r#"{}"#, r#"{"alg":null}"#, r#"{"alg":7}"#, r#"{"alg":["ES256"]}"#, r#"{"ALG":"ES256"}"#] {
        check(wrong, with_header(wrong), Err(NO_ALG));
    }
    let stump = good().rsplit_once('.').unwrap().0.to_owned();
    check("signature cut off", format!("{stump}."), Err(UNSIGNED));
}

/// The public key is no secret, in whatever form an attacker takes it.
#[test]
fn a_public_key_is_no_hmac_secret() {
    let jwks = public_jwks(&[&world().rsa]);
    let n = URL_SAFE_NO_PAD.decode(jwks["keys"][0]["n"].as_str().unwrap()).unwrap();
    let (spki, pkcs1) = rsa_der(&n);
    let pem = |label: &str, der: &[u8]| {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    };
    let forms: [(&str, Vec<u8>); 7] = [
        ("SPKI in DER", spki.clone()),
        ("PKCS#1 in DER", pkcs1.clone()),
        ("SPKI in PEM", pem("PUBLIC KEY", &spki).into()),
        ("SPKI in PEM, trimmed", pem("PUBLIC KEY", &spki).trim().into()),
        ("PKCS#1 in PEM", pem("RSA PUBLIC KEY", &pkcs1).into()),
        ("JWK", jwks["keys"][0].to_string().into()),
        ("modulus", n),
    ];
    // The worst configuration: it names HS256 too. The same keys, from a key set and from a file.
    let all: Algorithms = Algorithm::ALL.into_iter().collect();
    let wide = Expectations { algorithms: all, ..world().expect.clone() };
    let (from_jwks, _) = KeySet::from_jwks(jwks.to_string().as_bytes(), all).unwrap();
    let from_pem = KeySet::from_pem(pem("PUBLIC KEY", &spki).as_bytes(), all).unwrap();
    let good = world().rsa.sign(&claims(), None).unwrap();
    assert!(verify(&good, &from_pem, &wide, NOW).is_ok());
    for (form, secret) in forms {
        for kid in [None, Some(world().rsa.kid())] {
            let header = json!({ "alg": "HS256", "kid": kid.unwrap_or("?") });
            let signed = format!("{}.{}", b64(header.to_string()), b64(claims().to_string()));
            let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
            let forged = format!("{signed}.{}", b64(mac));
            check(form, &forged, Err(Algorithm));
            assert_eq!(verify(&forged, &from_jwks, &wide, NOW), Err(KeyUnknown), "{form}");
            assert_eq!(verify(&forged, &from_pem, &wide, NOW), Err(KeyUnknown), "{form}");
        }
    }
}

/// SubjectPublicKeyInfo and RSAPublicKey of a 2048-bit modulus with 65537.
fn rsa_der(n: &[u8]) -> (Vec<u8>, Vec<u8>) {
    assert_eq!(n.len(), 256);
    let pkcs1 =
        [&[0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00][..], n, &[0x02, 0x03, 0x01, 0x00, 0x01]]
            .concat();
    let head = [
        0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
        0x05, 0x00, 0x03, 0x82, 0x01, 0x0f, 0x00,
    ];
    ([&head[..], &pkcs1].concat(), pkcs1)
}

#[test]
fn a_token_does_not_choose_its_key() {
    let mallory = Signer::generate(Algorithm::ES256).unwrap();
    let jwk = &public_jwks(&[&mallory])["keys"][0];
    let kid = mallory.kid();
    let cases = [
        ("embedded jwk", json!({ "alg": "ES256", "jwk": jwk }), OWN_KEY),
        ("embedded jwk with kid", json!({ "alg": "ES256", "kid": kid, "jwk": jwk }), OWN_KEY),
        ("jku", json!({ "alg": "ES256", "jku": "https://evil.example/jwks" }), OWN_KEY),
        ("x5u", json!({ "alg": "ES256", "x5u": "https://evil.example/cert" }), OWN_KEY),
        ("x5c", json!({ "alg": "ES256", "x5c": ["MIIB"] }), OWN_KEY),
        ("its own key, no name", json!({ "alg": "ES256" }), Signature),
        ("its own name", json!({ "alg": "ES256", "kid": kid }), KeyUnknown),
        ("our name", json!({ "alg": "ES256", "kid": world().ec.kid() }), Signature),
        ("path", json!({ "alg": "ES256", "kid": "../../../../dev/null" }), KeyUnknown),
        ("path with NUL", json!({ "alg": "ES256", "kid": "/etc/passwd\u{0}.pem" }), KeyUnknown),
        ("query", json!({ "alg": "ES256", "kid": "x' UNION SELECT 'secret" }), KeyUnknown),
        ("command", json!({ "alg": "ES256", "kid": "key.pem; sleep 10" }), KeyUnknown),
        ("empty name", json!({ "alg": "ES256", "kid": "" }), KeyUnknown),
        ("number as name", json!({ "alg": "ES256", "kid": 0 }), KID),
        ("list as name", json!({ "alg": "ES256", "kid": [world().ec.kid()] }), KID),
        ("null as name", json!({ "alg": "ES256", "kid": null }), KID),
    ];
    for (name, header, expect) in cases {
        let token = mallory.sign_raw(header.to_string().as_bytes(), claims().to_string().as_bytes()).unwrap();
        check(name, token, Err(expect));
        if matches!(expect, Malformed(_)) {
            check(name, with_header(&header.to_string()), Err(expect));
        }
    }
}

#[test]
fn extensions_are_refused() {
    let cases = [
        (r#"{"alg":"ES256","crit":["exp"],"exp":1}"#, EXTENSION),
        (r#"{"alg":"ES256","crit":["https://x.example/y"],"https://x.example/y":1}"#, EXTENSION),
        (r#"{"alg":"ES256","crit":[]}"#, EXTENSION),
        (r#"{"alg":"ES256","crit":null}"#, EXTENSION),
        (r#"{"alg":"ES256","crit":["b64"],"b64":false}"#, EXTENSION),
        (r#"{"alg":"ES256","b64":false}"#, EXTENSION),
        (r#"{"alg":"ES256","b64":true}"#, EXTENSION),
        (r#"{"alg":"ES256","zip":"DEF"}"#, Malformed("the token is compressed")),
    ];
    for (header, expect) in cases {
        check(header, with_header(header), Err(expect));
    }
}

#[test]
fn signatures_that_prove_nothing() {
    let token = good();
    let (stump, signature) = token.rsplit_once('.').unwrap();
    let real = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let order = [
        &[0xff; 4][..],
        &[0; 4],
        &[0xff; 8],
        &[0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51],
    ]
    .concat();
    let one = [&[0; 31][..], &[1]].concat();
    let cases: [(&str, Vec<u8>); 11] = [
        ("r = s = 0", vec![0; 64]),
        ("r = 0", [&[0; 32], &real[32..]].concat()),
        ("s = 0", [&real[..32], &[0; 32]].concat()),
        ("r = s = 1", [&one[..], &one].concat()),
        ("r = s = n", [&order[..], &order].concat()),
        ("r = n, s = 1", [&order[..], &one].concat()),
        ("all ones", vec![0xff; 64]),
        ("r and s swapped", [&real[32..], &real[..32]].concat()),
        ("one byte short", real[..63].to_vec()),
        ("one byte more", [&real[..], &[0]].concat()),
        ("as DER", [&[0x30, 0x44, 0x02, 0x20][..], &real[..32], &[0x02, 0x20], &real[32..]].concat()),
    ];
    for (name, signature) in cases {
        check(name, format!("{stump}.{}", b64(signature)), Err(Signature));
    }
    let rsa = world().rsa.sign(&claims(), None).unwrap();
    let (stump, signature) = rsa.rsplit_once('.').unwrap();
    let real = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let cases = [
        ("zeros", vec![0; 256]),
        ("one", [&[0; 255][..], &[1]].concat()),
        ("all ones", vec![0xff; 256]),
        ("zero in front", [&[0], &real[..]].concat()),
        ("first byte cut", real[1..].to_vec()),
        ("of another", real.iter().map(|byte| byte ^ 1).collect()),
    ];
    for (name, signature) in cases {
        check(name, format!("{stump}.{}", b64(signature)), Err(Signature));
    }
}

/// Any other text for the same bytes would be another token to a memory, a log or a deny list.
#[test]
fn one_text_for_one_token() {
    let token = good();
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    // 64 bytes end in a digit with four unused bits: each of the 15 other digits decodes to the same bytes if they
    // are not looked at.
    let (head, last) = signature.split_at(signature.len() - 1);
    let mut others = 0;
    for digit in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
        if *last != *digit.to_string() {
            let verdict =
                verify(format!("{header}.{payload}.{head}{digit}"), &world().keys, &world().expect, NOW);
            assert!(matches!(verdict, Err(BASE64 | Signature)), "{digit}: {verdict:?}");
            others += usize::from(verdict == Err(BASE64));
        }
    }
    assert_eq!(others, 60, "of 63 other digits only three leave no bits over");
    let cases = [
        format!("{token}="),
        format!("{token}=="),
        format!("{token}===="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}==.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{header}.{payload}==.{signature}"),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{header}.{payload} .{signature}"),
        format!("{header}.{payload}\0.{signature}"),
        format!("{header}.{payload}.{signature}\u{e9}"),
        format!("{header}.{payload}.+/{signature}"),
    ];
    for case in cases {
        check(&case, &case, Err(BASE64));
    }
    let standard = token.replace('-', "+").replace('_', "/");
    if standard != token {
        check("base64 that is not base64url", standard, Err(BASE64));
    }
}

#[test]
fn three_parts_and_no_more() {
    let token = good();
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let cases = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        header.to_owned(),
        format!("{header}.{payload}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.."),
        format!("{token}.{signature}"),
        format!("{header}..{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{header}.{payload}.{signature}.{signature}.{signature}"),
        format!("{header}....{signature}"),
    ];
    for case in cases {
        check(&case, &case, Err(PARTS));
    }
    check("1 MiB", "A".repeat(1024 * 1024), Err(TOO_LONG));
    check("1 MiB in parts", format!("{header}.{}.{signature}", "A".repeat(1024 * 1024)), Err(TOO_LONG));
    check("1 MiB of dots", ".".repeat(1024 * 1024), Err(TOO_LONG));
    let mut long = claims();
    long["pad"] = "x".repeat((MAX_TOKEN_BYTES - 400) * 3 / 4).into();
    let long = world().ec.sign(&long, None).unwrap();
    assert!(long.len() > MAX_TOKEN_BYTES - 400, "{}", long.len());
    check("just short enough", long, Ok(()));
}

#[test]
fn one_reading_of_the_json() {
    let base = r#""iss":"https://id.example.com/","aud":"orders-api","sub":"u1""#;
    let exp = NOW + 600;
    let nested = |levels: usize| {
        format!(r#"{{{base},"exp":{exp},"deep":{}{}}}"#, "[".repeat(levels), "]".repeat(levels))
    };
    let cases = [
        (format!(r#"{{{base},"exp":1,"exp":{exp}}}"#), Err(CLAIMS)),
        (format!(r#"{{{base},"exp":{exp},"exp":1}}"#), Err(CLAIMS)),
        (format!(r#"{{{base},"exp":{exp},"s\u0075b":"admin"}}"#), Err(CLAIMS)),
        (format!(r#"{{{base},"exp":{exp},"a":{{"b":1,"b":2}}}}"#), Err(CLAIMS)),
        (format!(r#"{{{base},"exp":{exp}}} "#), Ok(())),
        (format!(r#"{{{base},"exp":{exp}}}{{}}"#), Err(CLAIMS)),
        (format!(r#"[{{{base},"exp":{exp}}}]"#), Err(CLAIMS)),
        (r#""text""#.to_owned(), Err(CLAIMS)),
        ("null".to_owned(), Err(CLAIMS)),
        (format!(r#"{{{base},"exp":{exp},"n":1e400}}"#), Err(CLAIMS)),
        (nested(31), Ok(())),
        (nested(32), Err(CLAIMS)),
        (nested(5000), Err(CLAIMS)),
    ];
    for (claims, expect) in cases {
        check(&claims, with_claims(&claims), expect);
    }
    let headers = [
        r#"{"alg":"ES256","alg":"none"}"#,
        r#"{"alg":"none","alg":"ES256"}"#,
        r#"{"alg":"ES256","\u0061lg":"ES256"}"#,
        r#"{"alg":"ES256","x":{"y":1,"y":1}}"#,
        r#"["ES256"]"#,
        r#""ES256""#,
        r#"{"alg":"ES256"}x"#,
        r#"{"alg":"ES256""#,
        "\u{feff}{\"alg\":\"ES256\"}",
    ];
    for header in headers {
        check(header, with_header(header), Err(HEADER));
    }
    let not_utf8 = world().ec.sign_raw(b"{\"alg\":\"ES256\",\"x\":\"\xff\"}", b"{}").unwrap();
    check("a header that is not UTF-8", not_utf8, Err(HEADER));
}

#[test]
fn time() {
    let base = r#""iss":"https://id.example.com/","aud":"orders-api","sub":"u1""#;
    let soon = NOW + 600;
    let cases = [
        (format!(r#""exp":{soon}"#), Ok(())),
        (format!(r#""exp":{soon}.5"#), Ok(())),
        (format!(r#""exp":{}e0"#, soon), Ok(())),
        (r#""exp":1e300"#.to_owned(), Ok(())),
        (r#""exp":18446744073709551615"#.to_owned(), Ok(())),
        (format!(r#""exp":{}"#, NOW - 29), Ok(())),
        (format!(r#""exp":{}"#, NOW - 30), Err(Expired)),
        (format!(r#""exp":{}.5"#, NOW - 30), Ok(())),
        (r#""exp":0"#.to_owned(), Err(Expired)),
        (r#""exp":-1"#.to_owned(), Err(Expired)),
        (r#""exp":-1e300"#.to_owned(), Err(Expired)),
        (r#""exp":-9223372036854775808"#.to_owned(), Err(Expired)),
        (r#""exp":1e400"#.to_owned(), Err(CLAIMS)),
        (format!(r#""exp":"{soon}""#), Err(EXP)),
        (r#""exp":null"#.to_owned(), Err(EXP)),
        (r#""exp":true"#.to_owned(), Err(EXP)),
        (format!(r#""exp":[{soon}]"#), Err(EXP)),
        (r#""exp":NaN"#.to_owned(), Err(CLAIMS)),
        (r#""EXP":1"#.to_owned(), Err(NO_EXP)),
        (format!(r#""exp":{soon},"nbf":{}"#, NOW + 30), Ok(())),
        (format!(r#""exp":{soon},"nbf":{}.5"#, NOW + 30), Err(NotYetValid)),
        (format!(r#""exp":{soon},"nbf":{}"#, NOW + 31), Err(NotYetValid)),
        (format!(r#""exp":{soon},"nbf":1e300"#), Err(NotYetValid)),
        (format!(r#""exp":{soon},"nbf":-5"#), Ok(())),
        (format!(r#""exp":{soon},"nbf":"0""#), Err(NBF)),
        (format!(r#""exp":{soon},"iat":{}"#, NOW + 9999), Ok(())),
        (format!(r#""exp":{soon},"iat":-1"#), Ok(())),
        (format!(r#""exp":{soon},"iat":"now""#), Err(IAT)),
        (format!(r#""exp":{soon},"iat":null"#), Err(IAT)),
    ];
    for (time, expect) in cases {
        check(&time, with_claims(&format!("{{{base},{time}}}")), expect);
    }
    // Clocks and leeways at the ends of their range must not overflow.
    for leeway_s in [0, u64::MAX] {
        for now in [i64::MIN, -1, 0, i64::MAX] {
            let expect = Expectations { leeway_s, ..world().expect.clone() };
            let _ = verify(good(), &world().keys, &expect, now);
            let token = with_claims(&format!(r#"{{{base},"exp":{},"nbf":{}}}"#, i64::MAX, i64::MIN));
            let _ = verify(token, &world().keys, &expect, now);
        }
    }
}

#[test]
fn issuer_and_audience() {
    let exp = NOW + 600;
    let with = |iss: &str, aud: &str| format!(r#"{{"sub":"u1","exp":{exp}{iss}{aud}}}"#);
    let (iss, aud) = (r#","iss":"https://id.example.com/""#, r#","aud":"orders-api""#);
    let cases = [
        (with("", aud), Err(Issuer)),
        (with(r#","iss":"https://id.example.com""#, aud), Err(Issuer)),
        (with(r#","iss":"https://ID.example.com/""#, aud), Err(Issuer)),
        (with(r#","iss":["https://id.example.com/"]"#, aud), Err(Issuer)),
        (with(r#","iss":null"#, aud), Err(Issuer)),
        (with(iss, ""), Err(Audience)),
        (with(iss, r#","aud":"Orders-api""#), Err(Audience)),
        (with(iss, r#","aud":[]"#), Err(Audience)),
        (with(iss, r#","aud":["x","billing"]"#), Ok(())),
        (with(iss, r#","aud":["x","y"]"#), Err(Audience)),
        (with(iss, r#","aud":["orders-api",7]"#), Err(AUD)),
        (with(iss, r#","aud":{"orders-api":1}"#), Err(AUD)),
        (with(iss, r#","aud":null"#), Err(AUD)),
    ];
    for (claims, expect) in cases {
        check(&claims, with_claims(&claims), expect);
    }
    let open = Expectations {
        issuer: None,
        audience: tollgate_token::Audience::Any,
        exp: Exp::Optional,
        ..world().expect.clone()
    };
    let bare = verify(with_claims("{}"), &world().keys, &open, NOW).unwrap();
    assert_eq!((bare.exp(), bare.sub(), bare.iss()), (None, None, None));
    for (sub, expect) in
        [("7", Some("7")), (r#""7""#, Some("7")), ("true", None), ("[7]", None), ("{}", None)]
    {
        let claims = verify(with_claims(&format!(r#"{{"sub":{sub}}}"#)), &world().keys, &open, NOW).unwrap();
        assert_eq!(claims.sub().as_deref(), expect, "{sub}");
    }
    assert_eq!(verify(with_claims(r#"{"exp":1}"#), &world().keys, &open, NOW), Err(Expired));
}

#[test]
fn type_where_the_issuer_names_one() {
    let other = Malformed("the token is of another type");
    let cases = [
        ("at+jwt", r#""at+jwt""#, Ok(())),
        ("at+jwt", r#""AT+JWT""#, Ok(())),
        ("at+jwt", r#""application/at+jwt""#, Ok(())),
        ("application/at+jwt", r#""at+jwt""#, Ok(())),
        ("Application/at+jwt", r#""APPLICATION/AT+JWT""#, Ok(())),
        ("at+jwt", r#""JWT""#, Err(other)),
        ("at+jwt", r#""application/x/at+jwt""#, Err(other)),
        ("at+jwt", r#""text/at+jwt""#, Err(other)),
        ("at+jwt", r#""""#, Err(other)),
        ("at+jwt", "7", Err(other)),
        ("JWT", "null", Err(other)),
    ];
    for (expected, typ, verdict) in cases {
        let expect = Expectations { typ: Some(expected.into()), ..world().expect.clone() };
        let token = with_header(&format!(r#"{{"alg":"ES256","typ":{typ}}}"#));
        assert_eq!(verify(token, &world().keys, &expect, NOW).map(|_| ()), verdict, "{expected} {typ}");
    }
    let expect = Expectations { typ: Some("JWT".into()), ..world().expect.clone() };
    assert_eq!(verify(with_header(r#"{"alg":"ES256"}"#), &world().keys, &expect, NOW), Err(other));
}

/// What a caller may look at before the signature is checked.
#[test]
fn what_a_token_says_of_itself() {
    let token = good();
    let token = Token::parse(token.as_bytes()).unwrap();
    assert_eq!(token.unverified_issuer(), Ok(Some("https://id.example.com/".to_owned())));
    assert_eq!(token.key_id(), Some(world().ec.kid()));
    let malformed = Err(TokenError::Malformed("the token's claims are not a proper JSON object"));
    for (claims, expect) in [
        ("{}", Ok(None)),
        (r#"{"iss":7}"#, Ok(None)),
        ("[]", malformed.clone()),
        (r#"{"iss":"a","iss":"b"}"#, malformed.clone()),
        (r#"{"iss":"a","sub":"b","sub":"c"}"#, malformed),
    ] {
        let token = with_claims(claims);
        assert_eq!(Token::parse(token.as_bytes()).unwrap().unverified_issuer(), expect, "{claims}");
    }
    let shown = format!("{token:?}");
    assert!(!shown.contains("u1") && !shown.contains("example"), "{shown}");
}

/// RFC 6750 §3: `error_description` is a quoted string without escapes.
#[test]
fn descriptions_fit_their_header() {
    let all = [
        PARTS,
        BASE64,
        HEADER,
        CLAIMS,
        OWN_KEY,
        EXTENSION,
        NO_ALG,
        KID,
        EXP,
        NO_EXP,
        NBF,
        IAT,
        AUD,
        UNSIGNED,
        TOO_LONG,
        Algorithm,
        Signature,
        KeyUnknown,
        Expired,
        NotYetValid,
        Issuer,
        Audience,
        Inactive,
    ];
    for error in all {
        let text = error.description();
        let fits = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        assert!(!text.is_empty() && text.bytes().all(fits), "{text}");
    }
}

/// For those who explain: all of the check but the signature, and no more than that is taken for good.
#[test]
fn what_is_assumed_is_the_signature_alone() {
    let world = world();
    let claims =
        |exp: i64| json!({ "iss": "https://id.example.com/", "aud": "billing", "sub": "u1", "exp": exp });
    let sign = |claims: &Value| world.rsa.sign(claims, Some(world.rsa.kid())).unwrap();
    let assumed = |token: &str| {
        let claims = Token::parse(token.as_bytes()).unwrap().assume_signed(&world.expect, NOW);
        claims.map(|claims| claims.sub().map(Cow::into_owned))
    };
    let good = sign(&claims(NOW + 60));
    let forged = format!("{}.{}", good.rsplit_once('.').unwrap().0, "AAAA".repeat(64));
    assert_eq!(verify(&forged, &world.keys, &world.expect, NOW), Err(Signature));
    assert_eq!(assumed(&forged), Ok(Some("u1".to_owned())));
    assert_eq!(assumed(&sign(&claims(NOW - 60))), Err(Expired));
    let other = json!({ "iss": "https://evil.example/", "aud": "billing", "exp": NOW + 60 });
    assert_eq!(assumed(&sign(&other)), Err(Issuer));
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    let payload = URL_SAFE_NO_PAD.encode(claims(NOW + 60).to_string());
    assert_eq!(assumed(&format!("{header}.{payload}.AAAA")), Err(Algorithm));
}
