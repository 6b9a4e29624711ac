//! The few messages of OTLP that a gateway sends, in the binary form of Protocol Buffers: opentelemetry-proto 1.x,
//! `collector/trace/v1/trace_service.proto` and `trace/v1/trace.proto`. Field numbers stand where they are written.

use super::TEXT_BYTES_MAX;
use crate::trace::{SpanId, Trace};

/// Who a span is of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Server = 2,
    Client = 3,
}

/// A span that is being described: its fields so far.
pub(super) struct Span<'a> {
    trace: &'a Trace,
    fields: Vec<u8>,
}

impl<'a> Span<'a> {
    pub(super) fn of(trace: &'a Trace, id: SpanId, parent: Option<SpanId>, kind: Kind) -> Span<'a> {
        let mut fields = Vec::with_capacity(512);
        put_bytes(1, &trace.id, &mut fields);
        put_bytes(2, &id, &mut fields);
        if let Some(parent) = parent {
            put_bytes(4, &parent, &mut fields);
        }
        put_varint_field(6, kind as u64, &mut fields);
        Span { trace, fields }
    }

    /// Its name: a method, and the pattern of a route where there is one.
    pub(super) fn name(&mut self, method: &str, pattern: Option<&str>) {
        match pattern {
            Some(pattern) => put_bytes(5, format!("{method} {pattern}").as_bytes(), &mut self.fields),
            None => put_bytes(5, method.as_bytes(), &mut self.fields),
        }
    }

    /// Nanoseconds since 1970.
    pub(super) fn times(&mut self, start: u64, end: u64) {
        put_fixed(7, start, &mut self.fields);
        put_fixed(8, end.max(start), &mut self.fields);
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        put_bytes(9, &text_attribute(key, value), &mut self.fields);
    }

    pub(super) fn optional(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    pub(super) fn number(&mut self, key: &str, value: u64) {
        let (mut any, mut attribute) = (Vec::new(), Vec::new());
        put_varint_field(3, value, &mut any);
        put_bytes(1, key.as_bytes(), &mut attribute);
        put_bytes(2, &any, &mut attribute);
        put_bytes(9, &attribute, &mut self.fields);
    }

    pub(super) fn optional_number(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.number(key, value);
        }
    }

    /// It failed, and this is the kind of failure (`error.type`).
    pub(super) fn fail(&mut self, kind: &str) {
        self.text("error.type", kind);
        let mut status = Vec::new();
        // STATUS_CODE_ERROR
        put_varint_field(3, 2, &mut status);
        put_bytes(15, &status, &mut self.fields);
    }

    /// Appends it as `ScopeSpans.spans`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        debug_assert!(self.trace.is_sampled(), "only what is wanted is described");
        put_bytes(2, &self.fields, out);
    }
}

/// An `ExportTraceServiceRequest` of spans that are encoded already.
pub(crate) fn request(service: &str, spans: &[u8]) -> Vec<u8> {
    let mut resource = Vec::new();
    put_bytes(1, &text_attribute("service.name", service), &mut resource);
    put_bytes(1, &text_attribute("telemetry.sdk.language", "rust"), &mut resource);
    put_bytes(1, &text_attribute("telemetry.sdk.name", "tollgate"), &mut resource);
    let mut scope = Vec::new();
    put_bytes(1, b"tollgate", &mut scope);
    put_bytes(2, env!("CARGO_PKG_VERSION").as_bytes(), &mut scope);
    let mut scope_spans = Vec::with_capacity(spans.len() + 64);
    put_bytes(1, &scope, &mut scope_spans);
    scope_spans.extend_from_slice(spans);
    let mut resource_spans = Vec::with_capacity(spans.len() + 256);
    put_bytes(1, &resource, &mut resource_spans);
    put_bytes(2, &scope_spans, &mut resource_spans);
    let mut request = Vec::with_capacity(spans.len() + 300);
    put_bytes(1, &resource_spans, &mut request);
    request
}

/// A `KeyValue` whose value is text.
fn text_attribute(key: &str, value: &str) -> Vec<u8> {
    let value = value.get(..value.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default();
    let mut any = Vec::with_capacity(value.len() + 4);
    put_bytes(1, value.as_bytes(), &mut any);
    let mut attribute = Vec::with_capacity(key.len() + any.len() + 8);
    put_bytes(1, key.as_bytes(), &mut attribute);
    put_bytes(2, &any, &mut attribute);
    attribute
}

/// A field of bytes, text or another message.
fn put_bytes(field: u32, value: &[u8], out: &mut Vec<u8>) {
    put_varint(u64::from(field) << 3 | 2, out);
    put_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn put_varint_field(field: u32, value: u64, out: &mut Vec<u8>) {
    put_varint(u64::from(field) << 3, out);
    put_varint(value, out);
}

/// A `fixed64`.
fn put_fixed(field: u32, value: u64, out: &mut Vec<u8>) {
    put_varint(u64::from(field) << 3 | 1, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Seven bits a byte, the lowest first (Protocol Buffers, "Encoding").
fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_encoding_has_them() {
        for (value, expect) in [
            (0, &[0][..]),
            (1, &[1]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            // The example of the documentation.
            (150, &[0x96, 1]),
            (u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            let mut out = Vec::new();
            put_varint(value, &mut out);
            assert_eq!(out, expect, "{value}");
        }
    }

    #[test]
    fn a_request_is_nested_as_the_protocol_has_it() {
        let request = request("s", &[0x12, 1, 9]);
        assert_eq!(request[0], 0x0a, "resource_spans");
        let text = String::from_utf8_lossy(&request);
        for part in ["service.name", "tollgate", env!("CARGO_PKG_VERSION")] {
            assert!(text.contains(part), "{part}");
        }
        assert!(request.ends_with(&[0x12, 1, 9]), "the spans stand at the end");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let attribute = text_attribute("k", &"é".repeat(TEXT_BYTES_MAX));
        assert!(attribute.len() < TEXT_BYTES_MAX + 16);
        assert!(String::from_utf8(attribute[attribute.len() - 4..].to_vec()).is_ok());
    }
}
