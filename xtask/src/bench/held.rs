//! Connections that are held open: idle ones, and requests that wait for an origin which holds its answer.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::process::wait_for;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench.example\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld";

/// The handshake of RFC 6455 section 1.3, and the answer that takes it up.
const HANDSHAKE: &[u8] =
    b"GET / HTTP/1.1\r\nHost: bench.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A short frame; nobody looks into it.
const MESSAGE: &[u8] = b"\x82\x85\0\0\0\0hello";

/// Any single wait on a socket. Everything is on one machine, so this is generous.
const IO_LIMIT: Duration = Duration::from_secs(10);

/// How many requests are sent before their arrival is awaited: fewer than the shortest accept queue.
const BATCH: usize = 64;

/// An origin that takes requests and keeps their answers back until it is told to give them. A WebSocket it opens at
/// once, and sends the first message back.
pub(super) struct HoldingOrigin {
    /// Where it listens.
    pub(super) port: u16,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    held: Mutex<Vec<TcpStream>>,
    count: AtomicUsize,
    stop: AtomicBool,
}

impl HoldingOrigin {
    /// Starts one.
    pub(super) fn start() -> Result<HoldingOrigin> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State::default());
        let own = state.clone();
        let thread = std::thread::spawn(move || accept(&listener, &own));
        Ok(HoldingOrigin { port, state, thread: Some(thread) })
    }

    /// How many requests it holds.
    pub(super) fn count(&self) -> usize {
        self.state.count.load(Ordering::Acquire)
    }

    /// Answers every request that it holds.
    pub(super) fn release(&self) -> Result<()> {
        let mut held = self.state.held.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in held.iter_mut() {
            stream.write_all(ANSWER).context("answering a held request")?;
        }
        Ok(())
    }
}

impl Drop for HoldingOrigin {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Release);
        // One last connection, so that the thread sees the flag.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, state: &State) {
    for stream in listener.incoming() {
        if state.stop.load(Ordering::Acquire) {
            return;
        }
        let Ok(mut stream) = stream else { continue };
        let Ok(head) = read_head(&mut stream) else { continue };
        let websocket = head.windows(8).any(|window| window.eq_ignore_ascii_case(b"upgrade:"));
        if !websocket || send_back(&mut stream).is_ok() {
            state.held.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
            state.count.fetch_add(1, Ordering::Release);
        }
    }
}

fn send_back(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(SWITCH)?;
    let mut message = [0; MESSAGE.len()];
    stream.read_exact(&mut message)?;
    Ok(stream.write_all(&message)?)
}

/// Opens WebSockets, with one message there and back on each.
pub(super) fn websockets(port: u16, count: usize) -> Result<Vec<TcpStream>> {
    let open = |at| {
        let mut stream = connect(port)?;
        stream.write_all(HANDSHAKE)?;
        let head = read_head(&mut stream).with_context(|| format!("WebSocket {at}"))?;
        if !head.starts_with(b"HTTP/1.1 101 ") {
            bail!("WebSocket {at}: {}", String::from_utf8_lossy(&head));
        }
        stream.write_all(MESSAGE)?;
        stream.read_exact(&mut [0; MESSAGE.len()]).with_context(|| format!("message on WebSocket {at}"))?;
        Ok(stream)
    };
    (0..count).map(open).collect()
}

/// Opens keep-alive connections and sends one request on each, whose answer is read.
pub(super) fn idle(port: u16, count: usize) -> Result<Vec<TcpStream>> {
    let request = String::from_utf8_lossy(REQUEST);
    idle_with(port, count, |_| request.clone().into_owned()).map(|(open, _)| open)
}

/// The same with requests by number; and how many answers were none with 200.
pub(super) fn idle_with(
    port: u16,
    count: usize,
    request: impl Fn(usize) -> String,
) -> Result<(Vec<TcpStream>, usize)> {
    let (mut open, mut refused) = (Vec::with_capacity(count), 0);
    for at in 0..count {
        let mut stream = connect(port).with_context(|| format!("connection {at}"))?;
        stream.write_all(request(at).as_bytes()).with_context(|| format!("request on connection {at}"))?;
        let status = read_answer(&mut stream).with_context(|| format!("answer on connection {at}"))?;
        refused += usize::from(status != 200);
        open.push(stream);
    }
    Ok((open, refused))
}

/// Sends that many requests and waits until the origin holds all of them.
pub(super) fn in_flight(port: u16, origin: &HoldingOrigin, count: usize) -> Result<Vec<TcpStream>> {
    let mut open = Vec::with_capacity(count);
    while open.len() < count {
        for _ in 0..BATCH.min(count - open.len()) {
            open.push(request(port).with_context(|| format!("connection {}", open.len()))?);
        }
        wait_for("the origin to hold the requests", IO_LIMIT, || Ok(origin.count() >= open.len()))?;
    }
    Ok(open)
}

/// Reads one answer on each connection; how many were 200.
pub(super) fn answers(open: &mut [TcpStream]) -> usize {
    open.iter_mut().filter_map(|stream| read_answer(stream).ok()).filter(|status| *status == 200).count()
}

/// The status of one GET on a new connection.
pub(super) fn get(port: u16, path: &str) -> Result<u16> {
    let mut stream = connect(port)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: bench.example\r\nConnection: close\r\n\r\n")?;
    read_answer(&mut stream)
}

/// The body of one GET on a new connection, which must be a 200.
pub(super) fn get_text(port: u16, path: &str) -> Result<String> {
    let mut stream = connect(port)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => bail!("{path}: {}", text.lines().next().unwrap_or("no answer")),
    }
}

/// The status of one POST without a body on a new connection.
pub(super) fn post(port: u16, path: &str) -> Result<u16> {
    let mut stream = connect(port)?;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    read_answer(&mut stream)
}

/// A connection on which any single wait has an end.
pub(super) fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(IO_LIMIT))?;
    stream.set_write_timeout(Some(IO_LIMIT))?;
    Ok(stream)
}

fn request(port: u16) -> Result<TcpStream> {
    let mut stream = connect(port)?;
    stream.write_all(REQUEST)?;
    Ok(stream)
}

/// Reads to the end of a head; what came with it of the body is at its end.
pub(super) fn read_head(stream: &mut TcpStream) -> Result<Vec<u8>> {
    stream.set_read_timeout(Some(IO_LIMIT))?;
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(0) => bail!("closed before the end of the head"),
            Ok(n) => head.extend_from_slice(&piece[..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        if head.len() > 1 << 16 {
            bail!("a head of more than 64 KiB");
        }
    }
    Ok(head)
}

/// Reads a head and the body that its Content-Length announces; the status.
pub(super) fn read_answer(stream: &mut TcpStream) -> Result<u16> {
    let bytes = read_head(stream)?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").context("no head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let mut missing = vec![0; length.unwrap_or_default().saturating_sub(body.len())];
    stream.read_exact(&mut missing)?;
    Ok(status)
}
