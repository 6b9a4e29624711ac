//! The endpoints over a real socket, before a real data plane.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tollgate_config::{MemorySources, load_text};
use tollgate_proxy::Gateway;

use crate::{Admin, Build, Command, Reloaded, Reloads, Server, bind};

const DEADLINE: Duration = Duration::from_secs(10);

struct Bench {
    server: Server,
    reloads: Reloads,
    commands: mpsc::Receiver<Command>,
    /// Runs as long as the bench.
    _gateway: Gateway,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Bench {
    fn new(admin: &str) -> Bench {
        let text = format!(
            "listeners: [{{ address: 127.0.0.1:0 }}]\nworkers: 1\naccess_log: {{ sink: off }}\n{admin}\n\
             shutdown: {{ grace: 1s }}\n\
             upstreams:\n  orders:\n    targets: [http://127.0.0.1:1, {{ url: http://127.0.0.1:2, weight: 2 }}]\n\
             routes:\n  - {{ path: /hi, respond: {{ body: hi }} }}\n  - {{ name: all, path: /orders/*, methods: [GET], \
             host: '*.example.com', headers: {{ x-v: '2' }}, max_body: 1KiB, timeout: 250ms, to: orders }}\n"
        );
        let loaded = load_text("tollgate.yaml", &text, &MemorySources::default())
            .unwrap_or_else(|failed| panic!("{:?}", failed.diagnostics));
        let gateway = Gateway::start(loaded.plan).unwrap();
        let reloads = Reloads::started(SystemTime::now());
        reloads.running().applied(1, loaded.sources);
        let (sender, commands) = mpsc::channel(2);
        let build = Build { version: "1.2.3", commit: "abc" };
        let (control, reloads) = (gateway.control(), reloads);
        let admin = Admin { control, commands: sender, reloads: reloads.clone(), build, file: None };
        let server = Server::start(bind("127.0.0.1:0".parse().unwrap()).unwrap(), admin).unwrap();
        Bench { server, reloads, commands, _gateway: gateway }
    }

    fn ask(&self, method: &str, path: &str, lines: &[&str]) -> Answer {
        ask(self.server.address(), method, path, lines)
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }
}

fn ask(address: SocketAddr, method: &str, path: &str, lines: &[&str]) -> Answer {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    ask_raw(
        address,
        &format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{lines}\r\n"),
    )
}

fn ask_raw(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn expect_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        assert!(self.head.contains("content-type: application/problem+json"), "{}", self.head);
        let body = self.json();
        assert_eq!(body["code"], code);
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], "about:blank");
        assert!(body["title"].is_string() && body["detail"].is_string());
    }
}

#[test]
fn what_is_read_has_the_promised_shape() {
    let bench = Bench::new("");
    assert_eq!(bench.get("/livez").status, 200);
    let ready = bench.get("/readyz");
    assert_eq!(ready.status, 200);
    let ready = ready.json();
    assert_eq!((&ready["ready"], &ready["draining"]), (&json!(true), &json!(false)));
    assert_eq!(ready["generation"], 1);
    assert_eq!(ready["last_reload"]["ok"], true);

    let health = bench.get("/health").json();
    assert_eq!((&health["status"], &health["version"]), (&json!("ok"), &json!("1.2.3")));
    assert_eq!(health["upstreams"]["orders"]["targets"][1]["url"], "http://127.0.0.1:2");
    assert_eq!(health["last_reload"]["errors"], json!([]));

    let routes = bench.get("/api/v1/routes").json();
    let all = json!({
        "name": "all", "methods": ["GET"], "hosts": ["*.example.com"], "path": "/orders/*", "conditions": 1,
        "max_body": 1024, "timeout_ms": 250, "action": { "to": [{ "upstream": "orders", "weight": 1 }] },
        "posture": { "auth": "public", "limits": "-", "tls": "-", "public": true },
    });
    assert_eq!(routes["routes"][0], all);
    assert_eq!(routes["routes"][1]["action"], json!({ "respond": { "status": 200 } }));
    let upstreams = bench.get("/api/v1/upstreams").json();
    assert_eq!(upstreams["upstreams"][0]["targets"][1]["weight"], 2);

    assert_eq!(bench.get("/api/v1/schema").json()["$ref"], "#/$defs/root");
}

