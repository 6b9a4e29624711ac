//! One byte stream, whatever carries it.

mod socket;

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use rustix::net::SocketAddrAny;

use socket::Socket;
pub(crate) use socket::register;

/// A connection, accepted or made.
///
/// Both directions are driven from one task, so everything takes `&self`.
pub(crate) enum Stream {
    /// As it comes.
    Socket(Socket),
}

impl Stream {
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
        }
    }

    /// Writes what fits.
    #[inline]
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Socket(socket) => socket.poll_write(cx, buf),
        }
    }

    /// Whether nothing came that nobody asked for: no byte, no end, no error.
    pub(crate) fn is_quiet(&self) -> bool {
        match self {
            Stream::Socket(socket) => socket.is_quiet(),
        }
    }

    /// Ready when the peer sent its end, or the connection broke; pending while there is nothing or data.
    ///
    /// Data stays unread: it is the next request's.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<Gone> {
        match self {
            Stream::Socket(socket) => socket.poll_gone(cx),
        }
    }

    /// Whether the connection is known to be broken.
    pub(crate) fn is_broken(&self) -> bool {
        match self {
            Stream::Socket(socket) => socket.is_broken(),
        }
    }

    /// Closing will reset the connection: the peer must not take the end for the end of a body.
    pub(crate) fn reset_on_close(&self) {
        match self {
            Stream::Socket(socket) => socket.reset_on_close(),
        }
    }

    /// Ends our direction.
    pub(crate) fn end(&self) -> io::Result<()> {
        match self {
            Stream::Socket(socket) => socket.end(),
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
