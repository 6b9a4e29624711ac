//! A configuration that comes from a URL: at the start, when it changes, and when its source is down.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tollgate_testkit::behaviour::response;
use tollgate_testkit::{
    Client, Finished, Gateway, Origin, Port, Signal, assert_holds, binary, run, wait_for, wait_some,
};

/// What a source of configurations says now.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<(u16, String)>>);

impl Shelf {
    fn put(&self, status: u16, text: &str) {
        *self.0.lock().expect("nobody panicked") = (status, text.to_owned());
    }

    /// The answer, with an entity tag made from the text; 304 to who knows it.
    fn answer(&self, known: Option<&str>) -> Vec<u8> {
        let (status, text) = self.0.lock().expect("nobody panicked").clone();
        if status != 200 {
            return response(status, b"no");
        }
        let etag = format!("\"{}-{}\"", text.len(), text.bytes().map(u64::from).sum::<u64>());
        match known == Some(etag.as_str()) {
            true => b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec(),
            false => {
                format!("HTTP/1.1 200 OK\r\nETag: {etag}\r\nContent-Length: {}\r\n\r\n{text}", text.len())
                    .into_bytes()
            }
        }
    }

    fn serve(&self) -> Origin {
        let shelf = self.clone();
        Origin::start(move |conn| {
            loop {
                let seen = conn.request()?;
                conn.send(shelf.answer(seen.header("if-none-match")))?;
            }
        })
    }
}

/// Ports, and a directory for copies, of one gateway.
struct Home {
    dir: tempfile::TempDir,
    listen: Port,
    admin: Port,
}

impl Home {
    fn new() -> Home {
        let dir = tempfile::tempdir().expect("a directory");
        Home { dir, listen: Port::reserve(), admin: Port::reserve() }
    }

    /// A configuration that answers with `body`, asked for every second.
    fn text(&self, body: &str) -> String {
        format!(
            "listeners:\n  - address: \"{}\"\nadmin: {{ address: \"{}\" }}\nreload: {{ every: 1s }}\n\
             routes:\n  - {{ path: /*, respond: {{ body: \"{body}\" }} }}\n",
            self.listen.address(),
            self.admin.address()
        )
    }

    fn copies(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn start(self, url: &str, variables: &[(&str, &str)]) -> Gateway {
        let (state, Home { dir, listen, admin }) = (self.copies().display().to_string(), self);
        let place = (dir, PathBuf::from(url));
        let mut gateway =
            Gateway::spawn_file_under(binary!(), place, (listen, admin), &["--state", &state], variables);
        gateway.wait_until_ready();
        gateway
    }

    /// Runs to an end that must be a refusal.
    #[track_caller]
    fn refused(&self, url: &str, variables: &[(&str, &str)]) -> String {
        let state = self.copies().display().to_string();
        let Finished { code, stderr, .. } =
            run(binary!(), self.dir.path(), &["run", "-c", url, "--state", &state], variables);
        assert_eq!(code, Some(1), "{stderr}");
        stderr
    }
}

/// The copy that was kept; the one that is being written has another name.
fn copy(state: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(state).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    entries.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "yaml"))
}

