//! Stage 6: who calls, and whether they may.
//!
//! Every credential of an accepted kind that a request brings is checked: a bad one is refused even beside a good
//! one. Tokens come first, then API keys, then user and password; the first good one says who calls.

mod basic;
mod challenge;
mod explain;
mod flights;
mod introspect;
mod key;
mod known;
mod own;
mod require;
mod token;

use std::borrow::Cow;

use tollgate_plan::Reason;
use tollgate_plan::auth::{Auth, Place};
use tollgate_wire::name;

use crate::credentials::{self, Standing};
use crate::exchange::{Exchange, Reject};
use crate::identity::Identity;

pub(crate) use known::Known;
pub(crate) use own::disown;

/// Why a caller is not let through, before it becomes an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Refused {
    reason: Reason,
    /// For people: the answer's detail and, for tokens, `error_description`. Quotes nothing of the request.
    why: &'static str,
}

impl Refused {
    const fn new(reason: Reason, why: &'static str) -> Refused {
        Refused { reason, why }
    }
}

/// Finds the caller's credential, checks it, and checks what the route requires of it.
pub(crate) async fn identify(exchange: &mut Exchange<'_>) -> Result<(), Reject> {
    let active = exchange.active.clone();
    let Some(auth) = active.route(exchange.route).and_then(|route| route.auth.as_deref()) else {
        return Ok(());
    };
    let refuse = |refused| challenge::reject(auth, refused);
    // Set before anything is required of it, so that the log of a refusal says who was refused.
    exchange.identity = caller(exchange, auth).await.map_err(refuse)?;
    own::own(exchange, auth);
    let verdict = match &exchange.identity {
        Some(identity) => require::check(auth, identity, &active.plan).map_err(refuse),
        None if auth.optional => Ok(()),
        None => Err(refuse(missing(auth))),
    };
    exchange.note(|trail| explain::required(exchange, trail, auth, &verdict));
    verdict
}

/// Who calls; nobody when there is no credential.
async fn caller(exchange: &Exchange<'_>, auth: &Auth) -> Result<Option<Identity>, Refused> {
    let mut found = None;
    let mut take = |identity| {
        found.get_or_insert(identity);
    };
    one_authorization(exchange, auth)?;
    let head = &exchange.kit.head;
    for place in &auth.token_from {
        if let Some(token) = presented_token(credentials::at(head, place), place)? {
            let verified = token::check(exchange, auth, &token).await;
            exchange.note(|trail| explain::token(exchange, trail, place, &verified));
            take(Identity::Token(verified?));
        }
    }
    if let Some(place) = &auth.api_key {
        let twice = Refused::new(Reason::KeyUnknown, "the API key is there more than once");
        match credentials::at(head, place) {
            // The scheme says that it is something else, which was looked at or will be.
            Standing::One(value) if belongs_elsewhere(auth, place, &value) => {}
            Standing::One(key) => {
                let owner = key::check(exchange, &key);
                exchange.note(|trail| explain::consumer(exchange, trail, "API key", Some(place), &owner));
                take(Identity::Consumer(owner?));
            }
            Standing::Several => return Err(twice),
            Standing::Absent => {}
        }
    }
    if auth.basic
        && let Some(credential) = head.headers.get(&name::AUTHORIZATION).and_then(credentials::basic)
    {
        let owner = basic::check(exchange, credential).await;
        exchange.note(|trail| explain::consumer(exchange, trail, "user and password", None, &owner));
        take(Identity::Consumer(owner?));
    }
    Ok(found)
}

/// Two Authorization lines are two stories about the caller; the service behind may believe the other one.
fn one_authorization(exchange: &Exchange<'_>, auth: &Auth) -> Result<(), Refused> {
    let lines = exchange.kit.head.headers.count(&name::AUTHORIZATION);
    if lines < 2 || !credentials::from_authorization(auth) {
        return Ok(());
    }
    let reason = if auth.issuers.is_empty() { Reason::BasicInvalid } else { Reason::TokenMalformed };
    Err(Refused::new(reason, "Authorization is there more than once"))
}

/// The token at one place, if there is one.
fn presented_token<'a>(standing: Standing<'a>, place: &Place) -> Result<Option<Cow<'a, [u8]>>, Refused> {
    match standing {
        Standing::Absent => Ok(None),
        Standing::Several => Err(Refused::new(Reason::TokenMalformed, "the token is there more than once")),
        // Another scheme there is no token.
        Standing::One(Cow::Borrowed(value)) if credentials::is_authorization(place) => {
            Ok(credentials::bearer(value).map(Cow::Borrowed))
        }
        Standing::One(Cow::Borrowed(value)) if matches!(place, Place::Header(_)) => {
            Ok(Some(Cow::Borrowed(credentials::bearer(value).unwrap_or(value))))
        }
        Standing::One(value) => Ok(Some(value)),
    }
}

/// Whether what stands where API keys are taken from is another kind of credential that is accepted there.
fn belongs_elsewhere(auth: &Auth, place: &Place, value: &[u8]) -> bool {
    credentials::is_authorization(place)
        && ((auth.basic && credentials::basic(value).is_some())
            || (auth.token_from.iter().any(credentials::is_authorization)
                && credentials::bearer(value).is_some()))
}

fn missing(auth: &Auth) -> Refused {
    if !auth.issuers.is_empty() {
        Refused::new(Reason::TokenMissing, "a token is needed here")
    } else if auth.api_key.is_some() {
        Refused::new(Reason::KeyMissing, "an API key is needed here")
    } else {
        Refused::new(Reason::BasicMissing, "a user and a password are needed here")
    }
}
