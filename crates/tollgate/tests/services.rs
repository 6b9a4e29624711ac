//! Targets that DNS names: SRV records that come, change and vanish, and the servers that are asked.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::Value;
use tollgate_testkit::{
    Dns, Gateway, Origin, Port, Response, Says, Service, assert_holds, assert_problem, behaviour, gateway,
    wait_for,
};

const NAME: &str = "_api._tcp.internal";
const URL: &str = "dns+srv://_api._tcp.internal";

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A DNS server that knows the hosts `a.internal` to `d.internal`, all on this machine.
fn dns() -> Dns {
    let dns = Dns::start();
    for host in ["a.internal", "b.internal", "c.internal", "d.internal"] {
        dns.say(host, Says::Addresses(vec![LOCAL], 60));
    }
    dns
}

/// An origin whose answers say who it is.
fn origin(name: &'static str) -> Origin {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
    Origin::start(move |conn| behaviour::answer_each(conn, answer.as_bytes()))
}

fn port(origin: &Origin) -> u16 {
    let address = origin.address();
    address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("an origin has a port")
}

/// A record: priority, weight, host, origin.
fn record(priority: u16, weight: u16, target: &str, origin: &Origin) -> Service {
    Service { priority, weight, ..Service::at(target, port(origin)) }
}

const CONFIG: &str = r#"
resolver: { servers: ["@DNS@"] }
upstreams:
  api:
    targets: ["dns+srv://_api._tcp.internal/v1"]
    connect_timeout: 500ms
@MORE@
routes:
  - { path: /api, to: api }
  - { path: /direct, to: "dns+srv://_api._tcp.internal" }
  - { path: /health, health: { upstreams: all } }
"#;

#[track_caller]
fn start(dns: &Dns, more: &str) -> Gateway {
    gateway!(CONFIG, DNS = dns.address(), MORE = more)
}

/// Who answered how many of `count` requests.
#[track_caller]
fn answers(gateway: &Gateway, count: usize) -> BTreeMap<String, usize> {
    let mut client = gateway.client();
    let mut answers = BTreeMap::new();
    for _ in 0..count {
        let response = client.get("/api");
        assert_eq!(response.status, 200, "{response:?}");
        *answers.entry(response.text()).or_default() += 1;
    }
    answers
}

fn who(gateway: &Gateway) -> Vec<String> {
    answers(gateway, 40).into_keys().collect()
}

/// The targets of the upstream as `/health` tells them: URL and health.
fn health(gateway: &Gateway) -> Vec<(String, bool)> {
    let json = gateway.admin("/health").json();
    let targets = json["upstreams"]["api"]["targets"].as_array().expect("a list").clone();
    let row = |target: Value| {
        (
            target["url"].as_str().unwrap_or_default().to_owned(),
            target["healthy"].as_bool().unwrap_or_default(),
        )
    };
    targets.into_iter().map(row).collect()
}

#[test]
fn records_are_targets_by_their_weights() {
    let (dns, a, b) = (dns(), origin("a"), origin("b"));
    dns.say(NAME, Says::Services(vec![record(0, 3, "a.internal", &a), record(0, 1, "b.internal", &b)], 60));
    let gateway = start(&dns, "    balance: round_robin\n");
    let answers = answers(&gateway, 40);
    assert_eq!((answers["a"], answers["b"]), (30, 10));
    assert_eq!(gateway.get("/direct").status, 200);

    let urls = [&a, &b].map(|origin| {
        format!("http://{}.internal:{}/v1", ["a", "b"][usize::from(port(origin) == port(&b))], port(origin))
    });
    let health = health(&gateway);
    assert_eq!(health, urls.clone().map(|url| (url, true)));
    // The host of the record is the Host that is sent, and the path of the URL stands before that of the request.
    let seen = a.requests().remove(0);
    assert_eq!(seen.header("host"), Some(format!("a.internal:{}", port(&a)).as_str()));
    assert_eq!(seen.target(), "/v1/api");
    let record = gateway.record(|record| record["path"] == "/api");
    assert!(urls.iter().any(|url| record["target"] == **url), "{record}");

    // Labels come from the configuration, whatever DNS says.
    let metrics = gateway.metrics();
    let labels = [format!("target=\"{URL}/v1\"")];
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    assert_eq!(metrics.sum("tollgate_upstream_requests_total", &labels), 40.0);
    assert_eq!(metrics.sum("tollgate_target_healthy", &labels), 1.0);
    assert!(metrics.keys().all(|key| !key.contains("a.internal")), "a host is no label");
    let api = gateway.admin("/api/v1/upstreams").json();
    assert_eq!(api["upstreams"][0]["targets"][0]["hosts"].as_array().map(Vec::len), Some(2));
}

