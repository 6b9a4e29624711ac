//! The claims of an accepted token: a JSON object that whoever holds it may believe.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use crate::document::{Document, Json, Object};
use crate::path::ClaimPath;

/// Claims that were checked: the signature (or the introspecting server) and the expectations stand behind them.
#[derive(Clone, PartialEq)]
pub struct Claims {
    members: Document,
    exp_unix_s: Option<i64>,
}

impl Claims {
    pub(crate) fn new(members: Document, exp_unix_s: Option<i64>) -> Self {
        Self { members, exp_unix_s }
    }

    /// `sub`, when it is a string (RFC 7519 section 4.1.2), or a number, as many issuers write one.
    pub fn sub(&self) -> Option<Cow<'_, str>> {
        match self.member("sub")? {
            Json::String(text) => Some(Cow::Borrowed(text)),
            Json::Number(number) => Some(Cow::Owned(number.to_string())),
            Json::Null | Json::Bool(_) | Json::List(_) | Json::Object(_) => None,
        }
    }

    /// `iss`, when it is a string.
    pub fn iss(&self) -> Option<&str> {
        self.member("iss")?.as_str()
    }

    /// The first second at which the token is no longer valid, leeway not included.
    pub fn exp(&self) -> Option<i64> {
        self.exp_unix_s
    }

    /// What stands at the path.
    pub fn get(&self, path: &ClaimPath) -> Option<Json<'_>> {
        path.find(self.object())
    }

    /// The scopes granted: from `scope` and `scp`, each a list of strings or a string with spaces between
    /// (RFC 8693 §4.2).
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        ["scope", "scp"]
            .into_iter()
            .filter_map(|name| self.member(name))
            .flat_map(Json::strings)
            .flat_map(|text| text.split(' ').filter(|scope| !scope.is_empty()))
    }

    /// The strings at the path: of a list those of its elements that are strings, of a string itself.
    pub fn strings(&self, path: &ClaimPath) -> impl Iterator<Item = &str> {
        self.get(path).into_iter().flat_map(Json::strings)
    }

    /// All claims, where they stand.
    pub fn object(&self) -> Object<'_> {
        self.members.object()
    }

    /// A copy of all claims as a tree: always a JSON object.
    pub fn to_value(&self) -> Value {
        Value::Object(self.object().to_map())
    }

    /// What these claims occupy in memory.
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.members.heap_bytes()
    }

    fn member(&self, name: &str) -> Option<Json<'_>> {
        self.object().get(name)
    }
}

/// The names only: what a token says about a person has no place in a log.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.object().iter().map(|(name, _)| name);
        f.write_str("Claims ")?;
        f.debug_set().entries(names).finish()
    }
}
