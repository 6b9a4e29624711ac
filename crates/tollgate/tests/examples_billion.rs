//! `examples/billion` as its files stand, on the loopback: three gateways behind HAProxy, of which one is killed and one drains
//! by a notice, and Redis goes. Namespaces, and what is measured, are `./dev billion`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tollgate_testkit::behaviour::{describe, response};
use tollgate_testkit::{
    Client, Conn, Gateway, Issuer, ObjectStore, Origin, Port, Redis, RedisOptions, Response, Signal,
    assert_problem, binary, pause, wait_for, wait_some,
};

const ZONES: [&str; 3] = ["a", "b", "c"];
/// Clients with short requests, and those whose requests take so long that some are under way whatever happens.
const CLIENTS: usize = 4;
const PATIENT: usize = 8;
const SLOW: Duration = Duration::from_secs(2);

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/billion").join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(example(file)).expect(file)
}

/// Replaces what must be there.
fn replaced(mut text: String, pairs: &[(&str, &str)]) -> String {
    for (from, to) in pairs {
        assert!(text.contains(from), "the example says {from}");
        text = text.replace(from, to);
    }
    text
}

#[track_caller]
fn succeeds(command: &mut Command) {
    let output =
        command.stdin(Stdio::null()).output().expect("the program is there: `./dev test` installs it");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn billion_files_are_well_formed_and_its_own_tests_pass() {
    let dir = tempfile::tempdir().expect("a directory");
    for script in ["zones", "start"] {
        succeeds(Command::new("sh").arg("-n").arg(example(script)));
    }
    let config = example("haproxy.cfg");
    succeeds(Command::new("haproxy").args(["-c", "-f"]).arg(config).env("BILLION_RUN", dir.path()));
    let config = example("nginx.conf").canonicalize().expect("a file");
    succeeds(Command::new("nginx").arg("-t").arg("-p").arg(dir.path()).arg("-c").arg(config));
    let output = Command::new(binary!()).args(["test", "-c"]).arg(example("tollgate.yaml")).output();
    let said = String::from_utf8_lossy(&output.expect("tollgate runs").stdout).into_owned();
    assert!(said.starts_with("ok: 6 tests passed in "), "{said}");
    // What it does not know it does not do.
    let output = Command::new("sh").arg(example("zones")).arg("fly").output().expect("sh");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("zones kill a"), "{output:?}");
}

/// HAProxy; it is killed when dropped.
struct Balancer {
    child: Child,
    port: Port,
}

