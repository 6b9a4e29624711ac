//! What the gateway tells about itself: access log, metrics, health, and what it never tells.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tollgate_testkit::behaviour::{self, response};
use tollgate_testkit::{
    Client, Gate, Gateway, Metrics, Origin, Port, assert_problem, binary, gateway, is_uuid_v7, wait_for,
};

/// The fields of a record, as the contract lists them.
const FIELDS: &[&str] = &[
    "time",
    "id",
    "client",
    "method",
    "host",
    "path",
    "route",
    "status",
    "reason",
    "bytes_in",
    "bytes_out",
    "duration_ms",
    "upstream",
    "upstream_ms",
    "target",
    "attempts",
    "consumer",
    "cache",
    "tls",
    "http",
    "generation",
];

const ROUTES: &str = "
workers: 1
upstreams:
  api: { targets: [@ORIGIN@] }
routes:
  - { name: main, path: /a/*, to: api }
  - { name: own, path: /own, respond: { body: hello } }
  - { name: gone, path: /gone, to: \"http://@NOBODY@\" }
";

fn start(origin: &Origin) -> (Gateway, Port) {
    let nobody = Port::reserve();
    (gateway!(ROUTES, ORIGIN = origin.url(), NOBODY = nobody.address()), nobody)
}

#[test]
fn a_record_tells_the_truth() {
    let origin = Origin::start(|conn| {
        loop {
            conn.request()?;
            tollgate_testkit::pause(Duration::from_millis(60));
            conn.send(response(201, b"twelve bytes"))?;
        }
    });
    let (gateway, _nobody) = start(&origin);
    let mut client = gateway.client();
    let answer = client
        .exchange("POST /a/./b?secret=1 HTTP/1.1\r\nHost: Shop.test\r\nContent-Length: 7\r\n\r\nseven!!");
    assert_eq!(answer.status, 201);
    let record = gateway.record_of("/a/b");
    let fields: BTreeSet<&str> =
        record.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    assert_eq!(fields, FIELDS.iter().copied().collect(), "{record}");
    for (field, value) in [
        ("client", json!("127.0.0.1")),
        ("method", json!("POST")),
        ("route", json!("main")),
        ("status", json!(201)),
        ("reason", Value::Null),
        ("bytes_in", json!(7)),
        ("bytes_out", json!(12)),
        ("upstream", json!("api")),
        ("target", json!(origin.url())),
        ("attempts", json!(1)),
        ("generation", json!(1)),
        ("tls", Value::Null),
    ] {
        assert_eq!(record[field], value, "{field} in {record}");
    }
    assert!(record["host"].as_str().is_some_and(|host| host.eq_ignore_ascii_case("shop.test")), "{record}");
    assert!(is_uuid_v7(record["id"].as_str().unwrap_or_default()), "{record}");
    assert_eq!(origin.request().header("x-request-id"), record["id"].as_str());
    let (all, upstream) = (record["duration_ms"].as_f64(), record["upstream_ms"].as_f64());
    assert!(upstream >= Some(55.0) && all >= upstream && all < Some(5_000.0), "{record}");
    let time = record["time"].as_str().unwrap_or_default();
    assert!(time.len() == 24 && time.ends_with('Z') && &time[10..11] == "T", "{record}");
    assert!(record["http"].as_str().is_some_and(|version| version.contains("1.1")), "{record}");
}

#[test]
fn refusals_and_own_answers_have_records() {
    let origin = Origin::ok();
    let (gateway, _nobody) = start(&origin);
    let mut client = gateway.client();
    assert_eq!(client.get("/own").text(), "hello");
    let refused = client.get("/nowhere");
    assert_problem(&refused, "route_not_found");
    assert_problem(&client.get("/gone"), "upstream_connect");
    assert_problem(&gateway.client().exchange("GET / HTTP/1.1\r\nBad Header\r\n\r\n"), "bad_header");
    let own = gateway.record_of("/own");
    assert_eq!(
        (&own["route"], &own["bytes_out"], &own["upstream"]),
        (&json!("own"), &json!(5), &Value::Null)
    );
    let missing = gateway.record_of("/nowhere");
    assert_eq!(
        (&missing["status"], &missing["reason"], &missing["route"]),
        (&json!(404), &json!("route_not_found"), &Value::Null)
    );
    assert_eq!(missing["id"], refused.json()["request_id"], "the id in the answer finds the record");
    assert_eq!(missing["bytes_out"], refused.body.len());
    let gone = gateway.record_of("/gone");
    assert_eq!(
        (&gone["status"], &gone["reason"], &gone["route"]),
        (&json!(502), &json!("upstream_connect"), &json!("gone"))
    );
    gateway.record(|record| record["reason"] == "bad_header" && record["status"] == 400);
    let traced = gateway.client().exchange("TRACE /traced HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_problem(&traced, "method_not_implemented");
    let traced = gateway.record_of("/traced");
    assert_eq!((&traced["method"], &traced["status"]), (&json!("TRACE"), &json!(501)));
}

/// What was read of a head stands in its record, also when it is refused.
#[test]
fn refused_heads_are_found_by_what_was_read_of_them() {
    let origin = Origin::ok();
    let (gateway, _nobody) = start(&origin);
    let long = "x".repeat(9_000);
    let host = "Host: Test:80\r\n";
    let check = |head: &str, status: u16, expect: Value| {
        let answer = gateway.client().exchange(head);
        assert_eq!(answer.status, status, "{head:.80}");
        let id = answer.json()["request_id"].clone();
        let record = gateway.record(|record| record["id"] == id);
        assert_eq!(json!([record["method"], record["host"], record["path"]]), expect, "{head:.80}");
    };
    check(
        &format!("POST /e/../f?q=1 HTTP/1.1\r\n{host}Expect: foo\r\n\r\n"),
        417,
        json!(["POST", "test", "/f"]),
    );
    let framing = "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(&format!("PUT /framing HTTP/1.1\r\n{host}{framing}"), 400, json!(["PUT", "test", "/framing"]));
    check("GET /header?q HTTP/1.1\r\nBad Header\r\n\r\n", 400, json!(["GET", null, "/header"]));
    check("GET /version HTTP/3.0\r\nHost: a\r\n\r\n", 505, json!(["GET", null, "/version"]));
    check(&format!("GET /{long} HTTP/1.1\r\n{host}\r\n"), 414, json!(["GET", null, null]));
    let lines = "a: b\r\n".repeat(200);
    check(&format!("DELETE /lines HTTP/1.1\r\n{host}{lines}\r\n"), 431, json!(["DELETE", null, "/lines"]));
    check(&format!("GET /two words HTTP/1.1\r\n{host}\r\n"), 400, json!([null, null, null]));
    check("GET /hosts HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, json!(["GET", null, "/hosts"]));
}

/// The time of a request runs from its first byte.
#[test]
fn a_slow_head_is_time_of_its_request() {
    let origin = Origin::ok();
    let gateway = gateway!(
        "limits: { header_timeout: 1s }\nroutes:\n  - { path: /*, to: @ORIGIN@ }\n",
        ORIGIN = origin.url()
    );
    let mut client = gateway.client();
    assert_eq!(client.get("/quick").status, 200);
    client.send("GET /slow HTTP/1.1\r\n");
    client.assert_silent(Duration::from_millis(600));
    client.send("Host: test\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert_problem(&gateway.client().exchange("GET /late HTTP/1.1\r\nHost: t\r\n"), "request_timeout");
    let took = |path: &str| gateway.record_of(path)["duration_ms"].as_f64().expect("a number");
    assert!(took("/quick") < 500.0, "{}", took("/quick"));
    assert!(took("/slow") >= 400.0, "{}", took("/slow"));
    assert!(took("/late") >= 900.0, "{}", took("/late"));
    let total = gateway.metrics().sum("tollgate_request_duration_seconds_sum", &[]);
    assert!(total >= 0.4, "{total}");
}

#[test]
fn head_and_empty_answers_count_no_body() {
    let origin = Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
    let (gateway, _nobody) = start(&origin);
    let head = gateway.client().exchange("HEAD /a/head HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(head.status, 200);
    assert_eq!(gateway.record_of("/a/head")["bytes_out"], 0);
    assert_eq!(gateway.record_of("/a/head")["method"], "HEAD");
}

/// What a client sends stands in a record as data, and cannot break or forge a line.
#[test]
fn nobody_can_forge_a_line() {
    let origin = Origin::ok();
    let gateway = gateway!(
        "access_log: { headers: [user-agent, x-any], log_query: true }\nroutes:\n  - { path: /*, to: @ORIGIN@ }\n",
        ORIGIN = origin.url()
    );
    let mut client = gateway.client();
    client.send(b"GET /%22,%22x?a=\"b\"&c={d} HTTP/1.1\r\nHost: test\r\nUser-Agent: a\"b\\c\t\xff}{\r\nX-Any: \xe2\x80\xa8\r\n\r\n".as_slice());
    assert_eq!(client.response().status, 200);
    assert_eq!(client.get("/end").status, 200);
    gateway.record_of("/end");
    let records = gateway.stdout().records();
    assert_eq!(records.len(), 2, "{records:?}");
    assert_eq!(records[0]["path"], "/%22,%22x");
    assert!(records[0]["query"].as_str().is_some_and(|query| query.contains("\"b\"")), "{}", records[0]);
    let agent = records[0]["headers"]["user-agent"].as_str().unwrap_or_default();
    assert!(agent.starts_with("a\"b\\c\t"), "{agent:?}");
    assert!(
        records[1].get("headers").is_none_or(|headers| headers["user-agent"].is_null()),
        "{}",
        records[1]
    );
}

/// A credential's value never stands in a log, a metric or the admin API.
#[test]
fn secrets_are_never_told() {
    let origin = Origin::ok();
    let gateway = gateway!(
        "
admin:
  address: \"@ADMIN@\"
  token: adm1n-s3kr3t
access_log: { headers: [user-agent], log_query: true }
routes:
  - { name: main, path: /*, to: @ORIGIN@ }
",
        ORIGIN = origin.url()
    );
    let answer = gateway.client().exchange(
        "GET /x?access_token=s3kr3t&api_key=s3kr3t&password=s3kr3t&page=7 HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer s3kr3t\r\n\
         Proxy-Authorization: Basic s3kr3t\r\nCookie: sid=s3kr3t\r\nX-Api-Key: s3kr3t\r\nUser-Agent: probe\r\n\r\n",
    );
    assert_eq!(answer.status, 200);
    let record = gateway.record_of("/x");
    assert_eq!(record["headers"]["user-agent"], "probe");
    assert!(record["query"].as_str().is_some_and(|query| query.contains("page=7")), "{record}");
    let mut told = format!("{}\n{}", gateway.stdout().text(), gateway.stderr().text());
    for path in
        ["/metrics", "/health", "/readyz", "/", "/api/v1/routes", "/api/v1/upstreams", "/api/v1/config"]
    {
        let mut client = Client::connect(&gateway.admin_address());
        let host = gateway.admin_address();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer adm1n-s3kr3t\r\nConnection: close\r\n\r\n"));
        told.push_str(&String::from_utf8_lossy(&client.drain().0));
    }
    assert!(!told.contains("s3kr3t"), "{told}");
    let seen = origin.request();
    assert_eq!(seen.header("authorization"), Some("Bearer s3kr3t"), "the upstream gets what is its own");
}

#[test]
fn the_log_goes_to_a_file_or_nowhere() {
    let gateway = gateway!(
        "access_log: { sink: file, path: \"@DIR@/access.log\" }\nroutes:\n  - { path: /*, respond: { body: x } }\n"
    );
    let file = gateway.dir().join("access.log");
    let lines = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default().lines().count();
    assert_eq!(gateway.get("/1").status, 200);
    wait_for("the first line", || lines(&file) == 1);
    // Rotation by rename: the old file is left alone, a new one appears.
    let old = gateway.dir().join("access.log.1");
    std::fs::rename(&file, &old).expect("moved");
    wait_for("a line in the new file", || {
        assert_eq!(gateway.get("/2").status, 200);
        lines(&file) > 0
    });
    assert!(gateway.stdout().lines().is_empty());
    let off = gateway!("access_log: { sink: off }\nroutes:\n  - { path: /*, respond: { body: x } }\n");
    assert_eq!(off.get("/").status, 200);
    wait_for("the count", || off.metrics().sum("tollgate_requests_total", &[]) == 1.0);
    assert!(off.stdout().lines().is_empty());
}

#[test]
fn metrics_count() {
    let origin = Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            let status = if seen.target() == "/a/bad" { 500 } else { 200 };
            conn.send(response(status, b"ok"))?;
        }
    });
    let (gateway, nobody) = start(&origin);
    let mut client = gateway.client();
    for _ in 0..3 {
        client.get("/a/x");
    }
    client.exchange("POST /a/x HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\nx");
    client.exchange("BREW /a/x HTTP/1.1\r\nHost: test\r\n\r\n");
    client.get("/a/bad");
    client.get("/own");
    client.get("/gone");
    client.get("/nowhere");
    gateway.client().exchange("nonsense\r\n\r\n");
    wait_for("all requests to be counted", || gateway.metrics().sum("tollgate_requests_total", &[]) >= 9.0);
    let metrics = gateway.metrics();
    let (target, gone) = (origin.url(), format!("http://{}", nobody.address()));
    for (key, value) in [
        ("tollgate_requests_total{route=\"main\",method=\"GET\",status=\"200\"}".to_owned(), 3.0),
        ("tollgate_requests_total{route=\"main\",method=\"POST\",status=\"200\"}".to_owned(), 1.0),
        ("tollgate_requests_total{route=\"main\",method=\"GET\",status=\"500\"}".to_owned(), 1.0),
        ("tollgate_requests_total{route=\"own\",method=\"GET\",status=\"200\"}".to_owned(), 1.0),
        ("tollgate_requests_total{route=\"gone\",method=\"GET\",status=\"502\"}".to_owned(), 1.0),
        ("tollgate_rejected_total{route=\"gone\",reason=\"upstream_connect\"}".to_owned(), 1.0),
        ("tollgate_request_duration_seconds_count{route=\"main\"}".to_owned(), 6.0),
        ("tollgate_overhead_seconds_count{route=\"main\"}".to_owned(), 6.0),
        ("tollgate_upstream_duration_seconds_count{upstream=\"api\"}".to_owned(), 6.0),
        (format!("tollgate_target_healthy{{upstream=\"api\",target=\"{target}\"}}"), 1.0),
        ("tollgate_inflight_requests".to_owned(), 0.0),
        ("tollgate_config_generation".to_owned(), 1.0),
        ("tollgate_config_reloads_total{result=\"rejected\"}".to_owned(), 0.0),
    ] {
        assert!(metrics.keys().any(|have| have.split('{').next() == key.split('{').next()), "no {key}");
        assert_eq!(metrics.get(&key), value, "{key}");
    }
    assert_eq!(metrics.sum("tollgate_upstream_requests_total", &[&format!("target=\"{target}\"")]), 6.0);
    assert_eq!(
        metrics.sum(
            "tollgate_upstream_requests_total",
            &[&format!("target=\"{gone}\""), "outcome=\"upstream_connect\""]
        ),
        1.0
    );
    assert_eq!(metrics.sum("tollgate_rejected_total", &["reason=\"route_not_found\""]), 1.0);
    assert_eq!(metrics.sum("tollgate_rejected_total", &["reason=\"bad_request_line\""]), 1.0);
    assert_eq!(metrics.sum("tollgate_connections", &[]), 1.0, "one client is connected");
    wait_for("the records to be written", || {
        gateway.metrics().sum("tollgate_log_records_total", &["sink=\"stdout\""]) >= 9.0
    });
    assert_eq!(metrics.sum("tollgate_log_dropped_total", &[]), 0.0);
}

#[test]
fn metrics_have_their_types_and_buckets() {
    let origin = Origin::ok();
    let (gateway, _nobody) = start(&origin);
    assert_eq!(gateway.get("/a/x").status, 200);
    wait_for("the count", || gateway.metrics().sum("tollgate_requests_total", &[]) > 0.0);
    let metrics = gateway.metrics();
    for (name, kind) in [
        ("tollgate_requests_total", "counter"),
        ("tollgate_request_duration_seconds", "histogram"),
        ("tollgate_overhead_seconds", "histogram"),
        ("tollgate_rejected_total", "counter"),
        ("tollgate_inflight_requests", "gauge"),
        ("tollgate_connections", "gauge"),
        ("tollgate_upstream_requests_total", "counter"),
        ("tollgate_upstream_duration_seconds", "histogram"),
        ("tollgate_upstream_connections", "gauge"),
        ("tollgate_target_healthy", "gauge"),
        ("tollgate_log_records_total", "counter"),
        ("tollgate_log_dropped_total", "counter"),
        ("tollgate_config_generation", "gauge"),
        ("tollgate_config_reloads_total", "counter"),
        ("tollgate_build_info", "gauge"),
    ] {
        assert_eq!(metrics.kind(name), kind, "{name}");
    }
    assert!(metrics.keys().any(|key| key.starts_with("tollgate_build_info{")
        && key.contains("version=")
        && key.contains("commit=")));
    for name in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_start_time_seconds",
    ] {
        let there = metrics.keys().any(|key| key == name || key == format!("tollgate_{name}"));
        assert!(there, "{name}");
    }
    let mut edges: Vec<f64> = metrics
        .keys()
        .filter(|key| {
            key.starts_with("tollgate_request_duration_seconds_bucket") && key.contains("route=\"main\"")
        })
        .filter_map(|key| key.split("le=\"").nth(1)?.split('"').next()?.parse().ok())
        .collect();
    edges.sort_by(f64::total_cmp);
    assert_eq!(edges.first(), Some(&0.000_05), "buckets start at 50 µs: {edges:?}");
    assert_eq!(edges.last(), Some(&f64::INFINITY));
    let total = metrics.get("tollgate_request_duration_seconds_bucket{route=\"main\",le=\"+Inf\"}");
    assert_eq!(total, metrics.get("tollgate_request_duration_seconds_count{route=\"main\"}"));
}

#[test]
fn open_metrics_by_accept() {
    let gateway = gateway!("routes:\n  - { path: /, respond: { body: x } }\n");
    let host = gateway.admin_address();
    let scrape = |accept: &str| {
        Client::connect(&host)
            .exchange(format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n{accept}Connection: close\r\n\r\n"))
    };
    let plain = scrape("");
    assert!(
        plain
            .header("content-type")
            .is_some_and(|t| t.starts_with("text/plain") && t.contains("version=0.0.4")),
        "{plain:#?}"
    );
    Metrics::parse(&plain.text());
    let open = scrape("Accept: application/openmetrics-text; version=1.0.0\r\n");
    assert!(
        open.header("content-type").is_some_and(|t| t.starts_with("application/openmetrics-text")),
        "{:#?}",
        open.head
    );
    assert!(open.text().ends_with("# EOF\n"), "{}", open.text());
    assert!(open.text().contains("# TYPE tollgate_requests counter"), "{}", open.text());
}

/// Labels come from the configuration, never from requests: an attacker cannot multiply series.
#[test]
fn requests_cannot_make_series() {
    let origin = Origin::ok();
    let (gateway, _nobody) = start(&origin);
    let mut client = gateway.client();
    client.get("/a/x");
    client.exchange("BREW /a/x HTTP/1.1\r\nHost: test\r\n\r\n");
    client.get("/nowhere");
    wait_for("the count", || gateway.metrics().sum("tollgate_requests_total", &[]) >= 3.0);
    let before = gateway.metrics().keys().count();
    for n in 0..50 {
        client.exchange(format!("M{n} /a/{n} HTTP/1.1\r\nHost: host{n}.test\r\nUser-Agent: a{n}\r\n\r\n"));
        client.get(&format!("/nowhere/{n}"));
    }
    wait_for("the count", || gateway.metrics().sum("tollgate_requests_total", &[]) >= 103.0);
    let after = gateway.metrics();
    assert_eq!(after.keys().count(), before);
    for key in after.keys() {
        assert!(!key.contains("M1") && !key.contains("host1.test") && !key.contains("nowhere"), "{key}");
    }
}

#[test]
fn gauges_follow_what_is_open() {
    let gate = Gate::new();
    let origin = Origin::start(behaviour::gated(&gate, "x"));
    let (gateway, _nobody) = start(&origin);
    let mut clients: Vec<Client> = (0..3).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send("GET /a/x HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    origin.wait_requests(3);
    let metrics = gateway.metrics();
    assert_eq!(metrics.get("tollgate_inflight_requests"), 3.0);
    assert_eq!(metrics.sum("tollgate_connections", &[&format!("listener=\"{}\"", gateway.address())]), 3.0);
    assert_eq!(metrics.sum("tollgate_upstream_connections", &["upstream=\"api\""]), 3.0);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    drop(clients);
    wait_for("all gauges to go down", || {
        let metrics = gateway.metrics();
        metrics.get("tollgate_inflight_requests") == 0.0 && metrics.sum("tollgate_connections", &[]) == 0.0
    });
}

#[test]
fn the_admin_side() {
    let origin = Origin::ok();
    let (gateway, _nobody) = start(&origin);
    assert_eq!(gateway.admin("/livez").status, 200);
    let ready = gateway.readyz();
    assert_eq!(
        (&ready["ready"], &ready["generation"], &ready["draining"]),
        (&json!(true), &json!(1), &json!(false))
    );
    let members: Vec<&String> = ready.as_object().into_iter().flatten().map(|(key, _)| key).collect();
    assert_eq!(members.len(), 4, "{ready}");
    let health = gateway.admin("/health").json();
    assert!(health["version"].is_string() && health["uptime_s"].is_number(), "{health}");
    assert_eq!(health["generation"], 1);
    assert_eq!(health["upstreams"]["api"]["targets"][0]["url"], origin.url(), "{health}");
    let page = gateway.admin("/");
    assert!(
        page.status == 200 && page.header("content-type").is_some_and(|t| t.starts_with("text/html")),
        "{page:#?}"
    );
    assert_eq!(gateway.admin("/no-such").status, 404);
    // Nothing of it stands on the public side.
    for path in ["/livez", "/readyz", "/health", "/metrics", "/api/v1/routes"] {
        assert_problem(&gateway.get(path), "route_not_found");
    }
}

#[test]
fn the_admin_token() {
    let gateway = gateway!(
        "admin:\n  address: \"@ADMIN@\"\n  token: t0ken\nroutes:\n  - { path: /, respond: { body: x } }\n"
    );
    let host = gateway.admin_address();
    let ask = |method: &str, path: &str, lines: &str| {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        Client::connect(&host).exchange(request)
    };
    for path in ["/livez", "/readyz"] {
        assert_eq!(ask("GET", path, "").status, 200, "{path} never needs a token");
    }
    for lines in [
        "",
        "Authorization: Bearer wrong\r\n",
        "Authorization: Bearer t0ke\r\n",
        "Authorization: Bearer t0kenx\r\n",
        "Authorization: Basic t0ken\r\n",
    ] {
        for path in ["/api/v1/reload", "/api/v1/drain"] {
            let answer = ask("POST", path, lines);
            assert_eq!(answer.status, 401, "{path} with {lines:?}");
            assert!(
                answer.header("www-authenticate").is_some_and(|v| v.starts_with("Bearer")),
                "{answer:#?}"
            );
        }
    }
    let good = "Authorization: Bearer t0ken\r\n";
    assert!((200..300).contains(&ask("POST", "/api/v1/reload", good).status));
    assert_eq!(ask("POST", "/api/v1/drain", &format!("{good}Origin: https://evil.test\r\n")).status, 403);
    assert_eq!(ask("GET", "/readyz", "").status, 200, "nothing was drained");
    assert!((200..300).contains(&ask("POST", "/api/v1/drain", good).status));
}

/// A service that is down fails every request; the operator is told so, but not with a line for each of them.
#[test]
fn failures_do_not_flood_the_operators_log() {
    let nobody = Port::reserve();
    let gateway = gateway!(
        "workers: 1\nroutes:\n  - { path: /*, to: \"http://@NOBODY@\" }\n",
        NOBODY = nobody.address()
    );
    let mut client = gateway.client();
    for _ in 0..300 {
        assert_eq!(client.get("/x").status, 502);
    }
    wait_for("the number of what was left out", || gateway.stderr().text().contains("left_out="));
    let told = gateway.stderr().text().matches("request failed").count();
    assert!((10..150).contains(&told), "{told} lines for 300 failures");
    wait_for("all the records", || gateway.stdout().records().len() >= 300);
}

/// Without descriptors no connection can be accepted; the operator is told once a second, not for each try.
#[test]
fn failing_accepts_do_not_flood_the_operators_log() {
    let dir = tempfile::tempdir().expect("a directory");
    let starter = dir.path().join("tollgate");
    let script = format!("#!/bin/sh\nulimit -n 64\nexec {} \"$@\"\n", binary!());
    std::fs::write(&starter, script).expect("a script");
    std::fs::set_permissions(&starter, std::fs::Permissions::from_mode(0o755)).expect("it can be run");
    let text = "workers: 2\nroutes:\n  - { path: /*, respond: { body: hello } }\n";
    let gateway = Gateway::start(&starter.display().to_string(), text, &[]);
    let begin = Instant::now();
    let held: Vec<Client> = (0..80).map(|_| gateway.client()).collect();
    let told = |whose: &str| {
        let lines = gateway.stderr().lines().into_iter();
        let fits = |line: &String| line.contains("cannot accept connections") && line.contains(whose);
        lines.filter(fits).collect::<Vec<_>>()
    };
    let failures = |line: &String| {
        let count = line.split("failures=").nth(1).unwrap_or_default();
        count.split_ascii_whitespace().next().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0)
    };
    let mut scraper = None;
    for (whose, many) in [("listener=", 30), ("admin side", 10)] {
        wait_for("many failures", || told(whose).iter().map(failures).sum::<u64>() > many);
        let lines = told(whose).len() as u64;
        // One a second and listener; a second more for what the test itself waited.
        assert!((1..=begin.elapsed().as_secs() + 2).contains(&lines), "{lines} lines: {:#?}", told(whose));
        // Not before every descriptor is taken: the admin side would have got one.
        scraper.get_or_insert_with(|| Client::connect(&gateway.admin_address()));
    }
    drop(held);
    wait_for("connections to be accepted again", || {
        let mut client = gateway.client();
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        client.try_response().is_ok_and(|answer| answer.status == 200)
    });
}
