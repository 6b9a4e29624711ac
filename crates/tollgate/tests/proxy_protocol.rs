//! PROXY protocol headers in front of connections: who counts as the client, and what becomes of those without one.

#[path = "tls/pki.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod pki;

use std::process::Command;
use std::time::Duration;

use tollgate_testkit::{Client, Gateway, HaProxy, Origin, PATIENCE, Port, Signal, gateway, wait_for};

const REQUIRE: &str = r#"
listeners:
  - { address: "@LISTEN@", proxy_protocol: require }
  - { address: "@PLAIN@" }
  - { address: "unix:@DIR@/in.sock", proxy_protocol: require }
limits: { header_timeout: 1s }
routes:
  - { path: /ip, respond: { body: "{client_ip}" } }
  - { path: /narrow, allow_ips: [192.0.2.0/24, "2001:db8::/32"], respond: { body: in } }
  - { path: /to, to: "@ORIGIN@" }
"#;

const GET: &[u8] = b"GET /ip HTTP/1.1\r\nHost: a\r\n\r\n";

/// A header of version 2.
fn block(kind: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("a short block").to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[kind, family], &length, rest].concat()
}

/// From 192.0.2.1, with two TLVs behind the addresses.
fn inet() -> Vec<u8> {
    let addresses = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 4, 1, 0xbb];
    block(0x21, 0x11, &[&addresses[..], &[3, 0, 4, 1, 2, 3, 4], &[4, 0, 1, 0]].concat())
}

fn inet6() -> Vec<u8> {
    let mut addresses = [0; 36];
    addresses[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
    addresses[15] = 7;
    block(0x21, 0x21, &addresses)
}

struct Setup {
    gateway: Gateway,
    origin: Origin,
    plain: Port,
}

fn setup() -> Setup {
    let (origin, plain) = (Origin::echo(), Port::reserve());
    let gateway = gateway!(REQUIRE, ORIGIN = origin.url(), PLAIN = plain.address());
    Setup { gateway, origin, plain }
}

impl Setup {
    fn unix(&self) -> Client {
        Client::connect_unix(&self.gateway.dir().join("in.sock"))
    }
}

#[test]
fn the_source_of_the_header_is_the_client() {
    let setup = setup();
    let line = |text: &str| text.as_bytes().to_vec();
    for (header, tcp, unix) in [
        (line("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"), "192.0.2.1", "192.0.2.1"),
        (line("PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n"), "2001:db8::7", "2001:db8::7"),
        (line("PROXY TCP6 ::ffff:192.0.2.9 ::1 1 2\r\n"), "192.0.2.9", "192.0.2.9"),
        (line("PROXY UNKNOWN\r\n"), "127.0.0.1", ""),
        (inet(), "192.0.2.1", "192.0.2.1"),
        (inet6(), "2001:db8::7", "2001:db8::7"),
        (block(0x20, 0x00, &[]), "127.0.0.1", ""),
        (block(0x21, 0x00, &[1, 0, 0]), "127.0.0.1", ""),
        (block(0x21, 0x31, &[b'/'; 216]), "127.0.0.1", ""),
    ] {
        for (mut client, expect) in [(setup.gateway.client(), tcp), (setup.unix(), unix)] {
            // The request comes along with the header; later ones have none.
            for bytes in [[&header[..], GET].concat(), GET.to_vec()] {
                let response = client.exchange(bytes);
                assert_eq!((response.status, response.text().as_str()), (200, expect));
            }
        }
    }
    let record = setup.gateway.record(|record| record["client"] == "2001:db8::7");
    assert_eq!(record["path"], "/ip");
}

#[test]
fn a_header_may_come_in_pieces() {
    let setup = setup();
    for header in [b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n".to_vec(), inet()] {
        let mut client = setup.gateway.client();
        client.drip(&header, 1, Duration::from_millis(1)).expect("it is taken");
        assert_eq!(client.exchange(GET).text(), "192.0.2.1");
        // All but the last byte, then that byte with two requests.
        let mut client = setup.unix();
        client.send(&header[..header.len() - 1]);
        client.send([&header[header.len() - 1..], GET, GET].concat());
        assert_eq!(client.response().text(), "192.0.2.1");
        assert_eq!(client.response().text(), "192.0.2.1");
    }
}

#[test]
fn the_source_counts_everywhere() {
    let setup = setup();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n");
    let ask =
        |header: &[u8], path: &str| setup.gateway.client().exchange([header, get(path).as_bytes()].concat());
    assert_eq!(ask(&inet(), "/narrow").status, 200);
    assert_eq!(ask(&inet6(), "/narrow").status, 200);
    assert_eq!(ask(b"PROXY TCP4 203.0.113.1 198.51.100.1 1 2\r\n", "/narrow").status, 403);
    assert_eq!(ask(&inet(), "/to").status, 200);
    assert_eq!(setup.origin.last().head.get("x-forwarded-for"), Some("192.0.2.1"));
}

#[test]
fn a_connection_without_a_header_is_closed_and_told() {
    let setup = setup();
    let beginnings: [&[u8]; 7] = [
        GET,
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &[&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x21, 0x11, 0, 3, 1, 2, 3]].concat(),
        &[&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x21, 0x11, 0x20, 0]].concat(),
    ];
    for bytes in beginnings {
        for mut client in [setup.gateway.client(), setup.unix()] {
            client.send(bytes);
            client.assert_closed();
        }
    }
    let log = || setup.gateway.stderr().text();
    wait_for("the operator to be told", || log().contains("a connection without a PROXY header was closed"));
    assert!(
        log().contains(&setup.gateway.address()) && log().contains("proxy_protocol: require"),
        "{}",
        log()
    );
    assert_eq!(setup.gateway.stdout().records().len(), 0, "no request came");
    // One line a second for each listener, however many connections there are.
    for _ in 0..50 {
        let mut client = setup.gateway.client();
        client.send(GET);
        client.assert_closed();
    }
    let told = log().matches("without a PROXY header").count();
    assert!((2..=8).contains(&told), "{told} lines for 64 connections");
    assert_eq!(setup.gateway.client().exchange([&inet()[..], GET].concat()).text(), "192.0.2.1");
}

