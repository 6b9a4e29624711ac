//! `tollgate top`: what one screen shows of a gateway with traffic, and how the live one leaves the terminal.

use serde_json::Value;
use tollgate_testkit::{Finished, Gateway, Origin, Port, binary, gateway, run};

const CONFIG: &str = "
upstreams:
  service: { targets: [@ORIGIN@] }
routes:
  - { name: service, path: /service, to: service }
  - { name: closed, path: /closed, deny_ips: [127.0.0.0/8], respond: { body: never } }
";

/// Runs `top` while requests are sent.
fn top(gateway: &Gateway, arguments: &[&str], variables: &[(&str, &str)]) -> Finished {
    let address = gateway.admin_address();
    let all = [&["top", "--address", &address, "--every", "500ms"], arguments].concat();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| run(binary!(), std::env::temp_dir().as_path(), &all, variables));
        while !asked.is_finished() {
            assert_eq!(gateway.get("/service").status, 200);
            assert_eq!(gateway.get("/closed").status, 403);
        }
        asked.join().expect("the command ends")
    })
}

#[test]
fn one_screen_of_a_gateway_with_traffic() {
    let origin = Origin::ok();
    let gateway = gateway!(CONFIG, ORIGIN = origin.url());
    let ended = top(&gateway, &["--once"], &[("COLUMNS", "100")]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for part in
        ["ready", "requests", "latency   p50 ", "a request", "memory", "service", "ip_denied", &origin.url()]
    {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains('\u{1b}'), "{ended:#?}");
    assert!(ended.stdout.lines().all(|line| line.chars().count() <= 100), "{}", ended.stdout);
    let narrow = top(&gateway, &["--once"], &[("COLUMNS", "40")]);
    assert!(narrow.stdout.lines().all(|line| line.chars().count() <= 40), "{}", narrow.stdout);
}

#[test]
fn the_same_for_machines() {
    let origin = Origin::ok();
    let gateway = gateway!(CONFIG, ORIGIN = origin.url());
    let ended = top(&gateway, &["--json"], &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let told: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let positive = |value: &Value| value.as_f64().is_some_and(|value| value > 0.0);
    for pointer in ["/requests_per_second", "/latency_s/p99", "/memory_bytes", "/refused_per_second"] {
        assert!(told.pointer(pointer).is_some_and(positive), "{pointer}: {told:#}");
    }
    let routes = told["routes"].as_array().expect("routes");
    let service = routes.iter().find(|route| route["name"] == "service").expect("the route");
    assert!(positive(&service["requests_per_second"]) && positive(&service["latency_s"]["p50"]), "{told:#}");
    assert_eq!(told["reasons"][0]["reason"], "ip_denied", "{told:#}");
    assert_eq!(told["upstreams"][1]["target"], true, "{told:#}");
}

#[test]
fn what_cannot_be_shown_is_said() {
    let nobody = Port::reserve();
    let dir = std::env::temp_dir();
    let ended = run(binary!(), &dir, &["top", "--once", "--address", &nobody.address()], &[]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains(&format!("no answer from {}", nobody.address())), "{ended:#?}");
    // Without a terminal there is nothing to be live on.
    let ended = run(binary!(), &dir, &["top", "--address", &nobody.address()], &[]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.stderr.contains("--once"), "{ended:#?}");
    for arguments in [&["top", "--every", "1ms"][..], &["top", "--once", "--json"]] {
        assert_eq!(run(binary!(), &dir, arguments, &[]).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn a_token_is_needed_where_the_gateway_has_one() {
    let text = format!("admin: {{ address: \"@ADMIN@\", token: a-long-admin-token }}\n{CONFIG}");
    let origin = Origin::ok();
    let gateway = gateway!(&text, ORIGIN = origin.url());
    let address = gateway.admin_address();
    let dir = std::env::temp_dir();
    let arguments = ["top", "--once", "--every", "100ms", "--address", &address];
    let ended = run(binary!(), &dir, &arguments, &[]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("answered 401"), "{ended:#?}");
    let ended = run(binary!(), &dir, &arguments, &[("TOLLGATE_ADMIN_TOKEN", "a-long-admin-token")]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}
