//! Frames of HTTP/2 (RFC 9113 section 4), byte by byte, and a target that is made of them.

use std::io;

use crate::origin::Conn;

/// What a client says first (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type, as one of the constants here.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// What is in it.
    pub payload: Vec<u8>,
}

impl Frame {
    /// DATA.
    pub const DATA: u8 = 0;
    /// HEADERS.
    pub const HEADERS: u8 = 1;
    /// RST_STREAM.
    pub const RST_STREAM: u8 = 3;
    /// SETTINGS.
    pub const SETTINGS: u8 = 4;
    /// PING.
    pub const PING: u8 = 6;
    /// GOAWAY.
    pub const GOAWAY: u8 = 7;
    /// WINDOW_UPDATE.
    pub const WINDOW_UPDATE: u8 = 8;
    /// CONTINUATION.
    pub const CONTINUATION: u8 = 9;
    /// The flag that ends a stream, and that acknowledges settings and pings.
    pub const END_STREAM: u8 = 1;
    /// The flag that ends a header block.
    pub const END_HEADERS: u8 = 4;

    /// Any frame.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
        Frame { kind, flags, stream, payload: payload.into() }
    }

    /// SETTINGS with these values (RFC 9113 section 6.5.2: 3 is the number of streams, 4 the window).
    pub fn settings(values: &[(u16, u32)]) -> Frame {
        let mut payload = Vec::new();
        for (name, value) in values {
            payload.extend_from_slice(&name.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        Frame::new(Frame::SETTINGS, 0, 0, payload)
    }

    /// A whole header block, without compression.
    pub fn headers(stream: u32, fields: &[(&str, &str)], end: bool) -> Frame {
        Frame::new(Frame::HEADERS, Frame::END_HEADERS | u8::from(end), stream, block(fields))
    }

    /// A piece of a body.
    pub fn data(stream: u32, bytes: impl Into<Vec<u8>>, end: bool) -> Frame {
        Frame::new(Frame::DATA, u8::from(end), stream, bytes)
    }

    /// The end of a stream, for a reason.
    pub fn reset(stream: u32, code: u32) -> Frame {
        Frame::new(Frame::RST_STREAM, 0, stream, code.to_be_bytes())
    }

    /// The end of the connection, behind the stream `last`.
    pub fn go_away(last: u32, code: u32) -> Frame {
        Frame::new(Frame::GOAWAY, 0, 0, [last.to_be_bytes(), code.to_be_bytes()].concat())
    }

    /// Room for more.
    pub fn window_update(stream: u32, more: u32) -> Frame {
        Frame::new(Frame::WINDOW_UPDATE, 0, stream, more.to_be_bytes())
    }

    /// Whether it ends its stream.
    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, Frame::DATA | Frame::HEADERS) && self.flags & Frame::END_STREAM != 0
    }

    /// The error code of a RST_STREAM or GOAWAY.
    pub fn code(&self) -> Option<u32> {
        let bytes = match self.kind {
            Frame::RST_STREAM => self.payload.get(..4)?,
            Frame::GOAWAY => self.payload.get(4..8)?,
            _ => return None,
        };
        bytes.try_into().ok().map(u32::from_be_bytes)
    }

    /// As it is on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).expect("a frame of a test fits");
        let mut bytes = length.to_be_bytes()[1..].to_vec();
        bytes.extend_from_slice(&[self.kind, self.flags]);
        bytes.extend_from_slice(&self.stream.to_be_bytes());
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// Takes a whole frame from the front of `buffer`.
    pub fn take(buffer: &mut Vec<u8>) -> Option<Frame> {
        let head = buffer.get(..9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let payload = buffer.get(9..9 + length)?.to_vec();
        buffer.drain(..9 + length);
        Some(Frame { kind, flags, stream, payload })
    }
}

/// A header block in the plainest coding there is: literals that nobody remembers (RFC 7541 section 6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(text.len(), &mut block);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// A length with a prefix of seven bits (RFC 7541 section 5.1).
fn length(length: usize, out: &mut Vec<u8>) {
    if length < 127 {
        out.push(length as u8);
        return;
    }
    out.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

/// The target's side of an HTTP/2 connection, in frames. Nothing is answered that the test does not answer, but
/// settings and pings.
pub struct Http2<'c> {
    conn: &'c mut Conn,
    buffer: Vec<u8>,
}

impl<'c> Http2<'c> {
    /// Reads the preface and says these settings.
    pub fn begin(conn: &'c mut Conn, settings: &[(u16, u32)]) -> io::Result<Http2<'c>> {
        let mut peer = Http2::silent(conn)?;
        peer.send(&Frame::settings(settings))?;
        Ok(peer)
    }

    /// Reads the preface and says nothing.
    pub fn silent(conn: &'c mut Conn) -> io::Result<Http2<'c>> {
        let mut buffer = Vec::new();
        while buffer.len() < PREFACE.len() {
            buffer.extend(conn.some_bytes()?);
        }
        if !buffer.starts_with(PREFACE) {
            return Err(io::Error::other("no preface"));
        }
        buffer.drain(..PREFACE.len());
        Ok(Http2 { conn, buffer })
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &Frame) -> io::Result<()> {
        self.conn.send(frame.encode())
    }

    /// The next frame that is about a stream, or GOAWAY; settings and pings are acknowledged.
    pub fn frame(&mut self) -> io::Result<Frame> {
        loop {
            let Some(frame) = Frame::take(&mut self.buffer) else {
                let more = self.conn.some_bytes()?;
                self.buffer.extend(more);
                continue;
            };
            match frame.kind {
                Frame::SETTINGS | Frame::PING => {
                    if frame.flags & 1 == 0 {
                        let payload = if frame.kind == Frame::PING { frame.payload } else { Vec::new() };
                        self.send(&Frame::new(frame.kind, 1, 0, payload))?;
                    }
                }
                Frame::WINDOW_UPDATE => {}
                _ => return Ok(frame),
            }
        }
    }

    /// Reads a whole request; its stream.
    pub fn request(&mut self) -> io::Result<u32> {
        let mut frame = self.head()?;
        let stream = frame.stream;
        while !(frame.stream == stream && frame.ends_stream()) {
            frame = self.frame()?;
        }
        Ok(stream)
    }

    /// Reads the head of a request.
    pub fn head(&mut self) -> io::Result<Frame> {
        loop {
            let frame = self.frame()?;
            if frame.kind == Frame::HEADERS {
                return Ok(frame);
            }
        }
    }

    /// Answers with 200 and this body.
    pub fn answer(&mut self, stream: u32, body: &str) -> io::Result<()> {
        self.send(&Frame::headers(stream, &[(":status", "200")], false))?;
        self.send(&Frame::data(stream, body, true))
    }

    /// Reads until the other side ends the connection.
    pub fn wait_end(&mut self) -> io::Result<()> {
        loop {
            self.frame()?;
        }
    }

    /// Reads frames until the stream is reset, and says with which code.
    pub fn wait_reset(&mut self, stream: u32) -> io::Result<u32> {
        loop {
            let frame = self.frame()?;
            if let (Frame::RST_STREAM, Some(code)) = (frame.kind, frame.code())
                && frame.stream == stream
            {
                return Ok(code);
            }
        }
    }

    /// The connection beneath.
    pub fn conn(&mut self) -> &mut Conn {
        self.conn
    }
}
