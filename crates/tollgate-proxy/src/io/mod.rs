//! One byte stream, whatever carries it.

mod h2;
mod socket;
mod tls;

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use rustix::net::SocketAddrAny;

pub(crate) use h2::{
    Ends, Fault, H2Stream, Wire, check_request, is_connection_specific, write_request, write_response,
};
pub(crate) use socket::{Socket, register};
pub(crate) use tls::{HandshakeError, Room, Tls};

/// A connection, accepted or made.
///
/// Both directions are driven from one task, so everything takes `&self`.
pub(crate) enum Stream {
    /// As it comes.
    Socket(Socket),
    /// Over TLS.
    Tls(Box<Tls>),
    /// One stream of an HTTP/2 connection.
    H2(Box<H2Stream>),
    /// Nobody: the client's side of a request that no client waits for. It takes everything and says nothing.
    Nobody,
}

impl Stream {
    /// Whether the TLS handshake chose this protocol.
    pub(crate) fn is_alpn(&self, protocol: &[u8]) -> bool {
        matches!(self, Stream::Tls(tls) if tls.is_alpn(protocol))
    }

    /// Why the TLS handshake, which looked like a success here, was none for the other side.
    pub(crate) fn refusal(&self) -> Option<rustls::Error> {
        match self {
            Stream::Tls(tls) => tls.refusal(),
            _ => None,
        }
    }

    /// The stream of an HTTP/2 connection, where it is one.
    #[inline]
    pub(crate) fn h2(&self) -> Option<&H2Stream> {
        match self {
            Stream::H2(stream) => Some(stream),
            _ => None,
        }
    }

    /// Takes a connected, non-blocking socket into this thread's runtime.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Stream> {
        Socket::new(fd).map(Stream::Socket)
    }

    /// Connects; the socket is made here.
    pub(crate) async fn connect(address: &SocketAddrAny) -> io::Result<Stream> {
        Socket::connect(address).await.map(Stream::Socket)
    }

    /// Reads what is there; 0 is the end of the stream.
    #[inline]
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Socket(socket) => socket.poll_read(cx, buf),
            Stream::Tls(tls) => tls.poll_read(cx, buf),
            Stream::H2(stream) => stream.poll_read(cx, buf),
            Stream::Nobody => Poll::Pending,
        }
    }

    /// Writes what fits.
    #[inline]
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Socket(socket) => socket.poll_write(cx, buf),
            Stream::Tls(tls) => tls.poll_write(cx, buf),
            Stream::H2(stream) => stream.poll_write(cx, buf),
            Stream::Nobody => Poll::Ready(Ok(buf.len())),
        }
    }

    /// Whether nothing came that nobody asked for: no byte, no end, no error.
    pub(crate) fn is_quiet(&self) -> bool {
        match self {
            Stream::Socket(socket) => socket.is_quiet(),
            Stream::Tls(tls) => tls.is_quiet(),
            Stream::H2(stream) => !stream.is_broken(),
            Stream::Nobody => true,
        }
    }

    /// Ready when the peer sent its end, or the connection broke; pending while there is nothing or data.
    ///
    /// Data stays unread: it is the next request's.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<Gone> {
        match self {
            Stream::Socket(socket) => socket.poll_gone(cx),
            Stream::Tls(tls) => tls.poll_gone(cx),
            Stream::H2(stream) => stream.poll_gone(cx),
            Stream::Nobody => Poll::Pending,
        }
    }

    /// Whether the connection is known to be broken.
    pub(crate) fn is_broken(&self) -> bool {
        match self {
            Stream::Socket(socket) => socket.is_broken(),
            Stream::Tls(tls) => tls.is_broken(),
            Stream::H2(stream) => stream.is_broken(),
            Stream::Nobody => false,
        }
    }

    /// Closing will reset the connection: the peer must not take the end for the end of a body.
    pub(crate) fn reset_on_close(&self) {
        match self {
            Stream::Socket(socket) => socket.reset_on_close(),
            Stream::Tls(tls) => tls.reset_on_close(),
            Stream::H2(stream) => stream.give_up(),
            Stream::Nobody => {}
        }
    }

    /// Says good-bye, where the carrier has a word for it, before the connection is closed.
    pub(crate) fn part(&self) {
        if let Stream::Tls(tls) = self {
            // Whoever cannot be told any more sees the connection close.
            let _ = tls.end();
        }
    }

    /// Ends our direction.
    pub(crate) fn end(&self) -> io::Result<()> {
        match self {
            Stream::Socket(socket) => socket.end(),
            Stream::Tls(tls) => tls.end(),
            Stream::H2(stream) => stream.end(),
            Stream::Nobody => Ok(()),
        }
    }
}

/// How a peer went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// It sent its end: it may still be reading.
    End,
    /// The connection is broken.
    Broken,
}
