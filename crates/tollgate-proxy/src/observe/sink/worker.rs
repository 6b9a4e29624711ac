//! A worker's buffer of access records, and its batches on their way to the writer and back.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tollgate_plan::Plan;
use tollgate_plan::plan::{LogSink, OnFull};

use super::{Shared, locked};
use crate::observe::date::LogTime;
use crate::observe::line::write_line;
use crate::observe::recent::Recent;
use crate::observe::record::Record;
use crate::observe::writer::{Batch, Message, SinkCounts};

/// What a buffer usually holds.
pub(super) const BUFFER_BYTES: usize = 32 * 1024;

/// A buffer this full is handed over: the last line, if it is no longer than most, did not make it grow.
const BATCH_BYTES: usize = BUFFER_BYTES - 1024;

/// Buffers a worker may have handed over: 1 MiB when they are full.
pub(super) const BATCHES_MAX: usize = 32;

/// One more is handed over at the end, and one that was not taken may be on its way back.
const HOME_BUFFERS_MAX: usize = BATCHES_MAX + 2;

/// Empty buffers that a worker keeps; a burst may have made more.
pub(super) const SPARES_MAX: usize = 2;

/// A waiting worker looks this often whether the gateway wants to end.
const ROOM_LOOK: Duration = Duration::from_millis(50);

/// One worker's end of the access log. Dropping it hands over what is left.
pub(crate) struct WorkerSink {
    shared: Arc<Shared>,
    epoch: u64,
    pub(super) lane: Option<Lane>,
    pub(super) buffer: Vec<u8>,
    /// Lines in `buffer`.
    records: u64,
    pub(super) spares: Vec<Vec<u8>>,
    time: LogTime,
    /// Buffers that may be handed over.
    batches_max: usize,
    /// Which records are of a share.
    random: u64,
    /// What the admin side shows, whatever becomes of the log.
    pub(crate) recent: Recent,
}

/// The way of a worker's batches to one writer and back.
pub(super) struct Lane {
    sender: SyncSender<Message>,
    counts: Arc<SinkCounts>,
    home: SyncSender<Vec<u8>>,
    returned: Receiver<Vec<u8>>,
    /// Buffers handed over and not returned.
    pub(super) out: usize,
}

impl WorkerSink {
    pub(super) fn new(shared: Arc<Shared>, workers: usize) -> WorkerSink {
        WorkerSink {
            shared,
            epoch: 0,
            lane: None,
            buffer: Vec::new(),
            records: 0,
            spares: Vec::new(),
            time: LogTime::new(),
            batches_max: BATCHES_MAX,
            random: RandomState::new().hash_one(0_u8) | 1,
            recent: Recent::new(workers),
        }
    }

    /// May hand over so many bytes from now on, where that is less than usual.
    pub(crate) fn bound(&mut self, bytes: usize) {
        self.batches_max = (bytes / BUFFER_BYTES).clamp(2, BATCHES_MAX);
    }

    /// Adds one record as `plan`, the one that its request met, wants it. With `on_full: block` and a full log
    /// this waits, and the worker's thread with it.
    pub(crate) fn record(&mut self, record: &Record<'_>, plan: &Plan) {
        if plan.access_log.sink == LogSink::Off || !self.is_sampled(record.status, plan) {
            return self.recent.record(record, plan, &mut self.time);
        }
        if self.buffer.len() >= BATCH_BYTES && !self.make_room(plan.access_log.on_full) {
            self.drop_records(1);
            return self.recent.record(record, plan, &mut self.time);
        }
        let start = self.buffer.len();
        write_line(record, plan, &mut self.time, &mut self.buffer);
        self.recent.keep(self.buffer.get(start..).unwrap_or_default());
        self.records += 1;
        if self.buffer.len() >= BATCH_BYTES {
            self.hand_over(self.batches_max);
        }
    }

    /// To be called some 100 ms after a record, and again while it is false that nothing is left in the buffer;
    /// also after a reload, to let go of a sink that is not in use any more.
    pub(crate) fn tick(&mut self) -> bool {
        self.recent.tell();
        self.follow();
        self.hand_over(self.batches_max)
    }

    /// Whether this record is of those that the operator wants.
    fn is_sampled(&mut self, status: u16, plan: &Plan) -> bool {
        let percent = plan.access_log.sample.percent(status);
        percent >= 100 || {
            // xorshift64 (Marsaglia): a share, and no secret.
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            self.random % 100 < u64::from(percent)
        }
    }

    fn make_room(&mut self, on_full: OnFull) -> bool {
        loop {
            if self.hand_over(self.batches_max) {
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
        lane.counts.hand_over(self.records);
        match lane.sender.try_send(Message::Batch(batch)) {
            Ok(()) => {
                self.records = 0;
                true
            }
            Err(TrySendError::Full(Message::Batch(mut batch))) => {
                lane.counts.settle(self.records);
                let spare = std::mem::replace(&mut self.buffer, std::mem::take(&mut batch.lines));
                keep_spare(&mut self.spares, spare);
                false
            }
            Err(_) => {
                // The writer is gone, which only a panic in it can do.
                lane.counts.settle(self.records);
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
        if !self.hand_over(self.batches_max + 1) {
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
