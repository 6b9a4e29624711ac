//! Signing keys and tokens: for `tollgate token`, the demo and tests. The data plane verifies and never signs.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsBigEndian, AsDer, Curve25519SeedBin, EcPrivateKeyBin, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
};
use serde_json::{Map, Value, json};

use crate::algorithm::Algorithm;
use crate::base64url;
use crate::der::Reader;
use crate::key::{Curve, Key, MIN_SECRET_BYTES};

/// Length of a generated secret, in bytes: the block that the longest hash puts out.
const SECRET_BYTES: usize = 64;

/// A private key, or a secret, and the algorithm it signs with.
pub struct Signer {
    algorithm: Algorithm,
    kid: String,
    private: Private,
}

enum Private {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair, Curve),
    Ed25519(Ed25519KeyPair),
    Secret(Box<hmac::Key>, Box<[u8]>),
}

/// Why there is no signer, or no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MintError {
    /// The JWK is not a private key that this crate signs with, or its numbers do not fit together.
    Key(&'static str),
    /// The cryptographic library refused; its errors carry no reason.
    Library,
}

impl fmt::Display for MintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(why) => f.write_str(why),
            Self::Library => f.write_str("the cryptographic library refused"),
        }
    }
}

impl std::error::Error for MintError {}

impl From<aws_lc_rs::error::Unspecified> for MintError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Library
    }
}

impl From<aws_lc_rs::error::KeyRejected> for MintError {
    fn from(_: aws_lc_rs::error::KeyRejected) -> Self {
        Self::Key("the numbers of the private key do not fit together")
    }
}

impl Signer {
    /// A new key: RSA of 2048 bits, the algorithm's curve, or a random secret. Its `kid` is its thumbprint
    /// (RFC 7638); a secret's is random.
    pub fn generate(algorithm: Algorithm) -> Result<Self, MintError> {
        let private = match (rsa_encoding(algorithm), ecdsa(algorithm)) {
            (Some(encoding), _) => Private::Rsa(RsaKeyPair::generate(rsa::KeySize::Rsa2048)?, encoding),
            (_, Some((curve, signing))) => Private::Ec(EcdsaKeyPair::generate(signing)?, curve),
            _ if algorithm == Algorithm::EdDSA => Private::Ed25519(Ed25519KeyPair::generate()?),
            _ => {
                let mut secret = [0; SECRET_BYTES];
                rand::fill(&mut secret)?;
                return Self::from_secret(algorithm, &secret);
            }
        };
        Self::new(algorithm, private)
    }

    /// A signer with HS* and this secret.
    pub fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, MintError> {
        let hash = hmac_hash(algorithm).ok_or(MintError::Key("a secret signs with HS256, HS384 or HS512"))?;
        if secret.len() < MIN_SECRET_BYTES {
            return Err(MintError::Key("a secret has at least 32 bytes"));
        }
        Self::new(algorithm, Private::Secret(Box::new(hmac::Key::new(hash, secret)), secret.into()))
    }

    /// A private JWK with `alg`, as [`Signer::to_private_jwk`] writes it. Without `kid` it gets a new one.
    pub fn from_jwk(jwk: &Value) -> Result<Self, MintError> {
        let algorithm = member(jwk, "alg")?.parse().map_err(|_| MintError::Key("`alg` is not supported"))?;
        let private = match (member(jwk, "kty")?, rsa_encoding(algorithm), ecdsa(algorithm)) {
            ("RSA", Some(encoding), _) => Private::Rsa(rsa_from_jwk(jwk)?, encoding),
            ("EC", _, Some((curve, signing))) if member(jwk, "crv")? == curve.as_str() => {
                let point = [&[4], &number(jwk, "x")?[..], &number(jwk, "y")?[..]].concat();
                let pair =
                    EcdsaKeyPair::from_private_key_and_public_key(signing, &number(jwk, "d")?, &point)?;
                Private::Ec(pair, curve)
            }
            ("OKP", ..) if algorithm == Algorithm::EdDSA && member(jwk, "crv")? == "Ed25519" => {
                let (seed, public) = (number(jwk, "d")?, number(jwk, "x")?);
                Private::Ed25519(Ed25519KeyPair::from_seed_and_public_key(&seed, &public)?)
            }
            ("oct", ..) => return Self::from_secret(algorithm, &number(jwk, "k")?)?.renamed(jwk),
            _ => return Err(MintError::Key("`kty`, `crv` and `alg` do not fit together")),
        };
        Self::new(algorithm, private)?.renamed(jwk)
    }

