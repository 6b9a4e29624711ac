//! An HTTP/2 origin, in clear or over TLS, that does what a test tells it to with each request.
//!
//! It speaks by the `h2` library, which the gateway uses too: what either side does to a whole connection is tested in
//! [frames](crate::Frame).

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

use crate::wait::wait_for;

type Handler = dyn Fn(H2Exchange) -> Pin<Box<dyn Future<Output = ()>>> + Send + Sync;

/// A running origin; it stops when dropped.
pub struct H2Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    handler: Box<Handler>,
    builder: Builder,
    tls: Option<TlsAcceptor>,
    connections: Mutex<Vec<Connection>>,
    requests: Mutex<Vec<H2Seen>>,
    stop: watch::Sender<bool>,
}

/// One connection: whether it is open, and how it is told to end.
struct Connection {
    open: bool,
    goes: Arc<Notify>,
}

/// One request at an origin.
#[derive(Debug, Clone, Default)]
pub struct H2Seen {
    /// Which connection it came on, counting from 0.
    pub connection: usize,
    /// `:method`.
    pub method: String,
    /// `:scheme`.
    pub scheme: String,
    /// `:authority`.
    pub authority: String,
    /// `:path`.
    pub path: String,
    /// Header fields in order.
    pub headers: Vec<(String, String)>,
    /// The body so far.
    pub body: Vec<u8>,
    /// Trailers, once the body is complete.
    pub trailers: Vec<(String, String)>,
    /// The body came to its end.
    pub complete: bool,
    /// The other side gave it up, with this code.
    pub reset: Option<u32>,
}

impl H2Seen {
    /// The only value of a header; panics when there are several.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let all: Vec<&str> =
            self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect();
        assert!(all.len() <= 1, "{name} stands {} times in {self:?}", all.len());
        all.first().copied()
    }
}

/// A request that waits for its answer.
pub struct H2Exchange {
    /// As it came.
    pub request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    index: usize,
    shared: Arc<Shared>,
}

impl H2Origin {
    /// Answers every request by `handler`.
    pub fn start<F: Future<Output = ()> + 'static>(
        handler: impl Fn(H2Exchange) -> F + Send + Sync + 'static,
    ) -> H2Origin {
        H2Origin::start_with(&Builder::new(), handler)
    }

    /// The same with these settings.
    pub fn start_with<F: Future<Output = ()> + 'static>(
        builder: &Builder,
        handler: impl Fn(H2Exchange) -> F + Send + Sync + 'static,
    ) -> H2Origin {
        H2Origin::start_at("127.0.0.1:0", builder, handler)
    }

    /// The same over TLS, with ALPN as `tls` says.
    pub fn start_tls<F: Future<Output = ()> + 'static>(
        tls: Arc<ServerConfig>,
        handler: impl Fn(H2Exchange) -> F + Send + Sync + 'static,
    ) -> H2Origin {
        H2Origin::start_how("127.0.0.1:0", &Builder::new(), Some(tls.into()), handler)
    }

    /// The same at a given address, for an origin that comes back.
    pub fn start_at<F: Future<Output = ()> + 'static>(
        address: &str,
        builder: &Builder,
        handler: impl Fn(H2Exchange) -> F + Send + Sync + 'static,
    ) -> H2Origin {
        H2Origin::start_how(address, builder, None, handler)
    }

    fn start_how<F: Future<Output = ()> + 'static>(
        address: &str,
        builder: &Builder,
        tls: Option<TlsAcceptor>,
        handler: impl Fn(H2Exchange) -> F + Send + Sync + 'static,
    ) -> H2Origin {
        let listener = TcpListener::bind(address).expect("the origin's address is free");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            handler: Box::new(move |exchange| Box::pin(handler(exchange))),
            builder: builder.clone(),
            tls,
            connections: Mutex::default(),
            requests: Mutex::default(),
            stop: watch::Sender::new(false),
        });
        let theirs = shared.clone();
        let thread = std::thread::spawn(move || run(listener, theirs));
        H2Origin { address, shared, thread: Some(thread) }
    }

    /// Answers every request with 200 and `ok`.
    pub fn ok() -> H2Origin {
        H2Origin::start(|mut exchange| async move {
            exchange.body().await;
            exchange.answer(200, &[], b"ok", &[]);
        })
    }

    /// `127.0.0.1:<port>`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// As a target in a configuration.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "h2c" };
        format!("{scheme}://{}", self.address)
    }

    /// Every request, in order of arrival.
    pub fn requests(&self) -> Vec<H2Seen> {
        self.shared.requests().clone()
    }

    /// The only request so far.
    #[track_caller]
    pub fn request(&self) -> H2Seen {
        let mut all = self.requests();
        assert_eq!(all.len(), 1, "the origin saw {} requests: {all:#?}", all.len());
        all.remove(0)
    }

    /// Waits until so many requests have come.
    #[track_caller]
    pub fn wait_requests(&self, count: usize) {
        wait_for("requests at the origin", || self.shared.requests().len() >= count);
    }

    /// How many connections there were, and how many are open.
    pub fn connections(&self) -> (usize, usize) {
        let all = self.shared.connections();
        (all.len(), all.iter().filter(|connection| connection.open).count())
    }

    /// Tells every connection to end: GOAWAY, and what is on it ends well.
    pub fn go_away(&self) {
        self.shared.connections().iter().for_each(|connection| connection.goes.notify_one());
    }
}

