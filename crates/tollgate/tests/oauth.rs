//! The gateway's own tokens toward an upstream: who is shown them, when they are replaced, and what happens when nobody
//! gives any.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tollgate_testkit::behaviour::response;
use tollgate_testkit::{
    CLIENT_SECRET, Client, Gateway, Issuer, Origin, assert_holds, assert_problem, gateway, wait_for,
};

const ONE: &str = "
workers: 2
upstreams:
  u:
    targets: [@ORIGIN@]
    auth:
      oauth2:
        token_url: @ISSUER@/token
        client_id: gate:way
        client_secret: '@SECRET@'
        scopes: [read, write]
        audience: https://api/
routes:
  - { path: /open, respond: { body: open } }
  - { path: /*, to: u }
";

/// A service that takes the tokens from the one of this number on, and answers with what it was shown and sent.
fn service(from: &Arc<AtomicUsize>) -> Origin {
    let from = from.clone();
    Origin::start(move |conn| {
        loop {
            let seen = conn.request()?;
            let shown = seen.header("authorization").unwrap_or("nothing").to_owned();
            let number = shown.strip_prefix("Bearer granted-").and_then(|number| number.parse().ok());
            let status =
                if number.is_some_and(|number: usize| number >= from.load(SeqCst)) { 200 } else { 401 };
            let body = format!("{shown} {} {}", seen.method(), String::from_utf8_lossy(&seen.body));
            conn.send(response(status, body.as_bytes()))?;
        }
    })
}

fn number(from: usize) -> Arc<AtomicUsize> {
    Arc::new(AtomicUsize::new(from))
}

#[track_caller]
fn start(text: &str, origin: &Origin, issuer: &Issuer) -> Gateway {
    gateway!(text, ORIGIN = origin.url(), ISSUER = issuer.url(), SECRET = CLIENT_SECRET)
}

fn token_health(gateway: &Gateway) -> Value {
    gateway.admin("/health").json()["tokens"]["u"].clone()
}

#[track_caller]
fn wait_status(gateway: &Gateway, status: &str) {
    wait_for(status, || token_health(gateway)["status"] == status);
}

#[test]
fn requests_show_the_gateways_token_and_nobody_elses() {
    let (issuer, origin) = (Issuer::start(), service(&number(1)));
    let gateway = start(ONE, &origin, &issuer);
    let lines = "Host: test\r\nAuthorization: Bearer client\r\nAUTHORIZATION: Basic eDp5\r\n";
    for _ in 0..5 {
        assert_eq!(gateway.get("/").text(), "Bearer granted-1 GET ");
        let answer = gateway.client().exchange(format!("GET / HTTP/1.1\r\n{lines}\r\n"));
        assert_eq!(answer.text(), "Bearer granted-1 GET ");
        let post = format!("POST / HTTP/1.1\r\n{lines}Content-Length: 3\r\n\r\nabc");
        assert_eq!(gateway.client().exchange(post).text(), "Bearer granted-1 POST abc");
    }
    assert!(origin.requests().iter().all(|seen| seen.head.lines.iter().filter(is_credential).count() == 1));
    assert_eq!(issuer.count_token(), 1);
    let asked = issuer.asked();
    let told = |name: &str| asked.get(name).map(String::as_str);
    assert_eq!((told("grant_type"), told("scope")), (Some("client_credentials"), Some("read write")));
    assert_eq!((told("audience"), told("client_secret")), (Some("https://api/"), None));
    let health = token_health(&gateway);
    assert_eq!((&health["status"], &health["last_error"]), (&json!("ok"), &Value::Null), "{health}");
    assert!((3000..=3600).contains(&health["ends_in_s"].as_u64().unwrap_or(0)), "{health}");
    assert_eq!(gateway.admin("/health").json()["upstreams"]["u"]["token"], "ok");
    let metrics = gateway.metrics();
    assert_eq!(metrics.get("tollgate_upstream_token_refresh_total{upstream=\"u\",result=\"ok\"}"), 1.0);
    assert!(metrics.get("tollgate_upstream_token_seconds{upstream=\"u\"}") > 3000.0);
}

fn is_credential(line: &&(String, String)) -> bool {
    line.0.eq_ignore_ascii_case("authorization")
}

#[test]
fn credentials_can_go_in_the_form() {
    let (issuer, origin) = (Issuer::start(), service(&number(1)));
    let text = ONE.replace("audience: https://api/", "client_auth: body");
    let gateway = start(&text, &origin, &issuer);
    assert_eq!(gateway.get("/").status, 200);
    let asked = issuer.asked();
    assert_eq!(asked.get("client_id").map(String::as_str), Some("gate:way"));
    assert_eq!(asked.get("client_secret").map(String::as_str), Some(CLIENT_SECRET));
    assert_eq!(asked.get("audience"), None);
}

#[test]
fn a_token_is_replaced_before_it_ends() {
    let (issuer, origin) = (Issuer::start(), service(&number(1)));
    issuer.granted_life(json!(1));
    let gateway = start(ONE, &origin, &issuer);
    wait_for("several tokens", || {
        assert_eq!(gateway.get("/").status, 200, "there is always one");
        issuer.count_token() >= 4
    });
    wait_for("a newer one to be shown", || gateway.get("/").text().starts_with("Bearer granted-4"));
}

/// One answer of 401 is enough to get another token, for everybody who was refused, whatever they asked for.
#[test]
fn a_refused_token_is_replaced_once() {
    let (issuer, from) = (Issuer::start(), number(1));
    let origin = service(&from);
    let gateway = start(ONE, &origin, &issuer);
    assert_eq!(gateway.get("/").text(), "Bearer granted-1 GET ");
    from.store(2, SeqCst);
    issuer.slow(Duration::from_millis(200));
    let post = "POST /post HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc";
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..10).map(|_| scope.spawn(|| gateway.client().exchange(post).text())).collect();
        for one in all {
            assert_eq!(one.join().unwrap(), "Bearer granted-2 POST abc");
        }
    });
    assert_eq!(issuer.count_token(), 2);
    gateway.record(|record| record["path"] == "/post" && record["attempts"] == 2);
    assert!(gateway.metrics().get("tollgate_retries_total{upstream=\"u\"}") >= 1.0);
}

/// It is not the token that such a service is after: its answer goes to the client, and the issuer is left in peace.
#[test]
fn a_service_that_refuses_them_all_is_believed() {
    let (issuer, origin) = (Issuer::start(), service(&number(usize::MAX)));
    let gateway = start(ONE, &origin, &issuer);
    for _ in 0..10 {
        let answer = gateway.get("/");
        assert_eq!(answer.status, 401);
        assert!(answer.text().starts_with("Bearer granted-"), "the service's own answer: {}", answer.text());
    }
    assert_eq!((issuer.count_token(), origin.count()), (2, 11), "one of the ten was asked again");
}

#[test]
fn a_body_that_is_gone_is_not_sent_again() {
    let (issuer, from) = (Issuer::start(), number(2));
    let origin = service(&from);
    let gateway = start(ONE, &origin, &issuer);
    let long = "x".repeat(100 * 1024);
    let post = format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{long}", long.len());
    let mut client = gateway.client();
    assert_eq!(client.exchange(post).status, 401);
    assert_eq!((issuer.count_token(), origin.count()), (1, 1));
    assert_eq!(client.get("/").status, 200, "the next one can be asked again");
}

fn explained(gateway: &Gateway) -> Value {
    let (host, body) = (gateway.admin_address(), "{\"url\":\"http://test/\"}");
    let length = body.len();
    let answer = Client::connect(&host).exchange(format!(
        "POST /api/v1/explain HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    let outcome = &answer.json()["outcome"];
    json!([outcome["verdict"], outcome["status"], outcome["reason"]])
}

#[test]
fn an_issuer_that_is_down_at_the_start_hinders_nobody_else() {
    let (issuer, origin) = (Issuer::down_at_first(&["RS256"]), service(&number(1)));
    let gateway = start(ONE, &origin, &issuer);
    wait_for("the first fetch to fail", || !token_health(&gateway)["last_error"].is_null());
    let started = Instant::now();
    for _ in 0..20 {
        let answer = gateway.get("/");
        assert_problem(&answer, "issuer_unavailable");
        assert!(answer.head.get("retry-after").is_some());
    }
    assert!(started.elapsed() < Duration::from_secs(2), "nobody waits for what does not come");
    // An explanation says the same.
    assert_eq!(explained(&gateway), json!(["refused", 503, "issuer_unavailable"]));
    assert_eq!(gateway.get("/open").text(), "open");
    origin.assert_untouched();
    assert_eq!(token_health(&gateway)["status"], "unavailable");
    assert_eq!(gateway.admin("/health").json()["upstreams"]["u"]["status"], "down");
    assert_eq!(gateway.record_of("/")["upstream"], "u");
    gateway.stderr().wait_line("no token for the upstream");
    issuer.up();
    wait_for("the gateway to notice by itself", || gateway.get("/").status == 200);
    assert_eq!(explained(&gateway), json!(["sent", null, null]));
    gateway.stderr().wait_line("can be fetched again");
    let warnings = gateway.stderr().lines().iter().filter(|line| line.contains("no token")).count();
    assert_eq!(warnings, 1, "one for the state, not one for each try");
}

#[test]
fn a_slow_issuer_is_waited_for_as_long_as_for_a_connection() {
    let (issuer, origin) = (Issuer::start(), service(&number(1)));
    issuer.slow(Duration::from_millis(300));
    let gateway = start(ONE, &origin, &issuer);
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(issuer.count_token(), 1);

    let (issuer, origin) = (Issuer::start(), service(&number(1)));
    issuer.slow(Duration::from_secs(3));
    let text = ONE.replace("    auth:\n", "    connect_timeout: 200ms\n    auth:\n");
    let gateway = start(&text, &origin, &issuer);
    let started = Instant::now();
    assert_problem(&gateway.get("/"), "issuer_unavailable");
    let spent = started.elapsed();
    assert!((Duration::from_millis(190)..Duration::from_secs(2)).contains(&spent), "{spent:?}");
    assert_eq!(gateway.get("/open").text(), "open");
    origin.assert_untouched();
}

/// The end of the whole request comes first.
#[test]
fn a_deadline_holds_while_a_token_is_waited_for() {
    let (issuer, origin) = (Issuer::start(), service(&number(1)));
    issuer.slow(Duration::from_secs(3));
    let text = ONE.replace("path: /*, to: u", "path: /*, deadline: 200ms, to: u");
    let gateway = start(&text, &origin, &issuer);
    let started = Instant::now();
    assert_problem(&gateway.get("/"), "upstream_timeout");
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_token_is_good_to_its_end_while_the_issuer_is_down() {
    let (issuer, origin) = (Issuer::start(), service(&number(1)));
    issuer.granted_life(json!(3));
    let gateway = start(ONE, &origin, &issuer);
    assert_eq!(gateway.get("/").status, 200);
    type Trouble = (fn(&Issuer), &'static str);
    let troubles: [Trouble; 3] = [
        (|issuer| issuer.status(500), "answered 500"),
        (|issuer| issuer.garbage(), "not JSON"),
        (|issuer| issuer.oversized(), "an answer of more than"),
    ];
    for (begin, expect) in troubles {
        begin(&issuer);
        wait_status(&gateway, "stale");
        assert_eq!(gateway.get("/").status, 200, "{expect}");
        assert_eq!(gateway.admin("/health").json()["upstreams"]["u"]["status"], "degraded");
        let error = token_health(&gateway)["last_error"].to_string();
        assert!(error.contains(expect), "{error}");
        issuer.well();
        wait_status(&gateway, "ok");
    }
    issuer.down();
    wait_status(&gateway, "unavailable");
    assert_problem(&gateway.get("/"), "issuer_unavailable");
    issuer.up();
    wait_for("it to be well again", || gateway.get("/").status == 200);
}

#[test]
fn a_wrong_secret_is_told_by_the_issuers_own_word() {
    let (issuer, origin) = (Issuer::start(), service(&number(1)));
    let gateway = gateway!(ONE, ORIGIN = origin.url(), ISSUER = issuer.url(), SECRET = "WRONG-SECRET");
    wait_for("the refusal", || token_health(&gateway)["last_error"] == "answered 401: invalid_client");
    gateway.stderr().wait_line("invalid_client");
    assert!(!gateway.stderr().text().contains("WRONG-SECRET"));
    assert_problem(&gateway.get("/"), "issuer_unavailable");
}

const EVERYWHERE: &str = "
workers: 1
upstreams:
  u:
    targets: [@ORIGIN@]
    health_check: { path: /health, every: 40ms, status: 200 }
    auth: { oauth2: { token_url: '@ISSUER@/token', client_id: 'gate:way', client_secret: '@SECRET@' } }
  plain: { targets: [@ORIGIN@] }
routes:
  - path: /whole
    aggregate: { parts: [{ name: a, to: u, path: /part, success: 200-299, decode: text }] }
  - { path: /copied, to: '@OTHER@', mirror: { to: u, share: 100% } }
  - { path: /plain, to: plain }
";

/// Health checks, parts and copies are requests like any other; what goes elsewhere does not have the token.
#[test]
fn what_the_gateway_asks_by_itself_shows_the_token_too() {
    let (issuer, origin, other) = (Issuer::start(), service(&number(1)), Origin::ok());
    let names = [
        ("ORIGIN", origin.url()),
        ("OTHER", other.url()),
        ("ISSUER", issuer.url()),
        ("SECRET", CLIENT_SECRET.to_owned()),
    ];
    let gateway = Gateway::start(tollgate_testkit::binary!(), EVERYWHERE, &names);
    let seen = |target: &str| origin.requests().into_iter().find(|seen| seen.target() == target);
    wait_for("some checks", || origin.count() > 5);
    assert!(gateway.get("/whole").text().contains("Bearer granted-1"));
    let lines = "Host: test\r\nAuthorization: Bearer client\r\n";
    let ask = |path: &str| gateway.client().exchange(format!("GET {path} HTTP/1.1\r\n{lines}\r\n"));
    assert_eq!(ask("/copied").status, 200);
    wait_for("the copy", || seen("/copied").is_some());
    assert_eq!(other.request().header("authorization"), Some("Bearer client"));
    for target in ["/health", "/part", "/copied"] {
        let shown = seen(target).expect(target);
        assert_eq!(shown.header("authorization"), Some("Bearer granted-1"), "{target}");
    }
    assert_eq!(ask("/plain").text(), "Bearer client GET ");
    assert_eq!(gateway.admin("/health").json()["upstreams"]["u"]["status"], "ok");
}

/// A check that cannot show the token says nothing of the target; one whose token is refused gets another.
#[test]
fn health_checks_do_not_blame_the_target_for_the_token() {
    let (issuer, from) = (Issuer::down_at_first(&["RS256"]), number(1));
    let origin = service(&from);
    let text = ONE.replace(
        "    auth:\n",
        "    health_check: { every: 40ms, unhealthy_after: 2, status: 200 }\n    auth:\n",
    );
    let gateway = start(&text, &origin, &issuer);
    let healthy = || gateway.admin("/health").json()["upstreams"]["u"]["targets"][0]["healthy"] == true;
    assert_holds("it is not asked, and stays as it is", Duration::from_millis(500), || {
        healthy() && origin.count() == 0
    });
    issuer.up();
    wait_for("checks", || origin.count() > 3);
    assert!(healthy());
    from.store(2, SeqCst);
    wait_for("another token", || origin.last().header("authorization") == Some("Bearer granted-2"));
    wait_for("it to be well", healthy);
}

#[test]
fn a_reload_keeps_the_token_of_credentials_that_stay() {
    let (issuer, origin) = (Issuer::start(), service(&number(1)));
    let names = [("ORIGIN", origin.url()), ("ISSUER", issuer.url()), ("SECRET", CLIENT_SECRET.to_owned())];
    let gateway = Gateway::start(tollgate_testkit::binary!(), ONE, &names);
    assert_eq!(gateway.get("/").text(), "Bearer granted-1 GET ");
    gateway.replace_file(&gateway.complete(&ONE.replace("path: /open", "path: /opener"), &names));
    gateway.wait_generation(2);
    assert_eq!((gateway.get("/").text().as_str(), issuer.count_token()), ("Bearer granted-1 GET ", 1));
    gateway.replace_file(&gateway.complete(&ONE.replace("read, write", "read"), &names));
    gateway.wait_generation(3);
    wait_for("the token for other scopes", || gateway.get("/").text() == "Bearer granted-2 GET ");
    assert_eq!(issuer.asked().get("scope").map(String::as_str), Some("read"));
    gateway.replace_file(&gateway.complete("routes: [{ path: /*, to: '@ORIGIN@' }]\n", &names));
    gateway.wait_generation(4);
    assert_eq!(gateway.get("/").text(), "nothing GET ");
    assert_eq!(gateway.admin("/health").json()["tokens"], json!({}));
}
