//! Start and end: a bad file is refused before a port is bound, and a drain loses nothing.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;
use tollgate_testkit::behaviour::{self, response};
use tollgate_testkit::{
    Client, End, Fault, Gate, Gateway, Origin, PATIENCE, Port, Signal, assert_problem, binary, gateway, run,
    wait_for,
};

/// Runs `tollgate run` on this text to its end; it must refuse.
#[track_caller]
fn refused(text: &str) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("tollgate.yaml"), text).expect("a file");
    let ended = run(binary!(), dir.path(), &["run", "-c", "tollgate.yaml"], &[]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stdout.is_empty(), "the access log's place stays clean: {ended:#?}");
    ended.stderr
}

#[test]
fn a_bad_file_is_refused_before_a_port_is_bound() {
    // The port is taken: had the gateway tried to bind, that would be its complaint.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let stderr = refused(&format!(
        "listeners:\n  - address: \"{address}\"\nroutes:\n  - path: /a\n    too: http://127.0.0.1:1\n  - path: /b\n    to: nowhere\n"
    ));
    assert!(stderr.contains("too") && stderr.contains("nowhere"), "all errors in one run: {stderr}");
    assert!(stderr.contains("tollgate.yaml:5"), "file and line: {stderr}");
    assert!(!stderr.contains("cannot listen") && !stderr.contains("in use"), "{stderr}");
}

#[test]
fn an_empty_file_is_no_configuration() {
    for text in ["", "\n", "# nothing\n", "---\n", "routes: []\n"] {
        assert!(!refused(text).is_empty(), "{text:?}");
    }
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let admin = Port::reserve();
    let stderr = refused(&format!(
        "listeners:\n  - address: \"{address}\"\nadmin:\n  address: \"{}\"\nroutes:\n  - {{ path: /, respond: {{}} }}\n",
        admin.address()
    ));
    assert!(stderr.contains(&address), "{stderr}");
    let listen = Port::reserve();
    let stderr = refused(&format!(
        "listeners:\n  - address: \"{}\"\nadmin:\n  address: \"{address}\"\nroutes:\n  - {{ path: /, respond: {{}} }}\n",
        listen.address()
    ));
    assert!(stderr.contains(&address), "{stderr}");
}

#[test]
fn a_missing_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let ended = run(binary!(), dir.path(), &["run", "-c", "no-such.yaml"], &[]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("no-such.yaml"), "{ended:#?}");
}

#[test]
fn both_signals_end_an_idle_gateway() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut gateway = gateway!("routes:\n  - { path: /, respond: { body: x } }\n");
        let mut idle = gateway.client();
        assert_eq!(idle.get("/").status, 200);
        gateway.signal(signal);
        assert_eq!(gateway.wait_exit().code(), Some(0));
        idle.assert_closed_cleanly();
        assert!(Client::try_connect(&gateway.address()).is_err());
        assert_eq!(gateway.stdout().records().len(), 1, "the access log is flushed");
    }
}

fn draining(origin: &Origin, shutdown: &str) -> Gateway {
    let text = format!("shutdown: {{ {shutdown} }}\nroutes:\n  - {{ path: /*, to: @ORIGIN@ }}\n");
    gateway!(&text, ORIGIN = origin.url())
}

#[test]
fn a_drain_step_by_step() {
    let gate = Gate::new();
    let theirs = gate.clone();
    let origin = Origin::start(move |conn| {
        loop {
            let seen = conn.request()?;
            if seen.target() == "/slow" {
                theirs.wait();
            }
            conn.send(response(200, seen.target().as_bytes()))?;
        }
    });
    let mut gateway = draining(&origin, "delay: 1500ms, grace: 8s");
    let mut flying = gateway.client();
    flying.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut idle = gateway.client();
    assert_eq!(idle.get("/before").header("connection"), None);
    origin.wait_requests(2);
    gateway.signal(Signal::TERM);
    // Readiness fails at once, while the public side goes on until the delay is over.
    wait_for("readiness to fail", || gateway.admin("/readyz").status == 503);
    let ready = gateway.readyz();
    assert_eq!((&ready["ready"], &ready["draining"]), (&json!(false), &json!(true)), "{ready}");
    assert_eq!(gateway.admin("/livez").status, 200);
    let fresh = gateway.get("/fresh");
    assert_eq!((fresh.text().as_str(), fresh.header("connection")), ("/fresh", Some("close")));
    let refused = gateway.client().exchange("BREW /x HTTP/1.1\r\n\r\n");
    assert_eq!((refused.status, refused.header("connection")), (400, Some("close")));
    let kept = idle.get("/kept");
    assert_eq!((kept.text().as_str(), kept.header("connection")), ("/kept", Some("close")));
    idle.assert_closed_cleanly();
    wait_for("accepting to stop", || Client::try_connect(&gateway.address()).is_err());
    assert!(gateway.is_running(), "a request is still in flight");
    gate.open();
    let flown = flying.response();
    assert_eq!((flown.text().as_str(), flown.header("connection")), ("/slow", Some("close")));
    flying.assert_closed_cleanly();
    assert_eq!(gateway.wait_exit().code(), Some(0));
    assert_eq!(gateway.stdout().records().len(), 5, "{}", gateway.stdout().text());
}

