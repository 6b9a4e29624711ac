//! `tollgate init`: the file that it writes passes `check` and serves, and nothing is overwritten.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;
use tollgate_testkit::{Client, Finished, Origin, Port, binary, run, wait_for};

#[track_caller]
fn tollgate(dir: &TempDir, arguments: &[&str], code: i32) -> Finished {
    let ended = run(binary!(), dir.path(), arguments, &[]);
    assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:#?}");
    ended
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

#[test]
fn what_it_writes_passes_check() {
    for auth in ["all", "key", "https://id.example.com/"] {
        let dir = directory();
        let ended = tollgate(&dir, &["init", "--auth", auth, "--to", "http://127.0.0.1:3000"], 0);
        assert!(ended.stdout.contains("wrote tollgate.yaml"), "{ended:#?}");
        let checked = tollgate(&dir, &["check"], 0);
        assert!(checked.stdout.contains("0 warnings"), "{auth}: {checked:#?}");
        assert_eq!(checked.stdout.contains("0 of them public"), auth != "all", "{auth}: {checked:#?}");
        let text = fs::read_to_string(dir.path().join("tollgate.yaml")).expect("the file");
        assert!(text.lines().filter(|line| line.trim_start().starts_with('#')).count() >= 4, "{text}");
    }
}

/// The last line that it prints is one that works.
#[test]
fn what_it_tells_to_type_reaches_the_listener() {
    for (listen, told) in [
        ("192.0.2.5:80", "curl http://192.0.2.5:80/"),
        ("[::]:8081", "curl http://[::1]:8081/"),
        ("unix:/tmp/x.sock", "curl --unix-socket '/tmp/x.sock' http://localhost/"),
    ] {
        let ended = tollgate(&directory(), &["init", "--listen", listen], 0);
        assert_eq!(ended.stdout.lines().last().map(str::trim), Some(told), "{ended:#?}");
    }
}

#[test]
fn nothing_is_overwritten_unless_asked_for() {
    let dir = directory();
    fs::write(dir.path().join("tollgate.yaml"), "mine\n").expect("a file");
    let refused = tollgate(&dir, &["init"], 1);
    assert!(refused.stderr.contains("--force"), "{refused:#?}");
    assert_eq!(fs::read_to_string(dir.path().join("tollgate.yaml")).expect("a file"), "mine\n");
    tollgate(&dir, &["init", "-o", "other.yaml"], 0);
    tollgate(&dir, &["init", "--force"], 0);
    tollgate(&dir, &["check"], 0);
    tollgate(&dir, &["check", "-c", "other.yaml"], 0);
}

#[test]
fn bad_answers_write_nothing() {
    let dir = directory();
    for (arguments, code) in [
        (&["init", "--to", "nowhere"][..], 1),
        (&["init", "--listen", "8080"], 1),
        // Wrong usage, as what clap finds is.
        (&["init", "--auth", "somebody"], 2),
        (&["init", "--audience", "x"], 2),
        (&["init", "--auth", "key", "--audience", "x"], 2),
    ] {
        let ended = tollgate(&dir, arguments, code);
        assert!(!ended.stderr.is_empty(), "{arguments:?}: {ended:#?}");
        assert!(!dir.path().join("tollgate.yaml").exists(), "{arguments:?}");
    }
    tollgate(&dir, &["init", "--no-such-option"], 2);
}

#[test]
fn to_standard_output() {
    let dir = directory();
    let ended = tollgate(&dir, &["init", "-o", "-", "--auth", "key"], 0);
    assert!(ended.stdout.contains("routes:") && ended.stderr.contains("tg_"), "{ended:#?}");
    assert!(!ended.stdout.contains("tg_"), "the key is not in the file: {ended:#?}");
    assert!(!dir.path().join("tollgate.yaml").exists());
}

#[test]
fn json_is_json() {
    let dir = directory();
    let json = |arguments: &[&str], code| -> Value {
        let ended = tollgate(&dir, arguments, code);
        serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {ended:#?}"))
    };
    let told = json(&["init", "-o", "-", "--json", "--auth", "key"], 0);
    let text = told["configuration"].as_str().expect("the configuration");
    assert!(
        text.contains("routes:") && told["key"].as_str().is_some_and(|key| key.starts_with("tg_")),
        "{told}"
    );
    assert_eq!((&told["ok"], &told["file"]), (&true.into(), &Value::Null));
    assert!(!dir.path().join("tollgate.yaml").exists());
    let refused = json(&["init", "--json", "--auth", "somebody"], 2);
    assert_eq!(refused["ok"], false);
    assert!(refused["error"].as_str().is_some_and(|error| error.contains("somebody")), "{refused}");
}

/// From the first command to the first answer, with the key that was printed.
#[test]
fn what_it_writes_serves() {
    let (origin, listen, admin) = (Origin::ok(), Port::reserve(), Port::reserve());
    let dir = directory();
    let to = origin.url();
    let listens = listen.address();
    let arguments = ["init", "--json", "--auth", "key", "--to", &to, "--listen", &listens];
    let told: Value = serde_json::from_str(&tollgate(&dir, &arguments, 0).stdout).expect("JSON");
    let key = told["key"].as_str().expect("the key").to_owned();
    let file = dir.path().join("tollgate.yaml");
    let text = fs::read_to_string(&file).expect("the file");
    fs::write(&file, text.replace("127.0.0.1:9900", &admin.address())).expect("the file");
    let gateway = tollgate_testkit::Gateway::spawn_file(binary!(), dir, file, listen, admin);
    wait_for("the gateway", || Client::try_connect(&gateway.address()).is_ok());
    assert_eq!((gateway.get("/x").status, &*gateway.get("/x").code()), (401, "key_missing"));
    let head = format!("GET /x HTTP/1.1\r\nHost: x\r\nx-api-key: {key}\r\nConnection: close\r\n\r\n");
    let answer = gateway.client().exchange(head);
    assert_eq!((answer.status, &*answer.text()), (200, "ok"));
}
