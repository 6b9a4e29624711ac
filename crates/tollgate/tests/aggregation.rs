//! One answer out of several: merging, references, lists, failures, what parts are sent.

use std::io;

use serde_json::{Value, json};
use tollgate_testkit::{Gateway, Origin, Response, assert_problem, behaviour, gateway};

/// A fleet's services in one: answers by path.
fn fleet() -> Origin {
    Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            let path = seen.target().split('?').next().unwrap_or_default().to_owned();
            let (status, body) = match path.as_str() {
                "/vehicles/7" => (
                    200,
                    r#"{"fuel": 50, "tires": {"front": 2.1, "rear": 2.2}, "driver_id": "a/b", "stop_ids": [3, 1, 2], "none": null}"#,
                ),
                "/drivers/a%2Fb" => (200, r#"{"name": "Ann", "tires": {"spare": 1}}"#),
                "/stops/1" => (200, r#"{"id": 1, "at": "noon"}"#),
                "/stops/2" => (500, r#"{"error": "no"}"#),
                "/stops/3" => (200, r#"{"id": 3, "at": "one"}"#),
                "/gone" => (404, r#"{"error": "no such thing"}"#),
                "/broken" => (200, "{not json"),
                "/list" => (200, "[1, 2]"),
                "/nothing" => (204, ""),
                "/empty" => (200, ""),
                "/null" => (200, "null"),
                "/bomb" => {
                    (200, "a: &a [xxxxxxxxxx, xxxxxxxxxx]\nb: &b [*a, *a, *a, *a]\nc: [*b, *b, *b, *b]")
                }
                "/xml" => (200, "<item id=\"1\"><name>x</name></item>"),
                "/error" => (503, "down"),
                "/who" => {
                    conn.send("HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\nWWW-Authenticate: Basic realm=\"bus\"\r\nWWW-Authenticate: Bearer\r\nX-Secret: s\r\nContent-Length: 3\r\n\r\nwho")?;
                    continue;
                }
                "/packed" => {
                    conn.send("HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nRetry-After: 9\r\nX-Secret: s\r\nContent-Length: 3\r\n\r\nzip")?;
                    continue;
                }
                "/hang" => return conn.wait_end(),
                "/close" => return Ok(()),
                "/echo" => {
                    conn.send(behaviour::response(200, behaviour::describe(&seen).to_string().as_bytes()))?;
                    continue;
                }
                _ => (404, "{}"),
            };
            answer(conn, status, body)?;
        }
    })
}

fn answer(conn: &mut tollgate_testkit::Conn, status: u16, body: &str) -> io::Result<()> {
    match status {
        204 => conn.send("HTTP/1.1 204 No Content\r\n\r\n"),
        _ => conn.send(behaviour::response(status, body.as_bytes())),
    }
}

/// A gateway whose route `/` aggregates these parts, written as YAML flow maps.
fn aggregate(origin: &Origin, settings: &str, parts: &[&str]) -> Gateway {
    let parts: String = parts.iter().map(|part| format!("        - {{ {part} }}\n")).collect();
    gateway!(
        "upstreams:\n  fleet: { targets: [@ORIGIN@] }\nroutes:\n  - path: /{id}\n    aggregate:\n@SETTINGS@      parts:\n@PARTS@",
        ORIGIN = origin.url(),
        SETTINGS = settings,
        PARTS = parts
    )
}

fn completed(response: &Response) -> (Option<&str>, Option<&str>) {
    (response.header("x-tollgate-completed"), response.header("x-tollgate-failed"))
}

const VEHICLE: &str = r#"name: vehicle, to: fleet, path: "/vehicles/{id}""#;

#[test]
fn parts_are_shaped_and_merged_in_declared_order() {
    let origin = fleet();
    let check = |settings: &str, parts: &[&str], wanted: Value| {
        let gateway = aggregate(&origin, settings, parts);
        let answer = gateway.get("/7");
        assert_eq!((answer.status, answer.json()), (200, wanted), "{parts:?}");
        assert_eq!(completed(&answer), (Some("true"), None), "{parts:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    };
    let driver = r#"name: driver, to: fleet, path: "/drivers/{vehicle.driver_id}""#;
    let vehicle = &format!("{VEHICLE}, pick: [fuel, tires.front]");
    check(
        "",
        &[&format!("{vehicle}, wrap: vehicle")],
        json!({ "vehicle": { "fuel": 50, "tires": { "front": 2.1 } } }),
    );
    check("", &[vehicle, driver], json!({ "fuel": 50, "tires": { "spare": 1 }, "name": "Ann" }));
    check("", &[driver, vehicle], json!({ "fuel": 50, "tires": { "front": 2.1 }, "name": "Ann" }));
    check(
        "      merge: deep\n",
        &[vehicle, driver],
        json!({ "fuel": 50, "tires": { "front": 2.1, "spare": 1 }, "name": "Ann" }),
    );
    check(
        "",
        &[&format!("{VEHICLE}, drop: [tires, stop_ids, none], rename: {{ driver_id: driver }}")],
        json!({ "fuel": 50, "driver": "a/b" }),
    );
    check("", &["name: a, to: fleet, path: /list"], json!([1, 2]));
    check("", &["name: a, to: fleet, path: /list, wrap: all"], json!({ "all": [1, 2] }));
    check("", &["name: a, to: fleet, path: /nothing"], json!({}));
    check("", &["name: a, to: fleet, path: /empty, decode: text"], json!({ "text": "" }));
    check("", &["name: a, to: fleet, path: /null, wrap: w"], json!({ "w": null }));
    check("", &["name: a, to: fleet, path: /null, pick: [x]", "name: b, json: { b: 1 }"], json!({ "b": 1 }));
    check(
        "",
        &["name: a, to: fleet, path: /xml, decode: xml, from: item"],
        json!({ "@id": "1", "name": "x" }),
    );
    check(
        "",
        &[r#"name: a, json: { operator: "Foggy {id}", n: 1 }"#],
        json!({ "operator": "Foggy 7", "n": 1 }),
    );
    check(
        "",
        &[
            VEHICLE,
            r#"name: a, json: { fuel: "is {vehicle.fuel}" }"#,
            r#"name: z, json: { x: 1 }, if: 'params.id == "8"'"#,
        ],
        json!({ "fuel": "is 50", "tires": { "front": 2.1, "rear": 2.2 }, "driver_id": "a/b", "stop_ids": [3, 1, 2], "none": null }),
    );
}

#[test]
fn lists_and_targets_are_asked_for_one_by_one() {
    let origin = fleet();
    let stops = r#"name: stops, to: fleet, path: "/stops/{item}", for_each: "{vehicle.stop_ids}", pick: [at], wrap: stops"#;
    let gateway = aggregate(&origin, "", &[&format!("{VEHICLE}, pick: [fuel]"), stops]);
    let answer = gateway.get("/7");
    assert_eq!(
        answer.json(),
        json!({ "fuel": 50, "stops": [{ "at": "one" }, { "at": "noon" }, null] }),
        "in order"
    );
    assert_eq!(completed(&answer), (Some("false"), Some("stops;part_failed")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let record = gateway.record_of("/7");
    assert_eq!(record["parts_failed"], json!(["stops;part_failed"]));

    // A part of several requests has not failed because one of them has.
    let required = format!("{stops}, required: true");
    let answer = aggregate(&origin, "", &[&format!("{VEHICLE}, pick: [fuel]"), &required]).get("/7");
    assert_eq!((answer.status, completed(&answer)), (200, (Some("false"), Some("stops;part_failed"))));

    let (up, down) = (fleet(), Origin::start(|_| Ok(())));
    let gateway = gateway!(
        "upstreams:\n  buses: { targets: [@UP@, @DOWN@] }\nroutes:\n  - path: /all\n    aggregate:\n      parts:\n        - { name: fleet, to: buses, each_target: true, path: /stops/1, pick: [id], wrap: buses }\n",
        UP = up.url(),
        DOWN = down.url()
    );
    let answer = gateway.get("/all");
    let wanted = json!({ "buses": {
        up.url(): { "status": 200, "body": { "id": 1 } },
        down.url(): { "error": "upstream_reset" },
    } });
    assert_eq!((answer.status, answer.json()), (200, wanted));
    assert_eq!(completed(&answer), (Some("false"), Some("fleet;upstream_reset")));
}

#[test]
fn what_fails_is_named_and_the_rest_is_there() {
    let origin = fleet();
    let check = |part: &str, reason: &str, wanted: Value| {
        let gateway = aggregate(
            &origin,
            "      timeout: 600ms\n      part_bytes: 256B\n",
            &[r#"name: good, json: { ok: true }"#, &format!("name: bad, {part}")],
        );
        let answer = gateway.get("/7");
        assert_eq!((answer.status, answer.json()), (200, wanted), "{part}");
        assert_eq!(completed(&answer), (Some("false"), Some(format!("bad;{reason}").as_str())), "{part}");
    };
    let ok = json!({ "ok": true });
    check("to: fleet, path: /gone", "part_failed", ok.clone());
    check("to: fleet, path: /error", "part_failed", ok.clone());
    check("to: fleet, path: /broken", "part_failed", ok.clone());
    check("to: fleet, path: /list", "part_failed", ok.clone());
    check("to: fleet, path: /empty", "part_failed", ok.clone());
    check("to: fleet, path: /empty, decode: xml", "part_failed", ok.clone());
    check("to: fleet, path: /null", "part_failed", ok.clone());
    // Aliases stand for more than what came.
    check("to: fleet, path: /bomb, decode: yaml", "part_too_large", ok.clone());
    check("to: fleet, path: /hang", "upstream_timeout", ok.clone());
    check("to: fleet, path: /hang, timeout: 50ms", "upstream_timeout", ok.clone());
    check("to: fleet, path: /close", "upstream_reset", ok.clone());
    check("to: \"http://127.0.0.1:1\", path: /", "upstream_connect", ok.clone());
    check("to: fleet, path: \"/{header:x-none}\"", "template_value_missing", ok.clone());
    check(
        "to: fleet, path: /gone, fallback: { x: 1 }, wrap: w",
        "part_failed",
        json!({ "ok": true, "w": { "x": 1 } }),
    );
    check("to: fleet, path: /gone, success: [200, 500]", "part_failed", ok.clone());
    check("to: fleet, path: /echo, if: 'claims.x == 1'", "part_failed", ok);
}

/// What a client lacks is the client's to add, also where a part that is needed fails by it.
#[test]
fn a_part_that_lacks_a_header_of_the_client() {
    let part = "name: bad, required: true, to: fleet, path: \"/{header:x-none}\"";
    let answer = aggregate(&fleet(), "", &["name: good, json: { ok: true }", part]).get("/7");
    assert_problem(&answer, "template_value_missing");
    assert_eq!(
        (answer.status, completed(&answer)),
        (400, (Some("false"), Some("bad;template_value_missing")))
    );
}

#[test]
fn names_that_are_no_token_are_quoted() {
    let names = [r#"'a, b;c'"#, r#"größe"#, r#"'say "no"'"#, "plain"];
    let parts = names.map(|name| format!("name: {name}, to: fleet, path: /gone"));
    let mut parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    parts.push("name: good, json: { ok: true }");
    let origin = fleet();
    let gateway = aggregate(&origin, "", &parts);
    let answer = gateway.get("/7");
    let failed = r#""a, b;c";part_failed, %"gr%c3%b6%c3%9fe";part_failed, "say \"no\"";part_failed, plain;part_failed"#;
    assert_eq!(completed(&answer), (Some("false"), Some(failed)));
    let told =
        json!(["a, b;c;part_failed", "größe;part_failed", "say \"no\";part_failed", "plain;part_failed"]);
    assert_eq!(gateway.record_of("/7")["parts_failed"], told, "a list of JSON needs no quotes");
}

#[test]
fn a_missing_reference_fails_the_part() {
    let origin = fleet();
    for reference in ["nothing", "none", "tires", "stop_ids", "tires.middle"] {
        let part = format!(r#"name: bad, to: fleet, path: "/x/{{vehicle.{reference}}}""#);
        let gateway = aggregate(&origin, "", &[&format!("{VEHICLE}, pick: [fuel]"), &part]);
        let answer = gateway.get("/7");
        assert_eq!((answer.status, answer.json()), (200, json!({ "fuel": 50 })), "{reference}");
        assert_eq!(completed(&answer), (Some("false"), Some("bad;part_reference_missing")), "{reference}");
    }
    // A part that failed has no values either.
    let parts = [
        "name: a, to: fleet, path: /gone",
        r#"name: b, to: fleet, path: "/{a.error}""#,
        "name: c, json: { c: 1 }",
    ];
    let answer = aggregate(&origin, "", &parts).get("/7");
    assert_eq!(completed(&answer), (Some("false"), Some("a;part_failed, b;part_reference_missing")));
}

/// What is not whole is kept by nobody, whatever the route's edits say of answers that are.
#[test]
fn edits_make_no_cache_keep_what_is_not_whole() {
    let origin = fleet();
    let gateway = gateway!(
        "upstreams:\n  fleet: { targets: [@ORIGIN@] }\nroutes:\n  - path: /{id}\n    response:\n      set_headers: { cache-control: \"public, max-age=600\", cdn-cache-control: max-age=600, surrogate-control: max-age=600 }\n    aggregate:\n      parts:\n        - { name: good, json: { a: 1 } }\n        - { name: stop, to: fleet, path: \"/stops/{id}\" }\n",
        ORIGIN = origin.url()
    );
    let check = |path: &str, done: &str, expect: [Option<&str>; 3]| {
        let answer = gateway.get(path);
        assert_eq!((answer.status, completed(&answer).0), (200, Some(done)), "{path}");
        let said =
            ["cache-control", "cdn-cache-control", "surrogate-control"].map(|name| answer.header(name));
        assert_eq!(said, expect, "{path}");
    };
    check("/1", "true", [Some("public, max-age=600"), Some("max-age=600"), Some("max-age=600")]);
    check("/2", "false", [Some("no-store"), None, None]);
}

#[test]
fn without_a_required_part_there_is_no_answer() {
    let origin = fleet();
    let check = |path: &str, status: u16, code: &str| {
        let parts = [
            format!("name: bad, required: true, to: fleet, path: {path}"),
            "name: good, json: { a: 1 }".to_owned(),
        ];
        let gateway = aggregate(&origin, "      timeout: 300ms\n", &[&parts[0], &parts[1]]);
        let answer = gateway.get("/7");
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
        assert_eq!(answer.header("x-tollgate-completed"), Some("false"));
        let record = gateway.record_of("/7");
        assert_eq!(record["parts_failed"], json!([format!("bad;{code}")]));
    };
    check("/error", 502, "part_failed");
    check("/broken", 502, "part_failed");
    // A list cannot be merged with another part.
    check("/list", 502, "part_failed");
    check("/hang", 504, "upstream_timeout");
    check("/close", 502, "upstream_reset");
    // Its own 4xx is about the client's request.
    let parts = ["name: bad, required: true, to: fleet, path: /gone", "name: slow, to: fleet, path: /hang"];
    let answer = aggregate(&origin, "", &parts).get("/7");
    assert_eq!(
        (answer.status, answer.json()),
        (404, json!({ "error": "no such thing" })),
        "and nobody waits for the rest"
    );
    // One that asks for credentials says which (RFC 9110 section 11.6.1), and nothing else of its own.
    let answer = aggregate(&origin, "", &["name: bad, required: true, to: fleet, path: /who"]).get("/7");
    assert_eq!((answer.status, answer.text().as_str(), answer.header("x-secret")), (401, "who", None));
    let challenges = answer.head.all("www-authenticate");
    assert_eq!(challenges, ["Basic realm=\"bus\"", "Bearer"]);
    let answer = aggregate(&origin, "", &["name: bad, required: true, to: fleet, path: /packed"]).get("/7");
    assert_eq!((answer.status, answer.text().as_str()), (429, "zip"));
    let told =
        ["content-type", "content-encoding", "retry-after", "x-secret"].map(|name| answer.header(name));
    assert_eq!(told, [Some("text/plain"), Some("gzip"), Some("9"), None], "what says how to read it");
    // None succeeded.
    let parts = ["name: a, to: fleet, path: /error", "name: b, to: fleet, path: /close"];
    let answer = aggregate(&origin, "", &parts).get("/7");
    assert_eq!((answer.status, answer.code().as_str()), (502, "part_failed"));
}

/// A client is told of the time that an open breaker has left, as it is where one service answers.
#[test]
fn an_open_breaker_of_a_part_says_when_to_come_again() {
    let origin = fleet();
    let gateway = gateway!(
        "upstreams:\n  fleet: { targets: [@ORIGIN@], circuit_breaker: { min_requests: 1, window: 10s, open: 30s } }\nroutes:\n  - path: /{id}\n    aggregate:\n      parts:\n        - { name: a, to: fleet, path: /error, required: true }\n",
        ORIGIN = origin.url()
    );
    assert_eq!(gateway.get("/7").code(), "part_failed");
    let answer = gateway.get("/7");
    assert_eq!((answer.status, answer.code().as_str()), (503, "circuit_open"));
    let seconds: u64 = answer.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    assert!((20..=30).contains(&seconds), "{seconds}");
}

/// Of a list some elements may fail; where all of them did, the part has nothing.
#[test]
fn a_list_of_which_every_element_failed_is_a_part_that_failed() {
    let origin = fleet();
    let list = r#"name: list, json: { ids: [2, 2], none: [] }"#;
    let each = |list: &str, more: &str| {
        format!(
            r#"name: stops, to: fleet, path: "/stops/{{item}}", for_each: "{{list.{list}}}", wrap: stops{more}"#
        )
    };
    let get = |part: String| aggregate(&origin, "", &[list, &part]).get("/7");
    let answer = get(each("ids", ", required: true"));
    assert_eq!((answer.status, answer.code().as_str()), (502, "part_failed"));
    let answer = get(each("ids", ", fallback: []"));
    assert_eq!((answer.status, &answer.json()["stops"]), (200, &json!([])));
    assert_eq!(completed(&answer), (Some("false"), Some("stops;part_failed")));
    let answer = get(each("ids", ""));
    assert_eq!((answer.status, &answer.json()["stops"]), (200, &json!([null, null])));
    let answer = get(each("none", ", required: true"));
    assert_eq!((answer.status, &answer.json()["stops"]), (200, &json!([])));
    assert_eq!(completed(&answer), (Some("true"), None), "nothing was asked for");
}

#[test]
fn parts_see_of_the_client_what_is_listed() {
    let origin = fleet();
    let request = "GET /7?a=1&b=%26&a=2 HTTP/1.1\r\nHost: test\r\nAuthorization: x\r\nCookie: c=1\r\nX-Own: o\r\nAccept-Encoding: gzip\r\nRange: bytes=0-1\r\nIf-None-Match: \"x\"\r\n\r\n";
    let seen = |settings: &str, part: &str| -> Value {
        let gateway = aggregate(&origin, settings, &[part]);
        gateway.client().exchange(request).json()
    };
    let none = seen("", "name: a, to: fleet, path: /echo");
    let headers = none["headers"].to_string().to_ascii_lowercase();
    for hidden in ["authorization", "cookie", "x-own", "gzip", "range", "if-none-match"] {
        assert!(!headers.contains(hidden), "{hidden}: {headers}");
    }
    for told in ["x-request-id", "x-forwarded-for", "via"] {
        assert!(headers.contains(told), "{told}: {headers}");
    }
    assert_eq!(origin.last().header("accept-encoding"), Some("identity"), "what is read has no coding");
    assert_eq!(origin.last().target(), "/echo", "nothing of the query");
    let some =
        seen("      headers: [x-own]\n      query: [a]\n", "name: a, to: fleet, path: \"/echo?own={id}\"");
    assert!(some["headers"].to_string().contains("x-own"), "{some}");
    assert_eq!(origin.last().target(), "/echo?own=7&a=1&a=2");
}

#[test]
fn what_the_route_takes_off_no_part_sees() {
    let origin = fleet();
    let gateway = gateway!(
        "consumers:\n  - { name: bus, keys: [\"sha256:@HASH@\"] }\n\
         upstreams:\n  fleet: { targets: [@ORIGIN@] }\nroutes:\n  - path: /{id}\n    \
         auth: { api_key: { query: key }, strip: true }\n    \
         request: { only_headers: [x-a], only_query: [key, x, y], remove_query: [y], set_query: { v: \"1\" } }\n    \
         aggregate:\n      headers: [x-a, x-z]\n      query: [key, x, y, z]\n      parts:\n        \
         - { name: a, to: fleet, path: \"/echo?all={query}\" }\n",
        ORIGIN = origin.url(),
        HASH = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"
    );
    let mut client = gateway.client();
    let answer =
        client.exchange("GET /7?key=key&x=1&y=2&z=3 HTTP/1.1\r\nHost: test\r\nX-A: a\r\nX-Z: z\r\n\r\n");
    let headers = answer.json()["headers"].to_string().to_ascii_lowercase();
    assert!(headers.contains("x-a") && !headers.contains("x-z"), "{headers}");
    assert_eq!(origin.last().target(), "/echo?all=x%3D1%26y%3D2%26z%3D3&x=1&v=1");
}

#[test]
fn parts_send_bodies() {
    let origin = fleet();
    let gateway = aggregate(
        &origin,
        "",
        &[
            "name: first, to: fleet, path: /echo, method: POST, body: request, pick: [body], wrap: first",
            r#"name: second, to: fleet, path: /echo, method: PUT, json: { id: "{id}", q: "\"" }, pick: [method, body], wrap: second"#,
        ],
    );
    let request = "POST /7 HTTP/1.1\r\nHost: test\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let mut client = gateway.client();
    let coded = request.replace("Content-Type", "Content-Encoding: gzip\r\nContent-Type");
    assert_eq!(client.exchange(&coded).status, 200);
    let seen = origin.requests();
    let of = |method: &str| seen.iter().find(|seen| seen.method() == method).expect("a part's request");
    let told = ["POST", "PUT"]
        .map(|method| (of(method).header("content-type"), of(method).header("content-encoding")));
    assert_eq!(told, [(Some("text/plain"), Some("gzip")), (Some("application/json"), None)]);
    for _ in 0..2 {
        let answer = client.exchange(request);
        let wanted = json!({ "first": { "body": "abcde" }, "second": { "method": "PUT", "body": "{\"id\":\"7\",\"q\":\"\\\"\"}" } });
        assert_eq!((answer.status, answer.json()), (200, wanted));
    }
}

#[test]
fn answers_are_written_as_asked() {
    let origin = fleet();
    let gateway = gateway!(
        "routes:\n  - path: /x\n    response: { encode: negotiate }\n    aggregate: { parts: [{ name: a, to: \"@URL@\", path: /stops/1 }] }\n  - path: /y\n    response: { encode: yaml }\n    aggregate: { parts: [{ name: a, to: \"@URL@\", path: /stops/1 }] }\n",
        URL = origin.url()
    );
    let mut client = gateway.client();
    let xml = client.exchange("GET /x HTTP/1.1\r\nHost: t\r\nAccept: application/xml\r\n\r\n");
    assert_eq!((xml.header("content-type"), xml.header("vary")), (Some("application/xml"), Some("accept")));
    assert!(xml.text().contains("<root><id>1</id><at>noon</at></root>"), "{}", xml.text());
    assert_eq!(client.get("/x").json(), json!({ "id": 1, "at": "noon" }));
    assert_eq!(client.get("/y").text(), "id: 1\nat: noon\n");
    let head = client.exchange("HEAD /x HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!((head.status, head.body.len(), head.header("x-tollgate-completed")), (200, 0, Some("true")));
}

#[test]
fn a_client_that_leaves_takes_its_parts_along() {
    let origin = fleet();
    let gateway =
        aggregate(&origin, "", &["name: a, to: fleet, path: /hang", "name: b, to: fleet, path: /hang"]);
    let mut client = gateway.client();
    client.send("GET /7 HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.wait_requests(2);
    client.reset();
    origin.wait_closed(0);
    origin.wait_closed(1);
    assert_eq!(gateway.record_of("/7")["reason"], "client_closed");
}

/// Answers by path, with lines that speak of caching.
fn saying() -> Origin {
    Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            let lines = match seen.target() {
                "/private" => "Cache-Control: private, max-age=60\r\n",
                "/nostore" => "Cache-Control: no-store\r\n",
                "/nocache" => "Cache-Control: no-cache\r\n",
                "/cookie" => "Set-Cookie: sid=secret\r\n",
                "/vary" => "Vary: X-Lang\r\n",
                "/star" => "Vary: *\r\n",
                "/encoding" => "Vary: Accept-Encoding\r\n",
                "/short" => "Cache-Control: max-age=7\r\n",
                "/long" => "Cache-Control: max-age=600\r\n",
                "/down" => {
                    conn.send(behaviour::response(500, b"down"))?;
                    continue;
                }
                _ => "",
            };
            conn.send(format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 7\r\n\r\n{{\"a\":1}}"))?;
        }
    })
}

#[test]
fn an_answer_is_kept_as_far_as_all_of_its_parts_may_be() {
    let origin = saying();
    let keeping = |rules: &str| {
        gateway!(
            "upstreams:\n  all: { targets: [@ORIGIN@] }\nroutes:\n  - path: /{id}\n    cache: { @RULES@ }\n    aggregate:\n      parts:\n        - { name: a, to: all, path: /plain, wrap: a }\n        - { name: b, to: all, path: \"/{id}\", wrap: b }\n",
            ORIGIN = origin.url(),
            RULES = rules
        )
    };
    // What the second of two requests is told: for how long the answer is kept, and what every client is told of it.
    let check = |gateway: &Gateway, id: &str, kept: Option<u64>, word: Option<&str>| {
        let first = gateway.get(id);
        let again = gateway.get(id);
        let told = again.header("cache-status").unwrap_or_default();
        let ttl = told.strip_prefix("tollgate; hit; ttl=").map(|ttl| ttl.parse::<u64>().expect("seconds"));
        match kept {
            None => assert_eq!(ttl, None, "{id}: {told}"),
            // A second or two may have gone by.
            Some(kept) => assert!(ttl.is_some_and(|ttl| ttl <= kept && ttl + 3 > kept), "{id}: {told}"),
        }
        assert_eq!((first.header("cache-control"), first.header("set-cookie")), (word, None), "{id}");
    };
    let gateway = keeping("ttl: 30s");
    check(&gateway, "/plain", Some(30), None);
    check(&gateway, "/encoding", Some(30), None);
    check(&gateway, "/private", None, Some("private, max-age=30"));
    check(&gateway, "/nostore", None, Some("no-store"));
    check(&gateway, "/nocache", None, Some("no-cache"));
    check(&gateway, "/cookie", None, Some("no-store"));
    check(&gateway, "/vary", None, Some("no-store"));
    check(&gateway, "/star", None, Some("no-store"));
    check(&gateway, "/short", Some(7), Some("max-age=7"));
    check(&gateway, "/long", Some(30), Some("max-age=30"));
    check(&gateway, "/down", None, Some("no-store"));
    // The operator overrides what is said of time, and nothing else.
    let gateway = keeping("ttl: 30s, respect: false");
    check(&gateway, "/nostore", Some(30), Some("no-store"));
    check(&gateway, "/private", None, Some("private, max-age=30"));
    check(&gateway, "/cookie", None, Some("no-store"));
    check(&gateway, "/vary", None, Some("no-store"));
    check(&gateway, "/down", None, Some("no-store"));
    // Only what the upstream allows: one part says nothing.
    check(&keeping("ttl: 0s"), "/short", None, None);
}

/// Numbers up to `count` under `/ids`, and for each a document with so many bytes that nobody needs.
fn heavy(count: usize, bytes: usize) -> Origin {
    let padding = "x".repeat(bytes);
    Origin::start(move |conn| {
        loop {
            let seen = conn.request()?;
            let body = match seen.target() {
                "/ids" => json!({ "ids": (0..count).collect::<Vec<_>>() }).to_string(),
                path => format!("{{\"id\": {}, \"x\": \"{padding}\"}}", path.trim_start_matches('/')),
            };
            conn.send(behaviour::response(200, body.as_bytes()))?;
        }
    })
}

/// The most that was ever resident, in KiB.
fn peak_kib(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM is known");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn of_the_elements_of_a_list_only_what_they_are_shaped_to_is_kept() {
    let origin = heavy(40, 2 << 20);
    let check = |shape: &str| {
        let part = format!(
            r#"name: e, to: fleet, path: "/{{item}}", for_each: "{{ids.ids}}", concurrency: 2, wrap: e, {shape}"#
        );
        let ids = "name: ids, to: fleet, path: /ids, drop: [ids]";
        let gateway = aggregate(&origin, "", &[ids, &part]);
        let before = peak_kib(&gateway);
        let answer = gateway.get("/7");
        assert_eq!((answer.status, completed(&answer)), (200, (Some("true"), None)), "{shape}");
        let wanted: Vec<Value> = (0..40).map(|id| json!({ "id": id })).collect();
        assert_eq!(answer.json(), json!({ "e": wanted }), "{shape}");
        // The kernel counts resident pages by about a hundred.
        let grown = peak_kib(&gateway).saturating_sub(before);
        assert!(grown < 48 << 10, "{shape}: {grown} KiB for 80 MiB of which nothing is wanted");
    };
    check("pick: [id]");
    check("drop: [x]");
}

#[test]
fn parts_have_no_more_room_together_than_their_answer() {
    let origin = heavy(8, 3 << 20);
    let ids = "name: ids, to: fleet, path: /ids, drop: [ids]";
    let part = r#"name: e, to: fleet, path: "/{item}", for_each: "{ids.ids}", concurrency: 1, wrap: e"#;
    let answer = aggregate(&origin, "", &[ids, part]).get("/7");
    assert_eq!((answer.status, completed(&answer)), (200, (Some("false"), Some("e;part_too_large"))));
    let answer = answer.json();
    let there: Vec<bool> = answer["e"].as_array().expect("a list").iter().map(Value::is_object).collect();
    assert_eq!(there, [true, true, true, true, true, false, false, false], "five of 3 MiB fit into 16 MiB");
}
