//! HTTP for `object_store`: hyper over connections that somebody else makes.
//!
//! One connection for each request: batches are minutes apart, and an idle connection to a store is closed by then.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{HOST, HeaderValue, USER_AGENT};
use http::uri::Scheme;
use http_body_util::BodyExt;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

/// From the question for the name to the head of the answer. The request's body may be some MiB.
const HEAD_WITHIN: Duration = Duration::from_secs(60);

/// Bytes and lines that the head of an answer may have.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEAD_LINES_MAX: usize = 100;

/// A connection in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Makes connections: names and TLS are its concern.
#[async_trait]
pub trait Dial: fmt::Debug + Send + Sync + 'static {
    /// A connection to `host`, which may be an address; with TLS the host has proved that it is the one.
    async fn dial(&self, host: &str, port: u16, tls: bool) -> io::Result<Box<dyn Stream>>;
}

/// Makes clients out of a [`Dial`].
#[derive(Debug, Clone)]
pub(crate) struct Connector(pub(crate) Arc<dyn Dial>);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        match timeout(HEAD_WITHIN, self.exchange(request)).await {
            Ok(answered) => answered,
            Err(_) => {
                let late = io::Error::new(io::ErrorKind::TimedOut, "the store did not answer in time");
                Err(HttpError::new(HttpErrorKind::Timeout, late))
            }
        }
    }
}

impl Connector {
    async fn exchange(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let uri = std::mem::take(request.uri_mut());
        let (Some(host), Some(authority)) = (uri.host(), uri.authority()) else {
            return Err(refused("the URL has no host"));
        };
        let tls = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        // What is signed says the host as the URL has it.
        let value = HeaderValue::from_str(authority.as_str()).map_err(|_| refused("the host is no name"))?;
        request.headers_mut().entry(HOST).or_insert(value);
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("tollgate"));
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        *request.uri_mut() = target.parse().map_err(|_| refused("the URL has no path"))?;

        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = self.0.dial(host, port, tls).await;
        let stream = stream.map_err(|error| HttpError::new(HttpErrorKind::Connect, error))?;
        let mut builder = Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX).max_headers(HEAD_LINES_MAX);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // It ends with the answer's body, or when that is dropped; whoever waits for it is told there.
        tokio::spawn(async move { drop(connection.await) });
        let answer = sender.send_request(request).await.map_err(broken)?;
        Ok(answer.map(|body| HttpResponseBody::new(body.map_err(broken))))
    }
}

fn broken(error: hyper::Error) -> HttpError {
    HttpError::new(HttpErrorKind::Interrupted, error)
}

fn refused(why: &'static str) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, io::Error::new(io::ErrorKind::InvalidInput, why))
}
