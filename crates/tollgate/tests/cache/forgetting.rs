//! How answers are forgotten: by unsafe methods, by operators, by reloads.

use serde_json::json;
use tollgate_testkit::{Gateway, Origin, Response, gateway};

use crate::kit::{FRESH, ask, get, is_hit, origin, post, says, status};

const ROUTES: &str = "
routes:
  - { name: read, path: '/things/*', methods: [GET], to: @ORIGIN@, cache: {} }
  - { name: write, path: '/things/*', to: @ORIGIN@ }
  - { name: all, path: /*, to: @ORIGIN@, cache: {} }
  - { name: plain, path: /plain, to: @ORIGIN@ }
";

fn start(origin: &Origin) -> Gateway {
    gateway!(ROUTES, ORIGIN = origin.url())
}

/// Whether the path is kept, once it was asked for.
fn is_kept(gateway: &Gateway, path: &str) -> bool {
    is_hit(&get(gateway, path, "Cache-Control: only-if-cached\r\n"))
}

#[test]
fn a_change_forgets_what_was_changed() {
    let origin = origin();
    let gateway = start(&origin);
    for (method, path, answer, forgotten) in [
        ("POST", "/a", "200", true),
        ("PUT", "/a", "204", true),
        ("DELETE", "/a", "303", true),
        ("PATCH", "/a", "200", true),
        ("M-SEARCH", "/a", "200", true),
        ("POST", "/things/a", "200", true),
        ("POST", "/a", "400", false),
        ("POST", "/a", "500", false),
        ("OPTIONS", "/a", "200", false),
        ("GET", "/a", "200", false),
    ] {
        get(&gateway, path, FRESH);
        get(&gateway, "/other", FRESH);
        assert!(is_kept(&gateway, path), "{path}");
        let code: u16 = answer.parse().expect("a status");
        assert_eq!(
            ask(&gateway, method, path, &says(answer)).status,
            if method == "GET" { 200 } else { code }
        );
        assert_eq!(!is_kept(&gateway, path), forgotten, "{method} {path} {answer}");
        assert!(is_kept(&gateway, "/other"), "{method} {path} {answer}: others are not concerned");
        let word = if forgotten { "tollgate; fwd=uri-miss; stored" } else { "tollgate; hit; " };
        assert!(
            status(&get(&gateway, path, FRESH)).starts_with(word),
            "nothing varies: {method} {path} {answer}"
        );
    }
}

#[test]
fn an_answer_may_name_what_else_was_changed() {
    let origin = origin();
    let gateway = start(&origin);
    for (named, path, forgotten) in [
        ("Location: /b", "/b", true),
        ("Location: http://test/b?c=d", "/b?c=d", true),
        ("Content-Location: /x/../b", "/b", true),
        ("Content-Location: /b#there", "/b", true),
        ("Location: http://another/b", "/b", false),
        ("Location: //another/b", "/b", false),
        ("Location: b", "/b", true),
        ("Content-Location: ./b", "/b", true),
        ("Location: ?c=d", "/a?c=d", true),
        ("Location: //test/b", "/b", true),
        ("Location: http://test.another/b", "/b", false),
    ] {
        get(&gateway, path, FRESH);
        ask(&gateway, "POST", "/a", &says(&format!("201 | {named}")));
        assert_eq!(!is_kept(&gateway, path), forgotten, "{named}");
    }
}

fn purged(response: &Response) -> u64 {
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["purged"].as_u64().expect("a number")
}

#[test]
fn an_operator_may_forget_all_or_some() {
    let origin = origin();
    let gateway = start(&origin);
    let purge = |body: &str| post(&gateway, "/api/v1/cache/purge", "", body);
    let paths = ["/a?b=1", "/a?b=2", "/a/c", "/things/a"];
    for (body, left) in [
        (json!({}), ""),
        (json!({ "route": "read" }), "/a?b=1 /a?b=2 /a/c"),
        (json!({ "url": "http://test/a?b=1" }), "/a?b=2 /a/c /things/a"),
        (json!({ "url": "HTTP://TEST/a?b=1" }), "/a?b=2 /a/c /things/a"),
        (json!({ "url": "https://test/a?b=1" }), "/a?b=1 /a?b=2 /a/c /things/a"),
        (json!({ "url": "/x/../a?b=1" }), "/a?b=2 /a/c /things/a"),
        (json!({ "url": "/a" }), "/a?b=1 /a?b=2 /a/c /things/a"),
        (json!({ "prefix": "/a" }), "/things/a"),
        (json!({ "prefix": "http://test/a?" }), "/a/c /things/a"),
        (json!({ "prefix": "/", "route": "all" }), "/things/a"),
    ] {
        paths.iter().for_each(|path| drop(get(&gateway, path, FRESH)));
        let before = paths.iter().filter(|path| is_kept(&gateway, path)).count();
        assert_eq!(before, paths.len());
        let forgotten = purged(&purge(&body.to_string()));
        let kept: Vec<&str> = paths.into_iter().filter(|path| is_kept(&gateway, path)).collect();
        assert_eq!((kept.join(" ").as_str(), forgotten as usize), (left, paths.len() - kept.len()), "{body}");
    }
    for (body, status, code) in [
        ("{", 400, "bad_purge"),
        ("[]", 400, "bad_purge"),
        (r#"{"paths":"/a"}"#, 400, "bad_purge"),
        (r#"{"url":"a"}"#, 400, "bad_purge"),
        (r#"{"route":"nobody"}"#, 404, "route_unknown"),
        (r#"{"route":"plain"}"#, 409, "nothing_kept"),
    ] {
        let refused = purge(body);
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{body}");
    }
    let foreign = post(&gateway, "/api/v1/cache/purge", "Origin: https://evil.example\r\n", "{}");
    assert_eq!((foreign.status, foreign.code().as_str()), (403, "cross_site"));
}

#[test]
fn what_is_kept_survives_a_reload_that_leaves_its_route_alone() {
    let (origin, other) = (origin(), origin());
    let gateway = start(&origin);
    get(&gateway, "/a", FRESH);
    get(&gateway, "/things/a", FRESH);
    let changed = ROUTES.replace(
        "name: read, path: '/things/*', methods: [GET], to: @ORIGIN@",
        "name: read, path: '/things/*', methods: [GET], to: @OTHER@",
    );
    let names = [("ORIGIN", origin.url()), ("OTHER", other.url())];
    gateway.replace_file(&gateway.complete(&changed, &names));
    gateway.wait_generation(2);
    assert!(is_kept(&gateway, "/a"), "the route is as it was");
    assert!(!is_kept(&gateway, "/things/a"), "its answers come from somebody else now");
    let without = changed.replace("path: /*, to: @ORIGIN@, cache: {}", "path: /*, to: @ORIGIN@, cache: off");
    gateway.replace_file(&gateway.complete(&without, &names));
    gateway.wait_generation(3);
    let plain = get(&gateway, "/a", FRESH);
    assert_eq!((plain.header("cache-status"), plain.text().as_str()), (None, "3"));
}
