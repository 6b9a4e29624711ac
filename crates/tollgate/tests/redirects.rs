//! `follow_redirects`: what the gateway follows within an upstream, what becomes of the request on the way, and what it
//! leaves to the client.

use std::sync::Arc;

use serde_json::Value;
use tollgate_testkit::behaviour::{describe, response};
use tollgate_testkit::{CLIENT_SECRET, Conn, Gateway, Issuer, Origin, Port, gateway};

/// Answers `/<status>/<location>` with a redirect of that kind to there (`@` stands for a slash), and everything else
/// with a description of the request.
fn redirecting(conn: &mut Conn) -> std::io::Result<()> {
    loop {
        let seen = conn.request()?;
        let target = seen.target().to_owned();
        let parts = target.trim_start_matches("/v1").trim_start_matches('/').split_once('/');
        let status: Option<u16> = parts.and_then(|(status, _)| status.parse().ok());
        match (status, parts) {
            (Some(status), Some((_, location))) => {
                let location = location.replace('@', "/");
                let body = if seen.method() == "HEAD" { "" } else { "moved" };
                conn.send(format!(
                    "HTTP/1.1 {status} Status\r\nLocation: {location}\r\nContent-Length: 5\r\n\r\n{body}"
                ))?;
            }
            _ => {
                let body = describe(&seen).to_string();
                let mut answer = response(200, body.as_bytes());
                if seen.method() == "HEAD" {
                    answer.truncate(answer.len() - body.len());
                }
                conn.send(answer)?;
            }
        }
    }
}

fn start(origin: &Origin, times: u32) -> Gateway {
    gateway!(
        "workers: 1\nupstreams:\n  u: { targets: [@ORIGIN@], follow_redirects: @TIMES@ }\nroutes:\n  - { path: /*, to: u }\n",
        ORIGIN = origin.url(),
        TIMES = times
    )
}

fn targets(origin: &Origin) -> Vec<String> {
    origin.requests().iter().map(|seen| format!("{} {}", seen.method(), seen.target())).collect()
}

#[test]
fn redirects_pass_to_the_client_unless_they_are_to_be_followed() {
    let origin = Origin::start(redirecting);
    let gateway = start(&origin, 0);
    let answer = gateway.get("/302/@there");
    assert_eq!((answer.status, answer.head.get("location")), (302, Some("/there")));
    assert_eq!(origin.count(), 1);
}

#[test]
fn redirects_of_a_service_to_itself_are_followed() {
    for (status, location, arrives) in [
        (301, "@there", "/there"),
        (302, "..@there?a=b", "/there?a=b"),
        (303, "@there?", "/there?"),
        (307, "@a@..@there", "/there"),
        (308, "@there@..@%7Ehere", "/~here"),
    ] {
        let origin = Origin::start(redirecting);
        let gateway = start(&origin, 1);
        let answer = gateway.get(&format!("/{status}/{location}"));
        assert_eq!((answer.status, &answer.json()["target"]), (200, &Value::from(arrives)), "{location}");
        assert_eq!(targets(&origin)[1..], [format!("GET {arrives}")]);
        assert_eq!(origin.connections().len(), 1, "the connection is good for both");
        let record = gateway.record(|record| record["status"] == 200);
        assert_eq!((&record["attempts"], &record["method"]), (&Value::from(2), &Value::from("GET")));
        assert_eq!(gateway.metrics().get("tollgate_retries_total{upstream=\"u\"}"), 0.0);
    }
}

#[test]
fn absolute_ones_too_if_they_name_a_target() {
    let origin = Origin::start(redirecting);
    let gateway = start(&origin, 1);
    let answer = gateway.get(&format!("/302/http:@@{}@there", origin.address()));
    assert_eq!((answer.status, &answer.json()["target"]), (200, &Value::from("/there")));
}

/// What a stranger can make a service say must not make the gateway go where the stranger cannot.
#[test]
fn others_are_the_clients() {
    let (origin, elsewhere) = (Origin::start(redirecting), Origin::ok());
    let gateway = start(&origin, 5);
    let port = origin.address().rsplit(':').next().unwrap_or_default().to_owned();
    for location in [
        format!("http:@@{}@", elsewhere.address()),
        format!("@@{}@", elsewhere.address()),
        format!("https:@@{}@", origin.address()),
        format!("http:@@localhost:{port}@"),
        "ftp:@@a@".to_owned(),
        "..@..@..@..".to_owned(),
    ] {
        let before = origin.count();
        let answer = gateway.get(&format!("/302/{location}"));
        let sent = location.replace('@', "/");
        assert_eq!((answer.status, answer.head.get("location")), (302, Some(&*sent)), "{location}");
        assert_eq!((answer.text().as_str(), origin.count()), ("moved", before + 1));
    }
    elsewhere.assert_untouched();
}

#[test]
fn not_more_often_than_configured() {
    let origin = Origin::start(redirecting);
    let gateway = start(&origin, 3);
    let answer = gateway.get("/302/?again");
    assert_eq!((answer.status, answer.head.get("location")), (302, Some("?again")));
    assert_eq!(origin.count(), 4, "the first, and three that were followed");
}

