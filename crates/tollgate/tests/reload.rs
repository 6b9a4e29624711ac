//! A changed file becomes the running configuration, all of it or nothing, and no request notices.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tollgate_testkit::{
    Client, Closed, Fault, Gate, Gateway, Origin, Port, Signal, assert_holds, behaviour, binary, gateway,
    pause, wait_for,
};

/// A configuration whose prefixes are valid too: `/last` stands at its end, so a prefix that was acted on shows
/// as a 404.
fn numbered(number: usize) -> String {
    format!(
        "listeners:\n  - address: \"@LISTEN@\"\nadmin:\n  address: \"@ADMIN@\"\nroutes:\n\
         \x20 - path: /number\n    respond:\n      body: \"{number}\"\n\
         \x20 - path: /middle\n    respond:\n      body: middle\n\
         \x20 - path: /last\n    respond:\n      body: last\n"
    )
}

#[track_caller]
fn wait_number(gateway: &Gateway, number: usize) {
    wait_for("the new configuration", || gateway.get("/number").text() == number.to_string());
}

#[test]
fn ways_to_change_a_file() {
    let gateway = gateway!(&numbered(1));
    let file = gateway.file().to_owned();
    let text = |n| gateway.complete(&numbered(n), &[]);
    assert_eq!(gateway.generation(), 1);
    gateway.replace_file(&text(2));
    wait_number(&gateway, 2);
    fs::write(&file, text(3)).expect("written in place");
    wait_number(&gateway, 3);
    // Removed and made anew, as some editors do.
    fs::remove_file(&file).expect("removed");
    fs::write(&file, text(4)).expect("made anew");
    wait_number(&gateway, 4);
    // A backup by rename, then a new file under the old name, as vim does.
    fs::rename(&file, file.with_extension("yaml~")).expect("moved away");
    fs::write(&file, text(5)).expect("made anew");
    wait_number(&gateway, 5);
    gateway.replace_file(&text(6));
    gateway.signal(Signal::HUP);
    wait_number(&gateway, 6);
    let ready = gateway.readyz();
    assert_eq!((&ready["ready"], &ready["last_reload"]["ok"]), (&json!(true), &json!(true)), "{ready}");
    assert!(ready["last_reload"]["at"].is_string(), "{ready}");
    assert!(ready["generation"].as_u64() >= Some(6), "{ready}");
    assert!(gateway.metrics().get("tollgate_config_reloads_total{result=\"ok\"}") >= 5.0);
    assert_eq!(
        gateway.metrics().get("tollgate_config_generation"),
        ready["generation"].as_f64().unwrap_or_default()
    );
}

/// A file that is being written is not acted on, wherever the writer pauses, also when a signal asks for it.
#[test]
fn a_half_written_file_is_never_acted_on() {
    let gateway = gateway!(&numbered(1));
    let text = gateway.complete(&numbered(2), &[]);
    let cuts: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    let places = [0, cuts[4], cuts[7], cuts[9], cuts[10], text.len() - 1];
    for (round, cut) in places.into_iter().enumerate() {
        let number = round + 2;
        let text = gateway.complete(&numbered(number), &[]);
        let mut file = File::create(gateway.file()).expect("truncated in place");
        file.write_all(&text.as_bytes()[..cut]).expect("the first part");
        file.sync_all().expect("on its way");
        if round % 2 == 1 {
            gateway.signal(Signal::HUP);
        }
        assert_holds("the old configuration", Duration::from_millis(600), || {
            gateway.get("/last").text() == "last" && gateway.get("/number").text() == (number - 1).to_string()
        });
        file.write_all(&text.as_bytes()[cut..]).expect("the rest");
        drop(file);
        wait_number(&gateway, number);
    }
}

