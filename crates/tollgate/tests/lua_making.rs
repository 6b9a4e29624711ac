//! Scripts beside what else makes answers: aggregates, and the shaping of bodies.

use serde_json::json;
use tollgate_testkit::{Gateway, Origin, behaviour, gateway, wait_for};

/// Says what it was asked with.
fn origin() -> Origin {
    Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            match seen.target().split('?').next().unwrap_or_default() {
                "/down" => conn.send(behaviour::response(503, b"down"))?,
                "/gone" => conn.send(behaviour::response(404, b"{\"error\":\"gone\"}"))?,
                _ => {
                    conn.send(behaviour::response(200, behaviour::describe(&seen).to_string().as_bytes()))?
                }
            }
        }
    })
}

fn indented(script: &str, spaces: usize) -> String {
    script.lines().map(|line| format!("{:spaces$}{line}\n", "")).collect()
}

fn with_parts(origin: &Origin, script: &str, parts: &[&str]) -> Gateway {
    let parts: String = parts.iter().map(|part| format!("        - {{ {part} }}\n")).collect();
    let script = indented(script, 6);
    gateway!(
        "workers: 1\nupstreams: { main: { targets: [@ORIGIN@] } }\nroutes:\n  - name: all\n    path: /a/{id}\n    lua: |\n@SCRIPT@    aggregate:\n      headers: [x-a]\n      query: [q]\n      parts:\n@PARTS@",
        ORIGIN = origin.url(),
        SCRIPT = script,
        PARTS = parts
    )
}

const GET: &str = "GET /a/7?q=1&r=2 HTTP/1.1\r\nHost: test\r\nX-A: one\r\nX-B: two\r\n\r\n";

#[test]
fn parts_see_what_a_script_leaves_of_the_request() {
    let origin = origin();
    let part = r#"name: one, to: main, path: "/one?r={query:r}&b={header:x-b}", body: request, method: POST"#;
    let request = "POST /a/7?q=1&r=2 HTTP/1.1\r\nHost: test\r\nX-A: one\r\nX-B: two\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{\"n\": 1}";
    let script = "function request(req)\n    req.headers['x-a'] = req.headers['x-a'] .. req.params.id .. req.host\n    req.headers['x-b'] = nil\n    req.headers['x-c'] = 'c'\n    req.query.q = 'a b'\n    req.query.r = '9'\n    req.json.n += 1\nend";
    let gateway = with_parts(&origin, script, &[part]);
    let answer = gateway.client().exchange(request);
    assert_eq!(answer.status, 200, "{} {}", answer.text(), gateway.stderr().text());
    let seen = origin.last();
    assert_eq!(seen.target(), "/one?r=9&b=&q=a%20b");
    assert_eq!((seen.header("x-a"), seen.header("x-b"), seen.header("x-c")), (Some("one7test"), None, None));
    assert_eq!(seen.body, br#"{"n":2}"#);
    assert_eq!(seen.header("content-length"), Some("7"));
    // The record and what follows go by what the client sent; so does the next request on the connection.
    let mut client = gateway.client();
    for _ in 0..2 {
        client.send(request);
        assert_eq!(client.response_to("POST").status, 200);
        assert_eq!(origin.last().header("x-a"), Some("one7test"));
    }
    assert_eq!(gateway.record_of("/a/7")["bytes_in"], 8);
}

#[test]
fn a_script_sees_the_merged_answer() {
    let origin = origin();
    let parts =
        [r#"name: one, to: main, path: /one, pick: [target]"#, "name: two, json: { secret: 1, n: 1 }"];
    let script = "function response(res, req)\n    res.json.secret = nil\n    res.json.n += 1\n    res.headers['x-b'] = req.headers['x-b'] .. res.headers['x-tollgate-completed']\nend";
    let answer = with_parts(&origin, script, &parts).client().exchange(GET);
    assert_eq!((answer.status, answer.json()), (200, json!({ "target": "/one?q=1", "n": 2 })));
    assert_eq!(answer.header("x-b"), Some("twotrue"));
    assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()));

    let own = "function response(res) return respond(409, { a = 1 }) end";
    let answer = with_parts(&origin, own, &parts).client().exchange(GET);
    assert_eq!((answer.status, answer.json()), (409, json!({ "a": 1 })));
    let status = "function response(res) res.status = 204 end";
    let answer = with_parts(&origin, status, &parts).client().exchange(GET);
    assert_eq!((answer.status, &*answer.text()), (204, ""));
}

