//! The state of one TLS connection, without its socket: records in, plain bytes out, and the other way round.

use std::io;
use std::task::{Context, Poll, ready};

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{CommonState, Error};

use crate::io::socket::Socket;

/// Plain bytes that are encrypted for one system call: four records.
pub(super) const PIECE_BYTES: usize = 64 * 1024;

/// What encryption adds to a piece, generously: headers, types and tags of its records, and a change of keys.
const OVERHEAD_BYTES: usize = 512;

/// Which side we are.
pub(super) enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

impl Side {
    pub(super) fn common(&self) -> &CommonState {
        match self {
            Side::Server(connection) => connection,
            Side::Client(connection) => connection,
        }
    }

    /// Lets rustls take the next step. How many bytes of `input` are done with, and what the step was.
    fn step(
        &mut self,
        input: &mut [u8],
        wish: Wish<'_>,
        out: &mut Sealed,
        opened: &mut dyn FnMut(&[u8]),
    ) -> (usize, Step) {
        match self {
            Side::Server(connection) => handle(connection.process_tls_records(input), wish, out, opened),
            Side::Client(connection) => handle(connection.process_tls_records(input), wish, out, opened),
        }
    }
}

/// What is wanted of a connection that stands.
#[derive(Clone, Copy)]
enum Wish<'a> {
    Nothing,
    /// Encrypt this.
    Seal(&'a [u8]),
    /// Say that no more will be sent.
    Close,
}

/// What a step was.
enum Step {
    /// There may be another one.
    Again,
    /// Nothing goes on before more comes in.
    Blocked,
    /// The connection stands, and the wish is fulfilled.
    Done,
    /// The other side said that it sends no more.
    Closed,
    Failed(Error),
}

fn handle<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    wish: Wish<'_>,
    out: &mut Sealed,
    opened: &mut dyn FnMut(&[u8]),
) -> (usize, Step) {
    let mut used = status.discard;
    let state = match status.state {
        Ok(state) => state,
        Err(error) => return (used, Step::Failed(error)),
    };
    let step = match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            let mut step = Step::Again;
            while let Some(record) = traffic.next_record() {
                match record {
                    Ok(record) => {
                        used += record.discard;
                        opened(record.payload);
                    }
                    Err(error) => step = Step::Failed(error),
                }
            }
            step
        }
        ConnectionState::EncodeTlsData(mut data) => out.put(OVERHEAD_BYTES, |room| {
            data.encode(room).map_err(|error| match error {
                EncodeError::InsufficientSize(more) => Some(more.required_size),
                EncodeError::AlreadyEncoded => None,
            })
        }),
        // What was encoded stands in front of everything that follows.
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Step::Again
        }
        ConnectionState::WriteTraffic(mut traffic) => {
            let required = |error| match error {
                EncryptError::InsufficientSize(more) => Some(more.required_size),
                EncryptError::EncryptExhausted => None,
            };
            let step = match wish {
                Wish::Nothing => Step::Again,
                Wish::Seal(plain) => out
                    .put(plain.len() + OVERHEAD_BYTES, |room| traffic.encrypt(plain, room).map_err(required)),
                Wish::Close => {
                    out.put(OVERHEAD_BYTES, |room| traffic.queue_close_notify(room).map_err(required))
                }
            };
            if matches!(step, Step::Again) { Step::Done } else { step }
        }
        ConnectionState::PeerClosed => Step::Closed,
        // Early data is never accepted; both directions closed; waiting for a handshake.
        _ => Step::Blocked,
    };
    (used, step)
}

/// The state of a connection.
pub(super) struct Session {
    pub(super) side: Side,
    /// Ciphertext that is no whole record yet. rustls counts on seeing the same bytes again.
    pub(super) partial: Vec<u8>,
    /// Decrypted, and not taken yet.
    pub(super) plain: Queue,
    /// Ciphertext that the socket did not take yet.
    pub(super) unsent: Queue,
    /// Plain bytes in `unsent` whose writer was not told yet that they are written.
    pub(super) promised: usize,
    /// What is wrong with the connection, for good.
    pub(super) failure: Option<Error>,
    /// The other side said that it sends no more.
    closed: bool,
    /// The socket ended.
    pub(super) cut: bool,
    progress: Progress,
}

/// How far our side is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Fresh,
    Handshake,
    Stands,
    /// We said that we send no more; the end of the socket follows when that is out.
    Ending,
    Ended,
}

impl Session {
    pub(super) fn new(side: Side) -> Session {
        Session {
            side,
            partial: Vec::new(),
            plain: Queue::default(),
            unsent: Queue::default(),
            promised: 0,
            failure: None,
            closed: false,
            cut: false,
            progress: Progress::Fresh,
        }
    }

