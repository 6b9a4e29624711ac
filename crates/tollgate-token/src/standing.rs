//! Whether claims hold here and now: `exp`, `nbf`, `iat`, `iss`, `aud` (RFC 7519 §4.1).

use crate::claims::Claims;
use crate::document::{Json, Object};
use crate::error::TokenError;
use crate::expect::{Audience, Exp, Expectations};
use crate::json;

pub(crate) const NOT_CLAIMS: TokenError =
    TokenError::Malformed("the token's claims are not a proper JSON object");

/// Reads the payload of a token whose signature is good, and checks what it claims.
pub(crate) fn accept(payload: &[u8], expect: &Expectations, now_unix_s: i64) -> Result<Claims, TokenError> {
    let document = json::object(payload).ok_or(NOT_CLAIMS)?;
    let claims = document.object();
    let exp = times(claims, expect, now_unix_s)?;
    if exp.is_none() && expect.exp == Exp::Required {
        return Err(TokenError::Malformed("the token has no expiry"));
    }
    issuer(claims, expect)?;
    audience(claims, expect)?;
    Ok(Claims::new(document, exp))
}

/// `exp`, `nbf`, `iat`. Gives `exp`.
pub(crate) fn times(
    claims: Object<'_>,
    expect: &Expectations,
    now_unix_s: i64,
) -> Result<Option<i64>, TokenError> {
    let leeway = i64::try_from(expect.leeway_s).unwrap_or(i64::MAX);
    let exp = date(claims, "exp", "the token's expiry is not a number")?;
    if exp.is_some_and(|exp| now_unix_s >= exp.saturating_add(leeway)) {
        return Err(TokenError::Expired);
    }
    let nbf = date(claims, "nbf", "the token's start is not a number")?;
    if nbf.is_some_and(|nbf| now_unix_s.saturating_add(leeway) < nbf) {
        return Err(TokenError::NotYetValid);
    }
    date(claims, "iat", "the token's time of issue is not a number")?;
    Ok(exp)
}

/// `iss` must be the configured one.
pub(crate) fn issuer(claims: Object<'_>, expect: &Expectations) -> Result<(), TokenError> {
    match &expect.issuer {
        Some(issuer) if claims.get("iss").and_then(Json::as_str) != Some(issuer) => Err(TokenError::Issuer),
        _ => Ok(()),
    }
}

/// `aud`, a string or a list of strings, must name one of ours.
pub(crate) fn audience(claims: Object<'_>, expect: &Expectations) -> Result<(), TokenError> {
    const WRONG: TokenError =
        TokenError::Malformed("the token's audience is not a string or a list of strings");
    let Audience::AnyOf(ours) = &expect.audience else { return Ok(()) };
    let named = |audience: &str| ours.iter().any(|our| **our == *audience);
    let ours = match claims.get("aud") {
        None => false,
        Some(Json::String(audience)) => named(audience),
        Some(Json::List(audiences)) if audiences.iter().all(|audience| audience.as_str().is_some()) => {
            audiences.iter().filter_map(Json::as_str).any(named)
        }
        Some(_) => return Err(WRONG),
    };
    if ours { Ok(()) } else { Err(TokenError::Audience) }
}

/// A NumericDate (RFC 7519 §2) as the first whole second that is not before it: for a clock of whole seconds, `now`
/// is before 1.5 exactly when it is before 2.
fn date(claims: Object<'_>, name: &str, wrong: &'static str) -> Result<Option<i64>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let Json::Number(number) = value else { return Err(TokenError::Malformed(wrong)) };
    // A float becomes the nearest that there is: the cast saturates.
    let second = number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds.ceil() as i64));
    second.map(Some).ok_or(TokenError::Malformed(wrong))
}
