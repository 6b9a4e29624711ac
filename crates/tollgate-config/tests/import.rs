//! What is imported and what becomes of it: `import/*.in.*` → `*.out.yaml` and `*.report.txt`.
//!
//! `UPDATE_EXPECT=1 cargo test -p tollgate-config --test import` writes them.

mod world;

use std::path::PathBuf;

use expect_test::expect_file;
use tollgate_config::import::{Dialect, Hashes, IMPORT_BYTES_MAX, Import, Imported, Outcome, import};
use tollgate_config::{load_text, render};
use world::World;

const HASHES: Hashes = Hashes {
    key: |key| {
        format!("sha256:{:064x}", key.bytes().fold(7_u64, |sum, byte| sum * 31 % 1_000_003 + u64::from(byte)))
    },
    password: |_| {
        Some("$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$2l1u5cNPEo6pLQLCpNHYq3EdKiXOIOQ9kzQdPnZ3dXc".to_owned())
    },
};

fn dialect_of(name: &str) -> Dialect {
    match name.split('_').next() {
        Some("kong") => Dialect::Kong,
        Some("krakend") => Dialect::Krakend,
        _ => Dialect::Openapi,
    }
}

fn run(dialect: Dialect, file: &str, text: &str) -> Result<Imported, String> {
    let target = "import/tollgate.yaml";
    import(&Import { dialect, file, text, target, sources: &World, hashes: HASHES })
        .map_err(|fault| fault.to_string())
}

fn samples() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(world::root().join("import")).expect("the samples");
    let mut samples: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    samples.retain(|path| path.to_string_lossy().contains(".in."));
    samples.sort();
    samples
}

#[test]
fn samples_become_configurations_that_pass() {
    assert!(samples().len() >= 6, "the samples are there");
    for sample in samples() {
        let file = sample.file_name().expect("a name").to_string_lossy().into_owned();
        let stem = file.split('.').next().expect("a stem").to_owned();
        let text = std::fs::read_to_string(&sample).expect("a sample");
        let made = run(dialect_of(&stem), &file, &text).unwrap_or_else(|why| panic!("{file}: {why}"));
        load_text("import/tollgate.yaml", &made.yaml, &World).unwrap_or_else(|failed| {
            panic!("{file}:\n{}\n{}", made.yaml, render(&failed.diagnostics, &failed.sources, false))
        });
        let report = made.findings.to_text();
        assert!(!report.contains("very-secret"), "{file}: a secret in the report:\n{report}");
        assert!(!made.findings.to_json().to_string().contains("very-secret"), "{file}: a secret in the JSON");
        assert!(!made.yaml.contains("very-secret-key"), "{file}: a key in clear:\n{}", made.yaml);
        let path = |ending: &str| sample.with_file_name(format!("{stem}.{ending}"));
        expect_file![path("out.yaml")].assert_eq(&made.yaml);
        expect_file![path("report.txt")].assert_eq(&report);
    }
}

/// Every route of these protects in a way that has no like here: not one may lead to a service.
#[test]
fn what_cannot_be_protected_is_refused() {
    for (plugin, config) in [
        ("oauth2", "{}"),
        ("openid-connect", "{}"),
        ("ldap-auth", "{}"),
        ("hmac-auth", "{}"),
        ("bot-detection", "{}"),
        ("somebody-elses", "{}"),
        ("jwt", "{}"),
        ("key-auth", "{}"),
        ("basic-auth", "{}"),
        ("acl", "{ allow: [a] }"),
        ("ip-restriction", "{ allow: [nonsense] }"),
        ("rate-limiting", "{ limit_by: path, minute: 1 }"),
        ("rate-limiting", "{ month: 3 }"),
        ("rate-limiting", "{}"),
        ("request-termination", "{ trigger: x }"),
    ] {
        let text = format!(
            "_format_version: '3.0'\nservices:\n  - name: a\n    url: http://a:1\n    routes: [{{ name: r, paths: [/r] }}]\n\
             plugins: [{{ name: {plugin}, config: {config} }}]\n"
        );
        refused(Dialect::Kong, plugin, &text);
    }
    for space in
        ["modifier/lua-endpoint", "validation/cel", "auth/api-keys", "auth/basic", "security/policies", "x"]
    {
        for (service, endpoint) in
            [(format!("\"{space}\": {{}}"), String::new()), (String::new(), format!("\"{space}\": {{}}"))]
        {
            let text = format!(
                "{{\"version\": 3, \"extra_config\": {{{service}}}, \"endpoints\": [{{\"endpoint\": \"/r\", \"extra_config\": {{{endpoint}}}, \
                 \"backend\": [{{\"url_pattern\": \"/\", \"host\": [\"http://a:1\"]}}]}}]}}"
            );
            refused(Dialect::Krakend, space, &text);
        }
    }
}

