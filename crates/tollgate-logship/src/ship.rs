//! From the spool to the store: oldest first, one object at a time, again until it works.
//!
//! It has a thread of its own, so that neither a slow store nor compression takes anybody else's time.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::{Instant, timeout, timeout_at};

use crate::http::Dial;
use crate::spool::{Claim, Segment, Shared, Spool};
use crate::store::{Store, StoreError};
use crate::{Counts, Settings, segment};

/// How well objects are compressed: they are read more often than made.
const LEVEL: i32 = 3;

/// An object is in the store within this time, or it is tried again.
const PUT_WITHIN: Duration = Duration::from_secs(120);

/// After a failure the next try comes after this time, twice as long each time, up to the longer one.
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// When somebody waits for the end it comes after this time at most.
const RETRY_PRESSED: Duration = Duration::from_millis(250);

/// How often it looks for files that others left.
const ADOPT_EVERY: Duration = Duration::from_secs(2);

/// A store that fails goes on failing: one line in the operator's log per this time says so.
const WARNING_EVERY: Duration = Duration::from_secs(60);

/// A running shipper.
pub struct Shipper {
    /// Weak: who only looks on must not keep the files from whoever takes them over.
    shared: Weak<Shared>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

impl Shipper {
    /// It ends as soon as it can; what is left is for whoever opens the directory next.
    pub fn abandon(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.abandon();
        }
    }

    /// Waits until it has ended, at most so long.
    pub fn wait(&self, limit: Duration) {
        let _ = self.ended.recv_timeout(limit);
    }

    /// Whether it has ended, as it does when its [`Spool`] is gone and nothing is left.
    pub fn has_ended(&self) -> bool {
        self.ended.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected)
    }
}

/// Opens the spool and the place in the store, and starts the shipper. What a process that is gone left in the spool is
/// sent first. Nothing is asked of the store here: it may be down.
pub fn start(settings: &Settings, dial: Arc<dyn Dial>, counts: Arc<Counts>) -> io::Result<(Spool, Shipper)> {
    let store = Store::open(&settings.url, &settings.options, dial, true).map_err(io::Error::other)?;
    let spool = Spool::open(settings, counts)?;
    let shared = spool.shared().clone();
    let (alive, ended) = sync_channel(0);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let weak = Arc::downgrade(&shared);
    thread::Builder::new().name("tollgate-ship".into()).spawn(move || {
        let _alive: SyncSender<()> = alive;
        runtime.block_on(Shipping { shared, store, failures: 0, warned: None }.run());
    })?;
    Ok((spool, Shipper { shared: weak, ended }))
}

/// Whether the reason goes by itself, and the file can be read later: the process or the machine has too many files open, or
/// no memory for another one (errno 24, 23 and 12).
fn passes(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23 | 12)) || error.kind() == io::ErrorKind::OutOfMemory
}

struct Shipping {
    shared: Arc<Shared>,
    store: Store,
    /// In a row.
    failures: u32,
    warned: Option<Instant>,
}

impl Shipping {
    async fn run(mut self) {
        let mut held: Vec<Claim> = Vec::new();
        let mut look = Instant::now();
        loop {
            if Instant::now() >= look {
                self.shared.adopt(&mut held);
                look = Instant::now() + ADOPT_EVERY;
            }
            if self.shared.rest() {
                return;
            }
            let Some(segment) = self.shared.take() else {
                // Late or woken: both lead on.
                let _ = timeout_at(look, self.shared.wake.notified()).await;
                continue;
            };
            match self.ship(&segment).await {
                Ok(()) => self.settled(),
                Err(error) => {
                    self.shared.put_back(segment);
                    self.failed(&error);
                    self.pause().await;
                }
            }
        }
    }

    /// Makes an object out of a file. The key is the file's own, so that doing it twice makes one.
    async fn ship(&self, segment: &Segment) -> Result<(), StoreError> {
        let counts = &self.shared.counts;
        let file = match self.shared.read(segment) {
            Ok(file) => file,
            Err(error) if passes(&error) => {
                return Err(StoreError::saying(&format!("a file of the spool cannot be read now: {error}")));
            }
            Err(error) => {
                tracing::error!(%error, records = segment.records, "a file of the spool cannot be read, its records are lost");
                counts.drop_records(segment.records);
                self.shared.remove(segment);
                return Ok(());
            }
        };
        let contents = segment::read(&file);
        drop(file);
        if contents.records > 0 {
            let object = zstd::bulk::compress(&contents.lines, LEVEL);
            let object = object.map_err(|error| StoreError::saying(&error.to_string()))?;
            match timeout(PUT_WITHIN, self.store.put(&segment.name.key(), object)).await {
                Ok(put) => put?,
                Err(_) => return Err(StoreError::saying("the store did not take an object in time")),
            }
            counts.deliver(contents.records);
        }
        let lost = contents.lost_records.max(segment.records.saturating_sub(contents.records));
        if lost > 0 {
            tracing::error!(
                records = lost,
                bytes = contents.lost_bytes,
                "a file of the spool is damaged, records are lost"
            );
            counts.drop_records(lost);
        }
        self.shared.remove(segment);
        Ok(())
    }

    fn settled(&mut self) {
        if self.failures > 0 {
            tracing::info!("access records reach the object store again");
        }
        (self.failures, self.warned) = (0, None);
    }

    fn failed(&mut self, error: &StoreError) {
        self.shared.counts.fail();
        self.failures += 1;
        if self.warned.is_none_or(|at| at.elapsed() >= WARNING_EVERY) {
            self.warned = Some(Instant::now());
            tracing::warn!(%error, failures = self.failures, "access records wait in the spool: the object store does not take them");
        }
    }

    async fn pause(&self) {
        let pressed = self.shared.is_pressed();
        let longest = if pressed { RETRY_PRESSED } else { RETRY_MAX };
        let until = Instant::now() + backoff(self.failures).min(longest);
        // What is woken for meanwhile waits too, unless it is the end.
        while timeout_at(until, self.shared.wake.notified()).await.is_ok() {
            if !pressed && self.shared.is_pressed() {
                return;
            }
        }
    }
}

fn backoff(failures: u32) -> Duration {
    RETRY_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(RETRY_MAX)
}
