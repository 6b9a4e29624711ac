//! Answers that are given again: as a whole, in pieces, by condition.

use tollgate_testkit::{Gateway, Origin, assert_problem, gateway, wait_for};

use crate::kit::{FRESH, ask, get, is_hit, origin, says, status};

const ROUTES: &str = "
routes:
  - { name: ours, path: /ours/*, to: @ORIGIN@, cache: { ttl: 60s, respect: false } }
  - { name: theirs, path: /theirs/*, to: @ORIGIN@, cache: { ttl: 0s } }
  - { name: all, path: /*, to: @ORIGIN@, cache: {} }
";

fn start(origin: &Origin) -> Gateway {
    gateway!(ROUTES, ORIGIN = origin.url())
}

#[test]
fn an_answer_is_given_again_and_says_so() {
    let origin = origin();
    let gateway = start(&origin);
    let first = get(&gateway, "/a?b=c", FRESH);
    assert_eq!((first.status, first.text().as_str()), (200, "1"));
    assert_eq!((status(&first), first.header("age")), ("tollgate; fwd=uri-miss; stored", None));
    let again = get(&gateway, "/a?b=c", FRESH);
    assert_eq!((again.status, again.text().as_str(), again.header("x-number")), (200, "1", Some("1")));
    assert_eq!(again.header("age"), Some("0"));
    assert!(status(&again).starts_with("tollgate; hit; ttl="), "{}", status(&again));
    assert_eq!(again.header("cache-control"), Some("max-age=60"));
    assert_eq!(
        again.header("date"),
        first.header("date").or(again.header("date")),
        "the date is the answer's own"
    );
    assert_eq!(origin.count(), 1);
    for (other, why) in [("/a?b=d", "the query"), ("/a", "no query"), ("/A?b=c", "the path's case")] {
        assert!(!is_hit(&get(&gateway, other, FRESH)), "{why} is another resource");
    }
    wait_for("the records", || gateway.stdout().records().len() >= 5);
    let cached: Vec<_> = gateway.stdout().records().iter().map(|record| record["cache"].clone()).collect();
    assert_eq!(cached.iter().filter(|cache| **cache == "hit").count(), 1, "{cached:?}");
    assert_eq!(cached.iter().filter(|cache| **cache == "miss").count(), 4, "{cached:?}");
    let count =
        |result| gateway.metrics().get(&format!("tollgate_cache_total{{route=\"all\",result=\"{result}\"}}"));
    assert_eq!((count("hit"), count("miss")), (1.0, 4.0));
    assert!(gateway.metrics().get("tollgate_cache_bytes{route=\"all\"}") > 500.0);
}

#[test]
fn ttl_counts_as_the_route_says() {
    let origin = origin();
    let gateway = start(&origin);
    for (path, answer, kept) in [
        ("/none", "200", true),
        ("/none-404", "404", true),
        ("/none-500", "500", false),
        ("/no-store", "200 | Cache-Control: no-store", false),
        ("/private", "200 | Cache-Control: private, max-age=60", false),
        ("/cookie", "200 | Cache-Control: max-age=60 | Set-Cookie: a=b", false),
        ("/star", "200 | Cache-Control: max-age=60 | Vary: *", false),
        ("/ours/no-store", "200 | Cache-Control: no-store, no-cache, max-age=0", true),
        ("/ours/private", "200 | Cache-Control: private", false),
        ("/ours/cookie", "200 | Set-Cookie: a=b", false),
        ("/theirs/none", "200", false),
        ("/theirs/fresh", "200 | Cache-Control: max-age=60", true),
        ("/theirs/500", "500 | Cache-Control: max-age=60", true),
        ("/theirs/cdn", "200 | Cache-Control: no-store | CDN-Cache-Control: max-age=60", true),
    ] {
        let first = get(&gateway, path, &says(answer));
        let again = get(&gateway, path, &says(answer));
        assert_eq!(is_hit(&again), kept, "{path}: {answer}: {}", status(&again));
        assert_eq!(first.text() == again.text(), kept, "{path}");
        assert_eq!(status(&first).ends_with("stored"), kept, "{path}: {}", status(&first));
        assert_eq!(first.header("set-cookie").is_some(), answer.contains("Cookie"), "cookies pass");
    }
}

#[test]
fn clients_get_what_they_lack() {
    let origin = origin();
    let gateway = start(&origin);
    let lines = format!(
        "{}X-Body: 9\r\n",
        says("200 | Cache-Control: max-age=60 | ETag: \"v1\" | Content-Type: text/plain")
    );
    assert_eq!(get(&gateway, "/", &lines).text(), "1xxxxxxxxx");
    for (line, status, body, range) in [
        ("", 200, "1xxxxxxxxx", None),
        ("If-None-Match: \"v1\"", 304, "", None),
        ("If-None-Match: W/\"v1\", \"v2\"", 304, "", None),
        ("If-None-Match: \"v2\"", 200, "1xxxxxxxxx", None),
        ("Range: bytes=0-1", 206, "1x", Some("bytes 0-1/10")),
        ("Range: bytes=-3", 206, "xxx", Some("bytes 7-9/10")),
        ("Range: bytes=8-", 206, "xx", Some("bytes 8-9/10")),
        ("Range: bytes=0-1,3-4", 200, "1xxxxxxxxx", None),
        ("Range: bytes=0-1\r\nIf-Range: \"v1\"", 206, "1x", Some("bytes 0-1/10")),
        ("Range: bytes=0-1\r\nIf-Range: \"v2\"", 200, "1xxxxxxxxx", None),
    ] {
        let lines = if line.is_empty() { String::new() } else { format!("{line}\r\n") };
        let answer = get(&gateway, "/", &lines);
        let text = answer.text();
        assert_eq!(
            (answer.status, text.as_str(), answer.header("content-range")),
            (status, body, range),
            "{line}"
        );
        assert!(is_hit(&answer), "{line}");
        let length = body.len().to_string();
        let expect = (status != 304).then_some(length.as_str());
        assert_eq!(answer.header("content-length"), expect, "{line}");
        assert_eq!(answer.header("etag"), Some("\"v1\""), "{line}");
        assert_eq!(answer.header("content-type").is_some(), status != 304, "{line}");
    }
    for range in ["10-", "-0"] {
        let answer = get(&gateway, "/", &format!("Range: bytes={range}\r\n"));
        assert_problem(&answer, "range_not_satisfiable");
        assert_eq!((answer.header("content-range"), is_hit(&answer)), (Some("bytes */10"), true), "{range}");
    }
    let head = ask(&gateway, "HEAD", "/", "");
    assert_eq!((head.status, head.header("content-length"), is_hit(&head)), (200, Some("10"), true));
    assert_eq!(origin.count(), 1, "all of it is told from what is kept");
}

