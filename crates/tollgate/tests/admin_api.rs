//! The admin API as an operator meets it: what runs, what was asked lately, what another configuration would change.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::{Client, Gateway, Port, Response, gateway, wait_for};

const CONFIG: &str = "
workers: 2
shutdown: { grace: 1s }
consumers:
  - { name: app, basic: { user: app, password: \"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\" } }
routes:
  - { name: hi, path: /hi/*, respond: { body: hi } }
  - { name: limited, path: /limited, rate_limit: { rate: 1/h, per: ip }, respond: { body: once } }
  - { name: few, path: /few, concurrency: { max: 3, queue: 2 }, respond: { body: few } }
  - { name: key, path: /key, auth: { basic: true }, to: \"http://me:very-s3cret@127.0.0.1:1\", request: { set_headers: { x-key: very-s3cret } } }
";

fn config() -> String {
    // Userinfo in a target is refused, so the secret stands in the header alone.
    CONFIG.replace("me:very-s3cret@", "")
}

fn start() -> Gateway {
    gateway!(&config())
}

/// One request at the admin address.
fn ask(gateway: &Gateway, method: &str, path: &str, lines: &str, body: &str) -> Response {
    let mut client = Client::connect(&gateway.admin_address());
    client.exchange(format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{lines}Content-Length: {}\r\n\r\n{body}",
        gateway.admin_address(),
        body.len(),
    ))
}

/// The admin side's problems have no request id: they are no requests of the gateway.
#[track_caller]
fn refused(answer: &Response, status: u16, code: &str) {
    assert_eq!((answer.status, &*answer.code()), (status, code), "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
}

fn check(gateway: &Gateway, text: &str) -> Value {
    let answer = ask(gateway, "POST", "/api/v1/check", "", text);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn paths(list: &Value) -> Vec<&str> {
    let records = list["requests"].as_array().expect("a list of requests");
    records.iter().map(|record| record["path"].as_str().unwrap_or_default()).collect()
}

#[test]
fn the_last_requests_are_kept_the_latest_first_whatever_the_log() {
    for log in ["", "access_log: { sink: off }\n"] {
        let gateway = gateway!(&format!("{log}{}", config()));
        for number in 0..10 {
            // On connections of their own, so that both workers have some.
            assert_eq!(gateway.get(&format!("/hi/{number}")).status, 200);
        }
        assert_eq!(gateway.get("/nothing?token=very-s3cret").status, 404);
        wait_for("the records", || paths(&gateway.admin("/api/v1/requests").json()).len() == 11);
        let list = gateway.admin("/api/v1/requests").json();
        let times: Vec<&str> =
            list["requests"].as_array().unwrap().iter().map(|one| one["time"].as_str().unwrap()).collect();
        assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
        assert!(!list.to_string().contains("very-s3cret"));
        for (query, expect) in [
            ("status=404", vec!["/nothing"]),
            ("route=hi&path=/hi/3", vec!["/hi/3"]),
            ("path=/hi/9&limit=1", vec!["/hi/9"]),
            ("reason=route_not_found", vec!["/nothing"]),
            ("method=POST", vec![]),
        ] {
            let list = gateway.admin(&format!("/api/v1/requests?{query}")).json();
            assert_eq!(paths(&list), expect, "{query}");
        }
        refused(&ask(&gateway, "GET", "/api/v1/requests?stauts=404", "", ""), 400, "bad_query");
    }
}

#[test]
fn requests_are_followed_as_they_come_and_by_a_few_only() {
    let gateway = start();
    let mut follower = Client::connect(&gateway.admin_address());
    let host = gateway.admin_address();
    follower.send(format!("GET /api/v1/requests?follow&status=404 HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let text = follower.until("retry: 1000\n\n").to_ascii_lowercase();
    assert!(text.starts_with("http/1.1 200") && text.contains("content-type: text/event-stream"), "{text}");
    assert!(text.contains("cache-control: no-store") && !text.contains("access-control"), "{text}");
    assert_eq!(gateway.get("/hi/1").status, 200);
    assert_eq!(gateway.get("/no/such").status, 404);
    let event = follower.until("}\n\n");
    assert!(event.contains("data: {\"time\"") && event.contains("\"/no/such\""), "{event}");
    assert!(!event.contains("/hi/1"), "{event}");

    let follow = || {
        let mut client = Client::connect(&gateway.admin_address());
        client.send(format!("GET /api/v1/requests?follow HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        (client.until("\r\n\r\n").starts_with("HTTP/1.1 200"), client)
    };
    let more: Vec<_> = (0..8).map(|_| follow()).collect();
    assert_eq!(more.iter().filter(|(let_in, _)| *let_in).count(), 7, "eight in all");
    drop((more, follower));
    wait_for("room for another follower", || {
        // Who left is noticed when something is to be told.
        gateway.get("/hi/2");
        follow().0
    });
}

#[test]
fn the_configuration_is_shown_without_its_secrets() {
    let gateway = start();
    let shown = gateway.admin("/api/v1/config").json();
    assert_eq!(shown["generation"], 1);
    assert_eq!(shown["files"][0]["config"]["workers"], 2);
    assert_eq!(shown["files"][0]["config"]["routes"][0]["name"], "hi");
    assert_eq!(shown["effective"]["limits"]["connections"], 20_000);
    let listener = &shown["effective"]["listeners"][0];
    let told =
        ["mode", "http2", "proxy_protocol", "tls", "min_version", "client_ca"].map(|key| listener.get(key));
    let (none, no) = (Some(&Value::Null), json!(false));
    assert_eq!(told, [none, Some(&json!(true)), Some(&json!("off")), Some(&no), none, none], "{listener}");
    let text = shown.to_string();
    assert!(!text.contains("very-s3cret") && !text.contains("argon2id"), "{text}");
    gateway.replace_file(&gateway.complete(&config().replace("name: hi", "name: hello"), &[]));
    gateway.wait_generation(2);
    wait_for("the new configuration", || gateway.admin("/api/v1/config").json()["generation"] == 2);
    assert_eq!(gateway.admin("/api/v1/config").json()["files"][0]["config"]["routes"][0]["name"], "hello");
}

#[test]
fn limits_are_shown_with_what_they_counted() {
    let gateway = start();
    assert_eq!((gateway.get("/limited").status, gateway.get("/limited").status), (200, 429));
    let shown = gateway.admin("/api/v1/limits").json();
    assert_eq!(shown["rate_limits"][0]["limit"], "1/h per ip");
    assert_eq!(shown["rate_limits"][0]["routes"], json!(["limited"]));
    assert_eq!(shown["rate_limits"][0]["refused"], 1);
    assert_eq!(shown["buckets"]["now"], 1);
    let few = json!({ "route": "few", "max": 3, "in_flight": 0, "queue": 2, "waiting": 0 });
    assert_eq!(shown["concurrency"], json!([few]));
    assert_eq!(shown["connections"]["max"], 20_000);
    assert_eq!(shown["memory"]["max"], Value::Null);
}

#[test]
fn a_configuration_is_checked_and_compared_and_nothing_is_read_for_it() {
    let gateway = start();
    let same = check(&gateway, &gateway.complete(&config(), &[]));
    assert_eq!(same["ok"], true, "{same:#}");
    assert_eq!(same["diff"]["routes"]["changed"], json!([]));

    let other = gateway.complete(&config().replace("auth: { basic: true }, ", ""), &[]);
    let other = check(&gateway, &other);
    assert_eq!(other["diff"]["routes"]["less_protected"], json!(["key"]), "{other:#}");
    assert_eq!(other["posture"][0]["route"], "hi");

    // The key's route is gone, and its requests end at a public one. A name that is another is no shelter.
    let hole = config().replace("auth: { basic: true }, ", "").replace("name: key", "name: hole");
    let hole = gateway.complete(&hole, &[]);
    let told = check(&gateway, &hole);
    assert_eq!(told["diff"]["complete"], true, "{told:#}");
    assert_eq!(told["diff"]["routes"]["less_protected"], json!(["hole"]), "{told:#}");
    assert_eq!(told["diff"]["weaker"][0]["code"], "auth_removed", "{told:#}");
    let withheld = check(&gateway, &format!("{hole}trusted_proxies: [\"${{PROXY}}\"]\n"));
    assert_eq!(withheld["diff"]["complete"], false, "{withheld:#}");
    assert_eq!(withheld["diff"]["routes"]["less_protected"], json!(["hole"]), "{withheld:#}");

    let wrong = check(&gateway, "routes:\n  - path: /\n    respnd: {}\n");
    assert_eq!((&wrong["ok"], &wrong["diff"]), (&json!(false), &Value::Null));
    let diagnostic = &wrong["diagnostics"][0];
    assert!(diagnostic["line"].is_number() && diagnostic["code"].is_string(), "{wrong:#}");

    std::fs::write(gateway.dir().join("secret.lua"), "very-s3cret (((").unwrap();
    let probe = format!(
        "include: {0}/secret.lua\nadmin: {{ token: \"${{file:{0}/secret.lua}}\" }}\nroutes:\n  - {{ name: \"${{HOME}}\", path: /, to: http://127.0.0.1:1, lua: {0}/secret.lua }}\n",
        gateway.dir().display()
    );
    let probed = check(&gateway, &probe);
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned());
    let text = probed.to_string();
    assert!(!text.contains("very-s3cret") && !text.contains(&format!("\"{home}\"")), "{probed:#}");

    let large = "#".repeat(5 << 20);
    refused(&ask(&gateway, "POST", "/api/v1/check", "", &large), 413, "body_too_large");
    assert_eq!(gateway.generation(), 1, "nothing was applied");
}

#[test]
fn pages_of_other_sites_get_nothing() {
    let gateway = start();
    for (path, line) in [
        ("/api/v1/requests", "Origin: https://evil.example\r\n"),
        ("/api/v1/requests?follow", "Sec-Fetch-Site: cross-site\r\n"),
        ("/api/v1/config", "Sec-Fetch-Site: same-site\r\n"),
    ] {
        refused(&ask(&gateway, "GET", path, line, ""), 403, "cross_site");
    }
    let post = ask(&gateway, "POST", "/api/v1/check", "Origin: https://evil.example\r\n", "routes: []");
    refused(&post, 403, "cross_site");
    // A page whose own name leads here.
    let mut client = Client::connect(&gateway.admin_address());
    let rebound = client
        .exchange("GET /api/v1/config HTTP/1.1\r\nHost: rebound.example:9900\r\nConnection: close\r\n\r\n");
    refused(&rebound, 403, "bad_host");
    let preflight = ask(&gateway, "OPTIONS", "/api/v1/config", "Origin: https://evil.example\r\n", "");
    assert!(preflight.head.all("access-control-allow-origin").is_empty());
}

#[test]
fn a_follower_that_does_not_read_holds_nobody_up() {
    let gateway = start();
    let mut follower = Client::connect_narrow(&gateway.admin_address(), 4096);
    let host = gateway.admin_address();
    follower.send(format!("GET /api/v1/requests?follow HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    follower.until("retry: 1000\n\n");
    let before = gateway.own_kib();
    let mut client = gateway.client();
    client.set_patience(Duration::from_secs(10));
    for _ in 0..20_000 {
        assert_eq!(client.get("/hi/x").status, 200);
    }
    let grown = gateway.own_kib().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB");
    assert_eq!(gateway.admin("/livez").status, 200);
}

#[test]
fn a_command_asks_how_it_is() {
    let gateway = start();
    let file = gateway.file().display().to_string();
    let ask = |arguments: &[&str]| {
        tollgate_testkit::run(tollgate_testkit::binary!(), gateway.dir(), arguments, &[])
    };
    let well = ask(&["status", "-c", &file]);
    assert_eq!(well.code, Some(0), "{well:?}");
    assert!(
        well.stdout.starts_with("tollgate ") && well.stdout.contains(": ready, ok; configuration 1"),
        "{well:?}"
    );
    let json = ask(&["status", "--address", &gateway.admin_address(), "--json"]);
    let json: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!((&json["ok"], &json["ready"]["generation"]), (&json!(true), &json!(1)));
    let nobody = Port::reserve();
    let gone = ask(&["status", "--address", &nobody.address()]);
    assert_eq!(gone.code, Some(1));
    assert!(gone.stderr.contains("no answer from"), "{gone:?}");
}

/// A container whose health check is `status --ready` is not ended because a service behind it is.
#[test]
fn ready_is_asked_apart_from_targets() {
    let nobody = Port::reserve();
    let gateway = gateway!(&format!(
        "shutdown: {{ delay: 60s }}\nupstreams:\n  u: {{ targets: [\"http://{}\"], health_check: {{ every: 20ms, \
         unhealthy_after: 1 }} }}\nroutes:\n  - {{ path: /*, to: u }}\n",
        nobody.address()
    ));
    let file = gateway.file().display().to_string();
    let status = |options: &[&str]| {
        let arguments = [&["status", "-c", &file], options].concat();
        tollgate_testkit::run(tollgate_testkit::binary!(), gateway.dir(), &arguments, &[])
    };
    wait_for("a target that is out", || status(&[]).code == Some(1));
    let ready = status(&["--ready"]);
    assert_eq!((ready.code, &*ready.stdout), (Some(0), "tollgate: ready\n"), "{ready:?}");
    let json = status(&["--ready", "--json"]);
    let told: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!((json.code, &told["ok"], told.get("health")), (Some(0), &json!(true), None));

    // A file that the gateway refuses, so that it goes on with what it had: where to ask still stands in it.
    let good = std::fs::read_to_string(gateway.file()).expect("the configuration");
    gateway.replace_file(&format!(
        "{good}  - {{ path: /more, to: nowhere, respnod: \"${{TOLLGATE_NOT_SET}}\" }}\n"
    ));
    wait_for("the file to be refused", || gateway.readyz()["last_reload"]["ok"] == false);
    let ready = status(&["--ready"]);
    assert_eq!((ready.code, &*ready.stdout, &*ready.stderr), (Some(0), "tollgate: ready\n", ""), "{ready:?}");

    assert_eq!(ask(&gateway, "POST", "/api/v1/drain", "", "").status, 202);
    wait_for("a drain", || status(&["--ready"]).code == Some(1));
    assert_eq!(status(&["--ready"]).stdout, "tollgate: draining\n");
}