/// Written by two programs one right after the other, as `a > f; b >> f` does: between them the file is closed
/// and holds a prefix.
#[test]
fn a_file_written_in_two_goes() {
    let gateway = gateway!(&numbered(1));
    let text = gateway.complete(&numbered(2), &[]);
    let cut = text.find("  - path: /middle").expect("the second route");
    let held = || gateway.get("/last").text() == "last";
    fs::write(gateway.file(), &text[..cut]).expect("the first go");
    pause(Duration::from_millis(20));
    let mut file = File::options().append(true).open(gateway.file()).expect("opened again");
    file.write_all(&text.as_bytes()[cut..]).expect("the second go");
    drop(file);
    wait_for("the new configuration", || {
        assert!(held(), "the prefix was acted on");
        gateway.get("/number").text() == "2"
    });
}

/// What Kubernetes does with a ConfigMap: the file is a link through a directory link that is swapped.
#[test]
fn a_config_map() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().to_owned();
    let (listen, admin) = (Port::reserve(), Port::reserve());
    let (address, admin_address) = (listen.address(), admin.address());
    let lay = move |version: usize| {
        let folder = root.join(format!("..v{version}"));
        fs::create_dir(&folder).expect("a version's directory");
        let text = numbered(version).replace("@LISTEN@", &address).replace("@ADMIN@", &admin_address);
        fs::write(folder.join("tollgate.yaml"), text).expect("a version's file");
        symlink(format!("..v{version}"), root.join("..data_tmp")).expect("a link");
        fs::rename(root.join("..data_tmp"), root.join("..data")).expect("the swap");
        if version > 1 {
            fs::remove_dir_all(root.join(format!("..v{}", version - 1))).expect("the old version goes");
        }
    };
    lay(1);
    let file = dir.path().join("tollgate.yaml");
    symlink("..data/tollgate.yaml", &file).expect("a link");
    let gateway = Gateway::spawn_file(binary!(), dir, file, listen, admin);
    wait_for("the gateway", || Client::try_connect(&gateway.address()).is_ok());
    wait_number(&gateway, 1);
    for version in 2..5 {
        lay(version);
        wait_number(&gateway, version);
    }
}

#[test]
fn an_included_file() {
    let gateway =
        gateway!("include: [\"@DIR@/r*.yaml\"]\nroutes:\n  - { path: /main, respond: { body: main } }\n");
    assert_eq!(gateway.get("/more").status, 404);
    let one = gateway.dir().join("r1.yaml");
    fs::write(&one, "routes:\n  - { path: /more, respond: { body: one } }\n").expect("an included file");
    gateway.signal(Signal::HUP);
    wait_for("the new file", || gateway.get("/more").text() == "one");
    fs::write(&one, "routes:\n  - { path: /more, respond: { body: two } }\n").expect("a change");
    wait_for("the change of an included file", || gateway.get("/more").text() == "two");
    assert_eq!(gateway.get("/main").text(), "main");
}

#[test]
fn a_bad_file_changes_nothing() {
    let gateway = gateway!(&numbered(1));
    let bad = [
        gateway.complete(&numbered(2), &[]).replace("respond:", "respnd:"),
        "routes: [".to_owned(),
        String::new(),
        gateway.complete("routes:\n  - { path: /x, to: nowhere }\n", &[]),
        gateway.complete("routes:\n  - { path: /x, to: '${NO_SUCH_VARIABLE}' }\n", &[]),
    ];
    for (round, text) in bad.iter().enumerate() {
        gateway.replace_file(text);
        wait_for("the rejection", || {
            gateway.metrics().get("tollgate_config_reloads_total{result=\"rejected\"}") > round as f64
        });
        let ready = gateway.admin("/readyz");
        assert_eq!(ready.status, 200, "a bad file does not make the gateway unready");
        let ready = ready.json();
        assert_eq!(ready["ready"], true);
        assert_eq!(ready["generation"], 1);
        assert_eq!(ready["last_reload"]["ok"], false);
        assert!(
            ready["last_reload"]["errors"].as_array().is_some_and(|errors| !errors.is_empty()),
            "{ready}"
        );
        assert_eq!(gateway.get("/number").text(), "1");
        assert_eq!(gateway.get("/last").text(), "last");
    }
    gateway.stderr().wait_line("respnd");
    gateway.stderr().wait_line("NO_SUCH_VARIABLE");
    gateway.replace_file(&gateway.complete(&numbered(3), &[]));
    wait_number(&gateway, 3);
    assert_eq!(gateway.readyz()["last_reload"]["ok"], true);
}

