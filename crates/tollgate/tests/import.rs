//! `tollgate import`: what goes where, with which exit code, and that the result runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use tempfile::TempDir;
use tollgate_testkit::{Finished, binary, run};

const EXACT: &str = "
_format_version: '3.0'
services:
  - { name: orders, url: 'http://127.0.0.1:1', routes: [{ name: orders, paths: [/orders], plugins: [{ name: key-auth, config: { key_in_query: false } }] }] }
consumers:
  - { username: mobile, keyauth_credentials: [{ key: abc }] }
  - { username: office, basicauth_credentials: [{ username: admin, password: very-secret }] }
";

const OPEN: &str = "
_format_version: '3.0'
services:
  - { name: orders, url: 'http://127.0.0.1:1', routes: [{ name: orders, paths: [/orders], plugins: [{ name: ldap-auth }] }] }
";

fn with(name: &str, text: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join(name), text).expect("a file");
    dir
}

#[track_caller]
fn tollgate(dir: &TempDir, arguments: &[&str], code: i32) -> Finished {
    let ended = run(binary!(), dir.path(), arguments, &[]);
    assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:#?}");
    ended
}

#[test]
fn yaml_goes_to_standard_output_and_findings_to_standard_error() {
    let dir = with("kong.yml", EXACT);
    let ended = tollgate(&dir, &["import", "kong", "kong.yml"], 0);
    // FIPS 180-2, appendix B.1: the key is `abc`.
    let hash = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert!(ended.stdout.contains(hash) && ended.stdout.contains("$argon2id$v=19$"), "{ended:#?}");
    assert!(!ended.stdout.contains("very-secret") && !ended.stderr.contains("very-secret"), "{ended:#?}");
    assert!(ended.stderr.contains("0 about security to look at"), "{ended:#?}");
    fs::write(dir.path().join("tollgate.yaml"), ended.stdout).expect("a file");
    tollgate(&dir, &["check"], 0);
}

