//! Ways to Redis: names, passwords, users, databases, TLS, a cluster.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tollgate_testkit::{Redis, RedisOptions, wait_some};

use crate::trio::{RECOVERY, ROUTES, Trio, check_without, storm_exact};
use crate::{ask, buckets, health, is_up, start, start_two};

const SETTINGS: &str = "timeout: 2s, on_failure: deny";

/// Two gateways share limits over this URL.
#[track_caller]
fn check(url: &str, settings: &str) {
    let gateways = start_two(url, settings, ROUTES);
    assert_eq!(storm_exact(&gateways, "a"), 10, "{url}");
    let mut clients = gateways.each_ref().map(|gateway| gateway.client());
    let leased = (0..20).filter(|at| ask(&mut clients[at % 2], "/leased", "a").0.status == 200).count();
    assert!((8..=10).contains(&leased), "{url}: {leased}");
}

#[test]
fn a_name_in_place_of_an_address() {
    let redis = Redis::start();
    check(&redis.url().replace("127.0.0.1", "localhost"), SETTINGS);
}

#[test]
fn a_password_and_a_database() {
    let redis = RedisOptions::default().password("open-sesame").start();
    check(&format!("{}/3", redis.url()), SETTINGS);
    let mut resp = redis.connect();
    assert_eq!(buckets(&mut resp).len(), 0);
    resp.call(&["SELECT", "3"]).unwrap();
    assert_eq!(buckets(&mut resp).len(), 2);
}

/// A user who may do this beside what every gateway needs; the URL to be it.
#[track_caller]
fn user(redis: &Redis, more: &[&str]) -> String {
    let user = ["ACL", "SETUSER", "gate", "reset", "on", ">p@ss", "~tollgate:*", "resetchannels", "-@all"];
    let may = ["+eval", "+evalsha", "+get", "+set", "+time"];
    redis.call(&[&user[..], &may, more].concat()).unwrap();
    format!("redis://gate:p%40ss@{}", redis.address())
}

#[test]
fn a_user_who_may_do_no_more_than_needed() {
    let redis = Redis::start();
    check(&user(&redis, &[]), SETTINGS);
    check(&format!("{}/1", user(&redis, &["+select"])), SETTINGS);
    let cluster = RedisOptions::default().cluster().start();
    check(&format!("[\"{}\"]", user(&cluster, &["+cluster|slots"])), SETTINGS);
}

#[test]
fn a_cluster() {
    let mut redis = RedisOptions::default().cluster().start();
    let url = format!("[\"{}\"]", redis.url());
    check(&url, SETTINGS);
    let trio = Trio::start(&url);
    trio.check_with("b");
    // Keys all over the slots, at once.
    let gateways: Vec<_> = trio.gateways().collect();
    std::thread::scope(|scope| {
        for at in 0..8 {
            let mut client = gateways[at % 3].client();
            scope.spawn(move || {
                for key in 0..50 {
                    let path = ["/exact", "/leased"][key % 2];
                    assert_eq!(ask(&mut client, path, &format!("{at}-{key}")).0.status, 200);
                }
            });
        }
    });
    assert!(trio.gateways().all(is_up));
    redis.call(&["SCRIPT", "FLUSH"]).unwrap();
    trio.check_with("c");
    redis.kill();
    trio.check_without("d");
    redis.restart_empty();
    trio.check_with("e");
}

#[test]
fn a_cluster_that_hangs() {
    let redis = RedisOptions::default().cluster().start();
    let trio = Trio::start(&format!("[\"{}\"]", redis.url()));
    trio.check_with("a");
    redis.pause();
    trio.check_without("b");
    redis.resume();
    trio.check_with("c");
}

/// A CA of its own and a certificate for 127.0.0.1: the CA's file, the certificate's, the key's.
fn certificate(dir: &Path, name: &str) -> [PathBuf; 3] {
    let mut params = CertificateParams::new(vec![]).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let certificate = params.signed_by(&key, &ca).expect("a certificate");
    let (ca, certificate) = (ca.der().to_vec(), certificate.der().to_vec());
    let files = [("CERTIFICATE", "ca", ca), ("CERTIFICATE", "cert", certificate)];
    let files = [&files[0], &files[1], &("PRIVATE KEY", "key", key.serialize_der())];
    files.map(|(label, what, der)| {
        let path = dir.join(format!("{name}-{what}.pem"));
        std::fs::write(&path, pem(label, der)).expect("a file");
        path
    })
}

/// As `openssl req -x509` makes them: an authority's certificate that a server has as its own.
fn signed_by_itself(dir: &Path, name: &str) -> [PathBuf; 2] {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate").der().to_vec();
    let files = [("CERTIFICATE", "own", certificate), ("PRIVATE KEY", "own-key", key.serialize_der())];
    files.map(|(label, what, der)| {
        let path = dir.join(format!("{name}-{what}.pem"));
        std::fs::write(&path, pem(label, &der)).expect("a file");
        path
    })
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line) + "\n");
    format!("-----BEGIN {label}-----\n{}-----END {label}-----\n", lines.collect::<String>())
}

#[test]
fn tls() {
    let dir = tempfile::tempdir().expect("a directory");
    let [ca, cert, key] = certificate(dir.path(), "right");
    let [other, ..] = certificate(dir.path(), "other");
    let mut redis = RedisOptions::default().password("open-sesame").tls(&cert, &key, &ca).start();
    assert!(redis.url().starts_with("rediss://"));
    let trusting = |ca: &Path| format!("{SETTINGS}, ca: {}", ca.display());
    check(&redis.url(), &trusting(&ca));
    for settings in [trusting(&other), SETTINGS.to_owned()] {
        let stranger = start(&redis.url(), &settings, ROUTES);
        let told = || health(&stranger)["last_error"].as_str().map(str::to_owned);
        let told = wait_some("the fault", RECOVERY, told);
        assert!(told.contains("ertificate"), "{told}");
        assert!(!told.contains("sesame"));
        let (answer, _) = ask(&mut stranger.client(), "/exact", "a");
        assert_eq!(answer.code(), "limit_store_unavailable");
    }
    let gateway = start(&redis.url(), &format!("timeout: 300ms, ca: {}", ca.display()), ROUTES);
    wait_some("Redis to be up", RECOVERY, || is_up(&gateway).then_some(()));
    redis.kill();
    check_without(&gateway, "local", "/exact", "b", 10);
    redis.restart_empty();
    wait_some("Redis to be up again", RECOVERY, || is_up(&gateway).then_some(()));
}

#[test]
fn a_server_that_signed_its_own_certificate_is_trusted_by_naming_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let [cert, key] = signed_by_itself(dir.path(), "right");
    let [other, _] = signed_by_itself(dir.path(), "other");
    let mut redis = RedisOptions::default().password("open-sesame").tls(&cert, &key, &cert).start();
    let trusting = |ca: &Path| format!("{SETTINGS}, ca: {}", ca.display());
    check(&redis.url(), &trusting(&cert));
    let stranger = start(&redis.url(), &trusting(&other), ROUTES);
    let told =
        wait_some("the fault", RECOVERY, || health(&stranger)["last_error"].as_str().map(str::to_owned));
    assert!(told.contains("ertificate"), "{told}");
    let gateway = start(&redis.url(), &trusting(&cert), ROUTES);
    wait_some("Redis to be up", RECOVERY, || is_up(&gateway).then_some(()));
    redis.kill();
    wait_some("Redis to be down", RECOVERY, || (!is_up(&gateway)).then_some(()));
    redis.restart_empty();
    wait_some("Redis to be up again", RECOVERY, || is_up(&gateway).then_some(()));
}
