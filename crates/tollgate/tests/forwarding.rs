//! What the upstream is told: path, Host, forwarding headers, and nothing of the client's connection.

use serde_json::{Value, json};
use tollgate_testkit::{Gateway, Origin, gateway, is_uuid_v7};

const PLAIN: &str = "
routes:
  - path: /*
    to: @ORIGIN@
";

const TRUSTING: &str = "
trusted_proxies: [127.0.0.0/8, 10.0.0.0/8, 2001:db8:1::/48]
routes:
  - path: /who
    respond: { body: \"{client_ip}\" }
  - path: /*
    to: @ORIGIN@
";

/// Sends a GET with these header lines and gives what the echoing origin saw.
#[track_caller]
fn echo(gateway: &Gateway, lines: &str) -> Value {
    let answer = gateway.client().exchange(format!("GET /x HTTP/1.1\r\nHost: test\r\n{lines}\r\n"));
    assert_eq!(answer.status, 200, "{answer:#?}");
    answer.json()["headers"].clone()
}

#[test]
fn hop_by_hop_headers_stay_here() {
    let origin = Origin::echo();
    let gateway = gateway!(PLAIN, ORIGIN = origin.url());
    let headers = echo(
        &gateway,
        "Connection: keep-alive, X-Hop\r\nConnection: x-hop-2\r\nX-Hop: 1\r\nX-Hop-2: 1\r\nKeep-Alive: 5\r\n\
         Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\nTE: gzip\r\nUpgrade: h2c\r\n\
         X-End: 1\r\n",
    );
    for name in ["x-hop", "x-hop-2", "keep-alive", "proxy-connection", "proxy-authorization", "te", "upgrade"]
    {
        assert_eq!(headers[name], Value::Null, "{name} in {headers}");
    }
    assert!(headers["connection"].is_null() || headers["connection"] == json!(["keep-alive"]), "{headers}");
    assert_eq!(headers["x-end"], json!(["1"]));
}

#[test]
fn te_keeps_trailers_only() {
    let origin = Origin::echo();
    let gateway = gateway!(PLAIN, ORIGIN = origin.url());
    for te in ["trailers", "gzip;q=0.5, trailers", "deflate, Trailers"] {
        let headers = echo(&gateway, &format!("TE: {te}\r\nConnection: TE\r\n"));
        assert_eq!(headers["te"], json!(["trailers"]), "{te}");
    }
}

/// `Connection` names headers of the hop; those that the gateway owns or that are the request's own are none.
#[test]
fn connection_cannot_name_what_the_gateway_owns() {
    let origin = Origin::echo();
    let gateway = gateway!(PLAIN, ORIGIN = origin.url());
    let headers = echo(
        &gateway,
        "Connection: Host, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Request-Id, Via, Forwarded\r\n",
    );
    for name in ["host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "via"] {
        assert!(headers[name].is_array(), "{name} is missing in {headers}");
    }
    let body =
        "POST /x HTTP/1.1\r\nHost: test\r\nConnection: Content-Length\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(gateway.client().exchange(body).json()["body"], "hello");
}

#[test]
fn an_untrusted_client_cannot_say_where_it_comes_from() {
    let origin = Origin::echo();
    let gateway = gateway!(PLAIN, ORIGIN = origin.url());
    let mut lines = String::new();
    for name in [
        "X-Forwarded-For",
        "x-forwarded-for",
        "X-FORWARDED-FOR",
        "X_Forwarded_For",
        "X-Forwarded_For",
        "x_forwarded-for",
        "X-Forwarded-Proto",
        "X_Forwarded_Proto",
        "X-Forwarded-Host",
        "X_Forwarded_Host",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Server",
        "X-Forwarded-Anything",
        "X-Real-IP",
        "X_Real_IP",
        "X-Real_Ip",
        "Forwarded",
        "forwarded",
        "FORWARDED",
    ] {
        lines.push_str(&format!("{name}: evil\r\n{name}: evil, too\r\n"));
    }
    let headers = echo(&gateway, &lines);
    assert!(!headers.to_string().contains("evil"), "{headers}");
    assert_eq!(headers["x-forwarded-for"], json!(["127.0.0.1"]));
    assert_eq!(headers["x-forwarded-proto"], json!(["http"]));
    assert_eq!(headers["x-forwarded-host"], json!(["test"]));
}

#[test]
fn request_ids() {
    let origin = Origin::echo();
    let plain = gateway!(PLAIN, ORIGIN = origin.url());
    let given = "0190b3a0-0000-7000-8000-000000000001";
    let mut seen = Vec::new();
    for lines in ["", "", &format!("X-Request-Id: {given}\r\n"), "X-Request-Id: a\r\nX-Request-ID: b\r\n"] {
        let headers = echo(&plain, lines);
        let id = headers["x-request-id"][0].as_str().unwrap_or_default().to_owned();
        assert!(is_uuid_v7(&id), "{headers}");
        assert_eq!(headers["x-request-id"].as_array().map(Vec::len), Some(1), "{headers}");
        assert!(id != given && !seen.contains(&id), "{id} again");
        plain.record(|record| record["id"] == id.as_str());
        seen.push(id);
    }
    assert!(seen.is_sorted(), "version 7 ids of one moment after another sort: {seen:?}");
    let trusting = gateway!(TRUSTING, ORIGIN = origin.url());
    assert_eq!(echo(&trusting, &format!("X-Request-Id: {given}\r\n"))["x-request-id"], json!([given]));
    trusting.record(|record| record["id"] == given);
    let made = echo(&trusting, "");
    assert!(is_uuid_v7(made["x-request-id"][0].as_str().unwrap_or_default()), "{made}");
}

/// Even a trusted proxy's id goes into logs and headers: nothing may come through that could shape them.
#[test]
fn a_strange_request_id_does_no_harm() {
    let origin = Origin::echo();
    let gateway = gateway!(TRUSTING, ORIGIN = origin.url());
    for id in ["\"},{\"x\":\"", &"a".repeat(5_000), "", "a b"] {
        echo(&gateway, &format!("X-Request-Id: {id}\r\n"));
    }
    gateway.record(|record| record["status"] == 200);
    for record in gateway.stdout().records() {
        assert!(record["id"].as_str().is_some_and(|id| !id.is_empty() && id.len() <= 256), "{record}");
    }
}

#[test]
fn via_is_added() {
    let origin = Origin::echo();
    let gateway = gateway!(PLAIN, ORIGIN = origin.url());
    assert_eq!(echo(&gateway, "")["via"], json!(["1.1 tollgate"]));
    let headers = echo(&gateway, "Via: 1.0 before\r\n");
    let all: Vec<&str> = headers["via"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(all.join(", "), "1.0 before, 1.1 tollgate");
}

/// The client's address behind trusted proxies is the rightmost one that is not trusted.
#[test]
fn client_addresses() {
    let origin = Origin::echo();
    let gateway = gateway!(TRUSTING, ORIGIN = origin.url());
    let cases = [
        ("", "127.0.0.1"),
        ("X-Forwarded-For: 1.2.3.4\r\n", "1.2.3.4"),
        ("X-Forwarded-For: 1.2.3.4, 10.0.0.1\r\n", "1.2.3.4"),
        ("X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.1, 10.0.0.2\r\n", "1.2.3.4"),
        ("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 1.2.3.4, 10.0.0.1\r\n", "1.2.3.4"),
        ("X-Forwarded-For: 6.6.6.6 ,1.2.3.4\t,  10.0.0.1\r\n", "1.2.3.4"),
        ("X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1"),
        ("X-Forwarded-For: 2001:db8::1, 2001:db8:1::5\r\n", "2001:db8::1"),
        ("Forwarded: for=1.2.3.4\r\n", "1.2.3.4"),
        ("Forwarded: For=\"1.2.3.4:5678\";proto=https;by=10.0.0.1\r\n", "1.2.3.4"),
        ("Forwarded: for=6.6.6.6, for=1.2.3.4;host=\"a,b\", for=10.0.0.1\r\n", "1.2.3.4"),
        ("Forwarded: for=\"[2001:db8::1]:4711\"\r\n", "2001:db8::1"),
        ("Forwarded: for=6.6.6.6\r\nForwarded: for=1.2.3.4\r\n", "1.2.3.4"),
        ("Forwarded: for=6.6.6.6\r\nX-Forwarded-For: 1.2.3.4\r\n", "1.2.3.4"),
    ];
    for (lines, client) in cases {
        let answer = gateway.client().exchange(format!("GET /who HTTP/1.1\r\nHost: test\r\n{lines}\r\n"));
        assert_eq!(answer.text(), client, "{lines:?}");
    }
    gateway.record(|record| record["client"] == "2001:db8::1");
}

#[test]
fn behind_a_trusted_proxy_the_chain_grows() {
    let origin = Origin::echo();
    let gateway = gateway!(TRUSTING, ORIGIN = origin.url());
    let headers = echo(
        &gateway,
        "X-Forwarded-For: 1.2.3.4, 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop\r\n",
    );
    let chain: Vec<&str> =
        headers["x-forwarded-for"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(chain.join(", "), "1.2.3.4, 10.0.0.1, 127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], json!(["https"]));
    assert_eq!(headers["x-forwarded-host"], json!(["shop"]));
}

#[test]
fn host_modes() {
    let origin = Origin::echo();
    let gateway = gateway!(
        "
upstreams:
  own: { targets: [@ORIGIN@] }
  kept: { targets: [@ORIGIN@], host: preserve }
  fixed: { targets: [@ORIGIN@], host: api.internal }
routes:
  - { path: /own, to: own }
  - { path: /kept, to: kept }
  - { path: /fixed, to: fixed }
",
        ORIGIN = origin.url()
    );
    for (path, host) in
        [("/own", origin.address()), ("/kept", "Shop.test:81".into()), ("/fixed", "api.internal".into())]
    {
        let answer = gateway.client().exchange(format!("GET {path} HTTP/1.1\r\nHost: Shop.test:81\r\n\r\n"));
        let headers = &answer.json()["headers"];
        let sent = headers["host"][0].as_str().unwrap_or_default();
        assert!(sent.eq_ignore_ascii_case(&host), "{path}: {headers}");
        assert_eq!(headers["host"].as_array().map(Vec::len), Some(1));
        assert_eq!(headers["x-forwarded-host"], json!(["Shop.test:81"]), "{path}");
    }
}

/// A client of HTTP/1.0 may leave Host out; the upstream, asked in HTTP/1.1, still gets one.
#[test]
fn a_request_without_a_host() {
    let origin = Origin::echo();
    let gateway = gateway!(
        "
upstreams:
  own: { targets: [@ORIGIN@] }
  kept: { targets: [@ORIGIN@], host: preserve }
routes:
  - { path: /own, to: own }
  - { path: /kept, to: kept }
",
        ORIGIN = origin.url()
    );
    for path in ["/own", "/kept"] {
        let answer = gateway.client().exchange(format!("GET {path} HTTP/1.0\r\n\r\n"));
        assert_eq!(answer.status, 200, "{path}: {answer:#?}");
        assert_eq!(answer.json()["headers"]["host"].as_array().map(Vec::len), Some(1), "{path}");
    }
    assert_eq!(origin.requests()[0].header("host"), Some(origin.address().as_str()));
}

/// One normal form, and that form is what the upstream gets.
#[test]
fn paths_are_sent_in_normal_form() {
    let origin = Origin::echo();
    let gateway = gateway!(PLAIN, ORIGIN = origin.url());
    let mut client = gateway.client();
    for (raw, sent) in [
        ("/", "/"),
        ("/a/b?q=1&q=%20+x", "/a/b?q=1&q=%20+x"),
        ("/a?", "/a?"),
        ("/a?x=/../y", "/a?x=/../y"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/a//b///c", "/a/b/c"),
        ("//a", "/a"),
        ("/a/%2e%2e/b", "/b"),
        ("/a/%2E/b", "/a/b"),
        ("/%7euser/%41%5a%30%2d", "/~user/AZ0-"),
        ("/a%2fb", "/a%2Fb"),
        ("/a%2F..%2Fb", "/a%2F..%2Fb"),
        ("/a%5cb", "/a%5Cb"),
        ("/a%c3%a9", "/a%C3%A9"),
        ("/a;v=1/../b", "/b"),
        ("/a;v=1,2:3@x!$&'()*+=", "/a;v=1,2:3@x!$&'()*+="),
        ("/%2520", "/%2520"),
        ("http://test/abs/./x?y", "/abs/x?y"),
        ("http://test", "/"),
        ("http://test?q", "/?q"),
    ] {
        let answer = client.exchange(format!("GET {raw} HTTP/1.1\r\nHost: test\r\n\r\n"));
        assert_eq!(answer.status, 200, "{raw}: {answer:#?}");
        // An empty query means nothing, so it may be kept or left out.
        let target = answer.json()["target"].as_str().unwrap_or_default().to_owned();
        assert!(target == sent || format!("{target}?") == sent, "{raw} is sent as {target}, not {sent}");
    }
}

#[test]
fn a_path_of_the_target_is_a_prefix() {
    let origin = Origin::echo();
    let gateway = gateway!(
        "
routes:
  - { path: /a/*, to: @ORIGIN@/base }
  - { path: /b/*, to: @ORIGIN@/base/ }
  - { path: /c/*, to: @ORIGIN@/, request: { strip_prefix: /c } }
  - { path: /d/*, to: @ORIGIN@/base/v1, request: { strip_prefix: /d } }
",
        ORIGIN = origin.url()
    );
    let mut client = gateway.client();
    for (path, sent) in [
        ("/a/x?q", "/base/a/x?q"),
        ("/b/x", "/base/b/x"),
        ("/c/x", "/x"),
        ("/c", "/"),
        ("/d/x/../y", "/base/v1/y"),
        ("/d/", "/base/v1/"),
    ] {
        assert_eq!(client.get(path).json()["target"], sent, "{path}");
    }
}

/// What is nobody's business passes byte for byte and in order.
#[test]
fn other_headers_pass_untouched() {
    let origin = Origin::saying(
        "HTTP/1.1 200 Fine By Me\r\nX-O: b\r\nX-O: a\r\nServer: s\r\nContent-Length: 0\r\n\r\n",
    );
    let gateway = gateway!(PLAIN, ORIGIN = origin.url());
    let mut client = gateway.client();
    client.send(b"GET / HTTP/1.1\r\nHost: test\r\nCookie: a=1\r\nX-B: 2\r\nX-A: \xe9\xff\r\nX-B: 1\r\nCookie: b=2\r\nX-E:\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.head.all("x-o"), ["b", "a"]);
    assert_eq!(answer.header("server"), Some("s"));
    let seen = origin.request();
    assert_eq!(seen.head.all("x-b"), ["2", "1"]);
    assert_eq!(seen.header("x-a"), Some("\u{e9}\u{ff}"));
    assert_eq!(seen.head.all("cookie").join("; "), "a=1; b=2");
    assert_eq!(seen.header("x-e"), Some(""));
    assert_eq!(seen.head.start, "GET / HTTP/1.1");
}

#[test]
fn methods_pass_as_they_are() {
    let origin = Origin::echo();
    let gateway = gateway!(PLAIN, ORIGIN = origin.url());
    let mut client = gateway.client();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "BREW", "get"] {
        let answer =
            client.exchange(format!("{method} / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(answer.json()["method"], method);
    }
}
