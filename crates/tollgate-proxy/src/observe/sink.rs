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

use tollgate_logship::{Counts, Dial, Options, Settings, Shipper};
use tollgate_plan::object_log::ObjectLog;
use tollgate_plan::plan::{AccessLog, LogSink};
use tollgate_plan::secret::Secret;

pub(crate) use self::worker::WorkerSink;
use super::output::Output;
use super::snapshot::{LogCounts, Shipped};
use super::writer::{self, Message, Place, SinkCounts, SinkKind};

/// The access log of the process.
pub(crate) struct LogWriter {
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// How object stores are reached.
    dial: Arc<dyn Dial>,
}

struct State {
    sink: LogSink,
    /// Ends of writers that were replaced, until they have written what they were given.
    replaced: Vec<Receiver<()>>,
    /// Those that send what is in a spool; one that was replaced goes on until nothing is left there.
    shippers: Vec<Shipper>,
}

struct Shared {
    /// Counts the writers; a worker that has seen fewer looks up the current one.
    epoch: AtomicU64,
    /// `None` when there is no log. Locked by a worker only when the epoch changed.
    current: Mutex<Option<writer::Handle>>,
    /// By [`SinkKind::ALL`]; they outlive the writers.
    counts: [Arc<SinkCounts>; SinkKind::ALL.len()],
    /// What shippers did; outlives them too.
    shipped: Arc<Counts>,
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
    Replace(Option<writer::Handle>, Option<Shipper>),
}

impl LogWriter {
    /// Opens the sink and starts the writer; an error names what could not be opened.
    pub(crate) fn start(log: &AccessLog, dial: Arc<dyn Dial>) -> io::Result<LogWriter> {
        let shared = Shared {
            epoch: AtomicU64::new(0),
            current: Mutex::new(None),
            counts: Default::default(),
            shipped: Arc::default(),
            closing: AtomicBool::new(false),
        };
        let state = State { sink: LogSink::Off, replaced: Vec::new(), shippers: Vec::new() };
        let writer = LogWriter { shared: Arc::new(shared), state: Mutex::new(state), dial };
        writer.reconfigure(log)?;
        Ok(writer)
    }

    /// The end of the log of one of `workers` workers.
    pub(crate) fn worker_sink(&self, workers: usize) -> WorkerSink {
        WorkerSink::new(self.shared.clone(), workers)
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
        let (opened, shipper) = match &sink {
            LogSink::Off => (None, None),
            LogSink::Stdout => (Some((Place::Output(Output::stdout()?), SinkKind::Stdout)), None),
            LogSink::File(path) => (Some((Place::Output(Output::file(path)?), SinkKind::File)), None),
            LogSink::ObjectStore(log) => {
                let shipped = self.shared.shipped.clone();
                let (spool, shipper) =
                    tollgate_logship::start(&log_shipping(log), self.dial.clone(), shipped)?;
                (Some((Place::Spool(spool), SinkKind::ObjectStore)), Some(shipper))
            }
        };
        let writer = opened.map(|(place, kind)| self.spawn(place, kind)).transpose()?;
        Ok(Prepared { sink, change: Change::Replace(writer, shipper) })
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
            Change::Replace(writer, shipper) => {
                if shipper.is_some() {
                    // The new one sends what the others leave, with what may be better credentials.
                    state.shippers.iter().for_each(Shipper::abandon);
                }
                state.shippers.retain(|shipper| !shipper.has_ended());
                state.shippers.extend(shipper);
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

    /// Ends what writes and sends, at most `limit` long: a spool that is empty leaves nothing behind. For the end of the
    /// process, behind [`LogWriter::flush`].
    pub(crate) fn end(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        drop(locked(&self.shared.current).take());
        self.shared.epoch.fetch_add(1, Ordering::Release);
        let shippers = std::mem::take(&mut locked(&self.state).shippers);
        for shipper in shippers {
            // One whose store is down goes on until the process ends.
            shipper.wait(deadline.saturating_duration_since(Instant::now()));
        }
        // Who scrapes has not seen what was lost since, and never will.
        for (sink, records) in self.lost().filter(|(_, records)| *records > 0) {
            tracing::warn!(sink, records, "access records were lost since the start");
        }
    }

    /// Records that are lost when the process ends now, by sink: what was dropped, and what a writer that is stuck still
    /// holds. Of the batch that it was writing nobody knows how much came through; all of it counts.
    fn lost(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let waiting = |label| SinkKind::ALL.into_iter().find(|kind| kind.label() == label);
        self.counts().map(move |(label, counts)| {
            let waiting = waiting(label).map_or(0, |kind| self.shared.counts_of(kind).waiting());
            (label, counts.dropped + waiting)
        })
    }

    /// Records written and lost since the start, by sink, for every sink that was in use.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, LogCounts)> + '_ {
        let kinds = SinkKind::ALL.into_iter().zip(&self.shared.counts);
        kinds.filter_map(|(kind, counts)| {
            let mut counts = counts.get()?;
            if kind == SinkKind::ObjectStore {
                // A record is written when the store has it; until then it is neither written nor lost.
                counts.records += self.shared.shipped.delivered();
                counts.dropped += self.shared.shipped.dropped();
            }
            Some((kind.label(), counts))
        })
    }

    /// What was sent to object stores since the start, where one was in use.
    pub(crate) fn shipped(&self) -> Option<Shipped> {
        let shipped = &self.shared.shipped;
        self.shared.counts_of(SinkKind::ObjectStore).get().map(|_| Shipped {
            batches: shipped.batches(),
            failures: shipped.failures(),
            waiting_bytes: shipped.waiting_bytes(),
        })
    }

    fn spawn(&self, place: Place, kind: SinkKind) -> io::Result<writer::Handle> {
        writer::spawn(place, kind, self.shared.counts_of(kind).clone())
    }
}

/// An access log in an object store, as those who write and read it want to have it.
pub fn log_shipping(log: &ObjectLog) -> Settings {
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    let access = &log.access;
    let secret = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
    Settings {
        url: log.url.to_string(),
        options: Options {
            endpoint: text(&access.endpoint),
            region: text(&access.region),
            access_key_id: text(&access.access_key_id),
            secret_access_key: secret(&access.secret_access_key),
            session_token: secret(&access.session_token),
            service_account: access.service_account.clone(),
            account: text(&access.account),
            account_key: secret(&access.account_key),
        },
        batch_bytes: log.batch_bytes,
        batch_every: log.batch_every,
        spool_dir: log.spool_dir.clone(),
        spool_bytes: log.spool_bytes,
    }
}

impl Shared {
    fn counts_of(&self, kind: SinkKind) -> &Arc<SinkCounts> {
        let [stdout, file, object_store] = &self.counts;
        match kind {
            SinkKind::Stdout => stdout,
            SinkKind::File => file,
            SinkKind::ObjectStore => object_store,
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
