//! What the acceptance tests are made of: origins that misbehave on purpose, a byte client, and the real
//! binary run as a child process; issuers of tokens.
//!
//! Everything here is deliberately independent of the gateway's own crates: it has its own small, strict HTTP/1
//! reader, so that a mistake in the gateway's parser cannot hide behind the same mistake in the test.
//! Plain threads and blocking sockets: a test that fails must be readable from top to bottom.

mod client;
mod collector;
mod descriptors;
mod dns;
mod frame;
mod gateway;
mod haproxy;
mod issuer;
mod message;
mod metrics;
mod nginx;
mod object_store;
mod origin;
mod origin_h2;
mod output;
mod port;
mod problem;
mod redis;
mod resp;
mod signing_key;
mod stream;
mod wait;

pub use client::{Client, End};
pub use collector::{Collector, TraceSpan};
pub use descriptors::limit_descriptors;
pub use dns::{Dns, Says, Service};
pub use frame::{Frame, Http2, PREFACE, block};
pub use gateway::{Finished, Gateway, run};
pub use haproxy::HaProxy;
pub use issuer::{AUDIENCE, CLIENT_ID, CLIENT_SECRET, Issuer, now_unix_s};
pub use message::{Fault, Head, Response};
pub use metrics::Metrics;
pub use nginx::Nginx;
pub use object_store::{ACCESS_KEY, ObjectStore, REGION, SECRET_KEY};
pub use origin::{Closed, Conn, ConnectionSeen, Origin, Seen, behaviour};
pub use origin_h2::{H2Exchange, H2Origin, H2Seen};
pub use output::Output;
pub use port::Port;
pub use problem::{assert_problem, assert_problem_head, is_uuid_v7};
pub use redis::{Redis, RedisOptions};
pub use resp::{Resp, Value};
pub use rustix::process::Signal;
pub use signing_key::SigningKey;
pub use wait::{Gate, PATIENCE, assert_holds, pause, wait_for, wait_some};

/// The path of the gateway's binary.
#[macro_export]
macro_rules! binary {
    () => {
        env!("CARGO_BIN_EXE_tollgate")
    };
}

/// Starts the gateway's binary with a configuration; `NAME = value` replaces `@NAME@` in it.
///
/// A macro, because only the package that builds the binary knows where it is.
#[macro_export]
macro_rules! gateway {
    ($text:expr $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::Gateway::start(
            $crate::binary!(),
            $text,
            &[$((stringify!($name), $value.to_string())),*],
        )
    };
}
