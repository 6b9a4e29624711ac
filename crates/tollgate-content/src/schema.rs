//! JSON Schema: whether a body, or names with texts, are what they have to be.
//!
//! Drafts from 4 to 2020-12, by `$schema`; 2020-12 without. Nothing is fetched: what a `$ref` points at stands in the
//! same document. Formats are checked, and patterns are run by the engine that is linear in the text.

mod meaning;
pub(crate) mod strict;

use std::fmt;

use jsonschema::{PatternOptions, Registry, ValidationError, ValidationOptions, Validator};
use serde_json::{Map, Value, json};

/// Faults that are told; the others wait until these are gone.
const TOLD: usize = 3;

/// Bytes of a document of which more than the first fault is looked for: all of them are collected at once.
const SEVERAL_MAX: usize = 64 * 1024;

/// Bytes of what is told of one fault: names in it come from the client.
const FAULT_MAX: usize = 240;

/// Bytes that a compiled pattern may have.
const PATTERN_MAX: usize = 1 << 20;

/// A schema, compiled.
pub struct Schema {
    validator: Validator,
    /// As it is written, which tells what texts mean.
    document: Value,
    required: Vec<String>,
}

/// Names are enough: a schema is as long as its file.
impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.names().collect::<Vec<_>>()).finish()
    }
}

impl Schema {
    /// Compiles a schema, or says what is wrong with it.
    pub fn compile(document: &Value) -> Result<Schema, String> {
        let validator = options().build(document).map_err(|error| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { String::new() } else { format!(" at {place}") };
            format!("{error}{place}")
        })?;
        let required = document.get("required").and_then(Value::as_array);
        let required = required.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        Ok(Schema { validator, document: document.clone(), required })
    }

    /// Compiles the schema that stands at a place in one of several documents.
    pub(crate) fn within(documents: &Registry<'_>, place: &str) -> Result<Schema, String> {
        let document = json!({ "$ref": place });
        let validator =
            options().with_registry(documents).build(&document).map_err(|error| error.to_string())?;
        Ok(Schema { validator, document: Value::Null, required: Vec::new() })
    }

    /// The members that it names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let properties = self.document.get("properties").and_then(Value::as_object);
        properties.into_iter().flat_map(Map::keys).chain(&self.required).map(String::as_str)
    }

    /// Checks a JSON document. A name that stands twice in an object is a fault: who reads the document next may take
    /// the other one.
    pub fn check(&self, document: &[u8]) -> Result<(), String> {
        let value = strict::read(document).map_err(|why| format!("it is no JSON: {why}"))?;
        self.judge(&value, document.len() <= SEVERAL_MAX)
    }

    /// Checks names with texts, or lists of texts where a name came more than once. A text means what the schema
    /// asks for: a number, a boolean, or a list; `commas` says that a list may stand in one text.
    pub fn check_texts(&self, texts: Map<String, Value>, commas: bool) -> Result<(), String> {
        let mean = |(name, value): (String, Value)| {
            let value = meaning::meant(&self.document, &name, value, commas);
            (name, value)
        };
        self.judge(&Value::Object(texts.into_iter().map(mean).collect()), true)
    }

    /// Checks a value that was made of a request.
    pub(crate) fn check_value(&self, value: &Value) -> Result<(), String> {
        self.judge(value, true)
    }

    fn judge(&self, value: &Value, several: bool) -> Result<(), String> {
        if !several {
            return self.validator.validate(value).map_err(|error| told(&error));
        }
        if self.validator.is_valid(value) {
            return Ok(());
        }
        let faults: Vec<String> = self.validator.iter_errors(value).take(TOLD).map(|it| told(&it)).collect();
        Err(faults.join("; "))
    }
}

fn options<'i>() -> ValidationOptions<'i> {
    jsonschema::options()
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_MAX))
        .offline()
}

/// Where it is and what was expected there, without the value.
fn told(error: &ValidationError<'_>) -> String {
    let place = error.instance_path().to_string();
    let what = error.masked().to_string();
    let text = if place.is_empty() { what } else { format!("at {place}: {what}") };
    match text.char_indices().find(|(at, sign)| at + sign.len_utf8() > FAULT_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests;
