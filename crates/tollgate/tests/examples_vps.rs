//! `examples/vps` as its one command starts it: every feature that its page shows, and that nothing of it is left behind.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tollgate_testkit::{Client, End, Response, assert_problem, binary, run, wait_for, wait_some};

/// The key whose hash stands in the example.
const API_KEY: &str = "tg_vpsExampleKeyThatIsNoSecretAtAll00000000000";

/// A busy machine starts seven programs slowly.
const START_PATIENCE: Duration = Duration::from_secs(60);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/vps")
}

/// Everything that `examples/vps/start` starts; it ends when dropped.
struct Vps {
    child: Child,
    dir: TempDir,
    /// What its ports begin with.
    ports: u16,
}

impl Vps {
    fn start() -> Vps {
        let dir = tempfile::tempdir().expect("a folder");
        // A copy, since it is edited.
        for name in ["tollgate.yaml", "stock.lua"] {
            fs::copy(folder().join(name), dir.path().join(name)).expect("the example");
        }
        let ports = free_ports();
        let said = File::create(dir.path().join("start.log")).expect("a log");
        let mut command = example("start", dir.path(), ports);
        command.stdin(Stdio::null()).stdout(said.try_clone().expect("a log")).stderr(said);
        let child = command.spawn().expect("sh runs the script");
        let mut vps = Vps { child, dir, ports };
        wait_some("the example to start", START_PATIENCE, || {
            let said = vps.said("start.log");
            let ended = vps.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "it ended with {ended:?}:\n{said}");
            said.contains("Ctrl-C ends it.").then_some(())
        });
        vps
    }

    fn said(&self, file: &str) -> String {
        fs::read_to_string(self.dir.path().join(file)).unwrap_or_default()
    }

    /// One of its ports, by its last digits.
    fn at(&self, last: u16) -> String {
        format!("127.0.0.1:{}", self.ports * 100 + last)
    }

    fn part(&self, words: &[&str]) {
        // What it starts outlives it: no pipe that it would keep open.
        let status = example("part", self.dir.path(), self.ports)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.expect("sh runs the script").success(), "part {words:?}");
    }

    /// A token, with these words of `tollgate token`, as a line of a head.
    fn token(&self, words: &[&str]) -> String {
        let config = self.dir.path().join("tollgate.yaml").display().to_string();
        let words = [&["token", "-c", &config][..], words].concat();
        let made = run(binary!(), self.dir.path(), &words, &[("VPS_PORTS", &self.ports.to_string())]);
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        format!("Authorization: Bearer {}\r\n", made.stdout.trim())
    }

    /// One that a key of the issuer has signed.
    fn signed(&self, algorithm: &str, claims: &[&str]) -> String {
        let key = format!("{algorithm}.json");
        let claims = claims.iter().flat_map(|claim| ["--claim", *claim]);
        let words: Vec<&str> = ["--issuer", "main", "--key", &key].into_iter().chain(claims).collect();
        self.token(&words)
    }

    /// A request to one of the gateways, with these lines in its head.
    fn ask(&self, gateway: u16, path: &str, fields: &str) -> Response {
        Client::connect(&self.at(gateway))
            .exchange(format!("GET {path} HTTP/1.1\r\nHost: vps\r\n{fields}\r\n"))
    }

    /// A page of a gateway's admin side, which answers to names of this machine alone.
    fn admin(&self, gateway: u16, path: &str) -> Response {
        Client::connect(&self.at(10 + gateway))
            .exchange(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"))
    }

    fn edit(&self, from: &str, to: &str) {
        let (path, text) = (self.dir.path().join("tollgate.yaml"), self.said("tollgate.yaml"));
        assert!(text.contains(from), "the example has `{from}`");
        fs::write(path, text.replace(from, to)).expect("a file");
    }
}

impl Drop for Vps {
    fn drop(&mut self) {
        // As Ctrl-C: the script ends what it has started.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let ended = wait_some("the example to end", START_PATIENCE, || {
            self.child.try_wait().expect("a child can be waited for")
        });
        if std::thread::panicking() {
            // The failing test's reader wants to know what was said.
            let logs = ["start.log", "gateway-1.log", "gateway-2.log"].map(|name| self.said(name));
            let _ = writeln!(std::io::stderr(), "{ended}\n{}", logs.join("\n---\n"));
        } else {
            for last in [1, 2, 21, 22, 23, 30, 40] {
                assert!(TcpListener::bind(self.at(last)).is_ok(), "port {last} is left behind");
            }
        }
    }
}

fn example(script: &str, dir: &Path, ports: u16) -> Command {
    let mut command = Command::new(folder().join(script));
    command.env("TOLLGATE", binary!()).env("VPS_DIR", dir).env("VPS_PORTS", ports.to_string());
    command.env("VPS_CONFIG", dir.join("tollgate.yaml"));
    command
}

/// What ports begin with that nobody uses, beneath those that the kernel gives out and beside those of other tests.
fn free_ports() -> u16 {
    let first = std::process::id() as u16 % 26;
    let free = |ports: &u16| (0..41).all(|last| TcpListener::bind(("127.0.0.1", ports * 100 + last)).is_ok());
    (0..26).map(|at| 271 + (first + at) % 26).find(free).expect("free ports between 27100 and 29700")
}

#[test]
fn vps_does_what_its_page_says() {
    let vps = Vps::start();
    three_algorithms(&vps);
    script(&vps);
    circuit(&vps);
    without_redis(&vps);
    edits(&vps);
    ends(&vps);
}

