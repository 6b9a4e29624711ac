//! A response head, and what follows it as its body. The assertions are those of the crate's own tests.

#![no_main]

#[path = "../../crates/tollgate-wire/tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    properties::response_head(bytes);
});
