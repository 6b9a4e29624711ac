//! What protects in the source protects here, also where it is written as it must not be.

use tollgate_config::import::{Dialect, Hashes, Import, import};
use tollgate_config::{MemorySources, load_text};
use tollgate_plan::route::Action;

const HASHES: Hashes = Hashes { key: |_| String::new(), password: |_| None };

/// Whether a request reaches the service of the one route, and who it has to be.
fn imported(dialect: Dialect, text: &str) -> &'static str {
    let sources = MemorySources::default().file("in.yaml", text);
    let import_it =
        Import { dialect, file: "in.yaml", text, target: "tollgate.yaml", sources: &sources, hashes: HASHES };
    let made = import(&import_it).expect("it is read");
    let loaded = load_text("tollgate.yaml", &made.yaml, &sources).expect("what is made passes");
    let route = loaded.plan.routes.first().expect("a route");
    match (&route.action, &route.auth) {
        (Action::To(_) | Action::Aggregate(_), None) => "open",
        (Action::To(_) | Action::Aggregate(_), Some(auth)) if auth.optional => "anybody, known or not",
        (Action::To(_) | Action::Aggregate(_), Some(_)) => "known",
        _ if made.findings.weaker() => "refused, and told",
        _ => "refused",
    }
}

fn interface(security: &str) -> &'static str {
    let text = format!(
        "openapi: 3.0.3\ninfo: {{ title: t, version: '1' }}\nservers: [{{ url: http://s.test:1 }}]\n\
         components: {{ securitySchemes: {{ key: {{ type: apiKey, in: header, name: X-Key }} }} }}\n\
         paths: {{ /p: {{ get: {{ {security} responses: {{ '200': {{ description: d }} }} }} }} }}\n"
    );
    imported(Dialect::Openapi, &text)
}

fn krakend(extra: &str, of_all: &str) -> &'static str {
    let text = format!(
        "{{ \"version\": 3, {of_all} \"endpoints\": [{{ \"endpoint\": \"/p\", {extra} \
         \"backend\": [{{ \"url_pattern\": \"/x\", \"host\": [\"http://s.test:1\"] }}] }}] }}"
    );
    imported(Dialect::Krakend, &text)
}

#[test]
fn security_in_another_shape_never_opens_a_route() {
    for (security, expect) in [
        ("", "open"),
        ("security: [],", "open"),
        ("security: [{}],", "open"),
        ("security: [{ key: [] }],", "known"),
        ("security: [{ key: [] }, {}],", "anybody, known or not"),
        // As people write it who have not read the specification closely.
        ("security: { key: [] },", "refused, and told"),
        ("security: [key],", "refused, and told"),
        ("security: key,", "refused, and told"),
        ("security: [[key]],", "refused, and told"),
        ("security: true,", "refused, and told"),
        ("security: [{ key: [] }, key],", "refused, and told"),
        ("security: [{ unknown: [] }],", "refused, and told"),
    ] {
        assert_eq!(interface(security), expect, "{security}");
    }
}

#[test]
fn extra_configuration_in_another_shape_never_opens_a_route() {
    let validator =
        r#"{ "auth/validator": { "issuer": "https://id.test", "jwk_url": "https://id.test/k", ROLES } }"#;
    for (roles, expect) in [
        (r#""alg": "RS256""#, "known"),
        (r#""roles": ["a"]"#, "known"),
        (r#""roles": [["a"]]"#, "refused, and told"),
        (r#""roles": { "a": 1 }"#, "refused, and told"),
        (r#""audience": [{}]"#, "refused, and told"),
        (r#""scopes": [null]"#, "refused, and told"),
    ] {
        let extra = format!("\"extra_config\": {},", validator.replace("ROLES", roles));
        assert_eq!(krakend(&extra, ""), expect, "{roles}");
        let in_a_list = format!("\"extra_config\": [{}],", validator.replace("ROLES", roles));
        assert_eq!(krakend(&in_a_list, ""), "refused, and told", "{roles}");
        assert_eq!(krakend("", &in_a_list), "refused, and told", "{roles}");
    }
    assert_eq!(krakend("", ""), "open");
}
