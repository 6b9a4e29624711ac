//! Cases by RFC 9111, RFC 5861 and RFC 9213, as data: header lines in, a decision out.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tollgate_plan::cache::Cache;
use tollgate_wire::{HeaderBlock, Method, Name};

use super::*;

/// `Sun, 06 Nov 1994 08:49:37 GMT`, when everything here happens.
const NOW_S: u64 = 784_111_777;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW_S)
}

/// Lines with ` | ` between them.
fn block(lines: &str) -> HeaderBlock {
    let mut block = HeaderBlock::default();
    for line in lines.split(" | ").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').expect("a line");
        block.append(&Name::new(name).expect("a name"), value.trim().as_bytes());
    }
    block
}

fn rules(ttl_s: u64) -> Cache {
    Cache {
        ttl: Duration::from_secs(ttl_s),
        respect: true,
        inputs: Vec::new(),
        vary: Vec::new(),
        stale_while_revalidate: None,
        stale_if_error: None,
        max_bytes: 1 << 20,
        private: false,
    }
}

/// `lifetime-age` in seconds, and what else there is to say; `no` where the answer is not kept.
fn judged(status: u16, lines: &str, asked: Asked, rules: &Cache) -> String {
    let headers = block(lines);
    let cookies = headers.contains(&tollgate_wire::name::SET_COOKIE);
    let came = Came { status, headers: &headers, cookies, at: now(), delay: Duration::ZERO };
    let Some((terms, left_out)) = terms(came, asked, rules) else { return "no".to_owned() };
    let mut out = format!("{}-{}", terms.lifetime.as_secs(), terms.age.as_secs());
    let stale = [("swr", terms.stale_while_revalidate), ("sie", terms.stale_if_error)];
    for (word, time) in stale.into_iter().filter(|(_, time)| !time.is_zero()) {
        out.push_str(&format!(" {word}={}", time.as_secs()));
    }
    let flags = [("validate", terms.validate), ("strict", terms.strict), ("shareable", terms.shareable)];
    flags.into_iter().filter(|(_, set)| *set).for_each(|(word, _)| out.push_str(&format!(" {word}")));
    for field in left_out {
        out.push_str(&format!(" -{}", String::from_utf8_lossy(&field)));
    }
    out
}

#[track_caller]
fn check(lines: &str, expect: &str) {
    assert_eq!(judged(200, lines, Asked::Anonymous, &rules(0)), expect, "{lines}");
}

#[test]
fn freshness_is_what_the_upstream_says_first() {
    check("", "no");
    check("cache-control: max-age=3600", "3600-0");
    check("cache-control: max-age=0", "no");
    check("cache-control: max-age=0 | etag: \"a\"", "0-0");
    check("cache-control: max-age=003600", "3600-0");
    check("cache-control: max-age=\"3600\"", "3600-0");
    check("cache-control: MaX-aGe=3600", "3600-0");
    check("cache-control: foobar, max-age=3600", "3600-0");
    check("cache-control: max-age=99999999999999999999999", "2147483648-0");
    for bad in ["-3600", "'3600'", "a3600", "3600a", "3600.0", " 3600", ""] {
        check(&format!("cache-control: max-age={bad}"), "no");
    }
    check("cache-control: max-age =3600", "no");
    check("cache-control: extension=\"max-age=3600\", max-age=1", "1-0");
    check("cache-control: extension=\"a\\\", max-age=3600\", max-age=1", "1-0");
    check("cache-control: max-age=1800, max-age=1", "1800-0");
    check("cache-control: max-age=1800 | cache-control: max-age=1", "1800-0");
    check("cache-control: max-age=3600 | cache-control: s-maxage=1", "1-0 strict shareable");
    check("cache-control: s-maxage=3600, max-age=1", "3600-0 strict shareable");
    check("cache-control: max-age=3600 | expires: Sun, 06 Nov 1994 07:49:37 GMT", "3600-0");
    check("cache-control: max-age=0 | expires: Sun, 06 Nov 1994 09:49:37 GMT", "no");
}

