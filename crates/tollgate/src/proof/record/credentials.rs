//! What a test may hold of the credentials that a request carried: who they were of, and never themselves.

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use tollgate_plan::auth::{Auth, Place};
use tollgate_plan::issuer::{IssuerId, TokenCheck};
use tollgate_plan::query::{Pair, pairs};
use tollgate_plan::route::Route;
use tollgate_plan::{Plan, Reason};
use tollgate_proxy::{masked_header, masked_query};

use super::wishes::Wish;

/// Claims that say when and for whom a token was made: one that is made for a test says it itself.
const OF_THE_TOKEN: [&str; 6] = ["iss", "aud", "exp", "iat", "nbf", "jti"];

/// Claims that are looked at without the configuration's naming them.
const USUAL: [&str; 5] = ["sub", "scope", "scp", "roles", "groups"];

/// Bytes of the claims of one token.
const CLAIMS_BYTES_MAX: usize = 4096;

/// What is shorter is a part of too many words to be looked for as a secret.
const SECRET_BYTES_MIN: usize = 4;

/// In the place of credentials that were refused.
const NO_TOKEN: &str = "not-a-token";
const NO_KEY: &str = "not-a-key";
/// `nobody:not-a-password`.
const NO_PASSWORD: &str = "Basic bm9ib2R5Om5vdC1hLXBhc3N3b3Jk";

/// A request as a test may hold it.
#[derive(Default)]
pub(super) struct Carried {
    /// Path and query.
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) token: Option<Value>,
    pub(super) key: Option<String>,
    /// What is not as it was sent.
    pub(super) notes: Vec<String>,
    /// Whether a credential stands in the query.
    pub(super) in_query: bool,
    secrets: Vec<String>,
}

/// The configuration, for what tokens mean to it.
pub(super) struct World<'a> {
    pub(super) plan: &'a Plan,
    /// All of its text: a claim whose name is not in it decides nothing.
    pub(super) text: String,
}

impl Carried {
    /// Whether a text holds a credential of the request, or looks like one.
    pub(super) fn gives_away(&self, text: &str) -> bool {
        self.secrets.iter().any(|secret| text.contains(&**secret))
    }
}

/// What a test may hold of a request that `route` got; an error says why there can be no test.
pub(super) fn carry(
    wish: &Wish,
    route: Option<&Route>,
    reason: Option<Reason>,
    world: &World<'_>,
) -> Result<Carried, String> {
    let mut carried = Carried { path: wish.target.clone(), ..Carried::default() };
    let mut hidden: BTreeSet<String> = BTreeSet::new();
    for (name, value) in &wish.headers {
        let name = name.to_ascii_lowercase();
        if is_masked_header(world.plan, &name, value) {
            carried.hide_header(value);
            hidden.insert(name);
        } else {
            carried.headers.push((name, value.clone()));
        }
    }
    let auth = route.and_then(|route| route.auth.as_deref());
    if let Some(auth) = auth {
        let token = auth.token_from.iter().find_map(|place| Some((place, token_at(wish, place)?)));
        if let Some((place, token)) = token.filter(|_| !auth.issuers.is_empty()) {
            carried.hide(&token);
            carried.spend(place, &mut hidden);
            carried.with_token(&token, place, auth, reason, world)?;
        }
        if let Some((place, key)) = auth.api_key.as_ref().and_then(|place| Some((place, at(wish, place)?))) {
            carried.hide(&key);
            carried.spend(place, &mut hidden);
            carried.with_key(&key, place, reason, world.plan)?;
        }
        let basic = wish.header("authorization").filter(|value| scheme(value, "basic").is_some());
        if auth.basic && basic.is_some() {
            if reason != Some(Reason::BasicInvalid) {
                return Err(
                    "a password cannot be made for a test: write its `authorization` by hand".to_owned()
                );
            }
            hidden.remove("authorization");
            carried.headers.push(("authorization".to_owned(), NO_PASSWORD.to_owned()));
        }
    }
    let query = carried.path.split_once('?').map_or("", |(_, query)| query).to_owned();
    if let Some(name) = masked_parameter(world.plan, &query) {
        return Err(format!("its parameter `{name}` is a credential that no test can make"));
    }
    carried.notes.extend(hidden.iter().map(|name| format!("header `{name}` is left out")));
    Ok(carried)
}

