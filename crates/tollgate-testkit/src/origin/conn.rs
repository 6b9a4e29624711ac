//! One connection as an origin's handler sees it: read what comes, send any bytes, end it in any way.

use std::io::{self, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::Shared;
use super::seen::{Closed, ConnectionSeen, KEPT_BYTES, Seen};
use crate::message::{Fault, Framing, Reader, request_framing};
use crate::stream::Stream;
use crate::wait::pause;

/// One connection of an origin.
pub struct Conn {
    reader: Reader,
    index: usize,
    shared: Arc<Shared>,
}

impl Conn {
    pub(super) fn new(stream: Stream, index: usize, shared: Arc<Shared>) -> Conn {
        Conn { reader: Reader::new(stream), index, shared }
    }

    /// Which connection of the origin this is, counting from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Reads a whole request; an error when the connection ended instead.
    pub fn request(&mut self) -> io::Result<Seen> {
        self.head()?;
        self.body()
    }

    /// Reads the head of a request only.
    pub fn head(&mut self) -> io::Result<Seen> {
        let result = loop {
            let before = self.reader.buffer.len();
            if crate::message::find(&self.reader.buffer, b"\r\n\r\n").is_some() {
                break self.reader.head();
            }
            match self.reader.fill() {
                Ok(0) => break Err(if before == 0 { Fault::Eof } else { Fault::Truncated }),
                Ok(_) => self.record(before),
                Err(error) => break Err(error.into()),
            }
        };
        let (head, raw_head) = result.map_err(|fault| self.ended(fault))?;
        let seen = Seen {
            connection: self.index,
            arrived: Instant::now(),
            head,
            raw_head,
            body: Vec::new(),
            body_bytes: 0,
            body_sum: 0,
            trailers: Vec::new(),
            complete: false,
        };
        self.update(|connection| connection.requests.push(seen.clone()));
        Ok(seen)
    }

    /// Reads the rest of the body of the request whose head was read last, and gives the whole request.
    pub fn body(&mut self) -> io::Result<Seen> {
        let last = self.last();
        let framing = request_framing(&last.head).map_err(|fault| self.ended(fault))?;
        let (shared, index) = (self.shared.clone(), self.index);
        let result = self.reader.body(framing, &mut |bytes| {
            if let Some(seen) = shared.lock()[index].requests.last_mut() {
                seen.take_body(bytes);
            }
        });
        let trailers = result.map_err(|fault| self.ended(fault))?;
        self.update(|connection| {
            if let Some(seen) = connection.requests.last_mut() {
                seen.trailers = trailers;
                seen.complete = true;
            }
        });
        Ok(self.last())
    }

    /// Reads exactly `count` raw bytes of whatever follows and forgets them.
    pub fn some_body(&mut self, count: usize) -> io::Result<()> {
        let result = self.reader.body(Framing::Length(count as u64), &mut |_| {});
        result.map(|_| ()).map_err(|fault| self.ended(fault))
    }

    /// Waits until something is there, and takes it: bytes of whatever follows; an error at the end.
    pub fn some_bytes(&mut self) -> io::Result<Vec<u8>> {
        self.wait_byte()?;
        Ok(std::mem::take(&mut self.reader.buffer))
    }

    /// Sends these bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.reader.stream.write_all(bytes.as_ref())
    }

    /// Sends these bytes one by one.
    pub fn drip(&mut self, bytes: impl AsRef<[u8]>, gap: Duration) -> io::Result<()> {
        for byte in bytes.as_ref() {
            self.send([*byte])?;
            pause(gap);
        }
        Ok(())
    }

    /// Reads and forgets until the other side ends the connection.
    pub fn wait_end(&mut self) -> io::Result<()> {
        loop {
            let before = self.reader.buffer.len();
            match self.reader.fill() {
                Ok(0) => return Err(self.ended(Fault::Eof)),
                Ok(_) => {
                    self.record(before);
                    self.reader.buffer.clear();
                }
                Err(error) => return Err(self.ended(error.into())),
            }
        }
    }

    /// Waits until at least one byte of the next request is there, without reading it as a request.
    pub fn wait_byte(&mut self) -> io::Result<()> {
        while self.reader.buffer.is_empty() {
            match self.reader.fill() {
                Ok(0) => return Err(self.ended(Fault::Eof)),
                Ok(_) => self.record(0),
                Err(error) => return Err(self.ended(error.into())),
            }
        }
        Ok(())
    }

    /// Ends the sending side; the other side sees an orderly end and can still send.
    pub fn finish_sending(&mut self) -> io::Result<()> {
        self.reader.stream.shutdown(Shutdown::Write)
    }

    /// Makes the end of the connection a reset, and ends it.
    pub fn reset(&mut self) -> io::Result<()> {
        self.reader.stream.reset_on_close()?;
        self.note(Closed::ByOrigin);
        Err(io::ErrorKind::ConnectionReset.into())
    }

    /// Narrows the receive buffer, so that a sender has to wait for this side to read.
    pub fn narrow(&self, bytes: usize) -> io::Result<()> {
        match &self.reader.stream {
            Stream::Tcp(tcp) => SockRef::from(tcp).set_recv_buffer_size(bytes),
            Stream::Unix(unix) => SockRef::from(unix).set_recv_buffer_size(bytes),
        }
    }

    pub(super) fn finish(self) {
        self.note(Closed::ByOrigin);
        self.shared.forget(self.index);
    }

    fn ended(&self, fault: Fault) -> io::Error {
        match fault {
            Fault::Eof | Fault::Truncated => self.note(Closed::ByPeer),
            Fault::Reset => self.note(Closed::ByReset),
            Fault::Malformed(what) => self.update(|connection| connection.malformed = Some(what)),
            Fault::Timeout | Fault::Io(_) => {}
        }
        io::Error::other(format!("{fault:?}"))
    }

    /// Only the first end counts: what comes after is its consequence.
    fn note(&self, how: Closed) {
        self.update(|connection| {
            connection.closed.get_or_insert(how);
        });
    }

    /// Keeps the bytes of the buffer from `before` on for [`ConnectionSeen::raw`].
    fn record(&mut self, before: usize) {
        let fresh = self.reader.buffer[before..].to_vec();
        self.update(|connection| {
            let room = KEPT_BYTES.saturating_sub(connection.raw.len()).min(fresh.len());
            connection.raw.extend_from_slice(&fresh[..room]);
        });
    }

    fn last(&self) -> Seen {
        let connections = self.shared.lock();
        connections[self.index].requests.last().expect("a head was read before its body").clone()
    }

    fn update(&self, change: impl FnOnce(&mut ConnectionSeen)) {
        change(&mut self.shared.lock()[self.index]);
    }
}
