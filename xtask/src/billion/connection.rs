//! A client's connection to the balancer: one request at a time, each answer read to its end.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Where the balancer listens.
pub(super) const BALANCER: ([u8; 4], u16) = ([10, 77, 0, 1], 8080);

/// How long a client waits for a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// No answer of this system is longer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// An answer that came whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// It is the last one on its connection.
    pub(super) closes: bool,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The code of problem JSON; empty where there is none.
    pub(super) fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Why no answer came.
pub(super) type Fault = &'static str;

/// An open connection.
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// How many answers came on it.
    pub(super) answered: u32,
    /// The zone where it ends, once an answer told.
    pub(super) zone: Option<&'static str>,
}

impl Connection {
    /// Connects, once: the balancer is what tries again.
    pub(super) fn open() -> Result<Connection, Fault> {
        Connection::open_with(PATIENCE)
    }

    /// The same with another patience.
    pub(super) fn open_with(patience: Duration) -> Result<Connection, Fault> {
        let address = SocketAddr::from(BALANCER);
        let stream =
            TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| fault(&error, "refused"))?;
        let set = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(patience)));
        set.and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            .map_err(|error| fault(&error, "closed"))?;
        Ok(Connection { stream, buffer: Vec::with_capacity(2048), answered: 0, zone: None })
    }

    /// Whether it is still open, with nothing to read: what every client looks at before it uses a connection again.
    pub(super) fn is_quiet(&self) -> bool {
        let looked = self.stream.set_nonblocking(true).map(|()| self.stream.peek(&mut [0]));
        let quiet = matches!(looked, Ok(Err(error)) if error.kind() == ErrorKind::WouldBlock);
        quiet && self.stream.set_nonblocking(false).is_ok()
    }

    /// Sends a request.
    pub(super) fn send(&mut self, request: &str) -> Result<(), Fault> {
        self.stream.write_all(request.as_bytes()).map_err(|error| fault(&error, "closed"))
    }

    /// Reads the next answer.
    pub(super) fn answer(&mut self) -> Result<Answer, Fault> {
        self.buffer.clear();
        let head_end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill(if self.buffer.is_empty() { "closed" } else { "truncated" })?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).to_ascii_lowercase();
        let status = head.strip_prefix("http/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let length = field("content-length").and_then(|value| value.trim().parse::<usize>().ok());
        let (Some(status), Some(length)) = (status, length) else { return Err("malformed") };
        let closes = field("connection").is_some_and(|value| value.trim() == "close");
        while self.buffer.len() < head_end + length {
            self.fill("truncated")?;
        }
        self.answered += 1;
        Ok(Answer { status, closes, body: self.buffer[head_end..head_end + length].to_vec() })
    }

    fn fill(&mut self, when_closed: Fault) -> Result<(), Fault> {
        let mut piece = [0; 4096];
        match self.stream.read(&mut piece) {
            Ok(0) => Err(when_closed),
            Ok(_) if self.buffer.len() > ANSWER_BYTES_MAX => Err("malformed"),
            Ok(count) => {
                self.buffer.extend_from_slice(&piece[..count]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(fault(&error, when_closed)),
        }
    }
}

fn fault(error: &std::io::Error, other: Fault) -> Fault {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "timeout",
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "reset",
        ErrorKind::ConnectionRefused => "refused",
        _ => other,
    }
}
