//! Small things that cost much: what is unfolded, counted or waited for has an end, and others are served meanwhile.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tollgate_testkit::{Gateway, Issuer, Origin, assert_problem, gateway, now_unix_s, wait_for};

const ROUTES: &str = "
workers: 1
upstreams: { service: { targets: [@ORIGIN@] } }
routes:
  - { path: /own, respond: { body: own } }
  - { path: '/shaped/{kind}', request: { rewrite: '/{kind}' }, response: { body: { decode: json, pick: [a] } }, to: service }
  - { path: '/xml/{kind}', request: { rewrite: '/{kind}' }, response: { body: { decode: xml, pick: [a] } }, to: service }
  - { path: '/yaml/{kind}', request: { rewrite: '/{kind}' }, response: { body: { decode: yaml, pick: [a] } }, to: service }
  - { path: '/csv/{kind}', request: { rewrite: '/{kind}' }, response: { body: { decode: csv, pick: [a] } }, to: service }
  - { path: '/part/{kind}', aggregate: { parts: [{ name: a, to: service, path: '/{kind}' }] } }
  - { path: '/part-xml/{kind}', aggregate: { parts: [{ name: a, to: service, path: '/{kind}', decode: xml }] } }
  - { path: '/part-yaml/{kind}', aggregate: { parts: [{ name: a, to: service, path: '/{kind}', decode: yaml }] } }
  - { path: /*, to: service }
";

/// A service whose answer has this body under every path.
fn saying(body: Vec<u8>, lines: &'static str) -> (Origin, Gateway) {
    let origin = Origin::start(move |conn| {
        loop {
            conn.request()?;
            conn.send(format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: {}\r\n\r\n", body.len()))?;
            conn.send(&body)?;
        }
    });
    let gateway = gateway!(ROUTES, ORIGIN = origin.url());
    (origin, gateway)
}

/// A document that cannot be had is refused at once and without much memory, and the only worker goes on.
#[track_caller]
fn check_refused(what: &str, body: Vec<u8>, lines: &'static str, targets: &[&str]) {
    let (_origin, gateway) = saying(body, lines);
    assert_eq!(gateway.get("/own").text(), "own");
    let before = gateway.own_kib();
    for target in targets {
        let begin = Instant::now();
        let answer = gateway.client().get(target);
        assert_eq!(answer.status, 502, "{what:.60} at {target}: {answer:#?}");
        assert!(begin.elapsed() < Duration::from_secs(3), "{what} at {target}: {:?}", begin.elapsed());
        assert_eq!(gateway.get("/own").text(), "own", "{what}");
    }
    let grown = gateway.own_kib().saturating_sub(before);
    assert!(grown < 96 * 1024, "{what}: {grown} KiB");
}

/// Envoy unfolded compressed bodies without a bound. The gateway unfolds none: what is compressed although nobody asked
/// for it passes as it is, or cannot be shaped.
#[test]
fn cve_2022_29225_a_bomb_of_compressed_zeros() {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..64 {
        bomb.write_all(&vec![b' '; 1 << 20]).expect("memory takes it");
    }
    let bomb = bomb.finish().expect("memory takes it");
    let length = bomb.len();
    check_refused("gzip", bomb.clone(), "Content-Encoding: gzip\r\n", &["/shaped/x", "/xml/x", "/part/x"]);
    let (_origin, gateway) = saying(bomb, "Content-Encoding: gzip\r\n");
    let before = gateway.own_kib();
    assert_eq!(gateway.get("/x").body.len(), length, "what nobody looks into passes as it is");
    assert!(gateway.own_kib().saturating_sub(before) < 8 * 1024);
}

#[test]
fn documents_that_unfold_or_nest_without_end() {
    let mut laughs = "<!DOCTYPE lolz [<!ENTITY lol \"lol\">".to_owned();
    for n in 1..10 {
        let one = if n == 1 { "&lol;".to_owned() } else { format!("&lol{};", n - 1) };
        laughs.push_str(&format!("<!ENTITY lol{n} \"{}\">", one.repeat(10)));
    }
    laughs.push_str("]><lolz>&lol9;</lolz>");
    let file = "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>";
    let parameter = "<!DOCTYPE a [<!ENTITY % x SYSTEM \"http://127.0.0.1:9/\"> %x;]><a/>";
    for document in
        [laughs.as_str(), file, parameter, "<a>".repeat(200_000).as_str(), "<a>&x;</a>", "<a b='&x;'/>"]
    {
        check_refused(document, document.into(), "", &["/xml/x", "/part-xml/x"]);
    }
    let mut aliases = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (one, next) in "abcdefgh".chars().zip("bcdefghi".chars()) {
        aliases.push_str(&format!("{next}: &{next} [{}]\n", vec![format!("*{one}"); 9].join(", ")));
    }
    for document in [
        aliases.as_str(),
        "[".repeat(100_000).as_str(),
        "{".repeat(100_000).as_str(),
        "- ".repeat(100_000).as_str(),
        "&a [*a]",
        "a: !!binary x",
    ] {
        check_refused(document, document.into(), "", &["/yaml/x", "/part-yaml/x"]);
    }
    for document in ["[".repeat(100_000).as_str(), "{\"a\":".repeat(100_000).as_str(), "{\"a\":1", "NaN"] {
        check_refused(document, document.into(), "", &["/shaped/x", "/part/x"]);
    }
    let wide = (0..20_000).map(|n| format!("c{n}")).collect::<Vec<_>>().join(",") + &"\n1".repeat(20_000);
    check_refused("csv", wide.into(), "", &["/csv/x"]);
}

/// What is large and honest costs time in proportion.
#[test]
fn many_members_of_a_document_cost_no_more_than_each_of_them() {
    let xml = format!("<a {}/>", (0..60_000).map(|n| format!("a{n}=\"1\"")).collect::<Vec<_>>().join(" "));
    let json = format!("{{{}}}", (0..100_000).map(|n| format!("\"k{n}\":1")).collect::<Vec<_>>().join(","));
    for (body, target) in [(xml, "/xml/x"), (json, "/shaped/x")] {
        let (_origin, gateway) = saying(body.into_bytes(), "");
        let begin = Instant::now();
        assert_eq!(gateway.get(target).status, 200, "{target}");
        assert!(begin.elapsed() < Duration::from_secs(3), "{target}: {:?}", begin.elapsed());
    }
}

/// HAProxy multiplied by ten as often as the exponent of a number in a token said.
#[test]
fn cve_2025_11230_numbers_with_a_huge_exponent() {
    let (issuer, origin) = (Issuer::start(), Origin::ok());
    let gateway = gateway!(
        "workers: 1\nissuers: { main: { issuer: @ISSUER@, audience: [api], algorithms: [RS256] } }\nroutes:\n  - { path: /*, auth: { jwt: main }, to: @ORIGIN@ }\n",
        ISSUER = issuer.url(),
        ORIGIN = origin.url()
    );
    let key = issuer.key();
    let header = json!({ "alg": "RS256", "kid": key.id }).to_string();
    let begin = Instant::now();
    for number in [
        "1e999999999",
        "-1e999999999",
        "1e-999999999",
        "9".repeat(6_000).as_str(),
        format!("0.{}1", "0".repeat(6_000)).as_str(),
    ] {
        for exp in [(number, true), (&*(now_unix_s() + 600).to_string(), false)] {
            let (exp, in_exp) = exp;
            let more = if in_exp { String::new() } else { format!(",\"n\":{number}") };
            let claims = format!(r#"{{"iss":"{}","aud":"api","sub":"u","exp":{exp}{more}}}"#, issuer.url());
            let token = key.token_of(header.as_bytes(), claims.as_bytes());
            let head = format!("GET /x HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\r\n");
            let status = gateway.client().exchange(head).status;
            assert!([200, 401].contains(&status), "{status} for {number:.20}");
        }
    }
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

/// Envoy reckoned with a timeout of gRPC that was too large to reckon with.
#[test]
fn cve_2021_28682_timeouts_of_grpc_that_overflow() {
    let origin = Origin::ok();
    let gateway = gateway!("routes:\n  - { path: /*, to: @ORIGIN@ }\n", ORIGIN = origin.url());
    for timeout in [
        "99999999H",
        "99999999n",
        "18446744073709551615S",
        "-1S",
        "0n",
        "",
        "1",
        "H",
        "9999999999999999999999999H",
    ] {
        let head = format!(
            "POST /a/b HTTP/1.1\r\nHost: test\r\nContent-Type: application/grpc\r\nTE: trailers\r\ngrpc-timeout: {timeout}\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(gateway.client().exchange(head).status, 200, "{timeout:?}");
    }
}

/// A gateway that is its own service asks itself until no connection is left, and then says so. Traefik went on.
#[test]
fn cve_2023_47633_a_gateway_that_asks_itself_comes_to_an_end() {
    let gateway = gateway!(
        "workers: 1\nupstreams: { own: { targets: ['http://@LISTEN@'], connect_timeout: 300ms, timeout: 5s, pool: { max_connections: 32 } } }\nroutes:\n  - { path: /own, respond: { body: own } }\n  - { path: /*, to: own }\n"
    );
    let answer = gateway.client().get("/loop");
    assert!(answer.status >= 500, "{answer:#?}");
    assert_eq!(gateway.get("/own").text(), "own");
    wait_for("no request to be in flight", || gateway.metrics().get("tollgate_inflight_requests") == 0.0);
}

/// A thousand heads that do not end, bodies that drip, and clients that do not read, all at once: who asks properly is
/// served as ever.
#[test]
fn slow_clients_of_every_kind_are_nobodys_delay() {
    let origin = Origin::echo();
    let gateway = gateway!(
        "workers: 1\nlimits: { header_timeout: 2s, body_idle_timeout: 1s, write_idle_timeout: 1s }\nroutes:\n  - { path: /own, respond: { body: own } }\n  - { path: /*, to: @ORIGIN@ }\n",
        ORIGIN = origin.url()
    );
    assert_eq!(gateway.get("/own").text(), "own");
    let before = gateway.own_kib();
    let kinds = [
        "",
        "G",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\nX-A: ",
        "POST /up HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nx",
        "POST /up HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
        "POST /up HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: ",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    let mut slow: Vec<_> = (0..450)
        .map(|n| {
            let mut client = gateway.client();
            let _ = client.try_send(kinds[n % kinds.len()]);
            client
        })
        .collect();
    for _ in 0..50 {
        let begin = Instant::now();
        assert_eq!(gateway.get("/own").text(), "own");
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?} meanwhile", begin.elapsed());
    }
    let grown = gateway.own_kib().saturating_sub(before);
    assert!(grown < 450 * 20, "450 slow clients hold {grown} KiB");
    for client in &mut slow {
        let _ = client.drain();
    }
    wait_for("every one of them to be closed", || gateway.metrics().sum("tollgate_connections", &[]) == 0.0);
    assert!(origin.requests().iter().all(|seen| !seen.complete), "none of them is whole");
}

/// A configuration that is posted to be checked costs no more than its bounds, whatever stands in it.
#[test]
fn configurations_that_unfold_are_refused() {
    let gateway = gateway!("routes:\n  - { path: /, respond: { body: own } }\n");
    let address = gateway.admin_address();
    let before = gateway.own_kib();
    let mut aliases = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (one, next) in "abcdefgh".chars().zip("bcdefghi".chars()) {
        aliases.push_str(&format!("{next}: &{next} [{}]\n", vec![format!("*{one}"); 9].join(", ")));
    }
    let route = |keys: &str| format!("routes:\n  - {{ path: /x, to: 'http://127.0.0.1:9', {keys} }}\n");
    for text in [
        aliases,
        "[".repeat(100_000),
        "a: ".repeat(50_000),
        "? ".repeat(100_000),
        route(&format!("guard: [{{ if: '{}true{}' }}]", "(".repeat(5_000), ")".repeat(5_000))),
        route(&format!("guard: [{{ if: '{}' }}]", "!".repeat(20_000))),
        route("headers: { x: '~((a{1,1000}){1,1000}){1,1000}' }"),
        route(&format!("response: {{ body: {{ jq: '{}' }} }}", "[".repeat(20_000))),
        route("lua: { inline: 'while true do end' }"),
        route("lua: { inline: 'local t = {} while true do t[#t + 1] = (\"x\"):rep(1e6) end' }"),
        "include: [/etc/passwd, /proc/self/environ]\n".to_owned(),
    ] {
        let request = format!(
            "POST /api/v1/check HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        );
        let begin = Instant::now();
        let answer = tollgate_testkit::Client::connect(&address).exchange(request);
        let shown: String = text.chars().take(60).collect();
        assert_eq!((answer.status, &answer.json()["ok"]), (200, &json!(false)), "{shown}: {answer:?}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{shown}: {:?}", begin.elapsed());
        assert!(!answer.text().contains("root:"), "{shown}");
    }
    let grown = gateway.own_kib().saturating_sub(before);
    assert!(grown < 128 * 1024, "{grown} KiB");
    assert_problem(&gateway.get("/none"), "route_not_found");
}