impl Carried {
    fn hide(&mut self, secret: &str) {
        if secret.len() >= SECRET_BYTES_MIN {
            self.secrets.push(secret.to_owned());
        }
    }

    /// Of a header, each part that may be the credential.
    fn hide_header(&mut self, value: &str) {
        self.hide(value);
        let parts = value.split([' ', ';', ',']).filter(|part| !part.is_empty());
        parts
            .map(|part| part.split_once('=').map_or(part, |(_, value)| value))
            .for_each(|part| self.hide(part));
    }

    /// The place is the credential's that is made, or that stands for it: what was there is not told as left out.
    fn spend(&mut self, place: &Place, hidden: &mut BTreeSet<String>) {
        match place {
            Place::Header(name) => {
                hidden.remove(name.as_str());
                self.headers.retain(|(other, _)| other != name.as_str());
            }
            Place::Cookie(_) => {
                hidden.remove("cookie");
                self.notes.push("other cookies than that of the token are left out".to_owned());
            }
            Place::Query(name) => {
                self.in_query = true;
                let Some((path, query)) = self.path.split_once('?') else { return };
                let (own, rest): (Vec<&str>, Vec<&str>) = query.split('&').partition(|piece| {
                    let (name_of, _) = piece.split_once('=').unwrap_or((piece, ""));
                    Pair { name: name_of.as_bytes(), value: &[] }.is(name)
                });
                // As it was sent, which need not be how it is compared.
                let sent: Vec<String> =
                    own.iter().filter_map(|piece| Some(piece.split_once('=')?.1.to_owned())).collect();
                let rest = rest.join("&");
                self.path = if rest.is_empty() { path.to_owned() } else { format!("{path}?{rest}") };
                sent.iter().for_each(|value| self.hide(value));
            }
        }
    }

    /// Puts a text where a credential was.
    fn put(&mut self, place: &Place, text: &str) {
        match place {
            Place::Header(name) if name.as_str() == "authorization" => {
                self.headers.push(("authorization".to_owned(), format!("Bearer {text}")));
            }
            Place::Header(name) => self.headers.push((name.to_string(), text.to_owned())),
            Place::Cookie(name) => self.headers.push(("cookie".to_owned(), format!("{name}={text}"))),
            Place::Query(name) => {
                let sign = if self.path.contains('?') { '&' } else { '?' };
                self.path.push_str(&format!("{sign}{name}={text}"));
            }
        }
    }

    fn with_key(
        &mut self,
        key: &str,
        place: &Place,
        reason: Option<Reason>,
        plan: &Plan,
    ) -> Result<(), String> {
        if reason == Some(Reason::KeyUnknown) {
            // What is good for nobody here may be good elsewhere.
            self.put(place, NO_KEY);
            return Ok(());
        }
        let hash = digest::digest(&digest::SHA256, key.as_bytes());
        let consumer =
            <[u8; 32]>::try_from(hash.as_ref()).ok().and_then(|hash| plan.consumers.by_key.get(&hash));
        let consumer = consumer.and_then(|id| plan.consumers.get(*id));
        self.key = Some(consumer.ok_or("its key is of no consumer of the configuration")?.name.to_string());
        Ok(())
    }

