//! The admin listener: one thread, one runtime, and a limit on everything a peer may hold.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};

use crate::Admin;
use crate::router::router;
use crate::unread::Explained;

/// Open connections; the excess is closed at accept. Scrapers, probes and a few operators need a dozen.
pub(crate) const CONNECTIONS_MAX: usize = 128;
/// Header lines of a head.
const HEADERS_MAX: usize = 64;
/// Bytes of a head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// To the complete head, and so also the idle time of a kept connection: scrapers open another one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Life of a connection. It bounds what a peer that does not read its answer can hold; scrapers reconnect.
const CONNECTION_LIFE: Duration = Duration::from_secs(300);
/// Pause after a failed accept: usually the descriptors are used up, and trying again at once is a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// At most one line of the operator's log about each kind of refusal in this time.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Binds the admin address, so that a start that cannot have it fails before a client is accepted.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The running admin side. Ends when dropped.
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `admin` on a listener from [`bind`], on a thread of its own.
    pub fn start(listener: TcpListener, admin: Admin) -> io::Result<Server> {
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    _ = stopped => {}
                    () = accept(listener, admin) => {}
                }
            });
        })?;
        Ok(Server { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens; the real port when the configuration says 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // Nobody listens any more when the thread has ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A panic of the admin thread was reported by the panic hook; there is nothing to add.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, admin: Admin) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the admin listener failed"),
    };
    let service = TowerToHyperService::new(router(admin));
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (mut failed, mut closed) = (Seldom::default(), Seldom::default());
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                if let Some(failures) = failed.note(Instant::now()) {
                    tracing::warn!(%error, failures, "the admin side cannot accept connections");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            if let Some(closed) = closed.note(Instant::now()) {
                tracing::warn!(max = CONNECTIONS_MAX, closed, "too many admin connections");
            }
            continue;
        };
        let service = service.clone();
        tokio::spawn(async move {
            serve(stream, service).await;
            drop(permit);
        });
    }
}

/// Counts what happens again and again, and says how often it did when a line about it is due.
#[derive(Default)]
struct Seldom {
    told: Option<Instant>,
    count: u64,
}

impl Seldom {
    fn note(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < TOLD_EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

async fn serve(stream: TcpStream, service: TowerToHyperService<axum::Router>) {
    // A failure only costs latency.
    let _ = stream.set_nodelay(true);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Explained::new(stream)), service);
    match tokio::time::timeout(CONNECTION_LIFE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection failed"),
        Err(_) => tracing::debug!("an admin connection reached the end of its life"),
    }
}
