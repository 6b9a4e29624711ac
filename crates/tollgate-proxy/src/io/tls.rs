//! TLS over a socket, on either side of the gateway.
//!
//! What comes in is decrypted where it lies, in a buffer of the worker, and what goes out is encrypted into another
//! one: a connection holds bytes of its own only while a record is incomplete, the socket is full, or a reader took
//! less than there was. An idle one holds its keys and nothing else.
//!
//! An end of the socket without `close_notify` is an error (RFC 8446 section 6.1): whoever stands between could have
//! cut the stream.

mod session;

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::{AlertDescription, ClientConfig, ProtocolVersion, ServerConfig};

use super::Gone;
use super::socket::Socket;
use session::{PIECE_BYTES, Sealed, Session, Side};

/// Bytes that come in with one system call, at most, and what an incomplete record may have left before them.
const INPUT_BYTES: usize = 64 * 1024;

/// What may wait for the rest of a record or of a handshake message; rustls takes no longer ones.
const PARTIAL_BYTES_MAX: usize = 96 * 1024;

/// A record, with its header and what encryption adds (RFC 8446 section 5.2).
const RECORD_BYTES_MAX: usize = 5 + (1 << 14) + 256;

/// The buffers of one worker for all of its TLS connections. Used between two awaits, never across one.
pub(crate) type Room = Rc<RefCell<Buffers>>;

/// Ciphertext on its way in and on its way out.
pub(crate) struct Buffers {
    input: Box<[u8]>,
    out: Sealed,
}

impl Default for Buffers {
    fn default() -> Self {
        // Pages that nobody touched cost no memory.
        let input = vec![0; INPUT_BYTES + PARTIAL_BYTES_MAX].into_boxed_slice();
        Buffers { input, out: Sealed::default() }
    }
}

/// A TLS connection.
pub(crate) struct Tls {
    socket: Socket,
    session: RefCell<Session>,
    room: Room,
}

/// Why there is no TLS connection.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    /// The other side does not speak TLS, or not with us: version, certificate, alert.
    Tls(rustls::Error),
    /// The connection broke, or was closed.
    Io(io::Error),
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeError::Tls(error) => error.fmt(f),
            HandshakeError::Io(error) => error.fmt(f),
        }
    }
}

impl Tls {
    /// Waits for a client's handshake.
    pub(crate) async fn accept(
        socket: Socket,
        config: Arc<ServerConfig>,
        room: Room,
    ) -> Result<Tls, HandshakeError> {
        let side = UnbufferedServerConnection::new(config).map_err(HandshakeError::Tls)?;
        let tls = Tls::new(socket, Side::Server(side), room);
        let made = poll_fn(|cx| tls.poll_handshake(cx)).await;
        if made.is_err() && tls.session.borrow().failure.is_some() {
            // Closing with unread bytes would reset the connection, and the client could lose the alert.
            let _ = tls.end();
            poll_fn(|cx| tls.poll_ignore(cx)).await;
        }
        tls.settle(made)
    }

    /// Makes the handshake with a server.
    pub(crate) async fn connect(
        socket: Socket,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        protocols: Vec<Vec<u8>>,
        room: Room,
    ) -> Result<Tls, HandshakeError> {
        let side = UnbufferedClientConnection::new_with_alpn(config, name, protocols);
        let tls = Tls::new(socket, Side::Client(side.map_err(HandshakeError::Tls)?), room);
        let made = poll_fn(|cx| tls.poll_handshake(cx)).await;
        tls.settle(made)
    }

    fn new(socket: Socket, side: Side, room: Room) -> Tls {
        Tls { socket, session: RefCell::new(Session::new(side)), room }
    }

    fn settle(self, made: io::Result<()>) -> Result<Tls, HandshakeError> {
        match made {
            Ok(()) => Ok(self),
            Err(error) => Err(match self.session.into_inner().failure {
                Some(failure) => HandshakeError::Tls(failure),
                None => HandshakeError::Io(error),
            }),
        }
    }

    /// The protocol that both sides agreed on (ALPN, RFC 7301).
    pub(crate) fn is_alpn(&self, protocol: &[u8]) -> bool {
        self.session.borrow().side.common().alpn_protocol() == Some(protocol)
    }