fn three_algorithms(vps: &Vps) {
    assert_problem(&vps.ask(1, "/orders/7", ""), "token_missing");
    let tokens = [
        ("ann", vps.signed("RS256", &["sub=ann"])),
        ("bob", vps.signed("ES256", &["sub=bob"])),
        ("nightly", vps.token(&["--issuer", "jobs", "--claim", "sub=nightly"])),
    ];
    for (owner, token) in &tokens {
        for gateway in [1, 2] {
            wait_for("the issuer's keys", || vps.ask(gateway, "/orders/7", token).status != 503);
            let order = vps.ask(gateway, "/orders/7", &format!("X-User: root\r\n{token}")).json();
            assert_eq!((&order["for"], &order["from"]), (&(*owner).into(), &"orders".into()), "{order}");
        }
    }
    // A key that comes later.
    let new = vps.token(&[
        "--issuer",
        "main",
        "--alg",
        "ES256",
        "--key",
        "new.json",
        "--jwks",
        "jwks.json",
        "--claim",
        "sub=cleo",
    ]);
    assert_eq!(vps.ask(2, "/orders/7", &new).json()["for"], "cleo");
    assert_eq!(vps.ask(2, "/orders/7", &tokens[0].1).json()["for"], "ann");
    assert_eq!(vps.ask(1, "/reports/today", &format!("X-Api-Key: {API_KEY}\r\n")).json()["from"], "reports");
}

fn script(vps: &Vps) {
    let forged = "X-Asked-As: buying\r\n";
    let item = vps.ask(1, "/stock/lamp", &(vps.signed("RS256", &["sub=ann"]) + forged)).json();
    assert_eq!((&item["asked_as"], &item["price"]), (&"customer".into(), &19.99.into()), "{item}");
    assert!(item.get("cost").is_none() && item.get("cost_cents").is_none(), "{item}");
    let item = vps.ask(1, "/stock/lamp", &vps.signed("ES256", &["sub=dora", "roles=[\"buying\"]"])).json();
    assert_eq!((&item["asked_as"], &item["cost"]), (&"buying".into(), &12.5.into()), "{item}");
}

fn circuit(vps: &Vps) {
    let token = vps.signed("RS256", &["sub=ann"]);
    let ask = || vps.ask(1, "/stock/lamp", &token);
    let open = || vps.admin(1, "/metrics").text().contains("tollgate_circuit_state{upstream=\"stock\"} 2");
    vps.part(&["stop", "stock"]);
    assert_problem(&ask(), "upstream_connect");
    let refused = (0..30).map(|_| ask()).find(|answer| answer.status == 503).expect("the circuit opens");
    assert_problem(&refused, "circuit_open");
    assert!(open());
    assert_eq!(vps.ask(1, "/health", "").json()["status"], "degraded");
    vps.part(&["start", "stock"]);
    wait_for("the circuit to close", || ask().status == 200 && !open());
}

fn without_redis(vps: &Vps) {
    let token = vps.signed("ES256", &["sub=edith"]);
    let says = |status: &str| {
        let health = vps.admin(2, "/health").json();
        health["redis"]["status"] == status
    };
    wait_for("Redis to be used", || says("ok"));
    vps.part(&["stop", "redis"]);
    wait_for("the loss of Redis", || says("down"));
    assert_eq!(vps.ask(2, "/orders/7", &token).status, 200);
    vps.part(&["start", "redis"]);
    wait_for("Redis to be used again", || says("ok"));
}

fn edits(vps: &Vps) {
    let token = vps.signed("RS256", &["sub=ann"]);
    let edition = |gateway| vps.ask(gateway, "/stock/lamp", &token).json()["edition"].as_u64();
    vps.edit("edition: 1,", "edition: 2,");
    for gateway in [1, 2] {
        wait_for("the edit", || edition(gateway) == Some(2));
    }
    vps.edit("rate: 100/m", "rate: a lot");
    wait_for("the edit to be refused", || vps.admin(2, "/readyz").text().contains("a lot"));
    assert_eq!(edition(2), Some(2));
    vps.edit("rate: a lot", "rate: 100/m");
}

/// A hand-over, and a drain with an answer under way.
fn ends(vps: &Vps) {
    let before = vps.said("gateway-1.pid");
    vps.part(&["handover", "gateway-1"]);
    assert_ne!(vps.said("gateway-1.pid"), before);
    wait_for("the process before to end", || !Path::new("/proc").join(before.trim()).join("fd/0").exists());
    let token = vps.signed("RS256", &["sub=ann"]);
    wait_for("the issuer's keys", || vps.ask(1, "/stock/lamp", &token).status == 200);
    std::thread::scope(|scope| {
        let mut client = Client::connect(&vps.at(2));
        client.send(format!("GET /reports/long HTTP/1.1\r\nHost: vps\r\nX-Api-Key: {API_KEY}\r\n\r\n"));
        assert!(client.until("\r\n\r\n").starts_with("HTTP/1.1 200 "));
        let stopped = scope.spawn(|| vps.part(&["stop", "gateway-2"]));
        let (body, end) = client.drain();
        assert_eq!(body.len(), 20_480, "the whole report, and then {end:?}");
        assert!(matches!(end, End::Eof), "{end:?}");
        stopped.join().expect("it ends");
    });
    assert!(TcpListener::bind(vps.at(2)).is_ok(), "it listens no more");
}