impl Balancer {
    fn start(gateways: &[Gateway], dir: &Path) -> Balancer {
        let port = Port::reserve();
        let mut text = replaced(read("haproxy.cfg"), &[("10.77.0.1:8080", &port.address())]);
        for (number, gateway) in gateways.iter().enumerate() {
            let admin = gateway.admin_address();
            let (_, admin) = admin.rsplit_once(':').expect("an address has a port");
            let was = format!("10.77.{}.2:8080 port 9900", number + 1);
            text = replaced(text, &[(&was, &format!("{} port {admin}", gateway.address()))]);
        }
        let config = dir.join("haproxy.cfg");
        std::fs::write(&config, text).expect("a file");
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(config).env("BILLION_RUN", dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Balancer { child: command.spawn().expect("haproxy: `./dev test` installs it"), port }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything that `zones up` starts, without the zones.
struct Site {
    balancer: Balancer,
    /// By zone: whether its machine is about to be taken away.
    going: Vec<Arc<AtomicBool>>,
    issuer: Issuer,
    store: ObjectStore,
    _others: Vec<Origin>,
    _dir: tempfile::TempDir,
}

/// The service: it describes each request, those for `/slow/…` after a while.
fn serve(conn: &mut Conn) -> std::io::Result<()> {
    loop {
        let seen = conn.request()?;
        if seen.target().starts_with("/slow/") {
            pause(SLOW);
        }
        conn.send(response(200, describe(&seen).to_string().as_bytes()))?;
    }
}

fn start() -> (Site, [Gateway; 3], Redis) {
    let (issuer, store) = (Issuer::with_keys(&["RS256"]), ObjectStore::start());
    let (redis, service) = (RedisOptions::default().password("secret").start(), Origin::start(serve));
    let dir = tempfile::tempdir().expect("a directory");
    let (mut others, mut going) = (Vec::new(), Vec::new());
    let gateways = ZONES.map(|zone| {
        let told = Arc::new(AtomicBool::new(false));
        let says = told.clone();
        let notice = Origin::start(move |conn| {
            loop {
                conn.request()?;
                conn.send(response(if says.load(SeqCst) { 200 } else { 404 }, b"{}"))?;
            }
        });
        let text = config(&issuer, &redis, &store, &service, &notice);
        others.push(notice);
        going.push(told);
        Gateway::start_under(binary!(), &text, &[], &[("BILLION_ZONE", zone)])
    });
    others.push(service);
    let balancer = Balancer::start(&gateways, dir.path());
    let site = Site { balancer, going, issuer, store, _others: others, _dir: dir };
    let token = site.token("first");
    let mut seen = BTreeSet::new();
    wait_for("every zone to answer, with its issuer's keys", || {
        let mut client = site.client();
        let answer = client.as_mut().and_then(|client| ask(client, "/orders/0", &token, true).ok());
        seen.extend(answer.as_ref().and_then(zone_of));
        seen.len() == ZONES.len()
    });
    (site, gateways, redis)
}

impl Site {
    fn token(&self, sub: &str) -> String {
        self.issuer.token(json!({ "sub": sub, "aud": "billion" }))
    }

    fn client(&self) -> Option<Client> {
        Client::try_connect(&self.balancer.port.address()).ok()
    }

    /// Numbers of the orders whose records are in the store.
    fn recorded(&self) -> BTreeSet<u64> {
        let mut numbers = BTreeSet::new();
        for object in self.store.objects().values() {
            let text = zstd::decode_all(&**object).expect("an object is whole");
            for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let record: Value = serde_json::from_slice(line).expect("a line is a record");
                let path = record["path"].as_str().unwrap_or_default();
                numbers.extend(path.strip_prefix("/orders/").and_then(|number| number.parse::<u64>().ok()));
            }
        }
        numbers
    }
}

/// The example's configuration for services of the loopback.
fn config(issuer: &Issuer, redis: &Redis, store: &ObjectStore, service: &Origin, notice: &Origin) -> String {
    let text = read("tollgate.yaml");
    let (before, rest) = text.split_once("  store:\n").expect("the example names a store");
    let (_, after) = rest.split_once("  batch:").expect("batches stand behind it");
    let text = format!("{before}  store: {}\n  batch:{after}", store.access());
    replaced(
        text,
        &[
            ("${BILLION_ADDRESS:-127.0.0.1}:8080", "@LISTEN@"),
            ("${BILLION_ADDRESS:-127.0.0.1}:9900", "\"@ADMIN@\""),
            ("${BILLION_REDIS:-redis://:only-for-this-example@10.77.0.1:6379}", &redis.url()),
            // A busy machine is no Redis that is gone.
            ("timeout: 50ms", "timeout: 1s"),
            ("https://id.example.com/", &issuer.url()),
            ("${BILLION_JWKS:-http://10.77.0.1:3002/jwks.json}", &issuer.jwks_url()),
            ("http://127.0.0.1:3001", &service.url()),
            ("http://127.0.0.1:3002", &notice.url()),
            ("${BILLION_SPOOL:-spool}", "@DIR@/spool"),
        ],
    )
}

/// Which zone's gateway asked the service.
fn zone_of(answer: &Response) -> Option<String> {
    (answer.status == 200).then(|| answer.json()["headers"]["x-zone"][0].as_str().map(str::to_owned))?
}

fn ask(client: &mut Client, path: &str, token: &str, close: bool) -> Result<Response, String> {
    let close = if close { "Connection: close\r\n" } else { "" };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: billion\r\nX-User: root\r\nAuthorization: Bearer {token}\r\n{close}\r\n"
    );
    let _ = client.try_send(request);
    client.try_response().map_err(|fault| format!("{fault:?}"))
}

/// Clients that ask all the time and try nothing twice.
struct Clients {
    over: AtomicBool,
    numbers: AtomicU64,
    /// Numbers of right answers with their zone.
    right: Mutex<Vec<(u64, String)>>,
    /// What else came.
    failed: Mutex<Vec<String>>,
}

impl Clients {
    fn run(&self, site: &Site, user: &str, keep: bool, slow: bool) {
        let token = site.token(user);
        let mut kept: Option<Client> = None;
        while !self.over.load(SeqCst) {
            let number = self.numbers.fetch_add(1, SeqCst);
            let path = format!("/{}/{number}", if slow { "slow" } else { "orders" });
            let answer = match kept.take().or_else(|| site.client()) {
                None => Err("no connection".to_owned()),
                Some(mut client) => ask(&mut client, &path, &token, !keep).inspect(|answer| {
                    kept = (keep && answer.header("connection") != Some("close")).then_some(client);
                }),
            };
            match answer.map(|answer| (is_right(&answer, &path, user), zone_of(&answer), answer)) {
                Ok((true, Some(_), _)) if slow => {}
                Ok((true, Some(zone), _)) => self.right.lock().expect("a lock").push((number, zone)),
                Ok((_, _, answer)) => self.fail(format!("{path}: {} {}", answer.status, answer.text())),
                Err(fault) => self.fail(format!("{path}: {fault}")),
            }
            pause(Duration::from_millis(2));
        }
    }

