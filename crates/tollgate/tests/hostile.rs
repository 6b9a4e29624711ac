//! What holds after every request, good or evil: the process lives, the next good request is answered right,
//! memory and descriptors come back.

use std::time::{Duration, Instant};

use tollgate_testkit::behaviour::response;
use tollgate_testkit::{Client, Fault, Gateway, Origin, assert_problem, gateway, wait_for};

const ROUTES: &str = "
limits: { header_timeout: 1s, body_idle_timeout: 1s }
routes:
  - { path: /own/*, respond: { body: own } }
  - { path: /*, to: @ORIGIN@ }
";

fn start(origin: &Origin) -> Gateway {
    gateway!(ROUTES, ORIGIN = origin.url())
}

/// Numbers that look random and are the same in every run (PCG's multiplier).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

const SEEDS: &[&str] = &[
    "GET /own/a?b=c HTTP/1.1\r\nHost: test\r\nAccept: */*\r\n\r\n",
    "POST /up HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello",
    "POST /up HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    "HEAD http://test/abs HTTP/1.1\r\nHost: test\r\nConnection: close, x-a\r\nX-A: 1\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n1",
];

const SPICE: &[u8] = b"\r\n\0\t :;,/%.\\\"'0159afAFGETxHhcC\x80\xff-+_#?&=*{}[]()<>@";

fn mutated(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = SEEDS[dice.roll(SEEDS.len())].as_bytes().to_vec();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(bytes.len());
        match dice.roll(4) {
            0 => bytes[at] = SPICE[dice.roll(SPICE.len())],
            1 => bytes.insert(at, SPICE[dice.roll(SPICE.len())]),
            2 => drop(bytes.remove(at)),
            _ => {
                let to = (at + dice.roll(20)).min(bytes.len());
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

/// Two thousand damaged requests: each connection ends, every answer is well formed, and every request that an
/// origin saw is one that its own strict reader understands.
#[test]
fn damaged_requests() {
    let origin = Origin::ok();
    let gateway = start(&origin);
    assert_eq!(gateway.get("/warm").text(), "ok");
    let before = gateway.descriptors();
    let mut dice = Dice(20_261_122);
    for round in 0..2_000 {
        let bytes = mutated(&mut dice);
        let mut client = gateway.client();
        let _ = client.try_send(&bytes);
        client.half_close();
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        // A mutation may have turned any request into HEAD, so only its own end says where an answer ends.
        if bytes.windows(4).any(|window| window == b"HEAD") {
            client.drain();
            continue;
        }
        loop {
            match client.try_response() {
                Ok(answer) => assert!((200..600).contains(&answer.status), "round {round}: {shown:?}"),
                Err(Fault::Eof | Fault::Reset | Fault::Truncated) => break,
                Err(fault) => panic!("round {round}: {fault:?} for {shown:?}"),
            }
        }
    }
    assert!(origin.count() > 100, "most of the damage is harmless: {} requests passed", origin.count());
    for connection in origin.connections() {
        assert_eq!(connection.malformed, None, "{connection:#?}");
    }
    assert_eq!(gateway.get("/after").text(), "ok");
    wait_for("descriptors to be returned", || gateway.descriptors() <= before + 8);
}

#[test]
fn a_flood_of_empty_lines() {
    let origin = Origin::ok();
    let gateway = start(&origin);
    let mut client = gateway.client();
    let _ = client.try_send("\r\n".repeat(100_000));
    match client.try_response() {
        Ok(answer) => assert_problem(&answer, "bad_request_line|headers_too_large"),
        Err(Fault::Eof | Fault::Reset) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(gateway.get("/").text(), "ok");
}

#[test]
fn a_flood_of_trailers() {
    let origin = Origin::ok();
    let gateway = start(&origin);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n");
    let _ = client.try_send("X-T: aaaaaaaaaaaaaaaa\r\n".repeat(50_000));
    assert_problem(&client.response(), "bad_framing|bad_header|headers_too_large");
    assert!(origin.requests().iter().all(|seen| !seen.complete));
}

/// A body of single bytes, each a chunk of its own, with as much of extensions as is allowed.
#[test]
fn cve_2020_8659_a_body_of_single_bytes() {
    let origin = Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            conn.send(response(200, seen.body_bytes.to_string().as_bytes()))?;
        }
    });
    let gateway = start(&origin);
    let before = gateway.own_kib();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    let piece = "1\r\nx\r\n".repeat(1_000);
    for _ in 0..100 {
        client.send(&piece);
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().text(), "100000");
    let grown = gateway.own_kib().saturating_sub(before);
    assert!(grown < 4 * 1024, "{grown} KiB for a body of 100 kB");
}

/// Requests that come faster than their answers are read do not pile up in the gateway.
#[test]
fn cve_2020_8661_pipelined_requests_that_nobody_reads_the_answers_of() {
    let origin = Origin::saying(response(200, &[b'x'; 16 * 1024]));
    let gateway = start(&origin);
    let before = gateway.own_kib();
    let mut client = Client::connect_narrow(&gateway.address(), 16 * 1024);
    let requests = "GET /many HTTP/1.1\r\nHost: test\r\n\r\n".repeat(200_000);
    let sent = client.send_while_taken(requests.as_bytes(), Duration::from_millis(500));
    assert!(sent < requests.len(), "all of {sent} bytes of requests were taken");
    let grown = gateway.own_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "one client takes {grown} KiB");
    assert_eq!(gateway.get("/own/x").text(), "own");
}