#[test]
fn changed_records_are_followed_without_a_reload() {
    let (dns, a, b, c) = (dns(), origin("a"), origin("b"), origin("c"));
    let hosts = |hosts: &[(&str, &Origin)]| {
        Says::Services(hosts.iter().map(|(name, origin)| record(0, 1, name, origin)).collect(), 1)
    };
    dns.say(NAME, hosts(&[("a.internal", &a), ("b.internal", &b)]));
    let gateway = start(&dns, "    balance: round_robin\n");
    assert_eq!(who(&gateway), ["a", "b"]);
    dns.say(NAME, hosts(&[("b.internal", &b), ("c.internal", &c), ("a.internal", &a)]));
    wait_for("the new host", || who(&gateway) == ["a", "b", "c"]);
    dns.say(NAME, hosts(&[("c.internal", &c)]));
    wait_for("the old hosts to go", || who(&gateway) == ["c"]);
    assert_eq!(gateway.generation(), 1, "nothing was reloaded");
    // Connections to hosts that went are closed; those to the one that stays are kept.
    for gone in [&a, &b] {
        wait_for("idle connections to be closed", || {
            gone.connections().iter().all(|one| one.closed.is_some())
        });
    }
    let before = c.connections().len();
    assert_eq!(who(&gateway), ["c"]);
    assert_eq!(c.connections().len(), before, "the kept connection is used again");
}

