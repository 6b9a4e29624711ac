//! `tollgate token`: tokens for development, signed with a key of one's own or with the issuer's secret.

mod files;
mod issuer;

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tollgate_token::mint::{self, MintError, Signer};
use tollgate_token::{Algorithm, Key, TokenError};

use crate::cli::TokenArgs;
use crate::output;

use issuer::Issuer;

/// Why there is no token; without a message when all has been shown already.
struct No(Option<String>);

impl From<String> for No {
    fn from(message: String) -> No {
        No(Some(message))
    }
}

impl From<MintError> for No {
    fn from(error: MintError) -> No {
        No(Some(error.to_string()))
    }
}

/// Who signs.
enum By {
    /// A key of one's own.
    Own(Box<Signer>),
    /// The issuer's secret, as it stands in the configuration.
    Secret(Key, Algorithm),
}

struct Minted {
    token: String,
    claims: Value,
    jwks: Value,
}

pub(super) fn token(arguments: &TokenArgs) -> ExitCode {
    match make(arguments) {
        Ok(Minted { token, claims, jwks }) => {
            let written = if arguments.output.json {
                output::json(&json!({ "token": token, "claims": claims, "jwks": jwks }))
            } else {
                output::out(&format!("{token}\n"))
            };
            written.exit(true)
        }
        Err(No(message)) => {
            match message {
                Some(message) => output::failed(arguments.output.json, message),
                None => output::failed_as_told(arguments.output.json),
            }
            ExitCode::FAILURE
        }
    }
}

fn make(arguments: &TokenArgs) -> Result<Minted, No> {
    let own = arguments.key.as_deref().map(files::read_key).transpose()?.flatten();
    let issuer = issuer::find(arguments)?;
    let by = signer(arguments, &issuer, own)?;
    let jwks = match &by {
        By::Own(signer) => mint::public_jwks(&[signer]),
        By::Secret(..) => mint::public_jwks(&[]),
    };
    let claims = claims(arguments, &issuer);
    let token = by.sign(&issuer, &claims)?;
    if let Some(path) = &arguments.jwks {
        match by.algorithm() {
            secret if secret.is_hmac() => {
                output::warning(format!(
                    "{secret} has no public key: nothing is written to {}",
                    path.display()
                ));
            }
            _ => files::add_to_jwks(path, &jwks)?,
        }
    } else if arguments.key.is_none() && !by.algorithm().is_hmac() && !arguments.output.json {
        output::err(&format!("For `jwks_file`, since the key is made for this token alone:\n{jwks}\n"));
    }
    warn(arguments, &issuer, &token);
    Ok(Minted { token, claims, jwks })
}

/// The key of the file, the issuer's secret, or a new key, which the file then gets.
fn signer(arguments: &TokenArgs, issuer: &Issuer, own: Option<Signer>) -> Result<By, No> {
    let theirs = own.as_ref().map(Signer::algorithm);
    let algorithm = arguments.alg.or(theirs).or(issuer.expect.algorithms.first()).unwrap_or(Algorithm::RS256);
    if !issuer.expect.algorithms.contains(algorithm) {
        let names: Vec<&str> = issuer.expect.algorithms.iter().map(Algorithm::as_str).collect();
        return Err(No::from(format!("the issuer allows {}, and not {algorithm}", names.join(", "))));
    }
    if let Some(own) = own {
        if own.algorithm() != algorithm {
            return Err(No::from(format!("the key in the file is for {}, not {algorithm}", own.algorithm())));
        }
        return Ok(By::Own(Box::new(own)));
    }
    if let (Some(keys), None) = (&issuer.keys, &arguments.key)
        && let Some(key) =
            keys.keys().iter().find(|key| algorithm.is_hmac() && key.algorithms().contains(algorithm))
    {
        return Ok(By::Secret(key.clone(), algorithm));
    }
    if algorithm.is_hmac() && arguments.key.is_none() {
        return Err(No::from(format!(
            "{algorithm} needs the issuer's `secret` or a --key FILE to keep the secret in"
        )));
    }
    let signer = Signer::generate(algorithm)?;
    if let Some(path) = &arguments.key {
        files::write_key(path, &signer)?;
    }
    Ok(By::Own(Box::new(signer)))
}

impl By {
    fn algorithm(&self) -> Algorithm {
        match self {
            By::Own(signer) => signer.algorithm(),
            By::Secret(_, algorithm) => *algorithm,
        }
    }

    fn sign(&self, issuer: &Issuer, claims: &Value) -> Result<String, No> {
        let typ = issuer.expect.typ.as_deref().unwrap_or("JWT");
        let id = match self {
            By::Own(signer) => Some(signer.kid()),
            By::Secret(key, _) => key.id(),
        };
        let mut header = Map::new();
        header.insert("alg".to_owned(), self.algorithm().as_str().into());
        header.insert("typ".to_owned(), typ.into());
        header.extend(id.map(|id| ("kid".to_owned(), id.into())));
        let (header, payload) = (Value::Object(header).to_string(), claims.to_string());
        Ok(match self {
            By::Own(signer) => signer.sign_raw(header.as_bytes(), payload.as_bytes())?,
            By::Secret(key, algorithm) => {
                mint::sign_with_secret(key, *algorithm, header.as_bytes(), payload.as_bytes())?
            }
        })
    }
}

/// What every token says, and over it what was asked for.
fn claims(arguments: &TokenArgs, issuer: &Issuer) -> Value {
    let now = now_unix_s();
    let mut claims = Map::new();
    claims.extend(issuer.iss.iter().map(|name| ("iss".to_owned(), name.as_str().into())));
    claims.extend(issuer.aud.iter().map(|name| ("aud".to_owned(), name.as_str().into())));
    claims.insert("iat".to_owned(), now.into());
    claims.insert("exp".to_owned(), now.saturating_add(arguments.ttl).into());
    claims.extend(arguments.claims.iter().cloned());
    claims.retain(|_, value| !value.is_null());
    Value::Object(claims)
}

/// Says when the gateway will refuse the token, which may well be meant.
fn warn(arguments: &TokenArgs, issuer: &Issuer, token: &str) {
    let Some(name) = &arguments.issuer else { return };
    let Some(keys) = &issuer.keys else {
        output::warning(format!(
            "the issuer `{name}` is asked for its keys: the token is good only where `jwks_file` names this key's set"
        ));
        return;
    };
    let now = i64::try_from(now_unix_s()).unwrap_or(i64::MAX);
    match tollgate_token::verify(token, keys, &issuer.expect, now) {
        Ok(_) => {}
        // The file that was just written may be the one that the configuration names.
        Err(TokenError::KeyUnknown) if arguments.jwks.is_some() => {}
        Err(error) => output::warning(format!("the gateway will refuse this token: {error}")),
    }
}

fn now_unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
