//! Refusals as RFC 9457 problem documents.

use std::borrow::Cow;

use tollgate_wire::{HeaderBlock, Name, name, reason_phrase};

use crate::exchange::{Reject, Reply};

/// Seconds in `Retry-After` where nobody knows better. What makes a retry sensible (a service that comes back, a place that becomes free)
/// takes about that long; clients add their own spread.
const RETRY_AFTER_SECONDS: u64 = 1;

/// The problem document of a refusal.
pub(crate) fn problem(reject: &Reject, request_id: &str) -> Reply<'static> {
    let status = reject.status;
    let document = serde_json::json!({
        "type": "about:blank",
        "title": title(status),
        "status": status,
        "code": reject.reason.code(),
        "detail": reject.detail,
        "request_id": request_id,
    });
    let mut headers = HeaderBlock::default();
    headers.append(&name::CONTENT_TYPE, b"application/problem+json");
    // A refusal is about this moment; no cache may answer the next request with it.
    headers.append(&name::CACHE_CONTROL, b"no-store");
    for entry in reject.headers.entries() {
        if let Ok(name) = Name::from_bytes(entry.name()) {
            headers.append(&name, entry.value());
        }
    }
    if matches!(status, 429 | 503) {
        let seconds = reject.retry_after.unwrap_or(RETRY_AFTER_SECONDS);
        headers.append(&name::RETRY_AFTER, itoa::Buffer::new().format(seconds).as_bytes());
    }
    Reply { status, headers, body: Cow::Owned(document.to_string().into_bytes()) }
}

/// The phrase of a status. One that has none means what the first of its class does (RFC 9110 section 15).
fn title(status: u16) -> &'static str {
    match reason_phrase(status) {
        "" => reason_phrase(status / 100 * 100),
        phrase => phrase,
    }
}

#[cfg(test)]
mod tests {
    use tollgate_plan::Reason;

    use super::*;

    #[test]
    fn every_status_has_a_title() {
        for (status, expect) in [(404, "Not Found"), (418, "Bad Request"), (599, "Internal Server Error")] {
            let reject = Reject { status, ..Reject::new(Reason::GuardFailed, "…") };
            let document: serde_json::Value = serde_json::from_slice(&problem(&reject, "id").body).unwrap();
            assert_eq!((&document["title"], &document["status"]), (&expect.into(), &status.into()));
        }
    }

    /// Every reason with the answer it makes: a change of the public contract shows here.
    #[test]
    fn the_whole_table() {
        let mut table = String::new();
        for &reason in Reason::ALL {
            let reject = Reject::new(reason, "…");
            let reply = problem(&reject, "id");
            let row = reason.row();
            let has = |wanted: &Name| if reply.headers.contains(wanted) { "yes" } else { "-" };
            table.push_str(&format!(
                "{:<24} {} {:<8} retry={:<5} {:?} retry-after={} {}\n",
                row.code,
                reply.status,
                format!("{:?}", row.blame),
                row.retry,
                row.level,
                has(&name::RETRY_AFTER),
                String::from_utf8_lossy(&reply.body),
            ));
        }
        expect_test::expect_file!["problem.snap"].assert_eq(&table);
    }
}
