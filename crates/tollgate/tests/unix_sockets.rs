//! Unix sockets on both sides: what others connect with and serve on, and who may connect.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use tollgate_testkit::{Client, Gateway, Nginx, Origin, gateway};

const LISTENER: &str = r#"
listeners:
  - { address: "@LISTEN@" }
  - { address: "unix:@DIR@/in.sock"@MODE@ }
trusted_proxies: []
routes:
  - { path: /ip, respond: { body: "[{client_ip}]" } }
  - { path: /narrow, allow_ips: [0.0.0.0/0, "::/0"], respond: { body: in } }
  - { path: /to/*, to: "@ORIGIN@" }
"#;

fn socket(gateway: &Gateway) -> std::path::PathBuf {
    gateway.dir().join("in.sock")
}

fn mode(path: &Path) -> u32 {
    let meta = std::fs::metadata(path).expect("the socket file is there");
    assert!(meta.file_type().is_socket());
    meta.mode() & 0o777
}

/// What curl prints of the body, for a request over a unix socket.
#[track_caller]
fn curl(socket: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--max-time", "10", "--unix-socket"])
        .arg(socket)
        .args(arguments);
    let output = command.output().expect("curl is there; `./dev test` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_service_and_a_client_of_another_make() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("nginx.sock");
    let lines = format!(
        "listen unix:{}; location / {{ return 200 \"$http_host $request_method $uri\"; }}",
        path.display()
    );
    let _nginx = Nginx::start(&lines);
    let gateway = gateway!(LISTENER, ORIGIN = format!("unix:{}", path.display()), MODE = "");
    let socket = socket(&gateway);
    assert_eq!(curl(&socket, &["http://test/ip"]), "[]", "a unix socket has no address");
    assert_eq!(curl(&socket, &["http://test/to/a%20b"]), "localhost GET /to/a b");
    let record = gateway.record(|record| record["path"] == "/to/a%20b");
    assert_eq!(
        (record["client"].is_null(), record["target"].as_str()),
        (true, Some(format!("unix:{}", path.display()).as_str()))
    );
    assert_eq!(curl(&socket, &["-o", "/dev/null", "-w", "%{http_code}", "http://test/narrow"]), "403");
    // Several requests on one connection, and a body that does not fit into a socket's buffer.
    let two = curl(&socket, &["http://test/to/1", "http://test/to/2", "-w", ";%{num_connects}\n"]);
    assert_eq!(two, "localhost GET /to/1;1\nlocalhost GET /to/2;0\n");
}

#[test]
fn bodies_in_both_directions() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let origin = Origin::start_unix(&dir.path().join("origin.sock"), tollgate_testkit::behaviour::echo);
    let gateway = gateway!(LISTENER, ORIGIN = origin.url(), MODE = "");
    let mut client = Client::connect_unix(&socket(&gateway));
    for size in [0, 1, 100_000, 3_000_000] {
        let body = "x".repeat(size);
        let head = format!("POST /to/body HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n");
        let response = client.exchange([head.as_bytes(), body.as_bytes()].concat());
        assert_eq!((response.status, origin.last().body_bytes), (200, size as u64));
    }
    assert!(origin.last().header("x-forwarded-for").is_none(), "there is no address to forward");
}

#[test]
fn behind_nginx_on_the_same_machine() {
    let origin = Origin::ok();
    let text = LISTENER.replace("@ORIGIN@", &origin.url()).replace("@MODE@", "");
    let gateway = gateway!(&text);
    let pass = format!("location / {{ proxy_pass http://unix:{}:; }}", socket(&gateway).display());
    let nginx = Nginx::start(&pass);
    let mut client = Client::connect(&nginx.address());
    for _ in 0..3 {
        assert_eq!(client.get("/to/x").text(), "ok");
    }
    assert_eq!(origin.count(), 3);
}

#[test]
fn who_may_connect_the_mode_says() {
    let origin = Origin::ok();
    let open = gateway!(LISTENER, ORIGIN = origin.url(), MODE = "");
    // What the umask leaves of 777.
    let probe = open.dir().join("probe.sock");
    let _probe = std::os::unix::net::UnixListener::bind(&probe).expect("a socket can be bound");
    assert_eq!(mode(&socket(&open)), mode(&probe));

    let gateway = gateway!(LISTENER, ORIGIN = origin.url(), MODE = ", mode: 600");
    assert_eq!(mode(&socket(&gateway)), 0o600);
    assert_eq!(Client::connect_unix(&socket(&gateway)).get("/to/x").text(), "ok");
    let mut old = Client::connect_unix(&socket(&gateway));
    assert_eq!(old.get("/to/x").text(), "ok");
    let names = [("ORIGIN", origin.url()), ("MODE", ", mode: \"0666\"".to_owned())];
    gateway.replace_file(&gateway.complete(LISTENER, &names));
    gateway.wait_generation(2);
    assert_eq!(mode(&socket(&gateway)), 0o666, "a reload changes it");
    assert_eq!(old.get("/to/x").text(), "ok", "and nothing else");
}
