//! Stages 5 and 7: rate limits before and after the caller is identified, and how many requests may be in flight.

mod buckets;
mod explain;
mod key;
mod stored;

mod concurrency;
mod memory;
mod tell;

pub(crate) use buckets::{Verdict, by_address, by_identity, sweep};
pub(crate) use concurrency::concurrency;
pub(crate) use memory::memory;
pub(crate) use tell::tell;
