//! Access records on their way to an object store, and back: a spool on disk that survives a crash, batches under
//! partitioned keys, and the reading side of `tollgate logs`.
//!
//! It knows lines and bytes. What stands in a record, where records come from, and how a connection is made is not its
//! concern: names and TLS are those of whoever gives it a [`Dial`].
//!
//! | module | what | touches |
//! |---|---|---|
//! | `segment` | frames with checksums: bytes in, lines out | nothing |
//! | `spool` | segments as files, their bound, and whose they are | the file system |
//! | `ship` | segments to objects, oldest first, again until it works | the store |
//! | `key` | the names of objects, and their partitions | nothing |
//! | `store`, `http` | `object_store`, over connections that are given | the store |
//! | `filter`, `read` | records back out of objects and files | the store, the file system |

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod key;
mod segment;

mod spool;

mod http;
mod ship;
mod store;

mod filter;
mod read;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use self::filter::{BadFilter, Filter};
pub use self::http::{Dial, Stream};
pub use self::read::{Found, Range, Take, read_file, read_lines, read_store};
pub use self::ship::{Shipper, start};
pub use self::spool::Spool;
pub use self::store::{Options, Store, StoreError};

/// Where records go, and how they are batched.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `s3://bucket/prefix`, `gs://`, `az://container/prefix`, `file:///directory`.
    pub url: String,
    /// How the store is reached.
    pub options: Options,
    /// An object holds about so many bytes of records, before compression.
    pub batch_bytes: u64,
    /// An object is made after this time, however few records there are.
    pub batch_every: Duration,
    /// The directory where records wait. It is made when it is not there.
    pub spool_dir: PathBuf,
    /// Bytes that may wait there, compressed. Over it the oldest are dropped.
    pub spool_bytes: u64,
}

/// What became of records and objects since the start of the process. Outlives the shippers that write it.
#[derive(Debug, Default)]
pub struct Counts {
    delivered: AtomicU64,
    dropped: AtomicU64,
    batches: AtomicU64,
    failures: AtomicU64,
    waiting: AtomicU64,
}

impl Counts {
    /// Records that are in the store.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Records that were lost: the spool was full, or could not be written, or a file of it was damaged.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Objects that are in the store.
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    /// Tries to put an object that failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Bytes in the spool, compressed.
    pub fn waiting_bytes(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    fn deliver(&self, records: u64) {
        self.delivered.fetch_add(records, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts records as lost.
    fn drop_records(&self, records: u64) {
        self.dropped.fetch_add(records, Ordering::Relaxed);
    }

    fn fail(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// One spool of perhaps two held `before` bytes and holds `now`. The sum wraps on its way, never at rest.
    fn wait_instead(&self, before: u64, now: u64) {
        self.waiting.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }
}
