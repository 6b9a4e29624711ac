//! Health checks: who is asked, what counts, and what follows from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use serde_json::Value;
use tollgate_testkit::behaviour::{self, response};
use tollgate_testkit::{Gate, Gateway, Origin, Port, assert_holds, assert_problem, gateway, wait_for};

/// Answers health checks with `health`, and everything else with 200 and its name.
fn origin(name: &'static str, health: &Arc<AtomicUsize>) -> Origin {
    let health = health.clone();
    Origin::start(move |conn| {
        loop {
            let seen = conn.request()?;
            let check = seen.target().contains("health");
            let status = if check { health.load(SeqCst) as u16 } else { 200 };
            conn.send(response(status, name.as_bytes()))?;
        }
    })
}

fn status(code: usize) -> Arc<AtomicUsize> {
    Arc::new(AtomicUsize::new(code))
}

fn upstream(gateway: &Gateway) -> Value {
    gateway.admin("/health").json()["upstreams"]["u"].clone()
}

fn healthy(gateway: &Gateway) -> Vec<bool> {
    let targets = upstream(gateway)["targets"].as_array().cloned().unwrap_or_default();
    targets.iter().map(|target| target["healthy"] == true).collect()
}

/// Requests for `/health` that an origin saw.
fn checks(origin: &Origin) -> usize {
    origin.requests().iter().filter(|seen| seen.target().ends_with("/health")).count()
}

const TWO: &str = "
workers: 2
upstreams:
  u: { targets: [@A@, @B@], health_check: { every: 40ms, timeout: 2s } }
