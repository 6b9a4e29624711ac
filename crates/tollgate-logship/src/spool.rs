//! The spool: records on disk until a store has them.
//!
//! One process appends to one file at a time and closes it when it is large or old enough to become an object. What is closed
//! waits, oldest first, for the shipper. All of it together is bounded: over the bound the oldest go, and are counted.
//!
//! Several processes may share a directory, as two do while one replaces the other: each names its files after itself
//! and holds a [`Claim`] on its name. The files of a name that nobody holds any more are taken over.
//!
//! What was appended survives the end of the process at once. It is brought to the disk within [`SYNC_EVERY`], so that a
//! loss of power takes no more than that.

mod claim;

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::mem;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;

pub(crate) use self::claim::Claim;
use crate::key::{SegmentName, since_1970};
use crate::{Counts, Settings, segment};

/// What was appended is on the disk, and not only with the kernel, after this time.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The end of the spool that records come in at. Dropping it closes the last file; the shipper then ends when nothing is left.
pub struct Spool {
    shared: Arc<Shared>,
    batch_bytes: u64,
    batch_every: Duration,
    current: Option<Current>,
    /// The number of the next file.
    next: u64,
    frame: Vec<u8>,
}

/// The file that is appended to.
struct Current {
    file: File,
    name: SegmentName,
    /// When the clock changes hours, so does the partition.
    hour: u64,
    opened: Instant,
    /// Of the file, so far.
    bytes: u64,
    /// Of the lines in it.
    lines_bytes: u64,
    records: u64,
    /// Something since then is not on the disk.
    dirty: Option<Instant>,
}

/// What both ends of the spool see.
pub(crate) struct Shared {
    dir: PathBuf,
    claim: Claim,
    bytes_max: u64,
    pub(crate) counts: Arc<Counts>,
    state: Mutex<State>,
    /// Something waits, or somebody wants an end.
    pub(crate) wake: Notify,
}

/// Written by both ends.
#[derive(Default)]
struct State {
    /// Closed files, oldest first.
    waiting: VecDeque<Segment>,
    /// Bytes of the files that are not closed, or on their way.
    busy_bytes: u64,
    /// What of both the count was told.
    told_bytes: u64,
    /// Who waits until nothing is left.
    flushes: Vec<SyncSender<()>>,
    /// No more records come.
    ended: bool,
    /// Somebody else takes over what is left.
    abandoned: bool,
}

/// What is left belongs to somebody else's spool now, which tells it.
impl Drop for Shared {
    fn drop(&mut self) {
        self.counts.wait_instead(self.lock().told_bytes, 0);
    }
}

/// A closed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) name: SegmentName,
    pub(crate) bytes: u64,
    pub(crate) records: u64,
}

impl Spool {
    /// Opens the directory, which is made when it is not there.
    pub(crate) fn open(settings: &Settings, counts: Arc<Counts>) -> io::Result<Spool> {
        let dir = &settings.spool_dir;
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| named(error, dir))?;
        let shared = Shared {
            dir: dir.clone(),
            claim: Claim::fresh(dir).map_err(|error| named(error, dir))?,
            bytes_max: settings.spool_bytes,
            counts,
            state: Mutex::default(),
            wake: Notify::new(),
        };
        Ok(Spool {
            shared: Arc::new(shared),
            batch_bytes: settings.batch_bytes,
            batch_every: settings.batch_every,
            current: None,
            next: 1,
            frame: Vec::new(),
        })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Appends whole lines, which are `records` many. What cannot be kept is counted as lost; the error says why.
    pub fn append(&mut self, lines: &[u8], records: u64, now: SystemTime) -> io::Result<()> {
        let appended = self.try_append(lines, records, now);
        if appended.is_err() {
            self.shared.counts.drop_records(records);
        }
        appended
    }

    fn try_append(&mut self, lines: &[u8], records: u64, now: SystemTime) -> io::Result<()> {
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        let count = u32::try_from(records).unwrap_or(u32::MAX);
        let written = segment::write(lines, count, &mut frame)
            .map_err(|_| io::Error::other("more lines at once than a frame may have"))
            .and_then(|()| self.put(&frame, lines.len() as u64, records, now));
        self.frame = frame;
        written
    }