    /// The whole key, private members included, with `kid`, `alg` and `use`.
    pub fn to_private_jwk(&self) -> Result<Value, MintError> {
        let mut jwk = self.public_members();
        let mut put = |name: &str, bytes: &[u8]| jwk.insert(name.to_owned(), base64url::encode(bytes).into());
        match &self.private {
            Private::Rsa(pair, _) => {
                let document: Pkcs8V1Der<'_> = pair.as_der()?;
                let numbers = rsa_numbers(document.as_ref()).ok_or(MintError::Library)?;
                for (name, number) in ["d", "p", "q", "dp", "dq", "qi"].into_iter().zip(numbers) {
                    put(name, &number);
                }
            }
            Private::Ec(pair, _) => {
                let number: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes()?;
                put("d", number.as_ref());
            }
            Private::Ed25519(pair) => {
                let seed: Curve25519SeedBin<'_> = pair.seed()?.as_be_bytes()?;
                put("d", seed.as_ref());
            }
            Private::Secret(_, secret) => {
                put("k", secret);
            }
        }
        Ok(self.described(jwk))
    }

    /// The algorithm it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its name in a key set.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// A token: header with `alg`, `typ: JWT` and the `kid` given, then the claims.
    pub fn sign(&self, claims: &Value, kid: Option<&str>) -> Result<String, MintError> {
        let mut header = json!({ "alg": self.algorithm.as_str(), "typ": "JWT" });
        if let (Some(kid), Some(header)) = (kid, header.as_object_mut()) {
            header.insert("kid".to_owned(), kid.into());
        }
        self.sign_raw(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// A token of these very bytes, whatever they say: tests forge with it.
    pub fn sign_raw(&self, header: &[u8], payload: &[u8]) -> Result<String, MintError> {
        let signed = format!("{}.{}", base64url::encode(header), base64url::encode(payload));
        let signature = self.signature(signed.as_bytes())?;
        Ok(format!("{signed}.{}", base64url::encode(&signature)))
    }

    /// The signature over these bytes, in the form of RFC 7518.
    pub fn signature(&self, message: &[u8]) -> Result<Vec<u8>, MintError> {
        match &self.private {
            Private::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), message, &mut signature)?;
                Ok(signature)
            }
            Private::Ec(pair, _) => Ok(pair.sign(&SystemRandom::new(), message)?.as_ref().to_vec()),
            Private::Ed25519(pair) => Ok(pair.try_sign(message)?.as_ref().to_vec()),
            Private::Secret(key, _) => Ok(hmac::sign(key, message).as_ref().to_vec()),
        }
    }

    fn new(algorithm: Algorithm, private: Private) -> Result<Self, MintError> {
        let mut signer = Self { algorithm, kid: String::new(), private };
        signer.kid = match &signer.private {
            Private::Secret(..) => {
                // A thumbprint would let whoever sees the name try guesses of a weak secret.
                let mut name = [0; 16];
                rand::fill(&mut name)?;
                base64url::encode(&name)
            }
            _ => thumbprint(&signer.public_members()),
        };
        Ok(signer)
    }

    fn renamed(mut self, jwk: &Value) -> Result<Self, MintError> {
        if jwk.get("kid").is_some() {
            self.kid = member(jwk, "kid")?.to_owned();
        }
        Ok(self)
    }

    /// The members that RFC 7638 §3.2 hashes, in its order; of a secret the type alone.
    fn public_members(&self) -> Map<String, Value> {
        let text = base64url::encode;
        let members = match &self.private {
            Private::Rsa(pair, _) => {
                let (n, e) = rsa_public(pair.public_key().as_ref()).unwrap_or_default();
                json!({ "e": text(&e), "kty": "RSA", "n": text(&n) })
            }
            Private::Ec(pair, curve) => {
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at_checked(curve.field_bytes()).unwrap_or_default();
                json!({ "crv": curve.as_str(), "kty": "EC", "x": text(x), "y": text(y) })
            }
            Private::Ed25519(pair) => {
                json!({ "crv": "Ed25519", "kty": "OKP", "x": text(pair.public_key().as_ref()) })
            }
            Private::Secret(..) => json!({ "kty": "oct" }),
        };
        match members {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }

    fn described(&self, mut jwk: Map<String, Value>) -> Value {
        jwk.insert("kid".to_owned(), self.kid.as_str().into());
        jwk.insert("alg".to_owned(), self.algorithm.as_str().into());
        jwk.insert("use".to_owned(), "sig".into());
        Value::Object(jwk)
    }
}

