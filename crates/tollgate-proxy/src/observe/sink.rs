//! The access log between the workers and the writer: a buffer per worker, batches, bounds, and who waits.
//!
//! A worker formats lines into a buffer of its own and hands it over when it is full or when the tick comes.
//! Buffers come back empty and are used again. What a worker may have handed over is bounded; when the writer
//! does not keep up, `on_full` says whether the worker drops records or waits.

mod worker;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tollgate_plan::plan::{AccessLog, LogSink};

pub(crate) use self::worker::WorkerSink;
use super::output::Output;
use super::snapshot::LogCounts;
use super::writer::{self, Message, SinkCounts, SinkKind};

/// The access log of the process.
pub(crate) struct LogWriter {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

struct State {
    sink: LogSink,
    /// Ends of writers that were replaced, until they have written what they were given.
    replaced: Vec<Receiver<()>>,
}

struct Shared {
    /// Counts the writers; a worker that has seen fewer looks up the current one.
    epoch: AtomicU64,
    /// `None` when there is no log. Locked by a worker only when the epoch changed.
    current: Mutex<Option<writer::Handle>>,
    /// By [`SinkKind::ALL`]; they outlive the writers.
    counts: [Arc<SinkCounts>; SinkKind::ALL.len()],
    /// The gateway ends: nobody waits for room any more.
    closing: AtomicBool,
}

/// An access log that is open but not in use yet; dropping it changes nothing.
pub(crate) struct Prepared {
    sink: LogSink,
    change: Change,
}

enum Change {
    /// The same sink: re-opened, because a reload is also how operators finish a rotation.
    Reopen,
    Replace(Option<writer::Handle>),
}

impl LogWriter {
    /// Opens the sink and starts the writer; an error names what could not be opened.
    pub(crate) fn start(log: &AccessLog) -> io::Result<LogWriter> {
        let shared = Shared {
            epoch: AtomicU64::new(0),
            current: Mutex::new(None),
            counts: Default::default(),
            closing: AtomicBool::new(false),
        };
        let state = State { sink: LogSink::Off, replaced: Vec::new() };
        let writer = LogWriter { shared: Arc::new(shared), state: Mutex::new(state) };
        writer.reconfigure(log)?;
        Ok(writer)
    }

    /// A worker's end of the log.
    pub(crate) fn worker_sink(&self) -> WorkerSink {
        WorkerSink::new(self.shared.clone())
    }

    /// Follows a new configuration: the new sink is open before the old one is left, or nothing changes.
    pub(crate) fn reconfigure(&self, log: &AccessLog) -> io::Result<()> {
        self.prepare(log).map(|prepared| self.commit(prepared))
    }

    /// The half of [`LogWriter::reconfigure`] that can fail.
    pub(crate) fn prepare(&self, log: &AccessLog) -> io::Result<Prepared> {
        let sink = log.sink.clone();
        if locked(&self.state).sink == sink {
            return Ok(Prepared { sink, change: Change::Reopen });
        }
        let opened = match &sink {
            LogSink::Off => None,
            LogSink::Stdout => Some((Output::stdout()?, SinkKind::Stdout)),
            LogSink::File(path) => Some((Output::file(path)?, SinkKind::File)),
        };
        let writer = opened.map(|(output, kind)| self.spawn(output, kind)).transpose()?;
        Ok(Prepared { sink, change: Change::Replace(writer) })
    }

    /// The half of [`LogWriter::reconfigure`] that cannot fail.
    pub(crate) fn commit(&self, prepared: Prepared) {
        let mut state = locked(&self.state);
        state.sink = prepared.sink;
        let mut current = locked(&self.shared.current);
        match prepared.change {
            Change::Reopen => {
                if let Some(writer) = &*current {
                    // A queue without room holds batches, and each batch looks for a rotation by itself.
                    let _ = writer.sender.try_send(Message::Reopen);
                }
            }
            Change::Replace(writer) => {
                let old = std::mem::replace(&mut *current, writer);
                state.replaced.retain(|ended| ended.try_recv() == Err(TryRecvError::Empty));
                state.replaced.extend(old.map(|old| old.ended));
                self.shared.epoch.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// From now on no worker waits for room, whatever `on_full` says: a sink that stalled must not keep a worker,
    /// and with it the process, from ending.
    pub(crate) fn end_waiting(&self) {
        self.shared.closing.store(true, Ordering::Relaxed);
    }

    /// Waits until everything that workers handed over is written, at most `limit`; whether it is. For the end
    /// of a drain: no worker waits for room any more, and a [`WorkerSink`] hands over the rest when it is dropped.
    #[must_use]
    pub(crate) fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        self.end_waiting();
        let sender = locked(&self.shared.current).as_ref().map(|writer| writer.sender.clone());
        let flushed = sender.is_none_or(|sender| flush_one(&sender, deadline));
        let replaced = std::mem::take(&mut locked(&self.state).replaced);
        let left = || deadline.saturating_duration_since(Instant::now());
        let ended = |end: &Receiver<()>| end.recv_timeout(left()) == Err(RecvTimeoutError::Disconnected);
        // Every one is waited for, also when another one was in vain.
        replaced.iter().filter(|end| !ended(end)).count() == 0 && flushed
    }

    /// Records written and lost since the start, by sink, for every sink that was in use.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, LogCounts)> + '_ {
        let kinds = SinkKind::ALL.into_iter().zip(&self.shared.counts);
        kinds.filter_map(|(kind, counts)| counts.get().map(|counts| (kind.label(), counts)))
    }

    fn spawn(&self, output: Output, kind: SinkKind) -> io::Result<writer::Handle> {
        writer::spawn(output, kind, self.shared.counts_of(kind).clone())
    }
}

impl Shared {
    fn counts_of(&self, kind: SinkKind) -> &Arc<SinkCounts> {
        let [stdout, file] = &self.counts;
        match kind {
            SinkKind::Stdout => stdout,
            SinkKind::File => file,
        }
    }
}

fn flush_one(sender: &SyncSender<Message>, deadline: Instant) -> bool {
    let (done, written) = sync_channel(1);
    let mut message = Message::Flush(done);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match sender.try_send(message) {
            Ok(()) => return written.recv_timeout(left).is_ok(),
            Err(TrySendError::Disconnected(_)) => return false,
            Err(TrySendError::Full(_)) if left.is_zero() => return false,
            Err(TrySendError::Full(back)) => message = back,
        }
        // Nothing tells when a full queue has room again.
        std::thread::park_timeout(left.min(Duration::from_millis(5)));
    }
}

/// No code between lock and unlock can leave the value half changed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
