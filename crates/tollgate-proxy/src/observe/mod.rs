//! Stage 13: what every exchange leaves behind.
//!
//! Also the two small things that every exchange is given at its start: an id and a date.

mod date;
mod id;

mod exchange;
mod record;
mod reports;
mod seldom;

mod line;
mod redact;
mod text;

mod spans;

mod output;
mod recent;
mod sink;
mod writer;

mod counters;
mod histogram;
mod snapshot;

pub use histogram::Histogram;
pub use recent::News;
pub use snapshot::{
    CacheLabels, CopyLabels, LimitLabels, LogCounts, RejectedLabels, RequestLabels, Shipped, Snapshot,
    SpanTotals, UpstreamConnections, UpstreamLabels,
};

pub(crate) use counters::{Copied, Counters, Outcome, Series};
pub(crate) use date::HttpDate;
pub use date::rfc3339;
pub(crate) use exchange::{Refusal, refusal};
pub(crate) use id::{RequestId, RequestIds};
pub use redact::{header as masked_header, query as masked_query};
pub(crate) use reports::{Reports, ScriptLines, tell_left_out};
pub(crate) use seldom::Seldom;
pub use sink::log_shipping;
pub(crate) use sink::{LogWriter, WorkerSink};
pub(crate) use snapshot::{Gauges, LastTold, WorkerSnapshot};
pub(crate) use spans::{Batch, SpanCounts, WorkerSpans, attempt as attempt_span, request as span_request};

#[cfg(test)]
pub(crate) mod fixture;
