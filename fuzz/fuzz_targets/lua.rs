//! A script, and the messages that it is handed. The assertions are those of the crate's own tests.

#![no_main]

#[path = "../../crates/tollgate-script/tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    properties::lua(bytes);
});
