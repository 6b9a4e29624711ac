//! The way back to the client: answers of upstreams, answers from the configuration, and refusals. The only
//! place where an error becomes a response.

mod finish;
mod fixed;
mod grpc;
mod health;
mod problem;
mod redirect;
mod reply;
mod stream;
mod tunnel;

pub(crate) use finish::{explain, finish, refuse};
pub(crate) use fixed::fixed;
pub(crate) use health::health;
pub(crate) use problem::problem;
pub(crate) use redirect::redirect;
