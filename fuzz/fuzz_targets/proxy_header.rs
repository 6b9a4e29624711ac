//! The beginning of a connection behind a balancer. The assertions are those of the crate's own tests.

#![no_main]

#[path = "../../crates/tollgate-wire/tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    properties::proxy_header(bytes);
});