    fn put(&mut self, frame: &[u8], lines_bytes: u64, records: u64, now: SystemTime) -> io::Result<()> {
        let hour = since_1970(now).as_secs() / 3600;
        if self.current.as_ref().is_some_and(|current| current.hour != hour) {
            self.close();
        }
        if !self.make_room(frame.len() as u64) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the spool is full"));
        }
        if let Err(error) = self.write(frame, now) {
            // A full disk is a full spool: the oldest make room, if there are any.
            if !self.shared.drop_oldest() {
                return Err(error);
            }
            self.write(frame, now)?;
        }
        let Some(current) = &mut self.current else { return Ok(()) };
        current.bytes += frame.len() as u64;
        current.lines_bytes += lines_bytes;
        current.records += records;
        current.dirty.get_or_insert_with(Instant::now);
        let full = current.lines_bytes >= self.batch_bytes;
        self.shared.grow(frame.len() as u64);
        if full {
            self.close();
        }
        Ok(())
    }

    /// Writes a frame whole, or leaves the file as it was.
    fn write(&mut self, frame: &[u8], now: SystemTime) -> io::Result<()> {
        let current = match &mut self.current {
            Some(current) => current,
            none => none.insert(self.shared.begin(&mut self.next, now)?),
        };
        current.file.write_all(frame).inspect_err(|_| {
            // Where that fails too, a torn frame is left, behind which others are found all the same.
            let _ = current.file.set_len(current.bytes);
        })
    }

    /// Whether so many bytes more are within the bound: the oldest go until they are.
    fn make_room(&mut self, bytes: u64) -> bool {
        while self.shared.held() + bytes > self.shared.bytes_max {
            if self.shared.drop_oldest() {
                continue;
            }
            if self.current.is_none() {
                // What is left is on its way.
                return false;
            }
            self.close();
        }
        true
    }

    /// When [`Spool::tick`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        let current = self.current.as_ref()?;
        let old = current.opened + self.batch_every;
        Some(current.dirty.map_or(old, |dirty| old.min(dirty + SYNC_EVERY)))
    }

    /// Brings to the disk what is due, and closes a file that is old enough.
    pub fn tick(&mut self, now: Instant) {
        let Some(current) = &mut self.current else { return };
        if now >= current.opened + self.batch_every {
            return self.close();
        }
        if current.dirty.is_some_and(|dirty| now >= dirty + SYNC_EVERY) {
            current.dirty = None;
            if let Err(error) = current.file.sync_data().and_then(|()| self.shared.sync_dir()) {
                tracing::warn!(%error, "access records cannot be brought to the disk; a loss of power would lose them");
            }
        }
    }

    /// Closes the file: it becomes an object.
    fn close(&mut self) {
        let Some(current) = self.current.take() else { return };
        if let Err(error) = current.file.sync_all().and_then(|()| self.shared.sync_dir()) {
            tracing::warn!(%error, "access records cannot be brought to the disk; a loss of power would lose them");
        }
        let Current { name, bytes, records, .. } = current;
        self.shared.push(Segment { name, bytes, records }, bytes);
    }

    /// Closes the file; `done` is told when the store has everything that is here.
    pub fn flush(&mut self, done: SyncSender<()>) {
        self.close();
        self.shared.lock().flushes.push(done);
        self.shared.wake.notify_one();
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.close();
        self.shared.lock().ended = true;
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn begin(&self, next: &mut u64, now: SystemTime) -> io::Result<Current> {
        let began_s = since_1970(now).as_secs();
        let name = SegmentName { began_s, instance: self.claim.instance().to_owned(), sequence: *next };
        let path = self.path(&name);
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| named(error, &path))?;
        *next += 1;
        let hour = began_s / 3600;
        let opened = Instant::now();
        Ok(Current { file, name, hour, opened, bytes: 0, lines_bytes: 0, records: 0, dirty: None })
    }

    /// Takes the oldest file to be shipped; it stays on the disk.
    pub(crate) fn take(&self) -> Option<Segment> {
        let mut state = self.lock();
        let segment = state.waiting.pop_front()?;
        state.busy_bytes += segment.bytes;
        Some(segment)
    }

    /// What the file holds.
    pub(crate) fn read(&self, segment: &Segment) -> io::Result<Vec<u8>> {
        fs::read(self.path(&segment.name))
    }

    /// The store does not have it: it waits again, before all others.
    pub(crate) fn put_back(&self, segment: Segment) {
        let mut state = self.lock();
        state.busy_bytes = state.busy_bytes.saturating_sub(segment.bytes);
        state.waiting.push_front(segment);
        self.tell(&mut state);
    }

    /// The file is needed no more.
    pub(crate) fn remove(&self, segment: &Segment) {
        self.delete(segment);
        let mut state = self.lock();
        state.busy_bytes = state.busy_bytes.saturating_sub(segment.bytes);
        self.tell(&mut state);
    }

    /// Takes over what processes left that are no more, beside those whose claims are held already.
    pub(crate) fn adopt(&self, held: &mut Vec<Claim>) {
        held.retain(|claim| claim.is_used());
        let known: Vec<&str> = held.iter().chain([&self.claim]).map(Claim::instance).collect();
        let claims = claim::orphans(&self.dir, &known);
        for claim in claims {
            let segments = claim.segments();
            if !segments.is_empty() {
                let records: u64 = segments.iter().map(|segment| segment.records).sum();
                tracing::info!(
                    instance = claim.instance(),
                    files = segments.len(),
                    records,
                    "access records of a process that is gone are sent on"
                );
                self.take_over(segments);
                held.push(claim);
            }
        }
    }

    fn take_over(&self, segments: Vec<Segment>) {
        let mut state = self.lock();
        state.waiting.extend(segments);
        // By the time when they began, whoever wrote them.
        state.waiting.make_contiguous().sort_by(|a, b| a.name.cmp(&b.name));
        self.tell(&mut state);
        drop(state);
        while self.held() > self.bytes_max && self.drop_oldest() {}
    }

    /// Tells those who wait for it that nothing is left; gives whether the shipper should end.
    pub(crate) fn rest(&self) -> bool {
        let mut state = self.lock();
        if state.abandoned {
            return true;
        }
        let empty = state.waiting.is_empty();
        if empty {
            // Whoever asked may have stopped waiting.
            for done in state.flushes.drain(..) {
                let _ = done.try_send(());
            }
        }
        empty && state.ended
    }

    /// Whether somebody waits for the end, who will not wait long.
    pub(crate) fn is_pressed(&self) -> bool {
        let state = self.lock();
        state.abandoned || !state.flushes.is_empty()
    }

    /// Somebody else takes over what is left.
    pub(crate) fn abandon(&self) {
        self.lock().abandoned = true;
        self.wake.notify_one();
    }

    fn push(&self, segment: Segment, of_busy: u64) {
        let mut state = self.lock();
        state.busy_bytes = state.busy_bytes.saturating_sub(of_busy);
        state.waiting.push_back(segment);
        drop(state);
        self.wake.notify_one();
    }

    fn grow(&self, bytes: u64) {
        let mut state = self.lock();
        state.busy_bytes += bytes;
        self.tell(&mut state);
    }

    /// Bytes in the spool.
    fn held(&self) -> u64 {
        let state = self.lock();
        state.busy_bytes + state.waiting.iter().map(|segment| segment.bytes).sum::<u64>()
    }

    /// Drops the oldest file that waits; false when none does.
    fn drop_oldest(&self) -> bool {
        let Some(oldest) = self.lock().waiting.pop_front() else { return false };
        self.delete(&oldest);
        self.counts.drop_records(oldest.records);
        self.tell(&mut self.lock());
        true
    }

    fn delete(&self, segment: &Segment) {
        let path = self.path(&segment.name);
        if let Err(error) = fs::remove_file(&path).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        }) {
            // It would be sent again by the next process: twice is better than never.
            tracing::warn!(%error, path = %path.display(), "a file of the spool cannot be removed");
        }
    }

    /// Names are on the disk, and not only what is in the files.
    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    fn path(&self, name: &SegmentName) -> PathBuf {
        self.dir.join(name.file())
    }

    /// The count is shared with the shipper that was there before, which may still be at its last files.
    fn tell(&self, state: &mut State) {
        let bytes = state.busy_bytes + state.waiting.iter().map(|segment| segment.bytes).sum::<u64>();
        self.counts.wait_instead(mem::replace(&mut state.told_bytes, bytes), bytes);
    }

    /// No code between lock and unlock can leave the state half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn named(error: io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
