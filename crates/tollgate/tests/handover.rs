//! SIGUSR2: another process takes over, and nobody who connects notices.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, kill_process, test_kill_process};
use tollgate_testkit::behaviour::response;
use tollgate_testkit::{
    Client, End, Gate, Gateway, Origin, Signal, assert_holds, binary, gateway, wait_for, wait_some,
};

/// A process that took over; it is killed when dropped.
struct Successor(Pid);

impl Successor {
    /// The one after `earlier` others.
    #[track_caller]
    fn of(gateway: &Gateway, earlier: usize) -> Successor {
        let told = || {
            let lines = gateway.stderr().lines();
            let mut told = lines.iter().filter_map(|line| line.split("handed over to process ").nth(1));
            told.nth(earlier).and_then(|rest| rest.split(':').next()?.parse().ok())
        };
        let pid: i32 = wait_some("a process to take over", Duration::from_secs(30), told);
        Successor(Pid::from_raw(pid).expect("a process id"))
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.0, signal).expect("the successor can be signalled");
    }

    fn is_running(&self) -> bool {
        // One that ended and that nobody has waited for is still there, as a zombie.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.as_raw_nonzero())).unwrap_or_default();
        let state = stat.rsplit(')').next().unwrap_or_default().trim_start().chars().next();
        test_kill_process(self.0).is_ok() && state.is_some_and(|state| state != 'Z')
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if self.is_running() {
            let _ = kill_process(self.0, Signal::KILL);
        }
    }
}

const HELLO: &str = "workers: 2\nroutes:\n  - { path: /*, respond: { body: hello } }\n";

/// Clients with kept connections and with one for each request, over several hand-overs: every request is answered.
/// `TOLLGATE_HANDOVERS=50` makes it many.
#[test]
fn hand_overs_under_load_lose_nothing() {
    let rounds = std::env::var("TOLLGATE_HANDOVERS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let origin = Origin::ok();
    let mut gateway =
        gateway!("workers: 2\nroutes:\n  - { path: /*, to: @ORIGIN@ }\n", ORIGIN = origin.url());
    let (over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let threads: Vec<_> = (0..8)
        .map(|index| {
            let (address, over, served) = (gateway.address(), over.clone(), served.clone());
            std::thread::spawn(move || {
                let mut client = Client::connect(&address);
                while !over.load(Ordering::Relaxed) {
                    let answer = client.get("/load");
                    assert_eq!(answer.text(), "ok");
                    served.fetch_add(1, Ordering::Relaxed);
                    if index % 2 == 0 || answer.header("connection") == Some("close") {
                        client = Client::connect(&address);
                    }
                }
            })
        })
        .collect();
    let mut successors: Vec<Successor> = Vec::new();
    for round in 0..rounds {
        let before = served.load(Ordering::Relaxed);
        wait_for("some load", || served.load(Ordering::Relaxed) > before + 100);
        match successors.last() {
            None => gateway.signal(Signal::USR2),
            Some(last) => last.signal(Signal::USR2),
        }
        successors.push(Successor::of(&gateway, round));
        if round == 0 {
            assert_eq!(gateway.wait_exit().code(), Some(0), "the first process drains and ends");
        } else {
            wait_for("the old process to end", || !successors[round - 1].is_running());
        }
    }
    over.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().expect("no request was lost"));
    assert_eq!(origin.count(), served.load(Ordering::Relaxed), "each reached the origin once");
    let last = successors.last().expect("at least one");
    assert!(last.is_running());
    last.signal(Signal::TERM);
    wait_for("the last one to end", || !last.is_running());
    assert!(Client::try_connect(&gateway.address()).is_err());
}

/// What is under way when another process takes over ends where it began; an idle connection is served once more.
#[test]
fn what_is_under_way_stays_where_it_is() {
    let gate = Gate::new();
    let theirs = gate.clone();
    let origin = Origin::start(move |conn| {
        loop {
            let seen = conn.request()?;
            if seen.target() == "/slow" {
                conn.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")?;
                theirs.wait();
                conn.send("done")?;
            } else {
                conn.send(response(200, seen.target().as_bytes()))?;
            }
        }
    });
    let text = "shutdown: { grace: 20s }\nroutes:\n  - { path: /*, to: @ORIGIN@ }\n";
    let mut gateway = gateway!(text, ORIGIN = origin.url());
    let mut idle = gateway.client();
    assert_eq!(idle.get("/one").text(), "/one");
    let mut slow = gateway.client();
    slow.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(slow.until("half").starts_with("HTTP/1.1 200"));
    gateway.signal(Signal::USR2);
    let successor = Successor::of(&gateway, 0);
    assert_eq!(gateway.get("/two").text(), "/two");
    assert!(gateway.is_running(), "a request is under way");
    let again = idle.get("/three");
    assert_eq!((again.text().as_str(), again.header("connection")), ("/three", Some("close")));
    idle.assert_closed_cleanly();
    gate.open();
    let (rest, end) = slow.drain();
    assert_eq!((rest.as_slice(), end), (&b"done"[..], End::Eof));
    assert_eq!(gateway.wait_exit().code(), Some(0));
    assert_eq!(gateway.get("/four").text(), "/four");
    assert!(successor.is_running());
}

/// A tunnel is no request that ends soon: it lasts as long as the grace, and the other process serves meanwhile.
#[test]
fn a_tunnel_lasts_as_long_as_the_grace() {
    let origin = Origin::start(|conn| {
        let seen = conn.request()?;
        let accept = if seen.header("sec-websocket-key") == Some("dGhlIHNhbXBsZSBub25jZQ==") {
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        } else {
            "?"
        };
        conn.send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        ))?;
        conn.wait_end()
    });
    let text = "shutdown: { grace: 2s }\nroutes:\n  - { path: /*, to: @ORIGIN@ }\n";
    let mut gateway = gateway!(text, ORIGIN = origin.url());
    let mut tunnel = gateway.client();
    tunnel.send(
        "GET /chat HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert!(tunnel.until("\r\n\r\n").starts_with("HTTP/1.1 101"));
    gateway.signal(Signal::USR2);
    let _successor = Successor::of(&gateway, 0);
    tunnel.assert_silent(Duration::from_millis(1_200));
    assert!(gateway.is_running());
    assert_eq!(gateway.wait_exit().code(), Some(0));
    tunnel.assert_closed();
}