#[test]
fn from_a_url_and_changed_there() {
    let (home, shelf) = (Home::new(), Shelf::default());
    let state = home.copies();
    let texts: Vec<String> = ["one", "two", "three"].iter().map(|body| home.text(body)).collect();
    shelf.put(200, &texts[0]);
    let origin = shelf.serve();
    let gateway = home.start(&format!("{}/gateway.yaml", origin.url()), &[]);
    assert_eq!(gateway.get("/").text(), "one");
    let kept = wait_some("a copy", Duration::from_secs(10), || copy(&state));
    assert_eq!(fs::read_to_string(&kept).expect("it can be read"), texts[0]);
    assert_eq!(fs::metadata(&kept).expect("it is there").permissions().mode() & 0o777, 0o600);
    // It is asked for with what is known of it, and nothing is loaded as long as it is the same.
    wait_for("a question", || {
        origin.requests().iter().filter(|seen| seen.header("if-none-match").is_some()).count() > 1
    });
    assert_eq!(gateway.generation(), 1);
    shelf.put(200, &texts[1]);
    wait_for("the second one", || gateway.get("/").text() == "two");
    wait_for("its copy", || fs::read_to_string(&kept).is_ok_and(|text| text == texts[1]));
    // One that is wrong is refused once, and not kept; neither is a source that fails.
    shelf.put(200, "routes: [");
    wait_for("the refusal", || {
        gateway.metrics().sum("tollgate_config_reloads_total", &["result=\"rejected\""]) >= 1.0
    });
    let line = gateway.stderr().wait_line("configuration refused");
    assert!(line.contains("the old one goes on"), "{line}");
    assert!(
        gateway.stderr().text().contains("gateway.yaml:1"),
        "place and file: {}",
        gateway.stderr().text()
    );
    shelf.put(500, "");
    gateway.stderr().wait_line("answered 500; the configuration that is there goes on");
    shelf.put(503, "");
    gateway.stderr().wait_line("answered 503; the configuration that is there goes on");
    assert_eq!(gateway.get("/").text(), "two");
    assert_eq!(fs::read_to_string(&kept).expect("it can be read"), texts[1]);
    shelf.put(200, &texts[2]);
    wait_for("the third one", || gateway.get("/").text() == "three");
    gateway.stderr().wait_line("answers again");
}

/// A source without a configuration is seen by who looks at the gateway, once for each reason, and so is its return.
#[test]
fn a_source_that_gives_nothing_is_accounted_for() {
    let (home, shelf) = (Home::new(), Shelf::default());
    let text = home.text("one");
    shelf.put(200, &text);
    let origin = shelf.serve();
    let gateway = home.start(&format!("{}/gateway.yaml", origin.url()), &[]);
    let rejected = || gateway.metrics().sum("tollgate_config_reloads_total", &["result=\"rejected\""]);
    let last = || gateway.readyz()["last_reload"].clone();
    let long = format!("#{}\n", "x".repeat(4 << 20));
    let faults =
        [(200, "", "empty"), (200, &long, "too_large"), (404, "", "unreachable"), (503, "", "unreachable")];
    for (at, (status, body, code)) in faults.into_iter().enumerate() {
        shelf.put(status, body);
        wait_for("the account", || rejected() == at as f64 + 1.0);
        let last = last();
        assert_eq!((&last["ok"], &last["errors"][0]["code"]), (&false.into(), &code.into()), "{last}");
        let message = last["errors"][0]["message"].as_str().expect("words");
        assert!(message.starts_with(&format!("{}/gateway.yaml: ", origin.url())), "{message}");
    }
    // The same reason is no news.
    let questions = || origin.requests().len();
    let before = questions();
    wait_for("more questions", || questions() > before + 1);
    assert_eq!(rejected(), 4.0);
    assert_eq!(gateway.readyz()["ready"], true);
    let told = run(binary!(), gateway.dir(), &["status", "--address", &gateway.admin_address()], &[]);
    assert!(told.stdout.contains("the last configuration was refused"), "{told:?}");
    // What runs comes again: nothing is loaded for that.
    shelf.put(200, &text);
    wait_for("its return", || last()["ok"] == true);
    assert_eq!((gateway.generation(), rejected()), (1, 4.0));
    // One that was refused is still refused when its source returns.
    shelf.put(200, "routes: [");
    wait_for("the refusal", || last()["errors"][0]["code"] == "yaml_syntax");
    shelf.put(500, "");
    wait_for("the account", || last()["errors"][0]["code"] == "unreachable");
    shelf.put(200, "routes: [");
    wait_for("its return", || last()["errors"][0]["code"] == "yaml_syntax");
    assert_eq!(rejected(), 6.0);
}

