//! The handshake: its checks, what of the pipeline applies to it, and when it opens a tunnel.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tollgate_testkit::behaviour::{self, response};
use tollgate_testkit::{Client, Closed, Origin, assert_problem, gateway, wait_for};

use crate::{KEY, ROUTES, echo, handshake, open, switch};

/// What the client is told, sorted.
const ANSWERED: [&str; 10] = [
    "http/1.1 101 switching protocols",
    "access-control-allow-origin: https://app.example.com",
    "connection: upgrade",
    "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=",
    "sec-websocket-extensions: permessage-deflate",
    "sec-websocket-protocol: chat.v2",
    "upgrade: websocket",
    "vary: origin",
    "x-by: tollgate",
    "x-own: 1",
];

/// What the service is told.
const SENT: [(&str, Option<&str>); 12] = [
    ("connection", Some("Upgrade")),
    ("upgrade", Some("websocket")),
    ("sec-websocket-key", Some(KEY)),
    ("sec-websocket-version", Some("13")),
    ("sec-websocket-protocol", Some("chat.v1, chat.v2")),
    ("sec-websocket-extensions", Some("permessage-deflate; client_max_window_bits")),
    ("origin", Some("https://app.example.com")),
    ("x-room", Some("7")),
    ("cookie", None),
    ("x-forwarded-for", Some("127.0.0.1")),
    ("x-forwarded-host", Some("test")),
    ("via", Some("1.1 tollgate")),
];

