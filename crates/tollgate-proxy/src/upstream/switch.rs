//! Whether an upstream really switched to WebSocket, checked as its client would (RFC 6455 section 4.1).
//!
//! A service that knows nothing of WebSocket can be led to answer 101 by somebody whom it fetches from. Believing it
//! would open a way to it on which nobody looks at requests any more.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tollgate_wire::{HeaderBlock, ResponseHead, Version, name};

/// Stands behind the client's key in what the answer proves (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether `answer`, a 101, takes up the handshake that `asked`.
pub(super) fn is_right(asked: &HeaderBlock, answer: &ResponseHead) -> bool {
    let headers = &answer.headers;
    let upgrade = headers.only(&name::UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"));
    let accept = asked.only(&name::SEC_WEBSOCKET_KEY).map(accept);
    answer.version == Version::Http11
        && upgrade
        && headers.has_token(&name::CONNECTION, "upgrade")
        && accept.is_some_and(|accept| headers.only(&name::SEC_WEBSOCKET_ACCEPT) == Some(accept.as_bytes()))
}

/// What proves that the key was read.
fn accept(key: &[u8]) -> String {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key);
    context.update(GUID);
    STANDARD.encode(context.finish())
}

#[cfg(test)]
mod tests {
    use tollgate_wire::{HeadLimits, HeadProgress, Method, Parsed, parse_response};

    use super::*;

    fn check(answer: &str, right: bool) {
        let mut asked = HeaderBlock::default();
        asked.append(&name::SEC_WEBSOCKET_KEY, b"dGhlIHNhbXBsZSBub25jZQ==");
        let text = format!("{}\r\n\r\n", answer.replace('\n', "\r\n"));
        let limits = HeadLimits { header_bytes: 4096, header_count: 32, uri_bytes: 0 };
        let (mut progress, mut head) = (HeadProgress::default(), ResponseHead::default());
        let parsed = parse_response(text.as_bytes(), &mut progress, &limits, &Method::Get, &mut head);
        assert_eq!(parsed, Ok(Parsed::Complete(text.len())), "{text}");
        assert_eq!(is_right(&asked, &head), right, "{answer}");
    }

    /// The example of RFC 6455 section 1.3, and what is not quite like it.
    #[test]
    fn an_answer_proves_that_the_key_was_read() {
        const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        let answer = |upgrade: &str, connection: &str, accept: &str| {
            format!("HTTP/1.1 101 Switching Protocols\n{upgrade}\n{connection}\n{accept}")
        };
        let (upgrade, connection) = ("Upgrade: websocket", "Connection: Upgrade");
        check(&answer(upgrade, connection, ACCEPT), true);
        check(&answer("upgrade: WebSocket", "connection: keep-alive, upgrade", ACCEPT), true);
        for wrong in [
            answer("X: y", connection, ACCEPT),
            answer("Upgrade: websocket, h2c", connection, ACCEPT),
            answer("Upgrade: h2c", connection, ACCEPT),
            answer(upgrade, "X: y", ACCEPT),
            answer(upgrade, "Connection: close", ACCEPT),
            answer(upgrade, connection, "X: y"),
            answer(upgrade, connection, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp="),
            answer(upgrade, connection, "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            answer(upgrade, connection, &format!("{ACCEPT}\n{ACCEPT}")),
        ] {
            check(&wrong, false);
        }
        check(&answer(upgrade, connection, ACCEPT).replace("HTTP/1.1", "HTTP/1.0"), false);
    }
}
