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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::Algorithms;
    use crate::expect::{Audience, Exp};

    const NOW: i64 = 1_900_000_000;
    const NOT_JSON: Refused = Refused::Unreadable("the introspection answer is not a proper JSON object");
    const SILENT: Refused =
        Refused::Unreadable("the introspection answer does not say whether the token is active");

    fn check(body: &str, issuer: Option<&str>, audience: Audience, expect: Result<Option<&str>, Refused>) {
        let expectations = Expectations {
            issuer: issuer.map(Box::from),
            audience,
            algorithms: Algorithms::NONE,
            leeway_s: 30,
            exp: Exp::Required,
            typ: Some("at+jwt".into()),
        };
        let read = read(body.as_bytes(), &expectations, NOW);
        assert_eq!(read.as_ref().map(Claims::sub).map_err(|refused| *refused), expect, "{body}");
    }

    #[test]
    fn only_active_true_is_active() {
        let cases = [
            (r#"{"active":true,"sub":"u1","scope":"a b"}"#, Ok(Some("u1"))),
            (r#"{"active":true}"#, Ok(None)),
            (r#"{"active":false}"#, Err(TokenError::Inactive.into())),
            (r#"{"active":false,"exp":"soon"}"#, Err(TokenError::Inactive.into())),
            (r#"{"active":"true"}"#, Err(SILENT)),
            (r#"{"active":1}"#, Err(SILENT)),
            (r#"{"active":null}"#, Err(SILENT)),
            (r#"{"error":"invalid_client"}"#, Err(SILENT)),
            (r#"{"active":false,"active":true}"#, Err(NOT_JSON)),
            (r#"[{"active":true}]"#, Err(NOT_JSON)),
            ("<html>", Err(NOT_JSON)),
            ("", Err(NOT_JSON)),
            (r#"{"active":true,"exp":1900000000}"#, Ok(None)),
            (r#"{"active":true,"exp":1899999970}"#, Err(TokenError::Expired.into())),
            (r#"{"active":true,"nbf":1900000031}"#, Err(TokenError::NotYetValid.into())),
            (
                r#"{"active":true,"exp":"1900000000"}"#,
                Err(TokenError::Malformed("the token's expiry is not a number").into()),
            ),
        ];
        for (body, expect) in cases {
            check(body, None, Audience::Any, expect);
        }
        check(
            &" ".repeat(MAX_ANSWER_BYTES + 1),
            None,
            Audience::Any,
            Err(Refused::Unreadable("the introspection answer is too long")),
        );
    }

    #[test]
    fn what_is_expected_must_be_said() {
        let ours = || Audience::AnyOf(vec!["api".into()]);
        let cases = [
            (r#"{"active":true,"iss":"i","aud":"api"}"#, Ok(None)),
            (r#"{"active":true,"iss":"i","aud":["x","api"]}"#, Ok(None)),
            (r#"{"active":true,"iss":"i"}"#, Err(TokenError::Audience.into())),
            (r#"{"active":true,"aud":"api"}"#, Err(TokenError::Issuer.into())),
            (r#"{"active":true,"iss":"j","aud":"api"}"#, Err(TokenError::Issuer.into())),
        ];
        for (body, expect) in cases {
            check(body, Some("i"), ours(), expect);
        }
    }
}