#[test]
fn a_handshake_goes_through_the_pipeline_and_comes_back_as_a_tunnel() {
    let origin = Origin::start(|conn| {
        let seen = conn.head()?;
        conn.send(switch(
            &seen,
            "Sec-WebSocket-Protocol: chat.v2\r\nSec-WebSocket-Extensions: permessage-deflate\r\nServer: own\r\n\
             Keep-Alive: timeout=5\r\nX-Own: 1\r\n",
        ))?;
        let came = conn.some_bytes()?;
        conn.send([b"<", came.as_slice()].concat())?;
        conn.wait_end()
    });
    let gateway = gateway!(
        "
trusted_proxies: []
routes:
  - name: chat
    path: /chat/{room}
    cors: { origins: [\"https://app.example.com\"] }
    rate_limit: { rate: 10/m, per: ip }
    request:
      rewrite: \"/rooms/{room}\"
      set_headers: { x-room: \"{room}\" }
      remove_headers: [cookie]
    response: { set_headers: { x-by: tollgate }, remove_headers: [server] }
    to: \"@ORIGIN@/base\"
",
        ORIGIN = origin.url()
    );
    let mut client = gateway.client();
    client.send(handshake(
        "/chat/7?token=x",
        "Origin: https://app.example.com\r\nCookie: a=b\r\nSec-WebSocket-Protocol: chat.v1, chat.v2\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
    ));
    let head = client.until("\r\n\r\n").to_lowercase();
    let mut lines: Vec<&str> = head.trim_end().split("\r\n").collect();
    lines[1..].sort_unstable();
    lines.retain(|line| !line.starts_with("ratelimit"));
    assert_eq!(lines, ANSWERED);
    client.send("ping!");
    assert_eq!(client.bytes(6), b"<ping!");
    drop(client);

    let seen = &origin.requests()[0];
    assert_eq!(seen.head.start, "GET /base/rooms/7?token=x HTTP/1.1");
    for (name, value) in SENT {
        assert_eq!(seen.header(name), value, "{name}");
    }
    let record = gateway.record_of("/chat/7");
    for (field, value) in [
        ("method", json!("GET")),
        ("route", json!("chat")),
        ("status", json!(101)),
        ("bytes_in", json!(5)),
        ("bytes_out", json!(6)),
        ("attempts", json!(1)),
    ] {
        assert_eq!(record[field], value, "{field}: {record}");
    }
    let metrics = gateway.metrics();
    let count = "tollgate_requests_total{route=\"chat\",method=\"GET\",status=\"101\"}";
    assert_eq!(metrics.get(count), 1.0);
    assert_eq!(metrics.sum("tollgate_upstream_requests_total", &["outcome=\"1xx\""]), 1.0);
    assert_eq!(metrics.get("tollgate_inflight_requests"), 0.0);
}

/// `Connection` may name any header; what the handshake is made of goes on all the same.
#[test]
fn connection_cannot_take_the_handshake_apart() {
    let origin = Origin::start(|conn| {
        let seen = conn.head()?;
        let answer = switch(&seen, "Sec-WebSocket-Protocol: a\r\nX-Hop: 1\r\n");
        let named = "Connection: Upgrade, Sec-WebSocket-Accept, Sec-WebSocket-Protocol, X-Hop";
        conn.send(answer.replace("Connection: Upgrade", named))?;
        conn.wait_end()
    });
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = gateway.client();
    let named = "Connection: Sec-WebSocket-Key, Sec-WebSocket-Version, Sec-WebSocket-Protocol, X-Hop";
    client.send(handshake("/", &format!("{named}\r\nSec-WebSocket-Protocol: a\r\nX-Hop: 1\r\n")));
    let head = client.until("\r\n\r\n").to_lowercase();
    assert!(
        head.contains("sec-websocket-accept: s3pp") && head.contains("sec-websocket-protocol: a"),
        "{head}"
    );
    assert!(!head.contains("x-hop"), "{head}");
    let seen = &origin.requests()[0];
    assert_eq!(seen.header("sec-websocket-key"), Some(KEY));
    assert_eq!(seen.header("sec-websocket-protocol"), Some("a"));
    assert_eq!(seen.header("x-hop"), None);
}

/// The cases are beside the check; here, that a refusal reaches the client and nothing the origin.
#[test]
fn a_wrong_handshake_is_refused() {
    let origin = Origin::ok();
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    for (right, wrong) in [
        ("Version: 13", "Version: 8"),
        ("Sec-WebSocket-Version: 13\r\n", ""),
        (KEY, "c2hvcnQ="),
        ("Upgrade: websocket", "Upgrade: websocket, h2c"),
        ("GET", "POST"),
        ("Host: test", "Host: test\r\nContent-Length: 3"),
    ] {
        let mut client = gateway.client();
        let answer = client.exchange(handshake("/", "").replace(right, wrong));
        assert_problem(&answer, "upgrade_refused");
        let told = answer.header("sec-websocket-version");
        assert_eq!(told, right.contains("Version").then_some("13"), "{wrong}");
        client.assert_closed();
    }
    origin.assert_untouched();
}

/// Only an answer to what was asked, with the proof that the key was read, opens a tunnel.
#[test]
fn a_wrong_switch_is_no_answer() {
    let right = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let cases = [
        right.replace("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", ""),
        right.replace("s3pP", "S3pP"),
        right.replace("Upgrade: websocket", "Upgrade: h2c"),
        right.replace("Upgrade: websocket\r\n", ""),
        right.replace("Connection: Upgrade", "Connection: close"),
        right.replace("HTTP/1.1", "HTTP/1.0"),
        right.replace("101", "100"),
    ];
    for case in cases {
        let answer = case.clone();
        let origin = Origin::start(move |conn| {
            conn.head()?;
            conn.send(&answer)?;
            conn.wait_end()
        });
        let routes =
            "upstreams: { u: { targets: [\"@ORIGIN@\"], timeout: 500ms } }\nroutes: [{ path: /*, to: u }]\n";
        let gateway = gateway!(routes, ORIGIN = origin.url());
        let answer = gateway.client().exchange(handshake("/", ""));
        let reason = if case.contains(" 100 ") { "upstream_timeout" } else { "upstream_protocol" };
        assert_problem(&answer, reason);
        assert_eq!(origin.wait_closed(0), Closed::ByPeer, "{case}");
    }
}

/// Services that do not switch: their answers are as any other, and both connections serve on. What came behind the
/// handshake is the next request then, not the beginning of a tunnel.
#[test]
fn another_answer_passes_as_it_is() {
    let origin = Origin::start(|conn| {
        for status in [400, 403, 426, 200] {
            let seen = conn.request()?;
            assert_eq!(seen.header("upgrade").is_some(), status != 200);
            conn.send(response(status, b"no websocket"))?;
        }
        conn.wait_end()
    });
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = gateway.client();
    for status in [400, 403] {
        let answer = client.exchange(handshake("/", ""));
        assert_eq!((answer.status, answer.text()), (status, "no websocket".to_owned()));
        assert_eq!(answer.header("upgrade"), None);
    }
    client.send(handshake("/", "") + "GET /next HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.response().status, 426);
    assert_eq!(client.response().status, 200);
    assert_eq!(origin.connections().len(), 1);
    assert_eq!(origin.requests()[3].target(), "/next");
}

#[test]
fn what_is_early_goes_first_in_both_directions() {
    let origin = Origin::start(|conn| {
        let seen = conn.head()?;
        conn.send(switch(&seen, "") + "server first;")?;
        let mut came = Vec::new();
        while came.len() < 22 {
            came.extend(conn.some_bytes()?);
        }
        conn.send(came)
    });
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = gateway.client();
    client.send(handshake("/", "") + "client first;");
    client.until("\r\n\r\n");
    assert_eq!(client.until(";"), "server first;");
    client.send("then more");
    assert_eq!(client.until("more"), "client first;then more");
    client.assert_closed_cleanly();
}

#[test]
fn interim_answers_come_before_the_switch() {
    let origin = Origin::start(|conn| {
        let seen = conn.head()?;
        conn.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".to_owned() + &switch(&seen, ""))?;
        conn.wait_end()
    });
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = gateway.client();
    client.send(handshake("/", ""));
    assert!(client.until("\r\n\r\n").starts_with("HTTP/1.1 103 "));
    assert!(client.until("\r\n\r\n").starts_with("HTTP/1.1 101 "));
}

#[test]
fn who_may_not_call_gets_no_tunnel() {
    let origin = Origin::start(echo);
    let gateway = gateway!(
        "
consumers: [{ name: app, keys: [\"sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae\"] }]
routes:
  - { path: /keys, auth: { api_key: { query: key } }, to: \"@ORIGIN@\" }
  - { path: /denied, deny_ips: [127.0.0.1/32], to: \"@ORIGIN@\" }
  - { path: /once, rate_limit: { rate: 1/h, per: all }, to: \"@ORIGIN@\" }
  - { path: /one, concurrency: { max: 1 }, to: \"@ORIGIN@\" }
  - { path: /browser, headers: { origin: \"https://app.example.com\" }, to: \"@ORIGIN@\" }
",
        ORIGIN = origin.url()
    );
    let ask = |path: &str, lines: &str| gateway.client().exchange(handshake(path, lines));
    assert_problem(&ask("/keys", ""), "key_missing");
    assert_problem(&ask("/keys?key=bar", ""), "key_unknown");
    open(gateway.client(), "/keys?key=foo", "");
    assert_eq!(gateway.record(|record| record["status"] == 101)["consumer"], "app");
    assert_problem(&ask("/denied", ""), "ip_denied");
    open(gateway.client(), "/once", "");
    assert_problem(&ask("/once", ""), "rate_limited");
    // Another site's page may ask for a WebSocket with the visitor's cookies: CORS does not stop it, a route may.
    assert_problem(&ask("/browser", "Origin: https://evil.example\r\n"), "route_not_found");
    open(gateway.client(), "/browser", "Origin: https://app.example.com\r\n");
    // A tunnel is in flight as long as it stands.
    let first = open(gateway.client(), "/one", "");
    assert_problem(&ask("/one", ""), "concurrency_limited");
    assert_eq!(gateway.metrics().get("tollgate_inflight_requests"), 1.0);
    drop(first);
    wait_for("the place to be free", || gateway.metrics().get("tollgate_inflight_requests") == 0.0);
    open(gateway.client(), "/one", "");
}

#[test]
fn routes_without_an_upstream_answer_as_always() {
    let gateway = gateway!(
        "
routes:
  - { path: /fixed, respond: { body: plain } }
  - { path: /moved, redirect: { to: /fixed } }
  - { path: /health, health: { upstreams: all } }
"
    );
    let mut client = gateway.client();
    for (path, status) in [("/fixed", 200), ("/moved", 308), ("/health", 200), ("/nowhere", 404)] {
        let answer = client.exchange(handshake(path, ""));
        assert_eq!(answer.status, status, "{path}");
        assert_eq!((answer.header("upgrade"), answer.header("connection")), (None, None));
    }
}

#[test]
fn a_tunnel_holds_its_place_in_the_pool() {
    let origin = Origin::start(echo);
    let gateway = gateway!(
        "
upstreams: { u: { targets: [\"@ORIGIN@\"], connect_timeout: 300ms, pool: { max_connections: 1 } } }
routes: [{ path: /*, to: u }]
",
        ORIGIN = origin.url()
    );
    let first = open(gateway.client(), "/", "");
    assert_problem(&gateway.client().exchange(handshake("/", "")), "overloaded");
    drop(first);
    wait_for("the connection to be closed", || origin.connections()[0].closed.is_some());
    open(gateway.client(), "/", "");
    assert_eq!(origin.connections().len(), 2, "a connection that was a tunnel is never used again");
}

/// A kept connection that turns out dead is no reason to fail: nothing of the handshake was answered.
#[test]
fn a_dead_connection_is_replaced() {
    let origin =
        Origin::start(|conn| if conn.index() == 0 { behaviour::dies_on_reuse(conn) } else { echo(conn) });
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    let mut client = gateway.client();
    assert_eq!(client.get("/").status, 200);
    open(client, "/", "");
    assert_eq!(gateway.record(|record| record["status"] == 101)["attempts"], 2);
}

#[test]
fn unix_sockets_on_both_sides() {
    let dir = tempfile::tempdir().expect("a directory");
    let (theirs, ours) = (dir.path().join("origin.sock"), dir.path().join("tollgate.sock"));
    let origin = Origin::start_unix(&theirs, echo);
    let gateway = gateway!(
        "listeners: [{ address: \"unix:@OURS@\" }]\nroutes: [{ path: /*, to: \"@ORIGIN@\" }]\n",
        OURS = ours.display(),
        ORIGIN = origin.url()
    );
    drop(open(Client::connect_unix(&ours), "/", ""));
    assert_eq!(gateway.record_of("/")["bytes_out"], 5);
}

/// The time to the head of the answer holds for the handshake, and no longer.
#[test]
fn an_answer_that_does_not_come() {
    let origin = Origin::start(behaviour::hang);
    let routes = "routes: [{ path: /*, timeout: 300ms, to: \"@ORIGIN@\" }]\n";
    let gateway = gateway!(routes, ORIGIN = origin.url());
    let mut client = gateway.client();
    client.set_patience(Duration::from_secs(5));
    assert_problem(&client.exchange(handshake("/", "")), "upstream_timeout");
}

/// Through two gateways, the one before the other, with TLS between them: both ends of TLS carry a tunnel. The inner one
/// would rather speak HTTP/2, which the outer one does not offer for this.
#[test]
fn tls_carries_a_tunnel() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("cert.pem"), pem("CERTIFICATE", made.cert.der())).expect("a file");
    std::fs::write(dir.path().join("key.pem"), pem("PRIVATE KEY", &made.signing_key.serialize_der()))
        .expect("a file");
    let origin = Origin::start(echo);
    let inner = gateway!(
        "
listeners: [{ address: \"@LISTEN@\", tls: { certificates: [{ cert: \"@CERTS@/cert.pem\", key: \"@CERTS@/key.pem\" }] } }]
routes: [{ path: /*, to: \"@ORIGIN@\" }]
",
        CERTS = dir.path().display(),
        ORIGIN = origin.url()
    );
    let outer = gateway!(
        "
upstreams: { inner: { targets: [\"https://@INNER@\"], tls: { ca: \"@CERTS@/cert.pem\" } } }
routes: [{ path: /*, to: inner }]
",
        CERTS = dir.path().display(),
        INNER = inner.address()
    );
    assert_eq!(outer.client().exchange(handshake("/a", "").replace(KEY, "x")).status, 400);
    let mut client = open(outer.client(), "/", "");
    let bytes: Vec<u8> = (0..1_000_000).map(|at| (at % 251) as u8).collect();
    client.send(&bytes);
    assert!(client.bytes_exactly(bytes.len()) == bytes);
    client.half_close();
    client.assert_closed_cleanly();
    for gateway in [&inner, &outer] {
        let record = gateway.record(|record| record["status"] == 101);
        assert_eq!((&record["bytes_out"], &record["reason"]), (&json!(1_000_005), &json!(null)));
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// A target that speaks nothing but HTTP/2 has no tunnels for us (RFC 8441).
#[test]
fn a_target_of_http2_has_no_tunnels() {
    let gateway = gateway!("routes: [{ path: /*, to: \"h2c://127.0.0.1:9\" }]\n");
    assert_problem(&gateway.client().exchange(handshake("/", "")), "upgrade_refused");
}
