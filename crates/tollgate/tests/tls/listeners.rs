//! What clients meet: certificates by name, versions, what is refused, bodies, ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};
use tollgate_testkit::{Gateway, Origin, PATIENCE, assert_problem, behaviour, gateway, wait_for};

use crate::client::Way;
use crate::pki::{Authority, Files};

const ONE: &str = "
listeners:
  - address: \"@LISTEN@\"
    tls: { certificates: [{ cert: @FILES@/a.pem, key: @FILES@/a.key }] }
routes:
  - { path: /hello, respond: { body: \"{scheme}\" } }
  - { path: /*, to: @ORIGIN@ }
";

/// A gateway with one certificate, for `a.example`.
fn one(origin: &Origin) -> (Gateway, Authority, Files) {
    let (authority, files) = (Authority::new("root"), Files::new());
    files.put("a", &authority.issue(&["a.example"]));
    (gateway!(ONE, FILES = files.display(), ORIGIN = origin.url()), authority, files)
}

#[test]
fn the_host_that_a_client_names_chooses_the_certificate() {
    let (authority, files) = (Authority::new("root"), Files::new());
    let first = authority.issue(&["first.example"]);
    let wildcard = authority.issue(&["*.wild.example"]);
    let exact = authority.issue(&["x.wild.example", "Other.Example"]);
    let rsa = authority.issue_rsa(&["other.example"]);
    for (name, issued) in [("first", &first), ("wildcard", &wildcard), ("exact", &exact), ("rsa", &rsa)] {
        files.put(name, issued);
    }
    let pair = |name: &str| format!("{{ cert: @FILES@/{name}.pem, key: @FILES@/{name}.key }}");
    let pairs = ["first", "wildcard", "exact", "rsa"].map(pair).join(", ");
    let text = format!(
        "listeners:\n  - address: \"@LISTEN@\"\n    tls: {{ certificates: [{pairs}] }}\n\
         routes:\n  - {{ path: /, respond: {{ status: 204 }} }}\n"
    );
    let gateway = gateway!(&text, FILES = files.display());
    // Whoever looks at the name would not go on with another certificate.
    let anybody = Way::trusting(&authority).but(|config| {
        config.dangerous().set_certificate_verifier(Arc::new(crate::upstreams::Anybody));
    });
    for (host, expect) in [
        ("first.example", &first),
        ("y.wild.example", &wildcard),
        ("x.wild.example", &exact),
        ("X.WILD.EXAMPLE", &exact),
        ("other.example", &exact),
        ("wild.example", &first),
        ("a.b.wild.example", &first),
        ("unknown.example", &first),
        // An address is never asked for (RFC 6066 section 3).
        ("127.0.0.1", &first),
    ] {
        let client = anybody.connect(&gateway.address(), host).expect("a connection");
        assert!(client.was_shown(expect), "{host}");
    }
    let rsa_only = anybody.but(|config| {
        config.dangerous().set_certificate_verifier(Arc::new(crate::upstreams::RsaOnly));
    });
    let client = rsa_only.connect(&gateway.address(), "other.example").expect("a connection");
    assert!(client.was_shown(&rsa), "of two certificates for a name, the one that the client can check");
}

/// `curl -0` offers nothing but HTTP/1.0 in the handshake (RFC 7301 section 6).
#[test]
fn a_client_of_http_1_0_is_served() {
    for http2 in ["true", "false"] {
        let (authority, files) = (Authority::new("root"), Files::new());
        files.put("a", &authority.issue(&["a.example"]));
        let text = ONE.replace("    tls:", &format!("    http2: {http2}\n    tls:"));
        let gateway = gateway!(&text, FILES = files.display(), ORIGIN = Origin::ok().url());
        let old = Way::trusting(&authority).but(|config| config.alpn_protocols = vec![b"http/1.0".to_vec()]);
        let mut client = old.connect(&gateway.address(), "a.example").expect("a connection");
        client.send(b"GET /hello HTTP/1.0\r\nHost: a.example\r\n\r\n").expect("a request");
        let reply = client.reply().expect("an answer");
        assert_eq!((reply.status, reply.body.as_slice()), (200, &b"https"[..]), "http2: {http2}");
    }
}

#[test]
fn versions_are_those_that_the_configuration_allows() {
    let (authority, files) = (Authority::new("root"), Files::new());
    files.put("a", &authority.issue(&["a.example"]));
    let strict = ONE.replace("tls: {", "tls: { min_version: \"1.3\",");
    let origin = Origin::ok();
    let both = gateway!(ONE, FILES = files.display(), ORIGIN = origin.url());
    let strict = gateway!(&strict, FILES = files.display(), ORIGIN = origin.url());
    let old = Way::with(&authority, None, &[&TLS12]);
    let new = Way::with(&authority, None, &[&TLS13]);
    let version = |gateway: &Gateway, way: &Way| {
        let client = way.connect(&gateway.address(), "a.example").ok()?;
        client.version()
    };
    assert_eq!(version(&both, &old), Some(ProtocolVersion::TLSv1_2));
    assert_eq!(version(&both, &new), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(version(&strict, &old), None);
    assert_eq!(version(&strict, &new), Some(ProtocolVersion::TLSv1_3));
    let failed = "tollgate_tls_handshake_failures_total";
    wait_for("the count", || strict.metrics().sum(failed, &[]) == 1.0);

    assert_eq!(old.get(&both.address(), "a.example", "/hello").expect("an answer").text(), "https");
    assert_eq!(both.record_of("/hello")["tls"], "TLSv1.2");
    new.get(&strict.address(), "a.example", "/hello").expect("an answer");
    assert_eq!(strict.record_of("/hello")["tls"], "TLSv1.3");
}

/// A ClientHello (RFC 5246 section 7.4.1.2) without extensions.
fn client_hello(version: [u8; 2], suites: &[u16]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend(((suites.len() * 2) as u16).to_be_bytes());
    suites.iter().for_each(|suite| body.extend(suite.to_be_bytes()));
    body.extend([1, 0]);
    // supported_groups, ec_point_formats, signature_algorithms: whatever a client of that time would say.
    let extensions =
        [&[0, 10, 0, 4, 0, 2, 0, 23][..], &[0, 11, 0, 2, 1, 0], &[0, 13, 0, 6, 0, 4, 4, 3, 4, 1]].concat();
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut handshake = vec![1, 0];
    handshake.extend((body.len() as u16).to_be_bytes());
    handshake.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend((handshake.len() as u16).to_be_bytes());
    record.extend(handshake);
    record
}

#[test]
fn old_versions_and_weak_suites_are_refused() {
    const ECDHE_ECDSA_AES_128_GCM: u16 = 0xc02b;
    const HANDSHAKE_FAILURE: u8 = 40;
    const PROTOCOL_VERSION: u8 = 70;
    let (gateway, ..) = one(&Origin::ok());
    let answer = |hello: &[u8]| {
        let mut tcp = TcpStream::connect(gateway.address()).expect("a connection");
        tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        tcp.write_all(hello).expect("it is sent");
        let mut answer = vec![0; 7];
        tcp.read_exact(&mut answer).expect("an answer");
        answer
    };
    let check = |what: &str, version: [u8; 2], suites: &[u16], alert: u8| {
        let got = answer(&client_hello(version, suites));
        assert_eq!((got[0], got[5], got[6]), (21, 2, alert), "{what}: {got:?}");
    };
    let good = answer(&client_hello([3, 3], &[ECDHE_ECDSA_AES_128_GCM]));
    assert_eq!((good[0], good[5]), (22, 2), "the hello itself is in order: {good:?}");
    for version in [[3, 0], [3, 1], [3, 2]] {
        check("an old version", version, &[ECDHE_ECDSA_AES_128_GCM], PROTOCOL_VERSION);
    }
    for (what, suite) in [
        ("no encryption", 0x0002),
        ("RC4", 0xc007),
        ("3DES", 0xc008),
        ("CBC", 0xc009),
        ("CBC with SHA-256", 0xc023),
        ("RSA key exchange", 0x009c),
        ("finite field Diffie-Hellman", 0x009e),
        ("anonymous", 0x0018),
    ] {
        check(what, [3, 3], &[suite], HANDSHAKE_FAILURE);
    }
}

#[test]
fn plain_http_on_a_port_of_tls_is_told_so() {
    let (gateway, authority, _files) = one(&Origin::ok());
    let answer = gateway.client().exchange("GET /hello HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_problem(&answer, "bad_request_line");
    assert!(answer.text().contains("a port that speaks TLS"), "{}", answer.text());
    assert_eq!(answer.header("connection"), Some("close"));
    let answer = Way::trusting(&authority).get(&gateway.address(), "a.example", "/hello");
    assert_eq!(answer.expect("an answer").text(), "https");
}

#[test]
fn who_says_nothing_is_closed_in_time() {
    let (authority, files) = (Authority::new("root"), Files::new());
    files.put("a", &authority.issue(&["a.example"]));
    let text = format!("limits: {{ header_timeout: 300ms }}\n{ONE}");
    let gateway = gateway!(&text, FILES = files.display(), ORIGIN = "http://127.0.0.1:1");
    let mut tcp = TcpStream::connect(gateway.address()).expect("a connection");
    tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // A record that never ends.
    tcp.write_all(&[22, 3, 1, 1, 0, 1]).expect("it is sent");
    assert_eq!(tcp.read(&mut [0; 10]).expect("an end"), 0);
    wait_for("the count", || gateway.metrics().sum("tollgate_tls_handshake_failures_total", &[]) == 1.0);
}

#[test]
fn long_bodies_go_both_ways() {
    const LENGTH: usize = 9_000_000;
    let body: Vec<u8> = (0..LENGTH).map(|at| (at % 253) as u8).collect();
    let answer = body.clone();
    let origin = Origin::start(move |conn| {
        loop {
            conn.request()?;
            conn.send(behaviour::response(200, &answer))?;
        }
    });
    let (gateway, authority, _files) = one(&origin);
    for versions in [&[&TLS12], &[&TLS13]] {
        let way = Way::with(&authority, None, versions);
        let mut client = way.connect(&gateway.address(), "a.example").expect("a connection");
        for _ in 0..2 {
            let head = format!("POST /b HTTP/1.1\r\nHost: test\r\nContent-Length: {LENGTH}\r\n\r\n");
            client.send(head.as_bytes()).expect("it is sent");
            client.send(&body).expect("it is sent");
            let reply = client.reply().expect("an answer");
            assert_eq!((reply.status, reply.body.len()), (200, LENGTH));
            assert!(reply.body == body, "every byte of the answer");
            let seen = origin.last();
            assert_eq!((seen.body_bytes, seen.complete), (LENGTH as u64, true));
            assert_eq!(seen.body_sum, checksum(&body), "every byte of the request");
        }
    }
    let connections = origin.connections().len();
    assert!(
        connections <= 2,
        "{connections}: four requests by two clients, on two workers perhaps, share connections"
    );
}

/// FNV-1a, as the origin counts.
fn checksum(bytes: &[u8]) -> u64 {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[test]
fn pipelined_requests_and_requests_in_many_records() {
    let (gateway, authority, _files) = one(&Origin::echo());
    let mut client =
        Way::trusting(&authority).connect(&gateway.address(), "a.example").expect("a connection");
    let request = b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n";
    client.send(&request.repeat(3)).expect("it is sent");
    let answers: String = {
        let mut bytes = vec![0; 0];
        while String::from_utf8_lossy(&bytes).matches("https").count() < 3 {
            let mut piece = [0; 4096];
            let read = client.stream().read(&mut piece).expect("answers");
            assert!(read > 0, "all three are answered");
            bytes.extend_from_slice(&piece[..read]);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 3, "{answers}");
    for byte in request {
        client.send(&[*byte]).expect("it is sent");
    }
    assert_eq!(client.reply().expect("an answer").text(), "https");
}

#[test]
fn the_end_is_announced() {
    let (gateway, authority, _files) = one(&Origin::ok());
    let mut client =
        Way::trusting(&authority).connect(&gateway.address(), "a.example").expect("a connection");
    let reply = client.get("/hello", "Connection: close\r\n").expect("an answer");
    assert_eq!(reply.status, 200);
    assert_eq!(client.rest().expect("close_notify before the end"), b"");

    // An answer that is cut short ends without it: what there is of it is not all.
    let origin = Origin::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    });
    let (gateway, authority, _files) = one(&origin);
    let mut client =
        Way::trusting(&authority).connect(&gateway.address(), "a.example").expect("a connection");
    client.send(b"GET /cut HTTP/1.1\r\nHost: test\r\n\r\n").expect("it is sent");
    assert!(client.rest().is_err(), "no close_notify");
    assert_eq!(gateway.record_of("/cut")["reason"], "upstream_reset");
}

#[test]
fn sessions_are_resumed_by_every_worker() {
    let (authority, files) = (Authority::new("root"), Files::new());
    files.put("a", &authority.issue(&["a.example"]));
    let text = format!("workers: 2\n{ONE}");
    let gateway = gateway!(&text, FILES = files.display(), ORIGIN = "http://127.0.0.1:1");
    for versions in [&[&TLS12], &[&TLS13]] {
        let way = Way::with(&authority, None, versions);
        let mut open = Vec::new();
        for connection in 0..8 {
            let mut client = way.connect(&gateway.address(), "a.example").expect("a connection");
            assert_eq!(client.get("/hello", "").expect("an answer").text(), "https");
            assert_eq!(client.is_resumed(), connection > 0, "connection {connection}, {versions:?}");
            // Kept open, so that the workers take turns.
            open.push(client);
        }
    }
}

#[test]
fn a_client_that_reads_slowly_gets_everything_before_the_end() {
    let origin = Origin::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
        conn.send(vec![b'x'; 3_000_000])
    });
    let (gateway, authority, _files) = one(&origin);
    let mut client =
        Way::trusting(&authority).connect(&gateway.address(), "a.example").expect("a connection");
    client.send(b"GET /slow HTTP/1.0\r\nHost: test\r\n\r\n").expect("it is sent");
    let (mut all, mut piece) = (Vec::new(), vec![0; 200_000]);
    loop {
        match client.stream().read(&mut piece).expect("an end that was announced") {
            0 => break,
            read => all.extend_from_slice(&piece[..read]),
        }
        if all.len() < 1_000_000 {
            tollgate_testkit::pause(std::time::Duration::from_millis(5));
        }
    }
    assert_eq!(all.iter().filter(|byte| **byte == b'x').count(), 3_000_000);
}