#[test]
fn a_script_that_answers_keeps_the_parts_from_being_asked() {
    let origin = origin();
    let script = "function request(req) return respond(400, { error = 'no' }) end";
    let answer = with_parts(&origin, script, &["name: one, to: main, path: /one"]).client().exchange(GET);
    assert_eq!((answer.status, answer.json()), (400, json!({ "error": "no" })));
    assert_eq!(origin.count(), 0);
}

#[test]
fn what_has_no_meaning_for_parts_is_an_error_of_the_script() {
    let origin = origin();
    for script in ["req.path = '/other'", "req.method = 'PUT'", "error('x')"] {
        let script = format!("function request(req) {script} end");
        let gateway = with_parts(&origin, &script, &["name: one, to: main, path: /one"]);
        let answer = gateway.client().exchange(GET);
        assert_eq!(answer.status, 500, "{script}");
        assert_eq!(answer.code(), "script_error");
        wait_for("the operator's log", || gateway.stderr().text().contains("script failed"));
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn an_aggregate_that_fails_is_no_answer_for_scripts() {
    let origin = origin();
    let script = "function response(res) res.headers['x-seen'] = tostring(res.status) end";
    let down = with_parts(&origin, script, &["name: one, to: main, path: /down, required: true"]);
    let answer = down.client().exchange(GET);
    assert_eq!((answer.status, answer.header("x-seen")), (502, None));
    // A service's own 4xx is an answer.
    let gone = with_parts(&origin, script, &["name: one, to: main, path: /gone, required: true"]);
    let answer = gone.client().exchange(GET);
    assert_eq!((answer.status, answer.header("x-seen")), (404, Some("404")));
}

fn shaped(origin: &Origin, script: &str, rules: &str) -> Gateway {
    gateway!(
        "upstreams: { main: { targets: [@ORIGIN@] } }\nroutes:\n  - path: /{id}\n    to: main\n    response: { body: { @RULES@ }, set_headers: { x-last: headers } }\n    lua: |\n@SCRIPT@",
        ORIGIN = origin.url(),
        RULES = rules,
        SCRIPT = indented(script, 6)
    )
}

#[test]
fn scripts_see_the_service_s_answer_and_rules_what_they_leave_of_it() {
    let origin = origin();
    let check = |script: &str, rules: &str, wanted: (u16, &str)| {
        let script = format!("function response(res, req)\n{script}\nend");
        let gateway = shaped(&origin, &script, rules);
        let mut client = gateway.client();
        for _ in 0..2 {
            client.send("GET /x HTTP/1.1\r\nHost: test\r\n\r\n");
            let answer = client.response_to("GET");
            assert_eq!((answer.status, &*answer.text()), wanted, "{script}: {}", gateway.stderr().text());
            assert_eq!(answer.header("x-last"), Some("headers"), "{script}");
        }
    };
    let rules = "pick: [target, n]";
    check("", rules, (200, r#"{"target":"/x"}"#));
    check("res.headers['x-b'] = 'b'", rules, (200, r#"{"target":"/x"}"#));
    check("res.json.n = 1 res.json.m = 2", rules, (200, r#"{"n":1,"target":"/x"}"#));
    check("res.json = { n = 1 }", "jq: '{n: (.n + 1)}'", (200, r#"{"n":2}"#));
    check("res.json = { n = 1 } res.status = 201", rules, (201, r#"{"n":1}"#));
    // What is no success passes as it is, and so does what a script answers by itself.
    check("res.body = 'own' res.status = 418", rules, (418, "own"));
    check("return respond(200, { m = 1 })", rules, (200, r#"{"m":1}"#));
    check("res.status = 204", rules, (204, ""));
}

#[test]
fn a_request_script_alone_leaves_shaping_as_it_is() {
    let origin = origin();
    let gateway = shaped(&origin, "function request(req) req.path = '/other' end", "pick: [target]");
    assert_eq!(gateway.get("/x").json(), json!({ "target": "/other" }));
}