#[test]
fn bodies_in_flight_are_finished() {
    let gate = Gate::new();
    let theirs = gate.clone();
    let origin = Origin::start(move |conn| {
        let seen = conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")?;
        theirs.wait();
        conn.send(format!("{:x}\r\n{}\r\n0\r\n\r\n", seen.target().len(), seen.target()))
    });
    let mut gateway = draining(&origin, "delay: 0s, grace: 8s");
    let mut down = gateway.client();
    down.send("GET /down HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(down.until("half").starts_with("HTTP/1.1 200"));
    let mut up = gateway.client();
    up.send("POST /up HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello");
    origin.wait_requests(2);
    gateway.signal(Signal::TERM);
    wait_for("accepting to stop", || Client::try_connect(&gateway.address()).is_err());
    gate.open();
    up.send("world");
    assert_eq!(up.response().text(), "half/up");
    let (rest, end) = down.drain();
    assert!(String::from_utf8_lossy(&rest).contains("/down\r\n0\r\n\r\n"), "{rest:?}");
    assert_eq!(end, End::Eof);
    assert_eq!(gateway.wait_exit().code(), Some(0));
}

/// The record of an answer that is cut in its middle says how far it came: one of a service, and one of the gateway's own.
#[test]
fn the_record_of_an_answer_that_is_cut_is_whole() {
    let origin = Origin::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")?;
        behaviour::hang(conn)
    });
    let large = "x".repeat(16 << 20);
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("large"), &large).expect("a file");
    let text = "
