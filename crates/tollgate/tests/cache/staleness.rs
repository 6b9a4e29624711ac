//! Answers whose time is over: asked about again, given meanwhile, given instead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tollgate_testkit::{
    CLIENT_SECRET, Gateway, Issuer, Origin, Port, assert_holds, behaviour, gateway, wait_for,
};

use crate::kit::{get, is_hit, origin, says, status};

const ROUTES: &str = "
routes:
  - { name: lenient, path: /lenient/*, to: @ORIGIN@, cache: { stale_while_revalidate: 1h, stale_if_error: 1h } }
  - { name: all, path: /*, to: @ORIGIN@, cache: {} }
";

fn start(origin: &Origin) -> Gateway {
    gateway!(ROUTES, ORIGIN = origin.url())
}

#[test]
fn the_upstream_is_asked_whether_an_answer_is_still_right() {
    let origin = origin();
    let gateway = start(&origin);
    let lines = says("200 | Cache-Control: max-age=0 | ETag: \"v1\"");
    assert_eq!(get(&gateway, "/", &lines).text(), "1");
    let again = get(&gateway, "/", &lines);
    assert_eq!((again.status, again.text().as_str(), again.header("x-number")), (200, "1", Some("2")));
    assert!(status(&again).starts_with("tollgate; fwd=stale; fwd-status=304; stored"), "{}", status(&again));
    assert_eq!(origin.last().header("if-none-match"), Some("\"v1\""));
    let known = get(&gateway, "/", &format!("{lines}If-None-Match: \"v1\"\r\nRange: bytes=0-0\r\n"));
    assert_eq!(
        (known.status, known.text().as_str()),
        (304, ""),
        "the client's condition is asked of what is kept"
    );
    assert_eq!(
        (origin.last().header("if-none-match"), origin.last().header("range")),
        (Some("\"v1\""), None)
    );
    let other = get(&gateway, "/", &says("200 | Cache-Control: max-age=60 | ETag: \"v2\""));
    assert_eq!((other.status, other.text().as_str()), (200, "4"));
    assert_eq!(get(&gateway, "/", "").text(), "4");
    let seen = gateway.metrics().get("tollgate_cache_total{route=\"all\",result=\"revalidated\"}");
    assert_eq!(seen, 2.0);
}

#[test]
fn a_304_may_make_an_answer_fresh_again() {
    let origin = origin();
    let gateway = start(&origin);
    assert_eq!(
        get(&gateway, "/", &says("200 | Cache-Control: max-age=0 | ETag: \"v1\" | X-A: old | X-B: kept"))
            .text(),
        "1"
    );
    let lines = says("200 | Cache-Control: max-age=60 | ETag: \"v1\" | X-A: new | Set-Cookie: a=b");
    let validated = get(&gateway, "/", &lines);
    assert_eq!(validated.header("set-cookie"), Some("a=b"), "this client's");
    let hit = get(&gateway, "/", "");
    assert!(is_hit(&hit), "{}", status(&hit));
    assert_eq!(
        (hit.header("x-a"), hit.header("x-b"), hit.header("set-cookie")),
        (Some("new"), Some("kept"), None)
    );
}

#[test]
fn a_stale_answer_is_given_while_a_newer_one_is_fetched() {
    let origin = origin();
    let gateway = start(&origin);
    for (path, lines) in [
        ("/theirs", says("200 | Cache-Control: max-age=0, stale-while-revalidate=60")),
        ("/lenient/ours", says("200 | Cache-Control: max-age=0")),
    ] {
        let first = get(&gateway, path, &lines).text();
        let stale = get(&gateway, path, &lines);
        assert_eq!(stale.text(), first, "{path}");
        assert!(status(&stale).starts_with("tollgate; hit; ttl="), "{}", status(&stale));
        let seen = || origin.requests().into_iter().filter(|seen| seen.target() == path);
        wait_for("a request for a newer answer", || seen().count() >= 2);
        let asked: Vec<_> = seen().map(|seen| seen.header("x-forwarded-for").map(str::to_owned)).collect();
        // A service takes a request without it for one from inside.
        assert_eq!(
            (asked[0].as_deref(), &asked[1]),
            (Some("127.0.0.1"), &asked[0]),
            "it is the same request"
        );
        wait_for("the newer answer", || get(&gateway, path, &lines).text() != first);
    }
    wait_for("the records", || {
        let records = gateway.stdout().records();
        records.iter().any(|record| record["cache"] == "stale" && record["upstream"].is_null())
    });
}

/// One answer that is not kept does not end the asking: nobody waits for it.
#[test]
fn an_upstream_that_failed_once_is_asked_again() {
    let origin = origin();
    let gateway = start(&origin);
    let good = says("200 | Cache-Control: max-age=0, stale-while-revalidate=60");
    let first = get(&gateway, "/theirs", &good).text();
    assert_eq!(get(&gateway, "/theirs", &says("500")).text(), first, "stale, and the newer one is an error");
    wait_for("the error", || origin.count() == 2);
    let failed = Instant::now();
    wait_for("the newer answer", || get(&gateway, "/theirs", &good).text() != first);
    assert!(failed.elapsed() < Duration::from_secs(5), "{:?}", failed.elapsed());
}

#[test]
fn a_newer_answer_is_fetched_once_at_a_time() {
    let gate = tollgate_testkit::Gate::new();
    let inside = gate.clone();
    let origin = Origin::start(move |conn| {
        loop {
            let seen = conn.request()?;
            if seen.header("x-late").is_some() {
                inside.wait();
            }
            let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=0, stale-while-revalidate=60\r\nContent-Length: 1\r\n\r\n";
            conn.send(format!("{head}{}", if seen.header("x-late").is_some() { "b" } else { "a" }))?;
        }
    });
    let gateway = start(&origin);
    assert_eq!(get(&gateway, "/", "").text(), "a");
    for _ in 0..20 {
        assert_eq!(get(&gateway, "/", "X-Late: 1\r\n").text(), "a");
    }
    assert_holds("one asks", Duration::from_millis(200), || origin.count() <= 2);
    gate.open();
    wait_for("the newer answer", || get(&gateway, "/", "X-Late: 1\r\n").text() == "b");
}

#[test]
fn a_stale_answer_stands_for_an_upstream_that_fails() {
    let origin = origin();
    let gateway = start(&origin);
    let theirs = says("200 | Cache-Control: max-age=0, stale-if-error=60");
    let strict = says("200 | Cache-Control: max-age=0, must-revalidate, stale-if-error=60 | ETag: \"v1\"");
    assert_eq!(get(&gateway, "/theirs", &theirs).text(), "1");
    assert_eq!(get(&gateway, "/strict", &strict).text(), "2");
    let covered = get(&gateway, "/theirs", &says("503"));
    assert_eq!((covered.status, covered.text().as_str()), (200, "1"));
    assert!(
        status(&covered).starts_with("tollgate; fwd=stale; fwd-status=503; ttl="),
        "{}",
        status(&covered)
    );
    assert_eq!(
        get(&gateway, "/theirs", &says("403")).status,
        403,
        "not every status is a failure of the upstream"
    );
    assert_eq!(get(&gateway, "/strict", &says("503")).status, 503);
    drop(origin);
    let covered = get(&gateway, "/theirs", "");
    assert_eq!((covered.status, covered.text().as_str()), (200, "1"));
    assert_eq!(get(&gateway, "/strict", "").status, 502);
    let record = gateway.record(|record| {
        record["path"] == "/theirs" && record["attempts"] == 1 && record["cache"] == "stale"
    });
    assert_eq!(record["status"], 200);
}

#[test]
fn a_304_without_a_date_counts_from_when_it_came() {
    let origin = origin();
    let gateway = start(&origin);
    let old = "Date: Sun, 06 Nov 1994 08:49:37 GMT";
    get(&gateway, "/", &says(&format!("200 | {old} | Cache-Control: max-age=60 | ETag: \"v1\"")));
    let lines = says("200 | Cache-Control: max-age=60 | ETag: \"v1\"");
    let renewed = get(&gateway, "/", &lines);
    assert!(status(&renewed).contains("fwd-status=304; stored"), "{}", status(&renewed));
    let hit = get(&gateway, "/", &lines);
    assert!(is_hit(&hit), "{}", status(&hit));
    assert_eq!((hit.text().as_str(), origin.count()), ("1", 2));
    assert_ne!(hit.header("date").map(|date| format!("Date: {date}")).as_deref(), Some(old));
}

#[test]
fn a_stale_answer_stands_for_an_upstream_to_which_nobody_gives_a_token() {
    let issuer = Issuer::start();
    issuer.granted_life(serde_json::json!(3));
    let origin = Origin::saying("HTTP/1.1 200 OK\r\nCache-Control: max-age=0\r\nContent-Length: 1\r\n\r\na");
    let text = "
workers: 1
upstreams:
  u: { targets: [@ORIGIN@], auth: { oauth2: { token_url: @ISSUER@/token, client_id: 'gate:way', client_secret: '@SECRET@' } } }
routes:
  - { path: /kept, to: u, cache: { stale_if_error: 1h } }
  - { path: /plain, to: u }
";
    let gateway = gateway!(text, ORIGIN = origin.url(), ISSUER = issuer.url(), SECRET = CLIENT_SECRET);
    assert_eq!(get(&gateway, "/kept", "").text(), "a");
    issuer.down();
    wait_for("the token's end", || get(&gateway, "/plain", "").status == 503);
    assert_eq!(get(&gateway, "/plain", "").code(), "issuer_unavailable");
    let covered = get(&gateway, "/kept", "");
    assert_eq!((covered.status, covered.text().as_str()), (200, "a"));
}

/// What is kept of an aggregate is whole, and given as it is: that its parts fail now says nothing about it.
#[test]
fn an_aggregate_that_is_given_stale_says_what_it_said() {
    let fails = Arc::new(AtomicBool::new(false));
    let theirs = fails.clone();
    let origin = Origin::start(move |conn| {
        loop {
            conn.request()?;
            let status = if theirs.load(Ordering::SeqCst) { 500 } else { 200 };
            conn.send(format!(
                "HTTP/1.1 {status} Status\r\nCache-Control: max-age=0\r\nContent-Length: 9\r\n\r\n{{\"a\": 1}}\n"
            ))?;
        }
    });
    let text = "
routes:
  - { path: /kept, cache: { stale_if_error: 1h }, aggregate: { parts: [{ name: a, to: @ORIGIN@, path: /a }] } }
";
    let gateway = gateway!(text, ORIGIN = origin.url());
    let first = get(&gateway, "/kept", "");
    fails.store(true, Ordering::SeqCst);
    let stale = get(&gateway, "/kept", "");
    assert!(status(&stale).starts_with("tollgate; fwd=stale"), "{}", status(&stale));
    assert_eq!((stale.status, stale.text()), (200, first.text()));
    for name in ["cache-control", "x-tollgate-completed"] {
        assert_eq!(stale.header(name), first.header(name), "{name}");
    }
}

#[test]
fn a_miss_that_fails_says_so() {
    let gateway = gateway!(
        "routes:\n  - { path: /*, to: \"http://@NOBODY@\", cache: {} }\n",
        NOBODY = Port::reserve().address()
    );
    let answer = get(&gateway, "/", "");
    assert_eq!((answer.status, status(&answer)), (502, "tollgate; fwd=uri-miss"));
}

#[test]
fn without_leave_nothing_stale_is_given() {
    let origin = Origin::start(|conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=0\r\nETag: \"a\"\r\nConnection: close\r\nContent-Length: 1\r\n\r\na")?;
        behaviour::hang(conn)
    });
    let gateway = start(&origin);
    assert_eq!(get(&gateway, "/", "").text(), "a");
    drop(origin);
    assert_eq!(get(&gateway, "/", "").status, 502);
}
