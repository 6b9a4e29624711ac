//! Refusals to callers of gRPC: 200 with trailers only, which is how gRPC says that a call failed ("Responses" in the
//! gRPC over HTTP2 protocol). A library that got a problem document instead would guess a status from the HTTP one.

use std::borrow::Cow;
use std::fmt::Write as _;

use tollgate_wire::{HeaderBlock, Name, name};

use crate::exchange::{Reject, Reply};

/// The answer to a call that is refused.
pub(super) fn refusal(reject: &Reject) -> Reply<'static> {
    let mut headers = HeaderBlock::default();
    headers.append(&name::CONTENT_TYPE, b"application/grpc");
    let message = message(reject);
    let status = itoa::Buffer::new().format(status(reject.status)).to_owned();
    for (name, value) in [("grpc-status", &status), ("grpc-message", &message)] {
        if let Ok(name) = Name::new(name) {
            headers.append(&name, value.as_bytes());
        }
    }
    for entry in reject.headers.entries() {
        if let Ok(name) = Name::from_bytes(entry.name()) {
            headers.append(&name, entry.value());
        }
    }
    Reply { status: 200, headers, body: Cow::Borrowed(&[]) }
}

/// The status of gRPC that says what an HTTP status says (the table is in docs/http2.md).
fn status(http: u16) -> u8 {
    match http {
        499 => 1,             // CANCELLED
        408 | 504 => 4,       // DEADLINE_EXCEEDED
        403 => 7,             // PERMISSION_DENIED
        413 | 429 => 8,       // RESOURCE_EXHAUSTED
        404 => 12,            // UNIMPLEMENTED
        502 | 503 => 14,      // UNAVAILABLE: another try may help
        401 => 16,            // UNAUTHENTICATED
        400 => 13,            // INTERNAL
        _ if http < 500 => 3, // INVALID_ARGUMENT
        _ => 13,
    }
}

/// The reason and what is said about it; bytes other than printable ASCII, and `%`, are percent-encoded.
fn message(reject: &Reject) -> String {
    let mut out = String::new();
    for byte in reject.reason.code().bytes().chain(*b": ").chain(reject.detail.bytes()) {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use tollgate_plan::Reason;

    use super::*;

    fn check(reject: Reject, expect: &str) {
        let reply = refusal(&reject);
        let lines: Vec<String> = reply
            .headers
            .iter()
            .map(|(name, value)| {
                format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
            })
            .collect();
        assert_eq!((reply.status, lines.join("\n").as_str()), (200, expect));
    }

    #[test]
    fn a_refusal_has_a_status_and_a_message() {
        check(
            Reject::new(Reason::RateLimited, "limit 100/s per ip"),
            "content-type: application/grpc\ngrpc-status: 8\ngrpc-message: rate_limited: limit 100/s per ip",
        );
        check(
            Reject::new(Reason::TokenMissing, "50 % é").with(&name::WWW_AUTHENTICATE, b"Bearer"),
            "content-type: application/grpc\ngrpc-status: 16\n\
             grpc-message: token_missing: 50 %25 %C3%A9\nwww-authenticate: Bearer",
        );
    }

    #[test]
    fn every_reason_has_a_status() {
        let table: Vec<String> = Reason::ALL
            .iter()
            .map(|reason| format!("{} {} {}\n", reason.code(), reason.status(), status(reason.status())))
            .collect();
        expect_test::expect_file!["grpc.snap"].assert_eq(&table.concat());
    }
}
