//! Requests that never become one: hyper answers a head that it cannot read by itself, with a status and nothing else.
//! What says so is put in its place here, on the way to the socket. Knows nothing of paths.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::problem::Problem;

/// What hyper's own answers look like, after the status. No answer of a handler does: the errors among them have a body.
const BARE: &[u8] = b"\r\nconnection: close\r\ncontent-length: 0\r\ndate: ";

/// A socket on which the answers that hyper gives by itself have a problem document.
pub(crate) struct Explained<S> {
    socket: S,
    /// What stands in place of an answer of hyper's, and is not yet written.
    instead: Vec<u8>,
}

impl<S: AsyncWrite + Unpin> Explained<S> {
    pub(crate) fn new(socket: S) -> Explained<S> {
        Explained { socket, instead: Vec::new() }
    }

    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let written = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.instead))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.instead.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

/// The whole answer in place of `bytes`, if those are an answer of hyper's. One that shares its write with the end of
/// the answer before it passes as it is: that needs a client that does not read.
fn explained(bytes: &[u8]) -> Option<Vec<u8>> {
    let (status, detail, code) = match bytes.get(..13)? {
        b"HTTP/1.1 400 " | b"HTTP/1.0 400 " => {
            (StatusCode::BAD_REQUEST, "the head of the request cannot be read", "bad_header")
        }
        b"HTTP/1.1 414 " | b"HTTP/1.0 414 " => {
            (StatusCode::URI_TOO_LONG, "the target has 16 KiB at most", "uri_too_long")
        }
        b"HTTP/1.1 431 " | b"HTTP/1.0 431 " => {
            let detail = "the head of a request has 16 KiB and 64 lines at most";
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail, "headers_too_large")
        }
        _ => return None,
    };
    let line = bytes.iter().position(|byte| *byte == b'\r')?;
    let (line, rest) = bytes.split_at(line);
    let date = rest.strip_prefix(BARE)?.strip_suffix(b"\r\n\r\n").filter(|date| !date.contains(&b'\r'))?;
    let body = Problem::new(status, code, detail).body();
    let head = format!(
        "\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\nconnection: close\r\ncontent-length: {}\r\ndate: ",
        body.len()
    );
    Some([line, head.as_bytes(), date, b"\r\n\r\n", body.as_bytes()].concat())
}

impl<S: AsyncRead + Unpin> AsyncRead for Explained<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

/// Writes are not vectored, so that a head that has no body is seen as one piece.
impl<S: AsyncWrite + Unpin> AsyncWrite for Explained<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_instead(cx))?;
        if let Some(instead) = explained(bytes) {
            self.instead = instead;
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
