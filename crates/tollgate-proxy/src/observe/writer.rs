//! The one thread that writes access records, so that a stalled disk or pipe never stalls a worker.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tollgate_logship::Spool;

use super::output::Output;
use super::snapshot::LogCounts;

/// Batches that wait for the writer, of all workers together. Each worker has a smaller bound of its own;
/// this one only sizes the channel.
const QUEUE_BATCHES_MAX: usize = 1_024;

/// A sink that fails goes on failing: one line in the operator's log per this time says so.
const WARNING_EVERY: Duration = Duration::from_secs(60);

/// What the thread is asked to do, in order.
pub(super) enum Message {
    Batch(Batch),
    /// Open the path anew, if it is one: the operator asked, or may have rotated it.
    Reopen,
    /// Everything sent before this is written.
    Flush(SyncSender<()>),
}

/// Lines of one worker.
pub(super) struct Batch {
    pub(super) lines: Vec<u8>,
    pub(super) records: u64,
    /// Where the buffer goes back to.
    pub(super) home: SyncSender<Vec<u8>>,
}

impl Drop for Batch {
    /// However a batch ends, its buffer goes home: a worker that waits for room must never wait in vain.
    fn drop(&mut self) {
        // `home` has room for every buffer of its worker; when the worker is gone, so is the need.
        let _ = self.home.try_send(std::mem::take(&mut self.lines));
    }
}

/// Kinds of sinks: the metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SinkKind {
    Stdout,
    File,
    ObjectStore,
}

impl SinkKind {
    pub(super) const ALL: [SinkKind; 3] = [SinkKind::Stdout, SinkKind::File, SinkKind::ObjectStore];

    pub(super) fn label(self) -> &'static str {
        match self {
            SinkKind::Stdout => "stdout",
            SinkKind::File => "file",
            SinkKind::ObjectStore => "object_store",
        }
    }
}

/// Records of one kind of sink. Written once per batch, so sharing them costs nothing.
#[derive(Debug, Default)]
pub(super) struct SinkCounts {
    used: AtomicBool,
    records: AtomicU64,
    dropped: AtomicU64,
    /// Handed over by workers, and neither written nor dropped yet.
    waiting: AtomicU64,
}

impl SinkCounts {
    /// So many are about to be handed over.
    pub(super) fn hand_over(&self, count: u64) {
        self.waiting.fetch_add(count, Ordering::Relaxed);
    }

    /// So many that were handed over wait no more.
    pub(super) fn settle(&self, count: u64) {
        self.waiting.fetch_sub(count, Ordering::Relaxed);
    }

    /// Those that a process which ends now loses untold.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn drop_records(&self, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    /// `None` while no sink of this kind was ever opened.
    pub(super) fn get(&self) -> Option<LogCounts> {
        self.used.load(Ordering::Relaxed).then(|| LogCounts {
            records: self.records.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        })
    }
}

/// Where the thread writes.
pub(super) enum Place {
    /// A stream or a file. What is written there is delivered.
    Output(Output),
    /// On the way to an object store, whose shipper counts what is delivered.
    Spool(Spool),
}

/// A running writer, as its owner sees it.
pub(super) struct Handle {
    pub(super) sender: SyncSender<Message>,
    pub(super) kind: SinkKind,
    /// Disconnected when the thread has written everything and ended, which it does when all senders are gone.
    pub(super) ended: Receiver<()>,
}

/// Starts a thread that writes to `place` until all senders are gone.
pub(super) fn spawn(place: Place, kind: SinkKind, counts: Arc<SinkCounts>) -> io::Result<Handle> {
    let (sender, messages) = sync_channel(QUEUE_BATCHES_MAX);
    let (alive, ended) = sync_channel(0);
    counts.used.store(true, Ordering::Relaxed);
    let mut writer = Writer { place, counts, warned: None };
    thread::Builder::new().name("tollgate-log".into()).spawn(move || {
        let _alive: SyncSender<()> = alive;
        writer.run(&messages);
    })?;
    Ok(Handle { sender, kind, ended })
}

struct Writer {
    place: Place,
    counts: Arc<SinkCounts>,
    warned: Option<Instant>,
}

impl Writer {
    fn run(&mut self, messages: &Receiver<Message>) {
        loop {
            match self.next(messages) {
                Ok(Message::Batch(batch)) => {
                    self.take(&batch);
                    self.counts.settle(batch.records);
                }
                Ok(Message::Reopen) => self.reopen(),
                Ok(Message::Flush(done)) => self.flush(done),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if let Place::Spool(spool) = &mut self.place {
                spool.tick(Instant::now());
            }
        }
    }

    /// The next message; a spool has something to do now and then without any.
    fn next(&self, messages: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        let due = match &self.place {
            Place::Spool(spool) => spool.due(),
            Place::Output(_) => None,
        };
        match due {
            Some(due) => messages.recv_timeout(due.saturating_duration_since(Instant::now())),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn take(&mut self, batch: &Batch) {
        match &mut self.place {
            Place::Output(output) => {
                // One look per batch is as good as a timer, and finds a rotation before the next record.
                if output.moved_away() {
                    self.reopen();
                }
                self.write(batch);
            }
            Place::Spool(spool) => {
                // The spool counts what it cannot keep.
                if let Err(error) = spool.append(&batch.lines, batch.records, SystemTime::now()) {
                    self.warn("access records cannot be kept for the object store, they are lost", &error);
                }
            }
        }
    }

    fn write(&mut self, batch: &Batch) {
        let Place::Output(output) = &mut self.place else { return };
        match output.write(&batch.lines) {
            Ok(()) => {
                self.counts.records.fetch_add(batch.records, Ordering::Relaxed);
            }
            Err(error) => {
                let whole = batch.lines.get(..error.written).unwrap_or_default();
                let written = memchr::memchr_iter(b'\n', whole).count() as u64;
                self.counts.records.fetch_add(written, Ordering::Relaxed);
                self.counts.drop_records(batch.records.saturating_sub(written));
                self.warn("cannot write access records, they are lost", &error.source);
            }
        }
    }

    fn reopen(&mut self) {
        let Place::Output(output) = &mut self.place else { return };
        if let Err(error) = output.reopen() {
            self.warn("cannot re-open the access log, the old file stays in use", &error);
        }
    }

    fn flush(&mut self, done: SyncSender<()>) {
        match &mut self.place {
            // Whoever asked may have stopped waiting.
            Place::Output(_) => {
                let _ = done.try_send(());
            }
            Place::Spool(spool) => spool.flush(done),
        }
    }

    fn warn(&mut self, what: &str, error: &io::Error) {
        if self.warned.is_none_or(|at| at.elapsed() >= WARNING_EVERY) {
            self.warned = Some(Instant::now());
            tracing::error!(%error, "{what}");
        }
    }
}
