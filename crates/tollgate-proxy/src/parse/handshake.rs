//! The opening handshake of a WebSocket, checked as its server would (RFC 6455 section 4.2.1).
//!
//! Only a handshake that is right goes on: whoever looks at less than the service does can be made to believe in a
//! tunnel that the service knows nothing of.

use tollgate_plan::Reason;
use tollgate_wire::{BodyLength, Method, RequestHead, name};

use crate::exchange::Reject;

/// The only version of the protocol that was ever finished.
const VERSION: &[u8] = b"13";

/// Whether the request asks for a WebSocket; refused when it does so in a wrong way.
///
/// Any other upgrade is an offer that is not taken up (RFC 9110 section 7.8): `h2c` among them, with which requests
/// would pass the gateway unseen.
pub(super) fn check(head: &RequestHead) -> Result<bool, Reject> {
    // One of several that the client offers is enough: it may take the answer for the start of that protocol.
    if !head.wants_upgrade() || !head.headers.has_token(&name::UPGRADE, "websocket") {
        return Ok(false);
    }
    // What follows may be no HTTP.
    let refused = |fault| Reject::new(Reason::UpgradeRefused, fault).closing();
    if let Some(fault) = fault(head) {
        return Err(refused(fault));
    }
    if head.headers.only(&name::SEC_WEBSOCKET_VERSION) != Some(VERSION) {
        let refused = refused("the version of WebSocket here is 13");
        return Err(refused.with(&name::SEC_WEBSOCKET_VERSION, VERSION));
    }
    Ok(true)
}

fn fault(head: &RequestHead) -> Option<&'static str> {
    let headers = &head.headers;
    if head.method != Method::Get {
        return Some("a WebSocket begins with GET");
    }
    if !matches!(head.body, BodyLength::None | BodyLength::Length(0)) {
        return Some("a WebSocket begins without a body");
    }
    if headers.list(&name::UPGRADE).count() != 1 {
        return Some("Upgrade names more than websocket");
    }
    if !headers.only(&name::SEC_WEBSOCKET_KEY).is_some_and(is_key) {
        return Some("Sec-WebSocket-Key is not one key of 16 bytes in base64");
    }
    None
}

/// 16 bytes in base64: 22 digits, of which the last has bits to spare, and the padding.
fn is_key(value: &[u8]) -> bool {
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    value.strip_suffix(b"==").is_some_and(|digits| digits.len() == 22 && digits.iter().all(digit))
}

#[cfg(test)]
mod tests {
    use tollgate_wire::{HeadLimits, HeadProgress, Parsed, parse_request};

    use super::*;

    const LINES: [&str; 4] = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ];

    /// What is made of a request with these lines; the version that a refusal tells behind its detail.
    fn outcome(start: &str, lines: &[&str]) -> String {
        let text = format!("{start}\r\nHost: a\r\n{}\r\n\r\n", lines.join("\r\n"));
        let limits = HeadLimits { header_bytes: 4096, header_count: 32, uri_bytes: 1024 };
        let (mut progress, mut head) = (HeadProgress::default(), RequestHead::default());
        let parsed = parse_request(text.as_bytes(), &mut progress, &limits, &mut head);
        assert_eq!(parsed, Ok(Parsed::Complete(text.len())), "{text}");
        match check(&head) {
            Ok(websocket) => if websocket { "websocket" } else { "plain" }.to_owned(),
            Err(reject) => {
                assert_eq!((reject.reason, reject.close), (Reason::UpgradeRefused, true));
                let told = reject.headers.get(&name::SEC_WEBSOCKET_VERSION).map(String::from_utf8_lossy);
                told.map_or_else(
                    || reject.detail.clone().into(),
                    |told| format!("{} / {told}", reject.detail),
                )
            }
        }
    }

    /// With one line of the right handshake replaced, perhaps by several; `""` is none.
    fn with(at: usize, line: &str) -> String {
        let mut lines = LINES.to_vec();
        lines[at] = line;
        lines.retain(|line| !line.is_empty());
        outcome("GET / HTTP/1.1", &lines)
    }

    #[test]
    fn what_is_right() {
        assert_eq!(outcome("GET /chat?x=1 HTTP/1.1", &LINES), "websocket");
        assert_eq!(with(0, "upgrade: WebSocket"), "websocket");
        assert_eq!(with(1, "Connection: keep-alive, UPGRADE"), "websocket");
        assert_eq!(with(1, "Connection: Upgrade\r\nContent-Length: 0"), "websocket");
        // Bits to spare that are not zero: some clients take 24 random digits.
        assert_eq!(with(2, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAA/=="), "websocket");
    }

    #[test]
    fn what_is_no_handshake() {
        assert_eq!(with(0, ""), "plain");
        assert_eq!(with(0, "Upgrade: h2c"), "plain");
        assert_eq!(with(0, "Upgrade: websocket/13"), "plain");
        assert_eq!(with(1, ""), "plain");
        assert_eq!(with(1, "Connection: keep-alive"), "plain");
        // There is no upgrade in HTTP/1.0 (RFC 9110 section 7.8).
        assert_eq!(outcome("GET / HTTP/1.0", &LINES), "plain");
    }

    #[test]
    fn what_is_wrong() {
        const KEY: &str = "Sec-WebSocket-Key is not one key of 16 bytes in base64";
        const VERSION: &str = "the version of WebSocket here is 13 / 13";
        const MORE: &str = "Upgrade names more than websocket";
        const BODY: &str = "a WebSocket begins without a body";
        for (at, line, detail) in [
            (0, "Upgrade: websocket, h2c", MORE),
            (0, "Upgrade: h2c\r\nUpgrade: websocket", MORE),
            (0, "Upgrade: websocket\r\nUpgrade: websocket", MORE),
            (1, "Connection: Upgrade\r\nContent-Length: 1", BODY),
            (1, "Connection: Upgrade\r\nTransfer-Encoding: chunked", BODY),
            (2, "", KEY),
            (2, "Sec-WebSocket-Key:", KEY),
            (2, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA", KEY),
            (2, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=", KEY),
            (2, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA====", KEY),
            (2, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAA-==", KEY),
            (2, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==, x", KEY),
            (
                2,
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
                KEY,
            ),
            (3, "", VERSION),
            (3, "Sec-WebSocket-Version: 8", VERSION),
            (3, "Sec-WebSocket-Version: 13, 8", VERSION),
            (3, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13", VERSION),
        ] {
            assert_eq!(with(at, line), detail, "{line}");
        }
        for method in ["POST", "HEAD", "OPTIONS", "get"] {
            assert_eq!(outcome(&format!("{method} / HTTP/1.1"), &LINES), "a WebSocket begins with GET");
        }
    }
}
