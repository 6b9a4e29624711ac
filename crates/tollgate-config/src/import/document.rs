//! What is imported, as JSON values: YAML and JSON come to the same.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Map, Number, Value};

use crate::report::Report;
use crate::yaml::{self, Core, NodeRef};

/// Why a text cannot be imported, with its place where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Line and column, from 1.
    pub place: Option<(u32, u32)>,
    /// What is wrong.
    pub message: String,
}

impl Unreadable {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Unreadable { place: None, message: message.into() }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "{line}:{column}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Reads a document; the parsers bound how deep it is and what its aliases come to.
pub(super) fn read(text: &str) -> Result<Value, Unreadable> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value = if text.trim_start().starts_with('{') { json(text)? } else { yaml(text)? };
    match value.is_object() {
        true => Ok(value),
        false => Err(Unreadable::new("the file is not a map of keys")),
    }
}

fn json(text: &str) -> Result<Value, Unreadable> {
    serde_json::from_str(text).map_err(|error| Unreadable {
        place: Some((error.line() as u32, error.column() as u32)),
        // The place is told in front of the message already.
        message: format!(
            "not valid JSON: {}",
            error.to_string().split(" at line ").next().unwrap_or_default()
        ),
    })
}

fn yaml(text: &str) -> Result<Value, Unreadable> {
    let mut report = Report::default();
    let file = report.sources.add(PathBuf::from("import"), text.into());
    match yaml::parse(file, text) {
        Ok(Some(tree)) => Ok(value(tree.root())),
        Ok(None) => Err(Unreadable::new("the file has no content")),
        Err(finding) => {
            report.push(*finding);
            let (diagnostics, _) = report.finish();
            let Some(first) = diagnostics.into_iter().next() else {
                return Err(Unreadable::new("the file is not valid YAML"));
            };
            Err(Unreadable { place: Some((first.line, first.column)), message: first.message })
        }
    }
}

fn value(node: NodeRef<'_>) -> Value {
    if let Some(items) = node.items() {
        return Value::Array(items.map(value).collect());
    }
    if let Some(entries) = node.entries() {
        return Value::Object(
            entries.map(|entry| (entry.key.to_owned(), value(entry.value))).collect::<Map<_, _>>(),
        );
    }
    let Some(scalar) = node.scalar() else { return Value::Null };
    match scalar.core() {
        Core::Null => Value::Null,
        Core::Bool(flag) => Value::Bool(flag),
        Core::Int(number) => match (i64::try_from(number), u64::try_from(number)) {
            (Ok(number), _) => number.into(),
            (_, Ok(number)) => number.into(),
            _ => scalar.text.as_ref().into(),
        },
        Core::Float(number) => {
            Number::from_f64(number).map_or_else(|| scalar.text.as_ref().into(), Value::Number)
        }
        Core::Text => scalar.text.as_ref().into(),
    }
}

/// The value under a path of keys; null counts as nothing.
pub(super) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('/').try_fold(value, |value, key| value.get(key)).filter(|value| !value.is_null())
}

/// The text under a key; a number counts as its text.
pub(super) fn text(value: &Value, path: &str) -> Option<String> {
    at(value, path).and_then(plain)
}

/// The text that a scalar is.
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The list under a key; a single value counts as a list of one.
pub(super) fn list<'v>(value: &'v Value, path: &str) -> &'v [Value] {
    match at(value, path) {
        Some(Value::Array(items)) => items,
        Some(one) => std::slice::from_ref(one),
        None => &[],
    }
}

/// The texts of a list.
pub(super) fn texts(value: &Value, path: &str) -> Vec<String> {
    list(value, path).iter().filter_map(plain).collect()
}

/// The members of a map under a key.
pub(super) fn members<'v>(value: &'v Value, path: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    at(value, path).and_then(Value::as_object).into_iter().flatten()
}

/// A number under a key.
pub(super) fn number(value: &Value, path: &str) -> Option<f64> {
    let found = at(value, path)?;
    found.as_f64().or_else(|| found.as_str()?.parse().ok()).filter(|number| number.is_finite())
}

/// Whether a key is `true`.
pub(super) fn is(value: &Value, path: &str) -> bool {
    at(value, path).and_then(Value::as_bool).unwrap_or(false)
}
