//! The data plane: sockets, pipeline, upstreams, live state.
//!
//! It never sees YAML, the shape users type, or the admin framework. Folders are the way of a request.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod background;
mod buffer;
mod control;
mod drain;
mod explain;
mod gateway;
mod handover;
mod health;
mod insight;
mod outbound;
mod run;
mod still;
mod worker;

mod pipeline;

mod credentials;
mod exchange;
mod expressions;
mod identity;
mod scripting;
mod trace;
mod trail;
mod values;

mod access;
mod aggregate;
mod cache;
mod identify;
mod limit;
mod listen;
mod observe;
mod parse;
mod respond;
mod route;
mod transform;
mod upstream;
mod validate;

mod client;
mod io;
mod live;
mod pump;
mod timer;
mod tls;

pub use control::{Applied, ApplyError, Control, Drained, Status};
pub use explain::{Asked, EXPLAINED_BODY_BYTES_MAX, ExplainError, Explained};
pub use gateway::{Gateway, StartError};
pub use handover::Held;
pub use health::{HealthReport, TargetHealth, UpstreamHealth};
pub use insight::{Following, PlacesReport, Records};
pub use live::cache::{Purge, PurgeError};
pub use live::dial::dialer;
pub use live::issuers::{IssuerHealth, IssuerStatus};
pub use live::memory::{MemoryReport, Pressure};
pub use live::store::StoreReport;
pub use live::tokens::{TokenHealth, TokenStatus};
pub use observe::{
    CacheLabels, CopyLabels, Histogram, LimitLabels, LogCounts, News, RejectedLabels, RequestLabels, Shipped,
    Snapshot, SpanTotals, UpstreamConnections, UpstreamLabels, log_shipping, masked_header, masked_query,
    rfc3339,
};
pub use outbound::{Ask, AskError, Told, ask, send};
pub use tollgate_policy::Circuit;
pub use tollgate_policy::limit::Counts as BucketCounts;