#[test]
fn expires_counts_from_the_date() {
    let date = "date: Sun, 06 Nov 1994 08:49:37 GMT";
    check("expires: Sun, 06 Nov 1994 08:50:37 GMT", "60-0");
    check(&format!("{date} | expires: Sun, 06 Nov 1994 08:50:37 GMT"), "60-0");
    check(&format!("{date} | expires: SUN, 06 NOV 1994 08:50:37 gmt"), "60-0");
    check(&format!("{date} | expires: Sunday, 06-Nov-94 08:50:37 GMT"), "60-0");
    check(&format!("{date} | expires: Sun Nov  6 08:50:37 1994"), "60-0");
    check("date: Sun, 06 Nov 1994 08:50:17 GMT | expires: Sun, 06 Nov 1994 08:50:37 GMT", "20-0");
    check("date: foo | expires: Sun, 06 Nov 1994 08:50:37 GMT", "60-0");
    let bad = [
        "0",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:50:37 UTC",
        "Sun, 06 Nov 1994 08:50:37 AEST",
        "Sun, 06 Nov 94 08:50:37 GMT",
        "Sun 06 Nov 1994 08:50:37 GMT",
        "Sun, 06  Nov  1994 08:50:37 GMT",
        "Sun, 06-Nov-1994 08:50:37 GMT",
        "Sun, 06 Nov 1994 08.50.37 GMT",
        "Sun, 06 Nov 1994 8:50:37 GMT",
    ];
    for expires in bad {
        check(&format!("{date} | expires: {expires}"), "no");
    }
}

#[test]
fn age_is_the_larger_of_what_was_told_and_what_the_date_says() {
    let fresh = "cache-control: max-age=3600";
    for (age, expect) in [
        ("100", "3600-100"),
        ("100, 0", "3600-100"),
        ("0, 7200", "3600-0"),
        ("abc", "3600-0"),
        ("-7200", "3600-0"),
        ("7200.0", "3600-0"),
        ("7200", "no"),
        ("2147483649", "no"),
        ("99999999999999999999999999", "no"),
    ] {
        check(&format!("{fresh} | age: {age}"), expect);
    }
    check(&format!("{fresh} | age: 100 | age: 0"), "3600-100");
    check(&format!("{fresh} | date: Sun, 06 Nov 1994 08:39:37 GMT"), "3600-600");
    check(&format!("{fresh} | date: Sun, 06 Nov 1994 08:39:37 GMT | age: 700"), "3600-700");
    check(&format!("{fresh} | date: Sun, 06 Nov 1994 06:49:37 GMT"), "no");
    check(&format!("{fresh} | date: Sun, 06 Nov 1994 09:49:37 GMT"), "3600-0");
}

#[test]
fn what_must_not_be_kept_is_not() {
    check("cache-control: no-store", "no");
    check("cache-control: max-age=10, No-StOrE", "no");
    check("cache-control: private, max-age=10", "no");
    check("cache-control: private=\"x-a, x-b\", max-age=10", "10-0 -x-a -x-b");
    check("cache-control: max-age=10, no-cache", "no");
    check("cache-control: max-age=10, no-cache | etag: \"a\"", "10-0 validate strict");
    check("cache-control: no-cache | last-modified: x", "0-0 validate strict");
    check("cache-control: no-cache=\"x-a\", max-age=10", "10-0 -x-a");
    check("cache-control: no-cache=\"\", max-age=10", "no");
    check("cache-control: max-age=10 | set-cookie: a=b", "no");
    check("cache-control: max-age=10, public | set-cookie: a=b", "no");
    check("cache-control: max-age=10, no-cache=\"Set-Cookie\" | set-cookie: a=b", "10-0 -Set-Cookie");
    for (status, cache_control, expect) in [
        (206, "max-age=10", "no"),
        (304, "max-age=10", "no"),
        (101, "max-age=10", "no"),
        (600, "max-age=10", "no"),
        (299, "max-age=10", "10-0"),
        (500, "max-age=10", "10-0"),
        (599, "max-age=10", "10-0"),
        (599, "max-age=10, no-store, must-understand", "no"),
        (599, "max-age=10, must-understand", "no"),
        (200, "max-age=10, no-store, must-understand", "10-0"),
    ] {
        let lines = format!("cache-control: {cache_control}");
        assert_eq!(judged(status, &lines, Asked::Anonymous, &rules(0)), expect, "{status} {cache_control}");
    }
}

