//! What schemas let through, and what they say of the rest.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn order() -> Schema {
    Schema::compile(&json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["id"],
        "additionalProperties": false,
        "properties": {
            "id": { "type": "integer", "minimum": 1 },
            "mail": { "type": "string", "format": "email" },
            "code": { "type": "string", "pattern": "^[a-z]+$" },
            "kind": { "enum": ["a", "b"] },
            "items": { "type": "array", "maxItems": 2, "items": { "$ref": "#/$defs/item" } },
        },
        "$defs": { "item": { "type": "object", "required": ["sku"] } },
    }))
    .unwrap()
}

#[test]
fn bodies() {
    let schema = order();
    let check = |body: &str, wanted: Result<(), &[&str]>| {
        let came = schema.check(body.as_bytes());
        match (&came, wanted) {
            (Ok(()), Ok(())) => {}
            (Err(text), Err(parts)) => {
                assert!(parts.iter().all(|part| text.contains(part)), "{body}: {text}");
            }
            _ => panic!("{body}: {came:?}"),
        }
    };
    check(r#"{"id":1}"#, Ok(()));
    check(
        r#"{"id":1,"items":[{"sku":"x"},{"sku":null}],"kind":"a","code":"ab","mail":"a@b.example"}"#,
        Ok(()),
    );
    check(r#"{}"#, Err(&["\"id\" is a required property"]));
    check(r#"{"id":"secret"}"#, Err(&["at /id: ", "integer"]));
    check(r#"{"id":0}"#, Err(&["at /id: ", "minimum of 1"]));
    check(r#"{"id":1,"items":[{"sku":1},{}]}"#, Err(&["at /items/1: \"sku\" is a required"]));
    check(r#"{"id":1,"items":[1,2,3]}"#, Err(&["at /items", "more than 2"]));
    check(r#"{"id":1,"other":1}"#, Err(&["other"]));
    check(r#"{"id":1,"code":"A1"}"#, Err(&["at /code: "]));
    check(r#"{"id":1,"kind":"c"}"#, Err(&["at /kind: "]));
    check(r#"{"id":1,"mail":"nobody"}"#, Err(&["at /mail: ", "email"]));
    check(r#"{"id":"x","kind":"c"}"#, Err(&["at /id: ", "; at /kind: "]));
    check(r#"[]"#, Err(&["object"]));
    check("", Err(&["no JSON"]));
    check("{\"id\":1} x", Err(&["no JSON"]));
    check("{\"id\":1,\"id\":2}", Err(&["twice"]));
    check("{\"id\":1,\"items\":[{\"sku\":1,\"sku\":1}]}", Err(&["twice"]));
    check(&"[".repeat(100_000), Err(&["no JSON"]));
    assert!(schema.check(b"{\"id\":1,\"code\":\"\xff\"}").is_err());
}

#[test]
fn nothing_of_a_value_is_told_and_little_of_a_name() {
    let schema = order();
    for body in [
        r#"{"id":"hunter2"}"#,
        r#"{"id":1,"code":"hunter2!"}"#,
        r#"{"id":1,"kind":"hunter2"}"#,
        r#"{"id":1,"mail":"hunter2"}"#,
        r#"{"id":1,"items":["hunter2"]}"#,
    ] {
        let text = schema.check(body.as_bytes()).unwrap_err();
        assert!(!text.contains("hunter2"), "{body}: {text}");
    }
    let long = format!(r#"{{"id":1,"{}":1}}"#, "ä".repeat(10_000));
    assert!(schema.check(long.as_bytes()).unwrap_err().len() < 2 * FAULT_MAX);
    let many = format!(r#"{{"id":1,"items":[{}1]}}"#, "1,".repeat(50_000));
    assert!(schema.check(many.as_bytes()).unwrap_err().len() < 2 * FAULT_MAX, "one fault of a long document");
}

#[test]
fn texts_mean_what_the_schema_says() {
    let schema = Schema::compile(&json!({
        "required": ["page"],
        "properties": {
            "page": { "type": "integer", "maximum": 9 },
            "ratio": { "type": "number" },
            "full": { "type": "boolean" },
            "name": { "type": "string" },
            "either": { "type": ["integer", "boolean"] },
            "tag": { "type": "array", "items": { "type": "integer" }, "maxItems": 2 },
        },
    }))
    .unwrap();
    let check = |texts: Value, commas: bool, valid: bool| {
        let Value::Object(map) = texts.clone() else { panic!("a map") };
        let came = schema.check_texts(map, commas);
        assert_eq!(came.is_ok(), valid, "{texts}: {came:?}");
    };
    check(json!({ "page": "3" }), false, true);
    check(json!({ "page": "3", "other": "x", "more": ["1", "2"] }), false, true);
    check(json!({ "page": "10" }), false, false);
    check(json!({ "page": "x" }), false, false);
    check(json!({ "page": " 3" }), false, false);
    check(json!({ "page": "03" }), false, false);
    check(json!({ "page": "" }), false, false);
    check(json!({ "page": ["1", "2"] }), false, false);
    check(json!({}), false, false);
    check(json!({ "page": "1", "ratio": "-1.5e3" }), false, true);
    check(json!({ "page": "1", "ratio": "NaN" }), false, false);
    check(json!({ "page": "1", "full": "true" }), false, true);
    check(json!({ "page": "1", "full": "yes" }), false, false);
    check(json!({ "page": "1", "name": "12" }), false, true);
    check(json!({ "page": "1", "either": "12" }), false, true);
    check(json!({ "page": "1", "either": "false" }), false, true);
    check(json!({ "page": "1", "either": "x" }), false, false);
    check(json!({ "page": "1", "tag": "1" }), false, true);
    check(json!({ "page": "1", "tag": ["1", "2"] }), false, true);
    check(json!({ "page": "1", "tag": ["1", "x"] }), false, false);
    check(json!({ "page": "1", "tag": "1,2" }), false, false);
    check(json!({ "page": "1", "tag": "1, 2" }), true, true);
    check(json!({ "page": "1", "tag": "1,2,3" }), true, false);
}

#[test]
fn texts_mean_what_schemas_say_by_way_of_others() {
    let check = |schema: Value, texts: &[(&str, bool)]| {
        let compiled = Schema::compile(&schema).unwrap();
        for (text, valid) in texts {
            let all = json!({ "page": text }).as_object().unwrap().clone();
            assert_eq!(compiled.check_texts(all, true).is_ok(), *valid, "{schema}: {text}");
        }
    };
    let of_page = |page: Value| json!({ "properties": { "page": page } });
    let whole = [("1", true), ("0", false), ("x", false), ("", false)];
    check(
        json!({ "$defs": { "p": { "type": "integer", "minimum": 1 } }, "properties": { "page": { "$ref": "#/$defs/p" } } }),
        &whole,
    );
    check(of_page(json!({ "allOf": [{ "type": "integer" }, { "minimum": 1 }] })), &whole);
    check(json!({ "allOf": [of_page(json!({ "type": "integer", "minimum": 1 }))] }), &whole);
    check(json!({ "additionalProperties": { "type": "integer", "minimum": 1 } }), &whole);
    check(
        of_page(json!({ "anyOf": [{ "type": "integer" }, { "const": "all" }] })),
        &[("1", true), ("all", true), ("x", false)],
    );
    check(
        of_page(json!({ "enum": [1, 2, "x", true] })),
        &[("1", true), ("3", false), ("x", true), ("true", true)],
    );
    check(of_page(json!({ "minimum": 3 })), &[("3", true), ("2", false)]);
    check(
        of_page(json!({ "anyOf": [{ "type": "integer" }, { "type": "string" }] })),
        &[("1", true), ("x", true)],
    );
    let tags = json!({ "$defs": { "t": { "enum": [1, 2] } }, "properties": { "page": { "type": "array", "items": { "$ref": "#/$defs/t" } } } });
    check(tags, &[("1,2", true), ("1,3", false)]);
    // What refers to itself comes to an end.
    check(
        json!({ "$ref": "#", "properties": { "page": { "$ref": "#/properties/page", "type": "integer" } } }),
        &[],
    );
}

#[test]
fn drafts() {
    // In draft 7 `definitions` and a list of `items`; in 2020-12 `prefixItems`.
    let seven = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "items": [{ "$ref": "#/definitions/a" }], "definitions": { "a": { "type": "string" } },
    });
    let schema = Schema::compile(&seven).unwrap();
    assert!(schema.check(b"[\"x\", 1]").is_ok() && schema.check(b"[1]").is_err());
    let newest = Schema::compile(&json!({ "prefixItems": [{ "type": "string" }] })).unwrap();
    assert!(newest.check(b"[\"x\", 1]").is_ok() && newest.check(b"[1]").is_err());
}

#[test]
fn what_is_no_schema() {
    let check = |schema: Value, part: &str| {
        let error = Schema::compile(&schema).expect_err(&schema.to_string());
        assert!(error.contains(part), "{schema}: {error}");
    };
    check(json!({ "type": "strin" }), "at /type");
    check(json!({ "properties": { "a": { "minimum": "1" } } }), "at /properties/a/minimum");
    check(json!({ "$ref": "https://example.com/a.json" }), "example.com");
    check(json!({ "$ref": "other.json" }), "other.json");
    check(json!({ "$ref": "file:///etc/passwd" }), "etc/passwd");
    check(json!({ "$ref": "#/$defs/none" }), "none");
    check(json!({ "pattern": "(" }), "");
    check(json!({ "pattern": "(?=a)b" }), "");
    check(json!({ "$schema": "https://example.com/own" }), "");
}

#[test]
fn schemas_that_refer_to_themselves_end() {
    let tree = json!({ "properties": { "next": { "$ref": "#" } }, "type": "object" });
    let schema = Schema::compile(&tree).unwrap();
    assert!(schema.check(br#"{"next":{"next":{}}}"#).is_ok());
    let depth = 100;
    let deep = format!("{}1{}", r#"{"next":"#.repeat(depth), "}".repeat(depth));
    assert!(schema.check(deep.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn any_bytes_have_an_answer(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = order().check(&body);
    }

    #[test]
    fn what_the_library_reads_is_read_alike(text in "[\\[\\]{}:,\"a1 \\-.e]{0,30}") {
        if let Ok(value) = strict::read(text.as_bytes()) {
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }
}

/// A schema that refers to itself without going into the document must not make the check endless.
#[test]
fn a_schema_that_is_itself() {
    for schema in [
        json!({ "$ref": "#" }),
        json!({ "allOf": [{ "$ref": "#" }] }),
        json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } }, "$ref": "#/$defs/a" }),
    ] {
        // Refused when it is compiled, or it ends: either is fine, a stack that overflows is not.
        if let Ok(compiled) = Schema::compile(&schema) {
            let _ = compiled.check(b"{}");
        }
    }
}
