//! The claims of an accepted token: a JSON object that whoever holds it may believe.

use std::fmt;

use serde_json::{Map, Value};

use crate::path::ClaimPath;

/// Claims that were checked: the signature (or the introspecting server) and the expectations stand behind them.
#[derive(Clone, PartialEq)]
pub struct Claims {
    value: Value,
    exp_unix_s: Option<i64>,
}

impl Claims {
    pub(crate) fn new(members: Map<String, Value>, exp_unix_s: Option<i64>) -> Self {
        Self { value: Value::Object(members), exp_unix_s }
    }

    /// `sub`, when it is a string.
    pub fn sub(&self) -> Option<&str> {
        self.text("sub")
    }

    /// `iss`, when it is a string.
    pub fn iss(&self) -> Option<&str> {
        self.text("iss")
    }

    /// The first second at which the token is no longer valid, leeway not included.
    pub fn exp(&self) -> Option<i64> {
        self.exp_unix_s
    }

    /// What stands at the path.
    pub fn get(&self, path: &ClaimPath) -> Option<&Value> {
        path.find(self.value.as_object()?)
    }

    /// The scopes granted: from `scope` and `scp`, each a list of strings or a string with spaces between
    /// (RFC 8693 §4.2).
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        ["scope", "scp"]
            .into_iter()
            .filter_map(|name| self.value.get(name))
            .flat_map(strings_of)
            .flat_map(|text| text.split(' ').filter(|scope| !scope.is_empty()))
    }

    /// The strings at the path: of a list those of its elements that are strings, of a string itself.
    pub fn strings(&self, path: &ClaimPath) -> impl Iterator<Item = &str> {
        self.get(path).into_iter().flat_map(strings_of)
    }

    /// All claims: always a JSON object.
    pub fn as_value(&self) -> &Value {
        &self.value
    }

    /// An estimate, from above, of what these claims occupy in memory.
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>() + footprint(&self.value)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.value.get(name)?.as_str()
    }
}

fn strings_of(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    value.as_str().into_iter().chain(list.iter().filter_map(Value::as_str))
}

/// Heap bytes below a value, allocator overhead included.
fn footprint(value: &Value) -> usize {
    const ALLOCATION: usize = 16;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.capacity() + ALLOCATION,
        Value::Array(list) => {
            list.capacity() * size_of::<Value>() + ALLOCATION + list.iter().map(footprint).sum::<usize>()
        }
        Value::Object(members) => {
            // An entry, its hash and its place in the index; maps grow by doubling.
            let entry = 2 * (size_of::<Value>() + size_of::<String>() + 2 * size_of::<usize>());
            let below = |(name, value): (&String, &Value)| name.capacity() + ALLOCATION + footprint(value);
            members.len() * entry + 2 * ALLOCATION + members.iter().map(below).sum::<usize>()
        }
    }
}

/// The names only: what a token says about a person has no place in a log.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.value.as_object().into_iter().flat_map(Map::keys);
        f.write_str("Claims ")?;
        f.debug_set().entries(names).finish()
    }
}
