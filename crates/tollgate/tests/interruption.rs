//! The notice that the machine is about to go: told by a small stand-in of each metadata service, it begins the drain.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tollgate_testkit::behaviour::response;
use tollgate_testkit::{Gateway, Origin, Seen, Signal, assert_holds, binary, wait_for, wait_some};

/// A notice leaves at least this much; polling takes 5 s at most.
const NOTICED_WITHIN: Duration = Duration::from_secs(15);

/// A metadata service; `answer` knows whether there is a notice.
fn metadata(going: &Arc<AtomicBool>, answer: fn(&Seen, bool) -> (u16, String)) -> Origin {
    let going = going.clone();
    Origin::start(move |conn| {
        loop {
            let seen = conn.request()?;
            let (status, body) = answer(&seen, going.load(Ordering::Relaxed));
            conn.send(response(status, body.as_bytes()))?;
        }
    })
}

/// In so many seconds, as RFC 3339 has it.
fn time_in(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    date(&["-u", "-d", &format!("@{}", now + seconds), "+%Y-%m-%dT%H:%M:%SZ"])
}

fn date(arguments: &[&str]) -> String {
    let output =
        std::process::Command::new("date").args(arguments).env("LC_ALL", "C").output().expect("date");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

fn gateway(watch: &str, shutdown: &str, metadata: &Origin, origin: &Origin) -> Gateway {
    let text = format!(
        "shutdown: {{ {shutdown}, watch: {watch} }}\nroutes:\n  - {{ path: /*, to: \"{}\" }}\n",
        origin.url()
    );
    let endpoint = metadata.url();
    Gateway::start_under(binary!(), &text, &[], &[("TOLLGATE_METADATA_ENDPOINT", &endpoint)])
}

/// Nothing happens while there is no notice; then readiness fails, requests are still served, and the process ends with
/// what it was asked for.
#[track_caller]
fn check(watch: &str, answer: fn(&Seen, bool) -> (u16, String)) {
    let going = Arc::new(AtomicBool::new(false));
    let (metadata, origin) = (metadata(&going, answer), Origin::ok());
    let watch = watch.replace("@METADATA@", &metadata.url());
    let mut gateway = gateway(&watch, "delay: 1s, grace: 10s", &metadata, &origin);
    wait_for("a question", || metadata.count() >= 1);
    assert_holds("it stays", Duration::from_millis(500), || gateway.admin("/readyz").status == 200);
    going.store(true, Ordering::Relaxed);
    wait_some("readiness to fail", NOTICED_WITHIN, || (gateway.admin("/readyz").status == 503).then_some(()));
    let answer = gateway.get("/");
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("ok", Some("close")));
    assert_eq!(gateway.wait_exit().code(), Some(0));
    let log = gateway.stderr().text();
    assert!(log.contains("says that this machine goes"), "{log}");
    assert!(log.contains("drained: every request was answered"), "{log}");
}

#[test]
fn aws() {
    check("aws", |seen, going| match (seen.method(), seen.target()) {
        ("PUT", "/latest/api/token") => {
            assert_eq!(seen.header("x-aws-ec2-metadata-token-ttl-seconds"), Some("21600"));
            (200, "the-token".to_owned())
        }
        ("GET", "/latest/meta-data/spot/instance-action") => {
            match (seen.header("x-aws-ec2-metadata-token"), going) {
                (Some("the-token"), false) => (404, String::new()),
                (Some("the-token"), true) => {
                    (200, format!("{{\"action\": \"terminate\", \"time\": \"{}\"}}", time_in(120)))
                }
                _ => (401, String::new()),
            }
        }
        _ => (400, String::new()),
    });
}

#[test]
fn gcp() {
    check("gcp", |seen, going| {
        let known = seen.target() == "/computeMetadata/v1/instance/preempted"
            && seen.header("metadata-flavor") == Some("Google")
            && seen.header("host") == Some("metadata.google.internal");
        match (known, going) {
            (true, false) => (200, "FALSE".to_owned()),
            (true, true) => (200, "TRUE".to_owned()),
            (false, _) => (403, String::new()),
        }
    });
}

#[test]
fn azure() {
    check("azure", |seen, going| match (seen.header("metadata"), seen.target()) {
        (Some("true"), "/metadata/instance/compute/name?api-version=2021-02-01&format=text") => {
            (200, "gateway_7".to_owned())
        }
        (Some("true"), "/metadata/scheduledevents?api-version=2020-07-01") => {
            let machine = if going { "gateway_7" } else { "gateway_8" };
            let at = date(&["-u", "-d", "+60 seconds", "+%a, %d %b %Y %H:%M:%S GMT"]);
            let event = format!(
                "{{\"EventType\":\"Preempt\",\"EventStatus\":\"Scheduled\",\"NotBefore\":\"{at}\",\"Resources\":[\"{machine}\"]}}"
            );
            (200, format!("{{\"DocumentIncarnation\":1,\"Events\":[{event}]}}"))
        }
        _ => (400, String::new()),
    });
}

