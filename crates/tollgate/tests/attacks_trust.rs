//! Who says what: what clients say about themselves is not believed, and what protects is not lost on the way.

use serde_json::{Value, json};
use tollgate_testkit::{
    Client, Gateway, Issuer, Origin, Response, SigningKey, assert_problem, binary, gateway, now_unix_s, run,
};

const ROUTES: &str = r#"
issuers:
  main: { issuer: @ISSUER@, audience: [api], algorithms: [RS256] }
  shared: { issuer: "https://shared.example", audience: [api], algorithms: [HS256], secret: "a-secret-of-thirty-two-bytes-or-more" }
routes:
  - { path: /inside/*, allow_ips: [10.0.0.0/8, 192.168.0.0/16], to: @ORIGIN@ }
  - { path: /agents/*, user_agents: { deny: ["~(?i)badbot"], empty: deny }, to: @ORIGIN@ }
  - { path: /chosen/*, headers: { x-plan: gold }, to: @ORIGIN@ }
  - { path: /role/*, guard: [{ if: "request.headers['x-role'] == 'user'" }], to: @ORIGIN@ }
  - { path: /typed/*, validate: { body: { type: object, properties: { role: { enum: [user] } } } }, to: @ORIGIN@ }
  - { path: /optional/*, auth: { jwt: main, optional: true, forward: { x-user: sub } }, to: @ORIGIN@ }
  - { path: /told/*, auth: { jwt: main, forward: { x-user: sub } }, to: @ORIGIN@ }
  - { path: /shared/*, auth: { jwt: shared }, to: @ORIGIN@ }
  - { path: /shared-origin/*, cors: { origins: ["https://app.example.com", "https://*.good.example"], credentials: true }, to: @ORIGIN@ }
  - { path: /moved/*, redirect: { to: "/new{path}" } }
  - { name: rest, path: /*, to: @ORIGIN@ }
"#;

struct World {
    issuer: Issuer,
    origin: Origin,
    _other: Option<Origin>,
    gateway: Gateway,
}

fn world() -> World {
    let (issuer, origin) = (Issuer::start(), Origin::echo());
    let gateway = gateway!(ROUTES, ISSUER = issuer.url(), ORIGIN = origin.url());
    World { issuer, origin, _other: None, gateway }
}

impl World {
    fn get(&self, path: &str, lines: &str) -> Response {
        self.gateway.client().exchange(format!("GET {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n"))
    }

    #[track_caller]
    fn check(&self, path: &str, lines: &str, expect: &str) {
        let answer = self.get(path, lines);
        let found = if answer.status == 200 { "ok".to_owned() } else { answer.code() };
        assert_eq!(found, expect, "{path} with {lines:?}");
    }
}

/// Envoy did not take spaces off the end of a value, so that `admin ` was another host and another role.
#[test]
fn cve_2019_18802_white_space_behind_a_value() {
    let world = world();
    for line in ["X-Plan: gold", "X-Plan: gold ", "X-Plan:\tgold\t", "X-Plan:gold  \t"] {
        world.check("/chosen/x", &format!("{line}\r\n"), "ok");
        assert_eq!(world.origin.last().header("x-plan"), Some("gold"), "{line:?}");
    }
    world.check("/chosen/x", "X-Plan: gold\u{b}\r\n", "bad_header");
    world.check("/agents/x", "User-Agent: badbot \t\r\n", "user_agent_denied");
}

/// Envoy passed NUL on in values, and services took the value to end there.
#[test]
fn cve_2019_9900_nul_in_a_value() {
    let world = world();
    world.check("/role/x", "X-Role: user\0admin\r\n", "bad_header");
    world.check("/x", "X-A: a\0\r\n", "bad_header");
    world.origin.assert_untouched();
}

/// Envoy's rules saw the first of several lines, its authorization service the last, and services another one.
/// Here a rule holds for all of them or does not hold.
#[test]
fn cve_2020_25017_and_2021_32777_rules_on_headers_that_come_twice() {
    let world = world();
    for (path, lines, expect) in [
        ("/chosen/x", "X-Plan: gold\r\nX-Plan: gold\r\n", "ok"),
        ("/agents/x", "User-Agent: good\r\nUser-Agent: badbot\r\n", "user_agent_denied"),
        ("/agents/x", "User-Agent: badbot\r\nUser-Agent: good\r\n", "user_agent_denied"),
        ("/role/x", "X-Role: user\r\nX-Role: admin\r\n", "guard_failed"),
        ("/role/x", "X-Role: admin\r\nX-Role: user\r\n", "guard_failed"),
        ("/role/x", "X-Role: user\r\n", "ok"),
    ] {
        world.check(path, lines, expect);
    }
    let before = world.origin.count();
    for lines in ["X-Plan: gold\r\nX-Plan: free\r\n", "X-Plan: free\r\nX-Plan: gold\r\n"] {
        world.check("/chosen/x", lines, "ok");
    }
    // Those went by the last route, as any request that is not for gold does.
    assert_eq!(world.origin.count(), before + 2);
    assert_eq!(
        world.gateway.record(|record| record["path"] == "/chosen/x" && record["route"] == "rest")["status"],
        200
    );
}

/// A client named the proxy's headers in Connection, and Traefik took them away before the service saw them.
#[test]
fn cve_2021_32813_and_2024_45410_connection_cannot_take_the_gateways_headers_away() {
    let world = world();
    let token = world.issuer.token(json!({ "sub": "u1" }));
    let names = "X-Forwarded-For, X-Forwarded-Host, x-forwarded-proto, X-Real-Ip, X-Request-Id, X-User, Authorization, Via";
    for connection in
        [format!("Connection: {names}\r\n"), format!("connection: close\r\nCONNECTION: {names}\r\n")]
    {
        let lines = format!("Authorization: Bearer {token}\r\nX-User: evil\r\n{connection}");
        let seen = world.get("/told/x", &lines).json();
        for name in [
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-request-id",
            "authorization",
            "via",
        ] {
            assert!(seen["headers"][name].is_array(), "{name} is gone: {seen}");
        }
        assert_eq!(seen["headers"]["x-user"], json!(["u1"]));
    }
}

/// Rules see what the client sent: a header is not hidden from them by calling it one of the connection.
#[test]
fn connection_hides_nothing_from_the_rules() {
    let gateway = gateway!(
        "routes:\n  - { path: /route, headers: { x-internal: false }, respond: { body: outside } }\n  \
         - { path: /route, respond: { body: \"inside {header:x-internal}\" } }\n  \
         - { path: /guard, guard: [{ if: \"!('x-internal' in request.headers)\" }], respond: { body: ok } }\n  \
         - { path: /limit, rate_limit: { rate: 1/h, per: header:x-internal }, respond: { body: ok } }\n"
    );
    for connection in ["", "Connection: x-internal\r\n", "Connection: keep-alive, X-Internal\r\n"] {
        let ask = |path: &str, value: &str| {
            let lines = format!("Host: a\r\nX-Internal: {value}\r\n{connection}");
            gateway.client().exchange(format!("GET {path} HTTP/1.1\r\n{lines}\r\n"))
        };
        assert_eq!(ask("/route", "1").text(), "inside 1", "{connection}");
        assert_eq!(ask("/guard", "1").status, 403, "{connection}");
        let key = format!("of{}", connection.len());
        assert_eq!(
            [ask("/limit", &key), ask("/limit", &key)].map(|one| one.status),
            [200, 429],
            "{connection}"
        );
    }
}

/// APISIX believed X-Real-IP of anybody, which opened its own API; Envoy trusted private addresses by default.
#[test]
fn cve_2022_24112_and_2024_45806_nobody_says_where_a_request_comes_from() {
    let world = world();
    for name in [
        "X-Real-IP",
        "X_Real_IP",
        "X-Forwarded-For",
        "X_Forwarded_For",
        "Forwarded",
        "X-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Envoy-External-Address",
        "X-Cluster-Client-IP",
        "X-Original-Forwarded-For",
    ] {
        for value in ["10.0.0.1", "127.0.0.1, 10.0.0.1", "for=10.0.0.1"] {
            world.check("/inside/x", &format!("{name}: {value}\r\n"), "ip_denied");
        }
    }
    world.origin.assert_untouched();
}

/// APISIX checked the last of two members of one name, and the service read the first.
#[test]
fn cve_2022_25757_json_that_says_two_things() {
    let world = world();
    let post = |body: &str, kind: &str| {
        let head = format!(
            "POST /typed/x HTTP/1.1\r\nHost: test\r\n{kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        world.gateway.client().exchange(format!("{head}{body}"))
    };
    let json = "Content-Type: application/json";
    for body in [
        r#"{"role":"admin","role":"user"}"#,
        r#"{"role":"user","role":"admin"}"#,
        r#"{"role":"user","rol\u0065":"admin"}"#,
        "{\"role\":\"user\"}{\"role\":\"admin\"}",
        "{\"role\":\"user\"}\0",
        "{role:\"user\"}",
        "{\"role\":\"user\",}",
        "/**/{\"role\":\"user\"}",
        "\u{feff}{\"role\":\"user\"}",
    ] {
        assert_problem(&post(body, json), "schema_invalid");
    }
    // Another type than the one that is checked is no way around the check.
    for kind in [
        "Content-Type: text/plain",
        "X-A: b",
        "Content-Type: text/plain\r\nContent-Type: application/json",
        "Content-Type: application/json\r\nContent-Encoding: gzip",
        "Content-Type: application/x-www-form-urlencoded",
    ] {
        assert_problem(&post(r#"{"role":"admin"}"#, kind), "schema_invalid");
    }
    world.origin.assert_untouched();
    assert_eq!(post(r#"{"role":"user"}"#, json).status, 200);
}

/// APISIX told the secret of an issuer in the message about a wrong token.
#[test]
fn cve_2022_29266_refusals_tell_no_secret() {
    let world = world();
    let header = json!({ "alg": "RS256" });
    let other = SigningKey::generate("RS256", "mine");
    let claims = json!({ "iss": "https://shared.example", "aud": "api", "exp": now_unix_s() + 60 });
    for token in [other.token_under(&header, &claims), "a.b.c".to_owned(), "e30.e30.e30".to_owned()] {
        let answer = world.get("/shared/x", &format!("Authorization: Bearer {token}\r\n"));
        assert_eq!(answer.status, 401);
        assert!(!format!("{answer:?}").contains("thirty-two"), "{answer:#?}");
    }
    assert!(!world.gateway.stderr().text().contains("thirty-two"));
    assert!(!world.gateway.stdout().text().contains("thirty-two"));
}

/// Where a token was optional, Envoy let one of an issuer pass that it did not know.
#[test]
fn cve_2021_21378_optional_is_no_leave_for_tokens_of_others() {
    let world = world();
    let stranger = SigningKey::generate("RS256", "stranger");
    let claims =
        json!({ "iss": "https://stranger.example", "aud": "api", "sub": "u1", "exp": now_unix_s() + 600 });
    let token = stranger.token_under(&json!({ "alg": "RS256", "kid": "stranger" }), &claims);
    let answer = world.get("/optional/x", &format!("Authorization: Bearer {token}\r\n"));
    assert_eq!(answer.status, 401, "{answer:#?}");
    world.origin.assert_untouched();
    let answer = world.get("/optional/x", "X-User: evil\r\n").json();
    assert_eq!(answer["headers"]["x-user"], Value::Null, "anonymous, and nobody");
}

/// APISIX chose the algorithm by the token: an HMAC with the public key, which everybody has, was a signature.
#[test]
fn cve_2026_39999_the_algorithm_of_a_token_is_not_the_tokens_to_choose() {
    let world = world();
    let key = world.issuer.key_for("RS256");
    for algorithm in ["HS256", "HS384", "HS512"] {
        for secret in
            [key.public_pem().into_bytes(), key.public_pem().trim().as_bytes().to_vec(), key.public_der()]
        {
            let forged = SigningKey::secret(algorithm, &key.id, &secret)
                .token(&world.issuer.claims(json!({ "sub": "evil" })));
            let answer = world.get("/told/x", &format!("Authorization: Bearer {forged}\r\n"));
            assert_problem(&answer, "token_algorithm");
        }
    }
    world.origin.assert_untouched();
}

/// Envoy and its gateway wrote what clients sent into the log as it came.
#[test]
fn cve_2024_45808_and_2025_25294_nobody_writes_into_the_log() {
    let origin = Origin::ok();
    let gateway = gateway!(
        "access_log: { headers: [user-agent, x-a], log_query: true }\nroutes:\n  - name: scripted\n    path: /lua\n    to: @ORIGIN@\n    lua:\n      inline: |\n        function request(req)\n          log.info(req.query.a)\n          error(req.query.a)\n        end\n  - { path: /*, to: @ORIGIN@ }\n",
        ORIGIN = origin.url()
    );
    let evil = "x%0a2026-01-01T00:00:00Z%20%20INFO%20forged%1b[31m%0d%00%e2%80%a8%c2%9b31m";
    gateway.client().get(&format!("/lua?a={evil}"));
    let head = format!(
        "GET /y?a={evil} HTTP/1.1\r\nHost: test\r\nUser-Agent: \"}}\\\r\nX-A: \u{e9}\t\",\"status\":200\r\n\r\n"
    );
    assert_eq!(gateway.client().exchange(head).status, 200);
    gateway.record_of("/lua");
    gateway.record_of("/y");
    gateway.stderr().wait_line("script failed");
    let (log, records) = (gateway.stderr().text(), gateway.stdout().lines());
    for line in log.lines() {
        assert!(!line.starts_with("2026-01-01"), "a line of a client's: {line:?}");
        assert!(!line.contains(|c: char| c.is_control() && c != '\t'), "{line:?}");
    }
    assert_eq!(records.len(), 2, "{records:?}");
    assert!(records.iter().all(|line| !line.contains(|c: char| c.is_control())), "{records:?}");
}

/// Traefik made a redirect of the prefix that a client said it had.
#[test]
fn cve_2020_15129_and_2024_52003_redirects_do_not_go_where_a_client_says() {
    let world = world();
    for lines in [
        "X-Forwarded-Prefix: https://evil.example\r\n",
        "X-Forwarded-Prefix: //evil.example\r\nX_Forwarded_Prefix: //evil.example\r\n",
        "X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: javascript\r\n",
        "X-Original-URL: //evil.example\r\nX-Rewrite-URL: //evil.example\r\n",
    ] {
        assert_eq!(world.get("/moved/x", lines).header("location"), Some("/new/moved/x"), "{lines}");
        assert_eq!(world.get("/x", lines).json()["headers"]["x-forwarded-prefix"], Value::Null, "{lines}");
    }
}

/// Origins that look like an allowed one: a browser on one of them reads nothing.
#[test]
fn origins_are_compared_as_a_whole() {
    let world = world();
    let allowed = |origin: &str| {
        let answer = world.get("/shared-origin/x", &format!("Origin: {origin}\r\n"));
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    for origin in ["https://app.example.com", "https://a.good.example", "https://a.b.good.example"] {
        assert_eq!(allowed(origin).as_deref(), Some(origin));
    }
    for origin in [
        "null",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://evil-app.example.com",
        "https://app.example.com, https://evil.example",
        "https://app_example.com",
        "https://good.example",
        "https://evilgood.example",
        "https://evil.example/.good.example",
        "https://evil.example#.good.example",
        "https://evil.example?.good.example",
        "https://evil.example\\.good.example",
        "https://evil%2egood.example",
        "https://x@evil.example:a.good.example",
        "https://a.good.example.",
    ] {
        assert_eq!(allowed(origin), None, "{origin}");
    }
    let twice = "Origin: https://app.example.com\r\nOrigin: https://evil.example\r\n";
    assert_eq!(world.get("/shared-origin/x", twice).header("access-control-allow-origin"), None);
}

#[track_caller]
fn check_no_start(text: &str, told: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("tollgate.yaml"), text).expect("the file can be written");
    let ended = run(binary!(), dir.path(), &["run", "-c", "tollgate.yaml"], &[]);
    assert_eq!(ended.code, Some(1), "{text}: {}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains(told), "{text}: {}", ended.stderr);
}

/// A set of TLS options that Traefik could not read was replaced by its defaults, which ask for no certificate.
#[test]
fn cve_2022_46153_what_protects_and_cannot_be_read_stops_the_start() {
    let routes = "routes:\n  - { path: /, respond: { body: x } }\n";
    check_no_start(
        &format!(
            "listeners:\n  - address: 127.0.0.1:0\n    tls: {{ certificates: [{{ cert: a.pem, key: a.key }}], client_ca: gone.pem }}\n{routes}"
        ),
        "gone.pem",
    );
    check_no_start("routes:\n  - { path: /, auth: { jwt: nobody }, respond: { body: x } }\n", "nobody");
    check_no_start("routes:\n  - { path: /, alow_ips: [10.0.0.0/8], respond: { body: x } }\n", "alow_ips");
    check_no_start(
        "routes:\n  - { path: /, validate: { body: gone.json }, to: 'http://127.0.0.1:9' }\n",
        "gone.json",
    );
}

/// Kong's image had its admin side open to all, APISIX's a token that everybody knew, its dashboard paths without one.
#[test]
fn cve_2020_11710_and_2020_13945_and_2021_45232_the_admin_side_is_nobody_elses() {
    let routes = "routes:\n  - { path: /, respond: { body: x } }\n";
    for address in ["0.0.0.0:9900", "'[::]:9900'", "192.0.2.1:9900"] {
        check_no_start(&format!("admin: {{ address: {address} }}\n{routes}"), "token");
        check_no_start(&format!("admin: {{ address: {address}, token: '' }}\n{routes}"), "token");
    }
    let gateway = gateway!(&format!("admin: {{ address: \"@ADMIN@\", token: sesame-and-more }}\n{routes}"));
    let host = gateway.admin_address();
    for (method, path) in [
        ("GET", "/health"),
        ("GET", "/metrics"),
        ("GET", "/api/v1/config"),
        ("GET", "/api/v1/requests"),
        ("POST", "/api/v1/check"),
        ("POST", "/api/v1/reload"),
        ("POST", "/api/v1/drain"),
        ("GET", "//api/v1/config"),
        ("GET", "/livez/../api/v1/config"),
        ("GET", "/livez/%2e%2e/api/v1/config"),
        ("HEAD", "/api/v1/config"),
        ("GET", "/no-such-path"),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        let answer = Client::connect(&host).exchange(&request);
        assert_eq!(answer.status, 401, "{method} {path}: {answer:#?}");
    }
}

/// A page of another site, in a browser that can reach the admin side: by a request of its own, or by a name that it
/// has resolved to the address.
#[test]
fn pages_of_other_sites_reach_nothing_of_the_admin_side() {
    let gateway = gateway!("routes:\n  - { path: /, respond: { body: x } }\n");
    let address = gateway.admin_address();
    let ask = |method: &str, path: &str, lines: &str| {
        let request = format!("{method} {path} HTTP/1.1\r\n{lines}Content-Length: 0\r\n\r\n");
        Client::connect(&address).exchange(request).status
    };
    for lines in [
        "Host: evil.example\r\n".to_owned(),
        "Host: evil.example:9900\r\nOrigin: http://evil.example:9900\r\n".to_owned(),
        "Host: 127.0.0.1.nip.example\r\n".to_owned(),
        "Host: localhost.evil.example\r\n".to_owned(),
        "Host: \r\n".to_owned(),
    ] {
        for (method, path) in
            [("GET", "/health"), ("GET", "/metrics"), ("GET", "/api/v1/config"), ("POST", "/api/v1/drain")]
        {
            assert_eq!(ask(method, path, &lines), 403, "{method} {path} with {lines:?}");
        }
    }
    for line in [
        "Origin: https://evil.example",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        for path in ["/api/v1/drain", "/api/v1/reload", "/api/v1/cache/purge", "/api/v1/check"] {
            assert_eq!(
                ask("POST", path, &format!("Host: {address}\r\n{line}\r\n")),
                403,
                "{path} with {line}"
            );
        }
    }
    assert_eq!(gateway.readyz()["draining"], false);
    assert_eq!(gateway.generation(), 1);
}

const READERS: &str = r#"
trusted_proxies: [@TRUSTED@]
issuers:
  main: { issuer: @ISSUER@, audience: [api], algorithms: [RS256] }
upstreams:
  by-user: { targets: [@ORIGIN@, @OTHER@], balance: { hash: "header:x-user" } }
routes:
  - { name: chosen, path: /chosen, headers: { x-forwarded-proto: https }, respond: { body: chosen } }
  - { path: /chosen, respond: { body: other } }
  - { path: /guarded, guard: [{ if: "!('x-real-ip' in request.headers)" }], respond: { body: ok } }
  - { path: /shown, respond: { body: "[{header:x-forwarded-for}{header:x-real-ip}{header:forwarded}{header:x_forwarded_host}]" } }
  - { path: /limited, rate_limit: [{ rate: 1/h, burst: 1, per: "header:x-real-ip" }], respond: { body: ok } }
  - path: /user
    auth: { jwt: main, optional: true, forward: { x-user: sub } }
    respond: { body: "[{header:x-user}]" }
  - path: /user/guarded
    auth: { jwt: main, optional: true, forward: { x-user: sub } }
    guard: [{ if: "'x-user' in request.headers && request.headers['x-user'] == 'admin'" }]
    respond: { body: ok }
  - path: /user/limited
    auth: { jwt: main, optional: true, forward: { x-user: sub } }
    rate_limit: [{ rate: 1/h, burst: 1, per: "header:x-user" }]
    respond: { body: ok }
  - { path: /user/hashed, auth: { jwt: main, optional: true, forward: { x-user: sub } }, to: by-user }
"#;

fn readers(trusted: &str) -> World {
    let (issuer, origin) = (Issuer::start(), Origin::echo());
    let other = Origin::echo();
    let gateway = gateway!(
        READERS,
        TRUSTED = trusted,
        ISSUER = issuer.url(),
        ORIGIN = origin.url(),
        OTHER = other.url()
    );
    World { issuer, origin, _other: Some(other), gateway }
}

/// What only a trusted proxy may say is gone before the gateway itself reads it, too.
#[test]
fn nothing_in_the_gateway_reads_forwarding_headers_of_strangers() {
    let world = readers("127.0.0.9");
    let text = |path: &str, lines: &str| world.get(path, lines).text();
    assert_eq!(text("/chosen", "X-Forwarded-Proto: https\r\n"), "other");
    world.check("/guarded", "X-Real-IP: 10.0.0.1\r\n", "ok");
    let all =
        "X-Forwarded-For: 1.1.1.1\r\nX-Real-IP: 2.2.2.2\r\nForwarded: for=3.3.3.3\r\nX_Forwarded_Host: a\r\n";
    assert_eq!(text("/shown", all), "[]");
    world.check("/limited", "X-Real-IP: 10.0.0.1\r\n", "ok");
    world.check("/limited", "X-Real-IP: 10.0.0.2\r\n", "rate_limited");

    let world = readers("127.0.0.1");
    assert_eq!(world.get("/chosen", "X-Forwarded-Proto: https\r\n").text(), "chosen");
    assert!(world.get("/shown", all).text().starts_with("[1.1.1.12.2.2.2"), "of a trusted proxy it is there");
}

/// A header that a claim goes into says the same to the gateway as to the service.
#[test]
fn nothing_in_the_gateway_reads_a_claims_header_of_the_client() {
    let world = readers("127.0.0.9");
    let token = |sub: &str| {
        format!("Authorization: Bearer {}\r\n", world.issuer.token(json!({ "sub": sub, "aud": "api" })))
    };
    tollgate_testkit::wait_for("the issuer's keys", || world.get("/user", &token("a")).status == 200);
    let forged = "X-User: admin\r\nX_User: admin\r\n";
    assert_eq!(world.get("/user", forged).text(), "[]");
    assert_eq!(world.get("/user", &format!("{forged}{}", token("u1"))).text(), "[u1]");
    world.check("/user/guarded", forged, "guard_failed");
    world.check("/user/guarded", &format!("{forged}{}", token("u1")), "guard_failed");
    world.check("/user/guarded", &token("admin"), "ok");
    world.check("/user/limited", "X-User: a\r\n", "ok");
    world.check("/user/limited", "X-User: b\r\n", "rate_limited");
    let target = |lines: &str| world.get("/user/hashed", lines).json()["headers"]["host"].clone();
    let first = target(&token("u1"));
    for other in 0..8 {
        assert_eq!(target(&format!("X-User: {other}\r\n{}", token("u1"))), first, "by the claim");
    }
    let others: std::collections::BTreeSet<String> =
        (0..20).map(|n| target(&token(&format!("u{n}"))).to_string()).collect();
    assert_eq!(others.len(), 2, "other callers, other targets: {others:?}");
}