#[test]
fn callers_share_only_what_is_said_to_be_shared() {
    use Asked::{Authorized, Personal};
    for (cache_control, asked, expect) in [
        ("max-age=10", Authorized, "no"),
        ("max-age=10, public", Authorized, "10-0 shareable"),
        ("s-maxage=10", Authorized, "10-0 strict shareable"),
        ("max-age=10, must-revalidate", Authorized, "10-0 strict shareable"),
        ("max-age=10, public, private", Authorized, "no"),
        ("max-age=10", Personal, "10-0"),
        ("max-age=10, private", Personal, "10-0"),
        ("max-age=10, no-store", Personal, "no"),
    ] {
        let lines = format!("cache-control: {cache_control}");
        assert_eq!(judged(200, &lines, asked, &rules(0)), expect, "{cache_control} {asked:?}");
        let overriding = Cache { respect: false, ..rules(30) };
        let kept = judged(200, &lines, asked, &overriding) != "no";
        assert_eq!(
            kept,
            expect != "no" || cache_control.contains("no-store"),
            "{cache_control}: of privacy nothing is overridden"
        );
    }
}

#[test]
fn ttl_counts_where_nothing_explicit_is_said() {
    let overriding = Cache { respect: false, ..rules(30) };
    for (status, lines, respecting, overridden) in [
        (200, "", "30-0", "30-0"),
        (404, "", "30-0", "30-0"),
        (302, "", "no", "no"),
        (500, "", "no", "no"),
        (500, "cache-control: max-age=5", "5-0", "5-0"),
        (500, "cache-control: no-store", "no", "no"),
        (200, "cache-control: max-age=5", "5-0", "30-0"),
        (200, "cache-control: max-age=0", "no", "30-0"),
        (200, "expires: 0", "no", "30-0"),
        (200, "cache-control: no-cache, no-store, max-age=0, must-revalidate", "no", "30-0 shareable"),
        (200, "cache-control: private", "no", "no"),
        (200, "cache-control: public", "30-0 shareable", "30-0 shareable"),
        (200, "set-cookie: a=b", "no", "no"),
        (200, "age: 40", "no", "no"),
    ] {
        assert_eq!(judged(status, lines, Asked::Anonymous, &rules(30)), respecting, "{status} {lines}");
        assert_eq!(judged(status, lines, Asked::Anonymous, &overriding), overridden, "{status} {lines}");
    }
}

#[test]
fn stale_answers_are_off_unless_somebody_asks_for_them() {
    let lines = "cache-control: max-age=10, stale-while-revalidate=5, stale-if-error=7";
    check(lines, "10-0 swr=5 sie=7");
    check("cache-control: s-maxage=10, stale-while-revalidate=5", "10-0 swr=5 strict shareable");
    check("cache-control: max-age=10, must-revalidate, stale-if-error=7", "10-0 strict shareable");
    check("cache-control: max-age=10, proxy-revalidate, stale-if-error=7", "10-0 strict");
    check("cache-control: max-age=0, stale-while-revalidate=5", "0-0 swr=5");
    let ours = Cache {
        stale_while_revalidate: Some(Duration::from_secs(1)),
        stale_if_error: Some(Duration::ZERO),
        ..rules(0)
    };
    assert_eq!(judged(200, lines, Asked::Anonymous, &ours), "10-0 swr=1", "given here they win");
    let strict = "cache-control: max-age=10, must-revalidate";
    assert_eq!(judged(200, strict, Asked::Anonymous, &ours), "10-0 strict shareable");
}

#[test]
fn a_field_for_caches_like_this_one_comes_first() {
    let no_store = "cache-control: no-store | cdn-cache-control:";
    check(&format!("{no_store} max-age=10"), "10-0");
    check(&format!("{no_store} max-age=10;a=b, foo=?0, bar=(1 2)"), "no");
    check(&format!("{no_store} max-age=10;a=b, foo=?0, bar=1.5"), "10-0");
    check(&format!("{no_store} max-age=10, &&&&&"), "no");
    check(&format!("{no_store} max-age=\"10\""), "no");
    check(&format!("{no_store} MaX-aGe=10"), "no");
    check(&format!("{no_store} max-age =10"), "no");
    check(&format!("{no_store} max-age=10,"), "no");
    check(no_store, "no");
    let fresh = "cache-control: max-age=10 | expires: Sun, 06 Nov 1995 08:49:37 GMT | cdn-cache-control:";
    for said in ["no-store", "private", "no-cache", "max-age=0", "private=\"a\""] {
        check(&format!("{fresh} {said}"), "no");
    }
    check(&format!("{fresh} max-age=20"), "20-0");
    check(&format!("{fresh} foo"), "no");
}

