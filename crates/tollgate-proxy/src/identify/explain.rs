//! What is said of credentials where a request is only explained: which was found where, and what came of it. Never a
//! credential itself.

use std::rc::Rc;

use serde_json::{Value, json};
use tollgate_plan::auth::{Auth, Place};
use tollgate_plan::consumer::ConsumerId;
use tollgate_plan::issuer::Issuer;
use tollgate_token::{Claims, Token};

use super::Refused;
use super::token::{UNAVAILABLE, refused};
use crate::exchange::{Exchange, Reject};
use crate::identity::Verified;
use crate::live::issuers::KeysLive;
use crate::trail::{Stage, Trail, Verdict};

/// A token was found, and checked.
pub(super) fn token(
    exchange: &Exchange<'_>,
    trail: &Trail,
    place: &Place,
    verified: &Result<Rc<Verified>, Refused>,
) {
    let at = named(place);
    let verified = match verified {
        Ok(verified) => verified,
        Err(_) if trail.is_undecided() => return,
        Err(refused) => return refuse(trail, &format!("the token in {at}: {}", refused.why), &at, refused),
    };
    let plan = &exchange.active.plan;
    let issuer = plan.issuers.get(usize::from(verified.issuer.0)).map_or("", |issuer| &*issuer.name);
    let sub = verified.claims.sub();
    let of = sub.as_ref().map(|sub| format!(" for {sub}")).unwrap_or_default();
    let detail = format!("the token in {at} is one of issuer {issuer}{of}");
    let more = json!({
        "kind": "token", "place": at, "issuer": issuer, "sub": sub, "exp": verified.claims.exp(),
        "consumer": &*verified.consumer,
    });
    trail.step(Stage::Credentials, Verdict::Ok, detail, more);
}

/// A credential of a consumer was found, and looked up.
pub(super) fn consumer(
    exchange: &Exchange<'_>,
    trail: &Trail,
    kind: &str,
    place: Option<&Place>,
    owner: &Result<ConsumerId, Refused>,
) {
    let at = place.map_or_else(|| "header authorization".to_owned(), named);
    match owner {
        Ok(id) => {
            let name = exchange.active.plan.consumers.get(*id).map_or("", |consumer| &*consumer.name);
            let detail = format!("the {kind} in {at} is that of {name}");
            let more = json!({ "kind": kind, "place": at, "consumer": name });
            trail.step(Stage::Credentials, Verdict::Ok, detail, more);
        }
        Err(refused) => refuse(trail, &format!("the {kind} in {at}: {}", refused.why), &at, refused),
    }
}

/// What the route requires, and whether the caller has it; or that there is no credential.
pub(super) fn required(exchange: &Exchange<'_>, trail: &Trail, auth: &Auth, verdict: &Result<(), Reject>) {
    if exchange.identity.is_none() {
        let looked = places(auth).join(", ");
        let answer = verdict.as_ref().err().map_or(Verdict::Ok, Verdict::of);
        let optional = if verdict.is_ok() { "; none is needed" } else { "" };
        let detail = format!("no credential in {looked}{optional}");
        return trail.step(Stage::Credentials, answer, detail, json!({ "looked_in": places(auth) }));
    }
    let Some(require) = &auth.require else { return };
    let token = &require.token;
    let claims: Vec<String> = token.claims.iter().map(|(path, _)| path.as_str().to_owned()).collect();
    let more = json!({
        "scopes": token.scopes.iter().map(|scope| &**scope).collect::<Vec<_>>(),
        "roles": token.roles.iter().map(|role| &**role).collect::<Vec<_>>(),
        "claims": claims,
        "groups": require.groups.iter().map(|group| &**group).collect::<Vec<_>>(),
    });
    let answer = verdict.as_ref().err().map_or(Verdict::Ok, Verdict::of);
    let detail = match verdict {
        Ok(()) => format!("the caller has what is required: {}", words(&more)),
        Err(reject) => format!("{}: {}", reject.detail, words(&more)),
    };
    trail.step(Stage::Require, answer, detail, more);
}

/// The keys as they are. Nothing is fetched early, and where nothing is fetched at all the signature is taken for good.
pub(super) fn signed_by(
    trail: &Trail,
    live: &KeysLive,
    issuer: &Issuer,
    token: &Token<'_>,
    now_unix_s: i64,
) -> Result<(Claims, u64), Refused> {
    if let Some(keys) = live.keys() {
        let claims = token.verify(&keys.set, &issuer.expect, now_unix_s).map_err(refused)?;
        return Ok((claims, keys.generation));
    }
    if trail.live {
        return Err(UNAVAILABLE);
    }
    let claims = token.assume_signed(&issuer.expect, now_unix_s).map_err(refused)?;
    let detail = format!("issuer {}: the signature cannot be known offline; taken for good", issuer.name);
    trail.step(Stage::Credentials, Verdict::Unknown, detail, json!({ "issuer": &*issuer.name }));
    Ok((claims, 0))
}

/// The issuer's endpoint would be asked what the token is.
pub(super) fn not_asked(trail: &Trail, issuer: &Issuer) -> Refused {
    let detail = format!("issuer {} would be asked what the token is; it is not asked now", issuer.name);
    trail.give_up(Stage::Credentials, detail);
    UNAVAILABLE
}

fn refuse(trail: &Trail, detail: &str, at: &str, refused: &Refused) {
    let verdict = Verdict::Refused { status: refused.reason.status(), reason: refused.reason };
    trail.step(Stage::Credentials, verdict, detail, json!({ "place": at }));
}

fn places(auth: &Auth) -> Vec<String> {
    let mut all: Vec<String> = auth.token_from.iter().chain(&auth.api_key).map(named).collect();
    if auth.basic {
        all.push("header authorization".to_owned());
    }
    all.dedup();
    all
}

fn named(place: &Place) -> String {
    match place {
        Place::Header(name) => format!("header {}", name.as_str()),
        Place::Cookie(name) => format!("cookie {name}"),
        Place::Query(name) => format!("query parameter {name}"),
    }
}

/// `scopes a, b; groups c`: what there is of it.
fn words(more: &Value) -> String {
    let lists = ["scopes", "roles", "claims", "groups"].iter().filter_map(|key| {
        let list: Vec<&str> = more.get(*key)?.as_array()?.iter().filter_map(Value::as_str).collect();
        (!list.is_empty()).then(|| format!("{key} {}", list.join(", ")))
    });
    lists.collect::<Vec<_>>().join("; ")
}