impl Drop for H2Origin {
    fn drop(&mut self) {
        self.shared.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn requests(&self) -> MutexGuard<'_, Vec<H2Seen>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl H2Exchange {
    /// Reads the whole body, or as much as comes.
    pub async fn body(&mut self) -> Vec<u8> {
        while let Some(Ok(piece)) = self.piece().await {
            drop(piece);
        }
        let trailers = self.request.body_mut().trailers().await;
        self.update(|seen| {
            if let Ok(trailers) = trailers {
                seen.trailers = trailers.as_ref().map(fields).unwrap_or_default();
                seen.complete = true;
            }
        });
        self.shared.requests()[self.index].body.clone()
    }

    /// Reads what is there of the body.
    pub async fn piece(&mut self) -> Option<Result<Bytes, h2::Error>> {
        let body = self.request.body_mut();
        let piece = body.data().await;
        match &piece {
            Some(Ok(bytes)) => {
                let _ = body.flow_control().release_capacity(bytes.len());
                self.update(|seen| seen.body.extend_from_slice(bytes));
            }
            Some(Err(error)) => self.update(|seen| seen.reset = error.reason().map(u32::from)),
            None => {}
        }
        piece
    }

    /// Sends a whole answer; one that is neither body nor trailers ends with its head.
    pub fn answer(&mut self, status: u16, headers: &[(&str, &str)], body: &[u8], trailers: &[(&str, &str)]) {
        let ends = body.is_empty() && trailers.is_empty();
        let Some(mut stream) = self.head(status, headers, ends) else { return };
        if !body.is_empty() {
            let _ = stream.send_data(Bytes::copy_from_slice(body), trailers.is_empty());
        }
        if !trailers.is_empty() {
            let _ = stream.send_trailers(map(trailers));
        }
    }

    /// Which connection it came on, counting from 0.
    pub fn connection(&self) -> usize {
        self.shared.requests()[self.index].connection
    }

    /// Sends the head of an answer; the rest is the test's. None when the other side is gone.
    pub fn head(&mut self, status: u16, headers: &[(&str, &str)], end: bool) -> Option<SendStream<Bytes>> {
        let mut response = Response::new(());
        *response.status_mut() = status.try_into().expect("a status of a test is one");
        *response.headers_mut() = map(headers);
        self.respond.send_response(response, end).ok()
    }

    /// Sends an interim answer.
    pub fn interim(&mut self, status: u16, headers: &[(&str, &str)]) {
        let mut response = Response::new(());
        *response.status_mut() = status.try_into().expect("a status of a test is one");
        *response.headers_mut() = map(headers);
        let _ = self.respond.send_informational(response);
    }

    /// Gives the stream up.
    pub fn reset(&mut self, reason: h2::Reason) {
        self.respond.send_reset(reason);
    }

    /// Waits until the other side gives the stream up, and notes it.
    pub async fn wait_reset(&mut self) {
        let reason = std::future::poll_fn(|cx| self.respond.poll_reset(cx)).await;
        self.update(|seen| seen.reset = reason.ok().map(u32::from));
    }

    fn update(&self, change: impl FnOnce(&mut H2Seen)) {
        change(&mut self.shared.requests()[self.index]);
    }
}

fn run(listener: TcpListener, shared: Arc<Shared>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async move {
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a bound listener");
        let mut stop = shared.stop.subscribe();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else { return };
                    let _ = stream.set_nodelay(true);
                    tokio::task::spawn_local(accept(stream, shared.clone()));
                }
                _ = stop.changed() => return,
            }
        }
    });
}

async fn accept(stream: TcpStream, shared: Arc<Shared>) {
    match shared.tls.clone() {
        None => serve(stream, shared).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, shared).await;
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let goes = Arc::new(Notify::new());
    let number = {
        let mut all = shared.connections();
        all.push(Connection { open: true, goes: goes.clone() });
        all.len() - 1
    };
    if let Ok(mut connection) = shared.builder.handshake::<_, Bytes>(stream).await {
        loop {
            tokio::select! {
                accepted = connection.accept() => match accepted {
                    Some(Ok((request, respond))) => begin(request, respond, number, &shared),
                    _ => break,
                },
                () = goes.notified() => connection.graceful_shutdown(),
            }
        }
    }
    shared.connections()[number].open = false;
}

fn begin(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    connection: usize,
    shared: &Arc<Shared>,
) {
    let uri = request.uri();
    let seen = H2Seen {
        connection,
        method: request.method().to_string(),
        scheme: uri.scheme_str().unwrap_or_default().to_owned(),
        authority: uri.authority().map(ToString::to_string).unwrap_or_default(),
        path: uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: fields(request.headers()),
        ..H2Seen::default()
    };
    let index = {
        let mut all = shared.requests();
        all.push(seen);
        all.len() - 1
    };
    let exchange = H2Exchange { request, respond, index, shared: shared.clone() };
    tokio::task::spawn_local((shared.handler)(exchange));
}

fn fields(map: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &[u8]| value.iter().map(|&byte| char::from(byte)).collect();
    map.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect()
}

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&str, &str)| {
        let name = http::HeaderName::try_from(*name).expect("a name of a test is one");
        (name, http::HeaderValue::try_from(*value).expect("a value of a test is one"))
    };
    fields.iter().map(field).collect()
}