#[test]
fn a_thousand_pipelined_requests() {
    let origin = Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            conn.send(response(200, seen.target().as_bytes()))?;
        }
    });
    let gateway = start(&origin);
    let mut client = gateway.client();
    let requests: String = (0..1_000).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n")).collect();
    client.send(&requests);
    for n in 0..1_000 {
        assert_eq!(client.response().text(), format!("/{n}"));
    }
}

#[test]
fn many_connections_at_once() {
    let origin = Origin::ok();
    let gateway = start(&origin);
    assert_eq!(gateway.get("/").text(), "ok");
    let (before, memory) = (gateway.descriptors(), gateway.own_kib());
    let mut clients: Vec<Client> = (0..500).map(|_| gateway.client()).collect();
    for round in 0..3 {
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        }
        for client in &mut clients {
            assert_eq!(client.response().text(), "ok", "round {round}");
        }
    }
    let grown = gateway.own_kib().saturating_sub(memory);
    assert!(grown < 500 * 32, "500 idle connections keep {grown} KiB");
    drop(clients);
    wait_for("connections to be let go", || gateway.metrics().sum("tollgate_connections", &[]) == 0.0);
    // What stays are kept connections to the origin, at most 64 for each worker.
    wait_for("descriptors to be returned", || gateway.descriptors() <= before + 140);
}

/// The star of `OPTIONS *` is no path; whatever the answer, it is one, and nothing breaks.
#[test]
fn options_of_everything() {
    let origin = Origin::ok();
    let gateway = start(&origin);
    let mut client = gateway.client();
    let answer = client.exchange("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!((200..500).contains(&answer.status), "{answer:#?}");
    let mut client = gateway.client();
    assert_eq!(client.get("/").text(), "ok");
}

/// A header block with as many lines as allowed costs no more than a linear pass.
#[test]
fn cve_2019_15226_many_small_headers() {
    let origin = Origin::ok();
    let gateway = gateway!(
        "limits: { header_count: 5000, header_bytes: 256KiB }\nroutes:\n  - { path: /*, to: @ORIGIN@ }\n",
        ORIGIN = origin.url()
    );
    let lines: String = (0..4_900).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let names: Vec<String> = (0..200).map(|n| format!("x-{n}")).collect();
    let request = format!("GET / HTTP/1.1\r\nHost: test\r\nConnection: {}\r\n{lines}\r\n", names.join(", "));
    let begin = Instant::now();
    let mut client = gateway.client();
    for _ in 0..10 {
        assert_eq!(client.exchange(&request).status, 200);
    }
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?} for ten requests", begin.elapsed());
    let seen = origin.last();
    assert_eq!((seen.header("x-199"), seen.header("x-200")), (None, Some("200")));
}
