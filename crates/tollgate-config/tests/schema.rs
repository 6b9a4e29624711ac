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

fn root(key: &str, value: Value) -> Value {
    json!({ "routes": [{ "path": "/", "to": "http://127.0.0.1:1" }], key: value })
}

fn route(key: &str, value: Value) -> Value {
    json!({ "routes": [{ "path": "/", "to": "http://127.0.0.1:1", key: value }] })
}

fn upstream(key: &str, value: Value) -> Value {
    root("upstreams", json!({ "a": { "targets": ["http://127.0.0.1:1"], key: value } }))
}

fn issuer(key: &str, value: Value) -> Value {
    let issuer = json!({ "issuer": "https://id.example.com", "audience": ["a"], "algorithms": ["RS256"] });
    let mut document = root("issuers", json!({ "a": issuer }));
    document["issuers"]["a"][key] = value;
    document
}

fn consumer(begin: &str) -> Value {
    let dollar = if begin.ends_with("$$") { "$$" } else { "$" };
    let password = format!("{begin}c29tZXNhbHRzb21l{dollar}QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE");
    json!([{ "name": "a", "basic": { "user": "u", "password": password } }])
}

/// Whether schema and walk both say that a document is good, or both that it is bad.
fn check<const N: usize>(documents: [(Value, bool); N]) {
    let validator = jsonschema::validator_for(&schema()).expect("the schema is one");
    for (document, good) in documents {
        assert_eq!(validator.is_valid(&document), good, "the schema on {document}");
        // JSON is YAML.
        let loaded = load_text("test.yaml", &document.to_string(), &World);
        assert_eq!(loaded.is_ok(), good, "the walk on {document}");
    }
}

#[test]
fn the_schema_and_the_walk_agree_on_single_faults() {
    check([
        (root("version", json!(1)), true),
        (root("version", json!(2)), false),
        (root("version", json!("${V:-1}")), true),
        (root("consumers", consumer("$argon2id$v=19$m=19456,t=2,p=1$")), true),
        (root("consumers", consumer("$$argon2id$$v=19$$m=19456,t=2,p=1$$")), true),
        (root("consumers", consumer("$argon2i$v=19$m=19456,t=2,p=1$")), false),
        (root("vresion", json!(1)), false),
        (root("limits", json!({ "body": "1KiB", "memory": 0 })), true),
        (root("limits", json!({ "body": "1 KiB" })), false),
        (root("limits", json!({ "body": 1024 })), false),
        (root("limits", json!({ "memory": "64MiB" })), true),
        (root("limits", json!({ "memory": "plenty" })), false),
        (root("limits", json!({ "conections": 1 })), false),
        (root("limits", json!({ "connections": 0 })), false),
        (root("limits", json!({ "header_timeout": 0 })), false),
        (root("shutdown", json!({ "delay": 0 })), true),
        (root("workers", json!("auto")), true),
        (root("workers", json!("many")), false),
        (root("listeners", json!([{}])), false),
        (root("listeners", json!([{ "address": "127.0.0.1:1", "http2": true }])), true),
        (root("listeners", json!([{ "address": "127.0.0.1:1", "http2": "yes" }])), false),
        (root("access_log", json!({ "sink": "stdout" })), true),
        (root("access_log", json!({ "sink": "sdtout" })), false),
        (root("defaults", json!({ "timeout": "5s" })), true),
        (root("defaults", json!({ "path": "/" })), false),
        (upstream("balance", json!("random")), true),
        (upstream("balance", json!({ "hash": "ip" })), true),
        (upstream("balance", json!({ "hash": "user" })), false),
        (upstream("balance", json!("hash")), false),
        (upstream("retry", json!({})), true),
        (
            upstream(
                "retry",
                json!({ "on": ["connect", 503, "502-504"], "methods": ["GET"], "budget": "0%" }),
            ),
            true,
        ),
        (upstream("retry", json!({ "on": ["refused"] })), false),
        (upstream("retry", json!({ "methods": "all" })), false),
        (upstream("retry", json!({ "budget": 20 })), false),
        (upstream("retry", json!({ "attempts": 11 })), false),
        (upstream("health_check", json!({ "path": "/ping?deep", "status": [200, "300-399"] })), true),
        (upstream("health_check", json!({ "tcp": true })), true),
        (upstream("health_check", json!({ "path": "ping" })), false),
        (upstream("health_check", json!({ "status": "5xx" })), false),
        (upstream("health_check", json!({ "status": 600 })), false),
        (upstream("outlier", json!({ "max_ejected": "100%" })), true),
        (upstream("outlier", json!({ "max_ejected": "half" })), false),
        (upstream("circuit_breaker", json!({ "failure_rate": "1%", "window": "1m" })), true),
        (upstream("circuit_breaker", json!({ "half_open_requests": 0 })), false),
        (upstream("failure_status", json!([500, "502-599"])), true),
        (upstream("failure_status", json!(true)), false),
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
        (route("response", json!({ "compress": false })), true),
        (route("response", json!({ "compress": "gzip" })), false),
    ]);
}

