//! Whom a listener lets in and whom the gateway trusts, changed under connections that are open.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tollgate_testkit::{Frame, Gate, Gateway, Origin, PREFACE, assert_problem, behaviour, gateway, wait_for};

use crate::client::Way;
use crate::pki::{Authority, Files, self_signed};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// A gateway with one listener, and what follows its address.
fn listening(more: &str, files: &Files, origin: &Origin) -> (Gateway, impl Fn(&Gateway, &str) + use<>) {
    let text = |more: &str| {
        format!(
            "listeners:\n  - {{ address: \"@LISTEN@\"{more} }}\nroutes:\n  - {{ path: /*, to: @ORIGIN@ }}\n"
        )
    };
    let names = [("FILES", files.display()), ("ORIGIN", origin.url())];
    let gateway = gateway!(&text(more), FILES = files.display(), ORIGIN = origin.url());
    let change = move |gateway: &Gateway, more: &str| {
        let wanted = gateway.generation() + 1;
        gateway.replace_file(&gateway.complete(&text(more), &names));
        gateway.wait_generation(wanted);
    };
    (gateway, change)
}

#[test]
fn who_came_in_without_a_certificate_does_not_stay() {
    let (servers, clients, files) = (Authority::new("servers"), Authority::new("clients"), Files::new());
    files.put("a", &servers.issue(&["a.example"]));
    files.text("clients.pem", &clients.pem());
    let gate = Gate::new();
    let origin = Origin::start(behaviour::gated(&gate, "late"));
    let certificate = "certificates: [{ cert: @FILES@/a.pem, key: @FILES@/a.key }]";
    let (gateway, change) = listening(&format!(", tls: {{ {certificate} }}"), &files, &origin);
    let connect = || Way::trusting(&servers).connect(&gateway.address(), "a.example").expect("a connection");
    let (mut idle, mut busy) = (connect(), connect());
    busy.send(GET.as_bytes()).expect("a request");
    origin.wait_requests(1);

    change(&gateway, &format!(", tls: {{ {certificate}, client_ca: @FILES@/clients.pem }}"));
    assert_eq!(idle.rest().expect("an announced end"), b"");
    gate.open();
    let answer = busy.reply().expect("what was under way comes to its end");
    assert_eq!((answer.status, answer.text().as_str()), (200, "late"));
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    assert_eq!(busy.rest().expect("an announced end"), b"");
    assert!(Way::trusting(&servers).get(&gateway.address(), "a.example", "/").is_err());
}

#[test]
fn other_certificates_and_versions_leave_connections_alone() {
    let (servers, files, origin) = (Authority::new("servers"), Files::new(), Origin::ok());
    files.put("a", &servers.issue(&["a.example"]));
    let certificate = "certificates: [{ cert: @FILES@/a.pem, key: @FILES@/a.key }]";
    let (gateway, change) = listening(&format!(", tls: {{ {certificate} }}"), &files, &origin);
    let mut old = Way::trusting(&servers).connect(&gateway.address(), "a.example").expect("a connection");
    for more in ["min_version: \"1.3\"", "min_version: \"1.2\""] {
        change(&gateway, &format!(", tls: {{ {certificate}, {more} }}"));
        let answer = old.get("/", "").expect("an answer");
        assert!(answer.status == 200 && !answer.head.contains("connection: close"), "{}", answer.head);
    }
}

#[test]
fn connections_of_http2_are_told_to_go() {
    let (files, origin) = (Files::new(), Origin::ok());
    let (gateway, change) = listening(", http2: true", &files, &origin);
    let mut client = gateway.client();
    client.send([PREFACE, &Frame::settings(&[]).encode()].concat());
    let head = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "test")];
    client.send(Frame::headers(1, &head, true).encode());
    origin.wait_requests(1);
    change(&gateway, ", http2: true, proxy_protocol: require");
    let (mut bytes, _) = client.drain();
    let frames: Vec<Frame> = std::iter::from_fn(|| Frame::take(&mut bytes)).collect();
    assert!(frames.iter().any(|frame| frame.kind == Frame::DATA), "{frames:?}");
    let goodbye = frames.iter().rev().find(|frame| frame.kind == Frame::GOAWAY);
    assert_eq!(goodbye.and_then(Frame::code), Some(0), "{frames:?}");
}