/// A new process that cannot serve leaves the old one as it was, and the next attempt is as good as the first.
#[test]
fn a_bad_configuration_leaves_the_old_process_serving() {
    let mut gateway = gateway!(HELLO);
    let good = fs::read_to_string(gateway.file()).expect("the file");
    gateway.replace_file("routes: [");
    gateway.signal(Signal::USR2);
    let line = gateway.stderr().wait_line("not replaced");
    assert!(line.contains("ended before it was ready: exit status: 1"), "{line}");
    assert_holds("the old one serves", Duration::from_millis(300), || gateway.get("/").text() == "hello");
    gateway.replace_file(&good);
    gateway.signal(Signal::USR2);
    let _successor = Successor::of(&gateway, 0);
    assert_eq!(gateway.wait_exit().code(), Some(0));
    assert_eq!(gateway.get("/").text(), "hello");
}

/// Replaces the file of a binary as a package does, by rename.
fn install(text: &str, at: &Path) {
    let fresh = at.with_extension("new");
    fs::write(&fresh, text).expect("a file");
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).expect("it can be run");
    fs::rename(&fresh, at).expect("it takes the place");
}

/// The binary is replaced by others that do not serve, then by one that does.
#[test]
fn a_broken_binary_leaves_the_old_process_serving() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("tollgate");
    fs::copy(binary!(), &path).expect("a copy of the binary");
    let mut gateway = Gateway::start(&path.display().to_string(), HELLO, &[]);
    for (round, (script, why)) in [
        ("#!/bin/sh\nexit 3\n", "exit status: 3"),
        ("#!/bin/sh\nkill -SEGV $$\n", "signal: 11"),
        ("no program at all", "cannot be started"),
    ]
    .into_iter()
    .enumerate()
    {
        install(script, &path);
        gateway.signal(Signal::USR2);
        let told =
            || gateway.stderr().lines().into_iter().filter(|line| line.contains("not replaced")).nth(round);
        let line = wait_some("the failure", Duration::from_secs(20), told);
        assert!(line.contains(why), "{line}");
        assert_eq!(gateway.get("/").text(), "hello");
    }
    fs::copy(binary!(), dir.path().join("fine")).expect("a copy of the binary");
    fs::rename(dir.path().join("fine"), &path).expect("it takes the place");
    gateway.signal(Signal::USR2);
    let _successor = Successor::of(&gateway, 0);
    assert_eq!(gateway.wait_exit().code(), Some(0));
    assert_eq!(gateway.get("/").text(), "hello");
}