    /// Says the first word, where that is ours to say.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        if self.progress == Progress::Fresh {
            self.progress = Progress::Handshake;
            self.open(&mut [], &mut [])?;
        }
        Ok(())
    }

    pub(super) fn is_connected(&self) -> bool {
        !matches!(self.progress, Progress::Fresh | Progress::Handshake)
    }

    /// Whether nothing came that waits for somebody.
    pub(super) fn is_quiet(&self) -> bool {
        self.plain.is_empty() && self.failure.is_none() && !self.closed && !self.cut
    }

    /// How what comes in ended, if it did.
    pub(super) fn end_of_input(&self) -> Option<io::Result<()>> {
        match &self.failure {
            Some(failure) => Some(Err(io::Error::new(io::ErrorKind::InvalidData, failure.clone()))),
            None if self.closed => Some(Ok(())),
            None if self.cut => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            None => None,
        }
    }

    /// Takes in ciphertext: what was held, and what came behind it. How many plain bytes `buf` got; more are kept.
    pub(super) fn open(&mut self, input: &mut [u8], buf: &mut [u8]) -> io::Result<usize> {
        let (mut used, mut filled, mut answers) = (0, 0, Sealed::default());
        loop {
            let plain = &mut self.plain;
            let mut opened = |bytes: &[u8]| {
                let free = if plain.is_empty() { buf.get_mut(filled..).unwrap_or_default() } else { &mut [] };
                let fits = bytes.len().min(free.len());
                let (now, later) = bytes.split_at(fits);
                if let Some(free) = free.get_mut(..fits) {
                    free.copy_from_slice(now);
                }
                filled += fits;
                plain.keep(later);
            };
            let rest = input.get_mut(used..).unwrap_or_default();
            let (done, step) = self.side.step(rest, Wish::Nothing, &mut answers, &mut opened);
            used += done;
            match step {
                Step::Again => {}
                Step::Closed => self.closed = true,
                Step::Blocked => break,
                Step::Done => {
                    if self.progress == Progress::Handshake {
                        self.progress = Progress::Stands;
                    }
                    break;
                }
                Step::Failed(error) => {
                    self.failure = Some(error);
                    break;
                }
            }
        }
        // What rustls has to say about a failure; it must not see the same bytes once more.
        while self.failure.is_some() && self.side.common().wants_write() {
            let _ = self.side.step(&mut [], Wish::Nothing, &mut answers, &mut |_| {});
        }
        self.unsent.keep(answers.bytes());
        let rest = input.get(used..).unwrap_or_default();
        if rest.is_empty() {
            // Given back: most records come whole.
            self.partial = Vec::new();
        } else {
            self.partial.clear();
            self.partial.extend_from_slice(rest);
        }
        match &self.failure {
            Some(failure) if filled == 0 && self.plain.is_empty() => {
                Err(io::Error::new(io::ErrorKind::InvalidData, failure.clone()))
            }
            _ => Ok(filled),
        }
    }

    /// Encrypts.
    pub(super) fn seal(&mut self, plain: &[u8], out: &mut Sealed) -> io::Result<()> {
        if self.progress != Progress::Stands || self.failure.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.fulfil(Wish::Seal(plain), out)
    }

    /// Says that we send no more, behind whatever is on its way.
    pub(super) fn close(&mut self) {
        if matches!(self.progress, Progress::Ending | Progress::Ended) {
            return;
        }
        let mut out = Sealed::default();
        if self.progress == Progress::Stands && self.failure.is_none() {
            // Where that cannot be said any more, the end of the socket is all there is.
            let _ = self.fulfil(Wish::Close, &mut out);
        }
        self.unsent.keep(out.bytes());
        self.progress = Progress::Ending;
    }

    /// Whether the end of the socket is due; once.
    pub(super) fn take_ending(&mut self) -> bool {
        let due = self.progress == Progress::Ending;
        if due {
            self.progress = Progress::Ended;
        }
        due
    }

    fn fulfil(&mut self, wish: Wish<'_>, out: &mut Sealed) -> io::Result<()> {
        loop {
            let queue = &mut self.plain;
            let (done, step) = self.side.step(&mut self.partial, wish, out, &mut |bytes| queue.keep(bytes));
            self.partial.drain(..done.min(self.partial.len()));
            match step {
                Step::Again => {}
                Step::Closed => self.closed = true,
                Step::Done => return Ok(()),
                Step::Blocked => return Err(io::ErrorKind::BrokenPipe.into()),
                Step::Failed(error) => {
                    self.failure = Some(error);
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
            }
        }
    }
}

/// Ciphertext that was made. The storage stays as long as it ever was, so that it is cleared only once.
#[derive(Default)]
pub(super) struct Sealed {
    storage: Vec<u8>,
    length: usize,
}

impl Sealed {
    pub(super) fn bytes(&self) -> &[u8] {
        self.storage.get(..self.length).unwrap_or_default()
    }

    pub(super) fn clear(&mut self) {
        self.length = 0;
    }

    /// Lets `make` write into at least `room` bytes behind what is there; its error says how many it needs.
    fn put(
        &mut self,
        mut room: usize,
        mut make: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
    ) -> Step {
        // The second attempt has the room that the first one asked for.
        for _ in 0..2 {
            let end = self.length + room;
            if self.storage.len() < end {
                self.storage.resize(end, 0);
            }
            match make(self.storage.get_mut(self.length..).unwrap_or_default()) {
                Ok(made) => {
                    self.length += made;
                    return Step::Again;
                }
                Err(Some(required)) => room = required,
                Err(None) => break,
            }
        }
        Step::Failed(Error::EncryptError)
    }
}

/// Bytes that wait. Empty storage is given back at once.
#[derive(Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    taken: usize,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    pub(super) fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Moves what fits into `buf`.
    pub(super) fn take(&mut self, buf: &mut [u8]) -> usize {
        let waiting = self.bytes.get(self.taken..).unwrap_or_default();
        let (fits, _) = waiting.split_at(waiting.len().min(buf.len()));
        if let Some(buf) = buf.get_mut(..fits.len()) {
            buf.copy_from_slice(fits);
        }
        let moved = fits.len();
        self.drop_front(moved);
        moved
    }

    /// Writes until nothing is left.
    pub(super) fn poll_flush(&mut self, socket: &Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.bytes.get(self.taken..).filter(|rest| !rest.is_empty()) {
            let sent = ready!(socket.poll_write(cx, rest))?;
            self.drop_front(sent);
        }
        Poll::Ready(Ok(()))
    }

    fn drop_front(&mut self, bytes: usize) {
        self.taken += bytes;
        if self.taken >= self.bytes.len() {
            *self = Queue::default();
        }
    }
}
