//! Traces: `traceparent` in and out, and spans at a collector.

use std::time::{Duration, Instant};

use tollgate_testkit::behaviour::{self, response};
use tollgate_testkit::{Collector, Gateway, Origin, Port, Signal, TraceSpan, gateway, wait_for};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

const ROUTES: &str = "
workers: 1
upstreams:
  api: { targets: [@ORIGIN@] }
routes:
  - { name: orders, path: \"/orders/{id}\", to: api }
  - { name: own, path: /own, respond: { body: hello } }
  - { name: quiet, path: /quiet, to: api, request: { remove_headers: [traceparent] } }
  - path: /both
    aggregate:
      parts:
        - { name: a, to: api, path: /a, wrap: a }
        - { name: b, to: api, path: /b, wrap: b }
";

fn start(origin: &Origin, traces: &str) -> Gateway {
    gateway!(&format!("{ROUTES}{traces}"), ORIGIN = origin.url())
}

fn to(collector: &Collector, more: &str) -> String {
    format!("traces: {{ endpoint: \"{}\"{more} }}\n", collector.url())
}

fn get(gateway: &Gateway, path: &str, lines: &str) -> u16 {
    gateway.client().exchange(format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n{lines}\r\n")).status
}

fn attribute<'a>(span: &'a TraceSpan, key: &str) -> &'a str {
    span.attributes.get(key).map_or("", String::as_str)
}

