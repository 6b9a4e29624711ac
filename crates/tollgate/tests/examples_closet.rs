//! `examples/closet`: its one command starts everything but Prometheus, and what is behind it does what its page says; the tests in its
//! configurations pass.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tollgate_testkit::{Client, Response, assert_problem, binary, run, wait_for, wait_some};

/// The keys whose hashes stand in the example.
const METERS: &str = "tg_closetExampleMetersKeyThatIsNoSecret0000000";
const DOORBELL: &str = "tg_closetExampleDoorbellKeyThatIsNoSecret00000";

/// A busy machine starts seven programs slowly.
const START_PATIENCE: Duration = Duration::from_secs(60);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/closet")
}

/// Everything that `examples/closet/start` starts; it ends when dropped.
struct Closet {
    child: Child,
    dir: TempDir,
    /// What its ports begin with.
    ports: u16,
}

impl Closet {
    fn start() -> Closet {
        let dir = tempfile::tempdir().expect("a folder");
        let ports = free_ports();
        let said = File::create(dir.path().join("start.log")).expect("a log");
        let mut command = Command::new(folder().join("start"));
        command
            .env("TOLLGATE", binary!())
            .env("CLOSET_DIR", dir.path())
            .env("CLOSET_PORTS", ports.to_string());
        // Not in every gate; what it would scrape is asked below.
        command.env("PROMETHEUS", "no-prometheus-here");
        command.stdin(Stdio::null()).stdout(said.try_clone().expect("a log")).stderr(said);
        let child = command.spawn().expect("sh runs the script");
        let mut closet = Closet { child, dir, ports };
        wait_some("the closet to start", START_PATIENCE, || {
            let said = closet.said("start.log");
            let ended = closet.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "it ended with {ended:?}:\n{said}");
            said.contains("Ctrl-C ends it.").then_some(())
        });
        closet
    }

    fn said(&self, file: &str) -> String {
        fs::read_to_string(self.dir.path().join(file)).unwrap_or_default()
    }

    /// One of its ports, by its last digits.
    fn at(&self, last: u16) -> String {
        format!("127.0.0.1:{}", self.ports * 100 + last)
    }

    /// A request to the gateway, with these lines in its head.
    fn ask(&self, line: &str, fields: &str, body: &str) -> Response {
        ask(&self.at(0), line, fields, body)
    }

    fn token(&self, scope: &str) -> String {
        let key = self.dir.path().join("key.json").display().to_string();
        let config = folder().join("tollgate.yaml").display().to_string();
        let scope = format!("scope={scope}");
        let arguments = [
            "token", "-c", &config, "--issuer", "main", "--claim", "sub=ann", "--claim", &scope, "--key",
            &key,
        ];
        let made = run(binary!(), self.dir.path(), &arguments, &[("CLOSET_PORTS", &self.ports.to_string())]);
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        format!("Authorization: Bearer {}\r\n", made.stdout.trim())
    }

    fn opaque_token(&self) -> String {
        let fields = "Authorization: Basic ZGFzaGJvYXJkOmRhc2hib2FyZA==\r\nAccept: text/plain\r\n";
        let granted = ask(&self.at(3), "POST /token", fields, "grant_type=client_credentials");
        assert_eq!(granted.status, 200, "{granted:?}");
        format!("Authorization: Bearer {}\r\n", granted.text().trim())
    }
}

impl Drop for Closet {
    fn drop(&mut self) {
        // As Ctrl-C: the script ends what it has started.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let ended = wait_some("the closet to end", START_PATIENCE, || {
            self.child.try_wait().expect("a child can be waited for")
        });
        if std::thread::panicking() {
            // The failing test's reader wants to know what was said.
            let (start, gateway) = (self.said("start.log"), self.said("gateway.log"));
            let _ = writeln!(std::io::stderr(), "{ended}\n{start}\n--- the gateway's log ---\n{gateway}");
        } else {
            assert!(TcpListener::bind(self.at(3)).is_ok(), "the authority is left behind");
        }
    }
}

/// What ports begin with that nobody uses, beneath those that the kernel gives out and beside those of other tests.
fn free_ports() -> u16 {
    let first = std::process::id() as u16 % 26;
    let free = |ports: &u16| (0..12).all(|last| TcpListener::bind(("127.0.0.1", ports * 100 + last)).is_ok());
    (0..26).map(|at| 301 + (first + at) % 26).find(free).expect("free ports between 30100 and 32700")
}

fn ask(address: &str, line: &str, fields: &str, body: &str) -> Response {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    Client::connect(address)
        .exchange(format!("{line} HTTP/1.1\r\nHost: closet\r\n{fields}{length}\r\n{body}"))
}

