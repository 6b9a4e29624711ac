//! How callers of a route identify themselves.

use serde_json::{Value, json};
use tollgate_plan::auth::Place;
use tollgate_wire::Name as WireName;

use super::issuer::Claim;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{
    At, Catalogue, Description, Dict, EditedHeader, HeaderName, Name, OneOrMany, Shape, is_owned, shown,
    text, wrong_type,
};
use crate::yaml::{Core, NodeRef};

block! {
    /// How callers identify themselves: by any one of `jwt`, `api_key` and `basic`. A bad credential is refused (401) even
    /// if another one on the request is good.
    "auth" Auth {
        /// Tokens of this issuer, or of any of these.
        jwt: OneOrMany<String>;
        /// Where a token may stand, in this order: `header:NAME`, `cookie:NAME`, `query:NAME`.
        token_from: OneOrMany<Credential> = OneOrMany::of([Credential::authorization()]);
        /// Keys of `consumers`.
        api_key: ApiKey;
        /// Users and passwords of `consumers` (HTTP Basic, RFC 7617).
        basic: bool = false;
        /// Whether those without any credential pass; a bad credential is 401 all the same.
        optional: bool = false;
        /// What an accepted credential must say, else 403.
        require: Require;
        /// Claims that go upstream as headers: `x-user: sub`. A client's own copy is always removed.
        forward: Dict<EditedHeader, Claim>;
        /// Whether the credential is removed before the upstream.
        strip: bool = false;
    }
}

block! {
    /// Where an API key stands: one of the two.
    "api_key" ApiKey {
        /// A request header.
        header: KeyHeader;
        /// A query parameter. Its value is masked in logs.
        query: Name;
    }
}

block! {
    /// What an accepted credential must say. Scopes, roles and claims are asked of tokens, groups of
    /// consumers. Where only the one is asked for, the other kind of credential never passes.
    "require" Require {
        /// All of these, from `scope` or `scp`; else `scope_missing`.
        scopes: OneOrMany<Scope>;
        /// Any of these, from the issuer's `roles_claim`; else `role_missing`.
        roles: OneOrMany<Name>;
        /// Any of these; else `group_missing`.
        groups: OneOrMany<Name>;
        /// Claims by dotted path and the value, or the values, of which each must have one. A claim that is a list must
        /// hold one of them. Else `claim_mismatch`.
        claims: Dict<Claim, OneOrMany<ClaimValue>>;
    }
}

/// `auth` of a route.
#[derive(Debug, Clone)]
pub(crate) enum AuthSetting {
    /// `public`: nobody needs to identify, whatever the defaults say.
    Public,
    /// In one of these ways.
    By(Box<Auth>),
}

impl Shape for AuthSetting {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let Some(scalar) = node.scalar() else {
            return Auth::read(node, what, report).map(|auth| AuthSetting::By(Box::new(auth)));
        };
        if &*scalar.text == "public" {
            return Some(AuthSetting::Public);
        }
        wrong_type(node, what, "a map of keys, or `public`", report);
        None
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        let block = Auth::describe(catalogue);
        let schema = json!({ "anyOf": [{ "const": "public" }, block.schema] });
        Description::new(format!("{}, or `public`", block.label), schema)
    }
}

/// A place of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credential(pub(crate) Place);

impl Credential {
    fn authorization() -> Credential {
        Credential(Place::Header(tollgate_wire::name::AUTHORIZATION))
    }
}

