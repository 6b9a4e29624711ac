//! `reload.require_tests`: what fails its tests is not taken over.

use serde_json::Value;
use tollgate_testkit::{gateway, wait_for};

use super::{tollgate, with};

const CONFIG: &str = r#"
reload: { require_tests: true }
routes:
  - { name: a, path: /a, respond: { body: "@BODY@" } }
tests:
  - { name: a says first, request: { path: /a }, expect: { status: 200, body: "~^(first|third)" } }
"#;

#[test]
fn a_reload_whose_tests_fail_is_refused() {
    let gateway = gateway!(CONFIG, BODY = "first");
    assert_eq!(gateway.get("/a").text(), "first");
    let set = |body: &str| gateway.replace_file(&gateway.complete(CONFIG, &[("BODY", body.to_owned())]));
    let last = || -> Value { gateway.readyz()["last_reload"].clone() };
    set("second");
    wait_for("the refusal", || last()["ok"] == false);
    assert_eq!(gateway.get("/a").text(), "first");
    let errors = last()["errors"].clone();
    assert_eq!(errors[0]["code"], "test_failed", "{errors}");
    let message = errors[0]["message"].as_str().unwrap_or_default();
    assert_eq!(message, "the test `a says first` fails: body");
    assert!(gateway.stderr().text().contains(message), "{}", gateway.stderr().text());
    set("third");
    wait_for("the good one", || gateway.get("/a").text() == "third");
    assert_eq!(last()["ok"], true);
}

#[test]
fn a_start_whose_tests_fail_ends() {
    let dir = with(&CONFIG.replace("@BODY@", "second"));
    let ended = tollgate(dir.path(), &["run"], 1);
    assert!(ended.stderr.contains("error: the configuration is refused: 1 test failed"), "{ended:#?}");
    assert!(ended.stderr.contains("the test `a says first` fails: body\n"), "{ended:#?}");
    assert!(!ended.stderr.contains("second"), "{ended:#?}");
}

/// Everybody may read `/readyz`, and what services were sent may hold a token: what was found is not said there, and no token of
/// a test is signed with the secret of the configuration.
#[test]
fn no_credential_is_published() {
    let text = r#"
reload: { require_tests: true }
issuers: { hs: { issuer: "https://hs.example.com/", audience: any, algorithms: [HS256], secret: "a secret of more than 32 bytes, see" } }
consumers: [{ name: mobile, keys: ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"] }]
upstreams: { api: { targets: ["http://10.0.0.5:3000/pre"] } }
routes:
  - { name: query, path: /q, to: api, auth: { jwt: hs, token_from: ["query:access_token"] } }
  - { name: header, path: /h, to: api, auth: { jwt: hs, token_from: ["header:x-tok"] } }
  - { name: key, path: /k, to: api, auth: { api_key: { query: key } } }
tests:
  - { name: one, request: { path: /q, token: {} }, expect: { status: 200, route: query, upstream_path: "@PATH@" } }
  - { name: two, request: { path: /h, token: {} }, expect: { route: header, upstream_headers: { x-tok: "@TOKEN@" } } }
  - { name: three, request: { path: /k, key: mobile }, expect: { route: key, upstream_path: "@PATH@" } }
  - { name: four, request: { path: /q, headers: { authorization: Basic bWU6cGFzcy13b3Jk, x-a: say pass-word } }, expect: { status: 200 } }
"#;
    let set = |path: &str, token: &str| text.replace("@PATH@", path).replace("\"@TOKEN@\"", token);
    let dir = with(&set("/zz", "nobody"));
    let started = tollgate(dir.path(), &["run"], 1);
    for line in
        ["`one` fails: upstream_path\n", "`two` fails: upstream_headers\n", "`three` fails: upstream_path\n"]
    {
        assert!(started.stderr.contains(line), "{line}: {started:#?}");
    }
    let plain = tollgate(dir.path(), &["test"], 1);
    let told = tollgate(dir.path(), &["test", "--json", "--junit", "out.xml"], 1);
    let xml = std::fs::read_to_string(dir.path().join("out.xml")).expect("the file");
    for (place, said) in
        [("start", &started.stderr), ("test", &plain.stdout), ("json", &told.stdout), ("junit", &xml)]
    {
        for credential in ["eyJ", "tg_", "bWU6", "pass-word"] {
            assert!(!said.contains(credential), "{credential} in {place}: {said}");
        }
    }
    for shown in [
        "/pre/q?access_token=***",
        "/pre/k?key=***",
        "it answered GET /pre/q?access_token=*** with 200",
        "x-a: say ***",
    ] {
        assert!(plain.stdout.contains(shown), "{shown}: {plain:#?}");
    }
}

/// Each other's tokens are refused: the gateway of the tests knows a secret of its own in place of the issuer's.
#[test]
fn no_test_signs_with_the_secret_of_the_configuration() {
    let text = r#"
issuers: { hs: { issuer: "https://hs.example.com/", audience: any, algorithms: [HS256], secret: "a secret of more than 32 bytes, see" } }
upstreams: { api: { targets: ["http://10.0.0.5:3000"] } }
routes: [{ name: query, path: /q, to: api, auth: { jwt: hs, token_from: ["query:t"] } }]
tests:
  - { name: made, request: { path: /q, token: {} }, expect: { status: 200, route: query } }
  - { name: signed, request: { path: "/q?t=@SIGNED@" }, expect: { status: 401, reason: token_signature } }
"#;
    let dir = with(text);
    let signed = tollgate(dir.path(), &["token", "--issuer", "hs"], 0).stdout;
    let complete = text.replace("@SIGNED@", signed.trim());
    std::fs::write(dir.path().join("tollgate.yaml"), complete).expect("the file");
    let ended = tollgate(dir.path(), &["test"], 0);
    assert!(ended.stdout.starts_with("ok: 2 tests passed in "), "{ended:#?}");
}