#[test]
fn a_header_that_does_not_come_in_time_ends_the_connection() {
    let setup = setup();
    let mut parts = [&b""[..], b"PROXY TCP4 192", &inet()[..20]].map(|part| {
        let mut client = setup.gateway.client();
        client.send(part);
        client
    });
    // One that leaves in the middle, and one that never says a word, as health checks of balancers do.
    let mut leaves = setup.gateway.client();
    leaves.send("PROXY ");
    leaves.half_close();
    leaves.assert_closed();
    drop(setup.gateway.client());
    for client in &mut parts {
        client.set_patience(PATIENCE);
        client.assert_closed();
    }
    wait_for("the operator to be told", || setup.gateway.stderr().text().contains("nothing came in time"));
    wait_for("nobody to be left", || {
        let listener = format!("listener=\"{}\"", setup.gateway.address());
        setup.gateway.metrics().sum("tollgate_connections", &[&listener]) == 0.0
    });
}

#[test]
fn a_header_is_believed_only_where_it_is_required() {
    let setup = setup();
    for header in [b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n".to_vec(), inet()] {
        let mut client = Client::connect(&setup.plain.address());
        let response = client.exchange([&header[..], GET].concat());
        assert_eq!(response.status, 400, "it is no request");
        client.assert_closed();
    }
    assert_eq!(Client::connect(&setup.plain.address()).exchange(GET).text(), "127.0.0.1");
}

#[test]
fn trusted_proxies_are_asked_about_the_address_in_the_header() {
    let text = format!("trusted_proxies: [192.0.2.0/24]\n{REQUIRE}");
    let (origin, plain) = (Origin::echo(), Port::reserve());
    let gateway = gateway!(&text, ORIGIN = origin.url(), PLAIN = plain.address());
    let get = b"GET /ip HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n";
    let ask = |header: &[u8]| gateway.client().exchange([header, get].concat()).text();
    assert_eq!(ask(&inet()), "203.0.113.9", "the header's source is a trusted proxy");
    assert_eq!(ask(b"PROXY TCP4 198.51.100.7 198.51.100.1 1 2\r\n"), "198.51.100.7");
    assert_eq!(ask(b"PROXY UNKNOWN\r\n"), "127.0.0.1", "the balancer itself is not");
}

