//! Counters summed over the workers.

/// Counters and gauges at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {}
