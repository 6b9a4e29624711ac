//! The kit's own HTTP/1 reader: small, strict, and independent of the gateway's.

use std::io::{self, Read};

use crate::stream::Stream;

/// A start line and the header lines under it, names as they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The first line without its end.
    pub start: String,
    /// Name and value of each line, in order, in latin-1.
    pub lines: Vec<(String, String)>,
}

impl Head {
    /// The only value of that name; panics when there are several, because a test that means one must not
    /// overlook the other.
    #[track_caller]
    pub fn get(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} stands {} times in {self:?}", all.len());
        all.first().copied()
    }

    /// Every value of that name, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.lines.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    fn parse(bytes: &[u8]) -> Result<Head, Fault> {
        let text = latin1(bytes);
        let mut lines = text.strip_suffix("\r\n\r\n").ok_or(Fault::Malformed("head"))?.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        if start.chars().any(|c| c < ' ' || c == '\x7f') {
            return Err(Fault::Malformed("start line"));
        }
        let mut head = Head { start, lines: Vec::new() };
        for line in lines {
            head.lines.push(header_line(line)?);
        }
        Ok(head)
    }
}

/// Why a message could not be read.
#[derive(Debug)]
pub enum Fault {
    /// The connection ended in an orderly way before the first byte.
    Eof,
    /// The connection ended in the middle.
    Truncated,
    /// The connection was reset.
    Reset,
    /// Nothing came in time.
    Timeout,
    /// The bytes are not HTTP/1.1 as RFC 9112 has it.
    Malformed(&'static str),
    /// Anything else.
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Fault::Timeout,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Fault::Reset,
            io::ErrorKind::UnexpectedEof => Fault::Truncated,
            _ => Fault::Io(error),
        }
    }
}

/// A response as the client saw it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Start line and headers.
    pub head: Head,
    /// The decoded body.
    pub body: Vec<u8>,
    /// Trailers of a chunked body.
    pub trailers: Vec<(String, String)>,
    /// 1xx responses that came before.
    pub interim: Vec<Head>,
    /// The body's end was the end of the connection.
    pub until_close: bool,
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The body as text, because a list of its bytes says nothing to the reader of a failure.
        let body = latin1(&self.body[..self.body.len().min(2_000)]);
        f.debug_struct("Response")
            .field("head", &self.head)
            .field("body", &body)
            .field("trailers", &self.trailers)
            .field("interim", &self.interim)
            .field("until_close", &self.until_close)
            .finish()
    }
}

