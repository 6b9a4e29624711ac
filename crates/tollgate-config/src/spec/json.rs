//! JSON written as YAML, with placeholders in its strings.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use tollgate_plan::template::{Part, Template};

use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{Catalogue, Description, Shape, template};
use crate::source_map::visible;
use crate::yaml::{Core, Entry, NodeRef};

const NO_NUMBER: &str = "JSON has no infinity and no NaN";

/// JSON text as a template: the placeholders stand inside strings, everything else is already escaped.
#[derive(Debug, Clone)]
pub(crate) struct Json(pub(crate) Template);

impl Shape for Json {
    fn read(node: NodeRef<'_>, _: &str, report: &mut Report) -> Option<Self> {
        let mut out = Template::default();
        let mut text = String::new();
        let complete = write(node, Strings::Templates, &mut out, &mut text, report);
        out.push_text(&text);
        complete.then_some(Json(out))
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("any value", json!({}))
    }
}

/// What a text in the YAML becomes.
#[derive(Debug, Clone, Copy)]
enum Strings {
    Templates,
    Plain,
}

/// The JSON text that a node means, without placeholders: whole numbers keep their digits.
pub(super) fn literal_text(node: NodeRef<'_>, report: &mut Report) -> Option<String> {
    let (mut out, mut text) = (Template::default(), String::new());
    write(node, Strings::Plain, &mut out, &mut text, report).then_some(text)
}

/// The JSON that a node means, without placeholders; none when something was reported, after which the rest was still looked at.
pub(super) fn literal(node: NodeRef<'_>, report: &mut Report) -> Option<Value> {
    if let Some(items) = node.items() {
        let items: Vec<Option<Value>> = items.map(|item| literal(item, report)).collect();
        return items.into_iter().collect::<Option<Vec<_>>>().map(Value::Array);
    }
    if let Some(entries) = node.entries() {
        let mut map = Map::new();
        let mut complete = true;
        for entry in entries {
            let Some(value) = literal(entry.value, report) else {
                complete = false;
                continue;
            };
            if map.insert(entry.key.to_owned(), value).is_some() {
                let message = format!("`{}` is written twice", visible(entry.key));
                report.push(Finding::error(Code::DuplicateKey, entry.key_span, message));
                complete = false;
            }
        }
        return complete.then_some(Value::Object(map));
    }
    let scalar = node.scalar().filter(|scalar| !scalar.unknown)?;
    match scalar.core() {
        Core::Null => Some(Value::Null),
        Core::Bool(value) => Some(value.into()),
        // What a whole number of JSON cannot hold is a double, which is what most who read it have.
        Core::Int(value) => {
            let whole = i64::try_from(value).map(Value::from);
            Some(
                whole
                    .or_else(|_| u64::try_from(value).map(Value::from))
                    .unwrap_or_else(|_| json!(value as f64)),
            )
        }
        Core::Float(value) if value.is_finite() => Some(json!(value)),
        Core::Float(_) => {
            let finding = Finding::error(Code::BadValue, node.span(), NO_NUMBER);
            report.push(finding.hint("quote it to make it text"));
            None
        }
        Core::Text => Some(scalar.text.to_string().into()),
    }
}

/// Appends a value; false when something was reported, after which the rest is still looked at.
///
/// Literal text is gathered in `text` and moved to the template before a placeholder: a template copies its
/// last text on every append.
fn write(
    node: NodeRef<'_>,
    strings: Strings,
    out: &mut Template,
    text: &mut String,
    report: &mut Report,
) -> bool {
    if let Some(items) = node.items() {
        let mut complete = true;
        text.push('[');
        for (nth, item) in items.enumerate() {
            if nth > 0 {
                text.push(',');
            }
            complete &= write(item, strings, out, text, report);
        }
        text.push(']');
        return complete;
    }
    if let Some(entries) = node.entries() {
        return write_object(entries, strings, out, text, report);
    }
    write_scalar(node, strings, out, text, report)
}

fn write_object<'t>(
    entries: impl Iterator<Item = Entry<'t>>,
    strings: Strings,
    out: &mut Template,
    text: &mut String,
    report: &mut Report,
) -> bool {
    let mut complete = true;
    let mut seen = HashMap::new();
    text.push('{');
    for (nth, entry) in entries.enumerate() {
        if let Some(first) = seen.insert(entry.key, entry.key_span) {
            let message = format!("`{}` is written twice", visible(entry.key));
            let finding = Finding::error(Code::DuplicateKey, entry.key_span, message);
            report.push(finding.related(first, "first written here"));
            complete = false;
        }
        if nth > 0 {
            text.push(',');
        }
        push_string(entry.key, text);
        text.push(':');
        complete &= write(entry.value, strings, out, text, report);
    }
    text.push('}');
    complete
}

fn write_scalar(
    node: NodeRef<'_>,
    strings: Strings,
    out: &mut Template,
    text: &mut String,
    report: &mut Report,
) -> bool {
    let Some(scalar) = node.scalar().filter(|scalar| !scalar.unknown) else { return false };
    match scalar.core() {
        Core::Null => text.push_str("null"),
        Core::Bool(value) => text.push_str(if value { "true" } else { "false" }),
        Core::Int(value) => text.push_str(&value.to_string()),
        Core::Float(value) if value.is_finite() => text.push_str(&json!(value).to_string()),
        Core::Float(_) => {
            report.push(
                Finding::error(Code::BadValue, node.span(), NO_NUMBER).hint("quote it to make it text"),
            );
            return false;
        }
        Core::Text if matches!(strings, Strings::Plain) => push_string(&scalar.text, text),
        Core::Text => {
            let Some(string) = template(node, scalar, Template::parse, report) else { return false };
            text.push('"');
            for part in string.parts() {
                match part {
                    Part::Text(literal) => push_escaped(literal, text),
                    Part::Var(var) => {
                        out.push_text(text);
                        text.clear();
                        out.push_var(var.clone());
                    }
                }
            }
            text.push('"');
        }
    }
    true
}

fn push_string(string: &str, text: &mut String) {
    text.push('"');
    push_escaped(string, text);
    text.push('"');
}

fn push_escaped(string: &str, text: &mut String) {
    let quoted = serde_json::Value::from(string).to_string();
    // The quotes are the first and the last byte of any JSON string.
    text.push_str(quoted.get(1..quoted.len() - 1).unwrap_or_default());
}
