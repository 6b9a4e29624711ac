//! A client by the `h2` library: whole requests, whole answers.

use std::future::Future;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request};
use tokio::net::TcpStream;
use tollgate_testkit::{Gateway, PATIENCE};

/// An answer, all of it.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

impl Answer {
    /// A header as text; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// A trailer as text; empty when there is none.
    pub(crate) fn trailer(&self, name: &str) -> &str {
        self.trailers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Runs a conversation, within the patience of a test.
pub(crate) fn talk<F: Future>(conversation: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let within = async { tokio::time::timeout(3 * PATIENCE, conversation).await };
    runtime.block_on(local.run_until(within)).expect("the conversation ends in time")
}

/// A connection.
pub(crate) async fn connect(gateway: &Gateway) -> SendRequest<Bytes> {
    connect_with(gateway, &Builder::new()).await
}

pub(crate) async fn connect_with(gateway: &Gateway, builder: &Builder) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(gateway.address()).await.expect("the gateway accepts");
    let (send, connection) = builder.handshake(stream).await.expect("a handshake");
    tokio::task::spawn_local(connection);
    send.ready().await.expect("a stream")
}

/// A request without its body.
pub(crate) fn request(method: &str, path: &str, lines: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(format!("http://test{path}"));
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request")
}

/// Sends a request and its body; the answer, or why there is none.
pub(crate) async fn exchange(
    send: &mut SendRequest<Bytes>,
    request: Request<()>,
    body: Option<&[u8]>,
    trailers: Option<HeaderMap>,
) -> Result<Answer, Reason> {
    let end = body.is_none() && trailers.is_none();
    let (response, mut stream) = send.send_request(request, end).map_err(reason)?;
    if let Some(body) = body {
        stream.send_data(Bytes::copy_from_slice(body), trailers.is_none()).map_err(reason)?;
    }
    if let Some(trailers) = trailers {
        stream.send_trailers(trailers).map_err(reason)?;
    }
    let (parts, body) = response.await.map_err(reason)?.into_parts();
    let mut answer = Answer { status: parts.status.as_u16(), headers: parts.headers, ..Answer::default() };
    read(body, &mut answer).await?;
    Ok(answer)
}

/// Reads a body to its end.
pub(crate) async fn read(mut body: RecvStream, answer: &mut Answer) -> Result<(), Reason> {
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(reason)?;
        let _ = body.flow_control().release_capacity(piece.len());
        answer.body.extend_from_slice(&piece);
    }
    answer.trailers = body.trailers().await.map_err(reason)?.unwrap_or_default();
    Ok(())
}

/// One GET on a connection of its own.
pub(crate) fn get(gateway: &Gateway, path: &str) -> Answer {
    call(gateway, "GET", path, &[], None)
}

/// One request on a connection of its own.
pub(crate) fn call(
    gateway: &Gateway,
    method: &str,
    path: &str,
    lines: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Answer {
    talk(async {
        let mut send = connect(gateway).await;
        exchange(&mut send, request(method, path, lines), body, None).await.expect("an answer")
    })
}

pub(crate) fn reason(error: h2::Error) -> Reason {
    error.reason().unwrap_or(Reason::INTERNAL_ERROR)
}
