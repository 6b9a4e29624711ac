//! What the measurements of identity need from the gateway's crates: tokens, good and bad, and the time of one
//! signature check. The bench driver runs it; it is an example so that the tasks do not link the gateway.
//!
//! `tokens make FOLDER COUNT` writes `jwks.json` and lists of tokens, one a line. `tokens sign KEY ISSUER AUDIENCE OWNERS COUNT`
//! prints tokens that the private key in that file signed, each another one. `tokens check` prints microseconds.

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256};
use serde_json::json;
use tollgate_token::Algorithm;
use tollgate_token::mint::{Signer, public_jwks};

/// Different owners of tokens: enough to be many, few enough that what is counted for each stays in the cache.
const OWNERS: usize = 64;
/// Bytes that a token's signature usually covers.
const SIGNED_BYTES: usize = 550;
/// Batches of checks, and checks in each; the median batch counts.
const BATCHES: usize = 21;
const CHECKS: u32 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["make", folder, count] => make(Path::new(folder), count.parse()?),
        ["sign", key, issuer, audience, owners, count] => {
            sign(Path::new(key), issuer, audience, owners.parse()?, count.parse()?)
        }
        ["check"] => {
            let micros = check()?.as_secs_f64() * 1e6;
            Ok(writeln!(std::io::stdout(), "{micros:.3}")?)
        }
        _ => {
            Err("tokens make FOLDER COUNT, tokens sign KEY ISSUER AUDIENCE OWNERS COUNT, or tokens check"
                .into())
        }
    }
}

fn make(folder: &Path, count: usize) -> Result<(), Box<dyn Error>> {
    let (ours, others) = (Signer::generate(Algorithm::RS256)?, Signer::generate(Algorithm::RS256)?);
    fs::write(folder.join("jwks.json"), public_jwks(&[&ours]).to_string())?;
    let good = (0..count).map(|number| ours.sign(&claims(number), Some(ours.kid())));
    let good: Vec<String> = good.collect::<Result<_, _>>()?;
    let unknown = (0..OWNERS).map(|number| others.sign(&claims(number), Some(others.kid())));
    let forged = (0..OWNERS).map(|number| others.sign(&claims(number), Some(ours.kid())));
    // In three parts, and of the usual length; the parts are base64url, and not JSON.
    let garbage = (0..OWNERS).map(|number| format!("{0}{number}.{0}{0}{0}{0}.{0}{0}{0}", "xYz0".repeat(25)));
    // Of letters alone: it stands in configurations of several languages.
    let secret = "benchmarksecretbenchmarksecretbenchmarksecret";
    let shared = Signer::from_secret(Algorithm::HS256, secret.as_bytes())?;
    let shared = (0..count).map(|number| shared.sign(&claims(number), None)).collect::<Result<_, _>>()?;
    fs::write(folder.join("hs256.secret"), secret)?;
    for (name, tokens) in [
        ("hs256", shared),
        ("few", good.iter().take(OWNERS).cloned().collect()),
        ("many", good),
        ("unknown", unknown.collect::<Result<Vec<_>, _>>()?),
        ("forged", forged.collect::<Result<Vec<_>, _>>()?),
        ("garbage", garbage.collect()),
    ] {
        fs::write(folder.join(format!("{name}.txt")), tokens.join("\n"))?;
    }
    Ok(())
}

fn sign(key: &Path, issuer: &str, audience: &str, owners: usize, count: usize) -> Result<(), Box<dyn Error>> {
    let signer = Signer::from_jwk(&serde_json::from_slice(&fs::read(key)?)?)?;
    let mut out = std::io::stdout().lock();
    for number in 0..count {
        let mut claims = claims(number);
        claims["iss"] = issuer.into();
        claims["aud"] = audience.into();
        claims["sub"] = format!("user-{}", number % owners.max(1)).into();
        writeln!(out, "{}", signer.sign(&claims, Some(signer.kid()))?)?;
    }
    Ok(())
}

fn claims(number: usize) -> serde_json::Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let owner = number % OWNERS;
    json!({
        "iss": "https://id.example.com/", "aud": "bench", "sub": format!("user-{owner}"), "jti": format!("{number:016x}"),
        "iat": now, "exp": now + 24 * 3600, "scope": "orders:read orders:write", "email": format!("user-{owner}@example.com"),
        "realm_access": { "roles": ["customer", "offline_access"] },
    })
}

/// One RS256 check with a key that is parsed already: what nobody can do without.
fn check() -> Result<Duration, Box<dyn Error>> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
    let message = vec![b'm'; SIGNED_BYTES];
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &message, &mut signature)?;
    let der: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
    let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.as_ref())?;
    let mut batches = Vec::new();
    for _ in 0..BATCHES {
        let begun = Instant::now();
        for _ in 0..CHECKS {
            key.verify_sig(&message, &signature)?;
        }
        batches.push(begun.elapsed() / CHECKS);
    }
    batches.sort_unstable();
    Ok(batches[BATCHES / 2])
}
