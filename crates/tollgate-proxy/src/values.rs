//! What templates may ask of an exchange.

use std::io::Write as _;

use tollgate_plan::query;
use tollgate_plan::template::{Values, Var};
use tollgate_token::Json;

use crate::credentials;
use crate::exchange::Exchange;

impl Values for Exchange<'_> {
    fn value(&self, var: &Var, out: &mut Vec<u8>) -> bool {
        match var {
            // Who asks several services has these.
            Var::Answer(..) => return false,
            Var::Param(_) | Var::Tail(_) => {
                return self.kit.params.append(&self.active.plan.table, self.path(), var, out);
            }
            Var::Host => out.extend_from_slice(self.kit.host.as_bytes()),
            Var::Path => out.extend_from_slice(self.path().as_bytes()),
            Var::Query => {
                let raw = self.kit.head.query();
                let auth = self.matched().and_then(|route| route.auth.as_deref());
                // A credential that is taken off goes nowhere by another way.
                let taken: Vec<_> = credentials::Stripped::of(auth)
                    .into_iter()
                    .flat_map(|stripped| stripped.parameters().map(query::Edit::Remove))
                    .collect();
                match taken.is_empty() {
                    true => out.extend_from_slice(raw.unwrap_or_default()),
                    false => out.extend(query::edit(raw, &taken).unwrap_or_default()),
                }
            }
            Var::Method => out.extend_from_slice(self.kit.head.method.as_str().as_bytes()),
            Var::Scheme => out.extend_from_slice(self.facts.scheme.as_bytes()),
            Var::ClientIp => match self.facts.client_ip {
                // Writing to a vector cannot fail.
                Some(ip) => drop(write!(out, "{ip}")),
                None => return false,
            },
            Var::RequestId => out.extend_from_slice(self.facts.id.as_str().as_bytes()),
            Var::Route => match self.matched() {
                Some(route) => out.extend_from_slice(route.name.as_bytes()),
                None => return false,
            },
            Var::Header(name) => match self.kit.head.headers.get(name) {
                Some(value) => out.extend_from_slice(value),
                None => return false,
            },
            Var::QueryParam(name) => {
                match query::values(self.kit.head.query().unwrap_or_default(), name).next() {
                    Some(value) => out.extend_from_slice(&value),
                    None => return false,
                }
            }
            Var::Cookie(name) => match self.cookie(name) {
                Some(value) => out.extend_from_slice(value),
                None => return false,
            },
            Var::Consumer => match self.consumer() {
                Some(consumer) => out.extend_from_slice(consumer.as_bytes()),
                None => return false,
            },
            Var::Claim(path) => {
                let claims = self.identity.as_ref().and_then(|identity| identity.claims());
                let value = claims.and_then(|claims| claims.get(path));
                return value.is_some_and(|value| write_claim(value, out));
            }
        }
        true
    }
}

/// A claim as text: strings as they are, numbers and booleans as JSON writes them; a list as its elements with
/// commas between. What has no one text (null, an object, a list of those) is missing.
pub(crate) fn write_claim(value: Json<'_>, out: &mut Vec<u8>) -> bool {
    match value {
        Json::String(text) => out.extend_from_slice(text.as_bytes()),
        // Writing to a vector cannot fail.
        Json::Number(number) => drop(write!(out, "{number}")),
        Json::Bool(value) => drop(write!(out, "{value}")),
        Json::List(items) => {
            let start = out.len();
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                if item.as_list().is_some() || !write_claim(item, out) {
                    out.truncate(start);
                    return false;
                }
            }
        }
        Json::Null | Json::Object(_) => return false,
    }
    true
}

/// The same for a header; false where it would not read there as it does in the token.
pub(crate) fn write_header_claim(value: Json<'_>, out: &mut Vec<u8>) -> bool {
    says_one_thing(value) && write_claim(value, out)
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

impl Exchange<'_> {
    /// A cookie's value (RFC 6265 section 4.2); the first one of that name.
    pub(crate) fn cookie(&self, wanted: &str) -> Option<&[u8]> {
        credentials::cookie_values(&self.kit.head.headers, wanted).next()
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
