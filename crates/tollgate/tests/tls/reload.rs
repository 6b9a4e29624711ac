//! Certificates that change under a running gateway.

use rustls::version::TLS13;
use tollgate_testkit::{Origin, gateway, wait_for};

use crate::client::Way;
use crate::pki::{Authority, Files};

const ONE: &str = "
listeners:
  - address: \"@LISTEN@\"
    tls: { certificates: [{ cert: @FILES@/a.pem, key: @FILES@/a.key }] }
routes:
  - { path: /*, to: @ORIGIN@ }
";

#[test]
fn changed_certificates_are_taken_over_and_broken_ones_are_not() {
    let (authority, files, origin) = (Authority::new("root"), Files::new(), Origin::ok());
    let [first, second, third] = [(); 3].map(|()| authority.issue(&["a.example"]));
    files.put("a", &first);
    let gateway = gateway!(ONE, FILES = files.display(), ORIGIN = origin.url());
    let way =
        Way::trusting(&authority).but(|config| config.resumption = rustls::client::Resumption::disabled());
    let shown = || way.connect(&gateway.address(), "a.example").expect("a connection");
    let mut old = shown();
    assert!(old.was_shown(&first));
    assert_eq!(old.get("/", "").expect("an answer").status, 200);

    files.put("a", &second);
    wait_for("the second certificate", || shown().was_shown(&second));
    assert_eq!(old.get("/", "").expect("the old connection stays").status, 200);

    // A certificate that came before its key is none yet.
    let generation = gateway.generation();
    files.text("a.pem", &third.certificate_pem);
    wait_for("the rejection", || gateway.readyz()["last_reload"]["ok"] == false);
    assert!(gateway.stderr().text().contains("is not that of the certificate"), "the log says why");
    assert!(shown().was_shown(&second));
    assert_eq!(gateway.generation(), generation);
    files.text("a.key", &third.key_pem);
    wait_for("the third certificate", || shown().was_shown(&third));
    assert_eq!(gateway.readyz()["last_reload"]["ok"], true);
    assert_eq!(old.get("/", "").expect("the old connection stays").status, 200);
}

#[test]
fn sessions_outlive_reloads() {
    let (authority, files, origin) = (Authority::new("root"), Files::new(), Origin::ok());
    files.put("a", &authority.issue(&["a.example"]));
    let gateway = gateway!(ONE, FILES = files.display(), ORIGIN = origin.url());
    let way = Way::with(&authority, None, &[&TLS13]);
    let resumes = || {
        let mut client = way.connect(&gateway.address(), "a.example").expect("a connection");
        client.get("/", "").expect("an answer");
        client.is_resumed()
    };
    assert!(!resumes() && resumes());
    // Another route, the same certificate.
    let more = format!("{ONE}  - {{ path: /more, to: @ORIGIN@ }}\n");
    let names = [("FILES", files.display()), ("ORIGIN", origin.url())];
    gateway.replace_file(&gateway.complete(&more, &names));
    gateway.wait_generation(2);
    assert!(resumes());
    // A renewed certificate.
    files.put("a", &authority.issue(&["a.example"]));
    wait_for("the renewed certificate", || gateway.generation() >= 3);
    assert!(resumes());
}

#[test]
fn a_listener_begins_and_ceases_to_speak_tls() {
    let (authority, files, origin) = (Authority::new("root"), Files::new(), Origin::ok());
    files.put("a", &authority.issue(&["a.example"]));
    let plain = ONE.lines().filter(|line| !line.contains("tls:")).collect::<Vec<_>>().join("\n");
    let gateway = gateway!(&plain, FILES = files.display(), ORIGIN = origin.url());
    let way = Way::trusting(&authority);
    let mut old = gateway.client();
    assert_eq!(old.get("/").status, 200);
    let names = [("FILES", files.display()), ("ORIGIN", origin.url())];
    gateway.replace_file(&gateway.complete(ONE, &names));
    gateway.wait_generation(2);
    assert_eq!(way.get(&gateway.address(), "a.example", "/").expect("an answer").status, 200);
    old.assert_closed();
    gateway.replace_file(&gateway.complete(&plain, &names));
    gateway.wait_generation(3);
    assert_eq!(gateway.get("/").status, 200);
    assert!(way.get(&gateway.address(), "a.example", "/").is_err());
}
