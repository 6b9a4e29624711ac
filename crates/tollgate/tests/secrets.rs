//! No secret is written: tokens, keys and passwords, good and bad, and the gateway's own, are nowhere in what the
//! process says, however much it is asked to say.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tollgate_testkit::{CLIENT_SECRET, Gateway, Issuer, Origin, Signal, binary, run, wait_for};

const EVERYTHING: &str = "
access_log: { sink: file, path: @DIR@/access.log, log_query: true, headers: [referer, user-agent, x-note] }
redis: { url: 'redis://redisuser:REDIS-PASSWORD-1@127.0.0.1:1/0', timeout: 20ms }
issuers:
  main: { issuer: @ISSUER@, audience: any, algorithms: [RS256], refresh: 1s }
  shared: { issuer: keeper, audience: any, algorithms: [HS256], secret: 'HMAC-SECRET-of-at-least-32-bytes-long' }
  legacy:
    introspection: { url: '@ISSUER@/introspect', client_id: 'gate:way', client_secret: '@CLIENT_SECRET@', cache: 0s }
upstreams:
  service:
    targets: [@ORIGIN@]
    auth: { oauth2: { token_url: '@ISSUER@/token', client_id: 'gate:way', client_secret: '@CLIENT_SECRET@' } }
consumers:
  - { name: mobile, keys: ['@HASH@'], basic: { user: mobile, password: '@PHC@' } }
routes:
  - path: /all
    auth:
      jwt: [main, shared, legacy]
      token_from: ['header:authorization', 'header:x-token', 'cookie:session', 'query:t']
      api_key: { query: k }
      basic: true
      forward: { x-user: sub }
    rate_limit: { rate: 100000/s, per: consumer, store: redis }
    to: @ORIGIN@
  - path: /service
    to: service
  - path: /down
    auth: { api_key: { header: x-api-key }, strip: true }
    to: http://127.0.0.1:1
";

const KEY: &str = "tg_API-KEY-GOOD-0123456789abcdefghijk";
/// Of `PASSWORD-GOOD`: argon2id with 8 MiB and one round, salt `sixteen bytes ok`.
const PASSWORD: &str = "PASSWORD-GOOD";

fn phc() -> String {
    let params = argon2::Params::new(8192, 1, 1, Some(32)).unwrap();
    let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let (salt, mut out) = (b"sixteen bytes ok", [0; 32]);
    argon.hash_password_into(PASSWORD.as_bytes(), salt, &mut out).unwrap();
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes);
    format!("$$argon2id$$v=19$$m=8192,t=1,p=1$${}$${}", encode(salt), encode(&out))
}

