//! Credentials that tests carry, and the keys that prove them: made for one run, and never good anywhere else. No secret of the
//! configuration signs one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use serde_json::{Map, Value, json};
use tollgate_plan::Plan;
use tollgate_plan::consumer::ConsumerId;
use tollgate_plan::issuer::{Issuer, IssuerId, TokenCheck};
use tollgate_plan::proof::{Proof, ProofToken};
use tollgate_token::mint::{self, MintError, Signer};
use tollgate_token::{Algorithm, Algorithms, Audience, KeySet};

/// How long a token is good that does not say it.
const LIFE_S: u64 = 3600;

/// Whoever signs in the place of an issuer.
enum Hand {
    /// With a key made for this run; the gateway of the tests knows the public half, or the secret, in place of the
    /// configuration's.
    Own(Box<Signer>, Arc<KeySet>),
    /// By word: the stub of the issuer is asked about each token.
    Word,
}

/// What signs and is known in one run.
pub(super) struct Keys {
    hands: HashMap<IssuerId, Hand>,
    /// Opaque tokens, and what their issuer says of them.
    words: Arc<Mutex<HashMap<String, Value>>>,
    /// In the place of keys that nobody has the private half of.
    none: Arc<KeySet>,
}

impl Keys {
    /// For the tokens of these tests.
    pub(super) fn new(plan: &Plan, proofs: &[&Proof]) -> Result<Keys, String> {
        let mut hands = HashMap::new();
        for token in proofs.iter().filter_map(|proof| proof.request.token.as_ref()) {
            let issuer = plan.issuers.get(usize::from(token.issuer.0));
            let (Some(issuer), false) = (issuer, hands.contains_key(&token.issuer)) else { continue };
            let hand = hand(issuer).map_err(|error| format!("no key for `{}`: {error}", issuer.name))?;
            hands.insert(token.issuer, hand);
        }
        let none = key_set(&[], Algorithms::default()).map_err(|error| error.to_string())?;
        Ok(Keys { hands, words: Arc::default(), none })
    }

    /// What the gateway of the tests checks the issuer's tokens with, where it is not what the configuration says.
    pub(super) fn known(&self, id: IssuerId, issuer: &Issuer) -> Option<Arc<KeySet>> {
        match (self.hands.get(&id), &issuer.check) {
            (Some(Hand::Own(_, known)), _) => Some(known.clone()),
            // Nobody is to be asked, and no test has a token of it.
            (None, TokenCheck::Fetched(_)) => Some(self.none.clone()),
            _ => None,
        }
    }

    /// What issuers say of opaque tokens, for their stub.
    pub(super) fn words(&self) -> Arc<Mutex<HashMap<String, Value>>> {
        self.words.clone()
    }

    /// The token that a test asks for.
    pub(super) fn token(&self, plan: &Plan, token: &ProofToken) -> Result<String, String> {
        let issuer = plan.issuers.get(usize::from(token.issuer.0)).ok_or("the issuer is gone")?;
        let hand = self.hands.get(&token.issuer).ok_or("the issuer has no key")?;
        let claims = claims(issuer, &token.claims)?;
        let signed = match hand {
            Hand::Own(signer, _) => {
                signer.sign_raw(&header(issuer, signer.algorithm(), signer.kid()), &bytes(&claims))
            }
            Hand::Word => return Ok(self.say(claims)),
        };
        signed.map_err(|error| error.to_string())
    }

    /// An opaque token, of which the issuer will say this.
    fn say(&self, mut claims: Value) -> String {
        if let Some(claims) = claims.as_object_mut() {
            claims.entry("active").or_insert(true.into());
        }
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let token = format!("opaque-token-of-a-test-{}", words.len() + 1);
        words.insert(token.clone(), claims);
        token
    }
}

/// The API key of a consumer in tests.
pub(super) fn api_key(ConsumerId(at): ConsumerId) -> String {
    format!("tg_keyOfATest{at}")
}

/// What the gateway finds it by.
pub(super) fn key_hash(consumer: ConsumerId) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, api_key(consumer).as_bytes());
    hash.as_ref().try_into().unwrap_or_default()
}

fn hand(issuer: &Issuer) -> Result<Hand, MintError> {
    if matches!(issuer.check, TokenCheck::Introspection(_)) {
        return Ok(Hand::Word);
    }
    let allowed = issuer.expect.algorithms;
    // Curves are quicker than RSA, of which a key alone takes a while.
    let quick = |algorithm: &Algorithm| algorithm.as_str().starts_with('E');
    let chosen = allowed.iter().find(quick).or_else(|| allowed.iter().find(|one| !one.is_hmac()));
    let signer = match chosen.or_else(|| allowed.iter().next()) {
        Some(algorithm) => Signer::generate(algorithm)?,
        None => return Err(MintError::Key("the issuer allows no algorithm")),
    };
    let known = key_set(&[&signer], allowed)?;
    Ok(Hand::Own(Box::new(signer), known))
}

/// What proves the tokens of these.
fn key_set(signers: &[&Signer], allowed: Algorithms) -> Result<Arc<KeySet>, MintError> {
    let mut set = mint::public_jwks(signers);
    for signer in signers.iter().filter(|signer| signer.algorithm().is_hmac()) {
        let key = signer.to_private_jwk()?;
        if let Some(keys) = set["keys"].as_array_mut() {
            keys.push(key);
        }
    }
    let read = KeySet::from_jwks(set.to_string().as_bytes(), allowed);
    read.map(|(keys, _)| Arc::new(keys)).map_err(|_| MintError::Key("the key cannot be read back"))
}

fn header(issuer: &Issuer, algorithm: Algorithm, kid: &str) -> Vec<u8> {
    let typ = issuer.expect.typ.as_deref().unwrap_or("JWT");
    bytes(&json!({ "alg": algorithm.as_str(), "typ": typ, "kid": kid }))
}

/// What a good token of the issuer says, and over it what the test wants.
fn claims(issuer: &Issuer, own: &str) -> Result<Value, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut claims = Map::new();
    claims.extend(issuer.expect.issuer.iter().map(|name| ("iss".to_owned(), Value::from(&**name))));
    if let Audience::AnyOf(names) = &issuer.expect.audience {
        claims.extend(names.first().map(|name| ("aud".to_owned(), Value::from(&**name))));
    }
    claims.insert("iat".to_owned(), now.into());
    claims.insert("exp".to_owned(), now.saturating_add(LIFE_S).into());
    let own: Map<String, Value> = serde_json::from_str(own).map_err(|error| error.to_string())?;
    claims.extend(own);
    claims.retain(|_, value| !value.is_null());
    Ok(Value::Object(claims))
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