impl Shape for Credential {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        let place = match scalar.text.split_once(':') {
            Some(("header", name)) => match WireName::new(name) {
                Ok(name) => Some(Place::Header(own_header(name, node, report)?)),
                Err(_) => None,
            },
            // A cookie's name is a token, as a header's is, but its case counts (RFC 6265 section 4.1.1).
            Some(("cookie", name)) if WireName::new(name).is_ok() => Some(Place::Cookie(name.into())),
            Some(("query", name)) if !name.is_empty() => Some(Place::Query(name.into())),
            _ => None,
        };
        if place.is_none() {
            let message = format!("`{}` is no place for a token", shown(node, report));
            let hint = "write `header:NAME`, `cookie:NAME` or `query:NAME`";
            report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
        }
        place.map(Credential)
    }

    fn describe(_: &mut Catalogue) -> Description {
        let schema = json!({ "type": "string", "pattern": r"^(header|cookie|query):.+$|\$\{" });
        Description::new("`header:NAME`, `cookie:NAME` or `query:NAME`", schema)
    }

    fn show(&self) -> Value {
        match &self.0 {
            Place::Header(name) => format!("header:{name}").into(),
            Place::Cookie(name) => format!("cookie:{name}").into(),
            Place::Query(name) => format!("query:{name}").into(),
        }
    }
}

/// A header that holds a credential and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyHeader(pub(crate) WireName);

impl Shape for KeyHeader {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let HeaderName(header) = HeaderName::read(node, what, report)?;
        own_header(header, node, report).map(KeyHeader)
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        HeaderName::describe(catalogue)
    }
}

/// Reports a header whose value cannot be a credential.
fn own_header(header: WireName, node: NodeRef<'_>, report: &mut Report) -> Option<WireName> {
    let hint = if is_owned(&header) {
        "the gateway itself reads it; write another one, such as `x-api-key`"
    } else if header == tollgate_wire::name::COOKIE {
        "it holds many values; a token can stand in one of them: `cookie:NAME` in `token_from`"
    } else {
        return Some(header);
    };
    let message = format!("`{header}` holds no credential");
    report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
    None
}

/// One scope (RFC 6749 section 3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope(pub(crate) String);

impl Shape for Scope {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        if !scalar.text.is_empty() && scalar.text.bytes().all(plain) {
            return Some(Scope(scalar.text.to_string()));
        }
        let message = format!("`{}` is no scope", shown(node, report));
        let several = scalar.text.contains(' ');
        let hint =
            if several { "several scopes are a list: `[a, b]`" } else { "a scope is one word in ASCII" };
        report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
        None
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("text", json!({ "type": "string", "minLength": 1 }))
    }
}

/// A value that a claim may have: text, a number or a boolean.
#[derive(Debug, Clone)]
pub(crate) struct ClaimValue(pub(crate) Value);

impl Shape for ClaimValue {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let Some(scalar) = node.scalar() else {
            wrong_type(node, what, "text, a number, or true or false", report);
            return None;
        };
        if scalar.unknown {
            return None;
        }
        // What came from outside is text: an operator's variable never changes the type.
        let value = match if scalar.rewritten { Core::Text } else { scalar.core() } {
            Core::Bool(value) => Some(value.into()),
            Core::Int(number) => i64::try_from(number)
                .map(Value::from)
                .or_else(|_| u64::try_from(number).map(Value::from))
                .ok(),
            Core::Float(number) => serde_json::Number::from_f64(number).map(Value::Number),
            Core::Text => Some((*scalar.text).into()),
            Core::Null => None,
        };
        if value.is_none() && matches!(scalar.core(), Core::Int(_)) {
            let message = format!("`{what}` is a whole number beyond those that a claim is compared with");
            let finding = Finding::error(Code::BadValue, report.head(node.span()), message);
            report.push(finding.hint(format!(
                "from {} to {}; quote it where the claim is text",
                i64::MIN,
                u64::MAX
            )));
        } else if value.is_none() {
            wrong_type(node, what, "text, a number, or true or false", report);
        }
        value.map(ClaimValue)
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("text, number, true or false", json!({ "type": ["string", "number", "boolean"] }))
    }
}

/// What stands in a list more than once: the later place and the first.
pub(crate) fn repeated<T: PartialEq>(list: &[At<T>]) -> impl Iterator<Item = (&At<T>, &At<T>)> {
    list.iter().enumerate().filter_map(|(at, item)| {
        let first = list.get(..at)?.iter().find(|earlier| earlier.value == item.value)?;
        Some((item, first))
    })
}
