//! The issuer of tests says what a real one says, and goes wrong only when told to.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tollgate_testkit::{AUDIENCE, CLIENT_ID, Client, Issuer, Response, SigningKey, now_unix_s};

const DISCOVERY: &str = "/.well-known/openid-configuration";

fn get(issuer: &Issuer, path: &str) -> Response {
    client(issuer).get(path)
}

fn client(issuer: &Issuer) -> Client {
    Client::connect(issuer.url().strip_prefix("http://").unwrap())
}

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&decode(token.split('.').nth(1).unwrap())).unwrap()
}

/// Checks a signature with nothing but the published key.
fn verify(jwk: &Value, token: &str) -> bool {
    let (input, signature) = token.rsplit_once('.').unwrap();
    let (input, signature) = (input.as_bytes(), decode(signature));
    let bytes = |name: &str| decode(jwk[name].as_str().unwrap());
    let unparsed = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
        UnparsedPublicKey::new(algorithm, key).verify(input, &signature).is_ok()
    };
    let point = || [vec![4], bytes("x"), bytes("y")].concat();
    match jwk["alg"].as_str().unwrap() {
        "RS256" => RsaPublicKeyComponents { n: bytes("n"), e: bytes("e") }
            .verify(&signature::RSA_PKCS1_2048_8192_SHA256, input, &signature)
            .is_ok(),
        "PS512" => RsaPublicKeyComponents { n: bytes("n"), e: bytes("e") }
            .verify(&signature::RSA_PSS_2048_8192_SHA512, input, &signature)
            .is_ok(),
        "ES256" => unparsed(&signature::ECDSA_P256_SHA256_FIXED, &point()),
        "ES384" => unparsed(&signature::ECDSA_P384_SHA384_FIXED, &point()),
        "ES512" => unparsed(&signature::ECDSA_P521_SHA512_FIXED, &point()),
        "EdDSA" => unparsed(&signature::ED25519, &bytes("x")),
        "HS256" => hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &bytes("k")), input, &signature).is_ok(),
        other => panic!("{other} is not checked here"),
    }
}

#[test]
fn tokens_are_good_by_the_published_keys() {
    for algorithm in ["RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256"] {
        let issuer = Issuer::with_keys(&[algorithm]);
        let jwks = get(&issuer, "/jwks").json();
        let mut token = issuer.token(json!({ "sub": "u1" }));
        assert!(verify(&jwks["keys"][0], &token), "{algorithm}: {jwks} {token}");
        token.replace_range(0..1, "f");
        assert!(!verify(&jwks["keys"][0], &token), "{algorithm}");
    }
}

#[test]
fn claims_are_filled_in_and_left_out() {
    let issuer = Issuer::start();
    let now = now_unix_s();
    let all = claims(&issuer.token(json!({ "sub": "u1", "aud": "other", "iat": null })));
    assert_eq!(
        (&all["iss"], &all["aud"], &all["sub"]),
        (&json!(issuer.url()), &json!("other"), &json!("u1"))
    );
    assert!(all["exp"].as_u64().unwrap() > now && all.get("iat").is_none(), "{all}");
    assert_eq!(claims(&issuer.token(json!({})))["aud"], AUDIENCE);
}

#[test]
fn discovery_leads_to_the_keys() {
    let issuer = Issuer::start();
    let document = get(&issuer, DISCOVERY).json();
    assert_eq!(
        (&document["issuer"], &document["jwks_uri"]),
        (&json!(issuer.url()), &json!(issuer.jwks_url()))
    );
    issuer.wrong_issuer();
    assert_ne!(get(&issuer, DISCOVERY).json()["issuer"], issuer.url());
    assert_eq!((issuer.count_discovery(), issuer.count_jwks()), (2, 0));
}

#[test]
fn keys_come_and_go() {
    let issuer = Issuer::with_keys(&["RS256", "ES256"]);
    let ids = |issuer: &Issuer| -> Vec<String> {
        let jwks = get(issuer, "/jwks").json();
        jwks["keys"].as_array().unwrap().iter().map(|k| k["kid"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&issuer), ["key-1", "key-2"]);
    issuer.rotate();
    assert_eq!(ids(&issuer), ["key-3", "key-4"]);
    assert_eq!(issuer.add_key("EdDSA").id, "key-5");
    assert_eq!(issuer.key().id, "key-5");
    issuer.remove_key("key-3");
    issuer.add_jwk(json!({ "kid": "odd" }));
    assert_eq!(ids(&issuer), ["key-5", "key-4", "odd"]);
    issuer.use_key(SigningKey::secret("HS256", "../../dev/null", b"short"));
    assert_eq!(ids(&issuer)[0], "../../dev/null");
}

#[test]
fn introspection_asks_who_asks() {
    let issuer = Issuer::start();
    issuer.set_opaque("tok en+1", json!({ "sub": "u1" }));
    let ask = |secret: &str, token: &str| {
        let basic = STANDARD.encode(format!("{}:{secret}", CLIENT_ID.replace(':', "%3A")));
        let body = format!("token={token}");
        client(&issuer).exchange(format!(
            "POST /introspect HTTP/1.1\r\nHost: i\r\nAuthorization: Basic {basic}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    let secret = "introspection+s3cret%2Fwith%3Aodd%2Bcharacters%25";
    assert_eq!(ask(secret, "tok+en%2B1").json(), json!({ "sub": "u1", "active": true }));
    assert_eq!(ask(secret, "unknown").json(), json!({ "active": false }));
    assert_eq!(ask("introspection s3cret/with:odd+characters%", "tok+en%2B1").status, 401);
    assert_eq!(issuer.count_introspection(), 3);
}

#[test]
fn it_goes_wrong_when_told_to() {
    let issuer = Issuer::start();
    issuer.garbage();
    assert!(serde_json::from_slice::<Value>(&get(&issuer, "/jwks").body).is_err());
    issuer.oversized();
    assert!(get(&issuer, "/jwks").body.len() > 1024 * 1024);
    issuer.status(503);
    assert_eq!(get(&issuer, "/jwks").status, 503);
    issuer.well();
    assert_eq!(get(&issuer, "/jwks").json(), issuer.jwks());
    issuer.down();
    let address = issuer.url();
    assert!(Client::try_connect(address.strip_prefix("http://").unwrap()).is_err());
    issuer.up();
    assert_eq!((issuer.url(), get(&issuer, "/jwks").status), (address, 200));
}
