//! Any text as a configuration. The assertions are those of the crate's own tests.

#![no_main]

#[path = "../../crates/tollgate-config/tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    properties::config(bytes);
});
