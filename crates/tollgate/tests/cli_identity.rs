//! `tollgate key` and `tollgate token`: what they print, where, and what they leave behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use assert_cmd::Command;
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_testkit::{Finished, SigningKey, binary};

/// Runs the binary with this on its standard input, and asserts its exit code.
#[track_caller]
fn tollgate(dir: &Path, arguments: &[&str], stdin: &str, code: i32) -> Finished {
    let mut command = Command::new(binary!());
    let output = command.args(arguments).current_dir(dir).write_stdin(stdin).output().expect("tollgate runs");
    let ended = Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:#?}");
    ended
}

#[track_caller]
fn json_of(dir: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&tollgate(dir, arguments, "", 0).stdout).expect("JSON")
}

fn folder(configuration: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("tollgate.yaml"), configuration).expect("a file");
    dir
}

/// Header and claims of a token.
fn decode(token: &str) -> (Value, Value) {
    use base64::Engine;
    let part = |at: usize| {
        let text = token.trim().split('.').nth(at).expect("a part");
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).expect("base64url");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    (part(0), part(1))
}

#[test]
fn a_key_is_made_and_recognised() {
    let dir = folder("");
    let made = tollgate(dir.path(), &["key", "create"], "", 0);
    let lines: Vec<&str> = made.stdout.lines().collect();
    let [key, hash] = lines[..] else { panic!("two lines: {made:#?}") };
    assert!(key.starts_with("tg_") && key.len() == 46, "{key}");
    let again = tollgate(dir.path(), &["key", "hash"], &format!("{key}\n"), 0);
    assert_eq!(format!("keys: [\"{}\"]", again.stdout.trim()), hash);
    assert_eq!(again.stderr, "", "nothing to warn about");
    let argument = tollgate(dir.path(), &["key", "hash", key], "", 0);
    assert_eq!(argument.stdout, again.stdout);
    assert!(argument.stderr.contains("visible to others"), "{argument:#?}");
    let json = json_of(dir.path(), &["key", "create", "--json"]);
    let hashed = tollgate(dir.path(), &["key", "hash", "--json"], json["key"].as_str().expect("a key"), 0);
    assert_eq!(serde_json::from_str::<Value>(&hashed.stdout).expect("JSON")["hash"], json["hash"]);
}

/// Where the file system is full there is no result, whatever the command; who closes a pipe has what they want.
#[test]
fn a_result_that_nobody_received_is_an_error() {
    let tests = "tests: [{ name: t, request: { path: /t }, expect: { status: 200 } }]\n";
    let dir = folder(&format!("routes: [{{ path: /t, respond: {{}} }}]\n{tests}"));
    fs::copy(dir.path().join("tollgate.yaml"), dir.path().join("same.yaml")).expect("a copy");
    let record = "{\"time\":\"2020-01-01T00:00:00.000Z\",\"status\":200}\n";
    fs::write(dir.path().join("short.log"), record).expect("a file");
    fs::write(dir.path().join("long.log"), record.repeat(10_000)).expect("a file");
    for line in [
        "key create",
        "key create --json",
        "key hash a-key-of-a-certain-length",
        "token --iss x --alg ES256",
        "token --iss x --alg ES256 --json",
        "schema",
        "version",
        "version --json",
        "completions bash",
        "check",
        "check --json",
        "routes",
        "routes --json",
        "test",
        "test --json",
        "explain GET /t",
        "explain GET /t --json",
        "diff tollgate.yaml same.yaml",
        "diff tollgate.yaml same.yaml --json",
        "cost --show-prices",
        "init -o -",
        "init -o new.yaml --auth key --force",
        "logs short.log",
        "logs long.log",
        "--version",
        "check --help",
    ] {
        let run = |stdout: std::process::Stdio| {
            let mut command = std::process::Command::new(binary!());
            let command = command.args(line.split(' ')).current_dir(dir.path()).stdout(stdout);
            let output = command.stdin(std::process::Stdio::null()).output().expect("tollgate runs");
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("a device that takes nothing");
        let (code, told) = run(full.into());
        assert_eq!(code, Some(1), "{line}: {told}");
        assert!(told.contains("standard output cannot be written: No space left"), "{line}: {told}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let (code, told) = run(writer.into());
        assert_eq!(code, Some(0), "{line}: {told}");
        assert!(!told.contains("cannot be written"), "{line}: {told}");
    }
}

#[test]
fn a_hash_of_nothing_is_wrong_usage() {
    let dir = folder("");
    for (arguments, stdin) in [
        (&["key", "hash"][..], ""),
        (&["key", "hash"], "two\nlines\n"),
        (&["key", "hash", " spaces "], ""),
        (&["key", "hash", "--password"], "\n"),
        (&["key", "hash", "--password", "an-argument"], ""),
        (&["key"], ""),
        (&["key", "show"], ""),
    ] {
        let ended = tollgate(dir.path(), arguments, stdin, 2);
        assert!(ended.stdout.is_empty() && !ended.stderr.is_empty(), "{arguments:?}: {ended:#?}");
    }
    let short = tollgate(dir.path(), &["key", "hash"], "hunter2", 0);
    assert!(short.stderr.contains("found by trying") && !short.stderr.contains("hunter2"), "{short:#?}");
}

#[test]
fn a_password_is_hashed_as_the_configuration_wants_it() {
    let dir = folder("");
    let hash = tollgate(dir.path(), &["key", "hash", "--password"], "pass phrase\n", 0).stdout;
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    let configuration = format!(
        "consumers:\n  - {{ name: c, basic: {{ user: u, password: '{}' }} }}\n\
         routes:\n  - {{ path: /a, auth: {{ basic: true }}, respond: {{}} }}\n",
        hash.trim()
    );
    fs::write(dir.path().join("tollgate.yaml"), configuration).expect("a file");
    tollgate(dir.path(), &["check"], "", 0);
}

#[test]
fn a_token_says_what_was_asked_for() {
    let dir = folder("");
    let token = tollgate(
        dir.path(),
        &[
            "token",
            "--iss",
            "https://id.test/",
            "--aud",
            "api",
            "--alg",
            "ES256",
            "--ttl",
            "15m",
            "--claim",
            "sub=u1",
            "--claim",
            "roles=[\"admin\"]",
            "--claim",
            "iat=null",
            "--claim",
            "scope=a b",
        ],
        "",
        0,
    );
    let (header, claims) = decode(&token.stdout);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("ES256"), &json!("JWT")));
    assert_eq!(claims["iss"], "https://id.test/");
    assert_eq!(
        (&claims["aud"], &claims["sub"], &claims["scope"]),
        (&json!("api"), &json!("u1"), &json!("a b"))
    );
    assert_eq!((&claims["roles"], claims.get("iat")), (&json!(["admin"]), None));
    let left = claims["exp"].as_u64().expect("exp") - tollgate_testkit::now_unix_s();
    assert!((800..=900).contains(&left), "{claims}");
    // The key was made for this token alone, so its set is shown beside it.
    assert!(token.stderr.contains(header["kid"].as_str().expect("kid")), "{token:#?}");
    assert!(!token.stderr.contains("\"d\""), "the private key is not shown: {token:#?}");
}

