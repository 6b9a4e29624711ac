//! What a caller gets besides plans and messages: files to watch, places, JSON, the posture table.

use std::path::{Path, PathBuf};

use serde_json::json;
use tollgate_config::{MemorySources, Severity, load, load_text, posture, render};

const ROUTE: &str = "routes: [{ path: /, to: http://127.0.0.1:1 }]\n";

fn paths(paths: &[&str]) -> Vec<PathBuf> {
    paths.iter().map(PathBuf::from).collect()
}

#[test]
fn a_load_tells_what_to_watch() {
    let sources = MemorySources::default()
        .file("/etc/t/main.yaml", "include: [routes/*.yaml]\nadmin: { token: \"${file:/run/token}\" }\n")
        .file("/etc/t/routes/b.yaml", "routes: [{ path: /b, respond: { file: ../page.html } }]")
        .file("/etc/t/routes/a.yaml", "routes: [{ path: /a, to: http://127.0.0.1:1 }]")
        .file("/etc/t/routes/.a.yaml.swp", "not a configuration")
        .file("/etc/t/page.html", "<p>")
        .file("/run/token", "abc\n");
    let loaded = load(Path::new("/etc/t/main.yaml"), &sources).expect("good");
    let files = ["/etc/t/main.yaml", "/run/token", "/etc/t/routes/a.yaml", "/etc/t/routes/b.yaml"];
    assert_eq!(loaded.files[..4], paths(&files));
    assert_eq!(loaded.files[4..], paths(&["/etc/t/routes/../page.html"]));
    assert_eq!(loaded.directories, paths(&["/etc/t/routes"]));
    assert_eq!(loaded.plan.routes.iter().map(|route| &*route.name).collect::<Vec<_>>(), ["/a", "/b"]);
    assert_eq!(loaded.plan.admin.token.as_deref(), Some("abc"));
}

#[test]
fn a_failed_load_tells_what_to_watch_too() {
    let text = format!("include: [missing.yaml]\nworkers: \"${{file:/run/none}}\"\n{ROUTE}");
    let failed = load_text("/etc/t/main.yaml", &text, &MemorySources::default()).expect_err("bad");
    assert_eq!(failed.files, paths(&["/etc/t/main.yaml", "/run/none", "/etc/t/missing.yaml"]));
}

