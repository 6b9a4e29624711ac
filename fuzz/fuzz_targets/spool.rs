//! Any bytes as a file of the spool. The assertions are those of the crate's own tests.

#![no_main]

#[path = "../../crates/tollgate-logship/src/segment/properties.rs"]
mod properties;
// Private to its crate, and on its own: no need to build all that talks to object stores.
#[path = "../../crates/tollgate-logship/src/segment.rs"]
mod segment;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    properties::spool(bytes);
});
