//! The scripts of `examples/lua/`, each doing what it says.

mod drive;

use drive::{Bench, headers, lines};
use serde_json::{Value, json};
use tollgate_script::{Compiler, Request, Response, Script, Source, Verdict};

fn example(name: &str, with: Value) -> Script {
    let path = format!("{}/../../examples/lua/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let source = Source { name, text: &text, with, modules: None };
    Compiler::new().unwrap().compile(source, drive::patient()).unwrap()
}

fn answer(body: Value) -> Response {
    Response {
        status: 200,
        headers: headers(&[("content-type", "application/json")]),
        body: Some(body.to_string().into_bytes()),
        ..Response::default()
    }
}

fn body_of(response: &Response) -> Value {
    serde_json::from_slice(response.body.as_deref().unwrap()).unwrap()
}

#[test]
fn normalise() {
    let script = example("normalise.lua", json!({ "list": "orders" }));
    for (sent, expect) in [
        (
            json!({ "orderId": 7, "created-at": 0, "lineItems": [{ "Amount": "12.50" }, { "amount": "x" }] }),
            json!({ "order_id": 7, "created_at": "1970-01-01T00:00:00Z", "line_items": [{ "amount": 12.5 }, { "amount": null }] }),
        ),
        (json!([{ "orderId": 1 }]), json!({ "orders": [{ "order_id": 1 }] })),
        (json!([]), json!({ "orders": [] })),
        (json!({ "items": [], "x": { "A b": null } }), json!({ "items": [], "x": { "a_b": null } })),
    ] {
        let mut response = answer(sent.clone());
        Bench::new().exchange(&script, &mut Request::default(), &mut response).unwrap();
        assert_eq!(body_of(&response), expect, "{sent}");
    }
    let mut text = Response { body: Some(b"not json".to_vec()), ..Response::default() };
    Bench::new().exchange(&script, &mut Request::default(), &mut text).unwrap();
    assert_eq!(text.body.unwrap(), b"not json");
}

#[test]
fn sign() {
    let script = example("sign.lua", json!({ "key": "k", "name": "gateway" }));
    assert!(script.needs().request_body && script.needs().method && !script.needs().response_body);
    let mut request = drive::request();
    Bench::new().exchange(&script, &mut request, &mut Response::default()).unwrap();
    let sent = lines(&request.headers);
    assert!(sent.contains(&"x-signed-at: 1763798225".to_owned()), "{sent:?}");
    let signature = sent.iter().find_map(|line| line.strip_prefix("x-signature: ")).unwrap();
    let text = [b"GET\n/orders/7\n1763798225\n".as_slice(), request.body.as_deref().unwrap()].concat();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"k");
    let expect: String =
        aws_lc_rs::hmac::sign(&key, &text).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(signature, expect);
}

#[test]
fn plan() {
    let script = example("plan.lua", json!({ "plans": { "free": "/v1", "pro": "/v2" } }));
    let mut bench = Bench::new();
    for (claims, expect) in [
        (Some(json!({ "plan": "pro" })), Ok("/v2/orders/7")),
        (Some(json!({ "plan": "free" })), Ok("/v1/orders/7")),
        (Some(json!({ "plan": "gold" })), Err(json!({ "error": "no plan", "plan": "gold" }))),
        (None, Err(json!({ "error": "no plan", "plan": null }))),
    ] {
        let mut request = drive::request();
        request.facts.claims = claims.map(|claims| std::rc::Rc::new(claims) as _);
        match bench.exchange(&script, &mut request, &mut Response::default()).unwrap() {
            Verdict::Continue => assert_eq!(Ok(request.path.as_str()), expect),
            Verdict::Respond(answer) => {
                assert_eq!(answer.status, 403);
                assert_eq!(Err(serde_json::from_slice(&answer.body).unwrap()), expect);
            }
        }
    }
}

#[test]
fn mask() {
    let script = example("mask.lua", json!({ "fields": ["iban", "email"], "role": "support" }));
    let sent =
        json!({ "name": "Ada", "accounts": [{ "iban": "DE89370400440532013000", "n": 1 }], "email": "a@b" });
    let masked =
        json!({ "name": "Ada", "accounts": [{ "iban": "******************3000", "n": 1 }], "email": "****" });
    for (roles, expect) in
        [(json!(["support"]), &sent), (json!(["admin"]), &masked), (json!("support"), &masked)]
    {
        let mut request = drive::request();
        request.facts.claims = Some(std::rc::Rc::new(json!({ "roles": roles })));
        let mut response = answer(sent.clone());
        Bench::new().exchange(&script, &mut request, &mut response).unwrap();
        assert_eq!(&body_of(&response), expect);
        assert_eq!(response.changed.headers, expect == &masked);
    }
    // What cannot be read is not shown.
    for body in [&b"{\"iban\":\"DE"[..], b"\xff\xfe", b"[\"\xff\"]"] {
        let mut response = answer(sent.clone());
        response.body = Some(body.to_vec());
        let verdict = Bench::new().exchange(&script, &mut drive::request(), &mut response).unwrap();
        assert!(
            matches!(verdict, Verdict::Respond(answer) if answer.status == 502 && answer.body.is_empty())
        );
    }
    // Whatever a field holds, it is hidden.
    for (held, expect) in [
        (json!(["DE89370400440532013000"]), json!(null)),
        (json!({ "value": "DE89370400440532013000" }), json!(null)),
        (json!([[{ "x": "DE89" }]]), json!(null)),
        (json!([]), json!(null)),
        (json!(null), json!(null)),
        (json!(1234), json!("****")),
        (json!(true), json!("****")),
        (json!(""), json!("****")),
        (json!("DE893704"), json!("****")),
        (json!("DE8937040"), json!("*****7040")),
    ] {
        let mut response = answer(json!({ "list": [{ "iban": held, "other": held }] }));
        Bench::new().exchange(&script, &mut drive::request(), &mut response).unwrap();
        assert_eq!(body_of(&response), json!({ "list": [{ "iban": expect, "other": held }] }));
    }
    // One odd value does not take the mask off.
    for odd in [r#""\ud800""#, "1e400", r#"["\udc00"]"#, "1"] {
        for mark in ["", "\u{feff}"] {
            let mut response = answer(sent.clone());
            response.body = Some(
                format!("{mark}[{{\"iban\":\"DE89\"}},{{\"iban\":\"DE02120300\",\"x\":{odd}}}]").into_bytes(),
            );
            Bench::new().exchange(&script, &mut drive::request(), &mut response).unwrap();
            let body = body_of(&response);
            assert_eq!((&body[0]["iban"], &body[1]["iban"]), (&json!("****"), &json!("******0300")));
        }
    }
    let deep = format!("[{{\"iban\":\"DE89\"}},{}1{}]", "[".repeat(70), "]".repeat(70));
    let mut response = answer(sent.clone());
    response.body = Some(deep.into_bytes());
    assert!(Bench::new().exchange(&script, &mut drive::request(), &mut response).is_err());
    let mut response = answer(sent.clone());
    response.headers.append(&tollgate_wire::name::CONTENT_ENCODING, b"gzip");
    assert!(Bench::new().exchange(&script, &mut drive::request(), &mut response).is_err());
}
