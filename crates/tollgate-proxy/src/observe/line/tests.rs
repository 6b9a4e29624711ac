use std::net::Ipv6Addr;
use std::time::UNIX_EPOCH;

use proptest::prelude::*;
use serde_json::Value;
use tollgate_plan::Reason;
use tollgate_plan::route::RouteId;
use tollgate_plan::upstream::UpstreamId;
use tollgate_wire::{HeaderBlock, Method, Name};

use super::*;
use crate::observe::fixture;

/// The columns of behaviour.md, in its order.
const COLUMNS: [&str; 20] = [
    "time",
    "id",
    "client",
    "method",
    "host",
    "path",
    "route",
    "status",
    "reason",
    "bytes_in",
    "bytes_out",
    "duration_ms",
    "upstream",
    "upstream_ms",
    "target",
    "attempts",
    "consumer",
    "cache",
    "tls",
    "http",
];

fn plan(headers: &[&str], log_query: bool) -> Plan {
    let mut plan = fixture::plan(&["orders"], &[("orders", &["http://10.0.0.5:3000"])]);
    plan.access_log.headers = headers.iter().map(|name| Name::new(name).unwrap()).collect();
    plan.access_log.log_query = log_query;
    plan
}

fn line(record: &Record<'_>, plan: &Plan) -> String {
    let mut out = Vec::new();
    write_line(record, plan, &mut LogTime::new(), &mut out);
    String::from_utf8(out).unwrap()
}

fn headers(lines: &[(&str, &[u8])]) -> HeaderBlock {
    let mut block = HeaderBlock::default();
    for (name, value) in lines {
        block.append(&Name::new(name).unwrap(), value);
    }
    block
}

#[test]
fn a_proxied_request() {
    assert_eq!(
        line(&fixture::record(), &plan(&[], false)),
        concat!(
            r#"{"time":"2026-05-28T20:26:40.123Z","id":"017f22e2-79b0-7cc3-98c4-dc0c0c07398f","#,
            r#""client":"192.0.2.7","method":"GET","host":"api.example.com","path":"/orders/7","#,
            r#""route":"orders","status":200,"reason":null,"bytes_in":0,"bytes_out":1024,"#,
            r#""duration_ms":1.235,"upstream":"orders","upstream_ms":1.100,"#,
            r#""target":"http://10.0.0.5:3000","attempts":1,"consumer":null,"cache":null,"tls":null,"#,
            r#""http":"1.1","generation":3}"#,
            "\n"
        )
    );
}

#[test]
fn parts_that_failed_are_named() {
    let failed = ["driver;upstream_timeout".to_owned(), "stops;part_failed".to_owned()];
    let line = line(&Record { parts_failed: &failed, ..fixture::record() }, &plan(&[], false));
    let record: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(record["parts_failed"], serde_json::json!(failed));
    assert!(line.ends_with(
        "\"generation\":3,\"parts_failed\":[\"driver;upstream_timeout\",\"stops;part_failed\"]}\n"
    ));
}

#[test]
fn a_request_of_which_nothing_is_known() {
    let record = Record {
        started: UNIX_EPOCH,
        client: None,
        method: None,
        host: "",
        path: "",
        query: None,
        route: None,
        status: 400,
        reason: Some(Reason::BadRequestLine),
        bytes_out: 0,
        duration: Duration::ZERO,
        upstream: None,
        target: None,
        upstream_time: None,
        attempts: 0,
        version: Version::Http10,
        ..fixture::record()
    };
    assert_eq!(
        line(&record, &plan(&["user-agent"], true)),
        concat!(
            r#"{"time":"1970-01-01T00:00:00.000Z","id":"017f22e2-79b0-7cc3-98c4-dc0c0c07398f","#,
            r#""client":null,"method":null,"host":null,"path":null,"query":null,"#,
            r#""route":null,"status":400,"reason":"bad_request_line","bytes_in":0,"bytes_out":0,"#,
            r#""duration_ms":0.000,"upstream":null,"upstream_ms":null,"#,
            r#""target":null,"attempts":0,"consumer":null,"cache":null,"tls":null,"#,
            r#""http":"1.0","generation":3,"headers":{"user-agent":null}}"#,
            "\n"
        )
    );
}

