//! Keys that sign tokens, well-formed or not.
//!
//! A signer of its own, beside the gateway's `tollgate token`: a mistake in the gateway's idea of a token must not
//! hide behind the same mistake in the test.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding};
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// Bytes of a made secret.
const SECRET_BYTES: usize = 48;

/// A key, the algorithm it is used with, and its `kid`.
pub struct SigningKey {
    /// The `kid` in the header of its tokens and in the key set.
    pub id: String,
    /// `RS256`, `EdDSA`, …
    pub algorithm: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Secret(Vec<u8>),
}

impl SigningKey {
    /// Makes a new key for this algorithm.
    #[track_caller]
    pub fn generate(algorithm: &'static str, id: &str) -> SigningKey {
        let pair = match algorithm {
            "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" => {
                Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key"))
            }
            "ES256" | "ES384" | "ES512" => {
                Pair::Ec(EcdsaKeyPair::generate(curve(algorithm)).expect("an EC key"))
            }
            "EdDSA" => Pair::Ed25519(Ed25519KeyPair::generate().expect("an Ed25519 key")),
            "HS256" | "HS384" | "HS512" => {
                let mut secret = vec![0; SECRET_BYTES];
                rand::fill(&mut secret).expect("random bytes");
                Pair::Secret(secret)
            }
            other => panic!("no key can be made for {other}"),
        };
        SigningKey { id: id.to_owned(), algorithm, pair }
    }

    /// A secret that the test knows, for HS*.
    pub fn secret(algorithm: &'static str, id: &str, secret: &[u8]) -> SigningKey {
        SigningKey { id: id.to_owned(), algorithm, pair: Pair::Secret(secret.to_vec()) }
    }

    /// A token with these claims and the usual header.
    pub fn token(&self, claims: &Value) -> String {
        self.token_under(&json!({ "alg": self.algorithm, "typ": "JWT", "kid": self.id }), claims)
    }

    /// A token with this header, whatever it says; it is signed with the key's own algorithm.
    pub fn token_under(&self, header: &Value, claims: &Value) -> String {
        self.token_of(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// A token of these bytes, which need not be JSON.
    pub fn token_of(&self, header: &[u8], claims: &[u8]) -> String {
        let input = format!("{}.{}", encode(header), encode(claims));
        let signature = self.sign(input.as_bytes());
        format!("{input}.{}", encode(&signature))
    }

    /// The raw signature of some bytes, in the form that JWS has it (RFC 7518 section 3).
    pub fn sign(&self, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding(self.algorithm), &random, input, &mut signature).expect("an RSA signature");
                signature
            }
            Pair::Ec(pair) => pair.sign(&random, input).expect("an EC signature").as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(input).as_ref().to_vec(),
            Pair::Secret(secret) => {
                hmac::sign(&hmac::Key::new(digest(self.algorithm), secret), input).as_ref().to_vec()
            }
        }
    }

    /// The public key as a JWK (RFC 7517); for HS* the secret itself.
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let (n, e) = rsa_numbers(pair.public_key().as_ref());
                json!({ "kty": "RSA", "n": encode(n), "e": encode(e) })
            }
            Pair::Ec(pair) => {
                // An uncompressed point: 4, x, y.
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let name = match self.algorithm {
                    "ES256" => "P-256",
                    "ES384" => "P-384",
                    _ => "P-521",
                };
                json!({ "kty": "EC", "crv": name, "x": encode(x), "y": encode(y) })
            }
            Pair::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) })
            }
            Pair::Secret(secret) => json!({ "kty": "oct", "k": encode(secret) }),
        };
        jwk["kid"] = json!(self.id);
        jwk["alg"] = json!(self.algorithm);
        jwk["use"] = json!("sig");
        jwk
    }

    /// The public key in DER (RFC 5280 `SubjectPublicKeyInfo`); panics for HS*.
    #[track_caller]
    pub fn public_der(&self) -> Vec<u8> {
        let der: Result<PublicKeyX509Der<'_>, _> = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der(),
            Pair::Ec(pair) => pair.public_key().as_der(),
            Pair::Ed25519(pair) => pair.public_key().as_der(),
            Pair::Secret(_) => panic!("a secret has no public key"),
        };
        der.expect("a public key in DER").as_ref().to_vec()
    }

    /// The same in PEM, as `public_key_file` has it.
    #[track_caller]
    pub fn public_pem(&self) -> String {
        let text = STANDARD.encode(self.public_der());
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).filter_map(|c| std::str::from_utf8(c).ok()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn padding(algorithm: &str) -> &'static dyn RsaEncoding {
    match algorithm {
        "RS256" => &signature::RSA_PKCS1_SHA256,
        "RS384" => &signature::RSA_PKCS1_SHA384,
        "RS512" => &signature::RSA_PKCS1_SHA512,
        "PS256" => &signature::RSA_PSS_SHA256,
        "PS384" => &signature::RSA_PSS_SHA384,
        _ => &signature::RSA_PSS_SHA512,
    }
}

fn curve(algorithm: &str) -> &'static signature::EcdsaSigningAlgorithm {
    match algorithm {
        "ES256" => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        "ES384" => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        _ => &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
    }
}

fn digest(algorithm: &str) -> hmac::Algorithm {
    match algorithm {
        "HS256" => hmac::HMAC_SHA256,
        "HS384" => hmac::HMAC_SHA384,
        _ => hmac::HMAC_SHA512,
    }
}

/// The two integers of an `RSAPublicKey` (RFC 8017 appendix A.1.1) without leading zeros, as JWK wants them.
fn rsa_numbers(der: &[u8]) -> (&[u8], &[u8]) {
    let (sequence, _) = element(der);
    let (n, rest) = element(sequence);
    let (e, _) = element(rest);
    let trim = |number: &'static str, bytes: &[u8]| {
        bytes.iter().position(|&byte| byte != 0).unwrap_or_else(|| panic!("{number} is zero"))
    };
    (&n[trim("n", n)..], &e[trim("e", e)..])
}

/// The contents of the DER element that stands first, and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (start, length) = match der[1] {
        short @ 0..0x80 => (2, usize::from(short)),
        long => {
            let bytes = usize::from(long & 0x7f);
            let length = der[2..2 + bytes].iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
            (2 + bytes, length)
        }
    };
    (&der[start..start + length], &der[start + length..])
}
