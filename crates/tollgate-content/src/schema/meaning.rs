//! What a text means by its schema: parameters and headers come as texts, and schemas speak of numbers, too.

use serde_json::Value;

/// How far references and combinations are followed, and how many schemas are looked at for one name.
const DEPTH_MAX: usize = 8;
const SCHEMAS_MAX: usize = 64;

/// Keywords that ask something of numbers alone.
const OF_NUMBERS: [&str; 5] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];

/// What the text of this name means; itself where it means nothing of the kind that the schema asks for, which is then the
/// fault. `commas` says that a list may stand in one text.
pub(super) fn meant(document: &Value, name: &str, value: Value, commas: bool) -> Value {
    let mut schemas = Vec::new();
    let mut above = Vec::new();
    gather(document, document, 0, &mut above);
    for schema in above {
        let own = schema.get("properties").and_then(|properties| properties.get(name));
        if let Some(of_name) = own.or_else(|| schema.get("additionalProperties")) {
            gather(document, of_name, 0, &mut schemas);
        }
    }
    if !types(&schemas).any(|name| name == "array") {
        return one(&schemas, value);
    }
    let parts = match value {
        Value::Array(parts) => parts,
        Value::String(text) if commas => text.split(',').map(|part| part.trim().into()).collect(),
        single => vec![single],
    };
    let mut items = Vec::new();
    schemas
        .iter()
        .filter_map(|schema| schema.get("items"))
        .for_each(|of_items| gather(document, of_items, 0, &mut items));
    Value::Array(parts.into_iter().map(|part| one(&items, part)).collect())
}

/// A schema, those that it refers to within its document, and those that it combines.
fn gather<'s>(document: &'s Value, schema: &'s Value, depth: usize, out: &mut Vec<&'s Value>) {
    if depth > DEPTH_MAX || out.len() >= SCHEMAS_MAX {
        return;
    }
    out.push(schema);
    let place = schema.get("$ref").and_then(Value::as_str).and_then(|place| place.strip_prefix('#'));
    let other = place.and_then(|place| document.pointer(place));
    let combined = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|how| schema.get(how)?.as_array());
    for next in other.into_iter().chain(combined.flatten()) {
        gather(document, next, depth + 1, out);
    }
}

fn one(schemas: &[&Value], value: Value) -> Value {
    let Value::String(text) = &value else { return value };
    let listed = || schemas.iter().flat_map(|schema| values(schema));
    if types(schemas).any(|name| name == "string") || listed().any(|listed| *listed == value) {
        return value;
    }
    let number = || text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let mean = |kind| match kind {
        "integer" | "number" if number() => {
            serde_json::from_str::<serde_json::Number>(text).ok().map(Value::Number)
        }
        "boolean" => text.parse().ok().map(Value::Bool),
        _ => None,
    };
    let of_listed = listed().map(|listed| match listed {
        Value::Number(_) => "number",
        Value::Bool(_) => "boolean",
        _ => "",
    });
    let asks = |schema: &&Value| OF_NUMBERS.iter().any(|keyword| schema.get(keyword).is_some());
    let of_keywords = schemas.iter().filter(|schema| asks(schema)).map(|_| "number");
    types(schemas).chain(of_listed).chain(of_keywords).find_map(mean).unwrap_or(value)
}

/// The values that are allowed, where they are listed.
fn values(schema: &Value) -> impl Iterator<Item = &Value> {
    let several = schema.get("enum").and_then(Value::as_array);
    several.into_iter().flatten().chain(schema.get("const"))
}

fn types<'s>(schemas: &[&'s Value]) -> impl Iterator<Item = &'s str> {
    schemas.iter().flat_map(|schema| {
        let named = schema.get("type");
        let several = named.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        named.and_then(Value::as_str).into_iter().chain(several)
    })
}
