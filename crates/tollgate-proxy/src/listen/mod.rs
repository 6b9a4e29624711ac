//! Stage 1: accepting connections and carrying them from request to request.

mod accept;
mod bind;
mod connection;
mod glimpse;
mod handshake;
mod head;
mod http2;
mod proxy_header;

pub(crate) use accept::{Accepting, QUIET};
pub(crate) use bind::{bind, deal, permit, unbind};
pub(crate) use connection::{Accepted, spawn};
pub(crate) use head::{head_limits, refuse};
