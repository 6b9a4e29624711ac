//! How answers get into the store: while they go to their client, whole or not at all, within bounds.

use std::io;

use tollgate_testkit::behaviour::answer_each;
use tollgate_testkit::{Client, Conn, Gateway, Origin, gateway, wait_for};

use crate::kit::{get, is_hit, status};

const ROUTES: &str = "
routes:
  - { name: small, path: /small/*, to: @ORIGIN@, cache: { ttl: 60s, max_size: 1MiB } }
  - { name: all, path: /*, to: @ORIGIN@, cache: { ttl: 60s } }
";

fn start(origin: &Origin) -> Gateway {
    gateway!(ROUTES, ORIGIN = origin.url())
}

/// Bytes of which each tells its place.
fn body(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251) as u8).collect()
}

fn sized(bytes: usize) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").into_bytes();
    answer.extend_from_slice(&body(bytes));
    answer
}

fn chunked(bytes: usize) -> Vec<u8> {
    let mut answer = b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body(bytes).chunks(7000) {
        answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        answer.extend_from_slice(chunk);
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\nX-Sum: 1\r\n\r\n");
    answer
}

#[test]
fn bodies_of_all_lengths_and_framings_come_back_whole() {
    for bytes in [0, 1, 1000, 65_536, 70_000, 1_000_000, 5_000_000] {
        for answer in [sized(bytes), chunked(bytes)] {
            let origin = Origin::start(move |conn| answer_each(conn, &answer));
            let gateway = start(&origin);
            let mut client = gateway.client();
            for ask in 0..3 {
                let got =
                    client.exchange("GET / HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
                assert!(got.body == body(bytes), "{bytes} bytes, request {ask}");
                assert_eq!(is_hit(&got), ask > 0, "{bytes} bytes, request {ask}: {}", status(&got));
                if ask > 0 {
                    assert_eq!(got.header("content-length"), Some(bytes.to_string().as_str()));
                    assert!(got.trailers.is_empty(), "trailers are not kept");
                }
            }
            assert_eq!(origin.count(), 1);
        }
    }
}

#[test]
fn what_is_too_large_passes_and_is_not_kept() {
    // An eighth of 1 MiB, and of 64 MiB.
    for (path, bytes, kept) in [
        ("/small/a", 131_072, true),
        ("/small/b", 131_073, false),
        ("/c", 8 * 1024 * 1024, true),
        ("/d", 8 * 1024 * 1024 + 1, false),
    ] {
        for answer in [sized(bytes), chunked(bytes)] {
            let origin = Origin::start(move |conn| answer_each(conn, &answer));
            let gateway = start(&origin);
            assert!(get(&gateway, path, "").body == body(bytes), "{path}");
            assert_eq!(is_hit(&get(&gateway, path, "")), kept, "{path}");
        }
    }
}

#[test]
fn what_breaks_off_is_not_kept() {
    fn after(bytes: &'static [u8]) -> impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static {
        move |conn| {
            conn.request()?;
            conn.send(if conn.index() == 0 {
                bytes
            } else {
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
            })
        }
    }
    for broken in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalfXX",
    ] {
        let origin = Origin::start(after(broken));
        let gateway = start(&origin);
        let mut client = gateway.client();
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        let broken_off = client.try_response().map_or(true, |response| response.status == 502);
        assert!(broken_off, "{broken:?}");
        assert_eq!(get(&gateway, "/", "").text(), "ok", "{broken:?}");
        assert!(is_hit(&get(&gateway, "/", "")));
    }
    // One that ends with its connection may have broken off.
    let origin = Origin::start(after(b"HTTP/1.1 200 OK\r\n\r\nperhaps all of it"));
    let gateway = start(&origin);
    assert_eq!(get(&gateway, "/", "").text(), "perhaps all of it");
    assert_eq!(get(&gateway, "/", "").text(), "ok");
}

#[test]
fn a_client_that_reads_slowly_keeps_nobody_waiting_and_no_copy() {
    // More than the kernel ever takes in for a client (4 MiB, tcp_wmem).
    let answer = sized(8_000_000);
    let origin = Origin::start(move |conn| answer_each(conn, &answer));
    let gateway = start(&origin);
    assert!(get(&gateway, "/", "").body == body(8_000_000));
    let before = gateway.own_kib();
    let slow: Vec<Client> = (0..50)
        .map(|_| {
            let mut client = Client::connect_narrow(&gateway.address(), 4096);
            client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
            client
        })
        .collect();
    wait_for("all of them", || gateway.metrics().get("tollgate_inflight_requests") == 50.0);
    assert!(get(&gateway, "/", "").body == body(8_000_000), "others are served");
    let grown = gateway.own_kib().saturating_sub(before);
    assert!(grown < 50_000, "{grown} KiB more for 50 clients with 8 MB each");
    drop(slow);
}

#[test]
fn a_client_that_leaves_in_the_middle_does_no_harm() {
    let answer = sized(8_000_000);
    let origin = Origin::start(move |conn| answer_each(conn, &answer));
    let gateway = start(&origin);
    let mut leaving = Client::connect_narrow(&gateway.address(), 4096);
    leaving.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    leaving.bytes(1000);
    leaving.reset();
    assert!(get(&gateway, "/", "").body == body(8_000_000));
    assert!(is_hit(&get(&gateway, "/", "")));
}
