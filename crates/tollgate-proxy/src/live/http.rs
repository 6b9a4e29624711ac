//! The HTTP client for the URLs of issuers and token endpoints: one request, one bounded answer, within a bounded time.
//!
//! Redirects are not followed: who asks a fixed URL for keys gets them from there or not at all. It runs on the
//! background thread, never on a worker.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tollgate_plan::issuer::{HttpUrl, Reach};
use tollgate_token::MAX_KEY_TEXT_BYTES;
use tollgate_token::introspection::MAX_ANSWER_BYTES;

use crate::tls::trusting;
use crate::upstream::{NameServers, Resolver};

/// From the question for the name to the last byte of the answer.
pub(super) const FETCH_WITHIN: Duration = Duration::from_secs(5);
/// Bytes and lines that the head of an answer may have.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEAD_LINES_MAX: usize = 100;
/// Connections to one issuer that are kept for the next request.
const IDLE_MAX: usize = 16;
/// After a failure the next try comes after this time, twice as long each time, up to the longer one.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Why there is no usable answer. Says nothing of URLs, which may hold what others should not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The host's name has no address now.
    Resolve(String),
    /// Nobody accepts connections there.
    Connect(std::io::ErrorKind),
    /// TLS failed: mostly a certificate that is not trusted.
    Tls(String),
    /// The answer is not HTTP, or was cut.
    Protocol(String),
    /// No whole answer within [`FETCH_WITHIN`].
    Late,
    /// Another status than 200.
    Status(u16),
    /// A token endpoint says why it gives none (RFC 6749 section 5.2).
    Refused(u16, Box<str>),
    /// The answer is longer than this many bytes, of which no more are read.
    TooLong(usize),
    /// The answer says something else than it should.
    Content(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Resolve(why) => write!(f, "no address: {why}"),
            Fault::Connect(kind) => write!(f, "cannot connect: {kind}"),
            Fault::Tls(why) => write!(f, "TLS failed: {why}"),
            Fault::Protocol(why) => write!(f, "not a whole HTTP answer: {why}"),
            Fault::Late => write!(f, "no whole answer within {} s", FETCH_WITHIN.as_secs()),
            Fault::Status(status) => write!(f, "answered {status} instead of 200"),
            Fault::Refused(status, error) => write!(f, "answered {status}: {error}"),
            Fault::TooLong(bytes_max) => write!(f, "an answer of more than {bytes_max} bytes"),
            Fault::Content(why) => f.write_str(why),
        }
    }
}

/// What all issuers' clients share: names, and the system's certificates, which are read when somebody needs them.
#[derive(Default)]
pub(crate) struct Rim {
    servers: NameServers,
    resolver: OnceCell<Resolver>,
    system: OnceCell<Arc<ClientConfig>>,
}

impl Rim {
    pub(crate) fn new(servers: &NameServers) -> Rim {
        Rim { servers: servers.clone(), ..Rim::default() }
    }

    fn resolver(&self) -> &Resolver {
        self.resolver.get_or_init(|| Resolver::new(&self.servers))
    }

    fn system(&self) -> Result<Arc<ClientConfig>, Fault> {
        if let Some(config) = self.system.get() {
            return Ok(config.clone());
        }
        let config = trusting(None).map_err(|error| Fault::Tls(error.to_string()))?;
        Ok(self.system.get_or_init(|| config).clone())
    }
}

/// The client for one issuer.
pub(super) struct Http {
    rim: Rc<Rim>,
    reach: Reach,
    own: OnceCell<Arc<ClientConfig>>,
    /// All to the one URL that is asked with [`Http::post`].
    idle: RefCell<Vec<SendRequest<Full<Bytes>>>>,
}

impl Http {
    pub(super) fn new(rim: &Rc<Rim>, reach: &Reach) -> Http {
        Http { rim: rim.clone(), reach: reach.clone(), own: OnceCell::new(), idle: RefCell::default() }
    }