#[test]
fn metrics_come_in_the_format_that_was_asked_for() {
    let bench = Bench::new("");
    let text = bench.get("/metrics");
    assert!(text.head.contains("content-type: text/plain; version=0.0.4"), "{}", text.head);
    assert!(text.body.contains("\ntollgate_config_generation 1\n"));
    let open = bench.ask("GET", "/metrics", &["Accept: application/openmetrics-text;version=1.0.0"]);
    assert!(open.head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{}", open.head);
    assert!(open.body.ends_with("# EOF\n"));
}

#[test]
fn what_cannot_be_asked_is_a_problem() {
    let bench = Bench::new("");
    bench.get("/nothing").expect_problem(404, "not_found");
    bench.get("/api/v1/explain").expect_problem(405, "method_not_allowed");
    let wrong = bench.ask("POST", "/metrics", &["Content-Length: 0"]);
    wrong.expect_problem(405, "method_not_allowed");
    assert!(wrong.head.contains("allow: get,head"), "{}", wrong.head);
    bench.ask("GET", "/api/v1/drain", &[]).expect_problem(405, "method_not_allowed");
}

#[test]
fn a_reload_is_asked_of_the_process_and_its_result_told() {
    for (ok, status) in [(true, 200), (false, 422)] {
        let mut bench = Bench::new("");
        let address = bench.server.address();
        let asking =
            std::thread::spawn(move || ask(address, "POST", "/api/v1/reload", &["Content-Length: 0"]));
        let Some(Command::Reload(reply)) = bench.commands.blocking_recv() else { panic!("no reload") };
        let diagnostics = vec![json!({ "code": "unknown_key" })];
        let needs_restart = vec!["workers".to_owned()];
        reply.send(Reloaded { ok, generation: 7, needs_restart, diagnostics }).unwrap();
        let answer = asking.join().unwrap();
        assert_eq!(answer.status, status);
        let body = answer.json();
        assert_eq!((&body["ok"], &body["generation"]), (&json!(ok), &json!(7)));
        assert_eq!(body["diagnostics"][0]["code"], "unknown_key");
        if ok {
            assert_eq!(body["needs_restart"], json!(["workers"]));
        } else {
            answer.expect_problem(422, "reload_rejected");
        }
    }
}

#[test]
fn a_refused_reload_shows_in_readiness_and_metrics_and_the_gateway_stays_ready() {
    let bench = Bench::new("");
    bench.reloads.applied(SystemTime::now());
    bench.reloads.rejected(SystemTime::now(), vec![json!({ "code": "empty" })]);
    let ready = bench.get("/readyz");
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["last_reload"]["ok"], false);
    assert_eq!(ready.json()["last_reload"]["errors"][0]["code"], "empty");
    let metrics = bench.get("/metrics").body;
    assert!(metrics.contains("tollgate_config_reloads_total{result=\"ok\"} 1\n"));
    assert!(metrics.contains("tollgate_config_reloads_total{result=\"rejected\"} 1\n"));
}

#[test]
fn a_drain_is_asked_of_the_process_and_readiness_fails() {
    let mut bench = Bench::new("");
    let answer = bench.ask("POST", "/api/v1/drain", &["Content-Length: 0"]);
    assert_eq!((answer.status, answer.json()), (202, json!({ "draining": true })));
    assert!(matches!(bench.commands.try_recv(), Ok(Command::Drain)));
    let ready = bench.get("/readyz");
    assert_eq!(ready.status, 503);
    assert_eq!((&ready.json()["ready"], &ready.json()["draining"]), (&json!(false), &json!(true)));
    assert_eq!(bench.get("/livez").status, 200);
}

#[test]
fn commands_have_bounds_and_an_end() {
    let mut bench = Bench::new("");
    let drain = |bench: &Bench| bench.ask("POST", "/api/v1/drain", &["Content-Length: 0"]);
    assert_eq!((drain(&bench).status, drain(&bench).status), (202, 202));
    drain(&bench).expect_problem(503, "overloaded");
    bench.commands.close();
    drain(&bench).expect_problem(503, "draining");
}

