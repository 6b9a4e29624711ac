//! A health check of a target that speaks HTTP/2.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use h2::client::Builder;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes of the head of an answer.
const HEADER_LIST_BYTES: u32 = 64 * 1024;

/// Asks for `path`, showing the credentials if there are any, and gives the status of the answer; its body is not read.
pub(super) async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    (scheme, host, path): (&str, &str, &str),
    authorization: Option<&str>,
) -> io::Result<u16> {
    let uri = Uri::builder().scheme(scheme).authority(host).path_and_query(path).build();
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = uri.map_err(io::Error::other)?;
    for (name, value) in [("user-agent", "tollgate-health-check"), ("accept", "*/*")] {
        request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Some(line) = authorization {
        let mut value = HeaderValue::from_str(line).map_err(io::Error::other)?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    let mut builder = Builder::new();
    builder.enable_push(false).max_header_list_size(HEADER_LIST_BYTES);
    let (mut send, connection) = builder.handshake::<_, Bytes>(stream).await.map_err(io::Error::other)?;
    // Interim answers do not end it; a stream of them ends with the check's time.
    let (answer, _body) = send.send_request(request, true).map_err(io::Error::other)?;
    let (mut connection, mut answer) = (pin!(connection), pin!(answer));
    let answer = poll_fn(|cx| {
        let over = connection.as_mut().poll(cx);
        match answer.as_mut().poll(cx) {
            Poll::Pending if over.is_ready() => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            answer => answer.map_err(io::Error::other),
        }
    });
    answer.await.map(|answer| answer.status().as_u16())
}
