//! One JSON Web Key (RFC 7517, RFC 7518 §6, RFC 8037) to a key.
//!
//! Only public members are read, and `k` of a secret. What a key says about itself can only narrow its use.

use crate::algorithm::{Algorithm, Algorithms};
use crate::base64url;
use crate::document::{Json, Object};
use crate::key::{Curve, Key, Material, Unusable};

/// The key, for those of `allowed` that it fits. No object: not a key at all.
pub(crate) fn key(jwk: Option<Object<'_>>, allowed: Algorithms) -> Result<Key, Unusable> {
    let jwk = jwk.ok_or(Unusable::Malformed("not a JSON object"))?;
    let id = match jwk.get("kid") {
        None => None,
        Some(Json::String(id)) => Some(id.into()),
        Some(_) => return Err(Unusable::Malformed("`kid` is not a string")),
    };
    check_purpose(jwk)?;
    let material = material(jwk)?;
    let mut allowed = allowed;
    if let Some(bound) = jwk.get("alg") {
        let bound: Algorithm = text(bound)?.parse().map_err(|_| Unusable::Algorithm)?;
        if !material.fits(bound) {
            return Err(Unusable::Algorithm);
        }
        allowed = allowed.iter().filter(|algorithm| *algorithm == bound).collect();
    }
    if let Material::Secret(secret) = &material {
        // RFC 7518 §3.2: a secret is at least as long as the hash.
        let long_enough = |algorithm: &Algorithm| secret.len() >= algorithm.hash_bytes();
        if allowed.has_hmac()
            && !allowed.iter().filter(|algorithm| algorithm.is_hmac()).any(|a| long_enough(&a))
        {
            return Err(Unusable::SecretSize);
        }
        allowed = allowed.iter().filter(long_enough).collect();
    }
    Key::new(id, &material, allowed)
}

/// `use` must be `sig` and `key_ops` name `verify`, where they stand (RFC 7517 §4.2, §4.3).
fn check_purpose(jwk: Object<'_>) -> Result<(), Unusable> {
    if jwk.get("use").is_some_and(|purpose| purpose.as_str() != Some("sig")) {
        return Err(Unusable::Purpose);
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Json::List(operations)) if operations.iter().any(|one| one.as_str() == Some("verify")) => Ok(()),
        Some(_) => Err(Unusable::Purpose),
    }
}

fn material(jwk: Object<'_>) -> Result<Material, Unusable> {
    let kty = text(jwk.get("kty").ok_or(Unusable::Malformed("no `kty`"))?)?;
    match kty {
        "RSA" => Ok(Material::Rsa { n: number(jwk, "n")?, e: number(jwk, "e")? }),
        "EC" => {
            let crv = curve(jwk)?;
            let curve =
                [Curve::P256, Curve::P384, Curve::P521].into_iter().find(|curve| curve.as_str() == crv);
            let curve = curve.ok_or(Unusable::Curve)?;
            let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
            if x.len() != curve.field_bytes() || y.len() != curve.field_bytes() {
                return Err(Unusable::Malformed("a coordinate is not as long as its curve's field"));
            }
            let uncompressed = 4u8;
            Ok(Material::Ec { curve, point: [&[uncompressed], &x[..], &y[..]].concat() })
        }
        "OKP" => match curve(jwk)? {
            "Ed25519" => {
                let x = bytes(jwk, "x")?;
                if x.len() != 32 {
                    return Err(Unusable::Malformed("`x` of an Ed25519 key is not 32 bytes"));
                }
                Ok(Material::Ed25519(x))
            }
            _ => Err(Unusable::Curve),
        },
        "oct" => Ok(Material::Secret(bytes(jwk, "k")?)),
        _ => Err(Unusable::Type),
    }
}

fn curve(jwk: Object<'_>) -> Result<&str, Unusable> {
    text(jwk.get("crv").ok_or(Unusable::Malformed("no `crv`"))?)
}

fn text(value: Json<'_>) -> Result<&str, Unusable> {
    value.as_str().ok_or(Unusable::Malformed("a member that must be a string is none"))
}

fn bytes(jwk: Object<'_>, name: &str) -> Result<Vec<u8>, Unusable> {
    let value = jwk.get(name).ok_or(Unusable::Malformed("a number of the key is missing"))?;
    base64url::decode(text(value)?).ok_or(Unusable::Malformed("a number of the key is not base64url"))
}

/// An unsigned integer. Zero octets in front are against RFC 7518 §2, but some issuers write them, and they change
/// nothing.
fn number(jwk: Object<'_>, name: &str) -> Result<Vec<u8>, Unusable> {
    let mut bytes = bytes(jwk, name)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros);
    Ok(bytes)
}