/// Who asks a running gateway need not have a configuration that could be loaded.
#[test]
fn the_admin_side_of_a_file_that_is_refused() {
    let address = "admin: { address: 127.0.0.1:9911, token: \"${TOKEN}\" }\n";
    for (text, expect) in [
        (address.to_owned(), Some((9911, Some("abc")))),
        (
            format!("routes: 7\nnothing: 1\nworkers: \"${{NOT_SET}}\"\ninclude: none.yaml\n{address}"),
            Some((9911, Some("abc"))),
        ),
        ("routes: 7\n".to_owned(), Some((9900, None))),
        // The address is known, and `/readyz` needs no token.
        ("admin: { address: 127.0.0.1:9911, token: \"${NOT_SET}\" }\n".to_owned(), Some((9911, None))),
        ("admin: { address: here }\n".to_owned(), None),
        ("admin: { address: \"${NOT_SET}\" }\n".to_owned(), None),
        ("admin: 7\n".to_owned(), None),
        ("- 7\n".to_owned(), None),
        ("routes: [\n".to_owned(), None),
        (String::new(), None),
    ] {
        let sources = MemorySources::default().file("t.yaml", &*text).variable("TOKEN", "abc");
        match (tollgate_config::admin(Path::new("t.yaml"), &sources), expect) {
            (Ok(admin), Some((port, token))) => {
                assert_eq!((admin.address.port(), admin.token.as_deref()), (port, token), "{text}");
            }
            (Err(failed), None) => assert!(!failed.diagnostics.is_empty(), "{text}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }
}

#[test]
fn a_text_and_a_file_load_alike() {
    let sources = MemorySources::default().file("t.yaml", ROUTE);
    let (file, text) =
        (load(Path::new("t.yaml"), &sources).expect("good"), load_text("t.yaml", ROUTE, &sources));
    assert_eq!(posture(&file.plan), posture(&text.expect("good").plan));
}

#[test]
fn diagnostics_have_the_json_of_the_admin_side() {
    let text = format!("upstreams:\n  é: 1\n  a: {{ targets: [], targets: [] }}\n{ROUTE}");
    let failed = load_text("t.yaml", &text, &MemorySources::default()).expect_err("bad");
    let all: Vec<_> = failed.diagnostics.iter().map(|found| found.to_json()).collect();
    assert_eq!(
        *all.iter().find(|found| found["code"] == "duplicate_key").expect("the finding"),
        json!({
            "severity": "error", "file": "t.yaml", "line": 3, "column": 21, "code": "duplicate_key",
            "message": "`targets` is written twice",
            "hint": "keep one of the two: neither is added to the other",
            "related": [{ "file": "t.yaml", "line": 3, "column": 8, "message": "first written here" }],
        })
    );
    let whole = load(Path::new("none.yaml"), &MemorySources::default()).expect_err("missing");
    let place = &whole.diagnostics[0].to_json();
    assert_eq!(
        (&place["line"], &place["column"], &place["file"]),
        (&json!(null), &json!(null), &json!("none.yaml"))
    );
}

#[test]
fn findings_come_in_the_order_of_files_and_places() {
    let sources = MemorySources::default().file("b.yaml", "routes: [{ path: b, to: x }]\ncolour: 1");
    let failed = load_text("a.yaml", "include: b.yaml\nroutes: [{ path: a, to: y }]\nworkers: x", &sources);
    let found = failed.expect_err("bad").diagnostics;
    let places: Vec<_> = found.iter().map(|found| (&*found.file, found.line)).collect();
    assert_eq!(places, [("a.yaml", 2), ("a.yaml", 3), ("b.yaml", 1), ("b.yaml", 2)]);
}

#[test]
fn warnings_do_not_refuse() {
    let text = format!("upstreams: {{ a: {{ targets: [\"http://127.0.0.1:1\"] }} }}\n{ROUTE}");
    let loaded = load_text("t.yaml", &text, &MemorySources::default()).expect("good");
    assert_eq!(
        loaded.warnings.iter().map(|found| (found.severity, found.code)).collect::<Vec<_>>(),
        [(Severity::Warning, "unused_upstream")]
    );
    assert!(render(&loaded.warnings, &loaded.sources, false).starts_with("warning[unused_upstream]: "));
}

#[test]
fn colour_is_the_callers_choice() {
    let failed = load_text("t.yaml", "routes: 1", &MemorySources::default()).expect_err("bad");
    assert!(!render(&failed.diagnostics, &failed.sources, false).contains('\x1b'));
    assert!(render(&failed.diagnostics, &failed.sources, true).contains("\x1b["));
    assert_eq!(render(&[], &failed.sources, true), "");
}

#[test]
fn printing_a_result_shows_no_secret() {
    let text = "admin: { token: very-secret }\nroutes: 1";
    let failed = load_text("t.yaml", text, &MemorySources::default()).expect_err("bad");
    assert!(!format!("{failed:?}").contains("very-secret"));
    let text = format!(
        "admin: {{ token: very-secret }}\nredis: {{ url: redis://:very-secret@h }}\nissuers:\n  a: {{ issuer: me, \
         audience: any, algorithms: [HS256], secret: very-secret-very-secret-very-secret }}\n  b: {{ introspection: \
         {{ url: https://x, client_id: y, client_secret: very-secret }} }}\n{ROUTE}"
    );
    let loaded = load_text("t.yaml", &text, &MemorySources::default()).expect("good");
    assert!(!format!("{loaded:?}").contains("very-secret"));
}

#[test]
fn an_expansion_is_text_whatever_it_holds() {
    for value in [
        "a: b",
        "[1, 2]",
        "- x",
        "\n  to: evil",
        "# c",
        "\"",
        "'",
        "${OTHER}",
        "$$",
        "{path}",
        "}{",
        "&a",
        "!!x",
    ] {
        let sources = MemorySources::default().variable("VALUE", value);
        let text = "routes: [{ path: /, respond: { body: \"${VALUE}\" } }]";
        let plan = load_text("t.yaml", text, &sources).unwrap_or_else(|_| panic!("{value:?}")).plan;
        let tollgate_plan::route::Action::Respond(respond) = &plan.routes[0].action else {
            panic!("{value:?}")
        };
        let tollgate_plan::route::RespondBody::Fixed(body) = &respond.body else { panic!("{value:?}") };
        assert_eq!(std::str::from_utf8(body), Ok(value));
    }
}

#[test]
fn the_posture_table_says_what_is_reachable() {
    let text = r#"
routes:
  - { name: a, path: "/a/{id}", methods: [GET, POST], host: [x.org, "*.y.org"], headers: { x-a: true }, to: http://127.0.0.1:1 }
  - { path: /b, redirect: { to: / } }
  - { path: /c, health: {} }
"#;
    let plan = load_text("t.yaml", text, &MemorySources::default()).expect("good").plan;
    let rows: Vec<_> =
        posture(&plan).into_iter().map(|row| [row.route, row.matches, row.action, row.auth]).collect();
    assert_eq!(
        rows,
        [
            ["a", "GET,POST x.org,*.y.org /a/{id} (1 condition)", "to http://127.0.0.1:1", "public"],
            ["/b", "/b", "redirect 308", "public"],
            ["/c", "/c", "health", "public"],
        ]
    );
}

#[test]
fn the_posture_table_says_how_routes_are_protected() {
    let text = r#"
redis: { url: redis://127.0.0.1 }
issuers:
  main: { issuer: "https://id.example.com", audience: any, algorithms: [RS256] }
  legacy: { introspection: { url: "https://id.example.com/i", client_id: a, client_secret: b } }
consumers: [{ name: a, keys: ["sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"], groups: [gold] }]
routes:
  - { path: /a, to: http://127.0.0.1:1 }
  - { path: /b, auth: { jwt: main, require: { scopes: ["orders:read"] } }, to: http://127.0.0.1:1 }
  - { path: /c, auth: { jwt: [main, legacy], api_key: { header: x-key } }, concurrency: { max: 200 }, to: http://127.0.0.1:1 }
  - { path: /d, auth: { api_key: { header: x-key }, require: { groups: [gold] } }, to: http://127.0.0.1:1 }
  - { path: /e, auth: { jwt: main, optional: true }, deny_ips: [10.0.0.0/8], to: http://127.0.0.1:1 }
  - path: /f
    rate_limit: [{ rate: 100/s, per: ip }, { rate: 10000/h, per: all, store: redis }]
    concurrency: { max: 200 }
    allow_ips: [192.0.2.0/24]
    to: http://127.0.0.1:1
"#;
    let plan = load_text("t.yaml", text, &MemorySources::default()).expect("good").plan;
    let rows = posture(&plan);
    let found: Vec<_> = rows.iter().map(|row| (&*row.auth, &*row.limits, row.public)).collect();
    assert_eq!(
        found,
        [
            ("public", "-", true),
            ("jwt main; scopes orders:read", "-", false),
            ("jwt main, legacy or api key", "concurrency 200", false),
            ("api key; groups gold", "-", false),
            ("optional: jwt main; not from 10.0.0.0/8", "-", true),
            (
                "public; only from 192.0.2.0/24",
                "100/s per ip; 10000/h per all (redis); concurrency 200",
                true
            ),
        ]
    );
}

#[test]
fn key_files_are_watched_and_their_faults_name_them() {
    let issuer = "issuers: { a: { issuer: me, audience: any, algorithms: [RS256], jwks_file: keys/a.json } }";
    let redis = "redis: { url: rediss://h, ca: ca.pem }";
    let text = format!("{issuer}\n{redis}\n{ROUTE}");
    let failed = load_text("/etc/t/main.yaml", &text, &MemorySources::default()).expect_err("no files");
    assert_eq!(failed.files, paths(&["/etc/t/main.yaml", "/etc/t/keys/a.json", "/etc/t/ca.pem"]));
    let messages: Vec<_> = failed.diagnostics.iter().map(|found| (found.code, &*found.message)).collect();
    assert_eq!(
        messages,
        [
            ("unreadable", "the file `/etc/t/keys/a.json` does not exist"),
            ("unreadable", "the file `/etc/t/ca.pem` does not exist"),
        ]
    );
    let sources = MemorySources::default().file("/etc/t/keys/a.json", "{").file("/etc/t/ca.pem", "x");
    let failed = load_text("/etc/t/main.yaml", &text, &sources).expect_err("bad files");
    assert!(failed.diagnostics.iter().all(|found| found.code == "bad_keys"), "{:?}", failed.diagnostics);
    let sources = MemorySources::default().file("/etc/t/keys/a.json", vec![b' '; 2 << 20]);
    let failed = load_text("/etc/t/main.yaml", &text, &sources).expect_err("a large file");
    assert_eq!(failed.diagnostics[0].message, "the file `/etc/t/keys/a.json` is larger than 1MiB");
}

#[test]
fn a_limit_is_the_same_where_its_rate_and_its_key_stay() {
    let identities = |limits: &str| -> Vec<String> {
        let text = format!("routes: [{{ path: /, to: http://127.0.0.1:1, rate_limit: {limits} }}]");
        let plan = load_text("t.yaml", &text, &MemorySources::default()).expect("good").plan;
        plan.rate_limits.iter().map(|limit| limit.identity.to_string()).collect()
    };
    let one = identities("{ rate: 5/s, per: ip }");
    assert_eq!(one, identities("{ rate: 5/s, burst: 5, per: ip }"), "a default written out changes nothing");
    assert_eq!(one, identities("{ rate: 5/s, burst: 6, per: ip }"), "buckets outlive another burst");
    let more = identities("[{ rate: 1/m, per: all }, { rate: 5/s, per: ip }, { rate: 5/s, per: ip }]");
    assert_eq!(one[0], more[1], "another limit before it changes nothing");
    assert_ne!(more[1], more[2], "two limits are two");
    for other in ["{ rate: 6/s, per: ip }", "{ rate: 5/s, per: all }", "{ rate: 5/s, per: ip, name: a }"] {
        assert_ne!(one, identities(other), "{other}");
    }
}
