//! gRPC through the gateway, between a client and a service by tonic: HTTP/2 in clear on both sides.

mod service;

use std::sync::atomic::Ordering;
use std::time::Duration;

use service::{Client4, Note, Service4, note, serve};
use tollgate_testkit::{Gateway, PATIENCE, gateway};
use tonic::codegen::tokio_stream::{StreamExt, iter};
use tonic::{Code, Request, Status};

/// A gateway in front of the service.
async fn through() -> (Gateway, Service4, Client4) {
    let (address, service) = serve().await;
    let gateway =
        gateway!("routes:\n  - { path: /test.Notes/*, to: @TO@ }\n", TO = format!("h2c://{address}"));
    let client = Client4::connect(&gateway.address()).await;
    (gateway, service, client)
}

/// Waits while the service, on the same thread, goes on.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let mut again = tokio::time::interval(Duration::from_millis(5));
    let looking = async {
        while !condition() {
            again.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

#[track_caller]
fn assert_status(status: &Status, code: Code, message: &str) {
    assert_eq!((status.code(), status.message()), (code, message), "{status:?}");
}

#[tokio::test]
async fn unary_with_metadata() {
    let (gateway, _, mut client) = through().await;
    let mut request = Request::new(note("hello"));
    request.metadata_mut().insert("x-one", "1".parse().expect("a value"));
    request.metadata_mut().insert_bin("x-two-bin", tonic::metadata::MetadataValue::from_bytes(&[0, 255, 10]));
    let answer = client.unary("/test.Notes/Echo", request).await.expect("an answer");
    assert_eq!(answer.get_ref().text, "hello");
    assert_eq!(answer.metadata().get("x-one").and_then(|value| value.to_str().ok()), Some("1"));
    let two = answer.metadata().get_bin("x-two-bin").and_then(|value| value.to_bytes().ok());
    assert_eq!(two.as_deref(), Some(&[0, 255, 10][..]));
    let record = gateway.record_of("/test.Notes/Echo");
    assert_eq!((&record["status"], &record["http"]), (&200.into(), &"2".into()));
}

#[tokio::test]
async fn a_big_message_goes_both_ways() {
    let (_gateway, _, mut client) = through().await;
    let payload: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let request = Request::new(Note { payload: payload.clone(), ..Note::default() });
    let answer = client.unary("/test.Notes/Echo", request).await.expect("an answer");
    assert!(answer.into_inner().payload == payload, "it came back as it was");
}

/// Without a message the status stands in the head of the answer; behind messages, in trailers.
#[tokio::test]
async fn the_service_s_own_failures() {
    let (_gateway, _, mut client) = through().await;
    let status = client.echo("fail").await.expect_err("a failure");
    assert_status(&status, Code::NotFound, "no such ñote");
    assert_eq!(status.details(), [1, 2, 3]);
    assert_eq!(status.metadata().get("x-why").and_then(|value| value.to_str().ok()), Some("because"));
    let mut notes = client.count("fail", 3, 0).await.expect("a stream");
    let mut numbers = Vec::new();
    let status = loop {
        match notes.message().await {
            Ok(Some(note)) => numbers.push(note.number),
            Ok(None) => panic!("a failure was taken for the end"),
            Err(status) => break status,
        }
    };
    assert_eq!(numbers, [0, 1, 2]);
    assert_status(&status, Code::DataLoss, "lost");
    let status = client.unary("/test.Notes/None", Request::new(note(""))).await.expect_err("a failure");
    assert_status(&status, Code::Unimplemented, "no such method");
}

#[tokio::test]
async fn all_kinds_of_streams() {
    let (_gateway, service, mut client) = through().await;
    let notes = iter((0..500).map(|n| Note { text: format!("{n},"), payload: vec![1; 1000], number: n }));
    let all = client.collect(notes).await.expect("an answer").into_inner();
    assert_eq!((all.number, all.payload.len()), (500, 500_000));
    assert!(all.text.starts_with("0,1,2,") && all.text.ends_with(",499,"));

    let notes = client.count("", 500, 1000).await.expect("a stream");
    let numbers: Vec<u32> = notes.map(|note| note.expect("a note").number).collect().await;
    assert_eq!(numbers, (0..500).collect::<Vec<u32>>());

    let (send, mut answers) = client.chat().await.expect("a conversation");
    for n in 0..50 {
        send.send(note(&n.to_string())).await.expect("the service listens");
        // Each answer comes before the next question is asked: nobody waits for more.
        let answer = answers.message().await.expect("no failure").expect("an answer");
        assert_eq!(answer.text, format!("re: {n}"));
    }
    drop(send);
    assert!(answers.message().await.expect("no failure").is_none(), "the end is an end");
    until("all calls to end", || service.under_way.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn many_calls_at_once() {
    let (gateway, _, _) = through().await;
    let mut calls = Vec::new();
    for worker in 0..4 {
        let mut client = Client4::connect(&gateway.address()).await;
        calls.push(tokio::spawn(async move {
            for n in 0..50 {
                let text = format!("{worker} {n}");
                assert_eq!(client.echo(&text).await.expect("an answer").into_inner().text, text);
            }
        }));
    }
    for call in calls {
        call.await.expect("every call was answered");
    }
}

#[tokio::test]
async fn deadlines_and_cancellation_reach_the_service() {
    let (_gateway, service, mut client) = through().await;
    let ended = || service.under_way.load(Ordering::SeqCst) == 0;
    let mut request = Request::new(note("in time"));
    request.set_timeout(Duration::from_secs(9));
    let answer = client.unary("/test.Notes/Echo", request).await.expect("an answer");
    assert!(answer.metadata().contains_key("x-timeout"), "the service knows how long it has");

    let mut request = Request::new(note("hang"));
    request.set_timeout(Duration::from_millis(200));
    let status = client.unary("/test.Notes/Echo", request).await.expect_err("too late");
    assert!(matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded), "{status:?}");
    until("the end of a call that took too long", ended).await;

    let mut notes = client.count("hang", 2, 0).await.expect("a stream");
    assert_eq!(notes.message().await.expect("no failure").map(|note| note.number), Some(0));
    assert!(!ended());
    drop(notes);
    until("the end of a call that nobody waits for", ended).await;
    assert_eq!(client.echo("still here").await.expect("an answer").into_inner().text, "still here");
}

#[tokio::test]
async fn streams_live_through_a_reload() {
    let (gateway, service, mut client) = through().await;
    let (send, mut answers) = client.chat().await.expect("a conversation");
    let mut ask = async |text: &str| {
        send.send(note(text)).await.expect("the service listens");
        answers.message().await.expect("no failure").expect("an answer").text
    };
    assert_eq!(ask("before").await, "re: before");
    gateway.replace_file("routes: [{ path: /else, respond: { status: 204 } }]\n");
    gateway.wait_generation(2);
    assert_eq!(ask("behind").await, "re: behind");
    let status = client.echo("new").await.expect_err("the new configuration has no such route");
    assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
    assert_eq!(ask("and on").await, "re: and on");
    assert_eq!(service.under_way.load(Ordering::SeqCst), 1);
}

/// What the gateway refuses itself.
#[tokio::test]
async fn failures_of_the_gateway_have_a_status() {
    let (address, _service) = serve().await;
    let text = "upstreams:\n  gone: { targets: [\"h2c://127.0.0.1:1\"] }\n  slow: { targets: [\"@TO@\"], timeout: 200ms }\n\
                consumers: [{ name: c, keys: [\"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"] }]\n\
                routes:\n  - { path: /test.Notes/None, to: gone }\n  - { path: /test.Notes/Echo, to: slow }\n\
                \x20 - { path: /test.Notes/Chat, to: slow, auth: { api_key: { header: x-api-key } } }\n\
                \x20 - { path: /test.Notes/Count, to: slow, rate_limit: { rate: 1/h, burst: 1, per: all } }\n";
    let gateway = gateway!(text, TO = format!("h2c://{address}"));
    let mut client = Client4::connect(&gateway.address()).await;
    let status = client.unary("/test.Notes/None", Request::new(note(""))).await.expect_err("nobody is there");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let status = client.echo("hang").await.expect_err("it takes too long");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    let status = client.chat().await.map(drop).expect_err("no key");
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    client.count("", 1, 0).await.expect("the first one passes");
    let status = client.count("", 1, 0).await.map(drop).expect_err("the second one does not");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let status = client.unary("/else", Request::new(note(""))).await.expect_err("no route");
    assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
}

/// Messages of one call do not wait for those of another that nobody reads.
#[tokio::test]
async fn a_call_that_nobody_reads_holds_up_no_other() {
    let (gateway, _, mut client) = through().await;
    let mut unread = Vec::new();
    for _ in 0..5 {
        // On connections of their own: unread streams of one client fill the window that they share.
        let mut slow = Client4::connect(&gateway.address()).await;
        unread.push(slow.count("", 1000, 10_000).await.expect("a stream"));
    }
    for n in 0..20 {
        let text = n.to_string();
        let answer = tokio::time::timeout(PATIENCE, client.echo(&text)).await.expect("it is not held up");
        assert_eq!(answer.expect("an answer").into_inner().text, text);
    }
    let numbers: Vec<u32> =
        unread.remove(0).map(|note| note.expect("a note").number).collect::<Vec<u32>>().await;
    assert_eq!(numbers.len(), 1000, "and nothing was lost");
}