/// A new process that never becomes ready does not keep the old one from ending, and ends with it.
#[test]
fn the_end_comes_before_the_hand_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("tollgate");
    fs::copy(binary!(), &path).expect("a copy of the binary");
    let mut gateway = Gateway::start(&path.display().to_string(), HELLO, &[]);
    let note = dir.path().join("pid");
    install(&format!("#!/bin/sh\necho $$ > {}\nexec sleep 1000\n", note.display()), &path);
    gateway.signal(Signal::USR2);
    let pid = wait_some("the new process", Duration::from_secs(20), || {
        fs::read_to_string(&note).ok()?.trim().parse::<i32>().ok()
    });
    let new = Successor(Pid::from_raw(pid).expect("a process id"));
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait_exit().code(), Some(0));
    assert!(!new.is_running(), "it went with the process that started it");
}

/// Unix sockets and the admin side go along; their files stay until the last process ends.
#[test]
fn unix_sockets_and_the_admin_side_go_along() {
    let text = "listeners:\n  - { address: \"@LISTEN@\" }\n  - { address: \"unix:@DIR@/t.sock\", mode: 600 }\n\
                routes:\n  - { path: /*, respond: { body: hello } }\n";
    let mut gateway = gateway!(text);
    let path = gateway.dir().join("t.sock");
    gateway.replace_file(&fs::read_to_string(gateway.file()).expect("the file").replace("hello", "again"));
    gateway.wait_generation(2);
    gateway.signal(Signal::USR2);
    let successor = Successor::of(&gateway, 0);
    assert_eq!(gateway.wait_exit().code(), Some(0));
    assert_eq!(Client::connect_unix(&path).get("/").text(), "again");
    assert_eq!(gateway.generation(), 1, "the admin side is the new process's");
    successor.signal(Signal::TERM);
    wait_for("the new one to end", || !successor.is_running());
    assert!(!path.exists(), "the socket is cleaned up");
}

/// The new process goes by the file as it is: other workers, and one listener less.
#[test]
fn another_configuration_takes_over() {
    for (workers, then) in [(1, 3), (3, 1)] {
        let text = format!(
            "workers: {workers}\nlisteners:\n  - {{ address: \"@LISTEN@\" }}\n  - {{ address: \"unix:@DIR@/t.sock\" }}\n\
             routes:\n  - {{ path: /*, respond: {{ body: hello }} }}\n"
        );
        let mut gateway = gateway!(&text);
        let path = gateway.dir().join("t.sock");
        let file = fs::read_to_string(gateway.file()).expect("the file");
        let other = file
            .replace(&format!("workers: {workers}"), &format!("workers: {then}"))
            .lines()
            .filter(|line| !line.contains("t.sock"))
            .collect::<Vec<_>>()
            .join("\n");
        // Left unread by the old process, which would close the listener itself.
        gateway.signal(Signal::STOP);
        gateway.replace_file(&other);
        gateway.signal(Signal::USR2);
        gateway.signal(Signal::CONT);
        let _successor = Successor::of(&gateway, 0);
        assert_eq!(gateway.wait_exit().code(), Some(0));
        for _ in 0..20 {
            assert_eq!(gateway.get("/").text(), "hello");
        }
        assert!(!path.exists(), "a listener that the new process does not have is closed");
    }
}
