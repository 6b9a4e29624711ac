//! Refusals of callers, with the challenges that HTTP wants on them.

use tollgate_plan::Reason;
use tollgate_plan::auth::Auth;
use tollgate_wire::name;

use super::Refused;
use crate::credentials::challenges;
use crate::exchange::Reject;

/// The refusal as an answer: a 401 names each kind of credential that is accepted (RFC 9110 section 11.6.1), one
/// line for each; a token that lacks a scope is told which ones there should be (RFC 6750 section 3.1).
pub(super) fn reject(auth: &Auth, refused: Refused) -> Reject {
    let reject = Reject::new(refused.reason, refused.why);
    match refused.reason.status() {
        401 => challenge(auth, refused, reject),
        403 if refused.reason == Reason::ScopeMissing && !auth.issuers.is_empty() => {
            reject.with(&name::WWW_AUTHENTICATE, insufficient_scope(auth).as_bytes())
        }
        _ => reject,
    }
}

fn challenge(auth: &Auth, refused: Refused, reject: Reject) -> Reject {
    // Without a token nothing is said of errors (RFC 6750 section 3.1).
    let error = is_of_token(refused.reason).then_some(refused.why);
    challenges(Some(auth), error)
        .fold(reject, |reject, challenge| reject.with(&name::WWW_AUTHENTICATE, challenge.as_bytes()))
}

fn insufficient_scope(auth: &Auth) -> String {
    let scopes = auth.require.iter().flat_map(|require| &require.token.scopes);
    // What is no scope-token (RFC 6749 section 3.3) would break the quoted string; no token can have it either.
    let named = scopes.filter(|scope| scope.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)));
    let scope = named.map(|scope| &**scope).collect::<Vec<_>>().join(" ");
    format!(r#"Bearer realm="tollgate", error="insufficient_scope", scope="{scope}""#)
}

fn is_of_token(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::TokenMalformed
            | Reason::TokenAlgorithm
            | Reason::TokenSignature
            | Reason::TokenKeyUnknown
            | Reason::TokenExpired
            | Reason::TokenNotYetValid
            | Reason::TokenIssuer
            | Reason::TokenAudience
            | Reason::TokenInactive
    )
}
