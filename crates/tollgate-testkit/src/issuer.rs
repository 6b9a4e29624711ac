//! An issuer of tokens that does what a test tells it to: OIDC discovery, a key set, RFC 7662 introspection, tokens for
//! machines by RFC 6749 section 4.4.
//!
//! ```no_run
//! use serde_json::json;
//! use tollgate_testkit::Issuer;
//!
//! let issuer = Issuer::start();                          // one RS256 key
//! let good = issuer.token(json!({ "sub": "u1" }));       // iss, aud, iat, exp are filled in
//! let eternal = issuer.token(json!({ "exp": null }));    // null leaves a claim out
//! issuer.rotate();                                       // another key; `good` is no longer in the set
//! issuer.down();                                         // refuses connections
//! issuer.up();                                           // the same address again
//! ```

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::Client;
use crate::origin::{Conn, Origin, Seen};
use crate::port::Port;
use crate::signing_key::SigningKey;
use crate::wait::{pause, wait_for};

/// The audience that its tokens are for unless they say otherwise.
pub const AUDIENCE: &str = "api";
/// The name that introspection and the token endpoint ask for.
pub const CLIENT_ID: &str = "gate:way";
/// The secret that they ask for; with characters that RFC 6749 section 2.3.1 wants encoded.
pub const CLIENT_SECRET: &str = "introspection s3cret/with:odd+characters%";
/// How long its tokens are good unless they say otherwise.
const LIFE_S: u64 = 3600;
/// Larger than any key set a gateway should take.
const OVERSIZED_BYTES: usize = 3 * 1024 * 1024;
/// Paths of its endpoints.
const DISCOVERY: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/jwks";
const INTROSPECTION: &str = "/introspect";
const TOKEN: &str = "/token";

/// A running issuer; it stops when dropped.
pub struct Issuer {
    port: Port,
    /// `None` while it is down.
    server: Mutex<Option<Origin>>,
    state: Arc<Mutex<State>>,
}

/// What the connections' threads read and the test writes.
struct State {
    url: String,
    keys: Vec<Arc<SigningKey>>,
    /// Members of the key set beside those of `keys`.
    extra: Vec<Value>,
    /// Numbers the keys over the issuer's life, so that no `kid` comes back.
    made: usize,
    mood: Mood,
    delay: Duration,
    /// What the discovery document says instead of `url`.
    named: Option<String>,
    /// What is known about opaque tokens.
    opaque: HashMap<String, Value>,
    /// Seconds that the tokens of the token endpoint are said to live; null says nothing.
    granted_life: Value,
    /// Tokens granted so far.
    granted: usize,
    /// The form that came last to the token endpoint.
    asked: HashMap<String, String>,
    counts: BTreeMap<String, usize>,
}

/// How the endpoints answer.
#[derive(Clone, Copy)]
enum Mood {
    Well,
    /// 200 with something that is no JSON.
    Garbage,
    /// 200 with good JSON of some MiB.
    Oversized,
    /// This status, with the body that would be right.
    Status(u16),
}

impl Issuer {
    /// An issuer with one RS256 key.
    pub fn start() -> Issuer {
        Issuer::with_keys(&["RS256"])
    }