impl Response {
    /// The only value of a header.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        latin1(&self.body)
    }

    /// The body as JSON; panics when it is none.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("not JSON ({error}): {self:?}"),
        }
    }

    /// The `code` of a problem document, or the empty string.
    pub fn code(&self) -> String {
        let value: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        value.and_then(|v| v["code"].as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// A stream with what was read from it and not yet used.
pub(crate) struct Reader {
    pub(crate) stream: Stream,
    pub(crate) buffer: Vec<u8>,
}

impl Reader {
    pub(crate) fn new(stream: Stream) -> Reader {
        Reader { stream, buffer: Vec::new() }
    }

    /// Reads once; the number of bytes that came, 0 at the end.
    pub(crate) fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        let count = self.stream.read(&mut chunk)?;
        self.buffer.extend_from_slice(&chunk[..count]);
        Ok(count)
    }

    /// One head with its final empty line.
    pub(crate) fn head(&mut self) -> Result<(Head, Vec<u8>), Fault> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                let raw: Vec<u8> = self.buffer.drain(..at + 4).collect();
                return Ok((Head::parse(&raw)?, raw));
            }
            if self.fill()? == 0 {
                return Err(if self.buffer.is_empty() { Fault::Eof } else { Fault::Truncated });
            }
        }
    }

    /// A whole body into `sink`; the trailers of a chunked one.
    pub(crate) fn body(
        &mut self,
        framing: Framing,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<Vec<(String, String)>, Fault> {
        match framing {
            Framing::Length(length) => self.take(length, sink).map(|()| Vec::new()),
            Framing::Chunked => self.chunks(sink),
            Framing::UntilClose => loop {
                sink(&std::mem::take(&mut self.buffer));
                if self.fill()? == 0 {
                    return Ok(Vec::new());
                }
            },
        }
    }

    /// A response to `method`, interim ones gathered.
    pub(crate) fn response(&mut self, method: &str) -> Result<Response, Fault> {
        let mut interim = Vec::new();
        let (status, head) = loop {
            let (head, _) = self.head()?;
            let status = status_of(&head.start)?;
            if !(100..200).contains(&status) || status == 101 {
                break (status, head);
            }
            interim.push(head);
        };
        let framing = response_framing(method, status, &head)?;
        let mut body = Vec::new();
        let trailers = self.body(framing, &mut |bytes| body.extend_from_slice(bytes))?;
        let until_close = framing == Framing::UntilClose;
        Ok(Response { status, head, body, trailers, interim, until_close })
    }

    fn take(&mut self, length: u64, sink: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
        let mut left = length;
        while left > 0 {
            if self.buffer.is_empty() && self.fill()? == 0 {
                return Err(Fault::Truncated);
            }
            let count = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            sink(&self.buffer[..count]);
            self.buffer.drain(..count);
            left -= count as u64;
        }
        Ok(())
    }

    fn chunks(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<Vec<(String, String)>, Fault> {
        loop {
            let line = self.line()?;
            if line.is_empty() || line.len() > 16 || !line.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(Fault::Malformed("chunk size"));
            }
            let size = u64::from_str_radix(&line, 16).map_err(|_| Fault::Malformed("chunk size"))?;
            if size == 0 {
                break;
            }
            self.take(size, sink)?;
            if !self.line()?.is_empty() {
                return Err(Fault::Malformed("end of chunk"));
            }
        }
        let mut trailers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(trailers);
            }
            trailers.push(header_line(&line)?);
        }
    }

    fn line(&mut self) -> Result<String, Fault> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line = latin1(&self.buffer[..at]);
                self.buffer.drain(..at + 2);
                return Ok(line);
            }
            if self.buffer.len() > 64 * 1024 {
                return Err(Fault::Malformed("endless line"));
            }
            if self.fill()? == 0 {
                return Err(Fault::Truncated);
            }
        }
    }
}

/// How a request's body ends; `Length(0)` when it has none.
pub(crate) fn request_framing(head: &Head) -> Result<Framing, Fault> {
    Ok(declared(head)?.unwrap_or(Framing::Length(0)))
}

fn response_framing(method: &str, status: u16, head: &Head) -> Result<Framing, Fault> {
    let declared = declared(head)?;
    if (100..200).contains(&status) || status == 204 {
        return match declared {
            None => Ok(Framing::Length(0)),
            Some(_) => Err(Fault::Malformed("framing headers on a 1xx or 204")),
        };
    }
    if method == "HEAD" || status == 304 {
        return Ok(Framing::Length(0));
    }
    Ok(declared.unwrap_or(Framing::UntilClose))
}

fn declared(head: &Head) -> Result<Option<Framing>, Fault> {
    match (&head.all("content-length")[..], &head.all("transfer-encoding")[..]) {
        ([], []) => Ok(None),
        ([length], []) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => {
            length.parse().map(|n| Some(Framing::Length(n))).map_err(|_| Fault::Malformed("content-length"))
        }
        ([], ["chunked"]) => Ok(Some(Framing::Chunked)),
        _ => Err(Fault::Malformed("framing headers")),
    }
}

fn status_of(start: &str) -> Result<u16, Fault> {
    let rest = start.strip_prefix("HTTP/1.1 ").ok_or(Fault::Malformed("version"))?;
    let (code, _) = rest.split_once(' ').ok_or(Fault::Malformed("status line"))?;
    match code.len() {
        3 => code.parse().map_err(|_| Fault::Malformed("status")),
        _ => Err(Fault::Malformed("status")),
    }
}

fn header_line(line: &str) -> Result<(String, String), Fault> {
    let (name, value) = line.split_once(':').ok_or(Fault::Malformed("header line"))?;
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        return Err(Fault::Malformed("header name"));
    }
    if value.chars().any(|c| (c < ' ' && c != '\t') || c == '\x7f') {
        return Err(Fault::Malformed("header value"));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| char::from(b)).collect()
}
