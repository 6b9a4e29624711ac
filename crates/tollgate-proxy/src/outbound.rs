//! One HTTP request of the process itself, outside of the data plane: for a configuration that comes from a URL, or a
//! notice that the machine is about to go.
//!
//! Names are asked of the system's servers, certificates are checked against the system's authorities, and redirects
//! are not followed: who asks a fixed URL gets the answer from there or not at all. What could be cut without
//! anybody's noticing is refused: an answer says how long it is.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{HeaderMap, Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tollgate_plan::issuer::HttpUrl;

use crate::tls::trusting;
use crate::upstream::{NameServers, look_up_once};

/// Bytes and lines that the head of an answer may have.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEAD_LINES_MAX: usize = 100;

/// A request without a body.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// `GET` or `PUT`: whether something is made by asking.
    pub put: bool,
    /// What is asked.
    pub url: &'a HttpUrl,
    /// Headers beside `Host` and `User-Agent`: name and value.
    pub headers: &'a [(&'static str, String)],
    /// Bytes that the body of the answer may have.
    pub bytes_max: usize,
    /// From the question for the name to the last byte of the answer.
    pub within: Duration,
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Told {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
    headers: HeaderMap,
}

impl Told {
    /// The value of a header, when there is one and it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why there is no answer. Says nothing of the URL or of headers, which may hold what others should not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskError {
    /// The host's name has no address now.
    Resolve(String),
    /// Nobody accepts connections there.
    Connect(std::io::ErrorKind),
    /// TLS failed: mostly a certificate that is not trusted.
    Tls(String),
    /// The answer is not HTTP, or was cut, or does not say how long it is.
    Protocol(String),
    /// No whole answer in time.
    Late,
    /// The answer is longer than this many bytes.
    TooLong(usize),
    /// The request cannot be written: a header's value holds what no header can.
    Unwritable,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskError::Resolve(why) => write!(f, "no address: {why}"),
            AskError::Connect(kind) => write!(f, "cannot connect: {kind}"),
            AskError::Tls(why) => write!(f, "TLS failed: {why}"),
            AskError::Protocol(why) => write!(f, "not a whole HTTP answer: {why}"),
            AskError::Late => f.write_str("no whole answer in time"),
            AskError::TooLong(bytes_max) => write!(f, "an answer of more than {bytes_max} bytes"),
            AskError::Unwritable => f.write_str("the request cannot be written"),
        }
    }
}

impl std::error::Error for AskError {}

/// Asks once, on a connection of its own. Runs on any tokio runtime.
pub async fn ask(ask: Ask<'_>) -> Result<Told, AskError> {
    let method = if ask.put { Method::PUT } else { Method::GET };
    let mut request = Request::builder()
        .method(method)
        .uri(&*ask.url.target)
        .header(header::USER_AGENT, "tollgate")
        .header(header::CONNECTION, "close");
    if !ask.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header(header::HOST, ask.url.authority());
    }
    for (name, value) in ask.headers {
        request = request.header(*name, value);
    }
    let request = request.body(Full::default()).map_err(|_| AskError::Unwritable)?;
    send(ask.url, request, ask.bytes_max, ask.within).await
}

/// Sends a request of any kind to the host of `url`, once, on a connection of its own. Target and headers are the request's;
/// those that frame it are added.
pub async fn send(
    url: &HttpUrl,
    request: Request<Full<Bytes>>,
    bytes_max: usize,
    within: Duration,
) -> Result<Told, AskError> {
    let asked = async {
        let mut sender = connect(url).await?;
        let answer = sender.send_request(request).await.map_err(protocol)?;
        read(answer, bytes_max).await
    };
    timeout(within, asked).await.unwrap_or(Err(AskError::Late))
}

async fn connect(url: &HttpUrl) -> Result<SendRequest<Full<Bytes>>, AskError> {
    let stream = dial(url).await?;
    if !url.tls {
        return handshake(stream).await;
    }
    let failed = |error: &dyn fmt::Display| AskError::Tls(error.to_string());
    let name = ServerName::try_from(url.host.to_string()).map_err(|error| failed(&error))?;
    let stream = TlsConnector::from(tls()?).connect(name, stream).await.map_err(|error| failed(&error))?;
    handshake(stream).await
}

async fn dial(url: &HttpUrl) -> Result<TcpStream, AskError> {
    let addresses = match url.host.parse::<IpAddr>() {
        Ok(ip) => vec![ip],
        // What it means is not asked of anybody (RFC 6761 section 6.3).
        Err(_) if &*url.host == "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        Err(_) => look_up_once(&NameServers::default(), &url.host)
            .await
            .map_err(|error| AskError::Resolve(error.to_string()))?,
    };
    let mut last = AskError::Resolve("the name has no address".to_owned());
    for ip in addresses {
        match TcpStream::connect(SocketAddr::new(ip, url.port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = AskError::Connect(error.kind()),
        }
    }
    Err(last)
}

fn tls() -> Result<Arc<ClientConfig>, AskError> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let config = trusting(None).map_err(|error| AskError::Tls(error.to_string()))?;
    Ok(CONFIG.get_or_init(|| config).clone())
}

async fn handshake<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, AskError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX).max_headers(HEAD_LINES_MAX);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(protocol)?;
    tokio::spawn(async move {
        // Whoever waits for the answer is told by the sender.
        let _ = connection.await;
    });
    Ok(sender)
}

async fn read(answer: Response<Incoming>, bytes_max: usize) -> Result<Told, AskError> {
    let (head, body) = answer.into_parts();
    let chunked = head.headers.contains_key(header::TRANSFER_ENCODING);
    if body.size_hint().exact().is_none() && !chunked {
        return Err(AskError::Protocol("it does not say how long it is".to_owned()));
    }
    let collected = Limited::new(body, bytes_max).collect().await.map_err(|error| match error
        .is::<LengthLimitError>()
    {
        true => AskError::TooLong(bytes_max),
        false => AskError::Protocol(error.to_string()),
    })?;
    Ok(Told { status: head.status.as_u16(), body: collected.to_bytes(), headers: head.headers })
}

fn protocol(error: hyper::Error) -> AskError {
    AskError::Protocol(error.to_string())
}