#[test]
fn a_token_guards_everything_but_the_probes() {
    let bench = Bench::new("admin: { token: sesame }");
    for path in ["/livez", "/readyz"] {
        assert_eq!(bench.get(path).status, 200, "{path}");
    }
    // The page, which asks for the token; it holds nothing of the gateway.
    assert_eq!(bench.get("/").status, 200);
    bench.get("/assets/none.js").expect_problem(404, "not_found");
    for path in ["/health", "/metrics", "/api/v1/routes", "/api/v1/config", "/api/v1/schema", "/nothing"] {
        let refused = bench.get(path);
        refused.expect_problem(401, "token_missing");
        assert!(refused.head.contains("www-authenticate: bearer"), "{path}");
        let known = bench.ask("GET", path, &["Authorization: Bearer sesame"]);
        assert_eq!(known.status, if path == "/nothing" { 404 } else { 200 }, "{path}");
    }
    bench.ask("GET", "/metrics", &["Authorization: Bearer guess"]).expect_problem(401, "token_unknown");
    let lines = ["Content-Length: 0"];
    for path in ["/api/v1/reload", "/api/v1/drain"] {
        bench.ask("POST", path, &lines).expect_problem(401, "token_missing");
    }
}

#[test]
fn another_site_cannot_change_anything() {
    let mut bench = Bench::new("");
    for line in ["Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "Origin: null"] {
        let answer = bench.ask("POST", "/api/v1/drain", &["Content-Length: 0", line]);
        answer.expect_problem(403, "cross_site");
    }
    assert!(bench.commands.try_recv().is_err());
    let own = format!("Origin: http://{}", bench.server.address());
    assert_eq!(bench.ask("POST", "/api/v1/drain", &["Content-Length: 0", &own]).status, 202);
}

#[test]
fn a_head_over_the_limits_is_refused() {
    let bench = Bench::new("");
    let long = format!("X-Long: {}", "a".repeat(20_000));
    bench.ask("GET", "/livez", &[&long]).expect_problem(431, "headers_too_large");
    let lines = vec!["X-Many: 1"; 100];
    bench.ask("GET", "/livez", &lines).expect_problem(431, "headers_too_large");
}

#[test]
fn a_head_that_cannot_be_read_is_a_problem_and_the_connection_ends() {
    let bench = Bench::new("");
    for line in ["no header", "Content-Length: many", "Content-Length: 1\r\nContent-Length: 2"] {
        let answer = bench.ask("GET", "/livez", &[line]);
        answer.expect_problem(400, "bad_header");
        for wanted in ["http/1.1 400 bad request", "connection: close", "cache-control: no-store", "date: "] {
            assert!(answer.head.contains(wanted), "{line}: {}", answer.head);
        }
        let length = format!("content-length: {}", answer.body.len());
        assert!(answer.head.contains(&length), "{line}: {}", answer.head);
    }
    let old = ask_raw(bench.server.address(), "GET /livez HTTP/1.0\r\nno header\r\n\r\n");
    old.expect_problem(400, "bad_header");
    let second = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nno request\r\n\r\n";
    let both = ask_raw(bench.server.address(), second);
    assert_eq!(both.status, 200);
    let (first, after) = both.body.split_once("HTTP/1.1 400").expect("two answers");
    assert_eq!(first, "{\"live\":true}");
    assert!(after.contains("\"code\":\"bad_header\""), "{after}");
}

#[test]
fn connections_over_the_limit_are_closed_and_room_comes_back() {
    let bench = Bench::new("");
    let address = bench.server.address();
    let held: Vec<TcpStream> =
        (0..crate::server::CONNECTIONS_MAX).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut excess = TcpStream::connect(address).unwrap();
    excess.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(excess.read(&mut [0; 16]).unwrap_or(0), 0, "closed without a word");
    drop(held);
    // The server notices the closed connections one by one.
    let deadline = std::time::Instant::now() + DEADLINE;
    while !answers(address) {
        assert!(std::time::Instant::now() < deadline, "no room came back");
    }
}

fn answers(address: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut text = String::new();
    write!(stream, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").is_ok()
        && stream.read_to_string(&mut text).is_ok()
        && text.starts_with("HTTP/1.1 200")
}
