//! Configurations of other gateways: any text is answered, what is made passes `check`, and nothing that was protected
//! becomes open.
//!
//! A document is built from choices: some of its parts are protected, in one of many ways, well written or not. Their
//! paths begin with `/p`, those of all others with `/o`. Whatever comes out, a request for `/p…` must not reach a
//! service unasked.

use std::io;
use std::path::{Path, PathBuf};

use arbitrary::Unstructured;
use serde_json::{Value, json};
use tollgate_config::import::{Dialect, Hashes, Import, import};
use tollgate_config::{Listed, MemorySources, Sources, load_text};
use tollgate_plan::Plan;
use tollgate_plan::route::{Action, Route};
use tollgate_plan::table::{Facts, Found, Params};
use tollgate_wire::{Method, Name};

const HASHES: Hashes = Hashes {
    key: |key| {
        format!("sha256:{:064x}", key.bytes().fold(7_u64, |sum, byte| sum * 31 % 1_000_003 + u64::from(byte)))
    },
    password: |_| {
        Some("$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$2l1u5cNPEo6pLQLCpNHYq3EdKiXOIOQ9kzQdPnZ3dXc".to_owned())
    },
};

/// A secret of the source: no report holds it.
const SECRET: &str = "zq9-secret";

/// Bytes as a document of Kong, or as choices of which one is built. Whether it was imported.
pub(crate) fn import_kong(bytes: &[u8]) -> bool {
    run(Dialect::Kong, bytes, kong)
}

/// As above, of KrakenD.
pub(crate) fn import_krakend(bytes: &[u8]) -> bool {
    run(Dialect::Krakend, bytes, krakend)
}

/// As above, of OpenAPI.
pub(crate) fn import_openapi(bytes: &[u8]) -> bool {
    run(Dialect::Openapi, bytes, openapi)
}

