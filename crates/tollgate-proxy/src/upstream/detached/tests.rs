//! Requests without a client, on a worker of their own, against origins that do well and badly.

use std::future::Future;
use std::io;

use tollgate_plan::Plan;
use tollgate_plan::resilience::{Retry, RetryMethods, RetryOn};
use tollgate_plan::upstream::{Address, Balance, HostMode, Upstream};
use tollgate_testkit::{Conn, Origin as Service, Seen, behaviour};
use tollgate_wire::{HeadLimits, HeadProgress, Parsed, parse_request};

use super::*;
use crate::gateway::{Gateway, fixture};

const CLIENTS: &[u8] = b"GET /clients HTTP/1.1\r\nHost: api.test\r\nX-Secret: s\r\nContent-Length: 9\r\n\r\n";
const WITHIN: Duration = Duration::from_secs(5);

/// One upstream with these targets.
fn plan(origins: &[&Service], change: impl FnOnce(&mut Upstream)) -> Plan {
    let urls: Vec<String> = origins.iter().map(|origin| origin.url()).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let mut plan = fixture::plan(&["a"], &[("u", &urls)]);
    let upstream = &mut plan.upstreams[0];
    (upstream.connect_timeout, upstream.timeout, upstream.idle_timeout) = (WITHIN, WITHIN, WITHIN);
    for (target, origin) in upstream.targets.iter_mut().zip(origins) {
        target.address = Address::Socket(origin.address().parse().expect("an address"));
        target.authority = origin.address().into();
    }
    change(upstream);
    plan
}

/// Runs on a worker beside those of a gateway with this plan.
fn on_a_worker<F: Future<Output = ()>>(plan: Plan, test: impl FnOnce(Rc<Worker>, Rc<Active>) -> F) {
    let gateway = Gateway::start(plan).expect("a gateway");
    let options = tokio::runtime::LocalOptions::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(options);
    runtime.expect("a runtime").block_on(async {
        let worker = Worker::new(0, gateway.shared());
        tokio::task::spawn_local(worker.timers.clone().sweep());
        let active = worker.active.borrow().clone();
        test(worker, active).await;
    });
}

/// A part of the client's request [`CLIENTS`].
fn part(
    worker: &Rc<Worker>,
    active: &Rc<Active>,
    (method, target, lines): (Method, &str, &str),
    body: Option<&[u8]>,
    pinned: Option<usize>,
) -> Detached {
    let mut kit = worker.spare.kit();
    let limits = HeadLimits { header_bytes: 4096, header_count: 16, uri_bytes: 256 };
    let parsed = parse_request(CLIENTS, &mut HeadProgress::default(), &limits, &mut kit.head);
    assert!(matches!(parsed, Ok(Parsed::Complete(_))));
    let client = Client::nobody(&worker.timers, Vec::new());
    let facts = Facts { id: Id::Kept(Box::default()), client_ip: None, trusted: false, scheme: "http" };
    let origin = Origin::Gateway { target: None };
    let exchange = Exchange::of(worker, &client, active.clone(), &mut kit, facts, origin);
    let outgoing = Outgoing { target: target.into(), lines: lines.into() };
    Detached::part(&exchange, method, outgoing, body.map(<[u8]>::to_vec), pinned)
}

fn bounds(answer_bytes: usize) -> Bounds<'static> {
    Bounds { deadline: None, answer_bytes, keep: true, room: None }
}

fn told(outcome: Result<Fetched, Reject>) -> String {
    match outcome {
        Err(reject) => reject.reason.code().to_owned(),
        Ok(Fetched { head, body: FetchedBody::TooLong, .. }) => format!("{} too long", head.status),
        Ok(Fetched { head, body: FetchedBody::Whole(body), .. }) => {
            format!("{} {}", head.status, String::from_utf8_lossy(&body))
        }
    }
}

/// What a GET comes to that may take half a second and bring 16 bytes.
#[track_caller]
fn check(handler: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static, expect: &str) {
    let origin = Service::start(handler);
    on_a_worker(plan(&[&origin], |_| {}), async |worker, active| {
        let request = part(&worker, &active, (Method::Get, "/part", ""), None, None);
        let deadline = Some(Instant::now() + Duration::from_millis(500));
        let bounds = Bounds { deadline, ..bounds(16) };
        assert_eq!(told(fetch(&worker, &active, UpstreamId(0), request, bounds).await), expect);
        assert_eq!((worker.inflight.get(), worker.kept_bytes.get()), (0, 0), "nothing is left");
    });
}

