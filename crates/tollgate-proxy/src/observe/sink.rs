//! The access log between the workers and the writer: a buffer per worker, batches, bounds, and who waits.
//!
//! A worker formats lines into a buffer of its own and hands it over when it is full or when the tick comes.
//! Buffers come back empty and are used again. What a worker may have handed over is bounded; when the writer
//! does not keep up, `on_full` says whether the worker drops records or waits.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tollgate_plan::Plan;
use tollgate_plan::plan::{AccessLog, LogSink, OnFull};

use super::date::LogTime;
use super::line::write_line;
use super::output::Output;
use super::record::Record;
use super::snapshot::LogCounts;
use super::writer::{self, Batch, Message, SinkCounts, SinkKind};

/// What a buffer usually holds.
const BUFFER_BYTES: usize = 32 * 1024;

/// A buffer this full is handed over: the last line, if it is no longer than most, did not make it grow.
const BATCH_BYTES: usize = BUFFER_BYTES - 1024;

/// Buffers a worker may have handed over: 1 MiB when they are full.
const BATCHES_MAX: usize = 32;

/// One more is handed over at the end, and one that was not taken may be on its way back.
const HOME_BUFFERS_MAX: usize = BATCHES_MAX + 2;

/// Empty buffers that a worker keeps; a burst may have made more.
const SPARES_MAX: usize = 2;

/// A waiting worker looks this often whether the gateway wants to end.
const ROOM_LOOK: Duration = Duration::from_millis(50);

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
        WorkerSink {
            shared: self.shared.clone(),
            epoch: 0,
            lane: None,
            buffer: Vec::new(),
            records: 0,
            spares: Vec::new(),
            time: LogTime::new(),
        }
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

/// One worker's end of the access log. Dropping it hands over what is left.
pub(crate) struct WorkerSink {
    shared: Arc<Shared>,
    epoch: u64,
    lane: Option<Lane>,
    buffer: Vec<u8>,
    /// Lines in `buffer`.
    records: u64,
    spares: Vec<Vec<u8>>,
    time: LogTime,
}

/// The way of a worker's batches to one writer and back.
struct Lane {
    sender: SyncSender<Message>,
    counts: Arc<SinkCounts>,
    home: SyncSender<Vec<u8>>,
    returned: Receiver<Vec<u8>>,
    /// Buffers handed over and not returned.
    out: usize,
}

impl WorkerSink {
    /// Adds one record as `plan`, the one that its request met, wants it. With `on_full: block` and a full log
    /// this waits, and the worker's thread with it.
    pub(crate) fn record(&mut self, record: &Record<'_>, plan: &Plan) {
        if plan.access_log.sink == LogSink::Off {
            return;
        }
        if self.buffer.len() >= BATCH_BYTES && !self.make_room(plan.access_log.on_full) {
            self.drop_records(1);
            return;
        }
        write_line(record, plan, &mut self.time, &mut self.buffer);
        self.records += 1;
        if self.buffer.len() >= BATCH_BYTES {
            self.hand_over(BATCHES_MAX);
        }
    }

    /// To be called some 100 ms after a record, and again while it is false that nothing is left in the buffer;
    /// also after a reload, to let go of a sink that is not in use any more.
    pub(crate) fn tick(&mut self) -> bool {
        self.follow();
        self.hand_over(BATCHES_MAX)
    }

    fn make_room(&mut self, on_full: OnFull) -> bool {
        loop {
            if self.hand_over(BATCHES_MAX) {
                return true;
            }
            let closing = self.shared.closing.load(Ordering::Relaxed);
            if on_full == OnFull::Drop || closing {
                return false;
            }
            // The writer owes nothing to any worker and gives every buffer back, so this waiting ends.
            if let Some(lane) = &mut self.lane
                && let Ok(buffer) = lane.returned.recv_timeout(ROOM_LOOK)
            {
                lane.out -= 1;
                keep_spare(&mut self.spares, buffer);
            }
        }
    }

    /// Whether the buffer has room afterwards.
    fn hand_over(&mut self, batches_max: usize) -> bool {
        if self.records == 0 {
            return true;
        }
        self.follow();
        let Some(lane) = &mut self.lane else {
            // The log was turned off after the request began.
            self.buffer.clear();
            self.records = 0;
            return true;
        };
        while let Ok(buffer) = lane.returned.try_recv() {
            lane.out -= 1;
            keep_spare(&mut self.spares, buffer);
        }
        if lane.out >= batches_max {
            return false;
        }
        let lines = std::mem::replace(&mut self.buffer, self.spares.pop().unwrap_or_default());
        let batch = Batch { lines, records: self.records, home: lane.home.clone() };
        // It comes home in any case, even when it is not taken.
        lane.out += 1;
        match lane.sender.try_send(Message::Batch(batch)) {
            Ok(()) => {
                self.records = 0;
                true
            }
            Err(TrySendError::Full(Message::Batch(mut batch))) => {
                let spare = std::mem::replace(&mut self.buffer, std::mem::take(&mut batch.lines));
                keep_spare(&mut self.spares, spare);
                false
            }
            Err(_) => {
                // The writer is gone, which only a panic in it can do.
                self.drop_records(self.records);
                self.records = 0;
                true
            }
        }
    }

    /// Turns to the writer of the current configuration. What the old one still holds is written by it.
    fn follow(&mut self) {
        let epoch = self.shared.epoch.load(Ordering::Acquire);
        if epoch == self.epoch {
            return;
        }
        self.epoch = epoch;
        self.lane = locked(&self.shared.current).as_ref().map(|writer| {
            let (home, returned) = sync_channel(HOME_BUFFERS_MAX);
            let counts = self.shared.counts_of(writer.kind).clone();
            Lane { sender: writer.sender.clone(), counts, home, returned, out: 0 }
        });
    }

    fn drop_records(&self, count: u64) {
        if let Some(lane) = &self.lane {
            lane.counts.drop_records(count);
        }
    }
}

impl Drop for WorkerSink {
    fn drop(&mut self) {
        // One batch over the bound: there are no more to come.
        if !self.hand_over(BATCHES_MAX + 1) {
            self.drop_records(self.records);
        }
    }
}

fn keep_spare(spares: &mut Vec<Vec<u8>>, mut buffer: Vec<u8>) {
    // A few long lines must not make a worker's buffers large for ever.
    if spares.len() < SPARES_MAX && (1..=2 * BUFFER_BYTES).contains(&buffer.capacity()) {
        buffer.clear();
        spares.push(buffer);
    }
}

#[cfg(test)]
mod tests;
