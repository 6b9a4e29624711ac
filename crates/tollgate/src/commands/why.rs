//! `tollgate why`: what became of a request that a running gateway has served, in words.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::Value;

use crate::admin_side::AdminSide;
use crate::cli::WhyArgs;
use crate::output;

/// A heading for each reason, and what it means.
const REASONS: &str = include_str!("../../../../docs/troubleshooting.md");

pub(super) fn why(arguments: &WhyArgs) -> ExitCode {
    let Some(admin) = AdminSide::of(&arguments.admin) else {
        output::failed_as_told(arguments.output.json);
        return ExitCode::FAILURE;
    };
    let path = format!("/api/v1/requests?limit=1&id={}", encoded(&arguments.id));
    let list = match admin.json(&path) {
        Ok(list) => list,
        Err(message) => {
            output::failed(arguments.output.json, message);
            return ExitCode::FAILURE;
        }
    };
    let Some(record) = list["requests"].as_array().and_then(|all| all.first()) else {
        let mut message = format!("there is no such request among the last ones: {}", arguments.id);
        if let Some(missing) = list["workers_missing"].as_u64().filter(|missing| *missing > 0) {
            let _ = write!(message, "; {missing} of the workers did not tell theirs in time");
        }
        output::failed(arguments.output.json, message);
        return ExitCode::FAILURE;
    };
    let written = if arguments.output.json { output::json(record) } else { output::out(&text(record)) };
    written.exit(true)
}

/// What a query may hold as it is, and the rest percent-encoded.
fn encoded(id: &str) -> String {
    id.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
        out
    })
}

fn text(record: &Value) -> String {
    let word = |key: &str| record[key].as_str();
    let shown = |key: &str| word(key).unwrap_or("-").replace(char::is_control, "\u{fffd}");
    let mut out = format!(
        "{} {} on {}, from {}, at {}\n",
        shown("method"),
        shown("path"),
        shown("host"),
        shown("client"),
        shown("time"),
    );
    let status = &record["status"];
    match word("reason") {
        Some(reason) => {
            let _ = writeln!(out, "answered {status} by the gateway: {reason}");
            for line in meaning(reason) {
                let _ = writeln!(out, "  {line}");
            }
        }
        None if record["upstream"].is_string() && record["attempts"] != 0 => {
            let _ = writeln!(out, "answered {status} by the service");
        }
        None => {
            let _ = writeln!(out, "answered {status} by the gateway");
        }
    }
    let route = word("route").map_or_else(|| "none".to_owned(), str::to_owned);
    let _ = writeln!(out, "route     {route}");
    for (title, key) in [("consumer", "consumer"), ("cache", "cache"), ("tls", "tls")] {
        if let Some(value) = word(key) {
            let _ = writeln!(out, "{title:<9} {value}");
        }
    }
    if let Some(upstream) = word("upstream") {
        let target = word("target").map(|target| format!(", target {target}")).unwrap_or_default();
        let attempts = record["attempts"].as_u64().unwrap_or_default();
        let times = crate::config_file::count(usize::try_from(attempts).unwrap_or(usize::MAX), "attempt");
        let _ = writeln!(out, "upstream  {upstream}{target}, {times}");
    }
    let upstream_ms = record["upstream_ms"].as_f64();
    let of_it = upstream_ms.map(|time| format!(", {time} ms of it at the service")).unwrap_or_default();
    let _ = writeln!(out, "time      {} ms{of_it}", record["duration_ms"]);
    let _ = writeln!(out, "bytes     {} in, {} out", record["bytes_in"], record["bytes_out"]);
    out
}

/// What the page of reasons says of one, line by line; nothing of one that it does not know.
fn meaning(reason: &str) -> Vec<&'static str> {
    let heading = format!("### {reason}");
    let mut lines = REASONS.lines().skip_while(|line| *line != heading).skip(1);
    let own = lines.by_ref().take_while(|line| !line.starts_with('#') && !line.is_empty());
    own.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tollgate_plan::Reason;

    use super::*;

    #[test]
    fn every_reason_has_a_meaning() {
        for reason in Reason::ALL {
            assert!(!meaning(reason.code()).is_empty(), "{}", reason.code());
        }
        assert!(meaning("nothing").is_empty());
    }

    #[test]
    fn ids_of_proxies_are_encoded() {
        assert_eq!(encoded("0193a-B_.9"), "0193a-B_.9");
        assert_eq!(encoded("a&b=c d%"), "a%26b%3Dc%20d%25");
    }

    #[test]
    fn a_record_in_words() {
        let refused = text(&json!({
            "time": "2026-11-22T11:30:19.100Z", "client": "203.0.113.9", "method": "GET", "host": "h", "path": "/a",
            "route": "a", "status": 401, "reason": "token_expired", "duration_ms": 1.5, "attempts": 0,
            "bytes_in": 0, "bytes_out": 12,
        }));
        for part in [
            "GET /a on h, from 203.0.113.9",
            "answered 401 by the gateway: token_expired",
            "\n  401.",
            "route     a",
        ] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
        let served = text(&json!({
            "method": "GET", "path": "/a", "status": 200, "reason": null, "route": "a", "upstream": "u",
            "target": "http://10.0.0.5:1", "attempts": 2, "duration_ms": 7.0, "upstream_ms": 6.5,
        }));
        for part in [
            "answered 200 by the service",
            "upstream  u, target http://10.0.0.5:1, 2 attempts",
            "6.5 ms of it",
        ] {
            assert!(served.contains(part), "{part}: {served}");
        }
    }
}
