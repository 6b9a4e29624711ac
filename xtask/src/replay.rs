//! What the measurements of the examples have in common: a client that looks at each answer, what a process takes, samples
//! in a file, and tables made of them.
//!
//! It knows no example: what is asked of one, and what its page says, stands in its own module.

pub(crate) mod client;
pub(crate) mod due;
pub(crate) mod scatter;

pub(crate) mod binary;
pub(crate) mod interrupt;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod started;

pub(crate) mod samples;
pub(crate) mod table;
