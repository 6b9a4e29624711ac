//! The data plane: sockets, pipeline, upstreams, live state.
//!
//! It never sees YAML, the shape users type, or the admin framework. Folders are the way of a request.

mod control;
mod gateway;
mod observe;

pub use control::{Applied, ApplyError, Control, Drained, Status, TargetHealth, UpstreamHealth};
pub use gateway::{Gateway, StartError};
pub use observe::{
    Histogram, LogCounts, RejectedLabels, RequestLabels, Snapshot, UpstreamConnections, UpstreamLabels,
};
