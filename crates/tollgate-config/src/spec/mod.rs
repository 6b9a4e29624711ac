//! The full shape that users type: every block of the file, every key, each once.

mod action;
mod json;
mod root;
mod route;
mod server;
mod target;
mod upstream;

pub(crate) use action::{Destination, Health, HealthSet, Respond, To};
pub(crate) use root::{Included, Root};
pub(crate) use route::{Defaults, Request, Response, Route, Shared};
pub(crate) use server::{AccessLog, Admin, Limits, OnFull, Shutdown, Sink, Workers};
pub(crate) use target::Parsed;
pub(crate) use upstream::{Balance, SentHost, Upstream, UpstreamName};