#[test]
fn kept_answers_are_used_by_their_age_and_the_clients_wish() {
    let terms = |strict| Terms {
        lifetime: Duration::from_secs(100),
        age: Duration::ZERO,
        stale_while_revalidate: Duration::from_secs(if strict { 0 } else { 10 }),
        stale_if_error: Duration::from_secs(if strict { 0 } else { 50 }),
        validate: false,
        strict,
        shareable: false,
    };
    for (age, wish, lenient, strict) in [
        (99, "", Use::Fresh, Use::Fresh),
        (100, "", Use::Stale, Use::Ask),
        (109, "", Use::Stale, Use::Ask),
        (110, "", Use::Ask, Use::Ask),
        (110, "max-stale", Use::Lapsed, Use::Ask),
        (110, "max-stale=20", Use::Lapsed, Use::Ask),
        (110, "max-stale=10", Use::Ask, Use::Ask),
        (50, "max-age=60", Use::Fresh, Use::Fresh),
        (50, "max-age=40", Use::Ask, Use::Ask),
        (50, "max-age=nonsense", Use::Ask, Use::Ask),
        (50, "min-fresh=40", Use::Fresh, Use::Fresh),
        (50, "min-fresh=50", Use::Ask, Use::Ask),
        (105, "min-fresh=1", Use::Ask, Use::Ask),
        (50, "no-cache", Use::Ask, Use::Ask),
        (50, "nothing-to-see-here", Use::Fresh, Use::Fresh),
    ] {
        let request = if wish.is_empty() { String::new() } else { format!("cache-control: {wish}") };
        let wish = Wish::of(&block(&request));
        let age = Duration::from_secs(age);
        assert_eq!(use_of(&terms(false), age, &wish), lenient, "{request} at {age:?}");
        assert_eq!(use_of(&terms(true), age, &wish), strict, "{request} at {age:?}, strict");
    }
    let covers = |age, strict| covers_error(&terms(strict), Duration::from_secs(age));
    assert!(covers(149, false) && !covers(150, false) && !covers(101, true));
    assert!(Wish::of(&block("pragma: no-cache")).no_cache);
    assert!(!Wish::of(&block("pragma: no-cache | cache-control: foo")).no_cache);
    let wish = Wish::of(&block("cache-control: only-if-cached, no-store"));
    assert!(wish.only_if_cached && wish.no_store && !wish.no_cache);
}

#[test]
fn answers_are_told_apart_by_what_they_vary_on() {
    let foo = Name::new("foo").expect("a name");
    for (answer, request, other, expect) in [
        ("", "foo: 1", "foo: 2", Some(true)),
        ("vary: Foo", "foo: 1", "foo: 1", Some(true)),
        ("vary: Foo", "foo: 1", "foo: 2", Some(false)),
        ("vary: Foo", "foo: 1", "", Some(false)),
        ("vary: Foo", "", "foo: 1", Some(false)),
        ("vary: Foo", "", "foo:", Some(false)),
        ("vary: Foo", "foo:", "foo:", Some(true)),
        ("vary: Foo", "foo:", "foo: 1", Some(false)),
        ("vary: Foo", "", "bar: 1", Some(true)),
        ("vary: Foo", "foo: 1, 2", "foo: 1 | foo: 2", Some(true)),
        ("vary: Foo", "foo: 1,2", "foo:  1,  2 ", Some(true)),
        ("vary: Foo", "foo: 1, 2", "foo: 1", Some(false)),
        ("vary: Foo", "foo: 1", "foo: 1, 2", Some(false)),
        ("vary: Foo, Bar", "foo: 1 | bar: 1", "foo: 1 | bar: 2", Some(false)),
        ("vary: Foo | vary: Bar", "foo: 1 | bar: 1", "foo: 1 | bar: 2", Some(false)),
        ("vary: *", "", "", None),
        ("vary: *, *", "", "", None),
        ("vary: , *", "", "", None),
        ("vary: | vary: *", "", "", None),
        ("vary: Foo, *", "", "", None),
        ("vary: F oo", "", "", None),
        ("access-control-allow-origin: https://a", "origin: https://a", "origin: https://b", Some(false)),
        ("access-control-allow-origin: *", "origin: https://a", "origin: https://b", Some(true)),
    ] {
        let varied = varied(&block(answer), &block(request), &[]);
        let suits = varied.map(|varied| suits(&varied, &block(other)));
        assert_eq!(suits, expect, "{answer}: {request} / {other}");
    }
    let more = varied(&block(""), &block("foo: 1"), &[foo]).expect("names");
    assert!(!suits(&more, &block("foo: 2")) && suits(&more, &block("foo: 1 | bar: 2")));
}

