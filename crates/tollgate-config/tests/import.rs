//! What is imported and what becomes of it: `import/*.in.*` → `*.out.yaml` and `*.report.txt`.
//!
//! `UPDATE_EXPECT=1 cargo test -p tollgate-config --test import` writes them.

mod world;

use std::io;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use tollgate_config::import::{
    Dialect, Hashes, IMPORT_BYTES_MAX, Import, Imported, Outcome, Variable, import,
};
use tollgate_config::{Listed, Sources, load_text, render};
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

/// The world in which the variables of what was made are set.
struct With<'a>(&'a [Variable]);

impl Sources for With<'_> {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        World.read(path, limit)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Listed>> {
        World.list(directory)
    }

    fn identity(&self, path: &Path) -> PathBuf {
        World.identity(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        let own = self.0.iter().find(|one| one.name == name);
        own.map(|one| one.value.expose().to_owned())
    }

    fn cores(&self) -> usize {
        World.cores()
    }
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
        load_text("import/tollgate.yaml", &made.yaml, &With(&made.variables)).unwrap_or_else(|failed| {
            panic!("{file}:\n{}\n{}", made.yaml, render(&failed.diagnostics, &failed.sources, false))
        });
        let report = made.findings.to_text();
        assert!(!report.contains("very-secret"), "{file}: a secret in the report:\n{report}");
        assert!(!made.findings.to_json().to_string().contains("very-secret"), "{file}: a secret in the JSON");
        assert!(!made.yaml.contains("very-secret"), "{file}: a secret in clear:\n{}", made.yaml);
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
        ("ip-restriction", "{}"),
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

/// A service with one route, and what stands beside them.
fn kong(beside: &str) -> String {
    format!(
        "_format_version: '3.0'\nservices:\n  - {{ id: s-1, name: a, url: 'http://a:1', routes: [{{ id: r-1, name: r, paths: [/r] }}] }}\n{beside}"
    )
}

/// What refers by id or by name is found, and nothing that protects is lost when it is not.
#[test]
fn a_plugin_beside_is_never_dropped() {
    let plugin = "name: ip-restriction, config: { allow: [10.0.0.1] }";
    for scope in [
        "service: a",
        "service: s-1",
        "service: { id: s-1 }",
        "service: { name: a }",
        "route: r",
        "route: r-1",
        "route: { id: r-1 }",
        "service: s-1, route: r-1",
    ] {
        let made =
            run(Dialect::Kong, "in", &kong(&format!("plugins: [{{ {plugin}, {scope} }}]\n"))).expect(scope);
        assert!(!made.findings.weaker(), "{scope}: {}", made.findings.to_text());
        assert!(made.yaml.contains("allow_ips: [10.0.0.1]"), "{scope}:\n{}", made.yaml);
    }
    for scope in [
        "service: gone",
        "service: { id: gone }",
        "route: gone",
        "consumer: gone",
        "service: a, route: gone",
        "service: { id: s-1, name: other }",
        "consumer_group: gold",
        "service: a, consumer_group: gold",
        "service: r-1",
    ] {
        refused(Dialect::Kong, scope, &kong(&format!("plugins: [{{ {plugin}, {scope} }}]\n")));
    }
    refused(
        Dialect::Kong,
        "a group",
        &kong(&format!("consumer_groups: [{{ name: gold, plugins: [{{ {plugin} }}] }}]\n")),
    );
    refused(
        Dialect::Kong,
        "rules of groups",
        &kong(&format!("consumer_group_plugins: [{{ consumer_group: gold, {plugin} }}]\n")),
    );
    let inner = "_format_version: '3.0'\nservices: [{ name: a, url: 'http://a:1', routes: [{ name: r, paths: [/r] }], \
                 plugins: [{ name: ip-restriction, consumer: gone, config: { allow: [10.0.0.1] } }] }]\n";
    refused(Dialect::Kong, "inside, for nobody known", inner);
    // By its id, the rule of a consumer takes the consumer's credentials, as it does by name.
    let consumer = "consumers: [{ id: c-1, username: u, keyauth_credentials: [{ key: k }] }]\n";
    for who in ["u", "c-1", "{ id: c-1 }"] {
        let made = run(
            Dialect::Kong,
            "in",
            &kong(&format!("{consumer}plugins: [{{ {plugin}, consumer: {who} }}]\n")),
        )
        .expect(who);
        assert!(made.findings.weaker() && !made.yaml.contains("sha256:"), "{who}:\n{}", made.yaml);
    }
}

#[test]
fn a_route_beside_finds_its_service_by_id() {
    let text = kong(
        "routes: [{ name: x, paths: [/x], service: { id: s-1 } }, { name: y, paths: [/y], service: s-1 }]\n",
    );
    let made = run(Dialect::Kong, "in", &text).expect("it is read");
    assert_eq!(made.yaml.matches("to: a").count(), 3, "{}", made.yaml);
    assert!(!made.findings.weaker(), "{}", made.findings.to_text());
    let text = text.replace("service: s-1", "service: gone");
    let made = run(Dialect::Kong, "in", &text).expect("it is read");
    assert_eq!(made.yaml.matches("to: a").count(), 2, "{}", made.yaml);
    assert!(made.findings.weaker(), "{}", made.findings.to_text());
}

#[test]
fn a_shared_configuration_of_plugins_counts() {
    let shared = "_plugin_configs: { pc: { allow: [10.0.0.1], deny: [10.0.0.2] } }\n";
    for (plugin, allow, deny) in [
        ("{ name: ip-restriction, _config: pc }", "[10.0.0.1]", "[10.0.0.2]"),
        ("{ name: ip-restriction, _config: pc, config: { allow: [10.9.9.9] } }", "[10.9.9.9]", "[10.0.0.2]"),
    ] {
        let made = run(Dialect::Kong, "in", &kong(&format!("{shared}plugins: [{plugin}]\n"))).expect(plugin);
        let (allow, deny) = (format!("allow_ips: {allow}"), format!("deny_ips: {deny}"));
        assert!(made.yaml.contains(&allow) && made.yaml.contains(&deny), "{plugin}:\n{}", made.yaml);
        assert!(!made.findings.weaker(), "{}", made.findings.to_text());
    }
    for plugin in [
        "{ name: cors, _config: gone }",
        "{ name: cors, _config: [pc] }",
        "{ name: cors, _config: pc, config: x }",
    ] {
        refused(Dialect::Kong, plugin, &kong(&format!("{shared}plugins: [{plugin}]\n")));
    }
}

const ADMINS: &str = "plugins: [{ name: ip-restriction, config: { allow: [10.0.0.1] } }]";

/// Two routes, and which of them is there in Kong's order and not in ours.
#[test]
fn a_request_comes_to_no_route_that_protects_otherwise_than_in_kong() {
    for (one, two, open) in [
        // More kinds of conditions come first, whatever the paths.
        ("paths: [/admin], methods: [GET], PROTECTED", "paths: [/admin/users]", false),
        ("paths: [/admin], headers: { x-a: [b] }, PROTECTED", "paths: [/admin/users]", false),
        ("paths: [/admin], methods: [GET], hosts: [b.org], PROTECTED", "paths: [/x], hosts: [b.org]", true),
        ("paths: [/admin], methods: [GET], PROTECTED", "hosts: [b.org]", false),
        ("paths: [/admin], methods: [GET], PROTECTED", "paths: [/administrator]", false),
        // An expression comes before a prefix, as far as it matches; one that is refused protects too.
        ("paths: ['~/o/(?<id>[a-z]+)$'], strip_path: false, PROTECTED", "paths: [/o/new]", false),
        ("paths: ['~/o/(?<id>[0-9]+)$'], strip_path: false, PROTECTED", "paths: [/o/new]", true),
        ("paths: ['~/o/(?!x).*'], strip_path: false", "paths: [/o/new]", false),
        (
            "paths: ['~/o/[a-z]+$'], regex_priority: 9, strip_path: false, PROTECTED",
            "paths: ['~/o/new$'], strip_path: false",
            false,
        ),
        // The same order in both, or nothing in common.
        ("paths: [/admin], PROTECTED", "paths: [/admin/users]", true),
        ("paths: [/admin], methods: [GET], PROTECTED", "paths: [/admin/users], methods: [POST]", true),
        (
            "paths: [/admin], methods: [GET], hosts: [a.org], PROTECTED",
            "paths: [/admin/users], hosts: [b.org]",
            true,
        ),
        ("paths: [/admin], methods: [GET], PROTECTED", "paths: [/users]", true),
        ("paths: [/admin], methods: [GET], PROTECTED", "paths: [/admin/users], PROTECTED", true),
    ] {
        let routes = format!(
            "routes:\n  - {{ name: first, service: a, {one} }}\n  - {{ name: second, service: a, {two} }}\n"
        );
        let made = run(Dialect::Kong, "in", &kong(&routes.replace("PROTECTED", ADMINS))).expect(two);
        let second = made.yaml.split("- name: second\n").nth(1).expect("the second one");
        let live = second.lines().take_while(|line| !line.starts_with("  -"));
        let live = live.filter(|line| !line.trim_start().starts_with('#')).any(|line| line.contains("to: a"));
        assert_eq!(live, open, "{one} and {two}:\n{}", made.yaml);
        let told =
            made.findings.list().iter().any(|one| one.security && one.note.contains("goes to first in Kong"));
        assert_eq!(told, !open, "{one} and {two}:\n{}", made.findings.to_text());
        assert!(open || made.findings.weaker(), "{one} and {two}:\n{}", made.findings.to_text());
    }
}

/// Of two that refuse, and that some request could go to either of, none goes away: a wider one would get its requests.
#[test]
fn routes_that_refuse_and_tie_both_stay() {
    let ldap = "paths: [/x], plugins: [{ name: ldap-auth }]";
    let routes = format!(
        "routes:\n  - {{ name: one, service: a, {ldap}, methods: [GET, POST] }}\n  - {{ name: two, service: a, {ldap}, methods: [GET, PUT] }}\n  - {{ name: all, service: a, paths: [/] }}\n"
    );
    let made = run(Dialect::Kong, "in", &kong(&routes)).expect("it is read");
    for one in ["- name: one\n", "- name: two\n"] {
        assert!(made.yaml.contains(one), "{}\n{}", made.yaml, made.findings.to_text());
    }
    assert_eq!(made.yaml.matches("to: a").count(), 4, "two of them are comments:\n{}", made.yaml);
}

/// Stricter than in Kong is told, and stays.
#[test]
fn a_route_that_protects_what_is_open_in_kong_is_told() {
    let routes = format!(
        "routes:\n  - {{ name: first, service: a, paths: [/x], methods: [GET] }}\n  - {{ name: second, service: a, paths: [/x/y], {ADMINS} }}\n"
    );
    let made = run(Dialect::Kong, "in", &kong(&routes)).expect("it is read");
    assert!(
        made.findings.weaker() && made.yaml.matches("to: a").count() == 3,
        "{}\n{}",
        made.yaml,
        made.findings.to_text()
    );
}

/// What the gateway says of an answer that lacks a part is not what the source says of whole ones.
#[test]
fn how_long_answers_of_krakend_are_kept_is_not_exact() {
    let text = "{\"version\": 3, \"endpoints\": [{\"endpoint\": \"/r\", \"cache_ttl\": \"10s\", \"backend\": [{\"url_pattern\": \"/\", \"host\": [\"http://a:1\"]}]}]}";
    let made = run(Dialect::Krakend, "in", text).expect("it is read");
    let told = |one: &tollgate_config::import::Finding| {
        one.element == "endpoints GET /r.cache_ttl" && one.outcome == Outcome::Approximated
    };
    assert!(made.findings.list().iter().any(told), "{}", made.findings.to_text());
    assert!(made.yaml.contains("public, max-age=10"), "{}", made.yaml);
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
        (Dialect::Kong, &deep, "stand inside each other"),
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

/// `_info.defaults` of decK, beside what entities say themselves.
#[test]
fn defaults_of_deck_stand_where_they_are_missing() {
    let text = |info: &str| {
        format!(
            "_format_version: '3.0'\n_info: {{ defaults: {{ {info} }} }}\nservices:\n  - {{ name: a, host: a.int, routes: [{{ name: r, paths: [/r] }}] }}\n  \
             - {{ name: b, url: 'http://b.int/v1', connect_timeout: 1000 }}\nroutes: [{{ name: s, service: b, paths: [/s], strip_path: true }}]\n\
             upstreams: [{{ name: a.int, targets: [{{ target: '10.0.0.1:80' }}, {{ target: '10.0.0.2:80', weight: 5 }}] }}]\n"
        )
    };
    for (info, present, absent) in [
        ("route: { strip_path: false }", "strip_prefix: /s", "strip_prefix: /r"),
        ("service: { protocol: https, port: 8443 }", "https://10.0.0.1:80", "https://b.int"),
        ("service: { path: /base }", "http://10.0.0.1:80/base", "b.int:80/base"),
        ("service: { connect_timeout: 3000 }", "connect_timeout: 3s", "connect_timeout: 60s"),
        ("target: { weight: 7 }", "weight: 7", "weight: 100"),
        ("upstream: { algorithm: least-connections }", "least_requests", "round_robin"),
        (
            "upstream: { healthchecks: { active: { http_path: /up, healthy: { interval: 5 } } } }",
            "path: /up",
            "path: /ping",
        ),
    ] {
        let made = run(Dialect::Kong, "in", &text(info)).unwrap_or_else(|why| panic!("{info}: {why}"));
        assert!(made.yaml.contains(present) && !made.yaml.contains(absent), "{info}:\n{}", made.yaml);
        let told = |one: &tollgate_config::import::Finding| one.element.starts_with("_info.defaults.");
        assert!(made.findings.list().iter().any(told), "{info}: {}", made.findings.to_text());
    }
    let made = run(Dialect::Kong, "in", &text("vault: { prefix: x }")).expect("it is read");
    assert!(
        made.findings.weaker() && made.findings.to_text().contains("_info.defaults.vault: not known here")
    );
    let long = format!("route: {{ tags: [{}] }}", "x".repeat(1 << 20));
    let many = text(&long).replace("{ name: r, paths: [/r] }", &"{ paths: [/r] },".repeat(100));
    let fault = run(Dialect::Kong, "in", &many).expect_err("too much");
    assert!(fault.contains("`_info.defaults` is too long"), "{fault}");
}
