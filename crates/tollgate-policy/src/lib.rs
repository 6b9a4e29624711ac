//! Deciders: given what is known and what time it is, which way to go.
//!
//! Sans-IO: a decider takes `now` and randomness as arguments and returns a decision. No clock, no sockets, no
//! tasks; what a decision needs to remember is a plain value that its caller owns.

// Nothing that an upstream or a client causes may panic here.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod penalty;
mod standing;
mod weights;

mod least_requests;
mod ring;
mod round_robin;

mod window;

mod breaker;
mod health;
mod outlier;
mod retry;

pub mod cache;
pub mod limit;

pub use breaker::{Breaker, Circuit, Ending, Ticket};
pub use health::Health;
pub use outlier::Outliers;
pub use retry::{Attempted, Budget, Fault, backoff, worth_retrying};

pub use least_requests::least_requests;
pub use penalty::Penalty;
pub use ring::{Ring, hash};
pub use round_robin::RoundRobin;
pub use standing::Standing;
pub use weights::Weights;

#[cfg(test)]
mod fixture;
