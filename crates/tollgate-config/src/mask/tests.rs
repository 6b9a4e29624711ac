//! What of a text is masked, as texts and what is hidden of them.

use super::*;
use crate::source_map::FileId;
use crate::yaml;

fn hidden(text: &str, mut masks: Vec<Range<usize>>) -> Vec<&str> {
    // Two rules may find the same.
    masks.sort_by_key(|mask| (mask.start, mask.end));
    masks.dedup();
    masks.into_iter().map(|mask| &text[mask]).collect()
}

#[test]
fn secrets_are_found_by_key() {
    for (text, expect) in [
        ("token: abc", vec!["abc"]),
        ("a: { password: \"x y\", user: u }", vec!["\"x y\""]),
        ("tokn: abc", vec!["abc"]),
        ("broken: abc", vec![]),
        ("token: ${TOKEN}", vec![]),
        ("token: ${TOKEN:-abc}", vec!["${TOKEN:-abc}"]),
        ("token:", vec![]),
        ("token: [a, [b]]", vec!["a", "b"]),
        ("secret: { a: b }", vec!["b"]),
        ("token: { issuer: main }", vec![]),
        ("keys: [a, \"sha256:b\"]", vec!["a", "\"sha256:b\""]),
        ("url: redis://me:pw@host/0", vec!["me:pw"]),
        ("url: rediss://:p/w?@host/0", vec![":p/w?"]),
        ("url: \"redis://:p w@host/0\"", vec![":p w"]),
        ("url: https://me:p/w@host", vec!["me:p/w"]),
        ("url: http://host:80/x/@me", vec![]),
        ("url: http://[::1]/x/@me", vec![]),
        ("consumers: [{ name: a, api_kye: x, groups: [b], basic: { user: c, pass: d } }]", vec!["x", "d"]),
        ("consumers: [{ basic: \"u:p\" }]", vec!["\"u:p\""]),
        ("set_headers: { Authorization: Basic eDp5 }", vec!["Basic eDp5"]),
        ("user: me@example.com", vec![]),
        // Queries of whatever is a path or a URL.
        ("path: /x?api_key=abc&n=1", vec!["abc", "1"]),
        ("path: \"/x?a={id}&b=${B}&c=x{id}&d=${D:-y}\"", vec!["x{id}", "${D:-y}"]),
        ("path: /x?{query}", vec![]),
        ("path: \"/x?abc\"", vec!["abc"]),
        ("path: '/x?a=b;c'", vec!["b", "c"]),
        ("path: \"/x?a=b \\\" c\"", vec!["\"/x?a=b \\\" c\""]),
        ("path: \"/x\\x3fa=b\"", vec!["\"/x\\x3fa=b\""]),
        ("url: https://h/t?key=abc#x", vec!["abc#x"]),
        ("url: h/t?key=abc", vec!["abc"]),
        ("to: \"{scheme}://h/?k=v\"", vec!["v"]),
        ("to: \"${BASE}/?k=v\"", vec!["v"]),
        ("inline: |\n  get(\"http://h/?k=v w\")\n  x = a ?b", vec!["http://h/?k=v w", "v"]),
        ("inline: |\n  get(\"http://h/?x?k=v?w\")", vec!["http://h/?x?k=v?w", "v?w"]),
        ("note: |\n  get(\"http://h/?k=v w\")\n  x = a ?b", vec!["v"]),
        ("note: |\n  get(\"http://h/?x?k=v?w\")", vec!["v?w"]),
        ("if: 'a == 1 ? b : c'", vec![]),
        ("include: routes/?.yaml", vec![]),
        ("file: ${file:/a?b=c}", vec![]),
        // What is sent under the name of a credential, and what scripts are handed.
        ("set_query: { apiKey: a, v: b, sig: \"{query:sig}\", x-my-token: [c] }", vec!["a", "c"]),
        ("set_qeury: { key: a }", vec!["a"]),
        ("set_headers: { x-subscription-key: a, x-keyed: b }", vec!["a"]),
        ("query: { key: { type: string }, code: a }", vec!["a"]),
        ("api_key: { query: key }", vec![]),
        ("parts: [{ json: { a: [{ accessKey: b, c: d }] } }]", vec!["b"]),
        ("respond: { json: { code: a } }", vec![]),
        ("lua: { file: a.lua, with: { a: b, c: [{ d: 1 }], e: \"${E}\" } }", vec!["b", "1"]),
        ("lua: { wiht: { a: b } }", vec!["b"]),
        ("x: \"-----BEGIN PRIVATE KEY----- MII\"", vec!["\"-----BEGIN PRIVATE KEY----- MII\""]),
        ("x: \"-----BEGIN PUBLIC KEY----- MII\"", vec![]),
    ] {
        check_by_key(text, &expect);
    }
}

