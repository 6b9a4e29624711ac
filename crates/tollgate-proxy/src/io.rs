//! One byte stream, whatever carries it.
//!
//! Both directions are driven from one task, so everything takes `&self`; the cell is borrowed only inside a
//! poll. Reads go through `poll_read`, never `try_read` first: tokio then knows that a short read emptied
//! the socket, and the next read costs no system call before the kernel says that there is something.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connection, accepted or made.
pub(crate) struct Stream {
    inner: RefCell<Inner>,
}

enum Inner {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Stream { inner: RefCell::new(Inner::Tcp(stream)) }
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Stream { inner: RefCell::new(Inner::Unix(stream)) }
    }
}

impl Stream {
    /// Reads what is there; 0 is the end of the stream.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        match &mut *self.inner.borrow_mut() {
            Inner::Tcp(s) => ready!(Pin::new(s).poll_read(cx, &mut buf))?,
            Inner::Unix(s) => ready!(Pin::new(s).poll_read(cx, &mut buf))?,
        }
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// Writes what fits.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self.inner.borrow_mut() {
            Inner::Tcp(s) => Pin::new(s).poll_write(cx, buf),
            Inner::Unix(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    /// Reads without waiting and without a waker; `WouldBlock` when nothing is known to be there.
    pub(crate) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match &*self.inner.borrow() {
            Inner::Tcp(s) => s.try_read(buf),
            Inner::Unix(s) => s.try_read(buf),
        }
    }

    /// Ready when the peer sent its end, or the connection broke; pending while there is nothing or data.
    ///
    /// Data stays unread: it is the next request's.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<Gone> {
        let mut byte = [0u8; 1];
        let mut buf = ReadBuf::new(&mut byte);
        let peeked = match &mut *self.inner.borrow_mut() {
            Inner::Tcp(s) => ready!(s.poll_peek(cx, &mut buf)),
            // Unix sockets have no peek here; their peers are local and a failed write finds them gone.
            Inner::Unix(_) => return Poll::Pending,
        };
        match peeked {
            Ok(0) => Poll::Ready(Gone::End),
            Ok(_) => Poll::Pending,
            Err(_) => Poll::Ready(Gone::Broken),
        }
    }

    /// The error that the kernel holds for the connection, if any.
    pub(crate) fn is_broken(&self) -> bool {
        let held = match &*self.inner.borrow() {
            Inner::Tcp(s) => s.take_error(),
            Inner::Unix(s) => s.take_error(),
        };
        !matches!(held, Ok(None))
    }

    /// Closing will reset the connection: the peer must not take the end for the end of a body.
    pub(crate) fn reset_on_close(&self) {
        if let Inner::Tcp(s) = &*self.inner.borrow() {
            // Without it the peer sees an ordinary end, which is all that a broken connection can still get.
            let _ = socket2::SockRef::from(s).set_linger(Some(std::time::Duration::ZERO));
        }
    }

    /// Ends our direction.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.inner.borrow_mut() {
            Inner::Tcp(s) => Pin::new(s).poll_shutdown(cx),
            Inner::Unix(s) => Pin::new(s).poll_shutdown(cx),
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
