//! User agents that may not call, and routes that forward only what they list.

use tollgate_testkit::{Gateway, Origin, Response, assert_problem, gateway};

const AGENTS: &str = r#"
routes:
  - path: /bots
    user_agents: { deny: ["~(?i)badbot", "curl/8.0"], allow: [GoodBadBot/1.0] }
    respond: { body: in }
  - path: /named
    user_agents: { empty: deny }
    respond: { body: in }
  - path: /only
    user_agents: { deny: ["~"], allow: ["~^app/"], empty: deny }
    respond: { body: in }
  - path: /limited
    user_agents: { deny: [x] }
    rate_limit: { rate: 1/h, per: all }
    auth: { api_key: { header: x-api-key } }
    respond: { body: in }
  - path: /cors
    user_agents: { deny: ["~"] }
    cors: { origins: ["https://app.example.com"] }
    respond: { body: in }
consumers: [{ name: a, keys: ["sha256:9b346041bc9a49574eb2665b2ad2a0a3f9f9cce4e42f5d1f26deb8a256b5966a"] }]
"#;

fn ask(gateway: &Gateway, path: &str, lines: &str) -> Response {
    gateway.client().exchange(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n"))
}

#[test]
fn user_agents_are_refused_by_name() {
    let gateway = gateway!(AGENTS);
    for (path, agents, passes) in [
        ("/bots", &["Mozilla/5.0"][..], true),
        ("/bots", &["xx BADBOT xx"], false),
        ("/bots", &["curl/8.0"], false),
        ("/bots", &["curl/8.0.1"], true),
        ("/bots", &["GoodBadBot/1.0"], true),
        ("/bots", &["GoodBadBot/1.1"], false),
        ("/bots", &["Mozilla/5.0", "badbot"], false),
        ("/bots", &["GoodBadBot/1.0", "badbot"], false),
        ("/bots", &[], true),
        ("/bots", &[""], true),
        ("/named", &["x"], true),
        ("/named", &[], false),
        ("/named", &[""], false),
        ("/only", &["app/2"], true),
        ("/only", &["my app/2"], false),
        ("/only", &[], false),
    ] {
        let lines: String = agents.iter().map(|agent| format!("User-Agent: {agent}\r\n")).collect();
        let response = ask(&gateway, path, &lines);
        match passes {
            true => assert_eq!(response.text(), "in", "{path} {agents:?}"),
            false => assert_problem(&response, "user_agent_denied"),
        }
    }
    let record = gateway.record(|record| record["status"] == 403);
    assert_eq!(record["reason"], "user_agent_denied");
    let rejected = gateway.metrics().sum("tollgate_rejected_total", &["reason=\"user_agent_denied\""]);
    assert_eq!(rejected, 9.0);
}

#[test]
fn they_are_refused_before_limits_and_identity_and_behind_preflights() {
    let gateway = gateway!(AGENTS);
    for _ in 0..3 {
        assert_problem(&ask(&gateway, "/limited", "User-Agent: x\r\n"), "user_agent_denied");
    }
    // The limit is untouched: the next one gets as far as the missing key.
    assert_problem(&ask(&gateway, "/limited", "User-Agent: y\r\n"), "key_missing");
    assert_problem(&ask(&gateway, "/limited", "User-Agent: y\r\n"), "rate_limited");

    let refused = ask(&gateway, "/cors", "User-Agent: x\r\nOrigin: https://app.example.com\r\n");
    assert_problem(&refused, "user_agent_denied");
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://app.example.com"));
}

const LISTS: &str = r#"
trusted_proxies: [127.0.0.2/32]
routes:
  - { path: /some, request: { only_headers: [accept, X-One, cookie], only_query: [page, "a b"] }, to: "@ORIGIN@" }
  - path: /none
    request: { only_headers: [], only_query: [], set_headers: { x-set: "{header:x-two}" }, add_headers: { x-one: added }, set_query: { v: "{query:page}" } }
    to: "@ORIGIN@"
  - path: /key
    auth: { api_key: { query: key }, strip: true }
    request: { only_headers: [], only_query: [key, page] }
    to: "@ORIGIN@"
  - path: /removed
    request: { only_headers: [x-one, x-two], remove_headers: [x-two], only_query: [a, b], remove_query: [b] }
    to: "@ORIGIN@"
consumers: [{ name: a, keys: ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"] }]
"#;

/// The names of the headers that came, sorted, but those that the gateway itself sets.
fn names(origin: &Origin) -> Vec<String> {
    const OWN: [&str; 6] =
        ["host", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"];
    let last = origin.last();
    for own in OWN {
        assert!(last.header(own).is_some(), "{own} is missing");
    }
    let names = last.head.lines.iter().map(|(name, _)| name.to_ascii_lowercase());
    let mut names: Vec<String> = names.filter(|name| !OWN.contains(&name.as_str())).collect();
    names.sort();
    names
}

#[test]
fn only_listed_headers_and_parameters_are_forwarded() {
    let origin = Origin::echo();
    let gateway = gateway!(LISTS, ORIGIN = origin.url());
    let lines = "Accept: a\r\nX-One: 1\r\nx-one: 2\r\nX_One: 3\r\nX-Two: 2\r\nCookie: c=d\r\nUser-Agent: u\r\n\
                 Authorization: Bearer x\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n";
    for (path, headers, target) in [
        (
            "/some?page=1&x=2&a+b=3&%70age=4&",
            &["accept", "cookie", "x-one", "x-one"][..],
            "/some?page=1&a+b=3&%70age=4",
        ),
        ("/some?x=2", &["accept", "cookie", "x-one", "x-one"], "/some"),
        ("/some", &["accept", "cookie", "x-one", "x-one"], "/some"),
        ("/none?page=7&x=1", &["x-one", "x-set"], "/none?v=7"),
        ("/removed?a=1&b=2&c=3", &["x-one", "x-one"], "/removed?a=1"),
        ("/key?key=test&page=1&q=1", &[], "/key?page=1"),
    ] {
        assert_eq!(ask(&gateway, path, lines).status, 200, "{path}");
        assert_eq!((names(&origin).join(" "), origin.last().target()), (headers.join(" "), target));
    }
    let set = origin.requests().into_iter().find(|seen| seen.target() == "/none?v=7").expect("it came");
    assert_eq!((set.header("x-set"), set.header("x-one")), (Some("2"), Some("added")));
    assert_eq!(set.header("x-forwarded-proto"), Some("http"));
}

#[test]
fn what_the_protocol_needs_goes_on() {
    let origin = Origin::echo();
    let gateway = gateway!(LISTS, ORIGIN = origin.url());
    let mut client = gateway.client();
    let post = |lines: &str, body: &str| format!("POST /none HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}");
    let response = client.exchange(post("Content-Length: 5\r\nContent-Type: text/plain\r\n", "hello"));
    assert_eq!(response.status, 200);
    assert_eq!(
        (names(&origin).join(" ").as_str(), origin.last().body.as_slice()),
        ("content-length x-one x-set", &b"hello"[..])
    );
    let chunked = "Transfer-Encoding: chunked\r\nTE: trailers\r\nTrailer: x-one\r\n";
    let response = client.exchange(post(chunked, "5\r\nhello\r\n0\r\nx-one: evil\r\n\r\n"));
    assert_eq!(response.status, 200);
    let last = origin.last();
    assert_eq!(
        (names(&origin).join(" ").as_str(), last.body.as_slice()),
        ("te transfer-encoding x-one x-set", &b"hello"[..])
    );
    assert_eq!(last.trailers, [], "a trailer that is not listed stays behind");
}
