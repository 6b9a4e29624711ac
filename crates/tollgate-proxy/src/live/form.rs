//! What authorization servers are sent: forms, and who the gateway is there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The credentials of HTTP Basic. RFC 6749 section 2.3.1: both parts are form-encoded before HTTP Basic joins them.
pub(super) fn basic(id: &str, secret: &str) -> String {
    let mut pair = String::new();
    form_encode(id, &mut pair);
    pair.push(':');
    form_encode(secret, &mut pair);
    format!("Basic {}", STANDARD.encode(pair))
}

/// `application/x-www-form-urlencoded` (WHATWG URL section 5.2).
pub(super) fn form_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => {
                // Writing to a string cannot fail.
                let _ = std::fmt::Write::write_fmt(out, format_args!("%{byte:02X}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateways_own_credentials_are_encoded_before_they_are_joined() {
        for (id, secret, expect) in [
            ("gateway", "s3cret", "gateway:s3cret"),
            ("gate:way", "a b+c%/é", "gate%3Away:a+b%2Bc%25%2F%C3%A9"),
        ] {
            assert_eq!(basic(id, secret), format!("Basic {}", STANDARD.encode(expect)), "{id}");
        }
    }
}
