//! The answer of an introspection endpoint (RFC 7662 §2.2) to claims.

use serde_json::Value;

use crate::claims::Claims;
use crate::error::TokenError;
use crate::expect::Expectations;
use crate::json;
use crate::standing;

/// Longest answer that is read, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Why an answer gives no claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The endpoint's fault: not an answer as RFC 7662 wants it. The token may be good.
    Unreadable(&'static str),
    /// The token's fault.
    Token(TokenError),
}

impl From<TokenError> for Refused {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

/// Reads the body of a 200. `active: false` is [`TokenError::Inactive`]; then times, issuer and audience are checked
/// as for a signed token, with the leeway. `exp` may be missing: the server has said that the token is active.
/// `algorithms` and `typ` of the expectations do not apply.
pub fn read(body: &[u8], expect: &Expectations, now_unix_s: i64) -> Result<Claims, Refused> {
    if body.len() > MAX_ANSWER_BYTES {
        return Err(Refused::Unreadable("the introspection answer is too long"));
    }
    let answer = json::object(body)
        .ok_or(Refused::Unreadable("the introspection answer is not a proper JSON object"))?;
    match answer.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Err(TokenError::Inactive.into()),
        _ => {
            return Err(Refused::Unreadable(
                "the introspection answer does not say whether the token is active",
            ));
        }
    }
    let exp = standing::times(&answer, expect, now_unix_s)?;
    standing::issuer(&answer, expect)?;
    standing::audience(&answer, expect)?;
    Ok(Claims::new(answer, exp))
}
