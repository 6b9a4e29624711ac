//! What survives a reload: counts, listeners and targets that workers share, and each worker's own view of them.

pub(crate) mod balancer;
pub(crate) mod conn;
pub(crate) mod counts;
pub(crate) mod gate;
pub(crate) mod issuers;
pub(crate) mod limits;
pub(crate) mod listeners;
pub(crate) mod passwords;
pub(crate) mod queue;
pub(crate) mod store;
pub(crate) mod targets;
pub(crate) mod upstreams;

pub(crate) use counts::Counts;