#[test]
fn a_file_that_is_gone_changes_nothing() {
    let gateway = gateway!(&numbered(1));
    fs::remove_file(gateway.file()).expect("removed");
    wait_for("the report", || gateway.readyz()["last_reload"]["ok"] == false);
    assert_eq!(gateway.get("/last").text(), "last");
    fs::write(gateway.file(), gateway.complete(&numbered(2), &[])).expect("back again");
    wait_number(&gateway, 2);
}

/// All or nothing: a listener that cannot be bound leaves the old routes too.
#[test]
fn a_listener_that_cannot_be_bound_changes_nothing() {
    let gateway = gateway!(&numbered(1));
    let taken = Origin::ok();
    let text = numbered(2).replace(
        "  - address: \"@LISTEN@\"\n",
        &format!("  - address: \"@LISTEN@\"\n  - address: \"{}\"\n", taken.address()),
    );
    gateway.replace_file(&gateway.complete(&text, &[]));
    wait_for("the rejection", || gateway.readyz()["last_reload"]["ok"] == false);
    let error = gateway.readyz()["last_reload"]["errors"][0].clone();
    let file = gateway.file().display().to_string();
    assert_eq!((&error["code"], &error["file"]), (&json!("not_applied"), &json!(file)), "{error}");
    assert_eq!(gateway.get("/number").text(), "1");
    assert_eq!(gateway.generation(), 1);
}

/// Nor does it leave a file where it would have listened: neither after a reload nor after a start.
#[test]
fn a_unix_listener_that_is_not_used_leaves_no_file() {
    let gateway = gateway!(&numbered(1));
    let socket = gateway.dir().join("new.sock");
    let first = "  - address: \"@LISTEN@\"\n";
    let taken = Origin::ok();
    let beside = |more: &str| {
        let listeners = format!("{first}  - address: \"unix:@DIR@/new.sock\"\n{more}");
        gateway.complete(&numbered(2).replace(first, &listeners), &[])
    };
    for (n, wrong) in [
        beside(&format!("  - address: \"{}\"\n", taken.address())),
        beside("access_log: { sink: file, path: @DIR@/not/there.log }\n"),
    ]
    .iter()
    .enumerate()
    {
        gateway.replace_file(wrong);
        let rejected = "tollgate_config_reloads_total{result=\"rejected\"}";
        wait_for("the rejection", || gateway.metrics().get(rejected) > n as f64);
        assert!(!socket.exists(), "{wrong}");
    }
    let mut refused = Gateway::spawn(
        binary!(),
        "listeners:\n  - address: \"unix:@DIR@/new.sock\"\n  - address: \"@TAKEN@\"\n\
         routes:\n  - { path: /*, respond: { body: x } }\n",
        &[("TAKEN", taken.address())],
    );
    assert_eq!(refused.wait_exit().code(), Some(1));
    assert!(!refused.dir().join("new.sock").exists());
    gateway.replace_file(&beside(""));
    wait_number(&gateway, 2);
    assert_eq!(Client::connect_unix(&socket).get("/number").text(), "2");
}

const PROXY: &str = "
workers: 1
upstreams:
  u: { targets: [@ORIGIN@] }