#[test]
fn a_key_file_is_made_once_and_for_its_owner_alone() {
    let dir = folder("");
    let arguments =
        &["token", "--iss", "x", "--alg", "EdDSA", "--key", "key.json", "--jwks", "jwks.json", "--json"];
    let first = json_of(dir.path(), arguments);
    let mode = fs::metadata(dir.path().join("key.json")).expect("a key file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let written = || -> Value {
        serde_json::from_slice(&fs::read(dir.path().join("jwks.json")).expect("a set")).expect("JSON")
    };
    assert_eq!(written(), first["jwks"]);
    assert_eq!(first["jwks"]["keys"][0].get("d"), None, "public keys alone");
    let again =
        json_of(dir.path(), &["token", "--iss", "x", "--key", "key.json", "--jwks", "jwks.json", "--json"]);
    assert_eq!(again["jwks"], first["jwks"], "the same key, and its algorithm");
    assert_ne!(again["claims"], Value::Null);
    json_of(
        dir.path(),
        &["token", "--iss", "x", "--alg", "ES384", "--key", "other.json", "--jwks", "jwks.json", "--json"],
    );
    let keys = written()["keys"].as_array().expect("keys").len();
    assert_eq!(keys, 2, "a second key is added to the set: {}", written());
    fs::write(dir.path().join("jwks.json"), "not a set").expect("a file");
    tollgate(dir.path(), arguments, "", 1);
    assert_eq!(fs::read(dir.path().join("jwks.json")).expect("a file"), b"not a set", "left as it is");
}

