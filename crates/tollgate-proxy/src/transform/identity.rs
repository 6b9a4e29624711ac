//! Who calls, as the upstream is told: claims as headers, and credentials taken off.
//!
//! The gateway owns the headers that claims go into. A client's own copies go in every case and every spelling,
//! also where nobody was identified: the service behind believes them.

use tollgate_plan::auth::Auth;
use tollgate_token::Json;
use tollgate_wire::{EntryRef, HeaderBlock, Name};

use crate::credentials::{Stripped, spells};
use crate::exchange::Exchange;
use crate::values::write_claim;

/// What the route does about the caller's credentials and claims.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    auth: Option<&'a Auth>,
    stripped: Option<Stripped<'a>>,
}

impl<'a> Told<'a> {
    pub(super) fn of(auth: Option<&'a Auth>) -> Told<'a> {
        Told { auth, stripped: Stripped::of(auth) }
    }

    /// Whether a line of the client goes on.
    pub(super) fn keeps(self, entry: EntryRef<'_>) -> bool {
        let Some(auth) = self.auth else { return true };
        !auth.forward.iter().any(|(name, _)| spells(entry, name))
            && self.stripped.is_none_or(|stripped| stripped.keeps(entry))
    }

    /// Writes the claims that the caller has, and what is left of cookies.
    pub(super) fn write(
        self,
        exchange: &Exchange<'_>,
        headers: &HeaderBlock,
        value: &mut Vec<u8>,
        mut put: impl FnMut(&Name, &[u8]),
    ) {
        if let Some(stripped) = self.stripped {
            stripped.cookies(headers, value, &mut put);
        }
        let Some(claims) = exchange.identity.as_ref().and_then(|identity| identity.claims()) else { return };
        for (name, path) in self.auth.iter().flat_map(|auth| &auth.forward) {
            value.clear();
            if claims.get(path).is_some_and(|claim| says_one_thing(claim) && write_claim(claim, value)) {
                put(name, value);
            }
        }
    }

    /// Query parameters that are taken off.
    pub(super) fn parameters(self) -> impl Iterator<Item = &'a str> {
        self.stripped.into_iter().flat_map(Stripped::parameters)
    }
}

/// Whether a claim reads in a header as it does in the token. One with control characters or spaces at its ends would
/// read as another (`admin` for `admin` with a line feed), and so would an element with a comma in a list.
fn says_one_thing(claim: Json<'_>) -> bool {
    match claim {
        Json::String(text) => text.trim() == text && !text.contains(char::is_control),
        Json::List(items) => items
            .iter()
            .all(|item| says_one_thing(item) && item.as_str().is_none_or(|text| !text.contains(','))),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tollgate_token::introspection::Answer;
    use tollgate_token::{Algorithms, Audience, Exp, Expectations};

    use super::*;

    #[test]
    fn claims_that_would_read_as_others_are_not_forwarded() {
        for (claim, expect) in [
            (json!("admin"), true),
            (json!("Ada Lovelace"), true),
            (json!(""), true),
            (json!(7), true),
            (json!(["a", "b"]), true),
            (json!("admin\n"), false),
            (json!(" admin"), false),
            (json!("a\r\nX-Evil: evil"), false),
            (json!("a\u{0}b"), false),
            (json!(["a,admin"]), false),
            (json!(["a", "b "]), false),
        ] {
            let answer = Answer::read(json!({ "active": true, "claim": claim }).to_string().as_bytes());
            let claims = answer.expect("an answer").claims(&anything(), 0).expect("claims");
            let found = claims.object().get("claim").expect("the claim");
            assert_eq!(says_one_thing(found), expect, "{claim}");
        }
    }

    fn anything() -> Expectations {
        Expectations {
            issuer: None,
            audience: Audience::Any,
            algorithms: Algorithms::NONE,
            leeway_s: 0,
            exp: Exp::Optional,
            typ: None,
        }
    }
}
