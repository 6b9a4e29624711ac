//! An HTTP/1 origin that does exactly what a test tells it to, and remembers every byte.

pub mod behaviour;
mod conn;
mod seen;

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use socket2::SockRef;

pub use conn::Conn;
pub use seen::{Closed, ConnectionSeen, Seen};

use crate::stream::Stream;
use crate::wait::{Gate, PATIENCE, wait_for, wait_some};

type Handler = dyn Fn(&mut Conn) -> io::Result<()> + Send + Sync;

/// A running origin; it stops when dropped.
pub struct Origin {
    place: Place,
    shared: Arc<Shared>,
}

enum Place {
    Tcp(String),
    Unix(PathBuf),
}

/// What the accepting thread, the connections' threads and the test share.
pub(crate) struct Shared {
    handler: Box<Handler>,
    stop: AtomicBool,
    /// Written by the connections' threads, read by the test. Never shrinks while the origin lives.
    connections: Mutex<Vec<ConnectionSeen>>,
    /// A handle of each open connection by its index, for stopping. Removed when the connection ends, since a
    /// kept handle would keep the socket open.
    open: Mutex<BTreeMap<usize, Stream>>,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Origin {
    /// Runs `handler` on every connection, on 127.0.0.1. When the handler returns, the connection is closed.
    pub fn start(handler: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static) -> Origin {
        Origin::start_at("127.0.0.1:0", handler)
    }

    /// The same at a given address, for an origin that comes back.
    pub fn start_at(
        address: &str,
        handler: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static,
    ) -> Origin {
        // A process that another test is just starting holds, for a moment, what was open in this one.
        let listener =
            wait_some("the origin's address to be free", PATIENCE, || TcpListener::bind(address).ok());
        let local = listener.local_addr().expect("a bound listener has an address");
        Origin::serve(Listener::Tcp(listener), Place::Tcp(local.to_string()), Box::new(handler))
    }

    /// The same behind a queue that is full until `gate` opens: who connects meanwhile is not answered, and gets
    /// through when the kernel asks again, a second after the first time. Connection 0 is the one in the queue.
    pub fn start_behind(
        gate: &Gate,
        handler: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static,
    ) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let local = listener.local_addr().expect("a bound listener has an address");
        SockRef::from(&listener).listen(0).expect("a queue can be made shorter");
        let first = TcpStream::connect(local).expect("the queue has one place");
        let gate = gate.clone();
        let before = move || {
            gate.wait();
            drop(first);
        };
        Origin::serve_after(before, Listener::Tcp(listener), Place::Tcp(local.to_string()), Box::new(handler))
    }

    /// The same on a unix socket.
    pub fn start_unix(
        path: &Path,
        handler: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static,
    ) -> Origin {
        let listener = UnixListener::bind(path).expect("the socket path is free");
        Origin::serve(Listener::Unix(listener), Place::Unix(path.to_owned()), Box::new(handler))
    }

    /// Answers every request with 200, `content-length` and the body `ok`.
    pub fn ok() -> Origin {
        Origin::start(behaviour::ok)
    }

    /// Answers every request with a JSON description of it.
    pub fn echo() -> Origin {
        Origin::start(behaviour::echo)
    }

    /// Answers every request with these bytes, verbatim, and keeps the connection.
    pub fn saying(bytes: impl AsRef<[u8]>) -> Origin {
        let bytes = bytes.as_ref().to_vec();
        Origin::start(move |conn| behaviour::answer_each(conn, &bytes))
    }

    /// `127.0.0.1:<port>`, or the socket's path.
    pub fn address(&self) -> String {
        match &self.place {
            Place::Tcp(address) => address.clone(),
            Place::Unix(path) => path.display().to_string(),
        }
    }

    /// As a target in a configuration.
    pub fn url(&self) -> String {
        match &self.place {
            Place::Tcp(address) => format!("http://{address}"),
            Place::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// Every request whose head is complete, of all connections, in order of arrival.
    pub fn requests(&self) -> Vec<Seen> {
        let connections = self.lock();
        let mut all: Vec<Seen> = connections.iter().flat_map(|c| c.requests.iter().cloned()).collect();
        all.sort_by_key(|seen| seen.arrived);
        all
    }

    /// The only request so far; panics when there are none or several.
    #[track_caller]
    pub fn request(&self) -> Seen {
        let mut all = self.requests();
        assert_eq!(all.len(), 1, "the origin saw {} requests: {all:#?}", all.len());
        all.remove(0)
    }

    /// The latest request.
    #[track_caller]
    pub fn last(&self) -> Seen {
        self.requests().pop().expect("the origin saw a request")
    }

    /// What happened on each connection.
    pub fn connections(&self) -> Vec<ConnectionSeen> {
        self.lock().clone()
    }

    /// Number of requests so far.
    pub fn count(&self) -> usize {
        self.lock().iter().map(|c| c.requests.len()).sum()
    }

    /// Waits until `count` requests have come.
    #[track_caller]
    pub fn wait_requests(&self, count: usize) {
        wait_for("requests at the origin", || self.count() >= count);
    }

    /// Waits until connection `index` was ended by the other side, and says how.
    #[track_caller]
    pub fn wait_closed(&self, index: usize) -> Closed {
        let closed = || self.lock().get(index).and_then(|c| c.closed);
        wait_for("the end of a connection at the origin", || closed().is_some());
        closed().expect("just seen")
    }

    /// Asserts that no byte ever came.
    #[track_caller]
    pub fn assert_untouched(&self) {
        for connection in self.lock().iter() {
            assert!(connection.raw.is_empty(), "bytes came: {:?}", String::from_utf8_lossy(&connection.raw));
        }
    }

    fn serve(listener: Listener, place: Place, handler: Box<Handler>) -> Origin {
        Origin::serve_after(|| {}, listener, place, handler)
    }

    fn serve_after(
        before: impl FnOnce() + Send + 'static,
        listener: Listener,
        place: Place,
        handler: Box<Handler>,
    ) -> Origin {
        let shared = Arc::new(Shared {
            handler,
            stop: AtomicBool::new(false),
            connections: Mutex::default(),
            open: Mutex::default(),
        });
        let theirs = shared.clone();
        std::thread::spawn(move || {
            before();
            theirs.accept(&listener);
        });
        Origin { place, shared }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ConnectionSeen>> {
        self.shared.lock()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // One more connection wakes the accepting thread, which then lets go of the listener.
        match &self.place {
            Place::Tcp(address) => drop(TcpStream::connect(address)),
            Place::Unix(path) => drop(UnixStream::connect(path)),
        }
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Place::Unix(path) = &self.place {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Shared>, listener: &Listener) {
        while let Ok(stream) = listener.accept() {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let Ok(handle) = stream.try_clone() else { return };
            let index = {
                let mut connections = self.lock();
                connections.push(ConnectionSeen::default());
                connections.len() - 1
            };
            self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(index, handle);
            let shared = self.clone();
            std::thread::spawn(move || {
                let mut conn = Conn::new(stream, index, shared.clone());
                // A failing handler is the peer's doing; what matters of it is recorded by `Conn`.
                let _ = (shared.handler)(&mut conn);
                conn.finish();
            });
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Vec<ConnectionSeen>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the handle kept for stopping, so that dropping the stream really closes it.
    pub(crate) fn forget(&self, index: usize) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&index);
    }
}

impl Listener {
    fn accept(&self) -> io::Result<Stream> {
        match self {
            Listener::Tcp(tcp) => {
                let (stream, _) = tcp.accept()?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Listener::Unix(unix) => Ok(Stream::Unix(unix.accept()?.0)),
        }
    }
}