/// A token of these very bytes, signed with the secret that checks such tokens: `tollgate token` takes it from the
/// configuration of the issuer.
pub fn sign_with_secret(
    key: &Key,
    algorithm: Algorithm,
    header: &[u8],
    payload: &[u8],
) -> Result<String, MintError> {
    let signed = format!("{}.{}", base64url::encode(header), base64url::encode(payload));
    let signature = key.sign(algorithm, signed.as_bytes());
    let signature = signature.ok_or(MintError::Key("the key is no secret for this algorithm"))?;
    Ok(format!("{signed}.{}", base64url::encode(&signature)))
}

/// A JWK set of the public halves. Secrets have none and are left out.
pub fn public_jwks(signers: &[&Signer]) -> Value {
    let public = signers.iter().filter(|signer| !signer.algorithm.is_hmac());
    json!({ "keys": public.map(|signer| signer.described(signer.public_members())).collect::<Vec<_>>() })
}

/// The algorithm and the name, never the key.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .field("private", &"***")
            .finish()
    }
}

fn thumbprint(members: &Map<String, Value>) -> String {
    let text = Value::Object(members.clone()).to_string();
    base64url::encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn rsa_encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    Some(match algorithm {
        Algorithm::RS256 => &signature::RSA_PKCS1_SHA256,
        Algorithm::RS384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_SHA512,
        _ => return None,
    })
}

fn ecdsa(algorithm: Algorithm) -> Option<(Curve, &'static EcdsaSigningAlgorithm)> {
    Some(match algorithm {
        Algorithm::ES256 => (Curve::P256, &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::ES384 => (Curve::P384, &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        Algorithm::ES512 => (Curve::P521, &signature::ECDSA_P521_SHA512_FIXED_SIGNING),
        _ => return None,
    })
}

fn hmac_hash(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    Some(match algorithm {
        Algorithm::HS256 => hmac::HMAC_SHA256,
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        _ => return None,
    })
}

fn rsa_from_jwk(jwk: &Value) -> Result<RsaKeyPair, MintError> {
    let public_key = rsa::PublicKeyComponents { n: number(jwk, "n")?, e: number(jwk, "e")? };
    Ok(RsaKeyPair::from_components(&rsa::KeyPairComponents {
        public_key,
        d: number(jwk, "d")?,
        p: number(jwk, "p")?,
        q: number(jwk, "q")?,
        dP: number(jwk, "dp")?,
        dQ: number(jwk, "dq")?,
        qInv: number(jwk, "qi")?,
    })?)
}

/// Modulus and exponent of an RSAPublicKey (RFC 8017 §A.1.1).
fn rsa_public(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut numbers = Reader::sequence(der)?;
    Some((numbers.unsigned()?.to_vec(), numbers.unsigned()?.to_vec()))
}

/// d, p, q, dP, dQ, qInv of an RSAPrivateKey (RFC 8017 §A.1.2) within a PrivateKeyInfo (RFC 5208 §5).
fn rsa_numbers(pkcs8: &[u8]) -> Option<[Vec<u8>; 6]> {
    let mut info = Reader::sequence(pkcs8)?;
    info.unsigned()?;
    info.nested()?;
    let mut numbers = Reader::sequence(info.octets()?)?;
    for _version_n_e in 0..3 {
        numbers.unsigned()?;
    }
    let mut next = || numbers.unsigned().map(<[u8]>::to_vec);
    Some([next()?, next()?, next()?, next()?, next()?, next()?])
}

fn member<'a>(jwk: &'a Value, name: &str) -> Result<&'a str, MintError> {
    jwk.get(name).and_then(Value::as_str).ok_or(MintError::Key("a member of the private key is missing"))
}

fn number(jwk: &Value, name: &str) -> Result<Vec<u8>, MintError> {
    base64url::decode(member(jwk, name)?)
        .ok_or(MintError::Key("a number of the private key is not base64url"))
}
