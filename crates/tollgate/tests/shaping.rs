//! `response.body`: what is made of the body of an upstream's answer.

use serde_json::{Value, json};
use tollgate_testkit::{Gateway, Origin, gateway};

const ORDER: &str =
    r#"{"data": {"id": 7, "qty": 2, "items": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}]}, "meta": 1}"#;

fn shaped(origin: &Origin, response: &str) -> Gateway {
    gateway!(
        "routes:\n  - path: /\n    to: \"@URL@\"\n    response: { @RESPONSE@ }\n",
        URL = origin.url(),
        RESPONSE = response
    )
}

fn saying(headers: &str, body: &str) -> Origin {
    Origin::saying(format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()))
}

#[test]
fn bodies_are_shaped() {
    let origin = saying(
        "Content-Type: application/json\r\nETag: \"x\"\r\nAccept-Ranges: bytes\r\nX-Own: 1\r\n",
        ORDER,
    );
    let check = |rules: &str, wanted: Value| {
        let answer = shaped(&origin, &format!("body: {{ {rules} }}")).get("/");
        assert_eq!((answer.status, answer.json()), (200, wanted), "{rules}");
        assert_eq!(
            (answer.header("etag"), answer.header("accept-ranges"), answer.header("x-own")),
            (None, None, Some("1"))
        );
    };
    check(
        "from: data, pick: [id, qty], rename: { qty: quantity }, wrap: order",
        json!({ "order": { "id": 7, "quantity": 2 } }),
    );
    check("drop: [data.items, meta]", json!({ "data": { "id": 7, "qty": 2 } }));
    check("from: data.items, pick: [sku]", json!([{ "sku": "a" }, { "sku": "b" }]));
    check("from: \"data.items[].sku\"", json!(["a", "b"]));
}

#[test]
fn other_notations() {
    let check = |body: &str, response: &str, kind: &str, wanted: &str| {
        let origin = saying("", body);
        let answer = shaped(&origin, response).get("/");
        assert_eq!(
            (answer.status, answer.header("content-type"), answer.text().as_str()),
            (200, Some(kind), wanted),
            "{response}"
        );
    };
    check("<o><a>1</a></o>", "body: { decode: xml }", "application/json", r#"{"o":{"a":"1"}}"#);
    check("a: [1, x]\n", "body: { decode: yaml }", "application/json", r#"{"a":[1,"x"]}"#);
    check("id,n\n1,x\n", "body: { decode: csv }", "application/json", r#"[{"id":"1","n":"x"}]"#);
    check("hi", "body: { decode: text }", "application/json", r#"{"text":"hi"}"#);
    check(r#"{"a":[1]}"#, "body: {}, encode: yaml", "application/yaml", "a:\n  - 1\n");
}

#[test]
fn what_is_not_shaped() {
    let rules = "body: { pick: [id] }";
    let missing = Origin::saying("HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found");
    let answer = shaped(&missing, rules).get("/");
    assert_eq!((answer.status, answer.text().as_str()), (404, "not found"), "errors pass as they are");
    for (origin, code) in [
        (saying("", "{broken"), "upstream_protocol"),
        (saying("Content-Encoding: gzip\r\n", "{}"), "upstream_protocol"),
        (
            Origin::saying(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-8/9\r\nContent-Length: 9\r\n\r\n{\"pin\":1}",
            ),
            "upstream_protocol",
        ),
        (
            Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\n{}"),
            "upstream_timeout",
        ),
    ] {
        let gateway = gateway!(
            "upstreams: { s: { targets: [@URL@], idle_timeout: 300ms } }\nroutes:\n  - { path: /, to: s, response: { @RULES@ } }\n",
            URL = origin.url(),
            RULES = rules
        );
        assert_eq!(gateway.get("/").code(), code);
    }
}

#[test]
fn the_upstream_is_asked_for_all_of_it_as_it_is() {
    let origin = Origin::echo();
    let gateway = shaped(&origin, "body: { pick: [method] }");
    let answer = gateway
        .client()
        .exchange("GET / HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip\r\nRange: bytes=0-1\r\n\r\n");
    assert_eq!(answer.json(), json!({ "method": "GET" }));
    let seen = origin.last();
    // Without the header a service may use any coding that it likes.
    assert_eq!((seen.header("accept-encoding"), seen.header("range")), (Some("identity"), None));
}

/// The answer to HEAD says of what GET is answered with what is known, and nothing of the service's own.
#[test]
fn heads_describe_what_would_be_made() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 99\r\nETag: \"x\"\r\nContent-MD5: x\r\nX-Own: 1\r\n\r\n";
    let origin = Origin::saying(head);
    let gateway = shaped(&origin, "body: { decode: xml }, encode: negotiate");
    let ask = |accept: &str| {
        let answer =
            gateway.client().exchange(format!("HEAD / HTTP/1.1\r\nHost: t\r\nAccept: {accept}\r\n\r\n"));
        assert!(answer.body.is_empty(), "{answer:#?}");
        ["content-type", "content-length", "etag", "content-md5", "transfer-encoding", "x-own", "vary"]
            .map(|name| answer.header(name).map(str::to_owned))
    };
    let told = |kind: &str| {
        let all = [Some(kind), None, None, None, None, Some("1"), Some("accept")];
        all.map(|value| value.map(str::to_owned))
    };
    assert_eq!(ask("*/*"), told("application/json"));
    assert_eq!(ask("application/yaml"), told("application/yaml"));
    let missing = Origin::saying("HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nETag: \"x\"\r\n\r\n");
    let answer = shaped(&missing, "body: {}").client().exchange("HEAD / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!((answer.header("content-length"), answer.header("etag")), (Some("9"), Some("\"x\"")));
}

/// The first example of the page: what is configured there makes the one document out of the other.
#[test]
fn the_page_says_what_is_so() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/shaping.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let block = |text: &str, fence: &str| -> String {
        let inside = text.split_once(fence).and_then(|(_, rest)| rest.split_once("```"));
        inside.expect("a block").0.to_owned()
    };
    let (before, after) = page.split_once("\nFrom `").expect("the example");
    let (from, after) = after.split_once("` comes").expect("what it is made of");
    let origin = saying("", from);
    let text = block(before, "```yaml\n").replace("http://127.0.0.1:3000", &origin.url());
    let wanted: Value = serde_json::from_str(&block(after, "```json\n")).expect("JSON");
    assert_eq!(gateway!(&text).get("/orders/7").json(), wanted);
}
