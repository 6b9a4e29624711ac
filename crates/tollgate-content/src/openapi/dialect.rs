//! What a description says, brought to one meaning: that of OpenAPI 3.1, whose schemas are JSON Schema 2020-12.
//!
//! Objects keep their places, so that pointers into the file as it was written stay right.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// Which OpenAPI it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V30,
    V31,
}

/// Dialects of schemas that are those of 2020-12, with keywords beside them that check nothing.
const DIALECTS: [&str; 2] =
    ["https://spec.openapis.org/oas/3.1/dialect/base", "https://json-schema.org/draft/2020-12/schema"];

/// Keys under which members have free names.
const NAMED: [&str; 19] = [
    "$defs",
    "callbacks",
    "content",
    "definitions",
    "dependentSchemas",
    "encoding",
    "headers",
    "links",
    "parameters",
    "pathItems",
    "paths",
    "patternProperties",
    "properties",
    "requestBodies",
    "responses",
    "schemas",
    "securitySchemes",
    "variables",
    "webhooks",
];

/// Keys under which stands what is no part of the description, but data.
const DATA: [&str; 6] = ["const", "default", "enum", "example", "examples", "mapping"];

impl Version {
    /// The version that the first file names; or the place and the words of what is wrong.
    pub(super) fn of(document: &Value) -> Result<Version, (&'static str, String)> {
        let version = match document.get("openapi") {
            Some(Value::String(version)) => version.as_str(),
            Some(_) => return Err(("/openapi", "`openapi` must be text, such as `\"3.1.0\"`".to_owned())),
            None if document.get("swagger").is_some() => {
                return Err(("/swagger", "it is Swagger 2.0; OpenAPI 3.0 and 3.1 are read".to_owned()));
            }
            None => return Err(("", "it has no `openapi`: it is no OpenAPI description".to_owned())),
        };
        let dialect = document.get("jsonSchemaDialect").and_then(Value::as_str);
        if dialect.is_some_and(|named| !DIALECTS.contains(&named.trim_end_matches('#'))) {
            let why = "schemas of this dialect are not read; those of OpenAPI 3.1 and of 2020-12 are";
            return Err(("/jsonSchemaDialect", why.to_owned()));
        }
        let is = |line: &str| {
            version == line || version.strip_prefix(line).is_some_and(|rest| rest.starts_with('.'))
        };
        if is("3.0") {
            return Ok(Version::V30);
        }
        if is("3.1") {
            return Ok(Version::V31);
        }
        Err(("/openapi", "OpenAPI 3.0 and 3.1 are read, and no other version".to_owned()))
    }
}

/// Brings the meaning of a file to that of 3.1, as far as requests go. Gives every reference that stands in it.
pub(super) fn adapt(file: &mut Value, version: Version) -> Vec<String> {
    let owned_by_service = read_only(file);
    let mut references = Vec::new();
    each_object(file, &mut |object| {
        if let Some(Value::String(reference)) = object.get("$ref") {
            references.push(reference.clone());
            if version == Version::V30 {
                // A reference of 3.0 is all that counts in its object.
                object.retain(|name, _| name == "$ref");
            }
        }
        if version == Version::V30 {
            nullable(object);
            exclusive(object, "minimum", "exclusiveMinimum");
            exclusive(object, "maximum", "exclusiveMaximum");
        }
        not_required(object, &owned_by_service);
    });
    references
}

/// Calls for every object that is part of the description.
pub(super) fn each_object(value: &mut Value, act: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            act(object);
            for (name, value) in object {
                match value {
                    _ if DATA.contains(&name.as_str()) || name.starts_with("x-") => {}
                    Value::Object(named) if NAMED.contains(&name.as_str()) => {
                        named.values_mut().for_each(|value| each_object(value, act));
                    }
                    value => each_object(value, act),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| each_object(value, act)),
        _ => {}
    }
}

/// `nullable: true` adds null to the `type` beside it, and means nothing without one (OpenAPI 3.0.4 section 4.7.24).
fn nullable(object: &mut Map<String, Value>) {
    if object.get("nullable") != Some(&Value::Bool(true)) {
        return;
    }
    if let Some(kind @ Value::String(_)) = object.get_mut("type") {
        *kind = Value::Array(vec![kind.take(), "null".into()]);
    }
}

/// `exclusiveMinimum: true` makes `minimum` exclusive.
fn exclusive(object: &mut Map<String, Value>, bound: &str, exclusive: &str) {
    let Some(Value::Bool(is)) = object.get(exclusive) else { return };
    let is = *is;
    object.remove(exclusive);
    if is && let Some(value) = object.remove(bound) {
        object.insert(exclusive.to_owned(), value);
    }
}

