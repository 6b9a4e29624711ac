//! What holds for any input at all, wherever this crate takes text from outside. Used by the fuzz targets, and by the
//! tests here on their seeds, so that what a fuzzer finds becomes a test by copying its file.

#![allow(dead_code, unused_imports, reason = "each fuzz target uses its part")]

mod languages;
mod notations;
mod shapes;

pub(crate) use languages::{expression, jinja, jq};
pub(crate) use notations::notation;
pub(crate) use shapes::shape;

/// Two texts in one input, with a NUL between them; the second is empty where there is none.
fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == 0) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, b""),
    }
}
