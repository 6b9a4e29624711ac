//! `jq`: of the body of one service, and of the parts of an aggregate; and that no filter holds anybody up.

use serde_json::{Value, json};
use tollgate_testkit::{Gateway, Origin, behaviour, gateway, wait_for};

const ORDER: &str =
    r#"{"data": {"id": 7, "total": 1.10, "items": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}]}, "meta": 1}"#;

fn origin() -> Origin {
    Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            let (status, body) = match seen.target() {
                "/order" => (200, ORDER),
                "/list" => (200, "[3, 1, 2]"),
                "/text" => (200, r#""secret""#),
                "/xml" => (200, "<o><a>1</a><a>2</a></o>"),
                "/gone" => (404, r#"{"error": "gone"}"#),
                _ => (200, "{}"),
            };
            conn.send(behaviour::response(status, body.as_bytes()))?;
        }
    })
}

/// A gateway whose route `/{what}` shapes what the service has there.
fn shaped(origin: &Origin, body: &str) -> Gateway {
    gateway!(
        "workers: 1\nroutes:\n  - name: shaped\n    path: /{what}\n    to: \"@URL@\"\n    response: { body: { @BODY@ } }\n",
        URL = origin.url(),
        BODY = body
    )
}

#[test]
fn a_filter_makes_the_answer_of_one_service() {
    let origin = origin();
    let check = |body: &str, path: &str, wanted: &str| {
        let answer = shaped(&origin, body).get(path);
        assert_eq!((answer.status, &*answer.text()), (200, wanted), "{body}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    };
    check("jq: '.data | {id, total}'", "/order", r#"{"id":7,"total":1.10}"#);
    check("jq: '.data.items[] | .sku'", "/order", r#"["a","b"]"#);
    check("jq: 'empty'", "/order", "null");
    check("jq: '. as $list | {sorted: sort, n: ($list | length)}'", "/list", r#"{"sorted":[1,2,3],"n":3}"#);
    check("jq: '.o.a | map(tonumber) | add', decode: xml", "/xml", "3");
}

#[test]
fn errors_of_a_service_pass_as_they_are() {
    let origin = origin();
    let answer = shaped(&origin, "jq: '{a: 1}'").get("/gone");
    assert_eq!((answer.status, &*answer.text()), (404, r#"{"error": "gone"}"#));
}

#[test]
fn a_document_that_does_not_fit_is_told_to_the_operator_by_kind_alone() {
    let origin = origin();
    let gateway = shaped(&origin, "jq: '.data.id'");
    let answer = gateway.get("/text");
    assert_eq!(answer.status, 502);
    assert_eq!(answer.code(), "upstream_protocol");
    assert!(!answer.text().contains("index"), "{}", answer.text());
    wait_for("the operator's log", || {
        let log = gateway.stderr().text();
        log.contains("cannot index a string with a string") && log.contains("shaped")
    });
    assert!(!gateway.stderr().text().contains("secret"));
}

#[test]
fn a_filter_that_would_not_end_is_stopped_and_the_next_request_served() {
    let origin = origin();
    for filter in [
        "[repeat(1)]",
        "last(range(1e18))",
        "reduce range(100) as $i (\"x\"; . + .)",
        "reduce range(1e9) as $i (1; [.])",
        "until(false; .)",
    ] {
        let text = "
workers: 1
routes:
  - { path: /bomb, to: \"@URL@\", response: { body: { jq: '@FILTER@' } } }
  - { path: /order, to: \"@URL@\", response: { body: { jq: '.data.id' } } }
";
        let gateway = gateway!(text, URL = origin.url(), FILTER = filter);
        let answer = gateway.get("/bomb");
        assert_eq!(answer.status, 502, "{filter}");
        assert_eq!(answer.code(), "part_too_large");
        assert_eq!(gateway.get("/order").text(), "7", "{filter}");
        assert!(gateway.own_kib() < 512 * 1024, "{filter}: {} KiB", gateway.own_kib());
    }
}

/// A gateway whose route `/` aggregates these parts.
fn aggregate(origin: &Origin, parts: &[&str]) -> Gateway {
    let parts: String = parts.iter().map(|part| format!("        - {{ {part} }}\n")).collect();
    gateway!(
        "upstreams:\n  main: { targets: [@ORIGIN@] }\nroutes:\n  - path: /\n    aggregate:\n      parts:\n@PARTS@",
        ORIGIN = origin.url(),
        PARTS = parts
    )
}

#[test]
fn filters_make_parts() {
    let origin = origin();
    let check = |parts: &[&str], wanted: Value| {
        let answer = aggregate(&origin, parts).get("/");
        assert_eq!((answer.status, answer.json()), (200, wanted), "{parts:?}");
        assert_eq!(answer.header("x-tollgate-completed"), Some("true"), "{parts:?}");
    };
    let order = "name: order, to: main, path: /order, jq: '{order: .data.id}'";
    check(&[order], json!({ "order": 7 }));
    check(&[order, "name: list, to: main, path: /list, jq: '{max: max}'"], json!({ "order": 7, "max": 3 }));
    // Others refer to what came, not to what is made of it.
    check(&[order, "name: next, json: { id: \"{order.data.id}\" }"], json!({ "order": 7, "id": "7" }));
    // Of several answers each goes through the filter.
    let text = "
upstreams: { main: { targets: [@ORIGIN@] } }
routes:
  - path: /
    aggregate:
      parts:
        - { name: all, to: main, path: /list, each_target: true, jq: 'add' }
";
    let answer = gateway!(text, ORIGIN = origin.url()).get("/").json();
    assert_eq!(answer[origin.url()], json!({ "status": 200, "body": 6 }), "{answer}");
}

#[test]
fn a_part_whose_filter_fails_has_failed() {
    let origin = origin();
    let list = "name: list, to: main, path: /list, jq: '{list: .}'";
    let check = |part: &str, wanted: (u16, Option<&str>)| {
        let answer = aggregate(&origin, &[list, part]).get("/");
        assert_eq!((answer.status, answer.header("x-tollgate-failed")), wanted, "{part}: {}", answer.text());
        answer
    };
    let text = "name: text, to: main, path: /text, jq: '.a'";
    let answer = check(text, (200, Some("text;part_failed")));
    assert_eq!(answer.json(), json!({ "list": [3, 1, 2] }));
    let answer = check(&format!("{text}, fallback: {{ a: 1 }}"), (200, Some("text;part_failed")));
    assert_eq!(answer.json(), json!({ "list": [3, 1, 2], "a": 1 }));
    let answer = check(&format!("{text}, required: true"), (502, Some("text;part_failed")));
    assert_eq!(answer.code(), "part_failed");
    check("name: bomb, to: main, path: /list, jq: '[repeat(1)]'", (200, Some("bomb;part_too_large")));
    check("name: bare, to: main, path: /list, jq: 'length'", (200, Some("bare;part_failed")));
}
