//! Routes and requests, against a list of the routes. The assertions are those of the crate's own tests.

#![no_main]

#[path = "../../crates/tollgate-plan/tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    properties::router(bytes);
});