#[test]
fn clients_get_what_they_lack() {
    let kept = "etag: \"a\" | last-modified: Sun, 06 Nov 1994 08:49:37 GMT";
    let weak = "etag: W/\"a\"";
    for (kept, request, expect) in [
        (kept, "", Given::Whole),
        (kept, "if-none-match: \"a\"", Given::NotModified),
        (kept, "if-none-match: W/\"a\"", Given::NotModified),
        (weak, "if-none-match: \"a\"", Given::NotModified),
        (kept, "if-none-match: \"x,y\", \"a\", \"c\"", Given::NotModified),
        (kept, "if-none-match: \"b\" | if-none-match: \"a\"", Given::NotModified),
        (kept, "if-none-match: *", Given::NotModified),
        ("", "if-none-match: *", Given::NotModified),
        (kept, "if-none-match: \"b\"", Given::Whole),
        ("", "if-none-match: \"a\"", Given::Whole),
        (kept, "if-none-match: \"b\" | if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT", Given::Whole),
        (kept, "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT", Given::NotModified),
        (kept, "if-modified-since: Sunday, 06-Nov-94 08:49:38 GMT", Given::NotModified),
        (kept, "if-modified-since: Sun, 06 Nov 1994 08:49:36 GMT", Given::Whole),
        (kept, "if-modified-since: yesterday", Given::Whole),
        ("", "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT", Given::Whole),
        (kept, "range: bytes=0-1", Given::Part(0..2)),
        (kept, "range: BYTES=2-", Given::Part(2..10)),
        (kept, "range: bytes=8-100", Given::Part(8..10)),
        (kept, "range: bytes=-3", Given::Part(7..10)),
        (kept, "range: bytes=-100", Given::Part(0..10)),
        (kept, "range: bytes=10-", Given::OutOfRange),
        (kept, "range: bytes=99999999999999999999-", Given::OutOfRange),
        (kept, "range: bytes=-0", Given::OutOfRange),
        (kept, "range: bytes=3-2", Given::Whole),
        (kept, "range: bytes=0-1,4-5", Given::Whole),
        (kept, "range: bytes=a-b", Given::Whole),
        (kept, "range: bytes=-", Given::Whole),
        (kept, "range: bytes=", Given::Whole),
        (kept, "range: lines=0-1", Given::Whole),
        (kept, "range: bytes=0-1 | range: bytes=2-3", Given::Whole),
        (kept, "range: bytes=0-1 | if-range: \"a\"", Given::Part(0..2)),
        (kept, "range: bytes=0-1 | if-range: \"b\"", Given::Whole),
        (weak, "range: bytes=0-1 | if-range: W/\"a\"", Given::Whole),
        (kept, "range: bytes=0-1 | if-range: Sun, 06 Nov 1994 08:49:37 GMT", Given::Part(0..2)),
        (kept, "range: bytes=0-1 | if-range: Sun, 06 Nov 1994 08:49:38 GMT", Given::Whole),
        (kept, "range: bytes=0-1 | if-none-match: \"a\"", Given::NotModified),
    ] {
        let given = |method, status| answer_with(&method, &block(request), status, &block(kept), 10);
        assert_eq!(given(Method::Get, 200), expect, "{kept} / {request}");
        assert_eq!(given(Method::Get, 404), Given::Whole, "{request}");
        let to_head = if expect == Given::NotModified { Given::NotModified } else { Given::Whole };
        assert_eq!(given(Method::Head, 200), to_head, "HEAD {request}");
    }
    assert_eq!(answer_with(&Method::Get, &block("range: bytes=0-"), 200, &block(""), 0), Given::OutOfRange);
}

#[test]
fn a_304_brings_new_headers_and_leaves_the_body_alone() {
    let kept = block("a: 1 | b: 2 | content-length: 10 | content-encoding: gzip | date: old");
    let news = block(
        "A: 3 | date: new | content-length: 0 | content-encoding: br | set-cookie: c=d | connection: x-y | x-y: z | new: 1 | new: 2",
    );
    let merged = merge(&kept, &news);
    let mut lines: Vec<String> = merged
        .iter()
        .map(|(name, value)| format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)))
        .collect();
    lines.sort();
    let expect =
        ["a: 3", "b: 2", "content-encoding: gzip", "content-length: 10", "date: new", "new: 1", "new: 2"];
    assert_eq!(lines, expect);
}