fn key_hash() -> String {
    let hash = digest::digest(&digest::SHA256, KEY.as_bytes());
    hash.as_ref().iter().fold("sha256:".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// What must not be written, with a name for whoever reads the failure.
#[derive(Default)]
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn add(&mut self, what: &'static str, secret: impl Into<String>) -> String {
        let secret = secret.into();
        // Of a token every part counts, but the header, which is the same for all of them.
        for part in secret
            .split('.')
            .filter(|part| part.len() > 20)
            .skip(usize::from(secret.matches('.').count() == 2))
        {
            self.0.push((what, part.to_owned()));
        }
        self.0.push((what, secret.clone()));
        secret
    }

    #[track_caller]
    fn check(&self, place: &str, text: &str) {
        for (what, secret) in &self.0 {
            assert!(!text.contains(&**secret), "{place} has {what} {secret}:\n{text}");
        }
    }
}

/// Every credential in every place, good and bad, a few of them to a service that is down.
fn send_everything(gateway: &Gateway, issuer: &Issuer, secrets: &mut Secrets) {
    let good = secrets.add("a good token", issuer.token(json!({ "sub": "u1" })));
    let expired = secrets.add("an expired token", issuer.token(json!({ "sub": "u1", "exp": 1 })));
    let bad =
        secrets.add("a bad token", "BAD-TOKEN-0123456789.BAD-CLAIMS-0123456789.BAD-SIGNATURE-0123456789");
    let opaque = secrets.add("an opaque token", "OPAQUE-TOKEN-GOOD-0123456789");
    let unknown = secrets.add("an unknown token", "OPAQUE-TOKEN-UNKNOWN-0123456789");
    issuer.set_opaque(&opaque, json!({ "sub": "u2" }));
    let key = secrets.add("an API key", KEY);
    let wrong = secrets.add("a wrong API key", "tg_API-KEY-BAD-0123456789");
    let right = secrets.add("a password in base64", STANDARD.encode(format!("mobile:{PASSWORD}")));
    let guess = secrets.add("a wrong password in base64", STANDARD.encode("mobile:PASSWORD-BAD"));
    secrets.add("a password", PASSWORD);
    secrets.add("a wrong password", "PASSWORD-BAD");
    let mut requests = Vec::new();
    for token in [&good, &expired, &bad, &opaque, &unknown] {
        requests.push((format!("/all?t={token}&a=1"), String::new()));
        requests.push((format!("/all?a=1;t={token}"), String::new()));
        for line in [
            format!("Authorization: Bearer {token}"),
            format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}"),
            format!("X-Token: {token}"),
            format!("Cookie: a=1; session={token}"),
            format!("X-Note: Bearer {token}"),
            format!("Referer: http://test/all?t={token}&b=2"),
        ] {
            requests.push(("/all".to_owned(), format!("{line}\r\n")));
        }
    }
    for key in [&key, &wrong] {
        requests.push((format!("/all?k={key}"), format!("Referer: http://test/?k={key}\r\n")));
        requests.push((format!("/all?k={key}&k={key}"), String::new()));
        requests.push(("/down".to_owned(), format!("X-Api-Key: {key}\r\n")));
    }
    for password in [&right, &guess] {
        requests.push(("/all".to_owned(), format!("Authorization: Basic {password}\r\n")));
    }
    requests.push(("/service".to_owned(), String::new()));
    // What is no request at all is told about, too.
    requests.push(("/all".to_owned(), format!("Authorization: Bearer {good}\0\r\n")));
    requests.push(("/all".to_owned(), format!(": Bearer {good}\r\n")));
    requests.push((format!("/al l?t={good}"), String::new()));
    let count = requests.len();
    let mut statuses = Vec::new();
    for (target, lines) in requests {
        let answer = gateway.client().exchange(format!("GET {target} HTTP/1.1\r\nHost: test\r\n{lines}\r\n"));
        if answer.status != 200 {
            secrets.check("an answer", &answer.text());
            secrets.check("an answer's head", &format!("{:?}", answer.head));
        }
        statuses.push(answer.status);
    }
    for wanted in [200, 400, 401, 502] {
        assert!(statuses.contains(&wanted), "no {wanted} among {statuses:?}");
    }
    let log = gateway.dir().join("access.log");
    wait_for("the access log", || std::fs::read_to_string(&log).unwrap_or_default().lines().count() >= count);
}

#[test]
fn nothing_that_the_process_writes_has_a_secret() {
    let (issuer, origin) = (Issuer::start(), Origin::ok());
    // Left out, and told about where the log says everything.
    issuer.add_jwk(json!({ "kty": "oct", "k": "SECRET-KEY-THAT-IS-NOT-USED" }));
    let mut secrets = Secrets::default();
    secrets.add("the client secret", CLIENT_SECRET);
    secrets.add("the client secret in base64", STANDARD.encode(format!("gate:way:{CLIENT_SECRET}")));
    secrets.add("the client secret, encoded", "introspection+s3cret%2Fwith%3Aodd%2Bcharacters%25");
    secrets.add("a token of the gateway's own", "granted-");
    secrets.add("the HMAC secret", "HMAC-SECRET-of-at-least-32-bytes-long");
    secrets.add("the password of Redis", "REDIS-PASSWORD-1");
    secrets.add("a secret in a key set", "SECRET-KEY-THAT-IS-NOT-USED");
    let names = [
        ("ISSUER", issuer.url()),
        ("ORIGIN", origin.url()),
        ("CLIENT_SECRET", CLIENT_SECRET.to_owned()),
        ("HASH", key_hash()),
        ("PHC", phc()),
    ];
    let mut gateway = Gateway::start_under(binary!(), EVERYTHING, &names, &[("TOLLGATE_LOG", "trace")]);
    send_everything(&gateway, &issuer, &mut secrets);
    // The issuer goes, so that failures are told about.
    issuer.status(500);
    wait_for("a failure", || gateway.admin("/health").json()["issuers"]["main"]["status"] == "stale");
    send_everything(&gateway, &issuer, &mut secrets);
    // Configurations that are refused are shown, with what is wrong with them.
    for (from, to) in [
        ("'HMAC-SECRET-of-at-least-32-bytes-long'", "'HMAC-SECRET-too-short'"),
        ("cache: 0s", "cash: 0s"),
        ("timeout: 20ms", "timeout: soon"),
    ] {
        let errors = gateway.stderr().text().matches("refused").count();
        gateway.replace_file(&gateway.complete(&EVERYTHING.replace(from, to), &names));
        wait_for("the refusal", || gateway.readyz()["last_reload"]["ok"] == false);
        wait_for("its report", || gateway.stderr().text().matches("refused").count() > errors);
    }
    secrets.add("a secret that is too short", "HMAC-SECRET-too-short");
    for path in ["/health", "/metrics", "/readyz", "/", "/api/v1/routes", "/api/v1/upstreams"] {
        secrets.check(path, &gateway.admin(path).text());
    }
    gateway.signal(Signal::TERM);
    gateway.wait_exit();
    let log = std::fs::read_to_string(gateway.dir().join("access.log")).unwrap();
    assert!(log.contains("t=***") && log.contains("k=***"), "{log}");
    secrets.check("the access log", &log);
    secrets.check("standard output", &gateway.stdout().whole());
    let said = gateway.stderr().whole();
    assert!(said.contains("DEBUG"), "the log says all it can: {said}");
    secrets.check("standard error", &said);
}

