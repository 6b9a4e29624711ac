//! Stage 13: what every exchange leaves behind.
//!
//! Also the two small things that every exchange is given at its start: an id and a date.

mod date;
mod id;

mod record;

mod line;
mod redact;
mod text;

mod output;
mod sink;
mod writer;

mod counters;
mod histogram;
mod snapshot;

pub use histogram::Histogram;
pub use snapshot::{LogCounts, RejectedLabels, RequestLabels, Snapshot, UpstreamConnections, UpstreamLabels};

#[allow(unused_imports)]
pub(crate) use counters::{Counters, Outcome, Series};
#[allow(unused_imports)]
pub(crate) use date::DateCache;
#[allow(unused_imports)]
pub(crate) use id::{RequestId, RequestIds};
#[allow(unused_imports)]
pub(crate) use record::Record;
#[allow(unused_imports)]
pub(crate) use sink::{LogWriter, Prepared, WorkerSink};
#[allow(unused_imports)]
pub(crate) use snapshot::{Gauges, WorkerSnapshot};

#[cfg(test)]
mod fixture;
