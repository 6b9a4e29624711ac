//! Stage 13: what every exchange leaves behind.

mod histogram;
mod record;
mod snapshot;

pub use histogram::Histogram;
pub use snapshot::{
    LogCounts, RejectedLabels, RequestLabels, Snapshot, UpstreamConnections, UpstreamLabels,
};
#[allow(unused_imports)]
pub(crate) use record::Record;
#[allow(unused_imports)]
pub(crate) use snapshot::{Gauges, WorkerSnapshot};