#[test]
fn the_prefix_of_a_target_is_not_left() {
    let origin = Origin::start(redirecting);
    let gateway = gateway!(
        "upstreams:\n  u: { targets: ['@ORIGIN@/v1'], follow_redirects: 1 }\nroutes:\n  - { path: /*, to: u }\n",
        ORIGIN = origin.url()
    );
    assert_eq!(gateway.get("/302/@v1@there").json()["target"], "/v1/there");
    let answer = gateway.get("/302/@admin");
    assert_eq!((answer.status, answer.head.get("location")), (302, Some("/admin")));
}

#[test]
fn methods_and_bodies() {
    for (status, method, arrives, body) in [
        (301, "POST", "GET", ""),
        (302, "POST", "GET", ""),
        (303, "POST", "GET", ""),
        (303, "PUT", "GET", ""),
        (302, "PUT", "PUT", "abc"),
        (307, "POST", "POST", "abc"),
        (308, "PATCH", "PATCH", "abc"),
    ] {
        for framing in
            ["Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]
        {
            let origin = Origin::start(redirecting);
            let gateway = start(&origin, 1);
            let mut client = gateway.client();
            let request = format!(
                "{method} /{status}/@there HTTP/1.1\r\nHost: test\r\nContent-Type: text/x\r\nX-Own: a\r\n{framing}"
            );
            let answer = client.exchange(request);
            let seen = answer.json();
            assert_eq!(
                (&seen["method"], &seen["body"]),
                (&arrives.into(), &body.into()),
                "{status} {method}"
            );
            let has = |name: &str| seen["headers"].get(name).is_some();
            let described = has("content-length") || has("transfer-encoding");
            assert_eq!((described, has("content-type")), (!body.is_empty(), !body.is_empty()), "{seen}");
            assert!(has("x-own"));
            assert_eq!(client.get("/next").json()["target"], "/next", "the connection goes on");
            assert_eq!(gateway.record(|record| record["status"] == 200)["method"], method);
        }
    }
    let origin = Origin::start(redirecting);
    let gateway = start(&origin, 1);
    let mut client = gateway.client();
    client.send("HEAD /303/@there HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.response_to("HEAD").status, 200);
    assert_eq!(targets(&origin), ["HEAD /303/@there", "HEAD /there"]);
}

#[test]
fn a_body_that_is_gone_goes_nowhere() {
    let origin = Origin::start(redirecting);
    let gateway = start(&origin, 1);
    let long = "x".repeat(100 * 1024);
    let post = |status: u16| {
        let length = long.len();
        let head =
            format!("POST /{status}/@there HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n");
        gateway.client().exchange(head + &long)
    };
    let answer = post(307);
    assert_eq!((answer.status, answer.head.get("location")), (307, Some("/there")));
    assert_eq!(post(303).json()["method"], "GET", "nothing has to be sent again");
}

/// Both send on to each other.
fn pair() -> [Origin; 2] {
    let ports = [Port::reserve(), Port::reserve()];
    let addresses: Arc<[String; 2]> = Arc::new([ports[0].address(), ports[1].address()]);
    let start = |own: usize| {
        let other = addresses[1 - own].clone();
        Origin::start_at(&addresses[own], move |conn| {
            loop {
                let seen = conn.request()?;
                match seen.target() {
                    "/start" => conn.send(format!(
                        "HTTP/1.1 302 Found\r\nLocation: http://{other}/end\r\nContent-Length: 0\r\n\r\n"
                    ))?,
                    "/stay" => {
                        conn.send("HTTP/1.1 302 Found\r\nLocation: /end\r\nContent-Length: 0\r\n\r\n")?;
                    }
                    _ => conn.send(response(200, describe(&seen).to_string().as_bytes()))?,
                }
            }
        })
    };
    [start(0), start(1)]
}

/// The client gave its credentials to the one that it was sent to, whoever that is told to send it on to.
#[test]
fn credentials_stay_with_their_origin() {
    let ([a, b], issuer) = (pair(), Issuer::start());
    let gateway = gateway!(
        "
upstreams:
  plain: { targets: [@A@, @B@], follow_redirects: 1 }
  own:
    targets: [@A@, @B@]
    follow_redirects: 1
    auth: { oauth2: { token_url: '@ISSUER@/token', client_id: 'gate:way', client_secret: '@SECRET@' } }
routes:
  - { path: /own/*, request: { strip_prefix: /own }, to: own }
  - { path: /*, to: plain }
",
        A = a.url(),
        B = b.url(),
        ISSUER = issuer.url(),
        SECRET = CLIENT_SECRET
    );
    let credentials = "Authorization: Bearer client\r\nCookie: sid=1\r\nX-Api-Key: k\r\nX-Own: a\r\n";
    let ask = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{credentials}\r\n");
        gateway.client().exchange(request).json()["headers"].clone()
    };
    for _ in 0..5 {
        let seen = ask("/start");
        assert!(seen.get("x-own").is_some());
        for name in ["authorization", "cookie", "x-api-key"] {
            assert!(seen.get(name).is_none(), "{name}: {seen}");
        }
        let seen = ask("/stay");
        assert_eq!(
            (&seen["authorization"][0], &seen["cookie"][0]),
            (&"Bearer client".into(), &"sid=1".into())
        );
        // The gateway's own is for the upstream, whichever of its targets.
        for path in ["/own/start", "/own/stay"] {
            let seen = ask(path);
            assert_eq!(seen["authorization"], serde_json::json!(["Bearer granted-1"]), "{path}");
        }
    }
}
