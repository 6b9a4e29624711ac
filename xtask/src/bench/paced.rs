//! An origin of this process that takes its time, knows what it has in hand, and can die: for what a server that answers
//! from memory cannot show.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::contestant::{PART_BYTES, part};
use super::held::read_head;

/// A path that asks for more gets this.
const DELAY_MAX: Duration = Duration::from_secs(1);

/// Answers each request with a part of JSON, after as many milliseconds as the last segment of its path says.
pub(super) struct PacedOrigin {
    /// Where it listens.
    pub(super) port: u16,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    stop: AtomicBool,
    open: Mutex<Vec<Open>>,
}

/// A connection, and whether a request of it waits for its answer.
struct Open {
    stream: TcpStream,
    busy: Arc<AtomicBool>,
}

impl PacedOrigin {
    /// Starts one.
    pub(super) fn start() -> Result<PacedOrigin> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State::default());
        let own = state.clone();
        let thread = std::thread::spawn(move || accept(listener, &own));
        Ok(PacedOrigin { port, state, thread: Some(thread) })
    }

    /// Dies as a process does: nobody listens any more, and every connection ends as it stands. How many requests were in
    /// its hands, those that it had not read yet among them.
    pub(super) fn kill(mut self) -> usize {
        self.end()
    }

    fn end(&mut self) -> usize {
        let Some(thread) = self.thread.take() else { return 0 };
        self.state.stop.store(true, Ordering::Release);
        // One last connection, so that the thread sees the flag and lets go of the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = thread.join();
        let open = std::mem::take(&mut *lock(&self.state));
        let ended = open.into_iter().map(|connection| {
            let waiting = connection.busy.load(Ordering::Acquire) || has_unread(&connection.stream);
            // Who is gone already needs no end.
            let _ = connection.stream.shutdown(Shutdown::Both);
            usize::from(waiting)
        });
        ended.sum()
    }
}

fn lock(state: &State) -> MutexGuard<'_, Vec<Open>> {
    state.open.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for PacedOrigin {
    fn drop(&mut self) {
        self.end();
    }
}

fn accept(listener: TcpListener, state: &State) {
    for stream in listener.incoming() {
        if state.stop.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(handle) = stream.try_clone() else { continue };
        let busy = Arc::new(AtomicBool::new(false));
        let open = Open { stream: handle, busy: busy.clone() };
        lock(state).push(open);
        // It ends with its connection, which ends with the origin.
        std::thread::spawn(move || answer_each(stream, &busy));
    }
}

fn answer_each(mut stream: TcpStream, busy: &AtomicBool) {
    let body = part();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {PART_BYTES}\r\n\r\n");
    let answer = [head.as_bytes(), body.as_bytes()].concat();
    while let Ok(request) = read_head(&mut stream) {
        busy.store(true, Ordering::Release);
        wait(delay(&request));
        // Before the answer is out: whoever has it may look at once.
        busy.store(false, Ordering::Release);
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

/// What the path asks for: `GET /parts/20 HTTP/1.1`.
fn delay(request: &[u8]) -> Duration {
    let text = String::from_utf8_lossy(request);
    let path = text.split(' ').nth(1).unwrap_or_default();
    let millis = path.rsplit('/').next().and_then(|last| last.parse().ok()).unwrap_or_default();
    Duration::from_millis(millis).min(DELAY_MAX)
}

fn wait(time: Duration) {
    let end = Instant::now() + time;
    while let Some(rest) = end.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
        std::thread::park_timeout(rest);
    }
}

/// Whether bytes have come that nobody read.
fn has_unread(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).is_ok() && stream.peek(&mut [0]).is_ok_and(|bytes| bytes > 0)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_path_says_how_long_it_takes() {
        for (request, millis) in [
            ("GET /parts/20 HTTP/1.1\r\n\r\n", 20),
            ("GET / HTTP/1.1\r\n\r\n", 0),
            ("GET /parts/99999 HTTP/1.1\r\n\r\n", 1000),
            ("", 0),
        ] {
            assert_eq!(delay(request.as_bytes()), Duration::from_millis(millis), "{request}");
        }
    }

    #[test]
    fn who_waits_when_it_dies_is_counted() {
        let origin = PacedOrigin::start().expect("a port");
        let ask = |path: &str| {
            let mut stream = TcpStream::connect(("127.0.0.1", origin.port)).expect("it listens");
            write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
            stream
        };
        let mut quick = ask("/parts/0");
        let mut answered = [0; 12];
        quick.read_exact(&mut answered).expect("an answer");
        assert_eq!(&answered, b"HTTP/1.1 200");
        let mut slow = ask("/parts/1000");
        let is_read = || lock(&origin.state).iter().any(|open| open.busy.load(Ordering::Acquire));
        let end = Instant::now() + Duration::from_secs(10);
        while !is_read() && Instant::now() < end {
            std::thread::yield_now();
        }
        assert_eq!(origin.kill(), 1, "the slow one");
        let mut rest = Vec::new();
        assert!(!slow.read_to_end(&mut rest).is_ok_and(|bytes| bytes > 0), "no answer");
    }
}