    fn with_token(
        &mut self,
        token: &str,
        place: &Place,
        auth: &Auth,
        reason: Option<Reason>,
        world: &World<'_>,
    ) -> Result<(), String> {
        match reason {
            Some(Reason::TokenMalformed) => {
                self.put(place, NO_TOKEN);
                return Ok(());
            }
            Some(reason @ (Reason::TokenSignature | Reason::TokenKeyUnknown | Reason::TokenAlgorithm)) => {
                let code = reason.code();
                return Err(format!(
                    "its token was refused ({code}), and the tokens of tests are well signed"
                ));
            }
            _ => {}
        }
        let said = claims_of(token);
        let issuer = issuer(&said, auth, world.plan).ok_or("its token is of no issuer of the route")?;
        let opaque = said.is_empty();
        let mut claims: Map<String, Value> = said
            .iter()
            .filter(|(name, _)| !OF_THE_TOKEN.contains(&name.as_str()))
            .filter(|(name, _)| USUAL.contains(&name.as_str()) || world.text.contains(name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let as_sent = |name: &str| said.get(name).cloned().unwrap_or_default();
        match reason {
            Some(Reason::TokenExpired) => claims.insert("exp".to_owned(), 1.into()),
            // The year 2100.
            Some(Reason::TokenNotYetValid) => claims.insert("nbf".to_owned(), 4_102_444_800_u64.into()),
            Some(Reason::TokenAudience) => claims.insert("aud".to_owned(), as_sent("aud")),
            Some(Reason::TokenIssuer) => claims.insert("iss".to_owned(), as_sent("iss")),
            Some(Reason::TokenInactive) => claims.insert("active".to_owned(), false.into()),
            _ => None,
        };
        let claims = Value::Object(claims);
        if claims.to_string().len() > CLAIMS_BYTES_MAX {
            return Err(format!("the claims of its token have more than {CLAIMS_BYTES_MAX} bytes"));
        }
        if opaque {
            self.notes.push("what the issuer says of its opaque token is not known".to_owned());
        }
        let mut made = json!({});
        if world.plan.issuers.len() != 1 {
            made["issuer"] = issuer.into();
        }
        if claims.as_object().is_some_and(|claims| !claims.is_empty()) {
            made["claims"] = claims;
        }
        self.token = Some(made);
        Ok(())
    }
}

/// The name of the issuer, of those that the route takes tokens of.
fn issuer(claims: &Map<String, Value>, auth: &Auth, plan: &Plan) -> Option<String> {
    let known = |IssuerId(at): &IssuerId| plan.issuers.get(usize::from(*at));
    let mut all = auth.issuers.iter().filter_map(known);
    let says = claims.get("iss").and_then(Value::as_str);
    let own = all.clone().find(|issuer| says.is_some() && issuer.expect.issuer.as_deref() == says);
    let asked = || all.clone().find(|issuer| matches!(issuer.check, TokenCheck::Introspection(_)));
    let issuer = own.or_else(asked).or_else(|| all.next());
    issuer.map(|issuer| issuer.name.to_string())
}

/// What a token says, without a look at who signed it; nothing of one that is opaque.
fn claims_of(token: &str) -> Map<String, Value> {
    let payload = token.split('.').nth(1).filter(|_| token.matches('.').count() == 2);
    let bytes = payload.and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn token_at(wish: &Wish, place: &Place) -> Option<String> {
    let text = at(wish, place)?;
    match place {
        Place::Header(name) if name.as_str() == "authorization" => scheme(&text, "bearer").map(str::to_owned),
        _ => Some(text),
    }
}

/// What stands at a place.
fn at(wish: &Wish, place: &Place) -> Option<String> {
    match place {
        Place::Header(name) => wish.header(name.as_str()).map(str::to_owned),
        Place::Cookie(name) => {
            let cookies = wish.header("cookie")?.split(';');
            let mut pairs = cookies.filter_map(|pair| pair.trim().split_once('='));
            pairs.find(|(other, _)| **other == **name).map(|(_, value)| value.to_owned())
        }
        Place::Query(name) => {
            let (_, query) = wish.target.split_once('?')?;
            let pair = pairs(query.as_bytes()).find(|pair| pair.is(name))?;
            Some(String::from_utf8_lossy(&pair.decoded()).into_owned())
        }
    }
}

/// What stands behind a scheme (RFC 9110 section 11.1).
fn scheme<'v>(value: &'v str, wanted: &str) -> Option<&'v str> {
    let (scheme, rest) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case(wanted).then(|| rest.trim())
}

pub(super) fn is_masked_header(plan: &Plan, name: &str, value: &str) -> bool {
    let mut shown = Vec::new();
    masked_header(&plan.access_log, name, value.as_bytes(), |piece| shown.extend_from_slice(piece));
    shown != value.as_bytes()
}

/// The name of a parameter whose value an access log would not hold.
pub(super) fn masked_parameter(plan: &Plan, query: &str) -> Option<String> {
    query.split(['&', ';']).find_map(|piece| {
        let mut shown = Vec::new();
        masked_query(&plan.access_log, piece.as_bytes(), |part| shown.extend_from_slice(part));
        let name = piece.split('=').next().unwrap_or_default();
        // What a test says in the place of a credential is none.
        let stands_in = [NO_KEY, NO_TOKEN].iter().any(|text| piece.ends_with(text));
        (shown != piece.as_bytes() && !stands_in).then(|| name.to_owned())
    })
}