#[track_caller]
fn refused(dialect: Dialect, what: &str, text: &str) {
    let made = run(dialect, "in", text).unwrap_or_else(|why| panic!("{what}: {why}"));
    assert!(made.findings.weaker(), "{what}: {}", made.findings.to_text());
    let live = made.yaml.lines().filter(|line| !line.trim_start().starts_with('#'));
    let open = live
        .filter(|line| line.trim_start().starts_with("to:") || line.trim_start().starts_with("aggregate:"));
    assert_eq!(open.count(), 0, "{what} is open:\n{}", made.yaml);
    assert!(made.yaml.contains("status: 503"), "{what}:\n{}", made.yaml);
}

/// In Kong /adminx is a request for /admin; here it would go to the open route.
#[test]
fn a_wider_route_gets_nothing_that_was_protected() {
    let text = "_format_version: '3.0'\nservices:\n  - name: a\n    url: http://a:1\n    routes:\n      - { name: all, paths: [/] }\n\
                \x20     - { name: admin, paths: [/admin], plugins: [{ name: ip-restriction, config: { allow: [10.0.0.1] } }] }\n";
    let made = run(Dialect::Kong, "in", text).expect("it is read");
    assert!(made.yaml.contains("path: \"/admin{more}/*\"\n    respond: { status: 503"), "{}", made.yaml);
    assert!(made.findings.weaker(), "{}", made.findings.to_text());
}

#[test]
fn what_is_no_configuration_says_so_with_its_place() {
    let huge = " ".repeat(IMPORT_BYTES_MAX as usize + 1);
    let deep = "[".repeat(100_000);
    let deep_json = format!("{{\"version\": {deep}");
    for (dialect, text, expect) in [
        (Dialect::Kong, "", "no content"),
        (Dialect::Kong, "a: b", "no `_format_version`"),
        (Dialect::Kong, "_format_version: '9.9'", "`_format_version` 9.9 is not known"),
        (Dialect::Kong, "_format_version: '3.0'\nservices:\n  - a: [\n", "4:1: not valid YAML"),
        (Dialect::Kong, "- a", "not a map"),
        (Dialect::Kong, &deep, "recursion limit"),
        (Dialect::Kong, &huge, "larger than 16 MiB"),
        (Dialect::Krakend, "{\"version\": 2}", "not 3"),
        (Dialect::Krakend, "{\n\"version\": 3,,}", "2:14: not valid JSON"),
        (Dialect::Krakend, &deep_json, "recursion limit"),
        (Dialect::Openapi, "swagger: '2.0'", "not 3.x"),
    ] {
        let fault = run(dialect, "in", text).expect_err("it is refused");
        assert!(fault.contains(expect), "{fault} instead of {expect}");
    }
}

#[test]
fn a_file_where_nothing_is_lost_says_yes() {
    let text = "_format_version: '3.0'\nservices: [{ name: a, url: 'http://a:1', routes: [{ name: r, paths: [/r] }] }]\n";
    let made = run(Dialect::Kong, "in", text).expect("it is read");
    assert!(!made.findings.weaker(), "{}", made.findings.to_text());
    assert!(made.findings.list().iter().any(|one| one.outcome == Outcome::Exact));
}
