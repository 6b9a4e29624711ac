//! WebSockets through the gateway: in bytes, and with another's implementation on both sides.

mod handshake;
mod messages;
mod tunnel;

use std::io;

use tollgate_testkit::{Client, Conn, Gateway, Seen};
use tungstenite::handshake::derive_accept_key;

const ROUTES: &str = "routes:\n  - { name: all, path: /*, to: \"@ORIGIN@\" }\n";

/// A key as clients make them (RFC 6455 section 1.3).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A handshake with these lines more.
fn handshake(path: &str, lines: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{lines}\r\n"
    )
}

/// The answer that takes a handshake up, with these lines more.
fn switch(seen: &Seen, lines: &str) -> String {
    let accept = derive_accept_key(seen.header("sec-websocket-key").unwrap_or_default().as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{lines}\r\n"
    )
}

/// Switches, and sends back whatever comes.
fn echo(conn: &mut Conn) -> io::Result<()> {
    let seen = conn.head()?;
    conn.send(switch(&seen, ""))?;
    loop {
        let bytes = conn.some_bytes()?;
        conn.send(bytes)?;
    }
}

/// Opens a tunnel.
#[track_caller]
fn begin(mut client: Client, path: &str, lines: &str) -> Client {
    client.send(handshake(path, lines));
    let head = client.until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client
}

/// Opens a tunnel to an origin that echoes, and sees that it does.
#[track_caller]
fn open(client: Client, path: &str, lines: &str) -> Client {
    let mut client = begin(client, path, lines);
    check_echo(&mut client);
    client
}

#[track_caller]
fn check_echo(client: &mut Client) {
    client.send("hello");
    assert_eq!(client.bytes(5), b"hello");
}

/// Requests in flight.
fn in_flight(gateway: &Gateway) -> f64 {
    gateway.metrics().get("tollgate_inflight_requests")
}
