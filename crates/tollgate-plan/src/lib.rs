//! The compiled configuration as an immutable value, and its look-ups.
//!
//! A [`Plan`] is what is left of a configuration when nothing can be wrong with it any more: every name is
//! an index, every pattern is compiled, every default is filled in. It is a value: no clock, no I/O, no
//! tasks, and it knows no YAML. A request holds one plan from its head to its log record.

pub mod plan;

pub mod listener;
pub mod notice;
pub mod tls;
pub mod limits;
pub mod object_log;
pub mod traces;
pub mod memory;
pub mod cidr;
pub mod secret;

pub mod route;
pub mod aggregate;
pub mod cache;
pub mod table;
pub mod host;
pub mod path;
pub mod query;
pub mod template;
pub mod script;

pub mod access;
pub mod checks;
pub mod limit;
pub mod redis;
pub mod auth;
pub mod issuer;
pub mod consumer;

pub mod upstream;
pub mod credentials;
pub mod resilience;
pub mod reason;

pub mod proof;

pub use plan::Plan;
pub use reason::Reason;