#[test]
fn a_request_has_a_server_span_and_its_attempt_a_client_span() {
    let (origin, collector) = (Origin::ok(), Collector::start());
    let gateway = start(&origin, &to(&collector, ", service: edge, headers: { x-key: hush }"));
    let lines = format!("traceparent: {PARENT}\r\ntracestate: a=1,b=2\r\nuser-agent: curl/8\r\n");
    assert_eq!(get(&gateway, "/orders/7?token=hush", &lines), 200);

    let server = collector.span(|span| span.kind == 2);
    assert_eq!((&*server.trace, &*server.parent, &*server.name), (TRACE, CALLER, "GET /orders/{id}"));
    assert_eq!(server.service, "edge");
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/orders/{id}"),
        ("http.response.status_code", "200"),
        ("url.path", "/orders/7"),
        ("url.scheme", "http"),
        ("server.address", "shop.test"),
        ("client.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "curl/8"),
        ("tollgate.route", "orders"),
    ] {
        assert_eq!(attribute(&server, key), value, "{key}");
    }
    let seen = origin.request();
    assert_eq!(Some(attribute(&server, "tollgate.request_id")), seen.header("x-request-id"));
    assert!(!server.failed);

    let client = collector.span(|span| span.kind == 3);
    assert_eq!((&*client.trace, &*client.parent, &*client.name), (TRACE, &*server.id, "GET"));
    for (key, value) in [
        ("url.full", format!("{}/orders/7", origin.url())),
        ("server.address", "127.0.0.1".to_owned()),
        ("server.port", origin.address().rsplit(':').next().unwrap_or_default().to_owned()),
        ("http.response.status_code", "200".to_owned()),
        ("tollgate.upstream", "api".to_owned()),
    ] {
        assert_eq!(attribute(&client, key), value, "{key}");
    }
    assert!(server.start <= client.start && client.start <= client.end, "{client:?} in {server:?}");
    assert_eq!(seen.header("traceparent"), Some(&*format!("00-{TRACE}-{}-01", client.id)));
    assert_eq!(seen.header("tracestate"), Some("a=1,b=2"));

    let export = &collector.requests()[0];
    assert_eq!(export.target(), "/v1/traces");
    assert_eq!(export.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(export.header("x-key"), Some("hush"));
    assert!(!String::from_utf8_lossy(&export.body).contains("hush"), "no query stands in a span");
    assert_eq!(gateway.record_of("/orders/7")["trace"], TRACE);
    wait_for("the counter", || {
        gateway.metrics().get("tollgate_trace_spans_total{result=\"exported\"}") == 2.0
    });
}

#[test]
fn a_malformed_parent_is_replaced_and_its_state_goes_with_it() {
    let (origin, collector) = (Origin::ok(), Collector::start());
    let gateway = start(&origin, &to(&collector, ""));
    for (at, lines) in [
        String::new(),
        format!("traceparent: {}\r\n", PARENT.to_uppercase()),
        format!("traceparent: {PARENT}\r\ntraceparent: {PARENT}\r\n"),
        "traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01\r\n".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(get(&gateway, &format!("/orders/{at}"), &format!("{lines}tracestate: a=1\r\n")), 200);
        let seen = origin.last();
        let sent = seen.header("traceparent").unwrap_or_default();
        assert_eq!((sent.len(), seen.header("tracestate")), (55, None), "{lines}");
        assert!(!sent.contains(TRACE), "{sent}");
        let root =
            collector.span(|span| span.kind == 2 && attribute(span, "url.path") == format!("/orders/{at}"));
        assert_eq!((&*root.trace, &*root.parent), (&sent[3..35], ""));
    }
}

#[test]
fn without_traces_the_headers_pass_as_they_came() {
    let origin = Origin::ok();
    let gateway = start(&origin, "");
    assert_eq!(get(&gateway, "/orders/1", "traceparent: not one\r\ntracestate: a=1\r\n"), 200);
    let seen = origin.request();
    assert_eq!((seen.header("traceparent"), seen.header("tracestate")), (Some("not one"), Some("a=1")));
    assert!(gateway.record_of("/orders/1").get("trace").is_none());
}

#[test]
fn the_caller_decides_what_is_sampled_and_else_the_share() {
    let (origin, collector) = (Origin::ok(), Collector::start());
    let gateway = start(&origin, &to(&collector, ", sample: 0%"));
    assert_eq!(get(&gateway, "/orders/1", ""), 200);
    assert!(origin.last().header("traceparent").is_some_and(|sent| sent.ends_with("-00")));
    let unsampled = format!("{}00", &PARENT[..53]);
    assert_eq!(get(&gateway, "/orders/2", &format!("traceparent: {unsampled}\r\n")), 200);
    assert!(
        origin.last().header("traceparent").is_some_and(|sent| sent.ends_with("-00") && sent.contains(TRACE))
    );
    assert_eq!(get(&gateway, "/orders/3", &format!("traceparent: {PARENT}\r\n")), 200);
    collector.span(|span| span.kind == 2 && attribute(span, "url.path") == "/orders/3");
    let paths: Vec<String> =
        collector.spans().iter().map(|span| attribute(span, "url.path").to_owned()).collect();
    assert!(!paths.iter().any(|path| path == "/orders/1" || path == "/orders/2"), "{paths:?}");
}

#[test]
fn a_caller_that_is_not_trusted_is_not_followed() {
    let (origin, collector) = (Origin::ok(), Collector::start());
    let gateway = start(&origin, &to(&collector, ", follow: trusted_proxies"));
    assert_eq!(get(&gateway, "/orders/1", &format!("traceparent: {PARENT}\r\n")), 200);
    assert!(!origin.last().header("traceparent").unwrap_or_default().contains(TRACE));
    let trusting = gateway.complete(
        &format!("trusted_proxies: [127.0.0.1]\n{ROUTES}{}", to(&collector, ", follow: trusted_proxies")),
        &[("ORIGIN", origin.url())],
    );
    gateway.replace_file(&trusting);
    gateway.wait_generation(2);
    assert_eq!(get(&gateway, "/orders/2", &format!("traceparent: {PARENT}\r\n")), 200);
    assert!(origin.last().header("traceparent").unwrap_or_default().contains(TRACE));
}

/// Of what was given stale the gateway asks again by itself.
#[test]
fn a_request_in_the_background_belongs_to_the_one_that_it_is_for() {
    let (origin, collector) = (Origin::ok(), Collector::start());
    let routes = ROUTES.replace(
        "routes:\n",
        "routes:\n  - { path: /kept, to: api, cache: { ttl: 1s, stale_while_revalidate: 1h } }\n",
    );
    for (follow, passes) in [("nobody", false), ("anyone", true)] {
        let text = format!("{routes}{}", to(&collector, &format!(", follow: {follow}")));
        let gateway = gateway!(&text, ORIGIN = origin.url());
        let lines = format!("traceparent: {PARENT}\r\ntracestate: a=1\r\n");
        let before = origin.count();
        wait_for("a request in the background", || {
            assert_eq!(get(&gateway, "/kept", &lines), 200);
            origin.count() > before + 1
        });
        let sent = origin.last();
        let parent = sent.header("traceparent").unwrap_or_default();
        assert_eq!(
            (parent.contains(TRACE), sent.header("tracestate").is_some()),
            (passes, passes),
            "{follow}"
        );
        assert!(parent.len() == PARENT.len() && !parent.contains(CALLER), "{follow}: {parent}");
    }
}

#[test]
fn each_attempt_has_a_span_of_its_own() {
    let collector = Collector::start();
    let origin = Origin::start(|conn| {
        let seen = conn.request()?;
        let first = conn.index() == 0;
        assert!(seen.header("traceparent").is_some());
        conn.send(response(if first { 503 } else { 200 }, b"ok"))?;
        if first { Ok(()) } else { behaviour::ok(conn) }
    });
    let text = format!(
        "workers: 1\nupstreams:\n  api: {{ targets: [{}], retry: {{ attempts: 2, on: [503], backoff: 1ms }} }}\n\
         routes:\n  - {{ name: orders, path: /*, to: api }}\n{}",
        origin.url(),
        to(&collector, "")
    );
    let gateway = gateway!(&text);
    assert_eq!(get(&gateway, "/x", ""), 200);
    let again = collector.span(|span| attribute(span, "http.request.resend_count") == "1");
    let first = collector.span(|span| span.kind == 3 && span.id != again.id);
    assert_eq!((attribute(&first, "http.response.status_code"), first.failed), ("503", true));
    assert_eq!((attribute(&again, "http.response.status_code"), again.failed), ("200", false));
    assert_eq!((&first.trace, &first.parent), (&again.trace, &again.parent));
    let sent: Vec<String> = origin
        .requests()
        .iter()
        .map(|seen| seen.header("traceparent").unwrap_or_default()[36..52].to_owned())
        .collect();
    assert_eq!(sent, [first.id, again.id], "each attempt names its span");
}

#[test]
fn failures_are_told_by_their_reason() {
    let (origin, collector) = (Origin::ok(), Collector::start());
    let nobody = Port::reserve();
    let gateway = gateway!(
        &format!(
            "routes:\n  - {{ name: gone, path: /gone, to: \"http://@NOBODY@\" }}\n{}",
            to(&collector, "")
        ),
        NOBODY = nobody.address()
    );
    assert_eq!(get(&gateway, "/gone", ""), 502);
    let server = collector.span(|span| span.kind == 2);
    assert_eq!((attribute(&server, "error.type"), server.failed), ("upstream_connect", true));
    assert_eq!(attribute(&server, "tollgate.reason"), "upstream_connect");
    let client = collector.span(|span| span.kind == 3);
    assert_eq!((attribute(&client, "error.type"), client.failed), ("upstream_connect", true));
    assert_eq!(get(&gateway, "/nowhere", ""), 404);
    let missing = collector.span(|span| attribute(span, "url.path") == "/nowhere");
    assert_eq!(
        (&*missing.name, missing.failed),
        ("GET", false),
        "a client's mistake is no failure of the server"
    );
    origin.assert_untouched();
}

#[test]
fn parts_of_an_aggregate_are_children_of_its_request() {
    let collector = Collector::start();
    let origin = Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"x\":1}");
    let gateway = start(&origin, &to(&collector, ""));
    assert_eq!(get(&gateway, "/both", &format!("traceparent: {PARENT}\r\n")), 200);
    let server = collector.span(|span| span.kind == 2);
    for part in ["/a", "/b"] {
        let client = collector.span(|span| span.kind == 3 && attribute(span, "url.full").ends_with(part));
        assert_eq!((&*client.trace, &client.parent), (TRACE, &server.id));
        let sent = origin.requests().into_iter().find(|seen| seen.target() == part).expect("it came");
        assert_eq!(sent.header("traceparent"), Some(&*format!("00-{TRACE}-{}-01", client.id)));
    }
}