/// Whatever it is called, and wherever it stands: what is not known there shows no credential.
#[test]
fn the_values_of_unknown_keys_that_look_like_credentials_are_hidden() {
    let (route, store) =
        ("routes: [{ path: /, to: \"http://127.0.0.1:1\" }]", "sink: object_store, url: s3://b/x");
    for line in [
        format!("access_log: {{ {store}, store: {{ secret_key: SEKRIT, sas_token: SEKRIT, api_key: SEKRIT }} }}"),
        "issuers: { a: { issuer: me, audience: any, algorithms: [HS256], shared_secret: SEKRIT, hmac: SEKRIT } }".into(),
        "admin: { key: SEKRIT, pass: SEKRIT }".into(),
        "redis: { url: \"redis://127.0.0.1\", auth: SEKRIT }".into(),
    ] {
        let text = format!("{line}\n{route}\n");
        let failed = crate::load_text("t.yaml", &text, &crate::MemorySources::default()).unwrap_err();
        let shown = crate::render(&failed.diagnostics, &failed.sources, false);
        assert!(shown.contains("unknown key") && !shown.contains("SEKRIT"), "{shown}");
    }
}

#[test]
fn texts_of_scripts_and_expressions_are_found_by_key() {
    for (text, expect) in [
        ("lua: scripts/a.lua", vec![]),
        ("lua: |\n  x = \"a\" -- b\n  y = 'c'", vec!["a", "b", "c"]),
        ("lua: [a.lua, { inline: x = 'a' }, \"b.lua\"]", vec!["a"]),
        ("lua: { inlin: 'x = \"a\"' }", vec!["a"]),
        ("lua: { inline: 'x = \'\'a\'\' y' }", vec!["'x = ''a'' y'"]),
        ("lua: { inline: \"x = \\\"a\\\"\" }", vec!["\"x = \\\"a\\\"\""]),
        ("path: /x/@me", vec![]),
        // Texts of expressions.
        ("guard: [{ if: 'request.headers[\"x-key\"] == \"abc\" &&' }]", vec!["abc"]),
        ("guard: [{ fi: 'a == \"b\"' }]", vec!["b"]),
        ("guard: [a == 'b', { if: \"a == \\\"b\\\"\" }]", vec!["b", "\"a == \\\"b\\\"\""]),
        ("guard: a == 'b'", vec!["b"]),
        ("if: a ==\n  'b'", vec!["a ==\n  'b'"]),
    ] {
        check_by_key(text, &expect);
    }
}

fn check_by_key(text: &str, expect: &[&str]) {
    let tree = yaml::parse(FileId(0), text).ok().flatten().unwrap();
    assert_eq!(hidden(text, by_keys(&tree, text)), expect, "{text}");
}

#[test]
fn secrets_are_found_in_text_that_is_no_yaml() {
    for (text, expect) in [
        ("admin:\n  token: \"abc\n", vec!["\"abc"]),
        ("admin: { token: abc, x: [\n", vec!["abc, x: ["]),
        ("secret: |\n  one\n  two\nnext: x", vec!["|", "one", "two"]),
        ("password:\n- a\n", vec![]),
        ("keys:\n  - abc\nx: [", vec!["- abc"]),
        ("to: http://me:pw@x\n", vec!["me:pw"]),
        ("path: /token/x", vec![]),
        ("path: /x?a=b c\n", vec!["b c"]),
        ("with:\n  a: b\nx: [", vec!["a: b"]),
        ("request: { set_query: { a: b }, x: [\n", vec!["{ a: b }, x: ["]),
        ("if: a ? b : c == d\n", vec!["a ? b : c == d"]),
        (
            "x: |\n  -----BEGIN RSA PRIVATE KEY-----\n  MII\n  -----END RSA PRIVATE KEY-----\ny: [",
            vec!["-----BEGIN RSA PRIVATE KEY-----", "MII", "-----END RSA PRIVATE KEY-----"],
        ),
    ] {
        assert_eq!(hidden(text, by_lines(text)), expect, "{text:?}");
    }
}

#[test]
fn many_question_marks_cost_no_more_than_other_text() {
    let text = format!("a: x{}=b", "?".repeat(1 << 20));
    let tree = yaml::parse(FileId(0), &text).ok().flatten().unwrap();
    assert_eq!(hidden(&text, by_keys(&tree, &text)), Vec::<&str>::new());
    assert!(by_lines(&text).is_empty());
}