routes:
  - { path: /health-of-us, health: { upstreams: [u] } }
  - { path: /*, to: u }
";

#[test]
fn an_unhealthy_target_gets_no_requests() {
    let (health_of_a, health_of_b) = (status(200), status(200));
    let (a, b) = (origin("a", &health_of_a), origin("b", &health_of_b));
    let gateway = gateway!(TWO, A = a.url(), B = b.url());
    wait_for("both to be checked", || checks(&a) > 3 && checks(&b) > 3);
    assert_eq!(healthy(&gateway), [true, true]);
    let since = upstream(&gateway)["targets"][0]["since"].clone();

    health_of_a.store(503, SeqCst);
    wait_for("a to be unhealthy", || healthy(&gateway) == [false, true]);
    assert_eq!(upstream(&gateway)["status"], "degraded");
    assert_ne!(upstream(&gateway)["targets"][0]["since"], since);
    let metric = |origin: &Origin| {
        let series = format!("tollgate_target_healthy{{upstream=\"u\",target=\"{}\"}}", origin.url());
        gateway.metrics().get(&series)
    };
    assert_eq!((metric(&a), metric(&b)), (0.0, 1.0));
    for _ in 0..20 {
        assert_eq!(gateway.get("/").text(), "b");
    }

    health_of_b.store(404, SeqCst);
    wait_for("b to be unhealthy", || healthy(&gateway) == [false, false]);
    let refused = gateway.get("/refused");
    assert_problem(&refused, "no_healthy_target");
    assert!(refused.header("retry-after").is_some(), "{refused:#?}");
    let record = gateway.record_of("/refused");
    assert_eq!(
        (&record["upstream"], &record["target"], &record["attempts"]),
        (&"u".into(), &().into(), &0.into())
    );
    assert_eq!((&upstream(&gateway)["status"], gateway.get("/health-of-us").status), (&"down".into(), 503));

    health_of_a.store(302, SeqCst);
    wait_for("a to be back", || healthy(&gateway) == [true, false]);
    assert_eq!(gateway.get("/").text(), "a");
    assert_eq!(gateway.get("/health-of-us").status, 200);
    health_of_b.store(200, SeqCst);
    wait_for("b to be back", || healthy(&gateway) == [true, true]);
    let log = gateway.stderr().text();
    assert_eq!(log.matches("a target is unhealthy").count(), 2, "only changes are told: {log}");
    assert_eq!(log.matches("a target is healthy again").count(), 2, "{log}");
}

/// What a check sends, and that each target has its own.
#[test]
fn what_a_check_looks_like() {
    let health = status(200);
    let a = origin("a", &health);
    let gateway = gateway!(
        "upstreams:\n  u: { targets: [@A@/base], host: api.example.com, health_check: { path: \"/health?deep=1\", every: 30ms } }\nroutes:\n  - { path: /*, to: u }\n",
        A = a.url()
    );
    a.wait_requests(2);
    let seen = &a.requests()[0];
    assert_eq!((seen.method(), seen.target()), ("GET", "/base/health?deep=1"));
    assert_eq!((seen.header("host"), seen.header("connection")), (Some("api.example.com"), Some("close")));
    assert_eq!(gateway.get("/x").text(), "a");
}

/// Nobody listens, nobody answers, nonsense comes: none of it is healthy, whatever the upstream's requests meet.
#[test]
fn what_is_no_good_answer() {
    let silent = Origin::start(behaviour::hang);
    let nonsense = Origin::start(behaviour::then_close(b"SSH-2.0-OpenSSH\r\n\r\n"));
    let nobody = Port::reserve();
    for (name, target) in [
        ("silent", silent.url()),
        ("nonsense", nonsense.url()),
        ("nobody", format!("http://{}", nobody.address())),
    ] {
        let gateway = gateway!(
            "upstreams:\n  u: { targets: [\"@A@\"], health_check: { every: 50ms, timeout: 100ms, unhealthy_after: 2 } }\nroutes:\n  - { path: /*, to: u }\n",
            A = target
        );
        wait_for(name, || healthy(&gateway) == [false]);
        assert_problem(&gateway.get("/"), "no_healthy_target");
    }
}

/// A target that goes on accepting connections and says nothing more, as a stopped process does.
#[test]
fn a_target_that_stops_answering() {
    let (stopped, gate) = (Arc::new(AtomicBool::new(false)), Gate::new());
    let (stops, held) = (stopped.clone(), gate.clone());
    let a = Origin::start(move |conn| {
        loop {
            conn.request()?;
            if stops.load(SeqCst) {
                held.wait();
            }
            conn.send(response(200, b"a"))?;
        }
    });
    let b = origin("b", &status(200));
    let gateway = gateway!(
        "workers: 1\nupstreams:\n  u: { targets: [@A@, @B@], health_check: { every: 50ms, timeout: 200ms } }\nroutes:\n  - { path: /*, to: u }\n",
        A = a.url(),
        B = b.url()
    );
    wait_for("it to be used", || gateway.get("/").text() == "a");
    stopped.store(true, SeqCst);
    wait_for("it to be left out", || healthy(&gateway) == [false, true]);
    for _ in 0..10 {
        assert_eq!(gateway.get("/").text(), "b");
    }
    stopped.store(false, SeqCst);
    gate.open();
    wait_for("it to be used again", || gateway.get("/").text() == "a");
}

/// One bad check now and then changes nothing, and nothing is told of it.
#[test]
fn a_target_that_flaps_stays_as_it_is() {
    let count = AtomicUsize::new(0);
    let a = Origin::start(move |conn| {
        loop {
            conn.request()?;
            let good = count.fetch_add(1, SeqCst).is_multiple_of(3);
            conn.send(response(if good { 200 } else { 500 }, b"a"))?;
        }
    });
    let gateway = gateway!(
        "upstreams:\n  u: { targets: [@A@], health_check: { every: 10ms } }\nroutes:\n  - { path: /*, to: u }\n",
        A = a.url()
    );
    wait_for("many checks", || {
        assert_eq!(healthy(&gateway), [true]);
        checks(&a) > 12
    });
    assert!(!gateway.stderr().text().contains("unhealthy"), "{}", gateway.stderr().text());
}

/// TCP: a connection is all that is asked for.
#[test]
fn checks_by_tcp() {
    let port = Port::reserve();
    let gateway = gateway!(
        "upstreams:\n  u: { targets: [\"http://@A@\"], health_check: { tcp: true, every: 40ms, healthy_after: 1, unhealthy_after: 1 } }\nroutes:\n  - { path: /*, to: u }\n",
        A = port.address()
    );
    wait_for("nobody to listen", || healthy(&gateway) == [false]);
    let origin = Origin::start_at(&port.address(), behaviour::ok);
    wait_for("somebody to listen", || healthy(&gateway) == [true]);
    assert_eq!(origin.count(), 0, "nothing is asked");
    assert_eq!(gateway.get("/").text(), "ok");
}

#[test]
fn checks_over_a_unix_socket_and_a_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("app.sock");
    let health = status(200);
    let by_name = origin("name", &health);
    let unix = Origin::start_unix(&socket, behaviour::ok);
    let port = by_name.address().rsplit(':').next().unwrap_or_default().to_owned();
    let gateway = gateway!(
        "upstreams:\n  u: { targets: [\"unix:@SOCKET@\", \"http://localhost:@PORT@\"], health_check: { every: 40ms, unhealthy_after: 1 } }\nroutes:\n  - { path: /*, to: u }\n",
        SOCKET = socket.display(),
        PORT = port
    );
    wait_for("both to be checked", || checks(&unix) > 2 && checks(&by_name) > 2);
    assert_eq!(healthy(&gateway), [true, true]);
    health.store(500, SeqCst);
    wait_for("one to be unhealthy", || healthy(&gateway) == [true, false]);
}

/// A reload that keeps a target keeps what is known of it, and its checks in their rhythm; one that takes the checks
/// away takes what they said with them.
#[test]
fn checks_and_reloads() {
    let (health_of_a, health_of_b) = (status(500), status(200));
    let (a, b) = (origin("a", &health_of_a), origin("b", &health_of_b));
    let names = [("A", a.url()), ("B", b.url())];
    let gateway = gateway!(TWO, A = a.url(), B = b.url());
    wait_for("a to be unhealthy", || healthy(&gateway) == [false, true]);
    let since = upstream(&gateway)["targets"][0]["since"].clone();
    gateway.replace_file(&gateway.complete(&format!("{TWO}  - {{ path: /more, respond: {{}} }}\n"), &names));
    gateway.wait_generation(2);
    assert_eq!((healthy(&gateway), &upstream(&gateway)["targets"][0]["since"]), (vec![false, true], &since));
    for _ in 0..10 {
        assert_eq!(gateway.get("/").text(), "b");
    }
    let seen = checks(&a);
    wait_for("checks to go on", || checks(&a) > seen + 2);

    let without = TWO.replace(", health_check: { every: 40ms, timeout: 2s }", "");
    gateway.replace_file(&gateway.complete(&without, &names));
    gateway.wait_generation(3);
    assert_eq!(healthy(&gateway), [true, true]);
    wait_for("a to be used again", || gateway.get("/").text() == "a");
    let seen = checks(&a);
    // One may have been on its way.
    assert_holds("no more checks", Duration::from_millis(400), || checks(&a) <= seen + 1);
}