    /// An issuer with a key for each of these algorithms, their ids `key-1`, `key-2`, ….
    pub fn with_keys(algorithms: &[&'static str]) -> Issuer {
        let issuer = Issuer::down_at_first(algorithms);
        issuer.up();
        issuer
    }

    /// The same, not yet listening: its address is known, and [`Issuer::up`] starts it.
    pub fn down_at_first(algorithms: &[&'static str]) -> Issuer {
        let port = Port::reserve();
        let mut state = State {
            url: format!("http://{}", port.address()),
            keys: Vec::new(),
            extra: Vec::new(),
            made: 0,
            mood: Mood::Well,
            delay: Duration::ZERO,
            named: None,
            opaque: HashMap::new(),
            granted_life: json!(LIFE_S),
            granted: 0,
            asked: HashMap::new(),
            counts: BTreeMap::new(),
        };
        for algorithm in algorithms {
            state.add(algorithm);
        }
        Issuer { port, server: Mutex::new(None), state: Arc::new(Mutex::new(state)) }
    }

    /// The issuer's name, which is where it is: `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        self.lock().url.clone()
    }

    /// Where its keys are.
    pub fn jwks_url(&self) -> String {
        self.url() + JWKS
    }

    /// Where opaque tokens are asked about, as [`CLIENT_ID`] with [`CLIENT_SECRET`].
    pub fn introspection_url(&self) -> String {
        self.url() + INTROSPECTION
    }

    /// Where [`CLIENT_ID`] with [`CLIENT_SECRET`], by HTTP Basic or in the form, gets tokens for itself: `granted-1`,
    /// `granted-2`, ….
    pub fn token_url(&self) -> String {
        self.url() + TOKEN
    }

    /// From now on such tokens are said to live so many seconds; null says nothing.
    pub fn granted_life(&self, seconds: Value) {
        self.lock().granted_life = seconds;
    }

    /// The form that came last to the token endpoint.
    pub fn asked(&self) -> HashMap<String, String> {
        self.lock().asked.clone()
    }

    /// How often a token was asked for there.
    pub fn count_token(&self) -> usize {
        self.count(TOKEN)
    }

    /// A token of the first key. `iss`, `aud`, `iat` and `exp` are filled in; a claim that is null is left out.
    #[track_caller]
    pub fn token(&self, claims: Value) -> String {
        self.key().token(&self.claims(claims))
    }

    /// The claims of such a token.
    #[track_caller]
    pub fn claims(&self, claims: Value) -> Value {
        let now = now_unix_s();
        let mut all = json!({ "iss": self.url(), "aud": AUDIENCE, "iat": now, "exp": now + LIFE_S });
        let (Some(all_claims), Value::Object(own)) = (all.as_object_mut(), &claims) else {
            panic!("claims are an object, not {claims}")
        };
        all_claims.extend(own.clone());
        all_claims.retain(|_, value| !value.is_null());
        all
    }

    /// The first key that is in use.
    #[track_caller]
    pub fn key(&self) -> Arc<SigningKey> {
        self.lock().keys.first().cloned().expect("the issuer has a key")
    }

    /// The first key for an algorithm.
    #[track_caller]
    pub fn key_for(&self, algorithm: &str) -> Arc<SigningKey> {
        let found = self.lock().keys.iter().find(|key| key.algorithm == algorithm).cloned();
        found.unwrap_or_else(|| panic!("the issuer has no key for {algorithm}"))
    }

    /// Replaces every key by a new one for the same algorithm: what was signed before is no longer good.
    pub fn rotate(&self) {
        let mut state = self.lock();
        for old in std::mem::take(&mut state.keys) {
            state.add(old.algorithm);
        }
    }

    /// Puts a new key first and keeps the others in the set, as issuers do: what was signed before stays good.
    pub fn add_key(&self, algorithm: &'static str) -> Arc<SigningKey> {
        let mut state = self.lock();
        state.add(algorithm);
        state.keys.rotate_right(1);
        state.keys[0].clone()
    }

    /// Puts this key first, for ids that a test chooses.
    pub fn use_key(&self, key: SigningKey) -> Arc<SigningKey> {
        let key = Arc::new(key);
        self.lock().keys.insert(0, key.clone());
        key
    }

    /// Takes a key out of the set.
    pub fn remove_key(&self, id: &str) {
        self.lock().keys.retain(|key| key.id != id);
    }

    /// Adds a member to the key set as it is, usable or not.
    pub fn add_jwk(&self, jwk: Value) {
        self.lock().extra.push(jwk);
    }

    /// The key set as it is served.
    pub fn jwks(&self) -> Value {
        self.lock().jwks()
    }

    /// What introspection says about an opaque token; `null` forgets it. `{"active": true}` is added where it is missing.
    pub fn set_opaque(&self, token: &str, mut answer: Value) {
        let mut state = self.lock();
        if answer.is_null() {
            state.opaque.remove(token);
            return;
        }
        if answer.get("active").is_none() {
            answer["active"] = json!(true);
        }
        state.opaque.insert(token.to_owned(), answer);
    }

    /// Stops listening and ends every connection; who connects is refused.
    #[track_caller]
    pub fn down(&self) {
        drop(self.server.lock().unwrap_or_else(PoisonError::into_inner).take());
        wait_for("the issuer to be down", || Client::try_connect(&self.port.address()).is_err());
    }

    /// Listens (again), at the same address.
    pub fn up(&self) {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state.clone();
        server.get_or_insert_with(|| Origin::start_at(&self.port.address(), move |conn| serve(conn, &state)));
    }

    /// From now on answers 200 with something that is no JSON.
    pub fn garbage(&self) {
        self.lock().mood = Mood::Garbage;
    }

    /// From now on answers 200 with good JSON of 3 MiB.
    pub fn oversized(&self) {
        self.lock().mood = Mood::Oversized;
    }

    /// From now on answers with this status, and the body that would be right.
    pub fn status(&self, status: u16) {
        self.lock().mood = Mood::Status(status);
    }

    /// From now on lets this much time pass before each answer.
    pub fn slow(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// From now on the discovery document names another issuer.
    pub fn wrong_issuer(&self) {
        self.lock().named = Some("https://another.example.com/".to_owned());
    }

    /// From now on answers well and at once.
    pub fn well(&self) {
        let mut state = self.lock();
        (state.mood, state.delay, state.named) = (Mood::Well, Duration::ZERO, None);
    }

    /// How many requests for a path have come.
    pub fn count(&self, path: &str) -> usize {
        self.lock().counts.get(path).copied().unwrap_or_default()
    }

    /// How often the keys were fetched.
    pub fn count_jwks(&self) -> usize {
        self.count(JWKS)
    }

    /// How often the discovery document was fetched.
    pub fn count_discovery(&self) -> usize {
        self.count(DISCOVERY)
    }

    /// How often introspection was asked.
    pub fn count_introspection(&self) -> usize {
        self.count(INTROSPECTION)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn add(&mut self, algorithm: &'static str) {
        self.made += 1;
        self.keys.push(Arc::new(SigningKey::generate(algorithm, &format!("key-{}", self.made))));
    }

    fn jwks(&self) -> Value {
        let keys: Vec<Value> = self.keys.iter().map(|key| key.jwk()).chain(self.extra.clone()).collect();
        json!({ "keys": keys })
    }

    /// What a request is answered when all is well.
    fn answer(&mut self, seen: &Seen, path: &str) -> (u16, Value) {
        match (seen.method(), path) {
            ("GET", DISCOVERY) => {
                let url = &self.url;
                let document = json!({
                    "issuer": self.named.as_ref().unwrap_or(url),
                    "jwks_uri": format!("{url}{JWKS}"),
                    "introspection_endpoint": format!("{url}{INTROSPECTION}"),
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                });
                (200, document)
            }
            ("GET", JWKS) => (200, self.jwks()),
            ("POST", INTROSPECTION) if !authenticates(seen) => (401, json!({ "error": "invalid_client" })),
            ("POST", INTROSPECTION) => {
                let token = form(&seen.body).remove("token").unwrap_or_default();
                (200, self.opaque.get(&token).cloned().unwrap_or(json!({ "active": false })))
            }
            ("POST", TOKEN) => {
                self.asked = form(&seen.body);
                let own = [("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
                let told =
                    own.iter().all(|(name, value)| self.asked.get(*name).is_some_and(|told| told == value));
                if !told && !authenticates(seen) {
                    return (401, json!({ "error": "invalid_client" }));
                }
                if self.asked.get("grant_type").is_none_or(|kind| kind != "client_credentials") {
                    return (400, json!({ "error": "unsupported_grant_type" }));
                }
                self.granted += 1;
                let token = format!("granted-{}", self.granted);
                let mut answer = json!({ "access_token": token, "token_type": "Bearer" });
                if !self.granted_life.is_null() {
                    answer["expires_in"] = self.granted_life.clone();
                }
                (200, answer)
            }
            _ => (404, json!({ "error": "not_found" })),
        }
    }
}

fn serve(conn: &mut Conn, state: &Mutex<State>) -> io::Result<()> {
    loop {
        let seen = conn.request()?;
        let path = seen.target().split('?').next().unwrap_or_default();
        let (status, body, delay) = {
            let mut state = lock(state);
            *state.counts.entry(path.to_owned()).or_default() += 1;
            let (status, body) = state.answer(&seen, path);
            let (status, body) = match state.mood {
                Mood::Well => (status, body.to_string()),
                Mood::Status(status) => (status, body.to_string()),
                Mood::Garbage => (200, "<html>the issuer is being repaired".to_owned()),
                Mood::Oversized => (200, oversized(body)),
            };
            (status, body, state.delay)
        };
        pause(delay);
        let length = body.len();
        conn.send(format!(
            "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ))?;
    }
}

/// The same JSON with a member that only takes room.
fn oversized(mut body: Value) -> String {
    body["padding"] = json!("x".repeat(OVERSIZED_BYTES));
    body.to_string()
}

/// RFC 6749 section 2.3.1: both parts are form-encoded before they are joined.
fn authenticates(seen: &Seen) -> bool {
    let basic = seen.header("authorization").and_then(|value| value.strip_prefix("Basic "));
    let decoded = basic.and_then(|text| STANDARD.decode(text).ok()).and_then(|b| String::from_utf8(b).ok());
    let parts = decoded.as_deref().and_then(|pair| pair.split_once(':'));
    parts.is_some_and(|(id, secret)| unescape(id) == CLIENT_ID && unescape(secret) == CLIENT_SECRET)
}

fn form(body: &[u8]) -> HashMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (unescape(name), unescape(value))).collect()
}

/// `application/x-www-form-urlencoded`, decoded. What is not encoded right stays as it is.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        let hex = more.get(..2).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &more[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(byte),
        }
        rest = more;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Seconds since 1970.
pub fn now_unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
