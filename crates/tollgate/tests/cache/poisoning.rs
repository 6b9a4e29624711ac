//! What one client sends must not become what another one gets.

use serde_json::json;
use tollgate_testkit::{Gateway, Issuer, Origin, gateway, wait_for};

use crate::kit::{FRESH, ask, get, is_hit, origin, says, status};

const ROUTES: &str = "
workers: 1
@TRUSTED@
upstreams: { echo: { targets: [@ORIGIN@], host: preserve } }
routes:
  - { name: all, path: /*, to: echo, cache: { ttl: 60s } }
";

/// Every answer tells what the origin was sent.
fn start(origin: &Origin, trusted: &str) -> Gateway {
    gateway!(ROUTES, ORIGIN = origin.url(), TRUSTED = trusted)
}

#[test]
fn nothing_that_only_one_client_said_is_in_the_answer_of_another() {
    let origin = Origin::echo();
    let gateway = start(&origin, "");
    let attacks = [
        "GET /page?x=1 HTTP/1.1\r\nHost: evil\r\n\r\n",
        "GET /page?x=1 HTTP/1.1\r\nHost: test:1234\r\n\r\n",
        "GET http://evil/page?x=1 HTTP/1.1\r\nHost: evil\r\n\r\n",
        "GET /page?x=1&evil HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET /page?x=1 HTTP/1.1\r\nHost: test\r\nX-Forwarded-Host: evil\r\n\r\n",
        "GET /page?x=1 HTTP/1.1\r\nHost: test\r\nX_Forwarded_Host: evil\r\n\r\n",
        "GET /page?x=1 HTTP/1.1\r\nHost: test\r\nForwarded: host=evil\r\n\r\n",
        "GET /page?x=1 HTTP/1.1\r\nHost: test\r\nX-Forwarded-Proto: evil\r\n\r\n",
        "GET /page?x=1 HTTP/1.1\r\nHost: test\r\nX-Forwarded-Prefix: /evil\r\n\r\n",
        "GET /page?x=1 HTTP/1.1\r\nHost: test\r\nX-Original-URL: /evil\r\n\r\n",
        "GET /page?x=1 HTTP/1.1\r\nHost: test\r\nX-Rewrite-Url: /evil\r\n\r\n",
        "GET /page?x=1 HTTP/1.1\r\nHost: test\r\nX-HTTP-Method-Override: evil\r\n\r\n",
        "GET /page?x=1 HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nevil",
        "GET /page?x=1 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
        "GET /page?x=1 HTTP/1.1\r\nHost: test\r\nAccept: evil\r\n\r\n",
        "GET /page?x=1 HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer evil\r\n\r\n",
        "HEAD /page?x=1 HTTP/1.1\r\nHost: test\r\nX-A: evil\r\n\r\n",
        "POST /page?x=1 HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nevil",
    ];
    for (number, attack) in attacks.into_iter().enumerate() {
        // A page for each: a good answer that is kept would shield those behind it.
        let page = format!("/page{number}");
        assert_eq!(gateway.client().exchange(attack.replace("/page", &page)).status, 200, "{attack}");
        let victim = format!("GET {page}?x=1 HTTP/1.1\r\nHost: test\r\n\r\n");
        let answer = gateway.client().exchange(&victim);
        assert!(!answer.text().contains("evil"), "{attack} poisons {}", answer.text());
        assert!(!answer.text().contains("1234"), "{attack} poisons {}", answer.text());
        assert!(is_hit(&gateway.client().exchange(&victim)), "and the honest answer is kept");
    }
}

#[test]
fn one_path_has_one_answer_and_two_have_two() {
    let origin = Origin::echo();
    let gateway = start(&origin, "");
    for (first, second, same) in [
        ("/a/b", "/a/./b", true),
        ("/a/b", "/a/c/../b", true),
        ("/a/b", "//a//b", true),
        ("/a/b", "/a/%62", true),
        ("/a/b", "/a%2Fb", false),
        ("/a/b", "/a%2fb", false),
        ("/a/b", "/a/b;c", false),
        ("/a/b", "/a/b/", false),
        ("/a/b", "/a/b?", false),
        ("/a/b?c", "/a/b%3Fc", false),
    ] {
        let (one, other) = (get(&gateway, first, ""), get(&gateway, second, ""));
        assert_eq!(one.json()["target"] == other.json()["target"], same, "{first} and {second}");
    }
}

#[test]
fn what_a_trusted_proxy_says_of_the_host_tells_answers_apart() {
    let origin = Origin::echo();
    let gateway = start(&origin, "trusted_proxies: [127.0.0.1/32]");
    let host = |host: &str| {
        let answer =
            get(&gateway, "/", &format!("X-Forwarded-Host: {host}\r\nX-Forwarded-For: 192.0.2.1\r\n"));
        (answer.json()["headers"]["x-forwarded-host"][0].clone(), is_hit(&answer))
    };
    assert_eq!(host("a"), ("a".into(), false));
    assert_eq!(host("b"), ("b".into(), false));
    assert_eq!(host("a"), ("a".into(), true));
}

#[test]
fn what_varies_on_what_the_gateway_says_of_a_client_is_not_kept() {
    let origin = origin();
    let gateway = start(&origin, "");
    for name in ["X-Forwarded-For", "Via", "X-Real-IP", "Forwarded", "X-Request-Id"] {
        let lines = says(&format!("200 | Cache-Control: max-age=60 | Vary: Accept, {name}"));
        get(&gateway, &format!("/{name}"), &lines);
        assert!(!is_hit(&get(&gateway, &format!("/{name}"), &lines)), "{name}");
    }
    // A service that answers for one origin and forgets to say so.
    let cors = says("200 | Cache-Control: max-age=60 | Access-Control-Allow-Origin: https://a.example");
    get(&gateway, "/cors", &format!("{cors}Origin: https://a.example\r\n"));
    assert!(!is_hit(&get(&gateway, "/cors", &format!("{cors}Origin: https://b.example\r\n"))));
    assert!(is_hit(&get(&gateway, "/cors", &format!("{cors}Origin: https://a.example\r\n"))));
}

#[test]
fn credentials_without_the_gateways_knowledge_are_private_too() {
    let origin = origin();
    let gateway = start(&origin, "");
    let secret = "Authorization: Bearer x\r\n";
    for (path, cache_control, kept) in [
        ("/a", "max-age=60", false),
        ("/b", "max-age=60, public", true),
        ("/c", "s-maxage=60", true),
        ("/d", "max-age=60, must-revalidate", true),
        ("/e", "private, max-age=60", false),
    ] {
        let lines = says(&format!("200 | Cache-Control: {cache_control}"));
        get(&gateway, path, &format!("{lines}{secret}"));
        assert_eq!(is_hit(&get(&gateway, path, &lines)), kept, "{cache_control}");
        assert_eq!(
            is_hit(&get(&gateway, path, &format!("{lines}{secret}"))),
            kept,
            "{cache_control}, the other way round"
        );
    }
}

const PRIVATE: &str = "
workers: 1
issuers:
  main: { issuer: @ISSUER@, audience: [api], algorithms: [RS256], leeway: 0s }
consumers:
  - { name: mobile, keys: ['@KEY@'] }
routes:
  - { name: own, path: /own/*, to: @ORIGIN@, auth: { jwt: main, api_key: { header: x-api-key }, optional: true }, cache: { ttl: 60s, private: true } }
  - { name: shared, path: /shared/*, to: @ORIGIN@, auth: { jwt: main, token_from: cookie:session }, cache: { ttl: 60s } }
";

/// SHA-256 of `secret`.
const KEY: &str = "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

#[test]
fn callers_have_answers_of_their_own_or_none() {
    let (issuer, origin) = (Issuer::start(), origin());
    let gateway = gateway!(PRIVATE, ISSUER = issuer.url(), ORIGIN = origin.url(), KEY = KEY);
    wait_for("the issuer's keys", || gateway.admin("/health").json()["issuers"]["main"]["status"] == "ok");
    let token = |sub: serde_json::Value| issuer.token(json!({ "sub": sub }));
    let (ann, bob, nobody) = (token(json!("ann")), token(json!("bob")), token(json!(null)));
    let bear = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let own = |who: &str, answer: &str| get(&gateway, "/own/a", &format!("{}{who}", says(answer)));
    let private = "200 | Cache-Control: private, max-age=60";

    let first = own(&bear(&ann), private);
    assert_eq!(first.status, 200, "{}", first.text());
    assert!(is_hit(&own(&bear(&ann), private)), "ann's own");
    let fresh_token = token(json!("ann"));
    assert!(is_hit(&own(&bear(&fresh_token), private)), "by another token of hers");
    assert!(!is_hit(&own(&bear(&bob), private)), "bob's is another");
    assert!(!is_hit(&own("X-Api-Key: secret\r\n", private)), "and a consumer's");
    assert!(is_hit(&own("X-Api-Key: secret\r\n", private)));
    for _ in 0..2 {
        assert!(!is_hit(&own("", private)), "private answers to nobody in particular are not kept");
        let unnamed = own(&bear(&nobody), private);
        assert_eq!(status(&unnamed), "tollgate; fwd=bypass", "a token without a subject names nobody");
    }
    ask(&gateway, "POST", "/own/a", &format!("{}{}", says("200"), bear(&bob)));
    assert!(!is_hit(&own(&bear(&ann), private)), "a change concerns everybody's");

    let shared = |token: &str, path: &str, answer: &str| {
        get(&gateway, path, &format!("{answer}Cookie: session={token}\r\n"))
    };
    for _ in 0..2 {
        let answer = shared(&ann, "/shared/a", FRESH);
        assert_eq!(
            (answer.status, is_hit(&answer)),
            (200, false),
            "a caller is known, by whatever credential"
        );
    }
    let public = says("200 | Cache-Control: public, max-age=60");
    assert!(!is_hit(&shared(&ann, "/shared/b", &public)));
    assert!(is_hit(&shared(&bob, "/shared/b", &public)));
    assert_eq!(
        get(&gateway, "/shared/b", "").status,
        401,
        "who may not ask gets nothing that is kept either"
    );
}
