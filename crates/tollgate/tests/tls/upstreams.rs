//! TLS to targets: whom the gateway trusts, what it shows, and what becomes of answers that are cut.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{
    DigitallySignedStruct, Error, RootCertStore, ServerConfig, ServerConnection, SignatureScheme, StreamOwned,
};
use serde_json::Value;
use tollgate_testkit::{Gateway, Nginx, Port, assert_problem, binary, gateway, wait_for};

use crate::pki::{Authority, Files, Issued, self_signed};

/// Takes any certificate.
#[derive(Debug)]
pub(crate) struct Anybody;

/// The same, of those with RSA keys.
#[derive(Debug)]
pub(crate) struct RsaOnly;

macro_rules! takes_any {
    ($name:ident, $schemes:expr) => {
        impl ServerCertVerifier for $name {
            fn verify_server_cert(
                &self,
                _: &CertificateDer<'_>,
                _: &[CertificateDer<'_>],
                _: &ServerName<'_>,
                _: &[u8],
                _: UnixTime,
            ) -> Result<ServerCertVerified, Error> {
                Ok(ServerCertVerified::assertion())
            }

            fn verify_tls12_signature(
                &self,
                _: &[u8],
                _: &CertificateDer<'_>,
                _: &DigitallySignedStruct,
            ) -> Result<HandshakeSignatureValid, Error> {
                Ok(HandshakeSignatureValid::assertion())
            }

            fn verify_tls13_signature(
                &self,
                _: &[u8],
                _: &CertificateDer<'_>,
                _: &DigitallySignedStruct,
            ) -> Result<HandshakeSignatureValid, Error> {
                Ok(HandshakeSignatureValid::assertion())
            }

            fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
                $schemes
            }
        }
    };
}

takes_any!(Anybody, vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256]);
takes_any!(RsaOnly, vec![SignatureScheme::RSA_PSS_SHA256]);

/// nginx over TLS with this certificate, and more lines of its configuration.
fn nginx(files: &Files, issued: &Issued, more: &str) -> (Nginx, String) {
    files.put("nginx", issued);
    let (port, root) = (Port::reserve(), files.display());
    let nginx = Nginx::start(&format!(
        "listen {address} ssl; ssl_certificate {root}/nginx.pem; ssl_certificate_key {root}/nginx.key;\n\
         location / {{ return 200 \"sni=$ssl_server_name version=$ssl_protocol resumed=$ssl_session_reused \
         client=$ssl_client_s_dn connection=$connection\"; }}\n{more}",
        address = port.address(),
    ));
    (nginx, format!("https://{}", port.address()))
}

fn upstream(url: &str, tls: &str) -> String {
    format!(
        "upstreams:\n  u:\n    targets: [\"{url}\"]\n    tls: {{ {tls} }}\nroutes:\n  - {{ path: /*, to: u }}\n"
    )
}

fn start(text: &str, files: &Files) -> Gateway {
    gateway!(text, FILES = files.display())
}

#[test]
fn targets_are_trusted_for_their_authority_and_their_name() {
    let (authority, files) = (Authority::new("root"), Files::new());
    files.text("ca.pem", &authority.pem());
    files.text("other.pem", &Authority::new("other").pem());
    let by_address = authority.issue(&["127.0.0.1"]);
    let by_name = authority.issue(&["api.internal"]);
    for (what, issued, tls, expect) in [
        ("nobody vouches", &by_address, "", false),
        ("another authority", &by_address, "ca: @FILES@/other.pem", false),
        ("its own, by address", &by_address, "ca: @FILES@/ca.pem", true),
        ("another name", &by_name, "ca: @FILES@/ca.pem", false),
        ("the name that is asked for", &by_name, "ca: @FILES@/ca.pem, server_name: API.internal", true),
        ("not the one that is asked for", &by_address, "ca: @FILES@/ca.pem, server_name: b.internal", false),
        ("nobody looks", &by_name, "insecure_skip_verify: true", true),
        ("itself", &by_address, "ca: @FILES@/nginx.pem", true),
    ] {
        let (_nginx, url) = nginx(&files, issued, "");
        let gateway = start(&upstream(&url, tls), &files);
        let answer = gateway.get("/");
        if expect {
            assert_eq!(answer.status, 200, "{what}: {}", answer.text());
            let sni = if tls.contains("API") { "sni=api.internal version" } else { "sni= version" };
            assert!(answer.text().contains(sni), "{what}: {}", answer.text());
        } else {
            assert_problem(&answer, "upstream_tls");
            wait_for("the log", || gateway.stderr().text().contains("invalid peer certificate"));
        }
        let warned = gateway.stderr().text().contains("any certificate is taken");
        assert_eq!(warned, tls.contains("insecure"), "{what}");
    }
}