    /// The body of a 200, no longer than a key set may be.
    pub(super) async fn get(&self, url: &HttpUrl) -> Result<Bytes, Fault> {
        let request = request(Method::GET, url).body(Full::default()).map_err(unmade)?;
        let fetched = async {
            let mut sender = self.connect(url).await?;
            let answer = sender.send_request(request).await.map_err(protocol)?;
            read(answer, MAX_KEY_TEXT_BYTES).await
        };
        timeout(FETCH_WITHIN, fetched).await.unwrap_or(Err(Fault::Late))
    }

    /// The body of a 200 to a form, no longer than an introspection answer may be. Every call of one client is for the same URL.
    pub(super) async fn post(
        &self,
        url: &HttpUrl,
        authorization: &str,
        form: String,
    ) -> Result<Bytes, Fault> {
        let form = Bytes::from(form);
        let make = || {
            request(Method::POST, url)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(header::AUTHORIZATION, authorization)
                .body(Full::new(form.clone()))
                .map_err(unmade)
        };
        let asked = async {
            if let Some(mut sender) = self.kept() {
                // An idle connection may be closed by the other side at any moment; asking twice does no harm.
                if let Ok(answer) = sender.send_request(make()?).await {
                    return self.finish(sender, answer).await;
                }
            }
            let mut sender = self.connect(url).await?;
            let answer = sender.send_request(make()?).await.map_err(protocol)?;
            self.finish(sender, answer).await
        };
        timeout(FETCH_WITHIN, asked).await.unwrap_or(Err(Fault::Late))
    }

    /// Status and body of the answer to a form, for one that is sent once in a long while: its connection is not kept. Of
    /// an answer that is neither 200 nor an error of the gateway's own the status is all.
    pub(super) async fn submit(
        &self,
        url: &HttpUrl,
        authorization: Option<&str>,
        form: String,
    ) -> Result<(u16, Bytes), Fault> {
        let mut made = request(Method::POST, url)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::CONNECTION, "close");
        if let Some(authorization) = authorization {
            made = made.header(header::AUTHORIZATION, authorization);
        }
        let made = made.body(Full::new(Bytes::from(form))).map_err(unmade)?;
        let asked = async {
            let mut sender = self.connect(url).await?;
            let answer = sender.send_request(made).await.map_err(protocol)?;
            match answer.status().as_u16() {
                status @ (200 | 400..=499) => Ok((status, collect(answer, MAX_ANSWER_BYTES).await?)),
                status => Err(Fault::Status(status)),
            }
        };
        timeout(FETCH_WITHIN, asked).await.unwrap_or(Err(Fault::Late))
    }

    /// The status of the answer to a message of Protocol Buffers, which goes with these headers. Every call of one client is
    /// for the same URL.
    pub(super) async fn deliver(
        &self,
        url: &HttpUrl,
        headers: &[(&str, &str)],
        message: Bytes,
        within: Duration,
    ) -> Result<u16, Fault> {
        let make = || {
            let made = request(Method::POST, url).header(header::CONTENT_TYPE, "application/x-protobuf");
            let made = headers.iter().fold(made, |made, (name, value)| made.header(*name, *value));
            made.body(Full::new(message.clone())).map_err(unmade)
        };
        let asked = async {
            let (sender, answer) = match self.kept() {
                // A collector that takes the same spans twice tells them apart by their ids.
                Some(mut sender) => match sender.send_request(make()?).await {
                    Ok(answer) => (sender, answer),
                    Err(_) => self.ask_anew(url, make()?).await?,
                },
                None => self.ask_anew(url, make()?).await?,
            };
            let status = answer.status().as_u16();
            // What it says beside the status is not needed, only that it came to its end.
            collect(answer, MAX_ANSWER_BYTES).await?;
            self.keep(sender);
            Ok(status)
        };
        timeout(within, asked).await.unwrap_or(Err(Fault::Late))
    }

    async fn ask_anew(
        &self,
        url: &HttpUrl,
        request: Request<Full<Bytes>>,
    ) -> Result<(SendRequest<Full<Bytes>>, Response<Incoming>), Fault> {
        let mut sender = self.connect(url).await?;
        let answer = sender.send_request(request).await.map_err(protocol)?;
        Ok((sender, answer))
    }

    fn keep(&self, sender: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < IDLE_MAX {
            idle.push(sender);
        }
    }

    fn kept(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|sender| !sender.is_closed());
        let at = idle.iter().position(SendRequest::is_ready)?;
        Some(idle.swap_remove(at))
    }

    async fn finish(
        &self,
        sender: SendRequest<Full<Bytes>>,
        answer: Response<Incoming>,
    ) -> Result<Bytes, Fault> {
        let body = read(answer, MAX_ANSWER_BYTES).await?;
        self.keep(sender);
        Ok(body)
    }

    async fn connect(&self, url: &HttpUrl) -> Result<SendRequest<Full<Bytes>>, Fault> {
        let stream = self.dial(url).await?;
        if !url.tls {
            return handshake(stream).await;
        }
        let name =
            ServerName::try_from(url.host.to_string()).map_err(|error| Fault::Tls(error.to_string()))?;
        let connector = TlsConnector::from(self.tls()?);
        let stream = connector.connect(name, stream).await.map_err(|error| Fault::Tls(error.to_string()))?;
        handshake(stream).await
    }

    async fn dial(&self, url: &HttpUrl) -> Result<TcpStream, Fault> {
        let connect = |ip: IpAddr| TcpStream::connect(SocketAddr::new(ip, url.port));
        if let Ok(ip) = url.host.parse() {
            return connect(ip).await.map_err(|error| Fault::Connect(error.kind()));
        }
        let found = self.rim.resolver().lookup(&url.host).await;
        let addresses = found.map_err(|error| Fault::Resolve(error.to_string()))?;
        let mut last = Fault::Connect(std::io::ErrorKind::NotFound);
        for &ip in addresses.iter() {
            match connect(ip).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Fault::Connect(error.kind()),
            }
        }
        Err(last)
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, Fault> {
        let Some(roots) = &self.reach.roots else { return self.rim.system() };
        if let Some(config) = self.own.get() {
            return Ok(config.clone());
        }
        let config = trusting(Some(roots)).map_err(|error| Fault::Tls(error.to_string()))?;
        Ok(self.own.get_or_init(|| config).clone())
    }
}

