//! Handlers for what origins do, well and badly.

use std::io;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::conn::Conn;
use super::seen::Seen;
use crate::message::latin1;
use crate::wait::{Gate, pause};

/// 200 with the body `ok`, for every request.
pub fn ok(conn: &mut Conn) -> io::Result<()> {
    answer_each(conn, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
}

/// The same bytes for every request, whatever they are.
pub fn answer_each(conn: &mut Conn, bytes: &[u8]) -> io::Result<()> {
    loop {
        conn.request()?;
        conn.send(bytes)?;
    }
}

/// 200 with the origin's name as the body, to see which of several was asked.
pub fn named(name: &'static str) -> impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static {
    move |conn| answer_each(conn, &response(200, name.as_bytes()))
}

/// A JSON description of each request.
pub fn echo(conn: &mut Conn) -> io::Result<()> {
    loop {
        let seen = conn.request()?;
        let body = describe(&seen).to_string();
        // An answer to HEAD has the headers alone.
        let mut answer = response(200, body.as_bytes());
        if seen.method() == "HEAD" {
            answer.truncate(answer.len() - body.len());
        }
        conn.send(answer)?;
    }
}

/// Reads the head and says nothing more until the other side leaves.
pub fn hang(conn: &mut Conn) -> io::Result<()> {
    conn.head()?;
    conn.wait_end()
}

/// Answers every request once the gate is open.
pub fn gated(
    gate: &Gate,
    body: &'static str,
) -> impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static {
    let gate = gate.clone();
    move |conn| loop {
        conn.request()?;
        gate.wait();
        conn.send(response(200, body.as_bytes()))?;
    }
}

/// Answers every request after `time`.
pub fn slow(time: Duration) -> impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static {
    move |conn| loop {
        conn.request()?;
        pause(time);
        conn.send(response(200, b"slow"))?;
    }
}

/// Sends `bytes` as the answer to the first request of each connection and then closes with a FIN.
pub fn then_close(bytes: &'static [u8]) -> impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static {
    move |conn| {
        conn.request()?;
        conn.send(bytes)
    }
}

/// Sends `bytes` as the answer to the first request of each connection and then resets.
pub fn then_reset(bytes: &'static [u8]) -> impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static {
    move |conn| {
        conn.request()?;
        conn.send(bytes)?;
        // A reset throws away what the peer has not read; let it read.
        pause(Duration::from_millis(50));
        conn.reset()
    }
}

/// Answers the first request of each connection well; ends the connection the moment the next one arrives,
/// having read it or not, without a byte of an answer.
pub fn dies_on_reuse(conn: &mut Conn) -> io::Result<()> {
    if conn.index() > 0 {
        return ok(conn);
    }
    conn.request()?;
    conn.send(response(200, b"first"))?;
    conn.wait_byte()?;
    conn.reset()
}

/// A response with `Content-Length`.
pub fn response(status: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// What a request said, as JSON.
pub fn describe(seen: &Seen) -> Value {
    let mut headers = Map::new();
    for (name, value) in &seen.head.lines {
        let entry = headers.entry(name.to_ascii_lowercase()).or_insert_with(|| json!([]));
        if let Value::Array(values) = entry {
            values.push(json!(value));
        }
    }
    json!({
        "method": seen.method(),
        "target": seen.target(),
        "headers": headers,
        "body": latin1(&seen.body),
        "body_bytes": seen.body_bytes,
    })
}
