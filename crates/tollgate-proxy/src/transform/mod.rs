//! Stages 10 and 12: edits on the way to the upstream and on the way back.

mod compress;
mod forwarding;
mod identity;
mod request;
mod response;

pub(crate) use compress::{Coder, compress};
pub(crate) use request::{keeps_trailer, request};
pub(crate) use response::response;