/// A target over TLS whose certificate nobody vouches for. Over HTTP/1.1 it answers when the gate is open; over
/// HTTP/2 it does not even say its settings before. It counts its requests.
fn target(files: &Files, http2: bool, gate: &Gate) -> (String, Arc<[AtomicUsize; 2]>) {
    let issued = self_signed(&["127.0.0.1"]);
    files.put("target", &issued);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("versions").with_no_client_auth();
    let mut config = builder.with_single_cert(vec![issued.certificate], issued.key).expect("a server");
    config.alpn_protocols = if http2 { vec![b"h2".to_vec()] } else { Vec::new() };
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let (gate, counted) = (gate.clone(), counts.clone());
    // It ends with the process: nobody waits for a connection that never comes.
    std::thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            let (stream, gate, counts) = (StreamOwned::new(connection, tcp), gate.clone(), counted.clone());
            std::thread::spawn(move || serve(stream, http2, &gate, &counts));
        }
    });
    (url, counts)
}

/// `counts`: what came at all, and requests that were answered.
fn serve(
    mut stream: StreamOwned<ServerConnection, std::net::TcpStream>,
    http2: bool,
    gate: &Gate,
    counts: &[AtomicUsize; 2],
) -> Option<()> {
    let mut buffer = Vec::new();
    let mut begun = false;
    loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).ok().filter(|read| *read > 0)?;
        buffer.extend_from_slice(&piece[..read]);
        counts[0].fetch_add(1, SeqCst);
        gate.wait();
        if !http2 {
            if buffer.ends_with(b"\r\n\r\n") {
                buffer.clear();
                counts[1].fetch_add(1, SeqCst);
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").ok()?;
            }
            continue;
        }
        if !begun && buffer.len() >= PREFACE.len() {
            begun = true;
            buffer.drain(..PREFACE.len());
            stream.write_all(&Frame::settings(&[]).encode()).ok()?;
        }
        while let Some(frame) = begun.then(|| Frame::take(&mut buffer)).flatten() {
            if frame.kind == Frame::HEADERS {
                counts[1].fetch_add(1, SeqCst);
                let head = Frame::headers(frame.stream, &[(":status", "200")], false);
                let body = Frame::data(frame.stream, "ok", true);
                stream.write_all(&[head.encode(), body.encode()].concat()).ok()?;
            }
        }
    }
}

#[test]
fn connections_made_under_other_settings_serve_nobody_else() {
    let files = Files::new();
    files.text("other.pem", &Authority::new("other").pem());
    for http2 in [false, true] {
        let gate = Gate::new();
        let (url, counts) = target(&files, http2, &gate);
        let text = |tls: &str| {
            format!(
                "workers: 1\nupstreams:\n  u:\n    targets: [\"{url}\"]\n    connect_timeout: 30s\n    \
                 tls: {{ {tls} }}\nroutes:\n  - {{ path: /*, to: u }}\n"
            )
        };
        let gateway = gateway!(&text("insecure_skip_verify: true"), FILES = files.display());
        let change = |tls: &str, wanted| {
            gateway.replace_file(&gateway.complete(&text(tls), &[("FILES", files.display())]));
            gateway.wait_generation(wanted);
        };
        let mut first = gateway.client();
        first.send(GET);
        wait_for("the request, or the beginning of HTTP/2", || counts[0].load(SeqCst) > 0);
        change("ca: @FILES@/other.pem", 2);
        gate.open();
        assert_eq!(first.response().status, 200, "it began under the old settings");
        // On the same client, whose worker has whatever was kept.
        assert_problem(&first.get("/"), "upstream_tls");
        assert_problem(&gateway.get("/"), "upstream_tls");
        assert_eq!(counts[1].load(SeqCst), 1, "http2: {http2}");
        // What is made under the settings of now is kept as ever.
        change("ca: @FILES@/target.pem", 3);
        let before = counts[0].load(SeqCst);
        assert!((0..3).all(|_| first.get("/").status == 200) && counts[0].load(SeqCst) > before);
    }
}