#[test]
fn files_take_both() {
    let dir = with("kong.yml", EXACT);
    let arguments = ["import", "kong", "kong.yml", "-o", "made.yaml", "--report", "report.json", "--json"];
    let ended = tollgate(&dir, &arguments, 0);
    assert!(ended.stdout.is_empty() && ended.stderr.is_empty(), "{ended:#?}");
    let report = fs::read_to_string(dir.path().join("report.json")).expect("the report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["ok"], true, "{report}");
    assert!(report["findings"].as_array().is_some_and(|list| !list.is_empty()), "{report}");
    tollgate(&dir, &["check", "-c", "made.yaml"], 0);
}

/// Secrets that the gateway needs as they are stand in a file of their own, when it is asked for, and nowhere else.
#[test]
fn secrets_stand_elsewhere() {
    let text = "_format_version: '3.0'\nservices:\n  - { name: a, url: 'http://127.0.0.1:1', routes: [{ name: r, paths: [/r], plugins: [{ name: jwt }] }] }\n\
                consumers: [{ username: u, jwt_secrets: [{ key: k, secret: 'very-secret-of-at-least-32-bytes-\"$x`\\' }] }]\n";
    let dir = with("kong.yml", text);
    for name in ["old.yaml", "old.env"] {
        fs::write(dir.path().join(name), "old").expect("a file");
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o644)).expect("a mode");
    }
    for (yaml, env) in [("new.yaml", "new.env"), ("old.yaml", "old.env")] {
        // The secret is stricter here, so the answer is no.
        let ended = tollgate(&dir, &["import", "kong", "kong.yml", "-o", yaml, "--secrets", env], 1);
        assert!(!ended.stderr.contains("very-secret"), "{ended:#?}");
        let needed = "\n  IMPORTED_JWT_SECRET_U: consumers.u.jwt_secrets\n";
        assert!(ended.stderr.contains(needed), "{ended:#?}");
        let made = fs::read_to_string(dir.path().join(yaml)).expect("the file");
        assert!(
            made.contains("secret: \"${IMPORTED_JWT_SECRET_U}\"") && !made.contains("very-secret"),
            "{made}"
        );
        for name in [yaml, env] {
            let mode = fs::metadata(dir.path().join(name)).expect("the file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
    let unset = tollgate(&dir, &["check", "-c", "new.yaml"], 1);
    assert!(unset.stderr.contains("`IMPORTED_JWT_SECRET_U` is not set"), "{unset:#?}");
    let shell = format!(
        ". ./new.env && export IMPORTED_JWT_SECRET_U && printenv IMPORTED_JWT_SECRET_U && exec {} check -c new.yaml",
        binary!()
    );
    let set = std::process::Command::new("sh")
        .args(["-c", &shell])
        .current_dir(dir.path())
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&set.stdout);
    assert!(
        set.status.success() && said.starts_with("very-secret-of-at-least-32-bytes-\"$x`\\\n"),
        "{set:?}"
    );
}

/// What decK says of all counts where an entity says nothing itself.
#[test]
fn defaults_of_deck_are_looked_at() {
    let text = "_format_version: '3.0'\n_info: { defaults: { route: { strip_path: false, protocols: [https] }, service: { protocol: https, port: 8443, read_timeout: 7000 } } }\n\
                services:\n  - { name: a, host: a.internal, routes: [{ name: r, paths: [/r] }, { name: own, paths: [/own], strip_path: true, protocols: [http, https] }] }\n";
    let dir = with("kong.yml", text);
    let ended = tollgate(&dir, &["import", "kong", "kong.yml", "-o", "made.yaml"], 1);
    let made = fs::read_to_string(dir.path().join("made.yaml")).expect("the file");
    let (upstream, routes) = made.split_once("routes:").expect("routes");
    assert!(upstream.contains("https://a.internal:8443") && upstream.contains("timeout: 7s"), "{made}");
    let (first, own) = routes.split_once("name: own").expect("both routes");
    assert!(first.contains("426") && !first.contains("strip_prefix"), "{made}");
    assert!(!own.contains("426") && own.contains("strip_prefix: /own"), "{made}");
    assert!(ended.stderr.contains("\n  _info.defaults.route\n"), "{ended:#?}");
}

#[test]
fn what_protects_and_is_lost_makes_the_answer_no() {
    let dir = with("kong.yml", OPEN);
    let ended = tollgate(&dir, &["import", "kong", "kong.yml"], 1);
    assert!(ended.stderr.contains("not carried over, security:"), "{ended:#?}");
    assert!(ended.stdout.contains("status: 503"), "{ended:#?}");
    fs::write(dir.path().join("tollgate.yaml"), ended.stdout).expect("a file");
    tollgate(&dir, &["check"], 0);
}

#[test]
fn a_description_is_found_from_where_the_result_stands() {
    let description = "openapi: 3.0.3\ninfo: { title: a, version: '1' }\nservers: [{ url: 'http://127.0.0.1:1/v1' }]\n\
                       paths: { /a: { get: { responses: { '200': { description: ok } } } } }\n";
    let dir = with("api.yaml", description);
    fs::create_dir(dir.path().join("made")).expect("a directory");
    tollgate(&dir, &["import", "openapi", "api.yaml", "-o", "made/tollgate.yaml"], 0);
    let made = tollgate(&dir, &["check", "-c", "made/tollgate.yaml"], 0);
    assert!(made.stdout.contains("/v1/a"), "{made:#?}");
}

#[test]
fn faults_have_their_place_and_wrong_usage_is_2() {
    let dir = with("kong.yml", "_format_version: '3.0'\nservices:\n  - a: [\n");
    let ended = tollgate(&dir, &["import", "kong", "kong.yml"], 1);
    assert!(ended.stderr.contains("kong.yml:4:1: not valid YAML"), "{ended:#?}");
    let ended = tollgate(&dir, &["import", "kong", "gone.yml"], 1);
    assert!(ended.stderr.contains("gone.yml cannot be read"), "{ended:#?}");
    tollgate(&dir, &["import"], 2);
    tollgate(&dir, &["import", "nginx", "kong.yml"], 2);
    tollgate(&dir, &["import", "kong"], 2);
}
