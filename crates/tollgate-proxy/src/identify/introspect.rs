//! Tokens that only their issuer understands: asked about, and the answer remembered for a while (RFC 7662).

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tollgate_plan::issuer::{Introspection, Issuer, IssuerId, TokenCheck};
use tollgate_token::{Exp, MAX_TOKEN_BYTES, TokenError};

use super::known::Refusal;
use super::token::{UNAVAILABLE, now_unix_s, refused, remember, unix_s};
use super::{Refused, explain};
use crate::exchange::Exchange;
use crate::identity::Verified;
use crate::live::issuers::{IntrospectionLive, IssuerLive};

/// A request waits so long at most for an answer, its turn included.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Asks one issuer after the other until one knows the token.
pub(super) async fn ask(
    exchange: &Exchange<'_>,
    issuers: &[IssuerId],
    token: &[u8],
) -> Result<Rc<Verified>, Refused> {
    let text = str::from_utf8(token).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    let Some(text) = text.filter(|text| (1..=MAX_TOKEN_BYTES).contains(&text.len())) else {
        return Err(refused(TokenError::Malformed(
            "the token is empty, too long or not of plain characters",
        )));
    };
    let mut verdict = None;
    for &id in issuers {
        match ask_one(exchange, id, text).await {
            Ok(verified) => return Ok(verified),
            // One that cannot tell at the moment weighs more: the token may be good.
            Err(refused) if verdict.is_none() || refused == UNAVAILABLE => verdict = Some(refused),
            Err(_) => {}
        }
    }
    Err(verdict.unwrap_or(UNAVAILABLE))
}

async fn ask_one(exchange: &Exchange<'_>, id: IssuerId, token: &str) -> Result<Rc<Verified>, Refused> {
    let (worker, active) = (exchange.worker, &exchange.active);
    if let Some(error) = refused_before(exchange, id, token) {
        return Err(refused(error));
    }
    let at = usize::from(id.0);
    let (Some(issuer), Some(IssuerLive::Introspection(live))) =
        (active.plan.issuers.get(at), active.issuers.get(at))
    else {
        return Err(UNAVAILABLE);
    };
    let TokenCheck::Introspection(endpoint) = &issuer.check else { return Err(UNAVAILABLE) };
    if let Some(trail) = exchange.trail.as_deref() {
        return Err(explain::not_asked(trail, issuer));
    }
    if endpoint.cache.is_zero() {
        return ask_now(exchange, id, issuer, endpoint, live, token).await;
    }
    let question = || ask_now(exchange, id, issuer, endpoint, live, token);
    worker.known.questions.share((active.generation, id, token.as_bytes().into()), question).await
}

/// What this issuer said against the token not long ago.
fn refused_before(exchange: &Exchange<'_>, id: IssuerId, token: &str) -> Option<TokenError> {
    let (worker, active) = (exchange.worker, &exchange.active);
    let now = unix_s(worker);
    let said = worker.known.refused.borrow_mut().get(token.as_bytes(), now, active.generation)?;
    said.iter().find(|refusal| refusal.by == id && now < refusal.until_unix_s).map(|refusal| refusal.error)
}

async fn ask_now(
    exchange: &Exchange<'_>,
    id: IssuerId,
    issuer: &Issuer,
    endpoint: &Introspection,
    live: &Arc<IntrospectionLive>,
    token: &str,
) -> Result<Rc<Verified>, Refused> {
    let worker = exchange.worker;
    let (question, answer) = live.question(token).ok_or(UNAVAILABLE)?;
    if !worker.shared.background.ask(question) {
        return Err(UNAVAILABLE);
    }
    let Ok(Ok(Ok(answer))) = timeout(ANSWER_WITHIN, answer).await else { return Err(UNAVAILABLE) };
    let now = now_unix_s(worker);
    let forget = now.saturating_add(i64::try_from(endpoint.cache.as_secs()).unwrap_or(i64::MAX));
    match answer.claims(&issuer.expect, now) {
        // Asked for by the configuration; the issuer's word alone is enough otherwise.
        Ok(claims) if claims.exp().is_none() && issuer.expect.exp == Exp::Required => {
            Err(refused(TokenError::Malformed("the token has no expiry")))
        }
        Ok(claims) => Ok(remember(exchange, token.as_bytes(), id, claims, 0, forget)),
        Err(error) => {
            remember_refusal(exchange, id, token, error, forget);
            Err(refused(error))
        }
    }
}

fn remember_refusal(
    exchange: &Exchange<'_>,
    id: IssuerId,
    token: &str,
    error: TokenError,
    forget_unix_s: i64,
) {
    let (worker, generation) = (exchange.worker, exchange.active.generation);
    let (token, now) = (token.as_bytes(), unix_s(worker));
    if error == TokenError::NotYetValid {
        // It may be valid in a moment.
        return;
    }
    let mut memory = worker.known.refused.borrow_mut();
    let mut said = memory.get(token, now, generation).map_or_else(Vec::new, |said| said.to_vec());
    said.retain(|refusal| refusal.by != id && now < refusal.until_unix_s);
    said.push(Refusal { by: id, error, until_unix_s: forget_unix_s });
    let until = said.iter().map(|refusal| refusal.until_unix_s).max().unwrap_or(now);
    let bytes = said.len() * size_of::<Refusal>();
    memory.insert(token, Rc::new(said), bytes, now, until, generation);
}
