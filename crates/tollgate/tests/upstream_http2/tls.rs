//! Targets over TLS, which choose what is spoken.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustls::ServerConfig;
use tollgate_testkit::{Client, H2Origin, Nginx, Port, wait_for};

use super::pki::{Files, self_signed};
use super::with;

/// A certificate for 127.0.0.1 that nobody vouches for, in files and for an origin that offers these protocols.
fn certificate(protocols: &[&str]) -> (Files, Arc<ServerConfig>) {
    let (files, issued) = (Files::new(), self_signed(&["127.0.0.1"]));
    files.put("a", &issued);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("versions").with_no_client_auth();
    let config = builder.with_single_cert(vec![issued.certificate], issued.key);
    let mut config = config.expect("a certificate and its key");
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    (files, Arc::new(config))
}

const ANY_CERTIFICATE: &str = "    tls: { insecure_skip_verify: true }\n";

/// A target over TLS chooses; however many ask at first, one connection of HTTP/2 is enough.
#[test]
fn a_target_over_tls_chooses_what_is_spoken() {
    let (files, _) = certificate(&[]);
    for (http2, protocol) in [(" http2", "HTTP/2.0"), ("", "HTTP/1.1")] {
        let (port, root) = (Port::reserve(), files.display());
        let _nginx = Nginx::start(&format!(
            "listen {address} ssl{http2}; ssl_certificate {root}/a.pem; ssl_certificate_key {root}/a.key;\n\
             location / {{ return 200 \"$server_protocol $connection\"; }}",
            address = port.address(),
        ));
        let gateway = with(&format!("https://{}", port.address()), ANY_CERTIFICATE);
        let mut clients: Vec<Client> = (0..10).map(|_| gateway.client()).collect();
        let mut said = BTreeSet::new();
        for _ in 0..3 {
            clients.iter_mut().for_each(|client| client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
            said.extend(clients.iter_mut().map(|client| client.response().text()));
        }
        assert!(said.iter().all(|said| said.starts_with(protocol)), "{said:?}");
        assert!(http2.is_empty() || said.len() == 1, "one connection is enough: {said:?}");
        // A WebSocket has a connection of HTTP/1.1 to itself; nginx knows none and answers as to any request.
        let answer = gateway.client().exchange(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        assert!(answer.text().starts_with("HTTP/1.1"), "{answer:#?}");
    }
}

/// What speaks HTTP/2 alone, as gRPC services do, is reached and checked.
#[test]
fn a_target_over_tls_that_speaks_nothing_else() {
    let (_files, tls) = certificate(&["h2"]);
    let origin = H2Origin::start_tls(tls, |mut exchange| async move {
        exchange.body().await;
        exchange.answer(200, &[], b"ok", &[("x-sum", "1")]);
    });
    let check = "    health_check: { path: /health, every: 50ms, timeout: 1s, healthy_after: 1, unhealthy_after: 1 }\n";
    let gateway = with(&origin.url(), &format!("{ANY_CERTIFICATE}{check}"));
    wait_for("two checks", || origin.requests().len() >= 2);
    let answer = gateway.client().exchange("GET /a HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n");
    assert_eq!((answer.status, answer.trailers), (200, vec![("x-sum".into(), "1".into())]));
    let seen = origin.requests().into_iter().find(|seen| seen.path == "/a").expect("the request");
    assert_eq!((seen.scheme.as_str(), seen.authority.as_str()), ("https", &*origin.address()));
}
