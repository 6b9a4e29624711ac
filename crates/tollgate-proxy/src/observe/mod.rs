//! Stage 13: what every exchange leaves behind.

mod snapshot;
pub use snapshot::Snapshot;
