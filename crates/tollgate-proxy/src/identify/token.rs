//! Tokens: remembered, or checked by signature, or asked about.

use std::rc::Rc;
use std::time::UNIX_EPOCH;

use tollgate_plan::Reason;
use tollgate_plan::auth::Auth;
use tollgate_plan::issuer::{Issuer, IssuerId, TokenCheck};
use tollgate_token::{Claims, Token, TokenError};

use super::{Refused, explain, introspect};
use crate::exchange::Exchange;
use crate::identity::Verified;
use crate::live::issuers::{IssuerLive, KeysLive};
use crate::worker::{Active, Worker};

pub(super) const UNAVAILABLE: Refused =
    Refused::new(Reason::IssuerUnavailable, "the issuer's tokens cannot be checked at the moment");

/// What a token stands for. One that was seen before costs a look-up; `auth` has at least one issuer.
pub(super) async fn check(
    exchange: &Exchange<'_>,
    auth: &Auth,
    token: &[u8],
) -> Result<Rc<Verified>, Refused> {
    match remembered(exchange, auth, token) {
        Some(verified) => Ok(verified),
        // On the heap: what it takes to check a token must not make every request's task larger.
        None => Box::pin(examine(exchange, auth, token)).await,
    }
}

/// One of the route's issuers found it good, with the keys that it has now, under the plan of this request.
fn remembered(exchange: &Exchange<'_>, auth: &Auth, token: &[u8]) -> Option<Rc<Verified>> {
    let (worker, active) = (exchange.worker, &exchange.active);
    let now = unix_s(worker);
    let verified = worker.known.tokens.borrow_mut().get(token, now, active.generation)?;
    let holds = auth.issuers.contains(&verified.issuer) && verified.keys == keys_now(active, verified.issuer);
    holds.then_some(verified)
}

async fn examine(exchange: &Exchange<'_>, auth: &Auth, token: &[u8]) -> Result<Rc<Verified>, Refused> {
    let plan = &exchange.active.plan;
    let issuer = |id: IssuerId| plan.issuers.get(usize::from(id.0));
    let asks = |id: &IssuerId| {
        issuer(*id).is_some_and(|issuer| matches!(issuer.check, TokenCheck::Introspection(_)))
    };
    let (asked, signing): (Vec<IssuerId>, Vec<IssuerId>) = auth.issuers.iter().partition(|id| asks(id));
    let parsed = Token::parse_known(token, &exchange.worker.known.headers.borrow());
    let parsed = match parsed {
        Ok(parsed) if !signing.is_empty() => parsed,
        // What is no signed token may mean something to whoever made it.
        Err(_) | Ok(_) if !asked.is_empty() => return introspect::ask(exchange, &asked, token).await,
        Ok(_) => return Err(UNAVAILABLE),
        Err(error) => return Err(refused(error)),
    };
    let candidates = match &signing[..] {
        [only] if asked.is_empty() => vec![*only],
        _ => {
            let claimed = match parsed.unverified_issuer() {
                Err(error) if asked.is_empty() => return Err(refused(error)),
                claimed => claimed.unwrap_or_default(),
            };
            let may_be = |id: &IssuerId| {
                let expected = issuer(*id).and_then(|issuer| issuer.expect.issuer.as_deref());
                expected.is_none() || expected == claimed.as_deref()
            };
            signing.into_iter().filter(may_be).collect()
        }
    };
    if candidates.is_empty() {
        return match asked.is_empty() {
            true => Err(refused(TokenError::Issuer)),
            false => introspect::ask(exchange, &asked, token).await,
        };
    }
    let mut verdict = None;
    for id in candidates {
        let Some(issuer) = issuer(id) else { continue };
        match signed_by(exchange, id, issuer, &parsed).await {
            Ok((claims, keys)) => {
                if !exchange.is_explained() {
                    parsed.remember_header(&mut exchange.worker.known.headers.borrow_mut());
                }
                return Ok(remember(exchange, token, id, claims, keys, i64::MAX));
            }
            // One that cannot tell at the moment weighs more: the token may be good.
            Err(refused) if verdict.is_none() || refused == UNAVAILABLE => verdict = Some(refused),
            Err(_) => {}
        }
    }
    Err(verdict.unwrap_or(UNAVAILABLE))
}