#[test]
fn the_lowest_priority_that_can_be_reached_serves() {
    let (dns, a, b, backup) = (dns(), origin("a"), origin("b"), origin("backup"));
    let address = a.address();
    let records = [
        record(10, 1, "a.internal", &a),
        record(10, 1, "b.internal", &b),
        record(20, 9, "c.internal", &backup),
    ];
    dns.say(NAME, Says::Services(records.to_vec(), 60));
    let gateway = start(&dns, "    retry: { attempts: 2, budget: 100%, backoff: 0 }\n");
    assert_eq!(who(&gateway), ["a", "b"], "no other while these can serve");
    drop(a);
    assert_eq!(who(&gateway), ["b"]);
    drop(b);
    assert_eq!(who(&gateway), ["backup"]);
    let _back = Origin::start_at(&address, |conn| {
        behaviour::answer_each(conn, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
    });
    wait_for("the first tier to serve again", || who(&gateway) == ["a"]);
}

#[test]
fn each_host_is_checked_and_keeps_its_state_when_others_change() {
    let (dns, a, b, c) = (dns(), origin("a"), origin("b"), origin("c"));
    let sick = Origin::saying("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    let says = |more: &[Service]| {
        let mut all = vec![record(0, 1, "a.internal", &a), record(0, 1, "d.internal", &sick)];
        all.extend_from_slice(more);
        Says::Services(all, 1)
    };
    dns.say(NAME, says(&[record(0, 1, "b.internal", &b)]));
    let gateway = start(&dns, "    health_check: { every: 50ms, unhealthy_after: 1, healthy_after: 1 }\n");
    let unhealthy = format!("http://d.internal:{}/v1", port(&sick));
    let is_out = || health(&gateway).contains(&(unhealthy.clone(), false));
    wait_for("the sick host to be found out", is_out);
    assert_eq!(who(&gateway), ["a", "b"]);
    let checks = sick.count();
    dns.say(NAME, says(&[record(0, 1, "c.internal", &c)]));
    wait_for("the new set", || health(&gateway).iter().any(|(url, _)| url.contains("c.internal")));
    assert!(is_out(), "what was known of it stays known");
    assert_eq!(who(&gateway), ["a", "c"]);
    wait_for("the checks to go on", || sick.count() > checks + 3);
    let (status, body) = (gateway.get("/health").status, gateway.get("/health").json());
    assert_eq!((status, body["status"].as_str()), (200, Some("degraded")));
}

#[test]
fn a_service_that_vanishes_keeps_its_hosts_with_a_warning() {
    let (dns, a) = (dns(), origin("a"));
    dns.say(NAME, Says::Services(vec![record(0, 1, "a.internal", &a)], 1));
    let gateway = start(&dns, "");
    assert_eq!(who(&gateway), ["a"]);
    for vanished in [Some(Says::Nothing), Some(Says::Failure), None] {
        match vanished {
            Some(says) => dns.say(NAME, says),
            None => dns.forget(NAME),
        }
        let asked = dns.asked(NAME);
        wait_for("some more questions", || dns.asked(NAME) > asked + 1);
        assert_eq!(who(&gateway), ["a"]);
    }
    let warnings = || gateway.stderr().text().matches("its old hosts stay in use").count();
    assert_eq!(warnings(), 1, "one warning, not one for each question");
    let b = origin("b");
    dns.say(NAME, Says::Services(vec![record(0, 1, "b.internal", &b)], 1));
    wait_for("the new hosts, when it is back", || who(&gateway) == ["b"]);
}

#[test]
fn a_service_that_was_never_found_is_refused_and_asked_for_again() {
    for nothing in [None, Some(Says::Nothing), Some(Says::Failure)] {
        let (dns, a) = (dns(), origin("a"));
        if let Some(says) = nothing {
            dns.say(NAME, says);
        }
        let gateway =
            start(&dns, "    health_check: {}\n    retry: {}\n    outlier: {}\n    circuit_breaker: {}\n");
        for path in ["/api", "/direct"] {
            assert_problem(&gateway.get(path), "upstream_dns");
        }
        let record = gateway.record(|record| record["path"] == "/api");
        assert_eq!((&record["upstream"], &record["target"]), (&Value::from("api"), &Value::Null));
        assert_eq!(health(&gateway), [(format!("{URL}/v1"), false)]);
        let health: Response = gateway.get("/health");
        assert_eq!((health.status, health.json()["status"].as_str()), (503, Some("down")));
        let told = gateway.stderr().text();
        assert!(told.contains("cannot resolve a service") && told.contains(NAME), "{told}");
        dns.say(NAME, Says::Services(vec![record_of(&a)], 60));
        wait_for("the service to be found", || gateway.get("/api").status == 200);
    }
}

fn record_of(origin: &Origin) -> Service {
    record(0, 0, "a.internal", origin)
}

#[test]
fn a_reload_waits_a_moment_for_new_services_and_forgets_old_ones() {
    let (dns, a) = (dns(), origin("a"));
    dns.say("_new._tcp.internal", Says::Services(vec![record_of(&a)], 60));
    let empty = "resolver: { servers: [\"@DNS@\"] }\nroutes: [{ path: /, respond: {} }]\n";
    let gateway = gateway!(empty, DNS = dns.address());
    let text = "resolver: { servers: [\"@DNS@\"] }\nroutes: [{ path: /api, to: \"dns+srv://_new._tcp.internal\" }]\n";
    gateway.replace_file(&gateway.complete(text, &[("DNS", dns.address())]));
    gateway.wait_generation(2);
    assert_eq!(answers(&gateway, 1)["a"], 1, "the first request finds it");
    gateway.replace_file(&gateway.complete(empty, &[("DNS", dns.address())]));
    gateway.wait_generation(3);
    let asked = dns.asked("_new._tcp.internal");
    assert_holds("nobody asks for it any more", Duration::from_millis(300), || {
        dns.asked("_new._tcp.internal") == asked
    });
}

#[test]
fn names_are_asked_of_the_configured_servers_and_the_next_when_one_is_silent() {
    let (dns, silent, a) = (dns(), Port::reserve(), origin("a"));
    let text = "resolver: { servers: [\"@SILENT@\", \"@DNS@\"] }\nupstreams:\n  u:\n    targets: [\"http://a.internal:@PORT@\"]\n    connect_timeout: 5s\n    health_check: { every: 50ms, healthy_after: 1 }\nroutes: [{ path: /api, to: u }]\n";
    let gateway = gateway!(text, DNS = dns.address(), SILENT = silent.address(), PORT = port(&a));
    assert_eq!(answers(&gateway, 3)["a"], 3);
    // A name without an address is no reason to doubt those that have one.
    dns.forget("a.internal");
    let other = Dns::start();
    let servers = [("DNS", other.address()), ("SILENT", silent.address()), ("PORT", port(&a).to_string())];
    gateway.replace_file(&gateway.complete(text, &servers));
    gateway.wait_generation(2);
    assert_eq!(answers(&gateway, 3)["a"], 3, "its last address is known");
}

/// The other one of two servers is down, fails, or is silent.
#[test]
fn an_answer_that_is_too_long_for_a_datagram_is_had_over_tcp_whoever_else_is_asked() {
    let (long, nobody, a) = (Dns::start(), Port::reserve(), origin("a"));
    long.say("a.internal", Says::OverTcp(Box::new(Says::Addresses(vec![LOCAL], 1))));
    let many = (0..40).map(|_| record(0, 1, "a.internal", &a)).collect();
    long.say(NAME, Says::OverTcp(Box::new(Says::Services(many, 1))));
    let (failing, silent) = (Dns::start(), Dns::start());
    for name in ["a.internal", NAME] {
        failing.say(name, Says::Failure);
        silent.say(name, Says::Silence);
    }
    let text = "resolver: { servers: [\"@ONE@\", \"@TWO@\"] }\nupstreams:\n  u: { targets: [\"http://a.internal:@PORT@\"], connect_timeout: 1500ms }\nroutes:\n  - { path: /api, to: u }\n  - { path: /service, to: \"dns+srv://_api._tcp.internal\" }\n";
    for (what, other) in
        [("down", nobody.address()), ("failing", failing.address()), ("silent", silent.address())]
    {
        for (one, two) in [(other.clone(), long.address()), (long.address(), other.clone())] {
            let gateway = gateway!(text, ONE = one, TWO = two, PORT = port(&a));
            let answer = gateway.get("/api");
            assert_eq!((answer.status, &*answer.text()), (200, "a"), "{what}: {one}, {two}");
            wait_for("the service to be found", || gateway.get("/service").status == 200);
        }
    }
}

#[test]
fn a_name_that_vanishes_keeps_its_address_for_requests_and_for_checks() {
    let (dns, a) = (dns(), origin("a"));
    dns.say("a.internal", Says::Addresses(vec![LOCAL], 1));
    let text = "resolver: { servers: [\"@DNS@\"] }\nupstreams:\n  u:\n    targets: [\"http://a.internal:@PORT@\"]\n    pool: { max_idle_per_worker: 0 }\n    health_check: { every: 50ms, unhealthy_after: 1 }\nroutes: [{ path: /api, to: u }]\n";
    let gateway = gateway!(text, DNS = dns.address(), PORT = port(&a));
    assert_eq!(answers(&gateway, 1)["a"], 1);
    dns.forget("a.internal");
    let asked = dns.asked("a.internal");
    wait_for("some questions in vain, each for two families", || {
        assert_eq!(answers(&gateway, 1)["a"], 1);
        dns.asked("a.internal") > asked + 4
    });
    let warnings = || gateway.stderr().text().matches("its old addresses stay in use").count();
    wait_for("the operator to be told", || warnings() > 0);
    assert_eq!(warnings(), 1, "one warning, however many ask");
    let targets = gateway.admin("/health").json()["upstreams"]["u"]["status"].clone();
    assert_eq!(targets, "ok");
}