/// SIGHUP asks at once, and says so when nobody answers.
#[test]
fn a_reload_that_is_asked_for() {
    let (home, shelf) = (Home::new(), Shelf::default());
    let every = |text: String| text.replace("every: 1s", "every: 1h");
    let (one, two) = (every(home.text("one")), every(home.text("two")));
    shelf.put(200, &one);
    let origin = shelf.serve();
    let gateway = home.start(&format!("{}/gateway.yaml", origin.url()), &[]);
    shelf.put(200, &two);
    assert_holds("nobody asks", Duration::from_millis(300), || gateway.get("/").text() == "one");
    gateway.signal(Signal::HUP);
    wait_for("the second one", || gateway.get("/").text() == "two");
    shelf.put(503, "");
    gateway.signal(Signal::HUP);
    gateway.stderr().wait_line("not reloaded");
    wait_for("the account", || gateway.readyz()["last_reload"]["errors"][0]["code"] == "unreachable");
    assert_eq!(gateway.get("/").text(), "two");
}

#[test]
fn a_source_that_is_down_at_the_start() {
    let (home, shelf) = (Home::new(), Shelf::default());
    shelf.put(200, &home.text("one"));
    let port = Port::reserve();
    let url = format!("http://{}/gateway.yaml", port.address());
    let told = home.refused(&url, &[]);
    assert!(told.contains("cannot connect") && told.contains("there is no copy"), "{told}");
    let mine = shelf.clone();
    let origin = Origin::start_at(&port.address(), move |conn| {
        let seen = conn.request()?;
        conn.send(mine.answer(seen.header("if-none-match")))
    });
    let (state, mut gateway) = (home.copies(), home.start(&url, &[]));
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait_exit().code(), Some(0));
    drop(origin);
    // Another gateway, with ports of its own, finds what the first one has kept.
    let kept = copy(&state).expect("a copy");
    let mine = Home::new();
    let text = fs::read_to_string(&kept).expect("it can be read");
    let text = text.replace(&gateway.address(), &mine.listen.address());
    let text = text.replace(&gateway.admin_address(), &mine.admin.address());
    fs::create_dir(mine.copies()).expect("a directory");
    fs::write(mine.copies().join(kept.file_name().expect("a name")), text).expect("a copy");
    shelf.put(200, &mine.text("two"));
    drop(gateway);
    let gateway = mine.start(&url, &[]);
    assert!(
        gateway.stderr().text().contains("starting with the last good copy"),
        "{}",
        gateway.stderr().text()
    );
    assert_eq!(gateway.get("/").text(), "one");
    // Its source comes back, and is asked as before.
    let _origin = Origin::start_at(&port.address(), move |conn| {
        let seen = conn.request()?;
        conn.send(shelf.answer(seen.header("if-none-match")))
    });
    wait_some("the second one", Duration::from_secs(15), || (gateway.get("/").text() == "two").then_some(()));
}

/// Credentials go where they belong, and nowhere else.
#[test]
fn credentials_are_sent_and_never_shown() {
    let (home, shelf) = (Home::new(), Shelf::default());
    shelf.put(200, &home.text("one"));
    let origin = shelf.serve();
    let url = format!("{}/gateway.yaml?signature=very-secret", origin.url());
    let gateway = home.start(&url, &[("TOLLGATE_CONFIG_TOKEN", "token-very-secret")]);
    let first = origin.requests().remove(0);
    assert_eq!(first.target(), "/gateway.yaml?signature=very-secret");
    assert_eq!(first.header("authorization"), Some("Bearer token-very-secret"));
    shelf.put(500, "");
    gateway.stderr().wait_line("answered 500");
    gateway.signal(Signal::HUP);
    gateway.stderr().wait_line("not reloaded");
    for shown in [gateway.stderr().text(), gateway.readyz().to_string(), gateway.admin("/metrics").text()] {
        assert!(!shown.contains("very-secret"), "{shown}");
    }
}

/// Answers that are no configuration, or only the beginning of one.
#[test]
fn answers_that_are_not_believed() {
    let home = Home::new();
    let text = home.text("one");
    let (long, half) = (format!("#{}\n", "x".repeat(4 << 20)), &text[..text.len() / 2]);
    for (answer, why) in [
        (response(404, b"routes: []"), "answered 404"),
        (response(200, b""), "answered with nothing"),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n".to_vec(), "answered 302"),
        // Cut in the middle; and one of which nobody could say whether it was cut.
        (
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{half}", text.len()).into_bytes(),
            "not a whole HTTP answer",
        ),
        (
            format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{half}").into_bytes(),
            "does not say how long it is",
        ),
        (response(200, long.as_bytes()), "more than 4194304 bytes"),
        (b"SSH-2.0-OpenSSH\r\n".to_vec(), "not a whole HTTP answer"),
    ] {
        let origin = Origin::start(move |conn| {
            conn.request()?;
            conn.send(&answer)
        });
        let told = home.refused(&format!("{}/gateway.yaml", origin.url()), &[]);
        assert!(told.contains(why), "{why}: {told}");
    }
    let told = home.refused("http://config.example.com/gateway.yaml", &[]);
    assert!(told.contains("this machine only"), "{told}");
}

