//! A client that keeps its connection and looks at each answer.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Any single wait on a socket.
const IO_LIMIT: Duration = Duration::from_secs(10);
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Bodies up to this are kept to be looked at; of longer ones the length is counted.
const KEPT_BODY_BYTES: usize = 64 * 1024;
/// A whole answer of an interface.
const MAX_ANSWER_BYTES: u64 = 16 * 1024 * 1024;

/// One connection, made when it is needed.
pub(crate) struct Client {
    port: u16,
    stream: Option<TcpStream>,
    read: Vec<u8>,
}

/// What came.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Its first line and fields, as they came.
    pub(crate) head: String,
    /// The body's.
    pub(crate) bytes: u64,
    /// Empty where it is longer than what is kept.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A field of its head.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

impl Client {
    pub(crate) fn new(port: u16) -> Client {
        Client { port, stream: None, read: Vec::new() }
    }

    /// Makes sure of a connection before anything is sent. One that was closed while nothing was under way on it is opened anew.
    pub(crate) fn open(&mut self) -> Result<()> {
        let kept = self.stream.take().filter(is_quiet);
        self.stream = Some(kept.map_or_else(|| connect(self.port), Ok)?);
        Ok(())
    }

    /// Sends one request and reads its answer, which must say its length. After an error the next one has a new connection.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.port)?,
        };
        stream.write_all(request)?;
        let end = self.read_head(&mut stream)?;
        let head = String::from_utf8_lossy(&self.read[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        let length: usize = field(&head, "content-length").context("an answer without a length")?.parse()?;
        let mut body = self.read.split_off(end);
        let mut bytes = body.len();
        let mut piece = vec![0; 64 * 1024];
        while bytes < length {
            let room = piece.len().min(length - bytes);
            let n = stream.read(&mut piece[..room])?;
            if n == 0 {
                bail!("closed within a body");
            }
            bytes += n;
            if length <= KEPT_BODY_BYTES {
                body.extend_from_slice(&piece[..n]);
            }
        }
        if !field(&head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.stream = Some(stream);
        }
        Ok(Answer { status, head, bytes: bytes as u64, body })
    }

    /// Reads until a head is whole; where it ends.
    fn read_head(&mut self, stream: &mut TcpStream) -> Result<usize> {
        self.read.clear();
        let mut piece = [0; 16 * 1024];
        loop {
            if let Some(at) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                return Ok(at + 4);
            }
            match stream.read(&mut piece)? {
                0 => bail!("closed before the end of a head"),
                n => self.read.extend_from_slice(&piece[..n]),
            }
            if self.read.len() > MAX_HEAD_BYTES {
                bail!("a head of more than {MAX_HEAD_BYTES} bytes");
            }
        }
    }
}

/// Sends one request whose answer ends with its connection; the body of a 200.
pub(crate) fn whole(port: u16, request: &str) -> Result<String> {
    let mut stream = connect(port)?;
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut text)?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(body.to_owned()),
        _ => bail!("port {port} says {}", text.lines().next().unwrap_or("nothing")),
    }
}

/// Sends a request whose answer must be 101, with nothing behind it yet; its connection.
pub(crate) fn upgraded(port: u16, request: &str) -> Result<TcpStream> {
    let mut stream = connect(port)?;
    stream.write_all(request.as_bytes())?;
    let mut client = Client { port, stream: None, read: Vec::new() };
    let end = client.read_head(&mut stream)?;
    if !client.read.starts_with(b"HTTP/1.1 101 ") || end != client.read.len() {
        bail!("no other protocol: {}", String::from_utf8_lossy(&client.read));
    }
    Ok(stream)
}

/// Whether it is still open, with nothing to read.
fn is_quiet(stream: &TcpStream) -> bool {
    let looked = stream.set_nonblocking(true).map(|()| stream.peek(&mut [0]));
    let quiet = matches!(looked, Ok(Err(error)) if error.kind() == ErrorKind::WouldBlock);
    quiet && stream.set_nonblocking(false).is_ok()
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream =
        TcpStream::connect(("127.0.0.1", port)).with_context(|| format!("connecting to port {port}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IO_LIMIT))?;
    stream.set_write_timeout(Some(IO_LIMIT))?;
    Ok(stream)
}