#[test]
fn a_head_request_keeps_nothing() {
    let origin = origin();
    let gateway = start(&origin);
    for number in 1..3 {
        let head = ask(&gateway, "HEAD", "/", FRESH);
        assert_eq!((head.header("x-number"), head.header("age")), (Some(number.to_string().as_str()), None));
    }
    assert_eq!(get(&gateway, "/", FRESH).text(), "3");
}

#[test]
fn a_client_may_say_what_it_takes() {
    let origin = origin();
    let gateway = start(&origin);
    let only = get(&gateway, "/", "Cache-Control: only-if-cached\r\n");
    assert_problem(&only, "not_cached");
    assert_eq!(origin.count(), 0);
    assert_eq!(get(&gateway, "/", FRESH).text(), "1");
    for (line, expect, told) in [
        ("Cache-Control: only-if-cached", "1", "tollgate; hit"),
        ("Cache-Control: max-age=100", "1", "tollgate; hit"),
        ("Cache-Control: min-fresh=10", "1", "tollgate; hit"),
        ("Cache-Control: no-store", "2", "tollgate; fwd=request"),
        ("Cache-Control: only-if-cached", "1", "tollgate; hit"),
        ("Cache-Control: no-cache", "3", "tollgate; fwd=request; stored"),
        ("Cache-Control: only-if-cached", "3", "tollgate; hit"),
        ("Pragma: no-cache", "4", "tollgate; fwd=request; stored"),
        ("Cache-Control: min-fresh=100", "5", "tollgate; fwd=request; stored"),
        ("If-Match: \"x\"", "6", "tollgate; fwd=bypass"),
    ] {
        let answer = get(&gateway, "/", &format!("{FRESH}{line}\r\n"));
        assert_eq!(answer.text(), expect, "{line}");
        assert!(status(&answer).starts_with(told), "{line}: {}", status(&answer));
    }
}

#[test]
fn what_is_kept_is_for_requests_with_the_same_headers() {
    let origin = origin();
    let gateway = start(&origin);
    let ask = |lines: &str| {
        let vary = says("200 | Cache-Control: max-age=60 | Vary: X-Color");
        get(&gateway, "/", &format!("{vary}{lines}")).text()
    };
    assert_eq!(ask("X-Color: red\r\n"), "1");
    assert_eq!(ask("X-Color: blue\r\n"), "2");
    assert_eq!(ask("X-Color: red\r\nX-Size: 1\r\n"), "1");
    assert_eq!(ask("X-Color:  blue \r\n"), "2");
    assert_eq!(ask(""), "3");
    assert_eq!(ask(""), "3");
    assert_eq!(
        ask("Accept: text/html\r\n"),
        "4",
        "`vary` of the route is [accept] where nobody says another"
    );
    assert_eq!(ask("Accept: text/html\r\n"), "4");
}

#[test]
fn caches_behind_the_gateway_learn_what_tells_answers_apart() {
    let origin = origin();
    let gateway = start(&origin);
    let told = |path: &str, how: &str| {
        let answer = get(&gateway, path, &says(how));
        answer.head.all("vary").join(", ")
    };
    for (path, how, expect) in [
        ("/a", "200 | Cache-Control: max-age=60", "accept"),
        ("/b", "200 | Cache-Control: max-age=60 | Vary: X-Color", "X-Color, accept"),
        ("/c", "200 | Cache-Control: max-age=60 | Vary: Accept, X-Color", "Accept, X-Color"),
        ("/d", "200 | Cache-Control: no-store", "accept"),
        ("/e", "200 | Cache-Control: max-age=60 | Vary: *", "*"),
    ] {
        assert_eq!(told(path, how), expect, "{how}, new");
        assert_eq!(told(path, how), expect, "{how}, again");
    }
}
