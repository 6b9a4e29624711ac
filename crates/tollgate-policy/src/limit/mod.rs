//! How often a key may pass: token buckets, counted exactly.
//!
//! A bucket is a generic cell rate algorithm (ITU-T I.371, GCRA): all that is kept of it is the moment when it will
//! be full again. Time is monotonic nanoseconds since any fixed moment, handed in; it is never read here.
//!
//! [`Table`] holds the buckets of one process, shared by its workers. [`lease`] decides for limits that several
//! processes share through Redis, and [`script`] is what Redis runs for them. Who is counted, and by which limit,
//! is the caller's to say: a limit is an identity, a key is bytes.

mod quota;

mod bucket;
mod key;
pub mod lease;
pub mod script;
mod table;

mod shard;
mod siphash;

pub use bucket::{Bucket, Decision};
pub use key::{ip_key, limit_identity};
pub use quota::{
    BURST_MAX, INSTANCES_MAX, PERIOD_MAX_NS, Quota, QuotaError, RATE_COUNT_MAX, REFILL_MAX_NS, Span,
};
pub use table::{Counts, Table};