#[test]
fn query_and_headers_stand_there_when_chosen_and_hold_no_credential() {
    let block = headers(&[
        ("user-agent", b"curl/8 \"x\"\xff"),
        ("accept", b"text/html"),
        ("accept", b"*/*"),
        ("authorization", b"Bearer s3cret"),
        ("cookie", b"sid=s3cret"),
        ("x-api-key", b"s3cret"),
        ("referer", b"https://a.example/?code=s3cret"),
        ("x-unlogged", b"s3cret"),
    ]);
    let record = Record { headers: Some(&block), ..fixture::record() };
    let chosen =
        ["user-agent", "accept", "authorization", "cookie", "x-api-key", "proxy-authorization", "referer"];
    let line = line(&record, &plan(&chosen, true));
    assert!(line.contains(r#""path":"/orders/7","query":"page=2&token=***","route":"#), "{line}");
    let end = concat!(
        r#","headers":{"user-agent":"curl/8 \"x\"�","accept":"text/html, */*","authorization":"***","#,
        r#""cookie":"***","x-api-key":"***","proxy-authorization":null,"referer":"https://a.example/?code=***"}}"#,
        "\n"
    );
    assert!(line.ends_with(end), "{line}");
    assert!(!line.contains("s3cret"), "{line}");
}

#[test]
fn clients_are_written_as_addresses() {
    let plan = plan(&[], false);
    for (client, expected) in [
        (IpAddr::from([0, 0, 0, 0]), "0.0.0.0"),
        (IpAddr::from([255, 10, 100, 9]), "255.10.100.9"),
        (IpAddr::V6(Ipv6Addr::LOCALHOST), "::1"),
        (IpAddr::V6("2001:db8::7".parse().unwrap()), "2001:db8::7"),
        (IpAddr::V6("::ffff:192.0.2.1".parse().unwrap()), "192.0.2.1"),
    ] {
        let line = line(&Record { client: Some(client), ..fixture::record() }, &plan);
        assert!(line.contains(&format!(r#""client":"{expected}""#)), "{line}");
    }
}

#[test]
fn durations_have_three_decimals() {
    for (nanos, expected) in [
        (0, "0.000"),
        (499, "0.000"),
        (500, "0.001"),
        (999_499, "0.999"),
        (999_500, "1.000"),
        (12_345_678, "12.346"),
        (3_600_000_000_000, "3600000.000"),
    ] {
        let mut out = Vec::new();
        write_millis(Duration::from_nanos(nanos), &mut out);
        assert_eq!(std::str::from_utf8(&out).unwrap(), expected, "{nanos} ns");
    }
    let mut out = Vec::new();
    write_millis(Duration::MAX, &mut out);
    assert!(serde_json::from_slice::<f64>(&out).is_ok());
}

#[test]
fn an_index_that_the_plan_does_not_have_is_null() {
    let wild = Record { route: Some(RouteId(9)), ..fixture::record() };
    let value: Value = serde_json::from_str(&line(&wild, &plan(&[], false))).unwrap();
    assert_eq!(value["route"], Value::Null);
    assert_eq!(value["upstream"], "orders");
    let wild = Record { upstream: Some(UpstreamId(9)), ..fixture::record() };
    let value: Value = serde_json::from_str(&line(&wild, &plan(&[], false))).unwrap();
    assert_eq!(value["upstream"], Value::Null);
}

fn wild_text() -> impl Strategy<Value = String> {
    prop_oneof!["[\\x00-\\x7f]{0,40}", "\\PC{0,40}", ".{0,40}", "(\",\"status\":1,\"|\\\\|\\n|\u{2028}){0,9}"]
}

proptest! {
    #[test]
    fn whatever_came_in_a_line_is_one_object_with_the_promised_keys(
        host in wild_text(),
        path in wild_text(),
        query in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..60)),
        agent in proptest::collection::vec(any::<u8>(), 0..60),
        method in "[-A-Za-z0-9!#$%&'*+.^_`|~]{1,32}",
        status in any::<u16>(),
        bytes in any::<(u64, u64)>(),
        seconds in 0..=u64::from(u32::MAX) * 100,
    ) {
        let block = headers(&[("user-agent", &agent)]);
        let method = Method::parse(method.as_bytes()).unwrap();
        let record = Record {
            started: UNIX_EPOCH + Duration::from_secs(seconds),
            host: &host,
            path: &path,
            query: query.as_deref(),
            headers: Some(&block),
            method: Some(&method),
            status,
            bytes_in: bytes.0,
            bytes_out: bytes.1,
            ..fixture::record()
        };
        let text = line(&record, &plan(&["user-agent"], true));
        prop_assert_eq!(text.matches('\n').count(), 1);
        prop_assert_eq!(&text[text.len() - 2..], "}\n");
        prop_assert!(!text.chars().any(|c| c != '\n' && c.is_control()));

        let value: Value = serde_json::from_str(&text).unwrap();
        let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let mut promised = COLUMNS.to_vec();
        promised.extend(["generation", "headers"]);
        promised.insert(6, "query");
        prop_assert_eq!(keys, promised);
        prop_assert_eq!(value["path"].as_str().unwrap_or(""), path);
        prop_assert_eq!(value["host"].as_str().unwrap_or(""), host);
        prop_assert_eq!(value["method"].as_str().unwrap(), method.as_str());
        prop_assert_eq!(value["status"].as_u64(), Some(u64::from(status)));
        prop_assert_eq!(value["bytes_in"].as_u64(), Some(bytes.0));
        prop_assert_eq!(value["bytes_out"].as_u64(), Some(bytes.1));
    }
}
