//! Stage 11 for `to`: a target, a connection to it, the request out and the head of the answer back.

mod attempt;
mod call;
mod choose;
mod connect;
mod resolve;
mod retry;

pub(crate) use call::call;
pub(crate) use resolve::{Resolver, look_up_once};
