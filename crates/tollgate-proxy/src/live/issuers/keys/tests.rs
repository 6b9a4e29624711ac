use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tollgate_plan::issuer::Reach;
use tollgate_token::Algorithm;

use super::*;

fn live() -> Arc<KeysLive> {
    let from = KeyFetch {
        from: KeyUrl::Jwks(HttpUrl::parse("https://id.example.com/jwks").unwrap()),
        algorithms: Algorithm::EdDSA.into(),
        refresh: Duration::from_secs(600),
        reach: Reach::default(),
    };
    KeysLive::new(&"main".into(), &from)
}

/// A key set with one new key.
fn set(id: &str) -> String {
    let pair = Ed25519KeyPair::generate().unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": x }] }).to_string()
}

fn ids(live: &KeysLive) -> Vec<String> {
    live.keys().map_or_else(Vec::new, |keys| keys.set.ids().map(str::to_owned).collect())
}

#[test]
fn a_fetch_replaces_the_keys_or_leaves_them() {
    let live = live();
    assert_eq!((live.generation(), live.keys().is_none()), (0, true));
    let (a, b) = (set("a"), set("b"));
    let huge = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    type Step<'a> = (&'a str, Result<&'a str, Fault>, bool, u64, &'a [&'a str]);
    let steps: [Step<'_>; 10] = [
        ("nobody there", Err(Fault::Late), false, 0, &[]),
        ("the first", Ok(&a), true, 1, &["a"]),
        ("the same again", Ok(&a), true, 1, &["a"]),
        ("another", Ok(&b), true, 2, &["b"]),
        ("garbage", Ok("<html>"), false, 2, &["b"]),
        ("no keys", Ok("{}"), false, 2, &["b"]),
        ("too long", Ok(&huge), false, 2, &["b"]),
        ("nobody there again", Err(Fault::Status(500)), false, 2, &["b"]),
        ("an empty set", Ok("{\"keys\":[]}"), true, 3, &[]),
        ("the first again", Ok(&a), true, 4, &["a"]),
    ];
    for (what, fetched, good, generation, expect) in steps {
        let fetched = fetched.map(|text| Bytes::from(text.to_owned()));
        assert_eq!(live.settle(fetched), good, "{what}");
        assert_eq!(
            (live.generation(), ids(&live)),
            (generation, expect.iter().map(|id| (*id).to_owned()).collect()),
            "{what}"
        );
        let report = live.report(Instant::now());
        assert_eq!(report.fault.is_none(), good, "{what}");
        assert_eq!(report.keys.is_some(), generation > 0, "{what}");
    }
    let report = live.report(Instant::now());
    assert_eq!((report.succeeded, report.failed), (5, 5));
}

#[test]
fn an_early_fetch_has_its_turn() {
    let live = live();
    let begin = |live: &KeysLive| live.begun.fetch_add(1, Relaxed);
    let end = |live: &KeysLive| live.over.send_modify(|over| *over += 1);
    begin(&live);
    end(&live);
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    assert_eq!(live.ask_early(at(0)), Some(2), "somebody asks");
    assert_eq!(live.ask_early(at(1)), Some(2), "another one waits for the same");
    begin(&live);
    assert_eq!(live.ask_early(at(2)), Some(2), "while it is on its way");
    end(&live);
    assert_eq!(live.ask_early(at(3)), None, "it brought nothing new");
    assert_eq!(live.ask_early(at(29)), None);
    assert_eq!(live.ask_early(at(30)), Some(3), "the next turn");
    begin(&live);
    end(&live);
    // A regular fetch that began before the token came may bring what was right before.
    begin(&live);
    assert_eq!(live.ask_early(at(90)), Some(5));
    end(&live);
    assert_eq!(live.ask_early(at(91)), Some(5));
}

#[test]
fn the_discovery_document_is_not_believed_blindly() {
    let issuer = "https://id.example.com/";
    let check = |document: &str, allow_http: bool, expect: Result<&str, &str>| {
        let found = jwks_uri(document.as_bytes(), issuer, allow_http);
        match (found, expect) {
            (Ok(url), Ok(host)) => assert_eq!(&*url.host, host, "{document}"),
            (Err(Fault::Content(why)), Err(part)) => assert!(why.contains(part), "{document}: {why}"),
            (found, expect) => panic!("{document}: {found:?}, expected {expect:?}"),
        }
    };
    let document = |issuer: &str, uri: &str| json!({ "issuer": issuer, "jwks_uri": uri }).to_string();
    check(&document(issuer, "https://keys.example.com/jwks"), false, Ok("keys.example.com"));
    check(&document("https://id.example.com", "https://keys.example.com/jwks"), false, Err("another issuer"));
    check(&document(issuer, "http://keys.example.com/jwks"), false, Err("plain http"));
    check(&document(issuer, "http://keys.example.com/jwks"), true, Ok("keys.example.com"));
    check(&document(issuer, "http://127.0.0.1:9/jwks"), false, Ok("127.0.0.1"));
    check(&document(issuer, "file:///etc/passwd"), false, Err("no URL"));
    check(&document(issuer, "https://u:p@keys.example.com/"), false, Err("no URL"));
    check(&json!({ "issuer": issuer }).to_string(), false, Err("no jwks_uri"));
    check(&json!({ "issuer": [issuer], "jwks_uri": "https://x/" }).to_string(), false, Err("another issuer"));
    check("<html>", false, Err("not JSON"));
    check("[]", false, Err("another issuer"));
}

#[test]
fn tries_come_ever_more_seldom_up_to_a_bound() {
    for (failures, shortest, longest) in
        [(1, 100, 200), (2, 200, 400), (6, 3200, 6400), (7, 5000, 10_000), (u32::MAX, 5000, 10_000)]
    {
        for _ in 0..20 {
            let pause = backoff(failures).as_millis();
            assert!((shortest..=longest).contains(&pause), "{failures}: {pause} ms");
        }
    }
}