const CONFIGURATION: &str = "
issuers:
  files: { issuer: https://id.test/, audience: [api, other], algorithms: [ES256], jwks_file: jwks.json }
  shared: { issuer: https://hs.test/, audience: any, algorithms: [HS512], secret: '${SECRET:-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef}' }
  far: { issuer: https://far.test/, audience: [api], algorithms: [ES256, RS256] }
  opaque: { introspection: { url: https://far.test/introspect, client_id: gw, client_secret: hunter2-hunter2 } }
routes:
  - { path: /a, auth: { jwt: [files, shared, far, opaque] }, respond: {} }
";

/// The key set that the configuration names is made by the command; then the gateway's own configuration is whole.
#[test]
fn the_configuration_says_who_and_for_whom() {
    let dir = folder(CONFIGURATION);
    let made = json_of(
        dir.path(),
        &[
            "token",
            "--issuer",
            "files",
            "--claim",
            "sub=u1",
            "--key",
            "key.json",
            "--jwks",
            "jwks.json",
            "--json",
        ],
    );
    assert_eq!((&made["claims"]["iss"], &made["claims"]["aud"]), (&json!("https://id.test/"), &json!("api")));
    assert_eq!(decode(made["token"].as_str().expect("a token")).0["alg"], "ES256");
    tollgate(dir.path(), &["check"], "", 0);
    let again = tollgate(dir.path(), &["token", "--issuer", "files", "--key", "key.json"], "", 0);
    assert_eq!(again.stderr, "", "the key is known");
    let unknown = tollgate(dir.path(), &["token", "--issuer", "files", "--key", "new.json"], "", 0);
    assert!(unknown.stderr.contains("will refuse this token: the signing key is not known"), "{unknown:#?}");
    let late = tollgate(
        dir.path(),
        &["token", "--issuer", "files", "--key", "key.json", "--claim", "exp=1000", "--claim", "sub=u1"],
        "",
        0,
    );
    assert!(late.stderr.contains("expired"), "{late:#?}");
    let far = tollgate(dir.path(), &["token", "--issuer", "far"], "", 0);
    assert!(far.stderr.contains("jwks_file"), "{far:#?}");
    assert_eq!(decode(far.stdout.trim()).0["alg"], "ES256", "the first of the issuer's");
}

#[test]
fn the_issuers_secret_signs() {
    use base64::Engine;
    let dir = folder(CONFIGURATION);
    let secret = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let shared = &["token", "--issuer", "shared", "--claim", "sub=u1"];
    let told = tollgate(dir.path(), &[&shared[..], &["--jwks", "jwks.json"]].concat(), "", 0);
    assert!(told.stderr.contains("no public key") && !dir.path().join("jwks.json").exists(), "{told:#?}");
    json_of(dir.path(), &["token", "--issuer", "files", "--jwks", "jwks.json", "--json"]);
    let made = tollgate(dir.path(), shared, "", 0);
    assert_eq!(made.stderr, "");
    let (input, signature) = made.stdout.trim().rsplit_once('.').expect("three parts");
    let expect = SigningKey::secret("HS512", "", secret).sign(input.as_bytes());
    assert_eq!(signature, base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(expect));
}

#[test]
fn no_token_that_could_not_be_right() {
    let dir = folder(CONFIGURATION);
    fs::write(dir.path().join("garbage.json"), "{ \"kty\": \"hunter2\"").expect("a file");
    let jwks = ["--jwks", "jwks.json"];
    for (arguments, says) in [
        (&["--issuer", "files", "--alg", "RS256"][..], "allows ES256, and not RS256"),
        (&["--issuer", "file"], "no issuer `file`; it has files, shared, far, opaque"),
        (&["--issuer", "opaque"], "opaque"),
        (&["--issuer", "files", "--key", "garbage.json"], "garbage.json cannot be read: it is not JSON"),
        (&["--iss", "x", "--alg", "HS256"], "HS256 needs the issuer's `secret`"),
        (&["--issuer", "files", "-c", "nothing.yaml"], "nothing.yaml"),
    ] {
        let ended = tollgate(dir.path(), &[&["token"], arguments, &jwks].concat(), "", 1);
        assert!(ended.stdout.is_empty() && ended.stderr.contains(says), "{arguments:?}: {ended:#?}");
        assert!(!ended.stderr.contains("hunter2"), "{ended:#?}");
        // For programs it is on standard output, but for what `check` would show.
        let told = tollgate(dir.path(), &[&["token", "--json"], arguments, &jwks].concat(), "", 1);
        let json: Value = serde_json::from_str(&told.stdout).expect("JSON");
        assert_eq!(json["ok"], false, "{told:#?}");
        let error = json["error"].as_str().expect("why");
        assert!(error.contains(says) || told.stderr.contains(says), "{arguments:?}: {told:#?}");
        assert!(!told.stdout.contains("hunter2"), "{told:#?}");
    }
    fs::write(dir.path().join("bad.yaml"), "routes: 1\n").expect("a file");
    let told = tollgate(dir.path(), &["token", "--json", "--issuer", "files", "-c", "bad.yaml"], "", 1);
    let json: Value = serde_json::from_str(&told.stdout).expect("JSON");
    assert_eq!((&json["ok"], json["error"].is_string()), (&false.into(), true), "{told:#?}");
    for arguments in [
        &[][..],
        &["--iss", "x", "--alg", "none"],
        &["--iss", "x", "--ttl", "1"],
        &["--iss", "x", "--claim", "sub"],
    ] {
        tollgate(dir.path(), &[&["token"], arguments].concat(), "", 2);
    }
}
