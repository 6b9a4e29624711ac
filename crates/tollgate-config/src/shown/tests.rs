//! What may be shown, and what may not, as configurations and what is left of them.

use serde_json::json;

use super::*;
use crate::{MemorySources, load_text};

fn shown(text: &str) -> Value {
    let sources = MemorySources::default()
        .variable("TOKEN", "s3cret")
        .variable("PORT", "8080")
        .file("/run/key", "s3cret")
        .file("more.yaml", "routes:\n  - { path: /more, respond: { body: more } }\n");
    let loaded = load_text("tollgate.yaml", text, &sources);
    let sources = match &loaded {
        Ok(loaded) => &loaded.sources,
        Err(failed) => panic!("{:?}", failed.diagnostics),
    };
    redacted(sources)
}

fn check(text: &str, pointer: &str, expect: Value) {
    let shown = shown(text);
    assert_eq!(shown.pointer(&format!("/0/config{pointer}")), Some(&expect), "{text}\n{shown:#}");
}

const ROUTE: &str = "routes: [{ path: /, respond: { body: hi } }]\n";

#[test]
fn what_is_no_secret_is_shown_as_it_is_written() {
    for (text, pointer, expect) in [
        (
            "limits: { connections: 100, body: 1MiB }",
            "/limits",
            json!({ "connections": 100, "body": "1MiB" }),
        ),
        ("listeners: [{ address: \"0.0.0.0:${PORT}\" }]", "/listeners/0/address", json!("0.0.0.0:${PORT}")),
        ("admin: { token: \"${TOKEN}\" }", "/admin/token", json!("${TOKEN}")),
        ("admin: { token: \"${file:/run/key}\" }", "/admin/token", json!("${file:/run/key}")),
        ("access_log: { log_query: true }", "/access_log/log_query", json!(true)),
        (
            "access_log: { headers: [user-agent, x-foo] }",
            "/access_log/headers",
            json!(["user-agent", "x-foo"]),
        ),
    ] {
        check(&format!("{text}\n{ROUTE}"), pointer, expect);
    }
    let numbers = "routes: [{ path: /, respond: { json: { f: 1.5, n: 2, t: \"1.5\" } } }]\n";
    check(numbers, "/routes/0/respond/json", json!({ "f": 1.5, "n": 2, "t": "1.5" }));
}

#[test]
fn secrets_are_not() {
    for (text, pointer, expect) in [
        ("admin: { token: literal-s3cret }", "/admin/token", json!(HIDDEN)),
        ("admin: { token: \"${NOBODY:-literal-s3cret}\" }", "/admin/token", json!(HIDDEN)),
        (
            "consumers: [{ name: a, keys: [\"plain:literal-s3cret\"] }]",
            "/consumers/0",
            json!({ "name": "a", "keys": [HIDDEN] }),
        ),
    ] {
        let text = format!("{text}\n{ROUTE}");
        let failed = load_text("tollgate.yaml", &text, &MemorySources::default());
        let sources = failed.map_or_else(|failed| failed.sources, |loaded| loaded.sources);
        let shown = redacted(&sources);
        assert_eq!(shown.pointer(&format!("/0/config{pointer}")), Some(&expect), "{text}\n{shown:#}");
    }
}

/// Of a route that may not hold, whose texts with `s3cret` are secrets.
#[track_caller]
fn check_route(text: &str, pointer: &str, expect: &Value) {
    let text = format!("routes: [{{ path: /, {text} }}]\n");
    let failed = load_text("tollgate.yaml", &text, &MemorySources::default());
    let sources = failed.map_or_else(|failed| failed.sources, |loaded| loaded.sources);
    let shown = redacted(&sources);
    assert!(!shown.to_string().contains("s3cret"), "{shown:#}");
    assert_eq!(shown.pointer(&format!("/0/config/routes/0{pointer}")), Some(expect), "{text}\n{shown:#}");
}

