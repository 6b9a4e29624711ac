//! Bytes as a token, its header, its claims, a key set, a file of keys, an introspection answer. The assertions are
//! those of the crate's own tests.

#![no_main]

#[path = "../../crates/tollgate-token/tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    properties::any_bytes(bytes);
});
