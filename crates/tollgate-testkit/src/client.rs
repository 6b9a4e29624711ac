//! A client that sends exactly the bytes it is told to.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use socket2::SockRef;

use crate::message::{Fault, Reader, Response};
use crate::stream::Stream;
use crate::wait::{PATIENCE, pause};

/// One client connection.
pub struct Client {
    reader: Reader,
}

/// How the other side ended the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In an orderly way.
    Eof,
    /// With a reset.
    Reset,
    /// Not at all, as far as the client waited.
    Open,
}

impl Client {
    /// Connects to `host:port`.
    #[track_caller]
    pub fn connect(address: &str) -> Client {
        match Client::try_connect(address) {
            Ok(client) => client,
            Err(error) => panic!("cannot connect to {address}: {error}"),
        }
    }

    /// Connects to `host:port`, or says why not.
    pub fn try_connect(address: &str) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Client::over(Stream::Tcp(stream))
    }

    /// Connects with a small receive buffer, so that a server that sends more than `bytes` has to wait.
    pub fn connect_narrow(address: &str, bytes: usize) -> Client {
        let client = Client::connect(address);
        if let Stream::Tcp(tcp) = &client.reader.stream {
            SockRef::from(tcp).set_recv_buffer_size(bytes).expect("a receive buffer can be set");
        }
        client
    }

    /// Connects to a unix socket.
    pub fn connect_unix(path: &Path) -> Client {
        let stream = UnixStream::connect(path).expect("the unix socket accepts");
        Client::over(Stream::Unix(stream)).expect("timeouts can be set")
    }

    fn over(stream: Stream) -> io::Result<Client> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client { reader: Reader::new(stream) })
    }

    /// Changes how long a read may take.
    pub fn set_patience(&mut self, patience: Duration) {
        self.reader.stream.set_read_timeout(Some(patience)).expect("a timeout can be set");
    }

    /// Sends `bytes`; panics when the connection does not take them.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        if let Err(error) = self.try_send(bytes) {
            panic!("cannot send: {error}");
        }
    }

    /// Sends `bytes`, or says why not.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.reader.stream.write_all(bytes.as_ref())
    }

    /// Sends as much as goes within `time` without the other side reading; the number of bytes.
    pub fn send_while_taken(&mut self, bytes: &[u8], time: Duration) -> usize {
        self.reader.stream.set_write_timeout(Some(time)).expect("a timeout can be set");
        let mut sent = 0;
        while sent < bytes.len() {
            match self.reader.stream.write(&bytes[sent..]) {
                Ok(count) if count > 0 => sent += count,
                _ => break,
            }
        }
        self.reader.stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        sent
    }

    /// Sends `bytes` in pieces of `size`, each in a packet of its own as far as the kernel goes along.
    pub fn drip(&mut self, bytes: &[u8], size: usize, gap: Duration) -> io::Result<()> {
        for piece in bytes.chunks(size) {
            self.try_send(piece)?;
            pause(gap);
        }
        Ok(())
    }

    /// Sends a request and reads its response; the method is taken from the bytes.
    #[track_caller]
    pub fn exchange(&mut self, request: impl AsRef<[u8]>) -> Response {
        let request = request.as_ref();
        let is_head = request.starts_with(b"HEAD ");
        // An early answer may close the sending side: what counts is whether an answer can be read.
        let _ = self.try_send(request);
        self.response_to(if is_head { "HEAD" } else { "GET" })
    }

    /// Sends `GET path` with `Host: test` and reads the response.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Response {
        self.exchange(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
    }

    /// The next response, which answers a GET (or anything but a HEAD).
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// The next response, which answers `method`.
    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Response {
        match self.reader.response(method) {
            Ok(response) => response,
            Err(fault) => panic!("no response: {fault:?}; unread: {:?}", self.unread()),
        }
    }

    /// The next response, or why there is none.
    pub fn try_response(&mut self) -> Result<Response, Fault> {
        self.reader.response("GET")
    }

    /// Waits until at least `count` bytes are there, and takes all that are.
    #[track_caller]
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.reader.buffer.len() < count {
            match self.reader.fill() {
                Ok(n) if n > 0 => {}
                other => panic!("{other:?} before {count} bytes came; so far {:?}", self.unread()),
            }
        }
        std::mem::take(&mut self.reader.buffer)
    }

    /// Waits until `count` bytes are there, and takes those.
    #[track_caller]
    pub fn bytes_exactly(&mut self, count: usize) -> Vec<u8> {
        let mut taken = self.bytes(count);
        self.reader.buffer = taken.split_off(count);
        taken
    }

    /// The same connection once more, to send on it while this one reads.
    pub fn another(&self) -> Client {
        let stream = self.reader.stream.try_clone().expect("a descriptor is left");
        Client { reader: Reader::new(stream) }
    }

    /// Waits until `needle` came, and takes everything up to its end.
    #[track_caller]
    pub fn until(&mut self, needle: &str) -> String {
        loop {
            if let Some(at) = crate::message::find(&self.reader.buffer, needle.as_bytes()) {
                let taken: Vec<u8> = self.reader.buffer.drain(..at + needle.len()).collect();
                return crate::message::latin1(&taken);
            }
            match self.reader.fill() {
                Ok(n) if n > 0 => {}
                other => panic!("{other:?} before {needle:?} came; so far {:?}", self.unread()),
            }
        }
    }

    /// Everything up to the end of the connection, and how it ended; `Open` when that takes too long.
    pub fn drain(&mut self) -> (Vec<u8>, End) {
        let end = loop {
            match self.reader.fill().map_err(Fault::from) {
                Ok(0) => break End::Eof,
                Ok(_) => {}
                Err(Fault::Reset) => break End::Reset,
                Err(_) => break End::Open,
            }
        };
        (std::mem::take(&mut self.reader.buffer), end)
    }

    /// Asserts that the other side closes, in an orderly way or not, without another byte.
    #[track_caller]
    pub fn assert_closed(&mut self) {
        let (rest, end) = self.drain();
        assert!(rest.is_empty(), "bytes after the end: {:?}", String::from_utf8_lossy(&rest));
        assert_ne!(end, End::Open, "the connection is still open");
    }

    /// Asserts that the other side closes with a FIN, without another byte.
    #[track_caller]
    pub fn assert_closed_cleanly(&mut self) {
        let (rest, end) = self.drain();
        assert!(rest.is_empty(), "bytes after the end: {:?}", String::from_utf8_lossy(&rest));
        assert_eq!(end, End::Eof);
    }

    /// Asserts that nothing comes and nothing closes for `time`.
    #[track_caller]
    pub fn assert_silent(&mut self, time: Duration) {
        self.set_patience(time);
        let (rest, end) = self.drain();
        self.set_patience(PATIENCE);
        assert!(rest.is_empty(), "unexpected bytes: {:?}", String::from_utf8_lossy(&rest));
        assert_eq!(end, End::Open);
    }

    /// Ends the sending side and leaves the receiving side open.
    pub fn half_close(&mut self) {
        // The other side may have closed already; then there is nothing left to end.
        let _ = self.reader.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        self.reader.stream.reset_on_close().expect("linger can be set");
    }

    /// The local port, which is how the gateway knows this client.
    pub fn local_port(&self) -> u16 {
        match &self.reader.stream {
            Stream::Tcp(tcp) => tcp.local_addr().expect("a connected socket has an address").port(),
            Stream::Unix(_) => 0,
        }
    }

    fn unread(&self) -> String {
        String::from_utf8_lossy(&self.reader.buffer).into_owned()
    }
}