/// The time to the next try after so many failures in a row. It doubles with every failure, and is spread, so that gateways that started together do not ask together.
pub(super) fn backoff(failures: u32) -> Duration {
    let longest = RETRY_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(RETRY_MAX);
    let mut spread = [0];
    // Without randomness the time is only less spread.
    let _ = aws_lc_rs::rand::fill(&mut spread);
    longest.mul_f64(0.5 + f64::from(spread[0]) / 512.0)
}

async fn handshake<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut builder = Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX).max_headers(HEAD_LINES_MAX);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(protocol)?;
    tokio::task::spawn_local(async move {
        // Whoever waits for the answer is told by the sender.
        let _ = connection.await;
    });
    Ok(sender)
}

fn request(method: Method, url: &HttpUrl) -> hyper::http::request::Builder {
    Request::builder()
        .method(method)
        .uri(&*url.target)
        .header(header::HOST, url.authority())
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, "tollgate")
}

async fn read(answer: Response<Incoming>, bytes_max: usize) -> Result<Bytes, Fault> {
    if answer.status() != StatusCode::OK {
        return Err(Fault::Status(answer.status().as_u16()));
    }
    collect(answer, bytes_max).await
}

async fn collect(answer: Response<Incoming>, bytes_max: usize) -> Result<Bytes, Fault> {
    let body =
        Limited::new(answer.into_body(), bytes_max).collect().await.map_err(|error| match error
            .is::<LengthLimitError>(
        ) {
            true => Fault::TooLong(bytes_max),
            false => Fault::Protocol(error.to_string()),
        })?;
    Ok(body.to_bytes())
}

fn protocol(error: hyper::Error) -> Fault {
    Fault::Protocol(error.to_string())
}

/// The configuration does not let such a URL through; its text is not repeated.
fn unmade(_: hyper::http::Error) -> Fault {
    Fault::Content("the URL cannot be asked for".to_owned())
}

#[cfg(test)]
mod tests;
