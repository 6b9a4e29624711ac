//! An expression, and what it is told. The assertions are those of the crate's own tests.

#![no_main]

#[path = "../../crates/tollgate-content/tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    properties::expression(bytes);
});
