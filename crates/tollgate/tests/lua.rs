//! Scripts: what they may do to requests and answers, that a fault of one hurts its own request only, and that a
//! changed one is taken up.

use std::fs;

use serde_json::{Value, json};
use tollgate_testkit::behaviour::{self, response};
use tollgate_testkit::{Gateway, Origin, Seen, gateway, wait_for};

/// An origin that answers with a JSON object and a header, in the order of requests.
fn origin() -> Origin {
    Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            let body = json!({ "path": seen.target(), "name": "Ada", "iban": "DE02120300000000202051" });
            let body = body.to_string();
            let kind = "content-type: application/json\r\nx-origin: yes";
            let head = format!("HTTP/1.1 200 OK\r\n{kind}\r\ncontent-length: {}\r\n\r\n", body.len());
            let body = if seen.method() == "HEAD" { "" } else { &*body };
            conn.send(format!("{head}{body}"))?;
        }
    })
}

/// A gateway whose only route has this script behind `lua: |`.
fn with_script(origin: &Origin, script: &str) -> Gateway {
    let indented: String = script.lines().map(|line| format!("      {line}\n")).collect();
    let text = format!(
        "workers: 1\nupstreams: {{ main: {{ targets: [@ORIGIN@/base] }} }}\nroutes:\n  - name: scripted\n    path: \
         /a/{{id}}\n    to: main\n    lua: |\n{indented}  - {{ name: plain, path: /plain, to: main }}\n"
    );
    gateway!(&text, ORIGIN = origin.url())
}

const GET: &str = "GET /a/7?q=1&r=2 HTTP/1.1\r\nHost: test\r\nX-A: one\r\n\r\n";
const POST: &str = "POST /a/7 HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: \
                    9\r\n\r\n{\"n\": 41}";
const CHUNKED: &str =
    "POST /a/7 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";

#[test]
fn what_a_script_does_to_a_request_is_what_the_upstream_is_sent() {
    let origin = origin();
    let check = |script: &str, request: &str, fits: &dyn Fn(&Seen) -> bool| {
        let gateway = with_script(&origin, &format!("function request(req)\n{script}\nend"));
        let answer = gateway.client().exchange(request);
        assert_eq!(answer.status, 200, "{script}: {}", gateway.stderr().text());
        let seen = origin.last();
        assert!(fits(&seen), "{script}: {seen:?}");
    };
    check("", GET, &|seen| seen.target() == "/base/a/7?q=1&r=2" && seen.header("x-a") == Some("one"));
    check("req.headers['X-A'] = 'two'", GET, &|seen| seen.header("x-a") == Some("two"));
    check("req.headers['x-a'] = nil", GET, &|seen| seen.header("x-a").is_none());
    check("req.headers['x-b'] = req.headers.host", GET, &|seen| seen.header("x-b") == Some("test"));
    check("req.headers['x-b'] = req.params.id .. req.host .. req.client_ip", GET, &|seen| {
        seen.header("x-b") == Some("7test127.0.0.1")
    });
    check("req.headers['x-b'] = tostring(req.claims) .. tostring(req.consumer)", GET, &|seen| {
        seen.header("x-b") == Some("nilnil")
    });
    check("req.method = 'PUT'", GET, &|seen| seen.method() == "PUT");
    check("req.path = '/other%2e/x'", GET, &|seen| seen.target() == "/base/other./x?q=1&r=2");
    check("req.query.q = nil req.query.z = 'a b'", GET, &|seen| seen.target() == "/base/a/7?r=2&z=a%20b");
    check("req.query = nil", GET, &|seen| seen.target() == "/base/a/7");
    check("req.json.n += 1", POST, &|seen| {
        let sent: Value = serde_json::from_slice(&seen.body).expect("JSON");
        sent == json!({ "n": 42 }) && seen.header("content-length") == Some(&*seen.body.len().to_string())
    });
    check("req.body = req.body .. '!'", CHUNKED, &|seen| {
        seen.body == b"hello!" && seen.header("transfer-encoding").is_none()
    });
    check("req.body = nil", POST, &|seen| seen.body.is_empty() && seen.header("content-length") == Some("0"));
    check("req.body = 'new'", GET, &|seen| seen.body == b"new" && seen.header("content-length") == Some("3"));
    check("local _ = req.body", CHUNKED, &|seen| seen.body == b"hello");
    check("", CHUNKED, &|seen| seen.body == b"hello" && seen.header("transfer-encoding") == Some("chunked"));
}