/// Literal secrets wherever something is sent or handed on; `@BOGUS@` makes each line wrong.
const LITERAL: &str = "
upstreams:
  a:
    targets: [http://127.0.0.1:1]
    auth: { oauth2: { token_url: 'http://127.0.0.1:1/t?key=S3CRET-A', client_id: a, client_secret: S3CRET-B@BOGUS@ } }
routes:
  - { path: /query, to: a, request: { set_query: { api_key: S3CRET-C, token: S3CRET-D }@BOGUS@ } }
  - { path: /headers, to: a, request: { set_headers: { x-functions-key: S3CRET-E }@BOGUS@ } }
  - path: /lua
    to: a
    lua: { inline: 'function request(req) end', with: { key: S3CRET-F, more: [{ sign: S3CRET-G }] }@BOGUS@ }
  - path: /parts
    aggregate:
      parts:
        - { name: a, to: a, method: POST, path: /x?api_key=S3CRET-H&n=1, json: { apiKey: S3CRET-I }@BOGUS@ }
";

#[test]
fn literal_secrets_are_masked_wherever_the_configuration_is_shown() {
    let mut secrets = Secrets::default();
    secrets.add("a literal secret", "S3CRET-");
    let good = LITERAL.replace("@BOGUS@", "");
    let gateway = Gateway::start(binary!(), &good, &[]);
    let shown = gateway.admin("/api/v1/config").text();
    assert!(shown.contains("/x?api_key=***&n=***"), "{shown}");
    secrets.check("/api/v1/config", &shown);
    // Where a line is wrong it is shown, also what is right on it, and where a value is.
    let rewrite = "  - { path: /rewrite, to: a, request: { rewrite: '/x?token=S3CRET-J' } }\n";
    let bad = format!("{}{rewrite}", LITERAL.replace("@BOGUS@", ", bogus: 1"));
    std::fs::write(gateway.dir().join("bad.yaml"), bad).unwrap();
    for arguments in [&["check", "-c", "bad.yaml"][..], &["check", "--json", "-c", "bad.yaml"]] {
        let ended = run(binary!(), gateway.dir(), arguments, &[]);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.code, Some(1), "{said}");
        assert!(
            said.contains("bogus") && said.contains("/x?token=***") | arguments.contains(&"--json"),
            "{said}"
        );
        secrets.check("check", &said);
    }
}

/// `/readyz` needs no token and tells what a reload met.
#[test]
fn a_key_written_for_its_path_is_nowhere_in_what_a_reload_says() {
    let route = "routes: [{ path: /, respond: { body: x } }]\n";
    let gateway = Gateway::start(binary!(), route, &[]);
    let mut secrets = Secrets::default();
    let key = "-----BEGIN PRIVATE KEY-----\nS3CRET-key/of/some/length\n-----END PRIVATE KEY-----\n";
    secrets.add("a private key", "S3CRET-");
    std::fs::write(gateway.dir().join("a.key"), key).unwrap();
    std::fs::write(gateway.dir().join("word"), "S3CRET-name/of\n").unwrap();
    let tls = "tls: { certificates: [{ cert: '${file:word}', key: '${file:a.key}' }] }";
    let guard = "routes: [{ path: /, guard: [{ if: '${file:word}' }], respond: { body: x } }]\n";
    gateway.replace_file(&format!("listeners: [{{ address: '127.0.0.1:0', {tls} }}]\n{guard}"));
    wait_for("the reload", || gateway.readyz()["last_reload"]["ok"] == false);
    let ready = gateway.admin("/readyz").text();
    assert!(ready.contains("`key` must be a path, found the content of `a.key`"), "{ready}");
    assert!(ready.contains("the file `${file:word}` does not exist"), "{ready}");
    secrets.check("/readyz", &ready);
    secrets.check("standard error", &gateway.stderr().text());
}
