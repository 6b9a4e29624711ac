//! Stages 10 and 12: edits on the way to the upstream and on the way back.

mod compress;
mod forwarding;
mod identity;
mod lua;
mod request;
mod response;
mod shape;

pub(crate) use compress::{CODED_TURN_BYTES, Coder, compress};
pub(crate) use lua::{Passed, Scripted, scripted};
pub(crate) use request::{keeps_trailer, part, request};
pub(crate) use response::{refusal, response};
pub(crate) use shape::{rules, shape, shape_head};