    /// The version, as it stands in logs.
    pub(crate) fn version(&self) -> &'static str {
        match self.session.borrow().side.common().protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        }
    }

    /// The alert with which the other side refused our part of the handshake. In TLS 1.3 it says so behind its own part,
    /// in the place of its first bytes (RFC 8446 section 4.4.2.4).
    pub(crate) fn refusal(&self) -> Option<rustls::Error> {
        let session = self.session.borrow();
        let Some(failure @ rustls::Error::AlertReceived(alert)) = &session.failure else { return None };
        matches!(
            alert,
            AlertDescription::HandshakeFailure
                | AlertDescription::NoCertificate
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateRequired
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::DecryptError
        )
        .then(|| failure.clone())
    }

    /// Looks at the certificate that the other side showed.
    pub(crate) fn peer_certificate<T>(&self, look: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        look(self.session.borrow().side.common().peer_certificates()?.first()?)
    }

    /// Reads what is there; 0 is the end of the stream.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut session = self.session.borrow_mut();
        loop {
            let taken = session.plain.take(buf);
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
            if let Some(end) = session.end_of_input() {
                return Poll::Ready(end.map(|()| 0));
            }
            let read = ready!(self.poll_input(&mut session, cx, buf))?;
            if read > 0 {
                return Poll::Ready(Ok(read));
            }
        }
    }

    /// Writes what fits. What was taken and does not fit is not told as written: a write that is pending has to be
    /// repeated with the same bytes, more behind them perhaps.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut session = self.session.borrow_mut();
        ready!(session.unsent.poll_flush(&self.socket, cx))?;
        let mut written = std::mem::take(&mut session.promised).min(buf.len());
        let mut room = self.room.borrow_mut();
        while let Some(rest) = buf.get(written..).filter(|rest| !rest.is_empty()) {
            let piece = rest.get(..PIECE_BYTES).unwrap_or(rest);
            room.out.clear();
            session.seal(piece, &mut room.out)?;
            let sealed = room.out.bytes();
            let sent = match self.socket.poll_write(cx, sealed) {
                Poll::Ready(sent) => sent?,
                Poll::Pending => 0,
            };
            if let Some(rest) = sealed.get(sent..).filter(|rest| !rest.is_empty()) {
                session.unsent.keep(rest);
                session.promised = piece.len();
                if written > 0 {
                    break;
                }
                // To be woken when there is room again.
                ready!(session.unsent.poll_flush(&self.socket, cx))?;
                written = std::mem::take(&mut session.promised);
                continue;
            }
            written += piece.len();
        }
        Poll::Ready(Ok(written))
    }

    /// Whether nothing came that nobody asked for: no byte, no end, no error. Tickets for later sessions are none of
    /// these.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut session = self.session.borrow_mut();
        // Nobody waits for an idle connection, so there is no waker to lose.
        let mut cx = Context::from_waker(Waker::noop());
        while session.is_quiet() && !self.socket.is_quiet() {
            if !matches!(self.poll_input(&mut session, &mut cx, &mut []), Poll::Ready(Ok(_))) {
                break;
            }
        }
        session.is_quiet() && self.socket.is_quiet()
    }

    /// Ready when the peer sent its end, or the connection broke; pending while there is nothing or data.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<Gone> {
        let mut session = self.session.borrow_mut();
        loop {
            if !session.plain.is_empty() {
                return Poll::Pending;
            }
            match session.end_of_input() {
                // Also where the socket ended without a word: most clients that leave do not stop to say so, and an
                // answer shows whether one is still there.
                Some(Ok(())) => return Poll::Ready(Gone::End),
                Some(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Gone::End);
                }
                Some(Err(_)) => return Poll::Ready(Gone::Broken),
                None => {}
            }
            match ready!(self.poll_input(&mut session, cx, &mut [])) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(_) => return Poll::Ready(Gone::Broken),
            }
        }
    }

    /// Whether the connection is known to be broken.
    pub(crate) fn is_broken(&self) -> bool {
        self.session.borrow().failure.is_some() || self.socket.is_broken()
    }

    /// Closing will reset the connection: the peer must not take the end for the end of a body.
    pub(crate) fn reset_on_close(&self) {
        self.socket.reset_on_close();
    }

    /// Ends our direction: `close_notify`, then the end of the socket.
    pub(crate) fn end(&self) -> io::Result<()> {
        let mut session = self.session.borrow_mut();
        session.close();
        // What does not fit now goes out when somebody reads.
        let mut cx = Context::from_waker(Waker::noop());
        self.flush_and_end(&mut session, &mut cx)
    }

    /// Reads from the socket once; what was decrypted is in `buf`, and behind it in the session. Returns what `buf` got.
    fn poll_input(
        &self,
        session: &mut Session,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        // A failure to write shows here soon, too, behind what can still be read.
        let _ = self.flush_and_end(session, cx);
        let mut room = self.room.borrow_mut();
        let held = session.partial.len();
        // Not much more than the reader takes, but always room for a record.
        let most = buf.len().clamp(RECORD_BYTES_MAX, INPUT_BYTES);
        let Some(free) = room.input.get_mut(held..held + most) else {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        };
        let read = ready!(self.socket.poll_read(cx, free))?;
        if read == 0 {
            session.cut = true;
            return Poll::Ready(session.end_of_input().unwrap_or(Ok(())).map(|()| 0));
        }
        let Some(input) = room.input.get_mut(..held + read) else { return Poll::Ready(Ok(0)) };
        if let Some(front) = input.get_mut(..held) {
            front.copy_from_slice(&session.partial);
        }
        let taken = session.open(input, buf);
        // Answers to what came: a handshake, an alert.
        let _ = self.flush_and_end(session, cx);
        Poll::Ready(taken)
    }

    /// Reads away what still comes, within a bound.
    fn poll_ignore(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut left = PARTIAL_BYTES_MAX;
        let mut room = self.room.borrow_mut();
        loop {
            match ready!(self.socket.poll_read(cx, &mut room.input)) {
                Ok(read) if 0 < read && read < left => left -= read,
                _ => return Poll::Ready(()),
            }
        }
    }

    fn flush_and_end(&self, session: &mut Session, cx: &mut Context<'_>) -> io::Result<()> {
        let flushed = session.unsent.poll_flush(&self.socket, cx);
        match flushed {
            Poll::Ready(Ok(())) if session.take_ending() => self.socket.end(),
            Poll::Ready(outcome) => outcome,
            Poll::Pending => Ok(()),
        }
    }

    fn poll_handshake(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut session = self.session.borrow_mut();
        session.begin()?;
        loop {
            ready!(session.unsent.poll_flush(&self.socket, cx))?;
            if session.is_connected() {
                return Poll::Ready(Ok(()));
            }
            if session.end_of_input().is_some() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            ready!(self.poll_input(&mut session, cx, &mut []))?;
        }
    }
}

#[cfg(test)]
mod tests;
