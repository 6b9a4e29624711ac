//! One access record as one line of JSON.
//!
//! Every line has the same keys in the same order; what a record does not have is `null`. Only `query`, `trace` and
//! `headers` depend on the configuration, and `parts_failed` stands only where some did.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use tollgate_plan::Plan;
use tollgate_plan::plan::AccessLog;
use tollgate_wire::Version;

use super::date::{LogTime, three_digits};
use super::record::Record;
use super::redact;
use super::text::{Text, write_text};
use crate::exchange::Cached;
use crate::trace::write_hex;

/// Appends the record's line, line feed included. `plan` is the one that the request met.
pub(super) fn write_line(record: &Record<'_>, plan: &Plan, time: &mut LogTime, out: &mut Vec<u8>) {
    let route = record.route.and_then(|id| plan.routes.get(id.0 as usize));
    let upstream = record.upstream.and_then(|id| plan.upstreams.get(id.0 as usize));

    out.extend_from_slice(b"{\"time\":\"");
    time.write(record.started, out);
    out.extend_from_slice(b"\",\"id\":");
    write_text(record.id.as_bytes(), out);
    out.extend_from_slice(b",\"client\":");
    write_client(record.client, out);
    out.extend_from_slice(b",\"method\":");
    write_optional(record.method.map(|method| method.as_str()), out);
    out.extend_from_slice(b",\"host\":");
    write_optional(Some(record.host).filter(|host| !host.is_empty()), out);
    out.extend_from_slice(b",\"path\":");
    write_optional(Some(record.path).filter(|path| !path.is_empty()), out);
    if plan.access_log.log_query {
        write_query(record.query, &plan.access_log, out);
    }
    out.extend_from_slice(b",\"route\":");
    write_optional(route.map(|route| &*route.name), out);
    out.extend_from_slice(b",\"status\":");
    write_number(record.status.into(), out);
    out.extend_from_slice(b",\"reason\":");
    write_optional(record.reason.map(|reason| reason.code()), out);
    out.extend_from_slice(b",\"bytes_in\":");
    write_number(record.bytes_in, out);
    out.extend_from_slice(b",\"bytes_out\":");
    write_number(record.bytes_out, out);
    out.extend_from_slice(b",\"duration_ms\":");
    write_millis(record.duration, out);
    out.extend_from_slice(b",\"upstream\":");
    write_optional(upstream.map(|upstream| &*upstream.name), out);
    out.extend_from_slice(b",\"upstream_ms\":");
    match record.upstream_time {
        Some(time) => write_millis(time, out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"target\":");
    write_optional(record.target, out);
    out.extend_from_slice(b",\"attempts\":");
    write_number(record.attempts.into(), out);
    out.extend_from_slice(b",\"consumer\":");
    write_optional(record.consumer, out);
    out.extend_from_slice(b",\"cache\":");
    write_optional(record.cache.map(Cached::label), out);
    out.extend_from_slice(b",\"tls\":");
    write_optional(record.tls, out);
    out.extend_from_slice(match record.version {
        Version::Http10 => b",\"http\":\"1.0\",\"generation\":",
        Version::Http11 => b",\"http\":\"1.1\",\"generation\":",
        Version::Http2 => b",\"http\":\"2\",\"generation\":",
    });
    write_number(record.generation, out);
    write_parts(record.parts_failed, out);
    write_trace(record, plan, out);
    write_headers(record, &plan.access_log, out);
    out.extend_from_slice(b"}\n");
}

fn write_client(client: Option<IpAddr>, out: &mut Vec<u8>) {
    match client.map(|address| address.to_canonical()) {
        None => out.extend_from_slice(b"null"),
        Some(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            out.push(b'"');
            write_number(a.into(), out);
            for octet in [b, c, d] {
                out.push(b'.');
                write_number(octet.into(), out);
            }
            out.push(b'"');
        }
        Some(IpAddr::V6(address)) => {
            // Writing to a vector cannot fail.
            let _ = write!(out, "\"{address}\"");
        }
    }
}

fn write_query(query: Option<&[u8]>, log: &AccessLog, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"query\":");
    match query {
        None => out.extend_from_slice(b"null"),
        Some(query) => {
            let mut text = Text::open(out);
            redact::query(log, query, |piece| text.push(piece));
            text.close();
        }
    }
}

/// The parts of an aggregate that failed, each with its reason.
fn write_parts(failed: &[String], out: &mut Vec<u8>) {
    for (at, part) in failed.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b",\"parts_failed\":[" } else { b"," });
        write_text(part.as_bytes(), out);
    }
    if !failed.is_empty() {
        out.push(b']');
    }
}

/// The trace by its id, with which a collector finds it.
fn write_trace(record: &Record<'_>, plan: &Plan, out: &mut Vec<u8>) {
    if plan.traces.is_none() {
        return;
    }
    match record.trace {
        None => out.extend_from_slice(b",\"trace\":null"),
        Some(id) => {
            out.extend_from_slice(b",\"trace\":\"");
            write_hex(&id, out);
            out.push(b'"');
        }
    }
}

/// The headers that the operator chose; lines of one name are joined as RFC 9110 section 5.3 allows.
fn write_headers(record: &Record<'_>, log: &AccessLog, out: &mut Vec<u8>) {
    if log.headers.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"headers\":{");
    for (index, name) in log.headers.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(name.as_str().as_bytes(), out);
        out.push(b':');
        let mut values = record.headers.into_iter().flat_map(|headers| headers.get_all(name));
        let Some(first) = values.next() else {
            out.extend_from_slice(b"null");
            continue;
        };
        let mut text = Text::open(out);
        redact::header(log, name.as_str(), first, |piece| text.push(piece));
        for value in values {
            text.push(b", ");
            redact::header(log, name.as_str(), value, |piece| text.push(piece));
        }
        text.close();
    }
    out.push(b'}');
}

fn write_optional(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => write_text(text.as_bytes(), out),
        None => out.extend_from_slice(b"null"),
    }
}

fn write_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Milliseconds with three decimals, rounded to the nearest microsecond.
fn write_millis(duration: Duration, out: &mut Vec<u8>) {
    let micros = u64::try_from(duration.as_nanos().saturating_add(500) / 1_000).unwrap_or(u64::MAX);
    write_number(micros / 1_000, out);
    out.push(b'.');
    out.extend_from_slice(&three_digits((micros % 1_000) as u32));
}

#[cfg(test)]
mod tests;