#[test]
fn secrets_of_routes_are_not() {
    for (text, pointer, expect) in [
        ("to: http://me:s3cret@127.0.0.1:1", "/to", json!("http://***@127.0.0.1:1")),
        (
            "request: { set_headers: { x-key: s3cret, x-id: \"{request_id}\" } }, to: http://127.0.0.1:1",
            "/request/set_headers",
            json!({ "x-key": HIDDEN, "x-id": "{request_id}" }),
        ),
        (
            "request: { set_query: { key: s3cret } }, to: http://127.0.0.1:1",
            "/request/set_query",
            json!({ "key": HIDDEN }),
        ),
        (
            "request: { rewrite: \"/x?token=s3cret&id={id}\" }",
            "/request/rewrite",
            json!("/x?token=***&id={id}"),
        ),
        (
            "aggregate: { parts: [{ name: a, path: \"/x?k=s3cret\", json: { apiKey: s3cret } }] }",
            "/aggregate/parts/0",
            json!({ "name": "a", "path": "/x?k=***", "json": { "apiKey": HIDDEN } }),
        ),
        (
            "aggregate: { headers: [accept], query: [page], parts: [{ name: a, json: { headers: [s3cret] } }] }",
            "/aggregate",
            json!({
                "headers": ["accept"], "query": ["page"],
                "parts": [{ "name": "a", "json": { "headers": [HIDDEN] } }],
            }),
        ),
        (
            "redirect: { to: \"https://{host}{path}?{query}\" }",
            "/redirect/to",
            json!("https://{host}{path}?{query}"),
        ),
        (
            "headers: { headers: [s3cret] }, to: http://127.0.0.1:1",
            "/headers",
            json!({ "headers": [HIDDEN] }),
        ),
        (
            "lua: { file: a.lua, with: { a: [s3cret] } }",
            "/lua",
            json!({ "file": "a.lua", "with": { "a": [HIDDEN] } }),
        ),
        ("request: { rewrite: \"/x\\x3Ftoken=s3cret\" }", "/request/rewrite", json!(HIDDEN)),
        ("request: { rewrite: /x?token=s3cret\n    s3cret }", "/request/rewrite", json!(HIDDEN)),
        (
            "headers: { x-internal: s3cret, x-there: true }, to: http://127.0.0.1:1",
            "/headers",
            json!({ "x-internal": HIDDEN, "x-there": true }),
        ),
        (
            "response: { set_headers: { x-frame-options: deny } }, to: http://127.0.0.1:1",
            "/response/set_headers",
            json!({ "x-frame-options": "deny" }),
        ),
        (
            "guard: [{ if: 'request.headers[\"x-key\"] == \"s3cret\"' }], to: http://127.0.0.1:1",
            "/guard/0/if",
            json!("request.headers[\"***\"] == \"***\""),
        ),
    ] {
        check_route(text, pointer, &expect);
    }
}

#[test]
fn scripts_are_not_shown() {
    let text = "routes:\n  - path: /\n    to: http://127.0.0.1:1\n    lua:\n      inline: |\n        local key = \"s3cret\"\n        function request(req) end\n";
    let shown = shown(text);
    assert!(!shown.to_string().contains("s3cret"), "{shown:#}");
    assert_eq!(shown.pointer("/0/config/routes/0/lua/inline"), Some(&json!(HIDDEN)));
}

#[test]
fn included_files_stand_behind_the_main_one() {
    let shown = shown(&format!("include: more.yaml\n{ROUTE}"));
    let files: Vec<&str> =
        shown.as_array().into_iter().flatten().filter_map(|file| file["file"].as_str()).collect();
    assert_eq!(files, ["tollgate.yaml", "more.yaml"]);
    assert_eq!(shown.pointer("/1/config/routes/0/path"), Some(&json!("/more")));
}

#[test]
fn texts_are_cut_and_queries_hidden() {
    for (text, expect) in [
        ("http://h/p?key=s3cret", "http://h/p?***"),
        ("http://h/p?", "http://h/p?"),
        ("https://{host}{path}?{query}", "https://{host}{path}?{query}"),
        ("https://h/?from={path}&{query}", "https://h/?from={path}&{query}"),
        ("https://h/?from={path}&s3cret", "https://h/?***"),
        ("https://h/?from={path}&key=s3cret{host}", "https://h/?***"),
        ("what?", "what?"),
        ("redis://:pw@h/0", "redis://***@h/0"),
    ] {
        assert_eq!(without_query(text), expect);
    }
    assert_eq!(without_defaults("a${X}b${Y:-z}c${Z:-}"), "a${X}b${Y:-***}c${Z:-}");
    assert_eq!(without_defaults("${open:-secret"), "${open:-***}");
    assert_eq!(cut("ä".repeat(1_000)).chars().filter(|c| *c == 'ä').count(), 500);
}
