//! The one thread that writes access records, so that a stalled disk or pipe never stalls a worker.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

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
}

impl SinkKind {
    pub(super) const ALL: [SinkKind; 2] = [SinkKind::Stdout, SinkKind::File];

    pub(super) fn label(self) -> &'static str {
        match self {
            SinkKind::Stdout => "stdout",
            SinkKind::File => "file",
        }
    }
}

/// Records of one kind of sink. Written once per batch, so sharing them costs nothing.
#[derive(Debug, Default)]
pub(super) struct SinkCounts {
    used: AtomicBool,
    records: AtomicU64,
    dropped: AtomicU64,
}

impl SinkCounts {
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

/// A running writer, as its owner sees it.
pub(super) struct Handle {
    pub(super) sender: SyncSender<Message>,
    pub(super) kind: SinkKind,
    /// Disconnected when the thread has written everything and ended, which it does when all senders are gone.
    pub(super) ended: Receiver<()>,
}

/// Starts a thread that writes to `output` until all senders are gone.
pub(super) fn spawn(output: Output, kind: SinkKind, counts: Arc<SinkCounts>) -> io::Result<Handle> {
    let (sender, messages) = sync_channel(QUEUE_BATCHES_MAX);
    let (alive, ended) = sync_channel(0);
    counts.used.store(true, Ordering::Relaxed);
    let mut writer = Writer { output, counts, warned: None };
    thread::Builder::new().name("tollgate-log".into()).spawn(move || {
        let _alive: SyncSender<()> = alive;
        writer.run(&messages);
    })?;
    Ok(Handle { sender, kind, ended })
}

struct Writer {
    output: Output,
    counts: Arc<SinkCounts>,
    warned: Option<Instant>,
}

impl Writer {
    fn run(&mut self, messages: &Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            match message {
                Message::Batch(batch) => {
                    // One look per batch is as good as a timer, and finds a rotation before the next record.
                    if self.output.moved_away() {
                        self.reopen();
                    }
                    self.write(&batch);
                }
                Message::Reopen => self.reopen(),
                // Whoever asked may have stopped waiting.
                Message::Flush(done) => drop(done.try_send(())),
            }
        }
    }

    fn write(&mut self, batch: &Batch) {
        match self.output.write(&batch.lines) {
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
        if let Err(error) = self.output.reopen() {
            self.warn("cannot re-open the access log, the old file stays in use", &error);
        }
    }

    fn warn(&mut self, what: &str, error: &io::Error) {
        if self.warned.is_none_or(|at| at.elapsed() >= WARNING_EVERY) {
            self.warned = Some(Instant::now());
            tracing::error!(%error, "{what}");
        }
    }
}