#[test]
fn the_schema_and_the_walk_agree_on_protection() {
    check([
        (root("redis", json!({})), false),
        (root("redis", json!({ "url": "redis://127.0.0.1" })), true),
        (root("redis", json!({ "url": ["redis://127.0.0.1"], "on_failure": "deny" })), true),
        (root("redis", json!({ "url": [] })), false),
        (root("redis", json!({ "url": "http://127.0.0.1" })), false),
        (root("redis", json!({ "url": "redis://127.0.0.1", "instances": 0 })), false),
        (root("rate_limit_headers", json!("off")), true),
        (root("rate_limit_headers", json!("on")), false),
        (root("issuers", json!({})), true),
        (root("issuers", json!({ "a": { "algorithm": "RS256" } })), false),
        (issuer("audience", json!("any")), true),
        (issuer("audience", json!([])), false),
        (issuer("algorithms", json!(["RS256", "EdDSA"])), true),
        (issuer("algorithms", json!(["none"])), false),
        (issuer("jwks_url", json!("https://id.example.com/jwks")), true),
        (issuer("jwks_url", json!("id.example.com/jwks")), false),
        (issuer("exp", json!("optional")), true),
        (issuer("exp", json!("never")), false),
        (root("consumers", json!([])), true),
        (root("consumers", json!([{ "name": "a", "keys": [format!("sha256:{}", "0a".repeat(32))] }])), true),
        (root("consumers", json!([{ "name": "a", "keys": ["plain"] }])), false),
        (root("consumers", json!([{ "keys": [] }])), false),
        (root("consumers", json!([{ "name": "a", "basic": { "user": "u", "password": "p" } }])), false),
        (route("cors", json!({})), false),
        (route("cors", json!({ "origins": ["https://a.com", "https://*.b.com:8443"] })), true),
        (route("cors", json!({ "origins": ["https://a.com/"] })), false),
        (route("allow_ips", json!(["10.0.0.0/8"])), true),
        (route("allow_ips", json!("10.0.0.0/8")), false),
        (route("auth", json!("public")), true),
        (route("auth", json!("private")), false),
        (route("auth", json!({ "basic": true, "token": "main" })), false),
        (route("auth", json!({ "basic": true, "optional": true })), true),
        (route("auth", json!({ "api_key": { "query": "k" }, "strip": true })), true),
        (route("auth", json!({ "api_key": "x-key" })), false),
        (route("rate_limit", json!([])), true),
        (route("rate_limit", json!({ "rate": "100/s", "per": "ip" })), true),
        (route("rate_limit", json!([{ "rate": "100/s", "per": "header:x", "burst": 5 }])), true),
        (route("rate_limit", json!({ "rate": "100/s" })), false),
        (route("rate_limit", json!({ "rate": 100, "per": "ip" })), false),
        (route("rate_limit", json!({ "rate": "100/s", "per": "user" })), false),
        (route("rate_limit", json!({ "rate": "100/s", "per": "ip", "store": "memory" })), false),
        (route("concurrency", json!({ "max": 5 })), true),
        (route("concurrency", json!({ "max": 0 })), false),
    ]);
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