/// Checks the signature with the issuer's keys, then what the token claims. Gives the keys' generation, too.
async fn signed_by(
    exchange: &Exchange<'_>,
    id: IssuerId,
    issuer: &Issuer,
    token: &Token<'_>,
) -> Result<(Claims, u64), Refused> {
    let worker = exchange.worker;
    match (&issuer.check, exchange.active.issuers.get(usize::from(id.0))) {
        (TokenCheck::Fixed(keys), _) => {
            let claims = token.verify(keys, &issuer.expect, now_unix_s(worker)).map_err(refused)?;
            Ok((claims, 0))
        }
        (TokenCheck::Fetched(_), Some(IssuerLive::Keys(live)))
            if let Some(trail) = exchange.trail.as_deref() =>
        {
            explain::signed_by(trail, live, issuer, token, now_unix_s(worker))
        }
        (TokenCheck::Fetched(_), Some(IssuerLive::Keys(live))) => {
            let keys = live.keys_at_start().await.ok_or(UNAVAILABLE)?;
            let verdict = token.verify(&keys.set, &issuer.expect, now_unix_s(worker));
            if verdict != Err(TokenError::KeyUnknown) {
                return verdict.map(|claims| (claims, keys.generation)).map_err(refused);
            }
            // Issuers sign with a new key as soon as it is in their set.
            let newer = live.newer_than(keys.generation, worker.clock.now()).await;
            let newer = newer.ok_or(refused(TokenError::KeyUnknown))?;
            let verdict = token.verify(&newer.set, &issuer.expect, now_unix_s(worker));
            verdict.map(|claims| (claims, newer.generation)).map_err(refused)
        }
        _ => Err(UNAVAILABLE),
    }
}

/// Remembers what a token stands for, until `forget_unix_s` at the latest. What was only explained is not remembered: its
/// signature may not have been looked at.
pub(super) fn remember(
    exchange: &Exchange<'_>,
    token: &[u8],
    id: IssuerId,
    claims: Claims,
    keys: u64,
    forget_unix_s: i64,
) -> Rc<Verified> {
    let (worker, active) = (exchange.worker, &exchange.active);
    let issuer = active.plan.issuers.get(usize::from(id.0));
    let leeway = issuer.map_or(0, |issuer| i64::try_from(issuer.expect.leeway_s).unwrap_or(i64::MAX));
    let ends = claims.exp().map_or(i64::MAX, |exp| exp.saturating_add(leeway));
    let name = issuer.map_or("", |issuer| &*issuer.name);
    let consumer = format!("{name}:{}", claims.sub().unwrap_or_default()).into_boxed_str();
    let bytes = size_of::<Verified>() + consumer.len() + claims.size_bytes();
    let verified = Rc::new(Verified { issuer: id, keys, consumer, claims });
    if exchange.is_explained() {
        return verified;
    }
    worker.known.tokens.borrow_mut().insert(
        token,
        verified.clone(),
        bytes,
        unix_s(worker),
        ends.min(forget_unix_s),
        active.generation,
    );
    verified
}

/// The generation of an issuer's keys now; 0 where they are not fetched.
fn keys_now(active: &Active, IssuerId(at): IssuerId) -> u64 {
    match active.issuers.get(usize::from(at)) {
        Some(IssuerLive::Keys(live)) => KeysLive::generation(live),
        _ => 0,
    }
}

/// The wall time in seconds since 1970.
pub(super) fn unix_s(worker: &Worker) -> i64 {
    let since = worker.clock.wall(worker.clock.recent()).duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The same, for who may have waited since the clock was asked.
pub(super) fn now_unix_s(worker: &Worker) -> i64 {
    worker.clock.now();
    unix_s(worker)
}

pub(super) fn refused(error: TokenError) -> Refused {
    let reason = match error {
        TokenError::Malformed(_) => Reason::TokenMalformed,
        TokenError::Algorithm => Reason::TokenAlgorithm,
        TokenError::Signature => Reason::TokenSignature,
        TokenError::KeyUnknown => Reason::TokenKeyUnknown,
        TokenError::Expired => Reason::TokenExpired,
        TokenError::NotYetValid => Reason::TokenNotYetValid,
        TokenError::Issuer => Reason::TokenIssuer,
        TokenError::Audience => Reason::TokenAudience,
        TokenError::Inactive => Reason::TokenInactive,
    };
    Refused::new(reason, error.description())
}
