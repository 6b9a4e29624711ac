//! Whatever a description or a request looks like: an answer, and never a panic.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// A description with a bit of everything.
const ALL: &str = r##"{"openapi":"3.0.3","servers":[{"url":"https://{h}/v{n}/","variables":{"h":{"default":"a"},"n":{"enum":["1","2"],"default":"1"}}}],
"paths":{"/a/{x}.{y}":{"parameters":[{"$ref":"#/components/parameters/X"}],
"get":{"parameters":[{"name":"q","in":"query","style":"deepObject","schema":{"$ref":"#/components/schemas/S"}},
{"name":"l","in":"query","explode":false,"schema":{"type":"array","items":{"type":"integer"}}},
{"name":"h","in":"header","explode":true,"schema":{"type":"object","properties":{"a":{"type":"boolean"}}}},
{"name":"c","in":"cookie","content":{"application/json":{"schema":{"type":"object"}}}}]},
"post":{"requestBody":{"required":true,"content":{"application/json":{"schema":{"$ref":"#/components/schemas/S"}},
"application/x-www-form-urlencoded":{"schema":{"$ref":"#/components/schemas/S"},"encoding":{"n":{"style":"pipeDelimited"}}},"*/*":{}}}}}},
"components":{"parameters":{"X":{"name":"x","in":"path","required":true,"style":"label","schema":{"type":"string","nullable":true}}},
"schemas":{"S":{"type":"object","required":["id"],"properties":{"id":{"readOnly":true},"n":{"type":"array","items":{"minimum":1,"exclusiveMinimum":true}},"s":{"$ref":"#/components/schemas/S"}}}}}}"##;

/// Compiles a text, and asks what came of it for a request.
fn answer(name: &str, text: &[u8], method: &str, path: &str, query: &[u8], header: &str, body: &[u8]) {
    let Ok(documents) = Documents::read(name, text, &mut |_| Err("does not exist".to_owned())) else {
        return;
    };
    let Ok(api) = OpenApi::compile(&documents, None) else { return };
    let Ok(call) = api.find(method, path) else { return };
    let _ = call.check(query, &|_| Some(header.to_owned()));
    for kind in ["application/json", "application/x-www-form-urlencoded", header] {
        if let Ok(Some(rest)) = call.body(true, Some(kind)) {
            let _ = rest.check(body);
        }
    }
}

/// Values in the order of the text.
fn count(value: &Value) -> usize {
    match value {
        Value::Object(object) => 1 + object.values().map(count).sum::<usize>(),
        Value::Array(list) => 1 + list.iter().map(count).sum::<usize>(),
        _ => 1,
    }
}

fn replace(value: &mut Value, at: &mut usize, with: &Value) {
    if *at == 0 {
        *value = with.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Object(object) => object.values_mut().for_each(|value| replace(value, at, with)),
        Value::Array(list) => list.iter_mut().for_each(|value| replace(value, at, with)),
        _ => {}
    }
}

#[test]
fn each_place_of_a_description_may_hold_anything() {
    let whole: Value = serde_json::from_str(ALL).expect("JSON");
    let anything = [
        "null",
        "true",
        "7",
        "\"\"",
        "\"{\"",
        "\"integer\"",
        "[]",
        "[[]]",
        "{}",
        "{\"$ref\":\"#\"}",
        "{\"$ref\":\"#/paths\"}",
        "{\"$ref\":\"#/components/schemas/S\"}",
        "{\"type\":\"object\",\"$id\":\"https://example.com/a#b\"}",
        "{\"$schema\":\"https://example.com/none\"}",
        "[{\"$ref\":\"\"}]",
    ];
    for with in anything {
        let with: Value = serde_json::from_str(with).expect("JSON");
        for at in 0..count(&whole) {
            let mut document = whole.clone();
            replace(&mut document, &mut at.clone(), &with);
            let text = document.to_string();
            answer("a.json", text.as_bytes(), "GET", "/v1/a/b.c", b"q[n]=1&l=1,2", "a=1", b"{}");
            answer("a.json", text.as_bytes(), "POST", "/v1/a/b.c", b"", "a", b"n=1&s=%7B%7D");
        }
    }
}

#[test]
fn a_description_cut_anywhere_is_answered() {
    for end in 0..ALL.len() {
        for name in ["a.json", "a.yaml"] {
            answer(name, &ALL.as_bytes()[..end], "GET", "/v1/a/b.c", b"", "", b"");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_are_answered(
        path in "/v1/a/[.;,=%a-f0-9é]{0,20}",
        query in proptest::collection::vec(prop_oneof![Just(b'&'), Just(b'='), Just(b'q'), Just(b'['), Just(b']'), Just(b'n'), Just(b'%'), Just(b','), any::<u8>()], 0..40),
        header in "\\PC{0,20}",
        body in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        thread_local! {
            static API: OpenApi = {
                let documents = Documents::read("a.json", ALL.as_bytes(), &mut |_| Err(String::new())).expect("documents");
                OpenApi::compile(&documents, None).expect("a description")
            };
        }
        API.with(|api| {
            for method in ["GET", "POST", "HEAD"] {
                let Ok(call) = api.find(method, &path) else { continue };
                let _ = call.check(&query, &|_| Some(header.clone()));
                for kind in ["application/json", "application/x-www-form-urlencoded", &header] {
                    if let Ok(Some(rest)) = call.body(true, Some(kind)) {
                        let _ = rest.check(&body);
                        let _ = rest.check(&query);
                    }
                }
            }
        });
    }

    #[test]
    fn descriptions_with_other_bytes_are_answered(at in 0..ALL.len(), byte in any::<u8>(), more in any::<usize>()) {
        let mut text = ALL.as_bytes().to_vec();
        text[at] = byte;
        let second = more % text.len();
        text[second] = byte.wrapping_add(1);
        answer("a.json", &text, "GET", "/v1/a/b.c", b"q[n]=1", "a=1", b"{}");
        answer("a.yaml", &text, "POST", "/v1/a/b.c", b"q[n]=1", "a=1", b"n=1");
    }
}