/// `check` and others look at it, too.
#[test]
fn commands_that_look() {
    let (home, shelf) = (Home::new(), Shelf::default());
    shelf.put(200, &home.text("one"));
    let origin = shelf.serve();
    let url = format!("{}/gateway.yaml", origin.url());
    let checked = run(binary!(), home.dir.path(), &["check", "-c", &url], &[]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    shelf.put(200, "routes: [{ path: /, too: x }]");
    let checked = run(binary!(), home.dir.path(), &["check", "--json", "-c", &url], &[]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(checked.stdout.contains("gateway.yaml"), "{checked:?}");
    assert!(copy(&home.copies()).is_none(), "nothing is kept");
}

/// An object of a store, with the credentials that the store's own tools go by.
#[test]
fn from_an_object_store() {
    let (home, shelf) = (Home::new(), Shelf::default());
    let texts = [home.text("one"), home.text("two")];
    shelf.put(200, &texts[0]);
    let mine = shelf.clone();
    let origin = Origin::start(move |conn| {
        loop {
            let seen = conn.request()?;
            let answer = String::from_utf8(mine.answer(seen.header("if-none-match"))).expect("text");
            let dated = answer.replacen("\r\n", "\r\nLast-Modified: Sat, 31 Jan 2026 12:00:00 GMT\r\n", 1);
            conn.send(dated)?;
        }
    });
    let endpoint = origin.url();
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_SECRET_ACCESS_KEY", "very-secret"),
    ];
    let gateway = home.start("s3://configurations/edge/gateway.yaml", &variables);
    assert_eq!(gateway.get("/").text(), "one");
    let first = origin.requests().remove(0);
    assert_eq!(first.target(), "/configurations/edge/gateway.yaml");
    let signed = first.header("authorization").expect("it is signed");
    assert!(signed.starts_with("AWS4-HMAC-SHA256 Credential=AKIA/"), "{signed}");
    wait_for("a question", || origin.requests().iter().any(|seen| seen.header("if-none-match").is_some()));
    shelf.put(200, &texts[1]);
    wait_for("the second one", || gateway.get("/").text() == "two");
    assert!(!gateway.stderr().text().contains("very-secret"));
}

/// A server with a certificate of an authority of its own; answers every request with `answer`.
fn https(answer: Vec<u8>) -> (u16, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    let secret = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], secret)
        .expect("a certificate with its key");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            let mut stream = StreamOwned::new(connection, stream);
            let mut lines = BufReader::new(&mut stream).lines();
            // A client that does not trust the certificate says nothing more.
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            drop(lines);
            let _ = stream.write_all(&answer);
        }
    });
    let lines = STANDARD.encode(authority.der());
    (port, format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"))
}

#[test]
fn certificates_are_checked() {
    let home = Home::new();
    let (port, authority) = https(response(200, home.text("one").as_bytes()));
    let url = format!("https://localhost:{port}/gateway.yaml");
    let told = home.refused(&url, &[]);
    assert!(told.contains("TLS failed"), "{told}");
    let file = home.dir.path().join("ca.pem");
    fs::write(&file, authority).expect("a file");
    let file = file.display().to_string();
    let told = home.refused(&format!("https://127.0.0.1:{port}/gateway.yaml"), &[("SSL_CERT_FILE", &file)]);
    assert!(told.contains("TLS failed"), "another name: {told}");
    let gateway = home.start(&url, &[("SSL_CERT_FILE", &file)]);
    assert_eq!(gateway.get("/").text(), "one");
    assert!(Client::try_connect(&gateway.address()).is_ok());
}
