//! The hand-over: listening sockets go from this process to the one that comes after it, and nobody who connects
//! notices.
//!
//! The old process ([`successor`]) starts the new one with one end of a socket pair as its standard input and sends its
//! listening sockets through it. The new one ([`predecessor`]) loads its configuration, serves on them, and says that
//! it is ready; then the old one drains. Whatever else happens, the old one goes on as if it had not been asked. A third one
//! ([`between`]) stands between the two until then.

mod between;
mod message;
mod predecessor;
mod successor;

pub(crate) use between::stand_between;
pub(crate) use predecessor::{Handed, Predecessor};
pub(crate) use successor::{Channel, Failure, Parcel, Program, READY_WITHIN, Successor, hand_over};

/// The variable that tells a process that its standard input is a predecessor: it holds that one's process id, which the
/// channel knows as well, so that it means nothing to a process that merely inherited it.
const VARIABLE: &str = "TOLLGATE_HANDOVER";

#[cfg(test)]
mod tests;