#[test]
fn closet_answers_as_its_page_says() {
    let closet = Closet::start();
    let signed = closet.token("inventory:read");
    inventory(&closet, &signed);
    opaque_tokens(&closet);
    devices(&closet);
    let catalogue = || closet.ask("GET /catalogue", "", "");
    assert!(catalogue().text().contains("hall-lamp"));
    assert!(catalogue().header("cache-status").is_some_and(|status| status.starts_with("tollgate; hit")));

    let file = closet.ask("GET /files/backup.bin", &signed, "");
    assert_eq!((file.status, file.body.len()), (200, 8 << 20));
    websocket(&closet, signed.trim().rsplit(' ').next().expect("a token"));

    let health = closet.ask("GET /health", "", "").json();
    assert_eq!(health["upstreams"]["inventory"]["targets"].as_array().map(Vec::len), Some(2), "{health}");
    // What Prometheus reads, and only with the token that it is given.
    assert_eq!(ask(&closet.at(1), "GET /metrics", "", "").status, 401);
    let token = format!("Authorization: Bearer {}\r\n", closet.said("admin_token"));
    let metrics = ask(&closet.at(1), "GET /metrics", &token, "");
    assert!(metrics.text().contains("tollgate_requests_total{route=\"inventory\""), "{metrics:?}");
    assert!(closet.said("prometheus.yml").contains(&format!("\"{}\"", closet.at(1))));
}

/// Two instances take turns; without a token, or without the scope, neither is asked.
fn inventory(closet: &Closet, signed: &str) {
    assert_problem(&closet.ask("GET /inventory/7", "", ""), "token_missing");
    let wrong = closet.token("billing:read");
    wait_for("the issuer's keys", || closet.ask("GET /inventory/7", &wrong, "").status != 503);
    assert_problem(&closet.ask("GET /inventory/7", &wrong, ""), "scope_missing");
    let mut seen = [false; 2];
    for _ in 0..40 {
        let answer = closet.ask("GET /inventory/7", signed, "").json();
        assert_eq!(answer["for"], "ann", "{answer}");
        seen[usize::from(answer["instance"] == "b")] = true;
    }
    assert_eq!(seen, [true, true], "both instances are asked");
}

fn opaque_tokens(closet: &Closet) {
    let opaque = closet.opaque_token();
    assert_eq!(closet.ask("GET /billing/2026-11", &opaque, "").json()["for"], "dashboard");
    // Withdrawn before the gateway has seen it.
    let other = closet.opaque_token();
    let form = format!("token={}", other.trim().rsplit(' ').next().expect("a token"));
    let client = "Authorization: Basic ZGFzaGJvYXJkOmRhc2hib2FyZA==\r\n";
    assert_eq!(ask(&closet.at(3), "POST /revoke", client, &form).status, 200);
    assert_problem(&closet.ask("GET /billing/2026-11", &other, ""), "token_inactive");
    // Nobody but the gateway may ask what a token means.
    assert_eq!(ask(&closet.at(3), "POST /introspect", client, &form).status, 401);
}

fn devices(closet: &Closet) {
    let key = |key: &str| format!("X-Api-Key: {key}\r\n");
    let reading = closet.ask("POST /readings/m1", &key(METERS), "{\"wh\":250}");
    assert_eq!((reading.status, &reading.json()["device"]), (202, &"meters".into()));
    assert_problem(&closet.ask("POST /readings/m1", &key(DOORBELL), "{\"wh\":250}"), "group_missing");
    let ring = || closet.ask("POST /rings", &key(DOORBELL), "{}");
    let refused = (0..60).map(|_| ring()).find(|answer| answer.status != 202).expect("a limit");
    assert_problem(&refused, "rate_limited");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
}

/// A masked frame there, the same unmasked back (RFC 6455 section 5).
fn websocket(closet: &Closet, token: &str) {
    let mut client = Client::connect(&closet.at(0));
    client.send(format!(
        "GET /live?access_token={token} HTTP/1.1\r\nHost: closet\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ));
    let head = client.until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client.send(b"\x81\x85\x01\x02\x03\x04igohn");
    assert!(client.until("hello").ends_with("\u{5}hello"));
}

#[test]
fn closet_and_its_tunnel_pass_their_own_tests() {
    for name in ["tollgate.yaml", "tunnel.yaml"] {
        let config = folder().join(name).display().to_string();
        let tested = run(binary!(), &folder(), &["test", "-c", &config], &[]);
        assert_eq!(tested.code, Some(0), "{name}: {}{}", tested.stdout, tested.stderr);
    }
}
