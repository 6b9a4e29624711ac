//! Each key of a test: with what holds the test passes, with what does not it fails at that key.

use serde_json::Value;

use super::{json, tollgate, with};

const CONFIG: &str = r#"
trusted_proxies: [10.0.0.0/8]
issuers:
  main: { issuer: "https://id.example.com/", audience: [orders-api], algorithms: [RS256, ES256], jwks_url: "https://id.example.com/jwks" }
  signed: { issuer: "https://hs.example.com/", audience: any, algorithms: [HS256], secret: "a secret of more than 32 bytes, see" }
  opaque:
    introspection: { url: "https://id.example.com/introspect", client_id: gateway, client_secret: s3cret }
consumers:
  - { name: mobile, keys: ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"], groups: [gold] }
redis: { url: "redis://127.0.0.1:1" }
upstreams:
  orders:
    targets: ["https://10.0.0.5:3000/base", "http://10.0.0.6:3000/base"]
    health_check: { path: /health }
  people: { targets: ["http://people.invalid:3000"] }
  owned:
    targets: ["http://10.0.0.7:3000"]
    auth: { oauth2: { token_url: "https://id.example.com/token", client_id: a, client_secret: b } }
  broken:
    targets: ["http://10.0.0.8:3000"]
    circuit_breaker: { min_requests: 5, failure_rate: 50% }
  canary: { targets: ["http://10.0.0.9:3000"] }
routes:
  - { name: order, path: "/orders/{id}", to: orders, request: { rewrite: "/v2/orders/{id}", set_headers: { x-source: gateway } }, mirror: { to: canary } }
  - { name: host, path: /host, host: api.example.com, respond: { json: { client: "{client_ip}" } } }
  - { name: token, path: /token, to: orders, auth: { jwt: main, forward: { x-user: sub }, strip: true, require: { roles: [admin] } } }
  - { name: cookie, path: /cookie, to: orders, auth: { jwt: main, token_from: [cookie:session] } }
  - { name: secret, path: /secret, to: orders, auth: { jwt: signed } }
  - { name: opaque, path: /opaque, to: orders, auth: { jwt: opaque, forward: { x-user: sub } } }
  - { name: key, path: /key, to: orders, auth: { api_key: { header: x-api-key }, require: { groups: [gold] }, strip: true } }
  - { name: key in the query, path: /query, to: orders, auth: { api_key: { query: key }, strip: true } }
  - { name: limited, path: /limited, to: people, rate_limit: { rate: 100/s, burst: 200, per: ip } }
  - { name: shared, path: /shared, to: people, rate_limit: { rate: 2/h, per: all, store: redis } }
  - { name: cached, path: /cached, to: people, cache: { ttl: 1h } }
  - { name: broken, path: /broken, to: broken }
  - { name: owned, path: /owned, to: owned }
  - { name: url, path: /url, to: "http://127.0.0.1:1/x" }
  - { name: slow, path: /slow, to: people, timeout: 5s }
  - { name: members, path: /members, methods: [POST], to: people, validate: { body: member.json } }
  - name: all
    path: /all/{id}
    aggregate:
      parts:
        - { name: order, to: orders, path: "/orders/{id}", wrap: order }
        - { name: owner, to: people, path: "/people/{order.owner}", wrap: owner }
tests:
"#;

/// Runs one test; what it says under these keys is `(what, expected, found)`.
#[track_caller]
fn outcome(test: &str) -> Vec<(String, String, String)> {
    let dir = with(&format!("{CONFIG}  - {{ name: one, {test} }}\n"));
    std::fs::write(dir.path().join("member.json"), r#"{ "required": ["name"] }"#).expect("a file");
    let ended = tollgate_testkit::run(tollgate_testkit::binary!(), dir.path(), &["test", "--json"], &[]);
    let json = json(&ended);
    assert!(
        json.get("error").is_none() && json["tests"].as_array().is_some_and(|all| all.len() == 1),
        "{ended:#?}"
    );
    let faults = json["tests"][0]["faults"].as_array().cloned().unwrap_or_default();
    assert_eq!(ended.code, Some(i32::from(!faults.is_empty())), "{ended:#?}");
    let text = |fault: &Value, key: &str| fault[key].as_str().unwrap_or_default().to_owned();
    faults.iter().map(|fault| (text(fault, "what"), text(fault, "expected"), text(fault, "found"))).collect()
}

/// Every one of these holds.
#[test]
fn what_holds() {
    let tests = [
        // The request.
        "request: { path: /orders/7 }, expect: { status: 200, route: order, upstream: orders, json: {} }",
        r#"request: { path: "//orders/./7?a=%20b" }, expect: { upstream_path: "/base/v2/orders/7?a=%20b" }"#,
        "request: { path: /host, host: api.example.com, ip: 192.0.2.7 }, expect: { json: { client: 192.0.2.7 } }",
        r#"request: { path: /host, host: api.example.com, ip: "2001:db8::7" }, expect: { json: { client: "2001:db8::7" } }"#,
        "request: { path: /host, host: api.example.com, ip: 10.1.1.1, headers: { x-forwarded-for: 192.0.2.8 } }, expect: { json: { client: 192.0.2.8 } }",
        "request: { path: /host, host: api.example.com, headers: { x-forwarded-for: 192.0.2.8 } }, expect: { json: { client: 127.0.0.1 } }",
        "request: { path: /host }, expect: { status: 404, reason: route_not_found }",
        "request: { path: /members, json: { name: Ada } }, expect: { status: 200, upstream_json: { name: Ada } }",
        "request: { path: /members, json: {} }, expect: { status: 400, reason: schema_invalid }",
        "request: { path: /members, body: plain, headers: { content-type: text/plain } }, expect: { status: [400, 415] }",
        "request: { path: /members, method: GET }, expect: { status: 405, headers: { allow: POST } }",
        "request: { path: /orders/7, method: HEAD }, upstreams: { orders: { body: x } }, expect: { status: 200, body: false }",
        "request: { path: /orders/7, headers: { x-a: [one, two] } }, expect: { upstream_headers: { x-a: two, x-b: false, x-source: gateway } }",
        // Tokens and keys.
        "request: { path: /token }, expect: { status: 401, reason: token_missing }",
        "request: { path: /token, token: { issuer: main, claims: { sub: u1, roles: [admin] } } }, expect: { status: 200, upstream_headers: { x-user: u1, authorization: false } }",
        "request: { path: /token, token: { issuer: main, claims: { sub: u1 } } }, expect: { status: 403, reason: role_missing }",
        "request: { path: /token, token: { issuer: main, claims: { exp: 1 } } }, expect: { reason: token_expired }",
        "request: { path: /token, token: { issuer: main, claims: { exp: null } } }, expect: { status: 401 }",
        "request: { path: /token, token: { issuer: main, claims: { aud: other } } }, expect: { reason: token_audience }",
        "request: { path: /token, token: { issuer: signed } }, expect: { status: 401 }",
        "request: { path: /token, headers: { authorization: Bearer x.y.z } }, expect: { reason: token_malformed }",
        "request: { path: /cookie, headers: { cookie: a=b }, token: { issuer: main } }, expect: { status: 200, route: cookie }",
        "request: { path: /cookie, token: { issuer: main } }, expect: { status: 401, reason: token_missing }",
        "request: { path: /secret, token: { issuer: signed } }, expect: { status: 200 }",
        "request: { path: /opaque, token: { issuer: opaque, claims: { sub: u1 } } }, expect: { status: 200, upstream_headers: { x-user: u1 } }",
        "request: { path: /opaque, token: { issuer: opaque, claims: { active: false } } }, expect: { reason: token_inactive }",
        "request: { path: /key, key: mobile }, expect: { status: 200, upstream_headers: { x-api-key: false } }",
        "request: { path: /query, key: mobile }, expect: { status: 200, route: key in the query, upstream_path: /base/query }",
        // Services.
        "request: { path: /url }, upstreams: { http://127.0.0.1:1/x: { status: 201 } }, expect: { status: 201, upstream: http://127.0.0.1:1/x, upstream_path: /x/url }",
        "request: { path: /orders/7 }, upstreams: { orders: { status: 503, body: sorry, headers: { retry-after: '7' } } }, expect: { status: 503, body: sorry, headers: { retry-after: '7' } }",
        "request: { path: /orders/7 }, upstreams: { orders: { headers: { set-cookie: [a=1, b=2] } } }, expect: { headers: { set-cookie: b=2 } }",
        "request: { path: /orders/7 }, upstreams: { orders: { error: connect } }, expect: { status: 502, reason: upstream_connect }",
        "request: { path: /orders/7 }, upstreams: { orders: { error: timeout } }, expect: { status: 504, reason: upstream_timeout }",
        "request: { path: /slow }, upstreams: { people: { delay: 2s } }, expect: { status: 200 }",
        "request: { path: /slow }, upstreams: { people: { delay: 20s } }, expect: { status: 504, reason: upstream_timeout }",
        "request: { path: /owned }, expect: { status: 200, upstream_headers: { authorization: Bearer token-of-a-test } }",
        "request: { path: /all/7 }, upstreams: { orders: { json: { owner: u1 } }, people: { json: { name: Ada } } }, expect: { upstream: people, upstream_path: /people/u1, json: { order: { owner: u1 }, owner: { name: Ada } } }",
        "request: { path: /all/7 }, upstreams: { orders: { json: { owner: u1 } }, people: { error: connect } }, expect: { headers: { x-tollgate-failed: '~^owner;upstream_connect' } }",
        // What requests before leave.
        "repeat: 200, request: { path: /limited, ip: 192.0.2.1 }, expect: { status: 200 }",
        "repeat: 201, request: { path: /limited, ip: 192.0.2.1 }, expect: { status: 429, reason: rate_limited, body: '~limit 100/s per ip' }",
        "repeat: 3, request: { path: /shared }, expect: { status: 429, reason: rate_limited, upstream_headers: {} }",
        "repeat: 2, request: { path: /cached }, upstreams: { people: { body: x } }, expect: { body: x, headers: { age: true } }",
        "repeat: 6, request: { path: /broken }, upstreams: { broken: { status: 500 } }, expect: { status: 503, reason: circuit_open }",
    ];
    let tests_of = |(at, test)| format!("  - {{ name: test {at}, {test} }}\n");
    let all: String = tests.iter().enumerate().map(tests_of).collect();
    let dir = with(&format!("{CONFIG}{all}"));
    std::fs::write(dir.path().join("member.json"), r#"{ "required": ["name"] }"#).expect("a file");
    let ended = tollgate(dir.path(), &["test"], 0);
    assert!(ended.stdout.starts_with(&format!("ok: {} tests passed in ", tests.len())), "{ended:#?}");
}

/// None of these does: what is said.
#[test]
fn what_does_not_hold() {
    for (test, expect) in [
        (
            "request: { path: /orders/7 }, expect: { status: [404, 500-599] }",
            &[("status", "404, 500-599", "200")][..],
        ),
        (
            "request: { path: /orders/7 }, expect: { reason: rate_limited }",
            &[("reason", "rate_limited", "none: the gateway did not refuse")],
        ),
        (
            "request: { path: /none }, expect: { reason: rate_limited, route: order }",
            &[("reason", "rate_limited", "route_not_found"), ("route", "order", "none")],
        ),
        ("request: { path: /orders/7 }, expect: { upstream: people }", &[("upstream", "people", "orders")]),
        (
            "request: { path: /none }, expect: { upstream: people }",
            &[("upstream", "people", "none was asked")],
        ),
        (
            "request: { path: /orders/7 }, expect: { upstream: orders, upstream_path: /orders/7 }",
            &[("upstream_path", "/orders/7", "/base/v2/orders/7")],
        ),
        (
            "request: { path: /none }, expect: { upstream_path: /none }",
            &[("upstream_path", "/none", "no service was sent a request")],
        ),
        (
            "request: { path: /orders/7 }, expect: { upstream_headers: { x-source: false, x-none: true } }",
            &[
                ("upstream_headers x-source", "absent", "gateway"),
                ("upstream_headers x-none", "present", "absent"),
            ],
        ),
        (
            "request: { path: /orders/7, json: { a: [1, 2] } }, expect: { upstream_json: { a: [1, 3] } }",
            &[("upstream_json /a/1", "3", "2")],
        ),
        (
            "request: { path: /orders/7 }, upstreams: { orders: { json: { id: 7 } } }, expect: { json: { id: 8 } }",
            &[("json /id", "8", "7")],
        ),
        (
            "request: { path: /orders/7 }, upstreams: { orders: { body: plain } }, expect: { json: {}, body: other }",
            &[("json", "{}", "no JSON: plain"), ("body", "other", "plain")],
        ),
        (
            "request: { path: /orders/7 }, upstreams: { orders: { status: 204 } }, expect: { body: true }",
            &[("body", "present", "no body")],
        ),
        (
            "request: { path: /orders/7 }, upstreams: { orders: { headers: { x-a: '1' } } }, expect: { headers: { x-a: '~^2' } }",
            &[("headers x-a", "~^2", "1")],
        ),
        (
            "request: { path: /owned }, expect: { upstream_headers: { authorization: Bearer x } }",
            &[("upstream_headers authorization", "Bearer x", "***")],
        ),
        ("repeat: 200, request: { path: /limited }, expect: { status: 429 }", &[("status", "429", "200")]),
    ] {
        let found = outcome(test);
        let found: Vec<(&str, &str, &str)> =
            found.iter().map(|(what, expected, found)| (&**what, &**expected, &**found)).collect();
        assert_eq!(found, expect, "{test}");
    }
}

/// Neighbours, where floating point has one number for both.
#[test]
fn whole_numbers_are_compared_by_all_their_digits() {
    for (test, what, expected, found) in [
        (
            "request: { path: /orders/7 }, upstreams: { orders: { json: { id: 9007199254740993 } } }, expect: { json: { id: 9007199254740992 } }",
            "json /id",
            "9007199254740992",
            "9007199254740993",
        ),
        (
            "request: { path: /orders/7, json: [123456789012345678901] }, expect: { upstream_json: [123456789012345678902] }",
            "upstream_json /0",
            "123456789012345678902",
            "123456789012345678901",
        ),
    ] {
        assert_eq!(outcome(test), [(what.to_owned(), expected.to_owned(), found.to_owned())], "{test}");
    }
}