#[test]
fn a_route_can_keep_its_upstream_out_of_it() {
    let (origin, collector) = (Origin::ok(), Collector::start());
    let gateway = start(&origin, &to(&collector, ""));
    assert_eq!(get(&gateway, "/quiet", &format!("traceparent: {PARENT}\r\n")), 200);
    assert_eq!(origin.request().header("traceparent"), None);
    collector.span(|span| span.kind == 3);
}

/// A collector that is down, refuses or hangs costs spans, and nothing else.
#[test]
fn a_collector_that_does_not_answer_holds_up_nobody() {
    let (origin, collector) = (Origin::ok(), Collector::start());
    collector.hang();
    let gateway = start(&origin, &to(&collector, ", timeout: 100ms"));
    let began = Instant::now();
    let mut client = gateway.client();
    for _ in 0..2_000 {
        assert_eq!(client.get("/own").status, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    wait_for("lost spans to be counted", || {
        gateway.metrics().get("tollgate_trace_spans_total{result=\"dropped\"}") > 0.0
    });
    assert!(gateway.stderr().text().contains("the collector does not take traces"));
}

#[test]
fn a_collector_that_is_busy_is_asked_again() {
    let (origin, collector) = (Origin::ok(), Collector::start());
    collector.refuse(Some(503));
    let gateway = start(&origin, &to(&collector, ""));
    assert_eq!(get(&gateway, "/own", ""), 200);
    wait_for("a refused export", || !collector.requests().is_empty());
    collector.refuse(None);
    collector.span(|span| span.kind == 2);
}

#[test]
fn a_drain_sends_what_is_left() {
    let (origin, collector) = (Origin::ok(), Collector::start());
    let mut gateway = start(&origin, &to(&collector, ""));
    assert_eq!(get(&gateway, "/orders/1", ""), 200);
    gateway.signal(Signal::TERM);
    assert!(gateway.wait_exit().success());
    assert_eq!(collector.spans().len(), 2, "{:?}", collector.spans());
}

#[test]
fn a_reload_begins_and_ends_traces() {
    let (origin, collector) = (Origin::ok(), Collector::start());
    let gateway = start(&origin, "");
    assert_eq!(get(&gateway, "/orders/1", ""), 200);
    let with = gateway.complete(&format!("{ROUTES}{}", to(&collector, "")), &[("ORIGIN", origin.url())]);
    gateway.replace_file(&with);
    gateway.wait_generation(2);
    assert_eq!(get(&gateway, "/orders/2", ""), 200);
    collector.span(|span| attribute(span, "url.path") == "/orders/2");
    gateway.replace_file(&gateway.complete(ROUTES, &[("ORIGIN", origin.url())]));
    gateway.wait_generation(3);
    assert_eq!(get(&gateway, "/orders/3", ""), 200);
    assert_eq!(origin.last().header("traceparent"), None);
}
