//! What is shown, which tests are run, and with which exit code it ends.

use std::fs;
use std::path::Path;

use expect_test::expect;
use serde_json::json;

use super::{json, tollgate, with};

const CONFIG: &str = r#"
upstreams: { orders: { targets: ["http://10.0.0.5:3000"] } }
routes:
  - { name: orders, path: "/orders/{id}", to: orders }
tests:
  - name: the order is there
    request: { path: /orders/7 }
    expect: { status: 200 }
  - name: the order <is> "new"
    request: { method: PUT, path: "/orders/7?full=1", headers: { authorization: Bearer very-secret, x-a: "1" }, json: { id: 7 } }
    upstreams: { orders: { status: 201, json: { id: 7, tags: [a, b] } } }
    expect: { status: 200, json: { id: 7, tags: [a, c] } }
  - name: another thing
    request: { path: /orders/8 }
    expect: { json: { id: 8 } }
"#;

/// Times differ from run to run.
fn timeless(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(" s\n") {
        let start = before.rfind(' ').map_or(0, |at| at + 1);
        out.push_str(&before[..start]);
        out.push_str("T s\n");
        rest = after;
    }
    out + rest
}

#[test]
fn a_failure_is_shown_with_all_that_helps() {
    let dir = with(CONFIG);
    let ended = tollgate(dir.path(), &["test"], 1);
    assert!(ended.stderr.is_empty(), "{ended:#?}");
    expect![[r#"
        FAILED the order <is> "new"  (tollgate.yaml:9)
          status
            expected  200
            found     201
          json /tags/1
            expected  "c"
            found     "b"
          sent      PUT /orders/7?full=1 from 127.0.0.1, host localhost
                    authorization: ***
                    x-a: 1
                    content-type: application/json
                    {"id":7}
          answer    201, route orders, upstream orders
                    {"id":7,"tags":["a","b"]}

        FAILED another thing  (tollgate.yaml:13)
          json /id
            expected  8
            found     nothing
          sent      GET /orders/8 from 127.0.0.1, host localhost
          answer    200, route orders, upstream orders
                    {}
          note      `orders` has no stub in this test: it answered GET /orders/8 with 200 and {}

        2 of 3 tests failed, in T s
    "#]]
    .assert_eq(&timeless(&ended.stdout));
}

#[test]
fn machines_are_told_the_same() {
    let dir = with(CONFIG);
    let said = json(&tollgate(dir.path(), &["test", "--json"], 1));
    assert_eq!((&said["ok"], &said["passed"], &said["failed"]), (&json!(false), &json!(1), &json!(2)));
    let tests = said["tests"].as_array().expect("a list");
    assert!(tests.iter().all(|test| test["ms"].as_f64().is_some_and(|ms| ms > 0.0)), "{said}");
    assert_eq!(tests[0]["ok"], true);
    assert_eq!((&tests[2]["file"], &tests[2]["line"]), (&json!("tollgate.yaml"), &json!(13)));
    assert_eq!(tests[2]["faults"], json!([{ "what": "json /id", "expected": "8", "found": "nothing" }]));
    assert!(
        tests[2]["notes"][0].as_str().is_some_and(|note| note.contains("`orders` has no stub")),
        "{said}"
    );
    assert!(!said.to_string().contains("very-secret"), "{said}");
}

#[test]
fn build_servers_are_told_in_their_own_words() {
    let dir = with(CONFIG);
    tollgate(dir.path(), &["test", "--junit", "out.xml"], 1);
    let text = fs::read_to_string(dir.path().join("out.xml")).expect("the file");
    for part in [
        "<testsuites name=\"tollgate test\" tests=\"3\" failures=\"2\" errors=\"0\" time=\"",
        "<testsuite name=\"tollgate.yaml\" tests=\"3\" failures=\"2\" errors=\"0\" time=\"",
        "<testcase name=\"the order &lt;is&gt; &quot;new&quot;\" classname=\"tollgate.yaml\" file=\"tollgate.yaml\" line=\"9\" time=\"",
        "<failure message=\"status: expected 200, found 201\">  status&#10;    expected  200&#10;",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let opened = text.matches("<testcase").count();
    let closed =
        text.matches("</testcase>").count() + text.lines().filter(|line| line.ends_with("\"/>")).count();
    assert_eq!((opened, closed), (3, 3), "{text}");
    assert!(!text.contains("very-secret"), "{text}");
}

#[test]
fn some_tests_or_none() {
    let dir = with(CONFIG);
    assert!(tollgate(dir.path(), &["test", "IS THERE"], 0).stdout.starts_with("ok: 1 test passed in "));
    let ended = tollgate(dir.path(), &["test", "nowhere"], 1);
    assert_eq!(ended.stderr, "error: none of 3 tests has that in its name\n");
    let ended = tollgate(dir.path(), &["test", "nowhere", "--json"], 1);
    assert_eq!(json(&ended)["error"], "none of 3 tests has that in its name");
    let none = with("routes: [{ path: /, respond: {} }]\n");
    assert_eq!(tollgate(none.path(), &["test"], 1).stderr, "error: the configuration has no `tests`\n");
    let bad = with("routes: [{ path: /, respond: {} }]\ntests: [{ name: a }]\n");
    assert!(tollgate(bad.path(), &["test"], 1).stderr.contains("needs the key `request`"));
    tollgate(bad.path(), &["test", "--colour"], 2);
}

/// Those of included files run too, and their file is named.
#[test]
fn tests_of_included_files() {
    let dir = with("include: [more.yaml]\nroutes: [{ path: /a, respond: {} }]\n");
    let more = "routes: [{ name: b, path: /b, respond: { status: 418 } }]\ntests:\n  - { name: b, request: { path: /b }, expect: { status: 200, route: b } }\n";
    fs::write(dir.path().join("more.yaml"), more).expect("a file");
    let ended = tollgate(dir.path(), &["test"], 1);
    assert!(ended.stdout.contains("FAILED b  (more.yaml:3)"), "{ended:#?}");
}

#[test]
fn the_tests_of_the_examples_pass() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for (file, tests) in
        [("first/tollgate.yaml", 3), ("vps/tollgate.yaml", 10), ("bus/bus.yaml", 3), ("lua/tollgate.yaml", 6)]
    {
        let ended = tollgate(&examples, &["test", "-c", file], 0);
        assert!(ended.stdout.starts_with(&format!("ok: {tests} tests passed in ")), "{file}: {ended:#?}");
    }
}
