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

/// Secrets of issuers stand in it as they were, and in no report.
#[test]
fn what_is_written_is_the_owners_alone() {
    let text = "_format_version: '3.0'\nservices:\n  - { name: a, url: 'http://127.0.0.1:1', routes: [{ name: r, paths: [/r], plugins: [{ name: jwt }] }] }\n\
                consumers: [{ username: u, jwt_secrets: [{ key: k, secret: very-secret-of-at-least-32-bytes-length }] }]\n";
    let dir = with("kong.yml", text);
    fs::write(dir.path().join("old.yaml"), "old").expect("a file");
    fs::set_permissions(dir.path().join("old.yaml"), fs::Permissions::from_mode(0o644)).expect("a mode");
    for name in ["new.yaml", "old.yaml"] {
        // The secret is stricter here, so the answer is no.
        let ended = tollgate(&dir, &["import", "kong", "kong.yml", "-o", name], 1);
        assert!(!ended.stderr.contains("very-secret"), "{ended:#?}");
        assert!(ended.stderr.contains("stands in the file in clear"), "{ended:#?}");
        let made = dir.path().join(name);
        assert!(
            fs::read_to_string(&made).expect("the file").contains("very-secret"),
            "{name} holds the secret"
        );
        let mode = fs::metadata(&made).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
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
