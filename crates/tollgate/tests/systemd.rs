//! What a supervisor is told, sockets that it passes, and the unit that is shipped.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use tollgate_testkit::{Client, Gateway, Output, Port, Signal, binary, wait_for, wait_some};

const HELLO: &str = "routes:\n  - { path: /*, respond: { body: hello } }\n";

/// Stands in for systemd's end of the protocol.
struct Manager {
    socket: UnixDatagram,
    _dir: tempfile::TempDir,
    place: String,
}

impl Manager {
    fn new() -> Manager {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
        Manager { socket, place: path.display().to_string(), _dir: dir }
    }

    /// The next message that is not about the watchdog.
    #[track_caller]
    fn next(&self) -> String {
        loop {
            let message = self.any();
            if message != "WATCHDOG=1" {
                return message;
            }
        }
    }

    #[track_caller]
    fn any(&self) -> String {
        let mut bytes = [0; 4096];
        let count = self.socket.recv(&mut bytes).expect("a message in time");
        String::from_utf8(bytes[..count].to_vec()).expect("text")
    }
}

/// The value of a field.
fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

#[test]
fn a_life_as_the_supervisor_hears_it() {
    let manager = Manager::new();
    let variables = [("NOTIFY_SOCKET", manager.place.as_str()), ("WATCHDOG_USEC", "400000")];
    let mut gateway = Gateway::start_under(binary!(), HELLO, &[], &variables);
    assert_eq!(field(&manager.next(), "READY"), Some("1"));
    for _ in 0..3 {
        assert_eq!(manager.any(), "WATCHDOG=1", "it lives");
    }
    gateway.signal(Signal::HUP);
    let reloading = manager.next();
    assert_eq!(field(&reloading, "RELOADING"), Some("1"));
    let at: u64 = field(&reloading, "MONOTONIC_USEC").and_then(|at| at.parse().ok()).expect("a time");
    assert!(at > 0);
    let reloaded = manager.next();
    assert_eq!(field(&reloaded, "READY"), Some("1"), "{reloaded}");
    gateway.replace_file("routes: [");
    assert_eq!(field(&manager.next(), "RELOADING"), Some("1"));
    let refused = manager.next();
    assert_eq!(field(&refused, "READY"), Some("1"), "{refused}");
    assert!(field(&refused, "STATUS").is_some_and(|status| status.contains("refused")), "{refused}");
    gateway.signal(Signal::TERM);
    let stopping = manager.next();
    assert_eq!(field(&stopping, "STOPPING"), Some("1"), "{stopping}");
    // The default grace, and some time to end.
    let longer: u64 = field(&stopping, "EXTEND_TIMEOUT_USEC").and_then(|at| at.parse().ok()).expect("a time");
    assert!(longer > 30_000_000, "{stopping}");
    assert_eq!(gateway.wait_exit().code(), Some(0));
}

/// After a hand-over the new process is the one to watch, and the old one is silent.
#[test]
fn a_hand_over_names_the_new_process() {
    let manager = Manager::new();
    let watched = "250000";
    let variables = [("NOTIFY_SOCKET", manager.place.as_str()), ("WATCHDOG_USEC", watched)];
    let mut gateway = Gateway::start_under(binary!(), HELLO, &[], &variables);
    assert_eq!(field(&manager.next(), "READY"), Some("1"));
    gateway.signal(Signal::USR2);
    let message = manager.next();
    let pid: i32 = field(&message, "MAINPID").and_then(|pid| pid.parse().ok()).expect(&message);
    assert_eq!(field(&message, "STATUS"), Some("serving; configuration 1"), "the new one's");
    let new = Pid::from_raw(pid).expect("a process id");
    // systemd does not wait for the end of a main process that is somebody else's child: a stop would kill it at once.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is there");
    let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)).expect("a parent");
    assert_ne!(parent, gateway.pid().to_string(), "the old process's child");
    assert!(gateway.is_running(), "the old process still drains");
    assert_eq!(gateway.wait_exit().code(), Some(0));
    assert_eq!(manager.any(), "WATCHDOG=1", "the new process is alive");
    kill_process(new, Signal::TERM).expect("it is there");
    // Nothing came from the old one: neither that it ends, nor anything else.
    assert_eq!(field(&manager.next(), "STOPPING"), Some("1"));
    wait_for("the end", || Client::try_connect(&gateway.address()).is_err());
}

/// A watchdog that is meant for another process is not this one's.
#[test]
fn a_watchdog_of_another_process() {
    let manager = Manager::new();
    let variables =
        [("NOTIFY_SOCKET", manager.place.as_str()), ("WATCHDOG_USEC", "50000"), ("WATCHDOG_PID", "1")];
    let mut gateway = Gateway::start_under(binary!(), HELLO, &[], &variables);
    assert_eq!(field(&manager.any(), "READY"), Some("1"));
    // Ten times its time.
    manager.socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout can be set");
    assert!(manager.socket.recv(&mut [0; 64]).is_err(), "nobody is told that it lives");
    manager.socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
    gateway.signal(Signal::TERM);
    assert_eq!(field(&manager.any(), "STOPPING"), Some("1"));
    assert_eq!(gateway.wait_exit().code(), Some(0));
}

