//! Client certificates: who is let in, and what the upstream is told.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};
use tollgate_testkit::{Gateway, Origin, Port, gateway, wait_for};

use crate::client::{Reply, Way};
use crate::pki::{Authority, Files, Issued, self_signed_client};

const MUTUAL: &str = "
listeners:
  - address: \"@LISTEN@\"
    tls:
      certificates: [{ cert: @FILES@/a.pem, key: @FILES@/a.key }]
      client_ca: @FILES@/clients.pem
      client_subject_header: X-Client-Subject
  - address: \"@PLAIN@\"
routes:
  - { path: /*, to: @ORIGIN@ }
  - path: /copy
    request: { set_headers: { x-copy: \"{header:x-client-subject}\" } }
    to: @ORIGIN@
  - { path: /kept/*, to: @ORIGIN@, cache: { ttl: 0s, stale_while_revalidate: 1h } }
  - { path: /only, headers: { x-client-subject: CN=admin }, respond: { body: admin } }
  - { path: /only, headers: { x-client-subject: \"CN=bus 7,O=Example\" }, respond: { body: bus } }
  - { path: /only, respond: { body: nobody } }
  - { path: /guarded, guard: [{ if: \"!('x-client-subject' in request.headers)\" }], respond: { body: unsaid } }
";

struct Setting {
    gateway: Gateway,
    plain: Port,
    servers: Authority,
    clients: Authority,
    origin: Origin,
    files: Files,
}

fn setting() -> Setting {
    setting_with(Origin::echo())
}

fn setting_with(origin: Origin) -> Setting {
    let (servers, clients, files) = (Authority::new("servers"), Authority::new("clients"), Files::new());
    files.put("a", &servers.issue(&["a.example"]));
    files.text("clients.pem", &clients.pem());
    let plain = Port::reserve();
    let gateway = gateway!(MUTUAL, FILES = files.display(), PLAIN = plain.address(), ORIGIN = origin.url());
    Setting { gateway, plain, servers, clients, origin, files }
}

impl Setting {
    fn get(&self, identity: Option<&Issued>, lines: &str) -> io::Result<Reply> {
        self.get_at("/x", identity, lines)
    }

    fn get_at(&self, path: &str, identity: Option<&Issued>, lines: &str) -> io::Result<Reply> {
        let way = Way::with(&self.servers, identity, rustls::ALL_VERSIONS);
        way.connect(&self.gateway.address(), "a.example")?.get(path, lines)
    }
}

fn headers(reply: &Reply) -> Value {
    let json: Value = serde_json::from_slice(&reply.body).expect("JSON");
    json["headers"].clone()
}

#[test]
fn only_clients_with_a_certificate_of_the_authority_are_let_in() {
    let setting = setting();
    let address = setting.gateway.address();
    let good = setting.clients.client("Example", "bus 7");
    let strange = Authority::new("clients").client("Example", "bus 7");
    for versions in [&[&TLS12], &[&TLS13]] {
        let status = |identity: Option<&Issued>| {
            let way = Way::with(&setting.servers, identity, versions);
            way.get(&address, "a.example", "/x").map(|reply| reply.status).ok()
        };
        assert_eq!(status(Some(&good)), Some(200));
        assert_eq!(status(None), None, "{versions:?}");
        assert_eq!(status(Some(&strange)), None, "{versions:?}");
    }
    assert_eq!(setting.origin.count(), 2, "nobody else came through");
}

#[test]
fn a_client_that_signed_its_own_certificate_is_let_in_by_naming_it() {
    let setting = setting();
    let good = self_signed_client("bus 7", None);
    let past = self_signed_client("bus 8", Some(SystemTime::now() - Duration::from_secs(60)));
    let strange = self_signed_client("bus 7", None);
    let named = [&good, &past].map(|issued| issued.certificate_pem.clone()).concat();
    setting.files.text("clients.pem", &(setting.clients.pem() + &named));
    let signed = setting.clients.client("Example", "bus 9");
    wait_for("the certificates to be read", || setting.get(Some(&good), "").is_ok());
    for versions in [&[&TLS12], &[&TLS13]] {
        let comes_in = |way: &Way| {
            let reply = way.get(&setting.gateway.address(), "a.example", "/x");
            reply.is_ok_and(|reply| reply.status == 200)
        };
        for (who, issued, expect) in [
            ("good", &good, true),
            ("signed", &signed, true),
            ("past", &past, false),
            ("strange", &strange, false),
        ] {
            let way = Way::with(&setting.servers, Some(issued), versions);
            assert_eq!(comes_in(&way), expect, "{who}, {versions:?}");
        }
        let forged = Way::with(&setting.servers, None, versions).but(|config| {
            let key = any_supported_type(&strange.key).expect("a key");
            let certified = CertifiedKey::new(vec![good.certificate.clone()], key);
            config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified));
        });
        assert!(!comes_in(&forged), "its certificate without its key, {versions:?}");
    }
    let seen = headers(&setting.get(Some(&good), "").expect("an answer"));
    assert_eq!(seen["x-client-subject"], json!(["CN=bus 7"]));
}

#[test]
fn the_upstream_is_told_who_the_client_is() {
    let setting = setting();
    let bus = setting.clients.client("Ex, Inc.", "bus 7");
    let subject = json!(["CN=bus 7,O=Ex\\, Inc."]);
    let reply = setting.get(Some(&bus), "").expect("an answer");
    let seen = headers(&reply);
    assert_eq!(seen["x-client-subject"], subject, "{seen}");
    assert_eq!(seen["x-forwarded-proto"], json!(["https"]));

    // What the client says of itself goes, in every spelling.
    let claims = "X-Client-Subject: CN=admin\r\nx-client-subject: CN=root\r\nX_Client_Subject: CN=root\r\n";
    let seen = headers(&setting.get(Some(&bus), claims).expect("an answer"));
    assert_eq!((&seen["x-client-subject"], &seen["x_client_subject"]), (&subject, &Value::Null), "{seen}");

    // On a resumed session as well.
    let way = Way::with(&setting.servers, Some(&bus), &[&TLS13]);
    for resumed in [false, true] {
        let mut client = way.connect(&setting.gateway.address(), "a.example").expect("a connection");
        let seen = headers(&client.get("/x", "").expect("an answer"));
        assert_eq!((client.is_resumed(), &seen["x-client-subject"]), (resumed, &subject));
    }

    // Where no certificate is asked for, nobody can say that they have one, not even behind a body.
    let mut plain = tollgate_testkit::Client::connect(&setting.plain.address());
    let answer = plain.exchange(format!("GET /x HTTP/1.1\r\nHost: test\r\n{claims}\r\n"));
    let seen = answer.json()["headers"].clone();
    assert_eq!(
        (&seen["x-client-subject"], &seen["x_client_subject"]),
        (&Value::Null, &Value::Null),
        "{seen}"
    );
    let chunked = "POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\
                   1\r\nx\r\n0\r\nX-Client-Subject: CN=admin\r\nX-Other: 1\r\n\r\n";
    assert_eq!(plain.exchange(chunked).status, 200);
    assert_eq!(setting.origin.last().trailers, [("X-Other".to_owned(), "1".to_owned())]);
}

/// The answer that a newer one takes the place of was made for somebody with a certificate.
#[test]
fn what_is_fetched_again_for_a_client_is_asked_for_in_its_name() {
    let origin = Origin::start(|conn| {
        loop {
            conn.request()?;
            let head = "HTTP/1.1 200 OK\r\nCache-Control: public, max-age=0\r\n";
            conn.send(format!("{head}Content-Length: 2\r\n\r\nok"))?;
        }
    });
    let setting = setting_with(origin);
    let bus = setting.clients.client("Example", "bus 7");
    for _ in 0..2 {
        assert_eq!(setting.get_at("/kept/x", Some(&bus), "").expect("an answer").status, 200);
    }
    setting.origin.wait_requests(2);
    for seen in setting.origin.requests() {
        let told = (seen.header("x-client-subject"), seen.header("x-forwarded-for"));
        assert_eq!(told, (Some("CN=bus 7,O=Example"), Some("127.0.0.1")));
    }
}

#[test]
fn nothing_that_reads_a_request_believes_the_client() {
    const FORGED: &str = "X-Client-Subject: CN=admin\r\nX_Client_Subject: CN=admin\r\n";
    let setting = setting();
    let bus = setting.clients.client("Example", "bus 7");
    let mut plain = tollgate_testkit::Client::connect(&setting.plain.address());
    let mut unsaid =
        |path: &str, lines: &str| plain.exchange(format!("GET {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n"));
    // The client's `Connection` takes away what the client said, and no more.
    for lines in ["", FORGED, "X-Client-Subject: CN=admin\r\nConnection: X-Client-Subject\r\n"] {
        let told = |path: &str| setting.get_at(path, Some(&bus), lines).expect("an answer");
        let seen = headers(&told("/copy"));
        let subject = json!(["CN=bus 7,O=Example"]);
        assert_eq!((&seen["x-client-subject"], &seen["x-copy"]), (&subject, &subject), "{lines}: {seen}");
        assert_eq!((told("/only").text().as_str(), told("/guarded").status), ("bus", 403), "{lines}");

        let seen = unsaid("/copy", lines).json()["headers"].clone();
        let nothing = (&Value::Null, &json!([""]));
        assert_eq!((&seen["x-client-subject"], &seen["x-copy"]), nothing, "{lines}: {seen}");
        assert_eq!(unsaid("/only", lines).text(), "nobody", "{lines}");
        assert_eq!(unsaid("/guarded", lines).text(), "unsaid", "{lines}");
    }
}

#[test]
fn a_client_that_another_authority_vouched_for_does_not_come_back_with_its_session() {
    let setting = setting();
    let old = setting.clients.client("Example", "old");
    let way = Way::with(&setting.servers, Some(&old), &[&TLS13]);
    let address = setting.gateway.address();
    way.get(&address, "a.example", "/x").expect("an answer");
    let fresh = Authority::new("other clients");
    setting.files.text("clients.pem", &fresh.pem());
    setting.gateway.wait_generation(2);
    assert!(way.get(&address, "a.example", "/x").is_err());
    let new = fresh.client("Example", "new");
    assert_eq!(setting.get(Some(&new), "").expect("an answer").status, 200);
}

/// The end of a certificate is the end, also for a session that began before it.
#[test]
fn a_session_does_not_outlive_the_clients_certificate() {
    let setting = setting();
    let address = setting.gateway.address();
    for versions in [&[&TLS12], &[&TLS13]] {
        let short = setting.clients.client_until("bus 7", SystemTime::now() + Duration::from_secs(3));
        let way = Way::with(&setting.servers, Some(&short), versions);
        let get = || {
            let mut client = way.connect(&address, "a.example")?;
            let status = client.get("/x", "")?.status;
            io::Result::Ok((status, client.is_resumed()))
        };
        assert_eq!(get().ok(), Some((200, false)), "{versions:?}");
        assert_eq!(get().ok(), Some((200, true)), "{versions:?}");
        wait_for("the end of the certificate", || get().is_err());
        assert!(get().is_err(), "{versions:?}");
    }
}