    fn fail(&self, what: String) {
        self.failed.lock().expect("a lock").push(what);
    }

    /// Lets so many more requests be answered; what failed since the last look.
    fn go_on(&self, count: usize) -> Vec<String> {
        let before = self.right.lock().expect("a lock").len();
        wait_for("more answers", || self.right.lock().expect("a lock").len() >= before + count);
        std::mem::take(&mut *self.failed.lock().expect("a lock"))
    }
}

/// Made for this request, by the service, with the name that the token says.
fn is_right(answer: &Response, path: &str, user: &str) -> bool {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    answer.status == 200 && body["target"] == path && body["headers"]["x-user"] == json!([user])
}

/// Ends the clients, also when the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// A drain by notice and the loss of Redis cost nothing; a kill what was in flight; no record is lost but by the kill.
#[test]
fn billion_goes_on_while_its_parts_go() {
    let (site, [mut killed, mut going, mut staying], mut redis) = start();
    assert_problem(&site.client().expect("HAProxy").get("/orders/1"), "token_missing");
    let clients = Clients {
        over: AtomicBool::new(false),
        numbers: AtomicU64::new(1),
        right: Mutex::default(),
        failed: Mutex::default(),
    };
    std::thread::scope(|scope| {
        for number in 0..CLIENTS + PATIENT {
            let (clients, site) = (&clients, &site);
            let (keep, slow) = (number % 2 == 0, number >= CLIENTS);
            scope.spawn(move || clients.run(site, &format!("u{number}"), keep, slow));
        }
        let end = End(&clients.over);
        assert_eq!(clients.go_on(100), [""; 0], "while nothing happens");

        site.going[1].store(true, SeqCst);
        wait_some("the drain of zone b", Duration::from_secs(20), || (!going.is_running()).then_some(()));
        assert_eq!(going.wait_exit().code(), Some(0));
        assert_eq!(clients.go_on(100), [""; 0], "a drain costs nothing");

        redis.kill();
        assert_eq!(clients.go_on(300), [""; 0], "limits need no Redis");

        killed.signal(Signal::KILL);
        killed.wait_exit();
        // HAProxy's checks have seen it by then: three that fail, of at most 500 ms each, and 250 ms between them.
        let seen = Instant::now() + Duration::from_secs(3);
        let mut lost = clients.go_on(300);
        for _ in 0..100 {
            let later = clients.go_on(100);
            if later.is_empty() && Instant::now() >= seen {
                break;
            }
            lost.extend(later);
        }
        // Until the dying process is gone and HAProxy has seen it, a client may meet it more than once; never an error.
        let ended = |what: &String| ["Eof", "Reset"].iter().any(|end| what.ends_with(end));
        assert!(
            lost.len() <= 4 * CLIENTS + PATIENT && lost.iter().all(ended),
            "what was in flight is lost: {lost:?}"
        );
        assert_eq!(clients.go_on(200), [""; 0], "afterwards nothing");
        drop(end);
    });
    staying.signal(Signal::TERM);
    assert!(staying.wait_exit().success());
    let (recorded, right) = (site.recorded(), clients.right.into_inner().expect("a lock"));
    let missing: Vec<_> =
        right.iter().filter(|(number, zone)| zone != "a" && !recorded.contains(number)).collect();
    assert!(missing.is_empty(), "{missing:?} of {}", right.len());
    let zones: BTreeSet<&str> = right.iter().map(|(_, zone)| zone.as_str()).collect();
    assert_eq!(zones, BTreeSet::from(ZONES));
}