#[test]
fn whole_answers_and_others() {
    let each = |bytes: &'static str| move |conn: &mut Conn| behaviour::answer_each(conn, bytes.as_bytes());
    check(behaviour::ok, "200 ok");
    check(
        each("HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n1\r\n!\r\n0\r\n\r\n"),
        "404 no!",
    );
    check(each("HTTP/1.1 204 Empty\r\n\r\n"), "204 ");
    check(
        each("HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n0123456789abcdef"),
        "200 0123456789abcdef",
    );
    check(behaviour::then_close(b"HTTP/1.1 200 OK\r\n\r\nto the end"), "200 to the end");
    check(each("HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n0123456789abcdefg"), "200 too long");
    check(
        each("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n0123456789abcdefg"),
        "200 too long",
    );
    check(behaviour::then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), "upstream_reset");
    check(behaviour::then_reset(b"HTTP/1.1 200 OK\r\n\r\nhalf"), "upstream_reset");
    check(each("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"), "upstream_protocol");
    check(behaviour::then_close(b"SSH-2.0\r\n\r\n"), "upstream_protocol");
    check(behaviour::then_close(b""), "upstream_reset");
    check(behaviour::hang, "upstream_timeout");
    check(
        |conn| {
            conn.request()?;
            conn.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789", Duration::from_millis(100))
        },
        "upstream_timeout",
    );
}

#[test]
fn what_is_sent_is_what_was_asked_for_and_nothing_of_the_clients() {
    let origin = Service::echo();
    let preserve = |upstream: &mut Upstream| upstream.host = HostMode::Preserve;
    on_a_worker(plan(&[&origin], preserve), async |worker, active| {
        let asked = (Method::Post, "/part?q=1", "x-a: b\r\n");
        for body in [Some(&b"0123456789"[..]), None, Some(b"")] {
            let request = part(&worker, &active, asked.clone(), body, None);
            let answer = fetch(&worker, &active, UpstreamId(0), request, bounds(4096)).await;
            assert!(told(answer).starts_with("200 "));
        }
    });
    let [full, none, empty] = &origin.requests()[..] else { panic!("three requests") };
    let lines = |seen: &Seen| seen.head.lines.clone();
    let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let (host, own) = (line("host", "api.test"), line("x-a", "b"));
    assert_eq!((full.method(), full.target(), &full.body[..]), ("POST", "/part?q=1", &b"0123456789"[..]));
    assert_eq!(lines(full), [host.clone(), own.clone(), line("content-length", "10")]);
    assert_eq!(lines(none), [host.clone(), own.clone()]);
    assert_eq!(lines(empty), [host, own, line("content-length", "0")]);
    assert_eq!(origin.connections().len(), 1, "a connection that ended clean is used again");
}

#[test]
fn it_is_tried_again_like_any_other_and_its_body_with_it() {
    let bad = Service::start(|conn| {
        conn.request()?;
        conn.reset()
    });
    let good = Service::echo();
    let retry = |upstream: &mut Upstream| {
        let on = RetryOn { reset: true, ..RetryOn::default() };
        let methods = RetryMethods::Idempotent;
        upstream.retry =
            Some(Retry { attempts: 1, on, methods, budget_percent: 100, backoff: Duration::ZERO });
        upstream.balance = Balance::RoundRobin;
    };
    on_a_worker(plan(&[&bad, &good], retry), async |worker, active| {
        for _ in 0..2 {
            let request = part(&worker, &active, (Method::Put, "/", ""), Some(b"body"), None);
            let answer = told(fetch(&worker, &active, UpstreamId(0), request, bounds(4096)).await);
            assert!(answer.starts_with("200 ") && answer.contains("\"body\":\"body\""), "{answer}");
        }
        assert_eq!(worker.kept_bytes.get(), 0, "what was kept is given back");
    });
    assert!(bad.count() > 0, "one of two began with the bad one");
}

#[test]
fn one_target_can_be_asked_for() {
    let (a, b) = (Service::start(behaviour::named("a")), Service::start(behaviour::named("b")));
    on_a_worker(plan(&[&a, &b], |_| {}), async |worker, active| {
        for (pinned, expect) in [(0, "200 a"), (1, "200 b"), (1, "200 b"), (0, "200 a")] {
            let request = part(&worker, &active, (Method::Get, "/", ""), None, Some(pinned));
            let answer = fetch(&worker, &active, UpstreamId(0), request, bounds(16)).await;
            assert_eq!(told(answer), expect);
        }
    });
}