routes:
  - { path: /*, to: u, response: { set_headers: { x-plan: \"@PLAN@\" } } }
";

#[test]
fn in_flight_finishes_on_the_old_plan() {
    let gate = Gate::new();
    let origin = Origin::start(behaviour::gated(&gate, "done"));
    let gateway = gateway!(PROXY, ORIGIN = origin.url(), PLAN = "old");
    let mut waiting = gateway.client();
    waiting.send("GET /flight HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.wait_requests(1);
    let names = [("ORIGIN", origin.url()), ("PLAN", "new".to_owned())];
    gateway.replace_file(&gateway.complete(PROXY, &names));
    gateway.wait_generation(2);
    gate.open();
    let flown = waiting.response();
    assert_eq!(flown.header("x-plan"), Some("old"));
    assert_eq!(gateway.record_of("/flight")["generation"], 1);
    // The same connection goes on, with the new plan.
    let next = waiting.get("/next");
    assert_eq!(next.header("x-plan"), Some("new"));
    assert_eq!(gateway.record_of("/next")["generation"], 2);
}

/// What has not changed keeps living: the pool of the same upstream is not thrown away.
#[test]
fn a_pool_survives() {
    let origin = Origin::ok();
    let gateway = gateway!(PROXY, ORIGIN = origin.url(), PLAN = "1");
    assert_eq!(gateway.get("/").status, 200);
    for plan in 2..5 {
        let names = [("ORIGIN", origin.url()), ("PLAN", plan.to_string())];
        gateway.replace_file(&gateway.complete(PROXY, &names));
        gateway.wait_generation(plan);
        assert_eq!(gateway.get("/").header("x-plan"), Some(plan.to_string().as_str()));
    }
    assert_eq!(origin.connections().len(), 1);
    let total = gateway.metrics().sum("tollgate_upstream_requests_total", &["upstream=\"u\""]);
    assert_eq!(total, 4.0, "counters survive as well");
}

/// Nobody can use the connections of an upstream that is gone: they are closed, also those that were busy.
#[test]
fn the_pool_of_a_removed_upstream() {
    let gate = Gate::new();
    let (idle, busy) = (Origin::ok(), Origin::start(behaviour::gated(&gate, "late")));
    let gateway = gateway!(
        "routes:\n  - { path: /idle, to: @IDLE@ }\n  - { path: /busy, to: @BUSY@ }\n",
        IDLE = idle.url(),
        BUSY = busy.url()
    );
    assert_eq!(gateway.get("/idle").text(), "ok");
    let mut client = gateway.client();
    client.send("GET /busy HTTP/1.1\r\nHost: test\r\n\r\n");
    busy.wait_requests(1);
    gateway.replace_file(&gateway.complete(&numbered(2), &[]));
    gateway.wait_generation(2);
    assert_eq!(idle.wait_closed(0), Closed::ByPeer);
    gate.open();
    assert_eq!(client.response().text(), "late");
    assert_eq!(busy.wait_closed(0), Closed::ByPeer);
}

/// Clients that never stop asking, on kept and on fresh connections, until they are told to.
struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn start(address: &str) -> Load {
        let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let threads = [true, true, false].map(|keep| {
            let (stop, served, address) = (stop.clone(), served.clone(), address.to_owned());
            std::thread::spawn(move || {
                let mut client = Client::connect(&address);
                while !stop.load(Ordering::SeqCst) {
                    if !keep {
                        client = Client::connect(&address);
                    }
                    let answer = client.get("/load");
                    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
                    if answer.header("connection") == Some("close") {
                        client = Client::connect(&address);
                    }
                    served.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        Load { stop, served, threads: threads.into() }
    }

    fn end(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("no request failed");
        }
        self.served.load(Ordering::SeqCst)
    }
}

#[test]
fn reloads_under_load() {
    let origin = Origin::ok();
    let gateway = gateway!(PROXY, ORIGIN = origin.url(), PLAN = "0");
    let load = Load::start(&gateway.address());
    for plan in 2..12 {
        let names = [("ORIGIN", origin.url()), ("PLAN", plan.to_string())];
        gateway.replace_file(&gateway.complete(PROXY, &names));
        gateway.signal(Signal::HUP);
        gateway.wait_generation(plan);
        let before = load.served.load(Ordering::SeqCst);
        wait_for("requests between reloads", || load.served.load(Ordering::SeqCst) > before + 20);
    }
    assert!(load.end() > 200);
}

#[test]
fn listeners_come_and_go_under_load() {
    let gate = Gate::new();
    let held = Origin::start(behaviour::gated(&gate, "held"));
    let origin = Origin::ok();
    let routes = "routes:\n  - { path: /load, to: @ORIGIN@ }\n  - { path: /held, to: @HELD@ }\n";
    let names = [("ORIGIN", origin.url()), ("HELD", held.url())];
    let gateway = gateway!(routes, ORIGIN = origin.url(), HELD = held.url());
    let second = Port::reserve();
    let both =
        format!("listeners:\n  - address: \"@LISTEN@\"\n  - address: \"{}\"\n{routes}", second.address());
    let load = Load::start(&gateway.address());
    for round in 0..3 {
        gateway.replace_file(&gateway.complete(&both, &names));
        gateway.wait_generation(2 + 2 * round);
        let mut there = Client::connect(&second.address());
        assert_eq!(there.get("/load").text(), "ok");
        let before = held.count();
        there.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n");
        held.wait_requests(before + 1);
        gateway.replace_file(&gateway.complete(routes, &names));
        gateway.wait_generation(3 + 2 * round);
        wait_for("the second listener to be gone", || Client::try_connect(&second.address()).is_err());
        // What was in flight on the listener that went is finished.
        gate.open();
        assert_eq!(there.response().text(), "held");
    }
    assert!(load.end() > 100);
}

/// A connection that was idle on a listener that went is ended in an orderly way.
#[test]
fn idle_connections_of_a_removed_listener() {
    let second = Port::reserve();
    let routes = "routes:\n  - { path: /, respond: { body: x } }\n";
    let both =
        format!("listeners:\n  - address: \"@LISTEN@\"\n  - address: \"{}\"\n{routes}", second.address());
    let gateway = gateway!(&both);
    let mut idle = Client::connect(&second.address());
    assert_eq!(idle.get("/").text(), "x");
    gateway.replace_file(&gateway.complete(routes, &[]));
    gateway.wait_generation(2);
    // Either it goes on to be served until the client leaves, or it is ended with a FIN; never a reset.
    let _ = idle.try_send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    match idle.try_response() {
        Ok(answer) => assert_eq!(answer.text(), "x"),
        Err(Fault::Eof) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_needs_a_restart_is_said() {
    let routes = "routes:\n  - { path: /number, respond: { body: \"@N@\" } }\n";
    let gateway = gateway!(&format!("workers: 1\n{routes}"), N = 1);
    let other = Port::reserve();
    let text = format!("workers: 2\nadmin:\n  address: \"{}\"\n{routes}", other.address());
    gateway.replace_file(&gateway.complete(&text, &[("N", "2".into())]));
    wait_number(&gateway, 2);
    let line = gateway.stderr().wait_line("restart");
    let all = gateway.stderr().text();
    assert!(all.contains("workers") && all.contains("admin.address"), "{line}");
    assert_eq!(gateway.readyz()["ready"], true, "the old admin address goes on");
}

/// Limits are part of the plan too.
#[test]
fn limits_reload() {
    let routes = "routes:\n  - { path: /*, respond: { body: x } }\n";
    let gateway = gateway!(&format!("limits: {{ uri_bytes: 1KiB }}\n{routes}"));
    let mut client = gateway.client();
    let long = format!("/{}", "a".repeat(200));
    assert_eq!(client.get(&long).status, 200);
    gateway.replace_file(&gateway.complete(&format!("limits: {{ uri_bytes: 100B }}\n{routes}"), &[]));
    gateway.wait_generation(2);
    assert_eq!(client.get(&long).status, 414);
}

/// The admin API asks for the same as the signal.
#[test]
fn reload_by_the_admin_api() {
    let gateway = gateway!(&numbered(1));
    let mut client = Client::connect(&gateway.admin_address());
    let host = gateway.admin_address();
    let cross = format!(
        "POST /api/v1/reload HTTP/1.1\r\nHost: {host}\r\nOrigin: https://evil.test\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(client.exchange(cross).status, 403);
    let answer = Client::connect(&gateway.admin_address())
        .exchange(format!("POST /api/v1/reload HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"));
    assert!((200..300).contains(&answer.status), "{answer:#?}");
    assert_eq!(gateway.readyz()["last_reload"]["ok"], true);
}
