//! The console as a browser meets it, and the configuration file's text for who may write it.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use tollgate_testkit::{Client, Gateway, Response, gateway};

const TOKEN: &str = "Authorization: Bearer sesame-and-more\r\n";

/// One that may be written.
const WRITABLE: &str = "admin: { address: \"@ADMIN@\", token: sesame-and-more, allow_write: true }
routes:
  # A remark that stays.
  - { name: hi, path: /hi, respond: { body: hi } }
";

const SOURCE: &str = "/api/v1/config/source";

/// One request at the admin address.
fn ask(gateway: &Gateway, method: &str, path: &str, lines: &str, body: &str) -> Response {
    let host = gateway.admin_address();
    let mut client = Client::connect(&host);
    client.exchange(format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}Content-Length: {}\r\n\r\n{body}",
        body.len(),
    ))
}

#[track_caller]
fn refused(answer: &Response, status: u16, code: &str) {
    assert_eq!((answer.status, &*answer.code()), (status, code), "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
}

/// What the page loads.
fn loaded(page: &str) -> Vec<String> {
    let parts = page.split("\"assets/").skip(1).filter_map(|rest| rest.split('"').next());
    parts.map(|name| format!("/assets/{name}")).collect()
}

#[test]
fn the_page_is_strict_and_asked_for_again_and_what_it_loads_is_kept_for_ever() {
    let gateway = gateway!("routes: [{ path: /, respond: { body: hi } }]\n");
    let page = ask(&gateway, "GET", "/", "", "");
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let policy = page.header("content-security-policy").expect("a policy");
    for part in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{policy}");

    let names = loaded(&page.text());
    assert_eq!(names.len(), 3, "{names:?}");
    for (name, kind) in names.iter().zip(["image/svg+xml", "text/css", "text/javascript"]) {
        let small = ask(&gateway, "GET", name, "Accept-Encoding: gzip, br\r\n", "");
        assert_eq!(small.status, 200, "{name}");
        assert!(small.header("content-type").is_some_and(|given| given.starts_with(kind)), "{name}");
        assert_eq!(small.header("content-encoding"), Some("gzip"));
        assert_eq!(small.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(small.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(small.header("vary"), Some("accept-encoding"));
        let plain = ask(&gateway, "GET", name, "", "");
        assert_eq!((plain.status, plain.header("content-encoding")), (200, None));
        assert!(plain.body.len() > small.body.len() && std::str::from_utf8(&plain.body).is_ok(), "{name}");
    }
    refused(&ask(&gateway, "GET", "/assets/console-0.js", "", ""), 404, "not_found");
    refused(&ask(&gateway, "POST", "/", "", ""), 405, "method_not_allowed");
}

#[test]
fn what_a_browser_has_is_not_sent_again_and_head_has_no_body() {
    let gateway = gateway!("routes: [{ path: /, respond: { body: hi } }]\n");
    let page = ask(&gateway, "GET", "/", "", "");
    for path in loaded(&page.text()).into_iter().chain(["/".to_owned()]) {
        let whole = ask(&gateway, "GET", &path, "", "");
        let tag = whole.header("etag").expect("a tag").to_owned();
        let again = ask(&gateway, "GET", &path, &format!("If-None-Match: W/\"x\", {tag}\r\n"), "");
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(again.header("etag"), Some(&*tag), "{path}");
        assert_eq!(ask(&gateway, "GET", &path, "If-None-Match: \"x\"\r\n", "").status, 200, "{path}");
        let host = gateway.admin_address();
        let mut client = Client::connect(&host);
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        let head = client.response_to("HEAD");
        assert_eq!((head.status, head.header("etag")), (200, Some(&*tag)), "{path}");
        assert_eq!(head.header("content-length"), Some(&*whole.body.len().to_string()), "{path}");
        client.assert_closed_cleanly();
    }
}

#[test]
fn the_page_needs_no_token_and_shows_nothing_without_one() {
    let gateway = gateway!(
        "admin: { address: \"@ADMIN@\", token: sesame-and-more }\nroutes: [{ path: /, respond: { body: hi } }]\n"
    );
    let page = ask(&gateway, "GET", "/", "", "");
    assert_eq!(page.status, 200);
    for path in loaded(&page.text()) {
        assert_eq!(ask(&gateway, "GET", &path, "", "").status, 200, "{path}");
    }
    for path in ["/health", "/metrics", "/api/v1/routes", "/api/v1/schema", "/assets/../metrics", SOURCE] {
        refused(&ask(&gateway, "GET", path, "", ""), 401, "token_missing");
    }
    // A page of another name that leads here (DNS rebinding) is refused where no token could refuse it.
    let open = gateway!("routes: [{ path: /, respond: { body: hi } }]\n");
    let mut client = Client::connect(&open.admin_address());
    let answer = client.exchange("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    refused(&answer, 403, "bad_host");
}

#[test]
fn the_file_is_given_to_nobody_unless_it_may_be_written() {
    let off = gateway!(
        "admin: { address: \"@ADMIN@\", token: sesame-and-more }\nroutes: [{ path: /, respond: { body: hi } }]\n"
    );
    refused(&ask(&off, "GET", SOURCE, TOKEN, ""), 403, "write_not_allowed");
    let put = ask(&off, "PUT", SOURCE, &format!("{TOKEN}If-Match: *\r\n"), "routes: []");
    refused(&put, 403, "write_not_allowed");

    let on = gateway!(WRITABLE);
    refused(&ask(&on, "GET", SOURCE, "", ""), 401, "token_missing");
    refused(&ask(&on, "PUT", SOURCE, "If-Match: *\r\n", "routes: []"), 401, "token_missing");
    let foreign = format!("{TOKEN}If-Match: *\r\nOrigin: https://evil.example\r\n");
    refused(&ask(&on, "PUT", SOURCE, &foreign, "routes: []"), 403, "cross_site");
    refused(&ask(&on, "POST", SOURCE, TOKEN, ""), 405, "method_not_allowed");
    assert_eq!(on.generation(), 1);
}

#[test]
fn a_text_is_written_loaded_and_told() {
    let gateway = gateway!(WRITABLE);
    let before = std::fs::read_to_string(gateway.file()).unwrap();
    std::fs::set_permissions(gateway.file(), std::fs::Permissions::from_mode(0o640)).unwrap();
    let source = ask(&gateway, "GET", SOURCE, TOKEN, "");
    assert_eq!((source.status, source.text()), (200, before.clone()));
    assert_eq!(source.header("content-type"), Some("application/yaml"));
    assert_eq!(source.header("content-disposition"), Some("inline; filename=\"tollgate.yaml\""));
    assert_eq!(source.header("cache-control"), Some("no-store"));
    let tag = source.header("etag").expect("a tag").to_owned();

    let after = before.replace("body: hi", "body: hello");
    let host = gateway.admin_address();
    let lines = format!("{TOKEN}If-Match: {tag}\r\nOrigin: http://{host}\r\n");
    let written = ask(&gateway, "PUT", SOURCE, &lines, &after);
    assert_eq!(written.status, 200, "{}", written.text());
    assert_eq!((&written.json()["ok"], &written.json()["generation"]), (&json!(true), &json!(2)));
    assert_eq!(gateway.get("/hi").text(), "hello");
    assert_eq!(std::fs::read_to_string(gateway.file()).unwrap(), after);
    assert_eq!(std::fs::metadata(gateway.file()).unwrap().permissions().mode() & 0o777, 0o640);

    // The tag of the answer is that of the text that is there now.
    let next = written.header("etag").expect("a tag").to_owned();
    assert_ne!(next, tag);
    let lines = format!("{TOKEN}If-Match: {next}\r\n");
    assert_eq!(ask(&gateway, "PUT", SOURCE, &lines, &before).status, 200);
    assert_eq!(gateway.get("/hi").text(), "hi");
}

#[test]
fn what_is_stale_or_wrong_is_refused_and_the_file_stays() {
    let gateway = gateway!(WRITABLE);
    let before = std::fs::read_to_string(gateway.file()).unwrap();
    let tag = ask(&gateway, "GET", SOURCE, TOKEN, "").header("etag").expect("a tag").to_owned();
    let good = before.replace("body: hi", "body: hello");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port_taken = good.replace(&gateway.address(), &taken.local_addr().unwrap().to_string());
    let matching = format!("{TOKEN}If-Match: {tag}\r\n");
    for (lines, text, status, code) in [
        (TOKEN, &*good, 428, "if_match_missing"),
        (&format!("{TOKEN}If-Match: \"0-0\"\r\n"), &*good, 412, "stale"),
        (&*matching, "routes: [{ path: /, respnd: {} }]", 422, "config_invalid"),
        (&*matching, "a: [", 422, "config_invalid"),
        (&*matching, "", 422, "config_invalid"),
        // It is loaded with what it names, unlike a text that is only checked.
        (&*matching, "routes: [{ path: /, respond: { file: gone.txt } }]", 422, "config_invalid"),
        (&*matching, &*port_taken, 422, "reload_rejected"),
    ] {
        let answer = ask(&gateway, "PUT", SOURCE, lines, text);
        refused(&answer, status, code);
        if status == 422 {
            assert!(answer.json()["diagnostics"][0]["message"].is_string(), "{}", answer.text());
        }
        assert_eq!(std::fs::read_to_string(gateway.file()).unwrap(), before, "{code}: the file stays");
        assert_eq!(gateway.get("/hi").text(), "hi", "{code}");
    }
    let left = std::fs::read_dir(gateway.dir()).unwrap().count();
    assert_eq!(left, 1, "nothing is left beside the file");
    // Somebody else is told by the tag, whatever they changed.
    gateway.replace_file(&good);
    refused(&ask(&gateway, "PUT", SOURCE, &matching, &before), 412, "stale");
}

#[test]
fn several_files_are_not_written() {
    let gateway = gateway!(WRITABLE);
    std::fs::write(gateway.dir().join("more.yaml"), "routes: [{ path: /more, respond: { body: more } }]\n")
        .unwrap();
    let text = std::fs::read_to_string(gateway.file()).unwrap();
    gateway.replace_file(&format!("include: more.yaml\n{text}"));
    gateway.wait_generation(2);
    refused(&ask(&gateway, "GET", SOURCE, TOKEN, ""), 409, "several_files");
    refused(&ask(&gateway, "PUT", SOURCE, &format!("{TOKEN}If-Match: *\r\n"), &text), 409, "several_files");
}

#[test]
fn routes_tell_who_may_call_them() {
    let gateway = gateway!(
        "consumers: [{ name: a, keys: [\"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"] }]
routes:
  - { name: open, path: /open, respond: { body: x }, rate_limit: { rate: 5/s, per: ip } }
  - { name: shut, path: /shut, respond: { body: x }, auth: { api_key: { header: x-api-key } } }
"
    );
    let routes = gateway.admin("/api/v1/routes").json();
    let of = |name: &str| {
        let routes = routes["routes"].as_array().expect("a list");
        routes
            .iter()
            .find(|route| route["name"] == name)
            .map(|route| route["posture"].clone())
            .expect("it is there")
    };
    assert_eq!(of("open"), json!({ "auth": "public", "limits": "5/s per ip", "tls": "-", "public": true }));
    assert_eq!(of("shut"), json!({ "auth": "api key", "limits": "-", "tls": "-", "public": false }));
}
