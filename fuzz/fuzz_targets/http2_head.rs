//! Heads and trailers of HTTP/2 brought into the form of HTTP/1. The assertions are those of the crate's own tests.

#![no_main]
#![allow(dead_code, reason = "the crate uses more of these files")]

// Private to their crate, and on their own: no need to build the whole data plane.
#[path = "../../crates/tollgate-proxy/src/io/h2/fields.rs"]
mod fields;
#[path = "../../crates/tollgate-proxy/src/io/h2/heads.rs"]
mod heads;
#[path = "../../crates/tollgate-proxy/src/io/h2/heads/properties.rs"]
mod properties;

/// Where the crate has them.
mod io {
    pub(crate) mod h2 {
        pub(crate) use crate::{fields, heads};
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    properties::http2_head(bytes);
});
