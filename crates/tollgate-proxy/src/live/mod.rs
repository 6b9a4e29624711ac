//! What survives a reload: counts, listeners, upstreams and targets that workers share, and each worker's own view.

pub(crate) mod balancer;
pub(crate) mod cache;
pub(crate) mod checks;
pub(crate) mod conn;
pub(crate) mod counts;
pub(crate) mod expand;
pub(crate) mod gate;
mod form;
pub(crate) mod http;
pub(crate) mod collector;
pub(crate) mod dial;
pub(crate) mod issuers;
pub(crate) mod lasting;
pub(crate) mod limits;
pub(crate) mod listeners;
pub(crate) mod memory;
pub(crate) mod passwords;
pub(crate) mod queue;
pub(crate) mod registry;
pub(crate) mod relief;
pub(crate) mod sessions;
pub(crate) mod services;
pub(crate) mod shield;
pub(crate) mod store;
pub(crate) mod targets;
pub(crate) mod tokens;
pub(crate) mod trial;
pub(crate) mod upstreams;
mod waiter;

pub(crate) use counts::Counts;