/// A gateway that was given a listening socket as descriptor 3; it is killed when dropped.
struct Activated {
    child: Child,
    stderr: Output,
}

impl Activated {
    /// The shell gives the socket its number, and its own process id to the gateway, which is what systemd does.
    fn start(file: &Path, socket: OwnedFd, name: &str) -> Activated {
        let script = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" run -c \"$1\" 3<&0 </dev/null";
        let mut command = Command::new("sh");
        command.args(["-c", script, binary!()]).arg(file).env("LISTEN_FDNAMES", name);
        command.stdin(Stdio::from(socket)).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a shell");
        let stderr = Output::gather(child.stderr.take().expect("stderr is piped"));
        Activated { child, stderr }
    }

    #[track_caller]
    fn end(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it is there");
        let status =
            wait_some("the end", Duration::from_secs(10), || self.child.try_wait().expect("a child"));
        assert_eq!(status.code(), Some(0), "{}", self.stderr.text());
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lay(listeners: &str) -> (tempfile::TempDir, std::path::PathBuf, Port) {
    let dir = tempfile::tempdir().expect("a directory");
    let admin = Port::reserve();
    let text = format!(
        "listeners:\n  - address: \"{listeners}\"\nadmin: {{ address: \"{}\" }}\n{HELLO}",
        admin.address()
    );
    let file = dir.path().join("tollgate.yaml");
    fs::write(&file, text.replace("@DIR@", &dir.path().display().to_string())).expect("a file");
    (dir, file, admin)
}

/// The socket belongs to who passed it: whoever connects before the start and after the end waits for the next one.
#[test]
fn a_socket_that_was_passed() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address").to_string();
    let (_dir, file, _admin) = lay(&address);
    for _ in 0..3 {
        let mut early = Client::connect(&address);
        early.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        let mut gateway =
            Activated::start(&file, socket.try_clone().expect("a descriptor").into(), "web.socket");
        assert_eq!(early.response().text(), "hello");
        assert_eq!(Client::connect(&address).get("/").text(), "hello");
        gateway.end();
    }
}

/// A unix socket, whose file stays.
#[test]
fn a_unix_socket_that_was_passed() {
    let (dir, file, _admin) = lay("unix:@DIR@/t.sock");
    let path = dir.path().join("t.sock");
    let socket = UnixListener::bind(&path).expect("a socket");
    let mut gateway = Activated::start(&file, socket.try_clone().expect("a descriptor").into(), "");
    assert_eq!(Client::connect_unix(&path).get("/").text(), "hello");
    gateway.end();
    assert!(path.exists(), "it is not the gateway's");
}

/// Matched by the name of the descriptor, where its address is another than the configuration's.
#[test]
fn a_socket_with_a_name() {
    let socket = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = socket.local_addr().expect("an address").port();
    let address = format!("127.0.0.1:{port}");
    let (_dir, file, _admin) = lay(&address);
    let mut gateway = Activated::start(&file, socket.into(), &port.to_string());
    assert_eq!(Client::connect(&address).get("/").text(), "hello");
    gateway.end();
}

/// A socket that fits no listener is told about, and no reason not to start.
#[test]
fn a_socket_that_fits_nothing() {
    let listen = Port::reserve();
    let (_dir, file, _admin) = lay(&listen.address());
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut gateway = Activated::start(&file, socket.into(), "web");
    gateway.stderr.wait_line("fits no listener");
    wait_for("the gateway", || Client::try_connect(&listen.address()).is_ok());
    gateway.end();
}

/// The unit that is shipped, as systemd reads it. Where systemd is not installed, only what must stand in it is looked at.
#[test]
fn the_unit_is_one() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/systemd/tollgate.service");
    let text = fs::read_to_string(&unit).expect("the unit");
    for line in
        ["Type=notify", "NotifyAccess=main", "NoNewPrivileges=yes", "ProtectSystem=strict", "KillMode=mixed"]
    {
        assert!(text.lines().any(|given| given == line), "{line}");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let copy = dir.path().join("tollgate.service");
    // Where nothing is installed under its name, the binary of this build stands in.
    fs::write(&copy, text.replace("/usr/bin/tollgate", binary!())).expect("a copy");
    let Ok(output) = Command::new("systemd-analyze").arg("verify").arg(&copy).output() else {
        return eprintln!("systemd-analyze is not installed: the unit was not verified");
    };
    let told = String::from_utf8_lossy(&output.stderr);
    let about_it: Vec<&str> = told.lines().filter(|line| line.contains("tollgate.service")).collect();
    assert!(about_it.is_empty(), "{told}");
}
