//! The command line: what each command prints, where, and with which exit code.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;
use tollgate_testkit::{Finished, binary, run};

/// A directory with these files.
fn files(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a file stands in a directory")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    dir
}

#[track_caller]
fn tollgate(dir: &TempDir, arguments: &[&str], code: i32) -> Finished {
    let ended = run(binary!(), dir.path(), arguments, &[]);
    assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:#?}");
    assert!(
        !ended.stdout.contains('\u{1b}') && !ended.stderr.contains('\u{1b}'),
        "no colour into a pipe: {ended:#?}"
    );
    ended
}

const GOOD: &str = "
upstreams:
  orders: { targets: [http://127.0.0.1:3000] }
routes:
  - { name: orders, path: '/orders/{id}', methods: [GET, POST], to: orders }
  - { name: old, path: /old/*, redirect: { to: /orders } }
";

#[test]
fn check_says_yes() {
    let dir = files(&[("tollgate.yaml", GOOD), ("other.yaml", GOOD)]);
    for arguments in [&["check"][..], &["check", "-c", "other.yaml"]] {
        let ended = tollgate(&dir, arguments, 0);
        for word in ["orders", "/orders/{id}", "old", "public"] {
            assert!(ended.stdout.contains(word), "the posture table has {word}: {ended:#?}");
        }
    }
    let json: Value = serde_json::from_str(&tollgate(&dir, &["check", "--json"], 0).stdout).expect("JSON");
    assert_eq!(json["ok"], true);
    assert_eq!(json["diagnostics"], Value::Array(Vec::new()), "{json}");
}

/// Five mistakes, five errors, each with its place and a hint.
#[test]
fn check_says_no_to_everything_at_once() {
    let dir = files(&[
        (
            "tollgate.yaml",
            "include: [more.yaml]\nupstrams:\n  x: { targets: [http://127.0.0.1:1] }\nupstreams:\n  orders: { targets: [http://127.0.0.1:3000] }\n\
             routes:\n  - path: /a\n    to: ordrs\n  - path: /b\n    to: orders\n    timeout: 5\n  - path: /c\n    cache: { tll: 1s }\n    to: orders\n",
        ),
        ("more.yaml", "routes:\n  - path: /d\n    mehtods: [GET]\n    to: orders\n"),
    ]);
    let ended = tollgate(&dir, &["check"], 1);
    let all = format!("{}{}", ended.stdout, ended.stderr);
    for place in [
        "tollgate.yaml:2:1",
        "tollgate.yaml:8:9",
        "tollgate.yaml:11:14",
        "tollgate.yaml:13:14",
        "more.yaml:3:5",
    ] {
        assert!(all.contains(place), "{place} is missing in {all}");
    }
    for hint in ["upstreams", "orders", "methods", "did you mean `ttl`"] {
        assert!(all.contains(hint), "{hint} is missing in {all}");
    }
    let ended = tollgate(&dir, &["check", "--json"], 1);
    let json: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(json["ok"], false);
    let diagnostics = json["diagnostics"].as_array().expect("a list");
    assert_eq!(diagnostics.len(), 5, "{json:#}");
    for diagnostic in diagnostics {
        for member in ["file", "line", "column", "code", "message", "hint"] {
            assert!(diagnostic.get(member).is_some(), "{member} is missing in {diagnostic}");
        }
    }
}

/// One file for each rule; the code of each is in the JSON.
#[test]
fn check_refuses() {
    let route = "routes:\n  - { path: /a, respond: {} }\n";
    let cases: &[(&str, String)] = &[
        ("duplicate key", format!("workers: 1\nworkers: 2\n{route}")),
        ("wrong type", format!("workers: many\n{route}")),
        ("unknown version", format!("version: 2\n{route}")),
        ("unknown key", format!("surprise: 1\n{route}")),
        ("two documents", format!("{route}---\n{route}")),
        ("syntax", "routes: [\n".into()),
        ("a tag", "routes: !!set {}\n".into()),
        ("two actions", "routes:\n  - { path: /a, respond: {}, to: \"http://127.0.0.1:1\" }\n".into()),
        ("no action", "routes:\n  - { path: /a }\n".into()),
        ("a tie", "routes:\n  - { path: '/{a}', respond: {} }\n  - { path: '/{b}', respond: {} }\n".into()),
        ("a tie by methods", "routes:\n  - { path: /a, methods: [GET, PUT], respond: {} }\n  - { path: /a, methods: [GET], respond: {} }\n".into()),
        ("a shadow", "routes:\n  - { path: /a, priority: 1, respond: {} }\n  - { path: /a, respond: {} }\n".into()),
        ("a bad pattern", "routes:\n  - { path: '/a/{id', respond: {} }\n".into()),
        ("a parameter twice", "routes:\n  - { path: '/{id}/{id}', respond: {} }\n".into()),
        ("a tail inside", "routes:\n  - { path: '/{rest*}/x', respond: {} }\n".into()),
        ("an unknown parameter", "routes:\n  - { path: '/{id}', respond: { body: '{other}' } }\n".into()),
        ("a size without unit", format!("limits: {{ body: 100 }}\n{route}")),
        ("a negative duration", format!("limits: {{ header_timeout: -1s }}\n{route}")),
        ("an unknown variable", "routes:\n  - { path: /a, to: 'http://${NO_SUCH_NAME}' }\n".into()),
        ("an unclosed variable", "routes:\n  - { path: /a, to: 'http://${NO_SUCH_NAME' }\n".into()),
        ("a missing file", "routes:\n  - { path: /a, respond: { file: nothing.html } }\n".into()),
        ("a missing include", format!("include: [nothing.yaml]\n{route}")),
        ("an admin in the open", format!("admin: {{ address: 0.0.0.0:9900 }}\n{route}")),
        ("the same listener twice", format!("listeners: [{{ address: 127.0.0.1:80 }}, {{ address: 127.0.0.1:80 }}]\n{route}")),
        ("the same name twice", "routes:\n  - { name: x, path: /a, respond: {} }\n  - { name: x, path: /b, respond: {} }\n".into()),
        ("a bad network", format!("trusted_proxies: [10.0.0.0/33]\n{route}")),
        ("a bad regex", "routes:\n  - { path: /a, headers: { x: '~(' }, respond: {} }\n".into()),
        ("a bad target", "routes:\n  - { path: /a, to: 'ftp://x' }\n".into()),
        ("no targets", "upstreams: { u: { targets: [] } }\nroutes:\n  - { path: /a, to: u }\n".into()),
        ("a bad status", "routes:\n  - { path: /a, respond: { status: 99 } }\n".into()),
        ("a cache that is switched on", "routes:\n  - { path: /a, cache: on, respond: {} }\n".into()),
        ("an unknown issuer", "routes:\n  - { path: /a, auth: { jwt: main }, respond: {} }\n".into()),
        ("a plain key", format!("consumers: [{{ name: c, keys: [hunter2] }}]\n{route}")),
        ("TLS is not there yet", format!("listeners: [{{ address: 127.0.0.1:0, tls: {{ certificates: [] }} }}]\n{route}")),
    ];
    for (what, text) in cases {
        let dir = files(&[("tollgate.yaml", text)]);
        let ended = run(binary!(), dir.path(), &["check", "--json"], &[]);
        assert_eq!(ended.code, Some(1), "{what} is accepted: {ended:#?}");
        let json: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        let first = &json["diagnostics"][0];
        assert!(first["line"].as_u64() >= Some(1) && first["column"].as_u64() >= Some(1), "{what}: {json}");
        assert!(first["code"].is_string() && first["message"].is_string(), "{what}: {json}");
    }
}

#[test]
fn check_accepts() {
    let cases: &[(&str, &str)] = &[
        ("the smallest file", "routes:\n  - path: /users/*\n    to: http://127.0.0.1:3000\n"),
        ("version 1", "version: 1\nroutes:\n  - { path: /a, respond: {} }\n"),
        (
            "a default for a variable",
            "routes:\n  - { path: /a, to: '${NO_SUCH_NAME:-http://127.0.0.1:1}' }\n",
        ),
        ("a literal dollar", "routes:\n  - { path: /a, respond: { body: 'costs 5$ or $$7' } }\n"),
        (
            "exclusive conditions",
            "routes:\n  - { path: /a, headers: { x: '1' }, respond: {} }\n  - { path: /a, headers: { x: '2' }, respond: {} }\n",
        ),
        (
            "disjoint methods",
            "routes:\n  - { path: /a, methods: [GET], respond: {} }\n  - { path: /a, methods: [PUT], respond: {} }\n",
        ),
        (
            "a unix target",
            "upstreams: { u: { targets: ['unix:/run/x.sock'] } }\nroutes:\n  - { path: /a, to: u }\n",
        ),
        (
            "every limit",
            "limits: { connections: 10, header_bytes: 8KiB, header_count: 50, uri_bytes: 4KiB, body: 1MB, header_timeout: 250ms, \
          body_idle_timeout: 2m, write_idle_timeout: 1h, keepalive_timeout: 7d, requests_per_connection: 0, memory: 0 }\nroutes:\n  - { path: /a, respond: {} }\n",
        ),
        (
            "what is off anyway",
            "listeners: [{ address: '127.0.0.1:1', proxy_protocol: off, http2: false }]\nroutes:\n  - { path: /a, respond: {} }\n",
        ),
    ];
    for (what, text) in cases {
        let dir = files(&[("tollgate.yaml", text)]);
        let ended = run(binary!(), dir.path(), &["check"], &[]);
        assert_eq!(ended.code, Some(0), "{what} is refused: {ended:#?}");
    }
}

#[test]
fn variables_and_files_are_values() {
    let dir = files(&[
        (
            "tollgate.yaml",
            "workers: ${N}\nroutes:\n  - { path: /a, respond: { body: '${B}${file:@/secret}' } }\n",
        ),
        ("secret", "from a file\n"),
    ]);
    let text = fs::read_to_string(dir.path().join("tollgate.yaml")).expect("a file");
    let full = text.replace('@', &dir.path().display().to_string());
    fs::write(dir.path().join("tollgate.yaml"), full).expect("a file");
    let evil = "x'}, extra: {a: '1";
    let ended = run(binary!(), dir.path(), &["check"], &[("N", "2"), ("B", evil)]);
    assert_eq!(ended.code, Some(0), "a value adds no structure: {ended:#?}");
    let ended = run(binary!(), dir.path(), &["check"], &[("N", "two"), ("B", evil)]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
}

#[test]
fn secrets_are_masked() {
    let dir = files(&[(
        "tollgate.yaml",
        "admin: { address: 0.0.0.0:9900, token: hunter2-literal, extra: 1 }\nroutes:\n  - { path: /a, to: 'http://user:hunter2-url@127.0.0.1:1', bad: 1 }\n",
    )]);
    for arguments in [&["check"][..], &["check", "--json"], &["run"]] {
        let ended = tollgate(&dir, arguments, 1);
        let all = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!all.contains("hunter2"), "{all}");
    }
}

#[test]
fn an_alias_bomb_is_an_error() {
    let mut text = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (name, before) in ('b'..='j').zip('a'..='i') {
        let list = vec![format!("*{before}"); 10].join(", ");
        text.push_str(&format!("{name}: &{name} [{list}]\n"));
    }
    let deep = format!("routes: {}{}\n", "[".repeat(5_000), "]".repeat(5_000));
    for text in [text, deep] {
        let dir = files(&[("tollgate.yaml", &text)]);
        let ended = tollgate(&dir, &["check"], 1);
        assert!(
            ended.stderr.len() + ended.stdout.len() < 100_000,
            "{} bytes of complaint",
            ended.stderr.len()
        );
    }
}

#[test]
fn routes_are_listed() {
    let dir = files(&[("tollgate.yaml", GOOD)]);
    let table = tollgate(&dir, &["routes"], 0).stdout;
    assert!(table.contains("/orders/{id}") && table.contains("/old/*"), "{table}");
    let json: Value = serde_json::from_str(&tollgate(&dir, &["routes", "--json"], 0).stdout).expect("JSON");
    let list = json.as_array().or_else(|| json["routes"].as_array()).expect("a list of routes");
    assert_eq!(list.len(), 2, "{json}");
    assert!(list.iter().any(|route| route.to_string().contains("\"orders\"")), "{json}");
    let bad = files(&[("tollgate.yaml", "routes: 7\n")]);
    tollgate(&bad, &["routes"], 1);
}

#[test]
fn the_schema_is_json() {
    let dir = files(&[]);
    let schema: Value = serde_json::from_str(&tollgate(&dir, &["schema"], 0).stdout).expect("JSON");
    assert!(
        schema["$schema"].as_str().is_some_and(|s| s.contains("json-schema.org")),
        "{}",
        schema["$schema"]
    );
    let root = match schema["$ref"].as_str() {
        Some(pointer) => schema.pointer(pointer.trim_start_matches('#')).expect("a reference that resolves"),
        None => &schema,
    };
    assert!(root["properties"]["routes"].is_object());
    assert_eq!(root["additionalProperties"], false, "unknown keys are errors");
}

#[test]
fn the_version() {
    let dir = files(&[]);
    let text = tollgate(&dir, &["version"], 0).stdout;
    assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    let json: Value = serde_json::from_str(&tollgate(&dir, &["version", "--json"], 0).stdout).expect("JSON");
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert!(json["commit"].is_string(), "{json}");
}

/// 2 for wrong usage, and help on request is no error.
#[test]
fn usage() {
    let dir = files(&[("tollgate.yaml", GOOD)]);
    for arguments in
        [&[][..], &["no-such-command"], &["check", "--no-such-flag"], &["check", "-c"], &["version", "extra"]]
    {
        let ended = tollgate(&dir, arguments, 2);
        assert!(!ended.stderr.is_empty() && ended.stdout.is_empty(), "{arguments:?}: {ended:#?}");
    }
    for arguments in [&["--help"][..], &["check", "--help"], &["run", "--help"]] {
        assert!(!tollgate(&dir, arguments, 0).stdout.is_empty());
    }
}

#[test]
fn completions_know_every_command() {
    let dir = files(&[]);
    let help = tollgate(&dir, &["--help"], 0).stdout;
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<&str> = listed
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.len() > 12, "{help}");
    for shell in ["bash", "zsh", "fish"] {
        let text = tollgate(&dir, &["completions", shell], 0).stdout;
        for name in &names {
            assert!(text.contains(name), "{shell} does not complete {name}");
        }
        tollgate(&dir, &[names[0], "--help"], 0);
    }
    tollgate(&dir, &["completions", "tcsh"], 2);
    tollgate(&dir, &["completions"], 2);
}

#[test]
fn no_file_at_all() {
    let dir = files(&[]);
    for command in ["check", "routes", "run", "status"] {
        let ended = tollgate(&dir, &[command], 1);
        assert!(ended.stderr.contains("tollgate.yaml"), "{command} says what it looked for: {ended:#?}");
    }
    let ended = tollgate(&dir, &["check", "-c", "elsewhere.yaml"], 1);
    assert!(format!("{}{}", ended.stdout, ended.stderr).contains("elsewhere.yaml"), "{ended:#?}");
}

/// Where the answer is no, who reads JSON gets JSON.
#[test]
fn no_is_json_too() {
    let dir = files(&[("bad.yaml", "routes: 7\nadmin: 7\n"), ("bad.json", "{")]);
    for (arguments, error) in [
        (&["explain", "GET", "http://a/", "-c", "bad.yaml"][..], "cannot be used"),
        (&["explain", "GET", "http://a/", "--live=127.0.0.1:1"], "no answer from 127.0.0.1:1"),
        (&["routes", "-c", "bad.yaml"], "cannot be used"),
        (&["why", "x", "-c", "bad.yaml"], "cannot be used"),
        (&["why", "x", "--address", "127.0.0.1:1"], "no answer from 127.0.0.1:1"),
        (&["status", "-c", "bad.yaml"], "cannot be used"),
        (&["status", "--ready", "--address", "127.0.0.1:1"], "no answer from 127.0.0.1:1"),
        (&["top", "-c", "bad.yaml"], "cannot be used"),
        (&["import", "krakend", "bad.json"], "bad.json"),
    ] {
        let ended = tollgate(&dir, &[arguments, &["--json"]].concat(), 1);
        let told: Value =
            serde_json::from_str(&ended.stdout).unwrap_or_else(|fault| panic!("{fault}: {ended:#?}"));
        assert_eq!(told["ok"], false, "{arguments:?}: {told}");
        assert!(told["error"].as_str().is_some_and(|text| text.contains(error)), "{arguments:?}: {told}");
    }
}

/// `NO_COLOR` holds even where colour is asked for by the environment.
#[test]
fn no_color() {
    let dir = files(&[("tollgate.yaml", "routes: 7\n")]);
    let ended = run(
        binary!(),
        dir.path(),
        &["check"],
        &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1"), ("TERM", "xterm")],
    );
    assert!(!ended.stdout.contains('\u{1b}') && !ended.stderr.contains('\u{1b}'), "{ended:#?}");
}
