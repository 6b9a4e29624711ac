//! The WebSocket of the example: one message there and back.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Result, bail};

use crate::replay::client;

/// What is said there, masked with zeros, and what comes back (RFC 6455 section 5.2).
const MESSAGE: &[u8] = b"\x81\x85\0\0\0\0hello";
const ECHO: &[u8] = b"\x81\x05hello";

/// Opens one with this token.
pub(super) fn open(port: u16, token: &str) -> Result<TcpStream> {
    let request = format!(
        "GET /live?access_token={token} HTTP/1.1\r\nHost: closet\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    client::upgraded(port, &request)
}

/// One message there and back.
pub(super) fn echo(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(MESSAGE)?;
    let mut back = [0; ECHO.len()];
    stream.read_exact(&mut back)?;
    if back != *ECHO {
        bail!("another message came back");
    }
    Ok(())
}
