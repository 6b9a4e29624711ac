//! Every file that a configuration names is watched: a change of any of them is a reload, and no other file's is.

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair};
use tollgate_testkit::{Origin, assert_holds, gateway, wait_for};

const TEXT: &str = r#"
listeners:
  - address: "@LISTEN@"
  - { address: "unix:@DIR@/t.sock", tls: { certificates: [{ cert: site.pem, key: site.key }], client_ca: clients.pem } }
include: [routes-*.yaml]
issuers:
  keys: { issuer: me, audience: any, algorithms: [ES256], public_key_file: public.pem }
  set: { issuer: me, audience: any, algorithms: [ES256], jwks_file: jwks.json }
upstreams:
  own: { targets: ["https://127.0.0.1:1"], tls: { ca: authority.pem, cert: site.pem, key: site.key } }
routes:
  - { path: /file, respond: { file: page.txt } }
  - { path: /secret, respond: { body: "${file:@DIR@/secret.txt}" } }
  - { path: /token, auth: { jwt: [keys, set] }, to: own }
  - { path: /script, lua: script.lua, to: "@ORIGIN@" }
  - { path: /schema, validate: { body: schema.json }, to: "@ORIGIN@" }
  - { path: /render, aggregate: { render: page.html, parts: [{ name: a, json: { id: 1 } }] } }
  - { path: /openapi, validate: { openapi: api.yaml }, to: "@ORIGIN@" }
"#;

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// File, what stands in it, and what is added: nothing that changes a meaning.
fn files() -> Vec<(&'static str, String, &'static str)> {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["site.example".to_owned()]).expect("a name");
    let certificate = pem("CERTIFICATE", params.self_signed(&key).expect("a certificate").der());
    let point = key.public_key_raw();
    let [x, y] = [&point[1..33], &point[33..65]].map(|part| URL_SAFE_NO_PAD.encode(part));
    let set = format!("{{\"keys\":[{{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"{x}\",\"y\":\"{y}\"}}]}}");
    let api = "openapi: 3.1.0\ninfo: { title: t, version: \"1\" }\npaths:\n  /openapi: { get: { responses: {} } }\n";
    let route = "routes:\n  - { path: /more, respond: {} }\n";
    vec![
        ("site.pem", certificate.clone(), "\n"),
        ("site.key", pem("PRIVATE KEY", &key.serialize_der()), "\n"),
        ("clients.pem", certificate.clone(), "\n"),
        ("authority.pem", certificate.clone(), "\n"),
        ("public.pem", certificate, "\n"),
        ("jwks.json", set, " "),
        ("page.txt", "hello".to_owned(), "!"),
        ("secret.txt", "hush".to_owned(), "-hush"),
        (
            "script.lua",
            "local m = require('module')\nfunction request(req) m.run(req) end\n".to_owned(),
            "-- more\n",
        ),
        ("module.lua", "return { run = function(req) end }\n".to_owned(), "-- more\n"),
        ("schema.json", "{\"type\":\"object\"}".to_owned(), " "),
        ("page.html", "<p>{{ id }}</p>".to_owned(), "\n"),
        ("api.yaml", api.to_owned(), "# more\n"),
        ("routes-1.yaml", route.to_owned(), "# more\n"),
    ]
}

#[test]
fn every_named_file_is_watched() {
    let origin = Origin::ok();
    let dir = tempfile::tempdir().expect("a directory");
    let put = |place: &Path| {
        for (name, text, _) in files() {
            fs::write(place.join(name), text).expect("a file");
        }
    };
    put(dir.path());
    // Their names are relative to the file that names them, which is the included one's neighbour.
    let text = TEXT.replace("routes-*.yaml", &format!("{}/routes-*.yaml", dir.path().display()));
    let named = files().into_iter().fold(text, |text, (name, ..)| {
        text.replace(&format!(" {name}"), &format!(" {}/{name}", dir.path().display()))
    });
    let named = named.replace("${file:@DIR@", &format!("${{file:{}", dir.path().display()));
    let gateway = gateway!(&named, ORIGIN = origin.url());
    for (name, _, more) in files() {
        let (generation, path) = (gateway.generation(), dir.path().join(name));
        let text = fs::read_to_string(&path).expect("it is there");
        fs::write(&path, format!("{text}{more}")).expect("it can be written");
        wait_for(name, || gateway.generation() > generation);
    }
    assert_eq!(gateway.get("/secret").text(), "hush-hush");
    assert_eq!(gateway.get("/file").text(), "hello!");
    let generation = gateway.generation();
    fs::write(dir.path().join("other.txt"), "nobody names it").expect("a file");
    assert_holds("nothing happens", Duration::from_millis(700), || gateway.generation() == generation);
}