#[test]
fn a_certificate_that_vouches_for_itself_can_be_named() {
    let files = Files::new();
    let issued = self_signed(&["127.0.0.1"]);
    files.put("self", &issued);
    files.put("other", &self_signed(&["127.0.0.1"]));
    let (_nginx, url) = nginx(&files, &issued, "");
    assert_eq!(start(&upstream(&url, "ca: @FILES@/self.pem"), &files).get("/").status, 200);
    assert_problem(&start(&upstream(&url, "ca: @FILES@/other.pem"), &files).get("/"), "upstream_tls");
    let named = upstream(&url, "ca: @FILES@/self.pem, server_name: b.internal");
    assert_problem(&start(&named, &files).get("/"), "upstream_tls");
    for (ca, trusted) in [("self", true), ("other", false)] {
        let issuer = format!(
            "issuers: {{ main: {{ issuer: \"https://id.example/\", audience: [a], algorithms: [RS256], jwks_url: \"{url}/keys\", \
             ca: @FILES@/{ca}.pem }} }}\nroutes: [{{ path: /, auth: {{ jwt: main }}, respond: {{}} }}]\n"
        );
        let gateway = start(&issuer, &files);
        // What nginx says there are no keys, which is told once TLS was agreed upon.
        let line = gateway.stderr().wait_line("keys cannot be fetched");
        assert_eq!(!line.contains("TLS failed"), trusted, "{line}");
    }
}

#[test]
fn targets_that_ask_for_a_certificate_get_one() {
    let (authority, files) = (Authority::new("root"), Files::new());
    files.text("ca.pem", &authority.pem());
    files.put("gateway", &authority.client("Example", "gateway"));
    let verify = format!("ssl_verify_client on; ssl_client_certificate {}/ca.pem;", files.display());
    let (_nginx, url) = nginx(&files, &authority.issue(&["127.0.0.1"]), &verify);
    let with = "ca: @FILES@/ca.pem, cert: @FILES@/gateway.pem, key: @FILES@/gateway.key";
    let answer = start(&upstream(&url, with), &files).get("/");
    assert!(answer.text().contains("client=CN=gateway,O=Example"), "{}", answer.text());
    let answer = start(&upstream(&url, "ca: @FILES@/ca.pem"), &files).get("/");
    assert_eq!(answer.status, 400, "nginx answers so: {}", answer.text());
}

/// An origin over TLS 1.3 that serves nobody without a certificate of `authority`, and says so behind its own handshake.
fn strict(authority: &Authority, protocols: &[&str]) -> String {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).expect("an authority");
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]);
    let issued = authority.issue(&["127.0.0.1"]);
    let config = builder.expect("a version").with_client_cert_verifier(verifier.expect("a verifier"));
    let mut config = config.with_single_cert(vec![issued.certificate], issued.key).expect("a server");
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    // It ends with the process: nobody waits for a connection that never comes.
    std::thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            let _ = StreamOwned::new(connection, tcp).read(&mut [0; 4096]);
        }
    });
    url
}

