//! What an answer depends on beside its URL.

use crate::{HeaderBlock, name};

/// Says that the answer depends on this field of the request (RFC 9110 section 12.5.5), unless it says so already.
pub fn vary_on(headers: &mut HeaderBlock, field: &str) {
    let said = |token| headers.has_token(&name::VARY, token);
    if !said("*") && !said(field) {
        headers.append(&name::VARY, field.as_bytes());
    }
}
