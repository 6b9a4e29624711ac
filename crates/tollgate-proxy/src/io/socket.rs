//! A socket as a byte stream.
//!
//! Sockets are driven through readiness and plain system calls, without the layers between: a call through the C
//! library is a cancellation point, which alone costs as much as parsing a header. A short read or write says that
//! the socket is empty or full, so its readiness is cleared at once, and the next call comes only when the kernel
//! says that there is something: an exchange over kept connections takes two reads and two writes, nothing else.
//!
//! Both directions are driven from one task, so everything takes `&self`.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrAny, SocketFlags, SocketType, sockopt,
};
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

use super::Gone;

/// A connected socket.
pub(crate) struct Socket {
    fd: AsyncFd<OwnedFd>,
}

impl Socket {
    /// Takes a connected, non-blocking socket into this thread's runtime.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Socket> {
        Ok(Socket { fd: register(fd)? })
    }

    /// Connects; the socket is made here.
    pub(crate) async fn connect(address: &SocketAddrAny) -> io::Result<Socket> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = rustix::net::socket_with(address.address_family(), SocketType::STREAM, flags, None)?;
        if address.address_family() != AddressFamily::UNIX {
            sockopt::set_tcp_nodelay(&fd, true)?;
        }
        match rustix::net::connect(&fd, address) {
            Ok(()) => return Socket::new(fd),
            Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let socket = Socket::new(fd)?;
        // Writable means that the attempt is over, one way or the other.
        socket.fd.writable().await?.retain_ready();
        sockopt::socket_error(&socket.fd)??;
        Ok(socket)
    }

    /// Reads what is there; 0 is the end of the stream.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let guard = ready!(self.fd.poll_read_ready(cx))?;
            let got = rustix::net::recv(&self.fd, &mut *buf, RecvFlags::empty()).map(|(read, _)| read);
            if let Some(done) = settle(guard, got, buf.len()) {
                return Poll::Ready(done);
            }
        }
    }

    /// Reads what is there and leaves it there; 0 is the end of the stream.
    pub(crate) fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.fd.poll_read_ready(cx))?;
            match rustix::net::recv(&self.fd, &mut *buf, RecvFlags::PEEK) {
                // Still ready: the kernel does not announce again what is left there.
                Ok((there, _)) => return Poll::Ready(Ok(there)),
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Takes off as many bytes as `buf` has room for; they were seen by peeking.
    pub(crate) fn take(&self, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            match rustix::net::recv(&self.fd, &mut *buf, RecvFlags::empty()) {
                Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((taken, _)) => buf = buf.get_mut(taken..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Writes what fits.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let guard = ready!(self.fd.poll_write_ready(cx))?;
            // NOSIGNAL: a peer that is gone is an error to handle, not a signal to die of.
            let sent = rustix::net::send(&self.fd, buf, SendFlags::NOSIGNAL);
            if let Some(done) = settle(guard, sent, buf.len()) {
                return Poll::Ready(done);
            }
        }
    }

    /// Whether nothing came that nobody asked for: no byte, no end, no error.
    pub(crate) fn is_quiet(&self) -> bool {
        // Asks the kernel only when it has announced something.
        let peek = |fd: &OwnedFd| Ok(rustix::net::recv(fd, &mut [0u8; 1], RecvFlags::PEEK)?);
        let peeked = self.fd.try_io(Interest::READABLE, peek);
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Ready when the peer sent its end, or the connection broke; pending while there is nothing or data.
    ///
    /// Data stays unread: it is the next request's.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<Gone> {
        loop {
            let Ok(guard) = ready!(self.fd.poll_read_ready(cx)) else { return Poll::Ready(Gone::Broken) };
            let peeked = rustix::net::recv(&self.fd, &mut [0u8; 1], RecvFlags::PEEK).map(|(read, _)| read);
            // A read of one byte that got it says nothing about the next one.
            match settle(guard, peeked, 1) {
                Some(Ok(0)) => return Poll::Ready(Gone::End),
                Some(Ok(_)) => return Poll::Pending,
                Some(Err(_)) => return Poll::Ready(Gone::Broken),
                None => {}
            }
        }
    }

    /// Whether the kernel holds an error for the connection.
    pub(crate) fn is_broken(&self) -> bool {
        !matches!(sockopt::socket_error(&self.fd), Ok(Ok(())))
    }

    /// Closing will reset the connection: the peer must not take the end for the end of a body.
    pub(crate) fn reset_on_close(&self) {
        // Without it the peer sees an ordinary end, which is all that a broken connection can still get.
        let _ = sockopt::set_socket_linger(&self.fd, Some(Duration::ZERO));
    }

    /// Ends our direction.
    pub(crate) fn end(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(&self.fd, Shutdown::Write)?)
    }
}

/// Takes a non-blocking descriptor into this thread's runtime.
#[expect(unsafe_code, reason = "tokio cannot see that the descriptor stays open")]
pub(crate) fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor must stay open and the same while it is registered. An `OwnedFd` closes it only when it
    // is dropped, the `AsyncFd` owns it and deregisters first, and nothing here hands out a mutable reference.
    Ok(unsafe { AsyncFd::register(fd) }?)
}

/// What a system call came to; `None` when it has to be tried again once the socket is ready.
fn settle(
    mut guard: AsyncFdReadyGuard<'_, OwnedFd>,
    outcome: Result<usize, Errno>,
    wanted: usize,
) -> Option<io::Result<usize>> {
    match outcome {
        Ok(moved) => {
            if 0 < moved && moved < wanted {
                guard.clear_ready();
            }
            Some(Ok(moved))
        }
        Err(Errno::AGAIN) => {
            guard.clear_ready();
            None
        }
        Err(Errno::INTR) => None,
        Err(error) => Some(Err(error.into())),
    }
}
