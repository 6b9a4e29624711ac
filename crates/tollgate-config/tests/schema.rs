//! The schema says what the walk accepts: for editors it is the same contract.

mod document;
mod world;

use serde_json::{Value, json};
use tollgate_config::{CODES, load_text, reference_markdown, schema};
use world::World;

#[test]
fn the_schema_accepts_every_good_configuration() {
    let validator = jsonschema::validator_for(&schema()).expect("the schema is one");
    for case in world::cases("good") {
        let document = document::json(&world::root().join(&case));
        let faults: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(faults.is_empty(), "{}: {faults:#?}", case.display());
    }
}

#[test]
fn the_schema_and_the_walk_agree_on_single_faults() {
    let validator = jsonschema::validator_for(&schema()).expect("the schema is one");
    let route = |key: &str, value: Value| json!({ "routes": [{ "path": "/", "to": "http://127.0.0.1:1", key: value }] });
    let root = |key: &str, value: Value| json!({ "routes": [{ "path": "/", "to": "http://127.0.0.1:1" }], key: value });
    let upstream = |key: &str, value: Value| {
        root("upstreams", json!({ "a": { "targets": ["http://127.0.0.1:1"], key: value } }))
    };
    for (document, good) in [
        (root("version", json!(1)), true),
        (root("version", json!(2)), false),
        (root("version", json!("${V:-1}")), true),
        (root("vresion", json!(1)), false),
        (root("redis", json!({})), false),
        (root("issuers", json!({})), true),
        (root("issuers", json!({ "a": {} })), false),
        (root("limits", json!({ "body": "1KiB", "memory": 0 })), true),
        (root("limits", json!({ "body": "1 KiB" })), false),
        (root("limits", json!({ "body": 1024 })), false),
        (root("limits", json!({ "memory": "1MiB" })), false),
        (root("limits", json!({ "conections": 1 })), false),
        (root("limits", json!({ "connections": 0 })), false),
        (root("limits", json!({ "header_timeout": 0 })), false),
        (root("shutdown", json!({ "delay": 0 })), true),
        (root("workers", json!("auto")), true),
        (root("workers", json!("many")), false),
        (root("listeners", json!([{}])), false),
        (root("listeners", json!([{ "address": "127.0.0.1:1", "http2": true }])), false),
        (root("access_log", json!({ "sink": "stdout" })), true),
        (root("access_log", json!({ "sink": "sdtout" })), false),
        (root("defaults", json!({ "timeout": "5s" })), true),
        (root("defaults", json!({ "path": "/" })), false),
        (upstream("balance", json!("random")), true),
        (upstream("balance", json!({ "hash": "ip" })), true),
        (upstream("balance", json!({ "hash": "user" })), false),
        (upstream("balance", json!("hash")), false),
        (upstream("retry", json!({})), false),
        (route("timeout", json!("5s")), true),
        (route("timeout", json!("5 s")), false),
        (route("timeuot", json!("5s")), false),
        (route("methods", json!(["GET"])), true),
        (route("methods", json!("GET")), false),
        (route("headers", json!({ "x": true, "y": "a" })), true),
        (route("headers", json!({ "x": 5 })), false),
        (route("host", json!(["a.com"])), true),
        (route("host", json!({ "a": 1 })), false),
        (route("request", json!({ "set_headers": { "x": "a" } })), true),
        (route("request", json!({ "set_header": { "x": "a" } })), false),
        (route("cors", json!({})), false),
        (route("response", json!({ "compress": false })), true),
        (route("response", json!({ "compress": true })), false),
    ] {
        assert_eq!(validator.is_valid(&document), good, "the schema on {document}");
        // JSON is YAML.
        let loaded = load_text("test.yaml", &document.to_string(), &World);
        assert_eq!(loaded.is_ok(), good, "the walk on {document}");
    }
}

#[test]
fn every_default_of_the_schema_is_accepted() {
    let schema = schema();
    let mut count = 0;
    for (title, definition) in schema["$defs"].as_object().expect("definitions") {
        let Some(properties) = definition["properties"].as_object() else { continue };
        for (key, property) in properties {
            let Some(default) = property.get("default") else { continue };
            let mut own = property.clone();
            own["$defs"] = schema["$defs"].clone();
            assert!(jsonschema::is_valid(&own, default), "{title}.{key}: {default}");
            count += 1;
        }
    }
    assert!(count > 25, "defaults are there: {count}");
}

#[test]
fn the_reference_tells_every_key_and_every_code() {
    let (schema, reference) = (schema(), reference_markdown());
    for (title, definition) in schema["$defs"].as_object().expect("definitions") {
        let Some(properties) = definition["properties"].as_object() else { continue };
        let section = reference.split(&format!("\n## {title}\n")).nth(1).expect(title);
        let section = section.split("\n## ").next().expect("a section");
        for key in properties.keys() {
            assert!(section.contains(&format!("`{key}`")), "{title}.{key}");
        }
    }
    for (code, _) in CODES {
        assert!(reference.contains(&format!("| `{code}` |")), "{code}");
    }
}