#[test]
fn a_target_that_refuses_the_handshake_in_the_place_of_an_answer_failed_in_tls() {
    let (authority, files) = (Authority::new("root"), Files::new());
    files.text("ca.pem", &authority.pem());
    files.put("stranger", &Authority::new("other").client("Example", "gateway"));
    let shown = "ca: @FILES@/ca.pem, cert: @FILES@/stranger.pem, key: @FILES@/stranger.key";
    for protocols in [&[][..], &["h2"]] {
        let url = strict(&authority, protocols);
        for (tls, alert) in [("ca: @FILES@/ca.pem", "CertificateRequired"), (shown, "UnknownCA")] {
            let text = upstream(&url, &format!("{tls} }}\n    retry: {{ on: [connect], backoff: 0s"));
            let gateway = start(&text, &files);
            for request in ["GET /get HTTP/1.1\r\n", "POST /post HTTP/1.1\r\nContent-Length: 5\r\n"] {
                let body = if request.starts_with("POST") { "hello" } else { "" };
                let answer = gateway.client().exchange(format!("{request}Host: test\r\n\r\n{body}"));
                assert_problem(&answer, "upstream_tls");
            }
            gateway.stderr().wait_line(&format!("received fatal alert: {alert}"));
            assert_eq!(
                gateway.record_of("/post")["attempts"],
                2,
                "{alert}: nothing was sent, so it is sent again"
            );
        }
    }
}

#[test]
fn urls_on_routes_trust_the_system() {
    let (authority, files) = (Authority::new("root"), Files::new());
    files.text("system.pem", &authority.pem());
    let (_nginx, url) = nginx(&files, &authority.issue(&["127.0.0.1"]), "");
    let text = format!("routes:\n  - {{ path: /*, to: \"{url}\" }}\n");
    let system = files.path().join("system.pem").display().to_string();
    let gateway = Gateway::start_under(binary!(), &text, &[], &[("SSL_CERT_FILE", &system)]);
    assert_eq!(gateway.get("/").status, 200);
    assert_problem(&gateway!(&text).get("/"), "upstream_tls");
}

#[test]
fn connections_are_kept_and_sessions_resumed() {
    let (authority, files) = (Authority::new("root"), Files::new());
    files.text("ca.pem", &authority.pem());
    for version in ["TLSv1.2", "TLSv1.3"] {
        let more = format!("ssl_protocols {version}; location /close {{ keepalive_timeout 0; return 200; }}");
        let (_nginx, url) = nginx(&files, &authority.issue(&["127.0.0.1"]), &more);
        let text = format!("workers: 1\n{}", upstream(&url, "ca: @FILES@/ca.pem"));
        let gateway = start(&text, &files);
        let mut client = gateway.client();
        let (first, second) = (client.get("/").text(), client.get("/").text());
        assert_eq!(first, second, "the same connection: tickets are no reason to close it");
        assert!(first.contains(&format!("version={version} resumed=.")), "{first}");
        assert_eq!(client.get("/close").status, 200);
        let third = client.get("/").text();
        assert!(third.contains(&format!("version={version} resumed=r")), "{third}");
    }
}

#[test]
fn failures_of_tls_count_for_ejection_and_retries() {
    let (authority, files) = (Authority::new("root"), Files::new());
    files.text("ca.pem", &authority.pem());
    let (_bad, bad) = nginx(&files, &authority.issue(&["other.internal"]), "");
    let (_good, good) = nginx(&files, &authority.issue(&["127.0.0.1"]), "");
    let text = format!(
        "workers: 1\nupstreams:\n  u:\n    targets: [\"{bad}\", \"{good}\"]\n    balance: round_robin\n    \
         tls: {{ ca: @FILES@/ca.pem }}\n    retry: {{ on: [connect] }}\n    \
         outlier: {{ consecutive_failures: 1 }}\nroutes:\n  - {{ path: /*, to: u }}\n"
    );
    let gateway = start(&text, &files);
    for _ in 0..10 {
        assert_eq!(gateway.get("/").status, 200, "the other target answers");
    }
    let targets = gateway.admin("/health").json()["upstreams"]["u"]["targets"].clone();
    let healthy = |url: &str| {
        let found = targets.as_array().into_iter().flatten().find(|target| target["url"] == url);
        found.map(|target| target["healthy"].clone()).unwrap_or(Value::Null)
    };
    assert_eq!((healthy(&bad), healthy(&good)), (false.into(), true.into()), "{targets}");
}