#[test]
fn a_url_of_ones_own() {
    check("{ url: \"@METADATA@/going?who=me\" }", |seen, going| {
        assert_eq!(seen.target(), "/going?who=me");
        (if going { 200 } else { 404 }, String::new())
    });
}

/// A token that is good no more is replaced, and a service that fails for a while is asked again.
#[test]
fn a_metadata_service_that_has_its_moods() {
    let going = Arc::new(AtomicBool::new(false));
    let bad = Arc::new(AtomicBool::new(true));
    let moods = bad.clone();
    let ready = going.clone();
    let metadata = Origin::start(move |conn| {
        loop {
            let seen = conn.request()?;
            let (status, body) = match (seen.method(), ready.load(Ordering::Relaxed)) {
                ("PUT", _) => (200, "t"),
                (_, false) => (404, ""),
                // Once.
                (_, true) if moods.swap(false, Ordering::Relaxed) => (401, ""),
                (_, true) => (200, "{\"action\":\"stop\"}"),
            };
            conn.send(response(status, body.as_bytes()))?;
        }
    });
    let origin = Origin::ok();
    let mut gateway = gateway("aws", "grace: 5s", &metadata, &origin);
    wait_for("a question", || metadata.count() >= 2);
    going.store(true, Ordering::Relaxed);
    wait_some("the end", Duration::from_secs(20), || (!gateway.is_running()).then_some(()));
    assert_eq!(gateway.wait_exit().code(), Some(0));
    let tokens = metadata.requests().iter().filter(|seen| seen.method() == "PUT").count();
    assert_eq!((tokens, bad.load(Ordering::Relaxed)), (2, false));
}

/// A grace that is longer than the machine has to live is cut to what is left.
#[test]
fn the_drain_fits_into_the_time_that_is_left() {
    let going = Arc::new(AtomicBool::new(true));
    let metadata = metadata(&going, |_, _| (200, format!("{{\"time\":\"{}\"}}", time_in(6))));
    let origin = Origin::start(tollgate_testkit::behaviour::hang);
    let began = Instant::now();
    let watch = format!("{{ url: \"{}\" }}", metadata.url());
    let text = format!(
        "shutdown: {{ grace: 5m, watch: {watch} }}\nroutes:\n  - {{ path: /*, to: \"{}\" }}\n",
        origin.url()
    );
    // It is ready for a moment only.
    let mut gateway = Gateway::spawn(binary!(), &text, &[]);
    let mut client = wait_some("the gateway", NOTICED_WITHIN, || {
        tollgate_testkit::Client::try_connect(&gateway.address()).ok()
    });
    client.send("GET /stuck HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(gateway.wait_exit().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
}

/// A notice without a time begins the drain and shortens nothing of it.
#[test]
fn a_notice_that_does_not_say_when() {
    let going = Arc::new(AtomicBool::new(false));
    let metadata = metadata(&going, |_, going| (if going { 200 } else { 404 }, String::new()));
    let origin = Origin::start(tollgate_testkit::behaviour::hang);
    let mut gateway = gateway(
        "{ url: \"@METADATA@\" }".replace("@METADATA@", &metadata.url()).as_str(),
        "delay: 2s, grace: 1s",
        &metadata,
        &origin,
    );
    let mut client = gateway.client();
    client.send("GET /stuck HTTP/1.1\r\nHost: test\r\n\r\n");
    wait_for("the request", || origin.count() >= 1);
    going.store(true, Ordering::Relaxed);
    wait_some("readiness to fail", NOTICED_WITHIN, || (gateway.admin("/readyz").status == 503).then_some(()));
    let began = Instant::now();
    assert_eq!(gateway.wait_exit().code(), Some(0));
    // All of both, but for what it took to notice.
    assert!(began.elapsed() > Duration::from_millis(2_700), "{:?}", began.elapsed());
    let log = gateway.stderr().text();
    assert!(log.contains("says that this machine goes, and not when (answered 200)"), "{log}");
}

/// Somewhere else than at home nobody answers: that is said once, and the gateway serves.
#[test]
fn no_metadata_service() {
    let (metadata, origin) = (Origin::start(|conn| conn.reset()), Origin::ok());
    let mut gateway = gateway("gcp", "grace: 5s", &metadata, &origin);
    wait_for("several questions", || metadata.connections().len() >= 3);
    let told = gateway.stderr().lines();
    let told = told.iter().filter(|line| line.contains("gcp cannot be asked")).count();
    assert_eq!((told, gateway.get("/").status), (1, 200));
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait_exit().code(), Some(0));
}