#[test]
fn a_reload_switches_it_on_and_off() {
    let origin = Origin::ok();
    let text = |setting: &str| {
        format!(
            "listeners: [{{ address: \"@LISTEN@\", proxy_protocol: {setting} }}]\nroutes:\n  - {{ path: /ip, respond: {{ body: \"{{client_ip}}\" }} }}\n"
        )
    };
    let gateway = gateway!(&text("off"), ORIGIN = origin.url());
    let mut old = gateway.client();
    assert_eq!(old.exchange(GET).text(), "127.0.0.1");
    gateway.replace_file(&gateway.complete(&text("require"), &[]));
    gateway.wait_generation(2);
    assert_eq!(gateway.client().exchange([&inet()[..], GET].concat()).text(), "192.0.2.1");
    // It could say whatever it likes of where it comes from.
    old.assert_closed();
    gateway.replace_file(&gateway.complete(&text("off"), &[]));
    gateway.wait_generation(3);
    assert_eq!(gateway.client().exchange(GET).text(), "127.0.0.1");
}

#[test]
fn a_drain_waits_for_no_header() {
    let mut setup = setup();
    let mut silent = setup.gateway.client();
    setup.gateway.signal(Signal::TERM);
    silent.assert_closed();
    assert_eq!(setup.gateway.wait_exit().code(), Some(0));
    assert!(!setup.gateway.stderr().text().contains("PROXY header"));
}

#[test]
fn behind_haproxy() {
    let setup = setup();
    let ports: [Port; 4] = std::array::from_fn(|_| Port::reserve());
    let (tcp, unix) = (setup.gateway.address(), setup.gateway.dir().join("in.sock"));
    let unix = unix.display();
    let _haproxy = HaProxy::start(&[
        (&ports[0], format!("{tcp} send-proxy")),
        (&ports[1], format!("{tcp} send-proxy-v2 proxy-v2-options unique-id,crc32c")),
        (&ports[2], format!("unix@{unix} send-proxy-v2")),
        // Its own checks speak for themselves: LOCAL.
        (&ports[3], format!("{tcp} send-proxy-v2 check check-send-proxy inter 100ms")),
    ]);
    for port in &ports {
        let mut client = Client::connect(&port.address());
        for _ in 0..3 {
            let response = client.exchange(GET);
            assert_eq!((response.status, response.text().as_str()), (200, "127.0.0.1"), "{}", port.address());
        }
    }
    assert!(!setup.gateway.stderr().text().contains("PROXY header"), "{}", setup.gateway.stderr().text());
}

/// TLS and HTTP/2 begin behind the header.
#[test]
fn what_comes_behind_the_header_may_be_tls() {
    let (authority, files) = (pki::Authority::new("root"), pki::Files::new());
    files.put("a", &authority.issue(&["a.example"]));
    files.text("root.pem", &authority.pem());
    let text = "listeners:\n  - { address: \"unix:@DIR@/in.sock\", proxy_protocol: require, tls: { certificates: \
                [{ cert: @FILES@/a.pem, key: @FILES@/a.key }] } }\n  - { address: \"unix:@DIR@/clear.sock\", \
                proxy_protocol: require }\nroutes:\n  - { path: /ip, respond: { body: \"{client_ip} {scheme}\" } }\n";
    let gateway = gateway!(text, FILES = files.display());
    let ports: [Port; 2] = std::array::from_fn(|_| Port::reserve());
    let server = |socket: &str| format!("unix@{} send-proxy-v2", gateway.dir().join(socket).display());
    let _haproxy = HaProxy::start(&[(&ports[0], server("in.sock")), (&ports[1], server("clear.sock"))]);
    let curl = |port: &Port, arguments: &[&str], scheme: &str| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "10", "-w", " %{http_version}"]);
        command.arg("--cacert").arg(files.path().join("root.pem")).args(arguments);
        command.args(["--resolve", &format!("a.example:{}:127.0.0.1", port.number())]);
        let output = command.arg(format!("{scheme}://a.example:{}/ip", port.number())).output();
        let output = output.expect("curl is there; `./dev test` installs it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(curl(&ports[0], &["--http1.1"], "https"), "127.0.0.1 https 1.1");
    assert_eq!(curl(&ports[0], &["--http2"], "https"), "127.0.0.1 https 2");
    assert_eq!(curl(&ports[1], &["--http1.1"], "http"), "127.0.0.1 http 1.1");
    assert_eq!(curl(&ports[1], &["--http2-prior-knowledge"], "http"), "127.0.0.1 http 2");
}