#[test]
fn health_checks_speak_tls() {
    let (authority, files) = (Authority::new("root"), Files::new());
    files.text("ca.pem", &authority.pem());
    files.text("other.pem", &Authority::new("other").pem());
    let (_nginx, url) = nginx(&files, &authority.issue(&["127.0.0.1"]), "");
    for (ca, expect) in [("ca", true), ("other", false)] {
        let text = format!(
            "upstreams:\n  u:\n    targets: [\"{url}\"]\n    tls: {{ ca: @FILES@/{ca}.pem }}\n    \
             health_check: {{ every: 100ms, path: /, unhealthy_after: 1 }}\nroutes:\n  - {{ path: /*, to: u }}\n"
        );
        let gateway = start(&text, &files);
        let healthy = || gateway.admin("/health").json()["upstreams"]["u"]["targets"][0]["healthy"].clone();
        if expect {
            tollgate_testkit::assert_holds(
                "the target is healthy",
                std::time::Duration::from_millis(500),
                || healthy() == true,
            );
        } else {
            wait_for("the target to be unhealthy", || healthy() == false);
        }
    }
}

/// An origin over TLS that answers with `answer` and then ends, with or without saying so.
fn ending(issued: &Issued, answer: &'static str, announced: bool) -> (String, Arc<AtomicUsize>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let chain = vec![issued.certificate.clone()];
    let config = builder.expect("versions").with_no_client_auth();
    let config = Arc::new(config.with_single_cert(chain, issued.key.clone_key()).expect("a server"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    // It ends with the process: nobody waits for a connection that never comes.
    std::thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            let mut stream = StreamOwned::new(connection, tcp);
            if matches!(stream.read(&mut [0; 4096]), Ok(read) if read > 0) {
                count.fetch_add(1, SeqCst);
                let _ = stream.write_all(answer.as_bytes());
                if announced {
                    stream.conn.send_close_notify();
                }
                let _ = stream.flush();
            }
        }
    });
    (url, served)
}

#[test]
fn an_answer_that_is_cut_is_not_taken_for_a_whole_one() {
    const UNTIL_CLOSE: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it";
    let (authority, files) = (Authority::new("root"), Files::new());
    files.text("ca.pem", &authority.pem());
    let issued = authority.issue(&["127.0.0.1"]);
    for announced in [true, false] {
        let (url, served) = ending(&issued, UNTIL_CLOSE, announced);
        let gateway = start(&upstream(&url, "ca: @FILES@/ca.pem"), &files);
        let mut client = gateway.client();
        client.send("GET /end HTTP/1.1\r\nHost: test\r\n\r\n");
        let answer = client.try_response();
        assert_eq!(answer.is_ok(), announced, "{answer:?}");
        let reason = if announced { Value::Null } else { "upstream_reset".into() };
        assert_eq!(gateway.record_of("/end")["reason"], reason);
        assert_eq!(served.load(SeqCst), 1);
    }
}

#[test]
fn long_bodies_go_both_ways() {
    let (authority, files) = (Authority::new("root"), Files::new());
    files.text("ca.pem", &authority.pem());
    let body: String = (0..300_000).map(|at| format!("{at:07}\n")).collect();
    files.text("long", &body);
    let more = format!(
        "location /long {{ root {}; }} location /sink {{ proxy_pass http://unix:/nowhere; }}",
        files.display()
    );
    let (_nginx, url) = nginx(&files, &authority.issue(&["127.0.0.1"]), &more);
    let gateway = start(&upstream(&url, "ca: @FILES@/ca.pem"), &files);
    let mut client = gateway.client();
    for _ in 0..3 {
        assert!(client.get("/long").body == body.as_bytes());
    }
}