/// References to the schemas of a file that are `readOnly` as a whole.
fn read_only(file: &Value) -> HashSet<String> {
    let schemas = file.pointer("/components/schemas").and_then(Value::as_object).into_iter().flatten();
    let read_only = schemas.filter(|(_, schema)| schema.get("readOnly") == Some(&Value::Bool(true)));
    read_only.map(|(name, _)| format!("#/components/schemas/{name}")).collect()
}

/// A property that only the service says is required in answers alone (OpenAPI 3.0.4 section 4.7.24.2).
fn not_required(object: &mut Map<String, Value>, owned: &HashSet<String>) {
    let Some(Value::Object(properties)) = object.get("properties") else { return };
    let read_only = |(_, schema): &(&String, &Value)| {
        let refers = schema.get("$ref").and_then(Value::as_str);
        schema.get("readOnly") == Some(&Value::Bool(true)) || refers.is_some_and(|to| owned.contains(to))
    };
    let names: Vec<String> = properties.iter().filter(read_only).map(|(name, _)| name.clone()).collect();
    if let Some(Value::Array(required)) = object.get_mut("required") {
        required.retain(|name| !names.iter().any(|owned| name.as_str() == Some(owned)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_of_3_0_mean_the_same_in_2020_12() {
        let check = |written: Value, wanted: Value| {
            let mut file = json!({ "components": { "schemas": { "A": written } } });
            adapt(&mut file, Version::V30);
            assert_eq!(file["components"]["schemas"]["A"], wanted);
        };
        check(
            json!({ "type": "string", "nullable": true }),
            json!({ "type": ["string", "null"], "nullable": true }),
        );
        check(json!({ "nullable": true }), json!({ "nullable": true }));
        check(json!({ "type": "string", "nullable": false }), json!({ "type": "string", "nullable": false }));
        check(json!({ "minimum": 1, "exclusiveMinimum": true }), json!({ "exclusiveMinimum": 1 }));
        check(json!({ "minimum": 1, "exclusiveMinimum": false }), json!({ "minimum": 1 }));
        check(json!({ "maximum": 1, "exclusiveMaximum": true }), json!({ "exclusiveMaximum": 1 }));
        check(json!({ "exclusiveMaximum": true }), json!({}));
        check(json!({ "$ref": "#/a", "type": "string" }), json!({ "$ref": "#/a" }));
        check(
            json!({ "items": { "allOf": [{ "type": "integer", "nullable": true }] } }),
            json!({ "items": { "allOf": [{ "type": ["integer", "null"], "nullable": true }] } }),
        );
        // What is only named so, and what is data, stays.
        let named = json!({ "properties": { "nullable": { "enum": [{ "type": "a", "nullable": true }] },
            "default": { "type": "string" } }, "example": { "$ref": "#/x", "a": 1 } });
        check(named.clone(), named);
    }

    #[test]
    fn what_the_service_says_is_not_required_of_the_client() {
        let mut file = json!({ "components": { "schemas": {
            "Id": { "type": "integer", "readOnly": true },
            "Pet": {
                "required": ["id", "at", "name"],
                "properties": {
                    "id": { "$ref": "#/components/schemas/Id" },
                    "at": { "readOnly": true },
                    "name": { "readOnly": false },
                },
            },
        } } });
        let references = adapt(&mut file, Version::V31);
        assert_eq!(file["components"]["schemas"]["Pet"]["required"], json!(["name"]));
        assert_eq!(references, ["#/components/schemas/Id"]);
    }

    #[test]
    fn versions() {
        let check = |document: Value, wanted: Result<Version, &str>| {
            let got = Version::of(&document).map_err(|(_, why)| why);
            match wanted {
                Ok(version) => assert_eq!(got, Ok(version)),
                Err(part) => assert!(got.as_ref().is_err_and(|why| why.contains(part)), "{got:?}"),
            }
        };
        check(json!({ "openapi": "3.0.4" }), Ok(Version::V30));
        check(json!({ "openapi": "3.1.1" }), Ok(Version::V31));
        check(json!({ "openapi": "3.1" }), Ok(Version::V31));
        check(json!({ "openapi": "3.10.0" }), Err("no other version"));
        check(json!({ "openapi": 3.1 }), Err("must be text"));
        check(json!({ "swagger": "2.0" }), Err("Swagger 2.0"));
        check(json!([]), Err("no `openapi`"));
        check(
            json!({ "openapi": "3.1.0", "jsonSchemaDialect": "https://example.com/d" }),
            Err("this dialect"),
        );
    }
}