shutdown: { delay: 0s, grace: 500ms }
routes:
  - { path: /large, respond: { file: @FILES@/large } }
  - { path: /*, to: @ORIGIN@ }
";
    let mut gateway = gateway!(text, ORIGIN = origin.url(), FILES = dir.path().display());
    let (mut client, mut slow) = (gateway.client(), gateway.client());
    client.send("GET /half HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(client.until("half").starts_with("HTTP/1.1 200"));
    slow.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(slow.until("xxxx").starts_with("HTTP/1.1 200"));
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait_exit().code(), Some(0));
    let records = gateway.stdout().records();
    let record = |path: &str| records.iter().find(|record| record["path"] == path).expect("a record");
    let half = record("/half");
    assert_eq!((&half["reason"], &half["bytes_out"]), (&json!("draining"), &json!(4)), "{half}");
    assert!(half["upstream_ms"].as_f64().is_some_and(|spent| spent > 0.0), "{half}");
    let cut = record("/large");
    assert!(cut["bytes_out"].as_u64().is_some_and(|bytes| (4..large.len() as u64).contains(&bytes)), "{cut}");
}

/// What is left when the grace is over is cut; that is logged, and still a success.
#[test]
fn the_grace_has_an_end() {
    let origin = Origin::start(behaviour::hang);
    let mut gateway = draining(&origin, "delay: 0s, grace: 500ms");
    let mut client = gateway.client();
    client.send("GET /stuck HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.wait_requests(1);
    let begin = Instant::now();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait_exit().code(), Some(0));
    assert!(begin.elapsed() > Duration::from_millis(400) && begin.elapsed() < Duration::from_secs(5));
    match client.try_response() {
        Ok(answer) => assert_problem(&answer, "draining"),
        Err(Fault::Eof | Fault::Reset) => {}
        other => panic!("{other:?}"),
    }
    let log = gateway.stderr().text().to_lowercase();
    assert!(log.contains("cut"), "the cut request is logged: {log}");
    let records = gateway.stdout().records();
    assert!(records.iter().any(|record| record["path"] == "/stuck"), "and has its record: {records:?}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let origin = Origin::start(behaviour::hang);
    let mut gateway = draining(&origin, "delay: 30s, grace: 30s");
    let mut client = gateway.client();
    client.send("GET /stuck HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.wait_requests(1);
    gateway.signal(Signal::TERM);
    wait_for("readiness to fail", || gateway.admin("/readyz").status == 503);
    let begin = Instant::now();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait_exit().code(), Some(1));
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

/// Whoever asks for more than the end is told that there is nothing else to come.
#[test]
fn a_drain_says_what_it_does_not_do() {
    let origin = Origin::start(behaviour::hang);
    let mut gateway = draining(&origin, "delay: 30s, grace: 30s");
    gateway.signal(Signal::TERM);
    wait_for("readiness to fail", || gateway.admin("/readyz").status == 503);
    for (signal, line) in [
        (Signal::HUP, "SIGHUP: draining, the configuration stays as it is"),
        (Signal::USR2, "SIGUSR2: draining, no process is started"),
    ] {
        gateway.signal(signal);
        gateway.stderr().wait_line(line);
    }
    assert!(gateway.is_running(), "neither of them is a second signal to end");
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait_exit().code(), Some(1));
}

/// As behind a load balancer: new connections until readiness fails, kept ones until they are told to close.
/// Not one request is lost.
#[test]
fn a_drain_under_load_loses_nothing() {
    let origin = Origin::ok();
    let mut gateway = draining(&origin, "delay: 800ms, grace: 5s");
    let address = gateway.address();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let mut client = Client::connect(&address);
            std::thread::spawn(move || {
                let mut served = 0_usize;
                loop {
                    let answer = client.get("/load");
                    assert_eq!(answer.text(), "ok");
                    served += 1;
                    if answer.header("connection") == Some("close") {
                        return served;
                    }
                }
            })
        })
        .collect();
    wait_for("some load", || origin.count() > 100);
    gateway.signal(Signal::TERM);
    let served: usize = threads.into_iter().map(|thread| thread.join().expect("no request was lost")).sum();
    assert_eq!(gateway.wait_exit().code(), Some(0));
    assert_eq!(origin.count(), served);
    let records = gateway.stdout().records();
    assert_eq!(records.len(), served, "every request has its record");
}

/// A log that nobody reads holds up neither requests nor the end.
#[test]
fn a_stalled_log_reader() {
    let mut gateway =
        Gateway::start_unread(binary!(), "routes:\n  - { path: /*, respond: { body: hello } }\nworkers: 1\n");
    let mut client = gateway.client();
    let path = format!("/{}", "a".repeat(2_000));
    let begin = Instant::now();
    for _ in 0..3_000 {
        assert_eq!(client.get(&path).status, 200);
    }
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?} for 3,000 requests", begin.elapsed());
    wait_for("records to be dropped and counted", || {
        gateway.metrics().sum("tollgate_log_dropped_total", &[]) > 0.0
    });
    let counted = gateway.metrics().sum("tollgate_log_dropped_total", &[]);
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait_exit().code(), Some(0));
    // What is lost on the way to the end is in no scrape.
    let line = gateway.stderr().wait_line("access records were lost since the start");
    let told = line.split("records=").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
    assert!(told.is_some_and(|told| told >= counted), "{line}; {counted} were counted before");
}

/// Sends requests until one has no answer; the number of those that had one.
#[track_caller]
fn serve_until_the_log_is_full(client: &mut Client) -> usize {
    const MOST: usize = 10_000;
    client.set_patience(Duration::from_secs(1));
    let request = format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "a".repeat(4_000));
    let answered = |_: &usize| {
        client.send(&request);
        client.try_response().is_ok()
    };
    let served = (0..MOST).take_while(answered).count();
    assert!((1..MOST).contains(&served), "{served} requests were served without room for a record");
    served
}

/// The same with `on_full: block`: requests wait until the log is read, and no record is lost.
#[test]
fn a_stalled_log_reader_that_is_waited_for() {
    let mut gateway = Gateway::start_unread(
        binary!(),
        "access_log: { on_full: block }\nroutes:\n  - { path: /*, respond: { body: hello } }\nworkers: 1\n",
    );
    let mut client = gateway.client();
    let mut served = serve_until_the_log_is_full(&mut client);
    gateway.read_stdout();
    client.set_patience(PATIENCE);
    assert_eq!(client.response().status, 200, "the one that waited");
    served += 1;
    wait_for("every record", || gateway.stdout().lines().len() == served);
    assert_eq!(gateway.metrics().sum("tollgate_log_dropped_total", &[]), 0.0);
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait_exit().code(), Some(0));
    assert_eq!(gateway.stdout().records().len(), served);
}

/// What a worker has counted stays counted while it waits: a counter that falls reads as a restart.
#[test]
fn the_counters_of_a_worker_that_waits_for_the_log() {
    let gateway = Gateway::start_unread(
        binary!(),
        "access_log: { on_full: block }\nworkers: 1\n\
         routes:\n  - { name: main, path: /*, respond: { body: hello } }\n",
    );
    let mut client = gateway.client();
    assert_eq!(client.get("/first").status, 200);
    let counted = |gateway: &Gateway| {
        let metrics = gateway.metrics();
        let of_route = ["route=\"main\""];
        let sums = ["tollgate_requests_total", "tollgate_request_duration_seconds_count"];
        sums.map(|name| metrics.sum(name, &of_route))
    };
    wait_for("the first request", || counted(&gateway) == [1.0; 2]);
    let missing = |gateway: &Gateway| {
        let paths = ["/api/v1/requests", "/api/v1/limits"];
        paths.map(|path| gateway.admin(path).json()["workers_missing"].clone())
    };
    assert_eq!(missing(&gateway), [0, 0]);
    let served = serve_until_the_log_is_full(&mut client);
    let stalled = counted(&gateway);
    assert!(stalled.iter().all(|count| *count >= 1.0), "{stalled:?} of {served}");
    assert_eq!(counted(&gateway), stalled, "also for the next one who asks");
    assert_eq!(missing(&gateway), [1, 1], "what it knows is not there, and that is said");
}

/// A log that is waited for holds up the requests, but not the end: after the grace nobody waits any more.
#[test]
fn a_stalled_log_reader_and_the_end() {
    let mut gateway = Gateway::start_unread(
        binary!(),
        "access_log: { on_full: block }\nshutdown: { grace: 200ms }\nworkers: 1\n\
         routes:\n  - { path: /*, respond: { body: hello } }\n",
    );
    serve_until_the_log_is_full(&mut gateway.client());
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait_exit().code(), Some(0));
}

/// A unix socket as a listener; the path is free again afterwards.
#[test]
fn a_unix_listener() {
    let mut gateway = gateway!(
        "listeners:\n  - address: \"unix:@DIR@/t.sock\"\nroutes:\n  - { path: /, respond: { body: \"via unix\" } }\n"
    );
    let path = gateway.dir().join("t.sock");
    assert_eq!(Client::connect_unix(&path).get("/").text(), "via unix");
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait_exit().code(), Some(0));
    assert!(!path.exists(), "the socket is cleaned up");
}

/// A socket left behind by a crash is no reason not to start.
#[test]
fn a_stale_unix_socket() {
    let text =
        "listeners:\n  - address: \"unix:@DIR@/t.sock\"\nroutes:\n  - { path: /, respond: { body: x } }\n";
    let dir = tempfile::tempdir().expect("a directory");
    let stale = dir.path().join("t.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).expect("a socket"));
    let (listen, admin) = (Port::reserve(), Port::reserve());
    let file = dir.path().join("tollgate.yaml");
    let full = format!("admin:\n  address: \"{}\"\n{text}", admin.address());
    std::fs::write(&file, full.replace("@DIR@", &dir.path().display().to_string())).expect("a file");
    let gateway = Gateway::spawn_file(binary!(), dir, file, listen, admin);
    wait_for("readiness", || {
        Client::try_connect(&gateway.admin_address()).is_ok() && gateway.admin("/readyz").status == 200
    });
    assert_eq!(Client::connect_unix(&stale).get("/").text(), "x");
}

/// Several listeners, IPv6 among them.
#[test]
fn several_listeners() {
    let second = Port::reserve();
    let text = format!(
        "listeners:\n  - address: \"@LISTEN@\"\n  - address: \"[::1]:{}\"\nroutes:\n  - {{ path: /, respond: {{ body: \"{{client_ip}}\" }} }}\n",
        second.number()
    );
    let gateway = gateway!(&text);
    assert_eq!(gateway.get("/").text(), "127.0.0.1");
    assert_eq!(Client::connect(&format!("[::1]:{}", second.number())).get("/").text(), "::1");
}
