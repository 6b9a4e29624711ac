//! Any bytes as a set of keys. The assertions are those of the crate's own tests.

#![no_main]

#[path = "../../crates/tollgate-token/tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    properties::jwks(bytes);
});
