//! `tollgate diff`: what it tells of two configurations, and with which exit code; and what the log tells of a reload.

use std::fs;

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_testkit::{Finished, binary, gateway, run, wait_for};

const OLD: &str = "
routes:
  - { name: admin, path: /admin/*, allow_ips: [10.0.0.0/8], respond: { body: admin } }
  - { name: hi, path: /hi, rate_limit: { rate: 10/s, per: ip }, respond: { body: hi } }
  - { name: old, path: /old, respond: { body: old } }
";

fn with(new: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("old.yaml"), OLD).expect("a file");
    fs::write(dir.path().join("new.yaml"), new).expect("a file");
    dir
}

#[track_caller]
fn diff(dir: &TempDir, more: &[&str], code: i32) -> Finished {
    let arguments = [&["diff", "old.yaml", "new.yaml"], more].concat();
    let ended = run(binary!(), dir.path(), &arguments, &[]);
    assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:#?}");
    ended
}

fn json_of(ended: &Finished) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
}

#[test]
fn nothing_differs() {
    let dir = with(OLD);
    assert_eq!(diff(&dir, &[], 0).stdout, "nothing differs\n");
    diff(&dir, &["--fail-on", "any"], 0);
    let told = json_of(&diff(&dir, &["--json"], 0));
    assert_eq!((&told["ok"], &told["weaker"], &told["samples"]), (&json!(true), &json!([]), &Value::Null));
}

#[test]
fn what_differs_and_is_no_weaker() {
    let new = OLD.replace("name: old, path: /old", "name: new, path: /new").replace("10/s", "5/s");
    let dir = with(&new);
    let text = diff(&dir, &[], 0).stdout;
    for part in [
        "routes: 1 new, 1 gone, 1 changed",
        "+ route new  /new; respond 200; public",
        "- route old",
        "~ route hi  limits: 10/s per ip → 5/s per ip; keys rate_limit",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("less protected"), "{text}");
    diff(&dir, &["--fail-on", "any"], 1);
}

/// A route that could not be asked about is named, and does not count as one that was.
#[test]
fn what_was_not_tried_is_named() {
    let new = format!(
        "{OLD}  - {{ name: odd, path: /admin/odd, headers: {{ x-a: '~^a{{300}}$' }}, respond: {{}} }}\n"
    );
    let dir = with(&new);
    let text = diff(&dir, &[], 0).stdout;
    let line = "? not tried, since no request is known that fits their expressions: odd\n";
    assert!(text.contains(line), "{text}");
    let told = json_of(&diff(&dir, &["--json"], 0));
    assert_eq!(told["routes"]["untried"], json!(["odd"]), "{told:#}");
    let known = new.replace("{300}", "{3}");
    let dir = with(&known);
    let text = diff(&dir, &[], 1).stdout;
    assert!(text.contains("route odd (gets requests of admin)") && !text.contains("not tried"), "{text}");
}

#[test]
fn what_is_weaker_is_told_and_makes_exit_1() {
    let new = OLD.replace("rate: 10/s", "rate: 20/s").replace(
        "  - { name: old",
        "  - { name: hole, path: /admin/open, respond: { body: open } }\n  - { name: old",
    );
    let dir = with(&new);
    let text = diff(&dir, &[], 1).stdout;
    for part in [
        "less protected: 2",
        "! route hi lets 20/s per ip pass, not 10/s per ip",
        "! route hole (gets requests of admin) lets all addresses call",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let told = json_of(&diff(&dir, &["--json"], 1));
    assert_eq!(told["ok"], false);
    assert_eq!(told["routes"]["less_protected"], json!(["hi", "hole"]), "{told:#}");
    let expect = json!({
        "part": "route", "name": "hole", "instead_of": "admin", "code": "addresses_widened",
        "detail": "lets all addresses call",
    });
    assert_eq!(told["weaker"][1], expect);
}

#[test]
fn records_of_requests_that_end_elsewhere() {
    let new =
        OLD.replace("name: old, path: /old", "name: new, path: /old").replace("path: /hi,", "path: /ho,");
    let dir = with(&new);
    let records = concat!(
        "{\"method\":\"GET\",\"host\":\"a.example\",\"path\":\"/old\",\"route\":\"old\"}\n",
        "{\"method\":\"GET\",\"host\":\"a.example\",\"path\":\"/old\",\"route\":\"old\"}\n",
        "{\"method\":\"POST\",\"host\":\"a.example\",\"path\":\"/hi\",\"route\":\"hi\"}\n",
        "{\"method\":\"GET\",\"host\":\"a.example\",\"path\":\"/admin/x\",\"route\":\"admin\"}\n",
        "{\"method\":\"GET\",\"host\":\"a.example\",\"path\":\"/old\",\"route\":\"of another time\"}\n",
        "no record\n",
    );
    fs::write(dir.path().join("access.log"), records).expect("a file");
    let ended = diff(&dir, &["--samples", "access.log"], 0);
    for part in [
        "3 of 5 requests would end elsewhere; of 1 the record does not say enough",
        "GET a.example/old: old → new (2)",
        "POST a.example/hi: hi → 404 (1)",
    ] {
        assert!(ended.stdout.contains(part), "{part}: {ended:#?}");
    }
    assert!(ended.stderr.contains("1 line left out"), "{ended:#?}");
    let told = json_of(&diff(&dir, &["--samples", "access.log", "--json"], 0));
    assert_eq!((&told["samples"]["read"], &told["samples"]["undecided"]), (&json!(5), &json!(1)), "{told:#}");
    let none = diff(&dir, &["--samples", "nothing.log"], 1);
    assert!(none.stderr.contains("nothing.log"), "{none:#?}");
    for lines in ["no record\nnor this\n", "{\"level\":\"info\"}\n"] {
        fs::write(dir.path().join("other.log"), lines).expect("a file");
        let ended = diff(&dir, &["--samples", "other.log"], 1);
        assert!(ended.stderr.contains("other.log: no line of it is a record of a request"), "{ended:#?}");
        assert_eq!(json_of(&diff(&dir, &["--samples", "other.log", "--json"], 1))["ok"], false);
    }
    fs::write(dir.path().join("other.log"), "").expect("a file");
    diff(&dir, &["--samples", "other.log"], 0);
}

#[test]
fn the_last_requests_of_a_running_gateway() {
    let gateway = gateway!(OLD);
    assert_eq!(gateway.get("/old").status, 200);
    wait_for("the record", || gateway.admin("/api/v1/requests").text().contains("/old"));
    let dir = with(&OLD.replace("name: old, path: /old", "name: new, path: /new"));
    let live = format!("--live={}", gateway.admin_address());
    let told = json_of(&diff(&dir, &[&live, "--json"], 0));
    let moved = &told["samples"]["moved"][0];
    assert_eq!((&moved["from"], &moved["to"]), (&json!("old"), &json!("404")), "{told:#}");
    drop(gateway);
    let gone = diff(&dir, &[&live], 1);
    assert!(gone.stderr.contains("no answer from"), "{gone:#?}");
}

#[test]
fn a_bad_configuration_is_no_difference() {
    let dir = with("routes: 7\n");
    let ended = diff(&dir, &[], 1);
    assert!(ended.stderr.contains("new.yaml") && ended.stdout.is_empty(), "{ended:#?}");
    assert_eq!(json_of(&diff(&dir, &["--json"], 1))["ok"], false);
    for arguments in [
        &["diff", "old.yaml"][..],
        &["diff", "old.yaml", "new.yaml", "--live", "--samples", "x"],
        &["diff", "old.yaml", "new.yaml", "--fail-on", "none"],
    ] {
        assert_eq!(run(binary!(), dir.path(), arguments, &[]).code, Some(2), "{arguments:?}");
    }
}

/// Certificates that are good for this test alone.
fn certificates(dir: &TempDir) {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().expect("a key");
    let authority = authority.self_signed(&key).expect("a certificate");
    fs::write(dir.path().join("ca.pem"), pem("CERTIFICATE", authority.der())).expect("a file");
    let site = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let site = site.self_signed(&key).expect("a certificate");
    fs::write(dir.path().join("site.pem"), pem("CERTIFICATE", site.der())).expect("a file");
    fs::write(dir.path().join("site.key"), pem("PRIVATE KEY", &key.serialize_der())).expect("a file");
}

/// RFC 7468.
fn pem(kind: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| str::from_utf8(line).expect("ASCII")).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

#[test]
fn listeners_that_lose_what_protects_them() {
    let with_tls = |tls: &str| {
        format!(
            "listeners: [{{ address: 127.0.0.1:8443, tls: {{ certificates: [{{ cert: site.pem, key: site.key }}]{tls} }} }}]\n{OLD}"
        )
    };
    let dir = tempfile::tempdir().expect("a directory");
    certificates(&dir);
    let whole = with_tls(", client_ca: ca.pem, min_version: \"1.3\"");
    fs::write(dir.path().join("old.yaml"), &whole).expect("a file");
    let clear = format!("listeners: [{{ address: 127.0.0.1:8443 }}]\n{OLD}");
    let added = whole.replacen("}]\n", "}, { address: 127.0.0.1:8080 }]\n", 1);
    for (new, code, text) in [
        (clear, "tls_removed", "listener 127.0.0.1:8443 speaks clear text"),
        (added, "tls_removed", "listener 127.0.0.1:8080 speaks clear text"),
        (with_tls(", min_version: \"1.3\""), "client_certificates_removed", "no client certificate"),
        (with_tls(", client_ca: ca.pem"), "tls_version_lowered", "TLS 1.2"),
    ] {
        fs::write(dir.path().join("new.yaml"), &new).expect("a file");
        let told = json_of(&diff(&dir, &["--json"], 1));
        assert_eq!(told["weaker"].as_array().map(Vec::len), Some(1), "{new}: {told:#}");
        assert_eq!(told["weaker"][0]["code"], code, "{new}: {told:#}");
        assert!(diff(&dir, &[], 1).stdout.contains(text), "{text}");
    }
}

#[test]
fn the_log_of_a_reload_tells_what_it_changed() {
    let gateway = gateway!(OLD);
    gateway.replace_file(&gateway.complete(&OLD.replace("allow_ips: [10.0.0.0/8], ", ""), &[]));
    gateway.wait_generation(2);
    let log = || gateway.stderr().text();
    for part in [
        "what the reload changed: routes: 1 changed; less protected: 1",
        "less protected than before: route admin lets all addresses call",
    ] {
        wait_for("the log of the reload", || log().contains(part));
    }
}
