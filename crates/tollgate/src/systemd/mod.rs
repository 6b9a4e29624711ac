//! What systemd and this process say to each other: the protocol of `Type=notify`, and sockets that it passes.
//!
//! Every supervisor that speaks the same is meant (sd_notify(3), sd_listen_fds(3)); without one nothing is said.

mod notify;
mod sockets;

pub(crate) use notify::Supervisor;
pub(crate) use sockets::{admin_listener, assign, passed};
