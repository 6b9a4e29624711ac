//! The answer of an introspection endpoint (RFC 7662 §2.2) to claims.

use std::fmt;

use crate::claims::Claims;
use crate::document::{Document, Json};
use crate::error::TokenError;
use crate::expect::Expectations;
use crate::json;
use crate::standing;

/// Longest answer that is read, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Why an answer is none as RFC 7662 wants it: the endpoint's fault. The token may be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable(pub &'static str);

/// What an endpoint said about a token.
#[derive(Clone)]
pub struct Answer {
    members: Document,
    active: bool,
}

impl Answer {
    /// Reads the body of a 200.
    pub fn read(body: &[u8]) -> Result<Self, Unreadable> {
        if body.len() > MAX_ANSWER_BYTES {
            return Err(Unreadable("an introspection answer that is too long"));
        }
        let members = json::object(body)
            .ok_or(Unreadable("an introspection answer that is not a proper JSON object"))?;
        match members.object().get("active") {
            Some(Json::Bool(active)) => Ok(Self { members, active }),
            _ => Err(Unreadable("an introspection answer that does not say whether the token is active")),
        }
    }

    /// What the token stands for. `active: false` is [`TokenError::Inactive`]; then times, issuer and audience are
    /// checked as for a signed token, with the leeway. `exp` may be missing: the server has said that the token is
    /// active. `algorithms` and `typ` of the expectations do not apply.
    pub fn claims(self, expect: &Expectations, now_unix_s: i64) -> Result<Claims, TokenError> {
        if !self.active {
            return Err(TokenError::Inactive);
        }
        let members = self.members.object();
        let exp = standing::times(members, expect, now_unix_s)?;
        standing::issuer(members, expect)?;
        standing::audience(members, expect)?;
        Ok(Claims::new(self.members, exp))
    }
}

/// One word only: the rest is about a person.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("active", &self.active).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::algorithm::Algorithms;
    use crate::expect::{Audience, Exp};

    const NOW: i64 = 1_900_000_000;
    const NOT_JSON: Verdict = Verdict::Unreadable("an introspection answer that is not a proper JSON object");
    const SILENT: Verdict =
        Verdict::Unreadable("an introspection answer that does not say whether the token is active");

    #[derive(Debug, PartialEq)]
    enum Verdict {
        Unreadable(&'static str),
        Token(TokenError),
    }

    impl From<TokenError> for Verdict {
        fn from(error: TokenError) -> Self {
            Self::Token(error)
        }
    }

    fn check(body: &str, issuer: Option<&str>, audience: Audience, expect: Result<Option<&str>, Verdict>) {
        let expectations = Expectations {
            issuer: issuer.map(Box::from),
            audience,
            algorithms: Algorithms::NONE,
            leeway_s: 30,
            exp: Exp::Required,
            typ: Some("at+jwt".into()),
        };
        let answer = Answer::read(body.as_bytes()).map_err(|Unreadable(why)| Verdict::Unreadable(why));
        let claims = answer.and_then(|answer| answer.claims(&expectations, NOW).map_err(Verdict::Token));
        assert_eq!(
            claims.as_ref().map(Claims::sub),
            expect.as_ref().map(|sub| sub.map(Cow::Borrowed)),
            "{body}"
        );
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
            Err(Verdict::Unreadable("an introspection answer that is too long")),
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