#[test]
fn what_a_script_does_to_an_answer_is_what_the_client_is_sent() {
    let origin = origin();
    let check = |script: &str, method: &str, expect: (u16, Option<&str>, &str)| {
        let gateway = with_script(&origin, &format!("function response(res, req)\n{script}\nend"));
        let mut client = gateway.client();
        for _ in 0..2 {
            // Twice: what follows on the connection must be the next answer.
            client.send(format!("{method} /a/7 HTTP/1.1\r\nHost: test\r\n\r\n"));
            let answer = client.response_to(method);
            let found = (answer.status, answer.header("x-b"), &*answer.text());
            assert_eq!(found, expect, "{script}: {}", gateway.stderr().text());
        }
    };
    let whole = r#"{"path":"/base/a/7","name":"Ada","iban":"DE02120300000000202051"}"#;
    check("res.headers['x-b'] = req.path", "GET", (200, Some("/a/7"), whole));
    check("res.status = 418", "GET", (418, None, whole));
    check("res.status = 204", "GET", (204, None, ""));
    check("res.json.iban = nil res.json.path = nil", "GET", (200, None, r#"{"name":"Ada"}"#));
    check("res.body = 'x' res.headers['x-b'] = res.headers['X-Origin']", "GET", (200, Some("yes"), "x"));
    check("res.body = 'x'", "HEAD", (200, None, ""));
    check("return respond(409, { a = 1 }, { ['x-b'] = 'c' })", "GET", (409, Some("c"), r#"{"a":1}"#));
}

#[test]
fn a_method_that_changes_whether_there_is_a_body_does_not_break_the_framing() {
    let origin = origin();
    for (from, to, body) in [("GET", "HEAD", ""), ("HEAD", "GET", "")] {
        let script = format!("function request(req) req.method = '{to}' end");
        let gateway = with_script(&origin, &script);
        let mut client = gateway.client();
        for _ in 0..2 {
            client.send(format!("{from} /a/7 HTTP/1.1\r\nHost: test\r\n\r\n"));
            let answer = client.response_to(from);
            assert_eq!((answer.status, &*answer.text()), (200, body), "{from} as {to}");
            assert_eq!(origin.last().method(), to);
        }
        assert_eq!(gateway.record_of("/a/7")["method"], from, "the record tells what the client asked");
    }
}

#[test]
fn what_a_script_would_make_of_a_body_has_no_length_in_the_answer_to_head() {
    let origin = origin();
    for (script, expect) in [
        ("res.headers['x-b'] = 'c'", (200, true)),
        ("res.body = res.body .. '!'", (200, false)),
        ("local t = res.json if t then t.iban = nil end", (200, false)),
        ("return respond(409, 'len=' .. #res.body)", (409, false)),
    ] {
        let gateway = with_script(&origin, &format!("function response(res)\n{script}\nend"));
        let mut client = gateway.client();
        for _ in 0..2 {
            client.send("HEAD /a/7 HTTP/1.1\r\nHost: test\r\n\r\n");
            let answer = client.response_to("HEAD");
            assert_eq!((answer.status, answer.header("content-length").is_some()), expect, "{script}");
        }
        // A body that is here has its length.
        let asked =
            format!("function request(req) req.method = 'GET' end function response(res)\n{script}\nend");
        let gateway = with_script(&origin, &asked);
        let mut client = gateway.client();
        client.send("HEAD /a/7 HTTP/1.1\r\nHost: test\r\n\r\n");
        let length = client.response_to("HEAD").header("content-length").map(str::to_owned);
        let whole = gateway.client().exchange("GET /a/7 HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(length.as_deref(), whole.header("content-length"), "{script}");
    }
}

#[test]
fn a_script_that_reads_the_body_is_not_given_a_piece_of_it() {
    let origin = origin();
    let asked = "GET /a/7 HTTP/1.1\r\nHost: test\r\nRange: bytes=1-\r\nIf-Range: \"a\"\r\n\r\n";
    for (script, passes) in [
        ("function response(res) local t = res.json if t then t.iban = nil end end", false),
        (
            "function request(req) req.headers.range = 'bytes=2-' end function response(res) res.body = '' end",
            false,
        ),
        ("function response(res) res.headers['x-b'] = 'c' end", true),
        ("function request(req) local all = req.body end", true),
    ] {
        let gateway = with_script(&origin, script);
        assert_eq!(gateway.client().exchange(asked).status, 200, "{script}");
        let sent = origin.last();
        for name in ["range", "if-range"] {
            assert_eq!(sent.header(name).is_some(), passes, "{name}: {script}");
        }
    }
}

#[test]
fn a_script_that_answers_keeps_the_request_from_the_upstream() {
    let origin = origin();
    let gateway = with_script(
        &origin,
        "function request(req)\n    return respond(400, { error = 'x-tenant is missing' }, { ['x-b'] = 'c' })\nend\n\
         function response(res) res.headers['x-late'] = 'yes' end",
    );
    let answer = gateway.client().exchange(GET);
    assert_eq!((answer.status, &*answer.text()), (400, r#"{"error":"x-tenant is missing"}"#));
    assert_eq!((answer.header("x-b"), answer.header("x-late")), (Some("c"), None));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_fault_of_a_script_hurts_its_own_request_only_and_is_told_to_the_operator_alone() {
    let origin = origin();
    for (script, told) in [
        ("local x = nil; x.y = 1", "line=2"),
        ("error('secret thing')", "secret thing"),
        ("while true do end", "than a call may"),
        ("local _ = ('x'):rep(16 * 1024 * 1024)", "used more memory than a call may"),
        ("req.headers['content-length'] = '1'", "is the gateway's to set"),
        ("req.path = '/a/../../b'", "a path begins with"),
        ("req.path = 'http://evil/'", "a path begins with"),
        ("req.headers['x'] = 'a\\r\\nb: c'", "line break"),
        ("return 7", ""),
        ("os.exit()", ""),
    ] {
        let gateway = with_script(&origin, &format!("function request(req)\n{script}\nend"));
        let before = origin.count();
        let answer = gateway.client().exchange(GET);
        assert_eq!(answer.status, 500, "{script}");
        let problem: Value = serde_json::from_str(&answer.text()).expect("a problem document");
        assert_eq!(problem["code"], "script_error", "{script}");
        assert!(told.is_empty() || !answer.text().contains(told), "{script}: {}", answer.text());
        wait_for("the operator's log", || {
            let log = gateway.stderr().text();
            log.contains("script failed") && log.contains(told) && log.contains("scripted")
        });
        assert_eq!(origin.count(), before, "{script}");
        assert_eq!(gateway.get("/plain").status, 200, "{script}");
        wait_for("the metrics", || {
            gateway.metrics().get("tollgate_script_duration_seconds_count{route=\"scripted\"}") == 1.0
        });
    }
}

#[test]
fn an_answer_that_is_longer_than_a_script_may_hold_is_refused() {
    let origin = Origin::start(|conn| {
        conn.request()?;
        conn.send(response(200, &vec![b'x'; 200_000]))
    });
    let text = "
upstreams: { main: { targets: [@ORIGIN@] } }
lua_limits: { memory: 128KiB }
routes:
  - { path: /body, to: main, lua: { inline: \"function response(res) local _ = #res.body end\" } }
  - { path: /head, to: main, lua: { inline: \"function response(res) res.status = 201 end\" } }
";
    let gateway = gateway!(text, ORIGIN = origin.url());
    assert_eq!(gateway.get("/body").status, 502);
    let answer = gateway.get("/head");
    assert_eq!((answer.status, answer.text().len()), (201, 200_000));
}

#[test]
fn scripts_log_and_a_list_of_them_runs_in_order() {
    let origin = Origin::start(behaviour::ok);
    let text = "
upstreams: { main: { targets: [@ORIGIN@] } }
routes:
  - name: two
    path: /
    to: main
    lua:
      - inline: \"function request(req) req.headers['x-a'] = '1' log.warn('first', 1) end function response(res) \
                res.headers['x-b'] = '1' end\"
      - inline: \"function request(req) req.headers['x-a'] ..= '2' end function response(res) \
                res.headers['x-b'] ..= config.tail end\"
        with: { tail: z }
";
    let gateway = gateway!(text, ORIGIN = origin.url());
    let answer = gateway.get("/");
    assert_eq!(answer.header("x-b"), Some("1z"));
    assert_eq!(origin.last().header("x-a"), Some("12"));
    let id = gateway.record_of("/")["id"].as_str().expect("an id").to_owned();
    wait_for("the line", || {
        gateway.stderr().text().lines().any(|line| line.contains("first 1") && line.contains(&id))
    });
}

#[test]
fn a_changed_script_and_a_changed_module_are_taken_up_and_a_broken_one_is_not() {
    let origin = Origin::start(behaviour::ok);
    let text = "
upstreams: { main: { targets: [@ORIGIN@] } }
routes: [{ path: /, to: main, lua: a.lua }]
";
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
    write("a.lua", "local m = require 'm'\nfunction response(res) res.headers['x-b'] = 'a' .. m end");
    write("m.lua", "return '1'");
    let text = text.replace("a.lua", &dir.path().join("a.lua").display().to_string());
    let gateway = gateway!(&text, ORIGIN = origin.url());
    let says = |wanted: &str| gateway.get("/").header("x-b") == Some(wanted);
    assert!(says("a1"));
    write("m.lua", "return '2'");
    wait_for("the module", || says("a2"));
    write("a.lua", "function response(res) res.headers['x-b'] = end");
    wait_for("the refusal", || gateway.stderr().text().contains("a.lua"));
    assert!(says("a2"), "what served goes on");
    write("a.lua", "function response(res) res.headers['x-b'] = 'b' end");
    wait_for("the script", || says("b"));
}

#[test]
fn the_examples_run_as_they_stand() {
    let origin = origin();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/lua");
    let text = format!(
        "upstreams: {{ main: {{ targets: [@ORIGIN@] }} }}\nroutes:\n  - {{ path: /mask, to: main, lua: {{ file: \
         {folder}/mask.lua, with: {{ fields: [iban], role: support }} }} }}\n  - {{ path: /normalise, to: main, lua: \
         {{ file: {folder}/normalise.lua, with: {{ list: items }} }} }}\n  - {{ path: /sign, to: main, lua: {{ file: \
         {folder}/sign.lua, with: {{ key: k, name: gateway }} }} }}\n  - {{ path: /plan, to: main, lua: {{ file: \
         {folder}/plan.lua, with: {{ plans: {{ free: /v1 }} }} }} }}\n"
    );
    let gateway = gateway!(&text, ORIGIN = origin.url());
    assert!(gateway.get("/mask").text().contains("******************2051"));
    assert_eq!(gateway.get("/normalise").status, 200);
    assert_eq!(gateway.get("/sign").status, 200);
    assert_eq!(origin.last().header("x-signed-by"), Some("gateway"));
    assert_eq!(origin.last().header("x-signature").map(str::len), Some(64));
    assert_eq!(gateway.get("/plan").status, 403);
}
