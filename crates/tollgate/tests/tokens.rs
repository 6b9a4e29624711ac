//! Signed tokens: who passes with which one, what is asked of it, and what the service behind is told.

use serde_json::{Value, json};
use tollgate_testkit::{Gateway, Issuer, Origin, Response, assert_problem, gateway, now_unix_s, wait_for};

const ONE: &str = "
issuers:
  main: { issuer: @ISSUER@, audience: [api], algorithms: [RS256], leeway: 0s }
routes:
  - path: /open
    respond: { body: open }
  - path: /maybe
    auth: { jwt: main, optional: true }
    respond: { body: '{consumer}|{claim:sub}|{claim:address.country}' }
  - path: /*
    auth: { jwt: main }
    to: @ORIGIN@
";

/// A GET with these header lines.
#[track_caller]
fn get(gateway: &Gateway, path: &str, lines: &str) -> Response {
    gateway.client().exchange(format!("GET {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n"))
}

/// A GET with a bearer token.
#[track_caller]
fn bear(gateway: &Gateway, path: &str, token: &str) -> Response {
    get(gateway, path, &format!("Authorization: Bearer {token}\r\n"))
}

/// Waits until the issuer's keys are there.
#[track_caller]
fn wait_keys(gateway: &Gateway, issuer: &str) {
    wait_for("the issuer's keys", || gateway.admin("/health").json()["issuers"][issuer]["status"] == "ok");
}

#[test]
fn a_good_token_passes_and_says_who_calls() {
    let (issuer, origin) = (Issuer::start(), Origin::echo());
    let gateway = gateway!(ONE, ISSUER = issuer.url(), ORIGIN = origin.url());
    let token = issuer.token(json!({ "sub": "u1", "address": { "country": "DE" } }));
    // The first request may come before the keys are there; it waits for them.
    let answer = bear(&gateway, "/orders", &token);
    assert_eq!(answer.status, 200, "{answer:#?}");
    assert_eq!(answer.json()["headers"]["authorization"], json!([format!("Bearer {token}")]));
    assert_eq!(bear(&gateway, "/maybe", &token).text(), "main:u1|u1|DE");
    assert_eq!(gateway.record_of("/orders")["consumer"], "main:u1");
    for lines in
        [format!("authorization: bEaReR   {token}  \r\n"), format!("AUTHORIZATION:Bearer {token}\r\n")]
    {
        assert_eq!(get(&gateway, "/orders", &lines).status, 200, "{lines}");
    }
    let health = gateway.admin("/health").json();
    let seen = &health["issuers"]["main"];
    assert_eq!(
        (&seen["status"], &seen["keys"], &seen["last_error"]),
        (&json!("ok"), &json!(1), &Value::Null)
    );
    let metrics = gateway.metrics();
    assert_eq!(metrics.get("tollgate_jwks_refresh_total{issuer=\"main\",result=\"ok\"}"), 1.0);
    assert!(metrics.get("tollgate_jwks_age_seconds{issuer=\"main\"}") >= 0.0);
    assert_eq!((issuer.count_discovery(), issuer.count_jwks()), (1, 1));
}

#[test]
fn no_credential_and_bad_ones() {
    let (issuer, origin) = (Issuer::start(), Origin::echo());
    let gateway = gateway!(ONE, ISSUER = issuer.url(), ORIGIN = origin.url());
    wait_keys(&gateway, "main");
    let now = now_unix_s();
    let check = |claims: Value, code: &str| {
        let answer = bear(&gateway, "/x", &issuer.token(claims));
        assert_problem(&answer, code);
        let challenge = answer.header("www-authenticate").unwrap_or_default().to_owned();
        let expect = "Bearer realm=\"tollgate\", error=\"invalid_token\", error_description=\"";
        assert!(challenge.starts_with(expect), "{challenge}");
    };
    check(json!({ "exp": now - 1 }), "token_expired");
    check(json!({ "exp": null }), "token_malformed");
    check(json!({ "nbf": now + 60 }), "token_not_yet_valid");
    check(json!({ "iss": "https://another.example.com/" }), "token_issuer");
    check(json!({ "iss": null }), "token_issuer");
    check(json!({ "aud": "another" }), "token_audience");
    check(json!({ "aud": null }), "token_audience");
    check(json!({ "iat": "yesterday" }), "token_malformed");

    let missing = get(&gateway, "/x", "");
    assert_problem(&missing, "token_missing");
    assert_eq!(missing.header("www-authenticate"), Some("Bearer realm=\"tollgate\""));
    // Another scheme is no token.
    for lines in ["Authorization: Basic YTpi\r\n", "Authorization: Bearerabc\r\n"] {
        assert_problem(&get(&gateway, "/x", lines), "token_missing");
    }
    for lines in ["Authorization: Bearer\r\n", "Authorization: Bearer x\r\n", "Authorization: Bearer a b\r\n"]
    {
        assert_problem(&get(&gateway, "/x", lines), "token_malformed");
    }
    // A public route asks nothing, and believes nothing.
    assert_eq!(bear(&gateway, "/open", "nonsense").text(), "open");
    origin.assert_untouched();
}

#[test]
fn optional_lets_nobody_pass_but_no_bad_credential() {
    let (issuer, origin) = (Issuer::start(), Origin::echo());
    let gateway = gateway!(ONE, ISSUER = issuer.url(), ORIGIN = origin.url());
    assert_eq!(get(&gateway, "/maybe", "").text(), "||");
    assert_eq!(bear(&gateway, "/maybe", &issuer.token(json!({ "sub": "u1" }))).text(), "main:u1|u1|");
    assert_problem(&bear(&gateway, "/maybe", "nonsense"), "token_malformed");
    assert_problem(&get(&gateway, "/maybe", "Authorization: Bearer\tnonsense\r\n"), "token_malformed");
    assert_problem(&bear(&gateway, "/maybe", &issuer.token(json!({ "exp": 1 }))), "token_expired");
}

/// A remembered token is not good for a moment longer than it says.
#[test]
fn a_remembered_token_expires() {
    let (issuer, origin) = (Issuer::start(), Origin::echo());
    let gateway = gateway!(ONE, ISSUER = issuer.url(), ORIGIN = origin.url());
    let expires = now_unix_s() + 3;
    let token = issuer.token(json!({ "sub": "u1", "exp": expires }));
    let mut passed = 0;
    wait_for("the token to expire", || {
        let before = now_unix_s();
        let answer = bear(&gateway, "/x", &token);
        let after = now_unix_s();
        match answer.status {
            200 => assert!(before < expires, "it passed after its end"),
            _ => {
                assert_problem(&answer, "token_expired");
                assert!(after >= expires, "it was refused before its end");
            }
        }
        passed += usize::from(answer.status == 200);
        answer.status == 401
    });
    assert!(passed > 2, "it was remembered meanwhile");
}

#[test]
fn a_reload_that_changes_what_is_asked_holds_for_remembered_tokens() {
    let (issuer, origin) = (Issuer::start(), Origin::echo());
    let names = [("ISSUER", issuer.url()), ("ORIGIN", origin.url())];
    let gateway = Gateway::start(tollgate_testkit::binary!(), ONE, &names);
    let token = issuer.token(json!({ "sub": "u1", "scope": "a" }));
    for _ in 0..5 {
        assert_eq!(bear(&gateway, "/x", &token).status, 200);
    }
    let stricter = ONE.replace("audience: [api]", "audience: [another]");
    gateway.replace_file(&gateway.complete(&stricter, &names));
    gateway.wait_generation(2);
    assert_problem(&bear(&gateway, "/x", &token), "token_audience");
    let scoped = ONE.replace("auth: { jwt: main }", "auth: { jwt: main, require: { scopes: [a, b] } }");
    gateway.replace_file(&gateway.complete(&scoped, &names));
    gateway.wait_generation(3);
    assert_problem(&bear(&gateway, "/x", &token), "scope_missing");
    // The keys stayed what they were: nobody fetched them again for a reload.
    assert_eq!(issuer.count_jwks(), 1);
}

const REQUIRING: &str = "
issuers:
  main: { issuer: @ISSUER@, audience: [api], algorithms: [RS256], roles_claim: realm_access.roles }
routes:
  - path: /scopes
    auth: { jwt: main, require: { scopes: ['orders:read', 'orders:write'] } }
    respond: { body: ok }
  - path: /roles
    auth: { jwt: main, require: { roles: [admin, owner] } }
    respond: { body: ok }
  - path: /claims
    auth: { jwt: main, require: { claims: { tenant: acme, 'address.country': [DE, FR] } } }
    respond: { body: ok }
";

#[test]
fn what_is_required_of_a_token() {
    let issuer = Issuer::start();
    let gateway = gateway!(REQUIRING, ISSUER = issuer.url());
    let check = |path: &str, claims: Value, expect: &str| {
        let answer = bear(&gateway, path, &issuer.token(claims.clone()));
        match expect {
            "ok" => assert_eq!(answer.text(), "ok", "{path} {claims}"),
            code => assert_problem(&answer, code),
        }
    };
    check("/scopes", json!({ "scope": "orders:read x orders:write" }), "ok");
    check("/scopes", json!({ "scp": ["orders:write", "orders:read"] }), "ok");
    check("/scopes", json!({ "scope": "orders:read", "scp": "orders:write" }), "ok");
    check("/scopes", json!({ "scope": "orders:read" }), "scope_missing");
    check("/scopes", json!({ "scope": "orders:read orders:writeX" }), "scope_missing");
    check("/scopes", json!({}), "scope_missing");
    check("/roles", json!({ "realm_access": { "roles": ["x", "owner"] } }), "ok");
    check("/roles", json!({ "roles": ["owner"] }), "role_missing");
    check("/claims", json!({ "tenant": "acme", "address": { "country": "FR" } }), "ok");
    check("/claims", json!({ "tenant": ["acme", "x"], "address": { "country": "DE" } }), "ok");
    check("/claims", json!({ "tenant": "acme", "address": { "country": "US" } }), "claim_mismatch");
    check("/claims", json!({ "tenant": "acme" }), "claim_mismatch");

    let answer = bear(&gateway, "/scopes", &issuer.token(json!({})));
    let expect =
        "Bearer realm=\"tollgate\", error=\"insufficient_scope\", scope=\"orders:read orders:write\"";
    assert_eq!(answer.header("www-authenticate"), Some(expect));
    let record = gateway.record(|record| record["reason"] == "role_missing");
    assert!(record["consumer"].is_string(), "who was refused is known: {record}");
}

const TELLING: &str = "
issuers:
  main: { issuer: @ISSUER@, audience: any, algorithms: [RS256] }
routes:
  - path: /told/*
    auth: { jwt: main, optional: true, forward: { x-user: sub, x-groups: groups, x-n: n, x-note: note } }
    to: @ORIGIN@
  - path: /stripped/*
    auth: { jwt: main, token_from: ['header:authorization', 'header:x-token', 'cookie:session', 'query:access_token'], strip: true }
    to: @ORIGIN@
  - path: /kept/*
    auth: { jwt: main, token_from: ['cookie:session', 'query:access_token'] }
    to: @ORIGIN@
";

#[test]
fn claims_go_upstream_and_a_clients_own_copies_never_do() {
    let (issuer, origin) = (Issuer::start(), Origin::echo());
    let gateway = gateway!(TELLING, ISSUER = issuer.url(), ORIGIN = origin.url());
    let copies = "X-User: evil\r\nx_user: evil\r\nX_USER: evil\r\nx-user: evil\r\nX-Groups: evil\r\nX-N: evil\r\nX_Note: evil\r\n";
    let claims = json!({
        "sub": "u1", "groups": ["a", "b"], "n": 1.5, "note": "a\r\nX-Evil: evil\u{0}b",
    });
    let token = issuer.token(claims);
    // `Connection` cannot take away what the gateway sets.
    let lines = format!("{copies}Connection: x-user\r\nAuthorization: Bearer {token}\r\n");
    let answer = get(&gateway, "/told/x", &lines).json();
    let headers = &answer["headers"];
    assert_eq!(headers["x-user"], json!(["u1"]), "{headers}");
    assert_eq!(headers["x-groups"], json!(["a,b"]));
    assert_eq!(headers["x-n"], json!(["1.5"]));
    assert_eq!(headers["x-note"], Value::Null, "a claim that would read as another is left out");
    assert_eq!((&headers["x-evil"], &headers["x_user"]), (&Value::Null, &Value::Null), "{headers}");

    let bare = issuer.token(json!({ "groups": { "a": 1 } }));
    for lines in [copies.to_owned(), format!("{copies}Authorization: Bearer {bare}\r\n")] {
        let answer = get(&gateway, "/told/x", &lines).json().to_string();
        assert!(!answer.contains("evil") && !answer.contains("x-groups"), "{answer}");
    }
}

#[test]
fn a_token_is_found_where_the_route_says_and_taken_off_when_it_says() {
    let (issuer, origin) = (Issuer::start(), Origin::echo());
    let gateway = gateway!(TELLING, ISSUER = issuer.url(), ORIGIN = origin.url());
    let token = issuer.token(json!({ "sub": "u1" }));
    let check = |target: &str, lines: &str, sent: &str| {
        let answer = get(&gateway, &target.replace('@', &token), &lines.replace('@', &token));
        assert_eq!(answer.status, 200, "{target} {lines}: {answer:#?}");
        let answer = answer.json();
        assert_eq!(answer["target"], sent, "{answer}");
        assert!(!answer.to_string().contains(&token), "{answer}");
        answer["headers"].clone()
    };
    check("/stripped/x?a=1", "Authorization: Bearer @\r\n", "/stripped/x?a=1");
    check("/stripped/x", "X-Token: @\r\n", "/stripped/x");
    check("/stripped/x", "X-Token: bearer @\r\n", "/stripped/x");
    check("/stripped/x?a=1&access_token=@&b=2", "", "/stripped/x?a=1&b=2");
    check("/stripped/x?access%5Ftoken=@", "", "/stripped/x");
    let headers = check("/stripped/x", "Cookie: a=1; session=@; b=2\r\n", "/stripped/x");
    assert_eq!(headers["cookie"], json!(["a=1; b=2"]));
    let headers = check("/stripped/x", "Cookie: session=@\r\nAuthorization: Digest y\r\n", "/stripped/x");
    assert_eq!((&headers["cookie"], &headers["authorization"]), (&Value::Null, &json!(["Digest y"])));

    let answer = get(&gateway, &format!("/kept/x?access_token={token}"), "").json();
    assert_eq!(answer["target"], format!("/kept/x?access_token={token}"), "without `strip` all stays");
    // Where no token is taken from, none is found.
    assert_problem(&bear(&gateway, "/kept/x", &token), "token_missing");
}

const ALGORITHMS: &str = "
issuers:
  all: { issuer: @ISSUER@, audience: any, algorithms: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA] }
  shared: { audience: any, issuer: secret-keeper, algorithms: [HS256, HS384, HS512], secret: @SECRET@ }
  pem: { audience: any, issuer: pem-issuer, algorithms: [ES256], public_key_file: @DIR@/public.pem }
  set: { audience: any, issuer: set-issuer, algorithms: [EdDSA], jwks_file: @DIR@/jwks.json }
routes:
  - path: /any
    auth: { jwt: [all, shared, pem, set] }
    respond: { body: '{consumer}' }
  - path: /shared
    auth: { jwt: shared }
    respond: { body: '{consumer}' }
";

/// Every algorithm, and every place where keys come from.
#[test]
fn algorithms_and_sources_of_keys() {
    use tollgate_testkit::SigningKey;
    let algorithms =
        ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];
    let issuer = Issuer::with_keys(&algorithms);
    let secret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let (pem, set) = (SigningKey::generate("ES256", "1"), SigningKey::generate("EdDSA", "1"));
    let files = tempfile::tempdir().unwrap();
    std::fs::write(files.path().join("public.pem"), pem.public_pem()).unwrap();
    std::fs::write(files.path().join("jwks.json"), json!({ "keys": [set.jwk()] }).to_string()).unwrap();
    let text = ALGORITHMS.replace("@DIR@", files.path().to_str().unwrap());
    let gateway = gateway!(&text, ISSUER = issuer.url(), SECRET = secret);
    let claims = |issuer: &str| json!({ "iss": issuer, "sub": "u1", "exp": now_unix_s() + 60 });
    for algorithm in algorithms {
        let token = issuer.key_for(algorithm).token(&issuer.claims(json!({ "sub": "u1" })));
        assert_eq!(bear(&gateway, "/any", &token).text(), "all:u1", "{algorithm}");
    }
    for algorithm in ["HS256", "HS384", "HS512"] {
        let token = SigningKey::secret(algorithm, "x", secret.as_bytes()).token(&claims("secret-keeper"));
        assert_eq!(bear(&gateway, "/any", &token).text(), "shared:u1", "{algorithm}");
        assert_eq!(bear(&gateway, "/shared", &token).text(), "shared:u1", "{algorithm}");
    }
    assert_eq!(bear(&gateway, "/any", &pem.token(&claims("pem-issuer"))).text(), "pem:u1");
    assert_eq!(bear(&gateway, "/any", &set.token(&claims("set-issuer"))).text(), "set:u1");
    // Remembered as another issuer's, it still does not pass where only one is accepted.
    assert_problem(&bear(&gateway, "/shared", &set.token(&claims("set-issuer"))), "token_algorithm");
    assert_problem(&bear(&gateway, "/any", &set.token(&claims("nobody"))), "token_issuer");
    // {"alg":"EdDSA"}, {"iss":"a","iss":"b"}: nobody can be asked about what says two things.
    assert_problem(
        &bear(&gateway, "/any", "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJhIiwiaXNzIjoiYiJ9.AA"),
        "token_malformed",
    );
    // Each issuer's key signs for that issuer only, though the id is the same.
    assert_problem(&bear(&gateway, "/any", &set.token(&claims("pem-issuer"))), "token_algorithm");
}
