//! A shared cache by RFC 9111: what may be kept, for how long, for whom, and what may be answered with it.
//!
//! Plain data in, a decision out. Where answers are kept, and what time it is, others know.

mod conditions;
mod date;
mod directives;
mod field;
mod merge;
mod parts;
mod reuse;
mod terms;
mod vary;

pub use conditions::{Given, answer_with};
pub use directives::Wish;
pub use merge::merge;
pub use parts::Parts;
pub use reuse::{Use, covers_error, use_of};
pub use terms::{Asked, Came, Terms, terms};
pub use vary::{Varied, suits, varied};

#[cfg(test)]
mod tests;
