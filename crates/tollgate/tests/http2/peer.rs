//! A client that says exactly the frames it is told to, and hears frames.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use tollgate_testkit::{Frame, Gateway, PATIENCE, PREFACE, block};

use crate::fields;

/// One connection.
pub(crate) struct Peer {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The code of the last goodbye.
    goodbye: Option<u32>,
    /// Streams that have ended, and how: with so many bytes of body, or a reset.
    ended: BTreeMap<u32, Result<usize, u32>>,
    /// Bytes of body so far.
    bytes: BTreeMap<u32, usize>,
}

/// How the gateway ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With a goodbye of this code, and perhaps a close behind it.
    GoAway(u32),
    /// Without one.
    Closed,
}

impl Peer {
    /// A connection on which nothing was said.
    #[track_caller]
    pub(crate) fn silent(gateway: &Gateway) -> Peer {
        let stream = TcpStream::connect(gateway.address()).expect("the gateway accepts");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        Peer { stream, buffer: Vec::new(), goodbye: None, ended: BTreeMap::new(), bytes: BTreeMap::new() }
    }

    /// A connection that began as it should, with these settings.
    #[track_caller]
    pub(crate) fn with(gateway: &Gateway, settings: &[(u16, u32)]) -> Peer {
        let mut peer = Peer::silent(gateway);
        peer.send_bytes(PREFACE);
        peer.send(&[Frame::settings(settings)]);
        peer
    }

    /// The same with the usual settings.
    #[track_caller]
    pub(crate) fn connect(gateway: &Gateway) -> Peer {
        Peer::with(gateway, &[])
    }

    /// Sends frames in one write. A gateway that has closed is no surprise here: what it said before is what counts.
    pub(crate) fn send(&mut self, frames: &[Frame]) {
        self.send_bytes(&frames.iter().flat_map(Frame::encode).collect::<Vec<u8>>());
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends until the gateway takes no more of it, `times` at most; whether it took all.
    pub(crate) fn flood(&mut self, frames: &[Frame], times: usize) -> bool {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
        (0..times).all(|_| self.stream.write_all(&bytes).is_ok())
    }

    /// A whole request without a body, its head in as many frames as it takes.
    pub(crate) fn ask(&mut self, stream: u32, fields: &[(&str, &str)]) {
        let block = block(fields);
        let pieces: Vec<&[u8]> = block.chunks(16 * 1024).collect();
        let frames = pieces.iter().enumerate().map(|(at, piece)| {
            let last = if at + 1 == pieces.len() { Frame::END_HEADERS } else { 0 };
            match at {
                0 => Frame::new(Frame::HEADERS, Frame::END_STREAM | last, stream, *piece),
                _ => Frame::new(Frame::CONTINUATION, last, stream, *piece),
            }
        });
        self.send(&frames.collect::<Vec<Frame>>());
    }

    /// A whole GET.
    pub(crate) fn get(&mut self, stream: u32, path: &str) {
        self.send(&[Frame::headers(stream, &fields("GET", path, &[]), true)]);
    }

    /// The next frame; none when the connection has ended.
    #[track_caller]
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::take(&mut self.buffer) {
                self.note(&frame);
                return Some(frame);
            }
            let mut piece = [0u8; 16 * 1024];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(read) => self.buffer.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no frame: {error}"),
            }
        }
    }

    /// The next frame of this kind on this stream; panics when the connection ends before.
    #[track_caller]
    pub(crate) fn wait(&mut self, kind: u8, stream: u32) -> Frame {
        loop {
            let frame = self.frame().unwrap_or_else(|| panic!("the end before a frame {kind} on {stream}"));
            if (frame.kind, frame.stream) == (kind, stream) {
                return frame;
            }
        }
    }

    fn note(&mut self, frame: &Frame) {
        let stream = frame.stream;
        match (frame.kind, frame.code()) {
            (Frame::GOAWAY, code) => self.goodbye = code,
            (Frame::RST_STREAM, Some(code)) => {
                self.ended.entry(stream).or_insert(Err(code));
            }
            (Frame::DATA, _) => *self.bytes.entry(stream).or_default() += frame.payload.len(),
            _ => {}
        }
        if frame.ends_stream() {
            let bytes = self.bytes.get(&stream).copied().unwrap_or_default();
            self.ended.entry(stream).or_insert(Ok(bytes));
        }
    }

    /// How the stream ends: with so many bytes of body, or a reset; none when the connection ends before.
    #[track_caller]
    pub(crate) fn ended(&mut self, stream: u32) -> Option<Result<usize, u32>> {
        while !self.ended.contains_key(&stream) {
            self.frame()?;
        }
        self.ended.get(&stream).copied()
    }

    /// All of an answer, however those of other streams come between: how many bytes of body it has.
    #[track_caller]
    pub(crate) fn answer(&mut self, stream: u32) -> usize {
        match self.ended(stream) {
            Some(Ok(bytes)) => bytes,
            other => panic!("no answer on {stream}: {other:?}"),
        }
    }

    /// Why the stream was reset, if it was not answered before.
    #[track_caller]
    pub(crate) fn reset(&mut self, stream: u32) -> u32 {
        match self.ended(stream) {
            Some(Err(code)) => code,
            other => panic!("no reset of {stream}: {other:?}"),
        }
    }

    /// Reads until the gateway ends the connection; how it did, also if the goodbye came earlier.
    #[track_caller]
    pub(crate) fn end(&mut self) -> End {
        while self.frame().is_some() {}
        self.goodbye.map_or(End::Closed, End::GoAway)
    }

    /// Whether the gateway answers a ping.
    #[track_caller]
    pub(crate) fn is_alive(&mut self) -> bool {
        const WORD: [u8; 8] = *b"h2 alive";
        self.send(&[Frame::new(Frame::PING, 0, 0, WORD)]);
        while let Some(frame) = self.frame() {
            if frame.kind == Frame::PING && frame.payload == WORD {
                return true;
            }
        }
        false
    }
}