type Build = fn(&mut Unstructured<'_>) -> arbitrary::Result<Value>;

/// A first byte of text begins a text.
fn run(dialect: Dialect, bytes: &[u8], build: Build) -> bool {
    if bytes.first().is_some_and(|byte| byte.is_ascii_graphic()) {
        return made(dialect, &String::from_utf8_lossy(bytes)).is_some();
    }
    let mut input = Unstructured::new(bytes.get(1..).unwrap_or_default());
    let Ok(document) = build(&mut input) else { return false };
    let text = document.to_string();
    let Some((yaml, plan)) = made(dialect, &text) else { return false };
    let shown = || format!("{document:#}\nbecame\n{yaml}");
    for path in ["/p", "/p/", "/p/a", "/p/a/b", "/p/a/1", "/pa", "/p/b", "/p/x/y/z"] {
        for method in ["GET", "POST", "DELETE"] {
            for host in ["", "a.test", "b.test"] {
                let asked = Asked { method: Method::parse(method.as_bytes()).expect("a method") };
                let mut params = Params::default();
                let Found::Route(id) = plan.table.find(host, path, &asked, &mut params) else { continue };
                let route = &plan.routes[id.0 as usize];
                assert!(
                    is_closed(route),
                    "{method} {path} on {host:?} goes to `{}`\n{}",
                    route.name,
                    shown()
                );
            }
        }
    }
    true
}

/// What is made, and what it comes to.
fn made(dialect: Dialect, text: &str) -> Option<(String, Plan)> {
    let sources = MemorySources::default().file("in.yaml", text);
    let import_it =
        Import { dialect, file: "in.yaml", text, target: "tollgate.yaml", sources: &sources, hashes: HASHES };
    let made = match import(&import_it) {
        Ok(made) => made,
        Err(unreadable) => {
            assert!(!unreadable.to_string().contains(SECRET), "{unreadable}");
            return None;
        }
    };
    let loaded = load_text("tollgate.yaml", &made.yaml, &Set(sources));
    let loaded = loaded.unwrap_or_else(|failed| panic!("{:?}\n{}", failed.diagnostics, made.yaml));
    let report = made.findings.to_text();
    assert!(!report.contains(SECRET), "{report}");
    assert!(made.findings.to_json()["ok"].is_boolean());
    assert!(!report.chars().any(|c| c.is_control() && c != '\n'), "{report}");
    Some((made.yaml, loaded.plan))
}

/// The world in which every variable that the configuration asks for has been set.
struct Set(MemorySources);

impl Sources for Set {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.0.read(path, limit)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Listed>> {
        self.0.list(directory)
    }

    fn identity(&self, path: &Path) -> PathBuf {
        self.0.identity(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        let value = if name.contains("REDIS") { "redis://127.0.0.1:6379" } else { LONG };
        name.starts_with("IMPORTED_").then(|| value.to_owned())
    }

    fn cores(&self) -> usize {
        1
    }
}

/// Long enough for the key of a token.
const LONG: &str = "a-value-that-is-as-long-as-the-longest-hash-has-bytes-at-the-very-least";

/// Whether the route lets nobody through to a service of whom it knows nothing.
fn is_closed(route: &Route) -> bool {
    let reaches = matches!(route.action, Action::To(_) | Action::Split(_) | Action::Aggregate(_));
    let asks = route.auth.as_ref().is_some_and(|auth| !auth.optional);
    !reaches || asks || route.addresses.is_some()
}

struct Asked {
    method: Method,
}

impl Facts for Asked {
    fn method(&self) -> &Method {
        &self.method
    }

    fn header<'a>(&'a self, _: &'a Name) -> impl Iterator<Item = &'a [u8]> {
        std::iter::empty()
    }

    fn query(&self) -> Option<&[u8]> {
        None
    }
}

/// A value where another kind of value should be.
fn odd(input: &mut Unstructured<'_>, good: Value) -> arbitrary::Result<Value> {
    Ok(match input.int_in_range(0..=15)? {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(7),
        3 => json!("x"),
        4 => json!([]),
        5 => json!({}),
        6 => json!([good]),
        7 => json!({ "x": good }),
        _ => good,
    })
}

fn kong(input: &mut Unstructured<'_>) -> arbitrary::Result<Value> {
    let protection = kong_plugin(input)?;
    // Where the protection stands: on the route, on its service, for all, or beside with a reference.
    let place = input.int_in_range(0..=4)?;
    let mut paths = vec![json!("/p")];
    if input.ratio(1, 4)? {
        paths.push(json!(*input.choose(&["/p/a", "~/p/[a-z]+$", "~/p/(?<id>\\d+)", "/p/", "~/p/(?!x)"])?));
    }
    let mut route = json!({ "name": "protected", "paths": paths });
    let mut service = json!({ "name": "s", "url": "http://s.test:1" });
    let mut plugins = Vec::new();
    match place {
        0 => route["plugins"] = json!([protection]),
        1 => service["plugins"] = json!([protection]),
        2 => plugins.push(protection),
        3 => plugins.push(with(protection, "route", &["protected"], input)?),
        _ => plugins.push(with(protection, "service", &["s"], input)?),
    }
    for key in ["strip_path", "preserve_host"] {
        if input.ratio(1, 4)? {
            route[key] = odd(input, json!(true))?;
        }
    }
    if input.ratio(1, 4)? {
        service["path"] = odd(input, json!("/base"))?;
    }
    service["routes"] = json!([route]);
    let mut services = vec![service];
    // Others, which are open, with paths that may be wider or odd.
    for number in 0..input.int_in_range(0..=2)? {
        let path = *input.choose(&["/", "/o", "/o/a", "~/o/[0-9]+$", "/o/{x}", "/o//x", "~/o/.*"])?;
        let mut open = json!({ "name": format!("open{number}"), "paths": [path] });
        if input.ratio(1, 4)? {
            open["methods"] = odd(input, json!(["GET"]))?;
        }
        if input.ratio(1, 4)? {
            open["hosts"] = odd(input, json!(["a.test"]))?;
        }
        // More kinds of conditions come first in Kong: such a route would be before the protected one.
        if path == "/" && (open.get("methods").is_some() || open.get("hosts").is_some()) {
            continue;
        }
        services.push(json!({ "name": format!("o{number}"), "url": "http://o.test:1", "routes": [open] }));
    }
    let keys = json!({ "username": "u", "keyauth_credentials": [{ "key": SECRET }], "basicauth_credentials": [{ "username": "b", "password": SECRET }], "acls": [{ "group": "g" }] });
    Ok(json!({ "_format_version": "3.0", "services": services, "plugins": plugins, "consumers": [keys] }))
}

/// The plugin with a reference to what it is of, as a name or as a map.
fn with(
    mut plugin: Value,
    key: &str,
    names: &[&str],
    input: &mut Unstructured<'_>,
) -> arbitrary::Result<Value> {
    let name = *input.choose(names)?;
    plugin[key] = if input.ratio(1, 2)? { json!(name) } else { json!({ "name": name }) };
    Ok(plugin)
}

fn kong_plugin(input: &mut Unstructured<'_>) -> arbitrary::Result<Value> {
    let name = *input.choose(&[
        "key-auth",
        "basic-auth",
        "jwt",
        "acl",
        "ip-restriction",
        "ldap-auth",
        "oauth2",
        "hmac-auth",
        "openid-connect",
        "bot-detection",
        "opa",
        "my-own",
    ])?;
    let mut config = match name {
        "key-auth" => json!({ "key_names": odd(input, json!(["x-key"]))? }),
        "acl" => json!({ "allow": odd(input, json!(["g"]))? }),
        "ip-restriction" => json!({ "allow": odd(input, json!(["10.0.0.1"]))? }),
        "jwt" => json!({ "claims_to_verify": odd(input, json!(["exp"]))? }),
        _ => json!({}),
    };
    for key in
        ["anonymous", "hide_credentials", "key_in_header", "key_in_query", "deny", "whitelist", "status"]
    {
        if input.ratio(1, 8)? {
            config[key] = odd(input, json!("x"))?;
        }
    }
    let config = if input.ratio(1, 8)? { odd(input, config)? } else { config };
    Ok(json!({ "name": name, "config": config }))
}

fn krakend(input: &mut Unstructured<'_>) -> arbitrary::Result<Value> {
    let path = *input.choose(&["/p", "/p/{id}", "/p/a/{b}", "/p/*", "/p/a"])?;
    let mut validator =
        json!({ "alg": "RS256", "jwk_url": "https://id.test/jwks", "issuer": "https://id.test/" });
    for (key, value) in [
        ("audience", json!(["a"])),
        ("roles", json!(["r"])),
        ("roles_key", json!("realm.roles")),
        ("roles_key_is_nested", json!(true)),
        ("scopes", json!(["s", "t"])),
        ("scopes_key", json!("scope")),
        ("scopes_matcher", json!("all")),
        ("cookie_key", json!("c")),
        ("disable_jwk_security", json!(true)),
        ("propagate_claims", json!([["sub", "x-user"]])),
        ("cipher_suites", json!([5])),
        ("jwk_local_path", json!("in.yaml")),
    ] {
        if input.ratio(1, 4)? {
            validator[key] = odd(input, value)?;
        }
    }
    if input.ratio(1, 4)? {
        let key = *input.choose(&["alg", "jwk_url", "issuer"])?;
        validator[key] = odd(input, json!("x"))?;
    }
    let validator = if input.ratio(1, 8)? { odd(input, validator)? } else { validator };
    let kind = *input.choose(&[
        "auth/validator",
        "auth/validator",
        "github.com/devopsfaith/krakend-jose/validator",
        "auth/api-keys",
        "auth/basic",
        "auth/gcp",
        "validation/cel",
        "security/policies",
        "plugin/req-resp-modifier",
        "unknown/thing",
    ])?;
    let config = match kind {
        "auth/api-keys" => json!({ "roles": ["r"] }),
        "validation/cel" => {
            json!([{ "check_expr": *input.choose(&["JWT.sub == 'a'", "req_method == 'GET'", "x("])? }])
        }
        _ => validator,
    };
    // A rule about a request is no answer to who asks: it is only looked at that it does not vanish.
    let backend = json!({ "url_pattern": "/x", "host": ["http://s.test:1"] });
    let mut protected = json!({ "endpoint": path, "backend": [backend], "extra_config": { kind: config } });
    if input.ratio(1, 4)? {
        protected["method"] = odd(input, json!("POST"))?;
    }
    if input.ratio(1, 4)? {
        protected["output_encoding"] = odd(input, json!("no-op"))?;
    }
    let mut endpoints = vec![protected];
    for _ in 0..input.int_in_range(0..=2)? {
        let path = *input.choose(&["/o", "/o/{x}", "/o/*", "/o//a"])?;
        endpoints.push(json!({ "endpoint": path, "backend": [backend] }));
    }
    // What protects by a rule alone has no caller to ask for.
    if kind.starts_with("validation") {
        endpoints.remove(0);
    }
    Ok(json!({ "version": 3, "endpoints": endpoints }))
}

fn openapi(input: &mut Unstructured<'_>) -> arbitrary::Result<Value> {
    let scheme = match input.int_in_range(0..=7)? {
        0 => json!({ "type": "apiKey", "in": "header", "name": "X-Key" }),
        1 => json!({ "type": "apiKey", "in": "query", "name": "key" }),
        2 => json!({ "type": "apiKey", "in": "cookie", "name": "key" }),
        3 => json!({ "type": "http", "scheme": "basic" }),
        4 => json!({ "type": "http", "scheme": "bearer" }),
        5 => json!({ "type": "oauth2" }),
        6 => json!({ "$ref": "#/components/securitySchemes/other" }),
        _ => json!({ "type": "mutualTLS" }),
    };
    let scheme = if input.ratio(1, 8)? { odd(input, scheme)? } else { scheme };
    // As it has to be written, and as people write it.
    let security = match input.int_in_range(0..=5)? {
        0 => json!({ "one": [] }),
        1 => json!(["one"]),
        2 => json!("one"),
        3 => json!([{ "one": [], "two": [] }]),
        _ => json!([{ "one": ["scope"] }]),
    };
    let mut operation = json!({ "responses": { "200": { "description": "d" } } });
    let mut document = json!({
        "openapi": "3.0.3",
        "info": { "title": "t", "version": "1" },
        "servers": [{ "url": *input.choose(&["http://s.test:1", "http://s.test:1/p/..", "/", "https://s.test"])? }],
        "components": { "securitySchemes": { "one": scheme } },
    });
    // For the operation alone, or for all.
    match input.ratio(1, 2)? {
        true => operation["security"] = security,
        false => document["security"] = security,
    }
    let method = *input.choose(&["get", "post", "delete"])?;
    let path = *input.choose(&["/p", "/p/{id}", "/p/a", "/p/a/{b-c}"])?;
    let mut paths = json!({ path: { method: operation } });
    if input.ratio(1, 2)? {
        let open = json!({ "responses": { "200": { "description": "d" } }, "security": [] });
        paths[*input.choose(&["/o", "/o/{x}", "/o/a"])?] = json!({ "get": open });
    }
    document["paths"] = paths;
    Ok(document)
}
