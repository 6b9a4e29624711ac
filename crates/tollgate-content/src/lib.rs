//! What is inside a body, as values and functions: no sockets, no clock.
//!
//! JSON is handled as text. A document is checked once from end to end; after that a [`Raw`] is a slice of it, and only
//! what a rule touches is taken apart ([`Node`]). Members that nobody asks about are copied as they came: a part of an
//! aggregation that needs no change costs one look and one copy. Other notations are decoded into JSON text first
//! ([`decode`]), and written from it last ([`encode`]).

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod raw;
mod scan;
mod read;
mod path;
mod node;

mod merge;
mod shape;

pub mod decode;
pub mod encode;
pub mod expr;
pub mod jq;
pub mod media;
pub mod render;
pub mod openapi;
pub mod schema;

/// A name that stands in a text and is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// It.
    pub name: String,
    /// Names that would be right there.
    pub known: Vec<String>,
}

impl Unknown {
    fn new<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Unknown {
        Unknown { name: name.to_owned(), known: known.into_iter().map(str::to_owned).collect() }
    }
}

pub use merge::{Merge, merge};
pub use node::{Node, Object};
pub use path::{Path, PathError};
pub use raw::{Kind, Malformed, Raw};
pub use shape::{Shape, ShapeError, ShapeSpec};
